//! What was typed. Nothing is built here.

pub mod offsets;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::offsets::OffsetsVerb;
use crate::source::kafka::loss::AcceptedLoss;
use crate::telemetry::{self, LogFormat};

/// Keeps read models in several HBase clusters current from Kafka.
#[derive(Clone, Debug, Parser)]
#[command(name = "halcyon", version, about, max_term_width = 110)]
pub struct Cli {
    /// How log lines look on standard error; HALCYON_LOG filters them
    #[arg(long, global = true, value_enum, env = "HALCYON_LOG_FORMAT", default_value_t, hide_possible_values = true)]
    pub log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Read topics, write tables, until told to stop
    Run(Run),
    /// Check the topology, and with --live also the brokers and clusters it names
    Check(Check),
    /// Show what the topology does, as text or as a diagram
    Describe(Describe),
    /// Make the tables that the topology needs, or show how they differ
    #[command(subcommand)]
    Table(TableVerb),
    /// Show how far every sink is in every partition
    Status(StatusArgs),
    /// Show offsets, move them, and see who moved them
    #[command(subcommand)]
    Offsets(OffsetsVerb),
    /// Look at events that could not become rows, and replay them after a fix
    #[command(subcommand)]
    DeadLetter(DeadLetterVerb),
    /// Run the cases that stand beside the topology: events in, rows expected. Needs no broker and no cluster
    Test(Test),
    /// Detach, attach, pause, resume, drain or limit one sink of a running process
    Sink(SinkArgs),
    /// See the whole idea in one process: no server, nothing to install
    Demo(Demo),
}

/// Where the topology is.
#[derive(Clone, Debug, Args)]
pub struct TopologyArgs {
    /// Topology file, or a folder of .toml files; may be given several times
    #[arg(long = "topology", value_name = "FILE", env = "HALCYON_TOPOLOGY", default_value = "topology.toml")]
    pub files: Vec<PathBuf>,
}

/// `run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// End once everything that was in the topics at the start is durable in every sink
    #[arg(long)]
    pub until_caught_up: bool,
    /// Only these sinks (clusters); the others keep their offsets for a later run
    #[arg(long = "only-sink", value_name = "NAME")]
    pub only_sinks: Vec<String>,
    /// Serve /health, /ready, /metrics and /status here
    #[arg(long, value_name = "ADDRESS:PORT", env = "HALCYON_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Requests must carry this token; without one only loopback addresses are listened on
    #[arg(long, value_name = "TOKEN", env = "HALCYON_LISTEN_TOKEN", hide_env_values = true)]
    pub listen_token: Option<String>,
    /// Static membership: this process's name in the group, different for each process
    #[arg(long, value_name = "ID", env = "HALCYON_GROUP_INSTANCE_ID")]
    pub group_instance_id: Option<String>,
    /// Budget for data in flight: what Kafka's client has fetched ahead, batches, and the sinks' windows
    #[arg(long, value_name = "MIB", env = "HALCYON_MEMORY_MIB", default_value_t = 96, value_parser = clap::value_parser!(u64).range(16..))]
    pub memory_mib: u64,
    /// Private readers at once: what a detached sink is replayed by. They share an eighth of the memory; 0: none is detached
    #[arg(long, value_name = "N", env = "HALCYON_PRIVATE_READERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(..=64))]
    pub private_readers: u16,
    /// Threads that decode and project; the number of cores by default
    #[arg(long, value_name = "N", env = "HALCYON_WORKERS", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Records of one batch at most
    #[arg(long, value_name = "N", env = "HALCYON_BATCH_ROWS", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_rows: u32,
    /// How long a batch waits to be filled, in milliseconds
    #[arg(long, value_name = "MS", env = "HALCYON_BATCH_LINGER_MS", default_value_t = 50)]
    pub batch_linger_ms: u64,
    /// How long what was read may take to become durable when partitions are given up or the process ends
    #[arg(long, value_name = "MS", env = "HALCYON_DRAIN_TIMEOUT_MS", default_value_t = 10_000)]
    pub drain_timeout_ms: u64,
    /// Time between commits, in milliseconds
    #[arg(long, value_name = "MS", env = "HALCYON_COMMIT_INTERVAL_MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    pub commit_interval_ms: u64,
    /// How long to wait for the first broker before giving up, in milliseconds
    #[arg(long, value_name = "MS", env = "HALCYON_CONNECT_TIMEOUT_MS", default_value_t = 30_000)]
    pub connect_timeout_ms: u64,
    /// Go on although retention removed these offsets before they were read; the range is in the message that stopped the
    /// run, and the journal keeps it
    #[arg(long = "accept-loss", value_name = "TOPIC/PARTITION=a..b")]
    pub accept_losses: Vec<AcceptedLoss>,
    /// Tell of a transaction that is open for longer, in milliseconds: nothing behind its first record can be read
    #[arg(long, value_name = "MS", env = "HALCYON_TRANSACTION_PATIENCE_MS", default_value_t = 60_000)]
    pub transaction_patience_ms: u64,
    /// End with one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// Also ask the brokers and the clusters
    #[arg(long)]
    pub live: bool,
    /// Print the JSON Schema of topology files and end
    #[arg(long)]
    pub schema: bool,
    /// Print findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// `describe`.
#[derive(Clone, Debug, Args)]
pub struct Describe {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub format: DescribeFormat,
    /// Print JSON, for tools
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Forms of a description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// For people.
    #[default]
    Text,
    /// Mermaid.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// `table`.
#[derive(Clone, Debug, Subcommand)]
pub enum TableVerb {
    /// Make the tables that are missing, with their families and regions
    Create(TableCreate),
    /// Show how the clusters' tables differ from the topology; exit 1 if they do
    Diff(TableArgs),
}

/// Arguments of the table verbs.
#[derive(Clone, Debug, Args)]
pub struct TableArgs {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// Only these clusters
    #[arg(long = "cluster", value_name = "NAME")]
    pub clusters: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `table create`.
#[derive(Clone, Debug, Args)]
pub struct TableCreate {
    /// Which tables, where
    #[command(flatten)]
    pub tables: TableArgs,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// Ask the process that listens here (http://127.0.0.1:PORT) instead of Kafka: it also knows states and rates
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Keep one line current
    #[arg(long)]
    pub watch: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `dead-letter`.
#[derive(Clone, Debug, Subcommand)]
pub enum DeadLetterVerb {
    /// Count the letters by cause, and list them
    List(DeadLetterList),
    /// Show one letter whole
    Show(DeadLetterShow),
    /// Run letters through the present topology and write what they become; those that are done are not listed again
    Replay(DeadLetterReplay),
}

/// Which letters.
#[derive(Clone, Debug, Args)]
pub struct LetterArgs {
    /// Where the topology is; its section dead_letter says where the letters are
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// Only letters whose cause contains this
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,
    /// Only letters of this topic, by its id in the topology or its name in Kafka
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Only letters of this stage
    #[arg(long, value_name = "STAGE", value_parser = ["decode", "project", "write"])]
    pub stage: Option<String>,
    /// Only letters of events from this time on: 2026-11-01T00:00:00Z, or so long ago: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Only these letters, by the ids that `list` shows; may be given several times
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// `dead-letter list`.
#[derive(Clone, Debug, Args)]
pub struct DeadLetterList {
    /// Which letters
    #[command(flatten)]
    pub letters: LetterArgs,
    /// Only rows that this sink (cluster) refused
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
    /// Also letters that were replayed
    #[arg(long)]
    pub all: bool,
    /// Letters listed at most; all are counted
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
}

/// `dead-letter show`.
#[derive(Clone, Debug, Args)]
pub struct DeadLetterShow {
    /// The letter's id, as `list` shows it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where the topology is; its section dead_letter says where the letters are
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `sink`.
#[derive(Clone, Debug, Args)]
pub struct SinkArgs {
    /// Cluster of the topology; `*` stands for all with `throttle`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What to do
    #[arg(value_enum, value_name = "VERB")]
    pub verb: SinkVerb,
    /// The process that listens here (http://127.0.0.1:PORT); with several processes, tell each of them.
    /// `HALCYON_LISTEN_TOKEN` is the token that it was started with
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// With throttle: rows a second at most; 0 removes the limit
    #[arg(long, value_name = "N", conflicts_with = "bytes_per_second")]
    pub rows_per_second: Option<u64>,
    /// With throttle: encoded bytes a second at most; 0 removes the limit
    #[arg(long, value_name = "N")]
    pub bytes_per_second: Option<u64>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `dead-letter replay`.
#[derive(Clone, Debug, Args)]
pub struct DeadLetterReplay {
    /// Which letters
    #[command(flatten)]
    pub letters: LetterArgs,
    /// Only into these sinks (clusters); the letters stay listed for the others
    #[arg(long = "sink", value_name = "NAME")]
    pub sinks: Vec<String>,
    /// How long a sink that does not answer is tried, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub patience_ms: u64,
    /// Only say what would become of each letter
    #[arg(long)]
    pub dry_run: bool,
}

/// A time, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Milliseconds since 1970.
    Time(i64),
    /// Milliseconds before now.
    Ago(i64),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::Time(time.as_millisecond()));
    }
    let wrong = || format!("`{text}` is no time: write 2026-11-01T00:00:00Z, or 90s, 30m, 12h, 7d for so long ago");
    let unit_ms = match text.chars().last() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => return Err(wrong()),
    };
    let count: i64 = text.get(..text.len() - 1).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
    count.checked_mul(unit_ms).filter(|ms| *ms >= 0).map(Since::Ago).ok_or_else(wrong)
}

/// `test`.
#[derive(Clone, Debug, Args)]
pub struct Test {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// Files with cases; by default those beside the topology: chat.test.toml beside chat.toml, all of a folder
    #[arg(long = "cases", value_name = "FILE")]
    pub cases: Vec<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Only name the cases
    #[arg(long)]
    pub list: bool,
    /// Print one line of JSON for each case
    #[arg(long)]
    pub json: bool,
}

/// Verbs of one sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SinkVerb {
    /// Leave the shared read; follow with a private reader until `attach`.
    Detach,
    /// Come back to the shared read as soon as it has what that has.
    Attach,
    /// Read and write nothing until `resume`; its offsets stay.
    Pause,
    /// Undo `pause` and `drain`.
    Resume,
    /// Finish what is on its way and begin nothing new until `resume`.
    Drain,
    /// Limit how fast it is written to.
    Throttle,
}

impl SinkVerb {
    /// The word in the path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detach => "detach",
            Self::Attach => "attach",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
            Self::Throttle => "throttle",
        }
    }
}

/// `demo`.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// Events in the topic before green exists
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    pub events: u64,
    /// Seed of the events
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// End with one line of JSON
    #[arg(long)]
    pub json: bool,
}

impl Cli {
    /// What is logged unless `HALCYON_LOG` says otherwise.
    #[must_use]
    pub fn log_filter(&self) -> &'static str {
        match self.verb {
            Verb::Demo(_) | Verb::Test(_) => telemetry::QUIET_FILTER,
            _ => telemetry::DEFAULT_FILTER,
        }
    }
}

impl Run {
    /// A token that is empty protects nothing.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.listen_token.as_deref().filter(|token| !token.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn since_is_a_time_or_so_long_ago() {
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(Since::Time(1000)));
        assert_eq!(since("30m"), Ok(Since::Ago(1_800_000)));
        for wrong in ["", "m", "30", "-1h", "9223372036854775807d", "é"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
