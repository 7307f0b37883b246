//! The benchmark on real servers: chat events into one cluster, then into two, with the cost of the process alone.
//!
//! Every cell is compared with an independent fold before a number is printed. The raw consumer reads the same topic in
//! the same run: what librdkafka alone costs here and now.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;

use crate::load::{self, Load};
use crate::record::{self, Machine};
use crate::stack::Stack;
use crate::usage::{Usage, of_child};
use crate::verify::{self, Verify};

/// The best of the JVM applications on equal work: a plain consumer with a BufferedMutator, in CPU seconds per million
/// events. Recorded on a machine of the same kind, not in this run.
const JVM_BEST_CPU_S: f64 = 14.0;
/// At most a fifth of it.
const TARGET_CPU_S: f64 = JVM_BEST_CPU_S / 5.0;
const TARGET_RSS_MB: f64 = 150.0;
const TARGET_SECOND_CLUSTER: f64 = 25.0;
/// `ru_maxrss` is in KiB on Linux.
const KIB_PER_MB: f64 = 1024.0;

/// Arguments of `run-real`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunReal {
    /// Events
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// The halcyon binary; beside this one by default
    #[arg(long)]
    halcyon: Option<PathBuf>,
    /// Use the running stack of this name instead of starting one
    #[arg(long)]
    stack: Option<String>,
    /// Memory budget of halcyon in MiB
    #[arg(long, default_value_t = 64)]
    memory_mib: u64,
    /// Keep the raw record in bench/record
    #[arg(long)]
    record: bool,
}

/// One measured run.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    case: String,
    events: u64,
    wall_s: f64,
    cpu_s: f64,
    rss_mb: f64,
    rows: u64,
    cells: u64,
}

impl Measured {
    fn cpu_per_million(&self) -> f64 {
        self.cpu_s * 1e6 / self.events as f64
    }
}

/// Runs the cases and prints the table.
pub(crate) fn run(args: &RunReal) -> anyhow::Result<()> {
    let halcyon = match &args.halcyon {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("halcyon"),
    };
    ensure!(halcyon.exists(), "{} is missing; build it: cargo build --release --bin halcyon", halcyon.display());
    let stack = Stack::start(args.stack.as_deref(), &[])?;
    let topic = format!("bench-{}", std::process::id());
    let load = Load {
        brokers: stack.variable("HALCYON_KAFKA")?,
        topic: topic.clone(),
        partitions: 16,
        events: args.events,
        skip: 0,
        seed: 42,
        rate: None,
        partial_edits: false,
    };
    load::run(&load)?;
    let mut measured = vec![raw_consume(&load)?];
    for (case, clusters) in [("one cluster", &["green"][..]), ("two clusters", &["blue", "green"])] {
        measured.push(measure((args, &halcyon), &stack, &load, (case, clusters))?);
    }
    print_table(&measured);
    if args.record {
        let value = serde_json::json!({"machine": Machine::look(), "runs": measured});
        record::keep("run-real.json", &serde_json::to_string_pretty(&value)?)?;
    }
    Ok(())
}

/// A fresh group and fresh tables, one bounded run, every cell checked.
fn measure(
    (args, halcyon): (&RunReal, &Path),
    stack: &Stack,
    load: &Load,
    (case, clusters): (&str, &[&str]),
) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let name = format!("bench{}_{}", std::process::id(), clusters.len());
    let topology = folder.path().join("topology.toml");
    std::fs::write(&topology, topology_text(stack, load, &name, clusters)?)?;
    let at = topology.display().to_string();
    let made = Command::new(halcyon).args(["table", "create", "--topology", &at]).stdout(Stdio::null()).status()?;
    ensure!(made.success(), "the tables cannot be made");
    println!("{case}: reading {} events ...", load.events);
    let memory = args.memory_mib.to_string();
    let began = Instant::now();
    let child = Command::new(halcyon)
        .args(["run", "--topology", &at, "--until-caught-up", "--memory-mib", &memory])
        .env("HALCYON_LOG", "warn")
        .stdout(Stdio::null())
        .spawn()?;
    let usage = wait(child)?;
    let wall_s = began.elapsed().as_secs_f64();
    let checked =
        verify::check(&Verify { files: vec![topology], clusters: Vec::new(), table: name, load: load.clone() })?;
    let (mut rows, mut cells) = (0, 0);
    for (cluster, found) in checked {
        ensure!(
            found.differences == 0,
            "{case}: {} cells of {cluster} are wrong: {:?}",
            found.differences,
            found.examples
        );
        rows += found.rows;
        cells += found.cells;
    }
    Ok(Measured {
        case: case.to_owned(),
        events: load.events,
        wall_s,
        cpu_s: usage.cpu_s,
        rss_mb: usage.rss_kib as f64 / KIB_PER_MB,
        rows,
        cells,
    })
}

fn wait(child: Child) -> anyhow::Result<Usage> {
    let usage = of_child(child).context("wait for halcyon")?;
    ensure!(usage.is_success, "halcyon failed");
    Ok(usage)
}

/// What reading alone costs: a consumer that counts, in a process of its own.
fn raw_consume(load: &Load) -> anyhow::Result<Measured> {
    let began = Instant::now();
    let child = Command::new(std::env::current_exe()?)
        .args(["raw-consume", &load.brokers, &load.topic, &load.partitions.to_string(), &load.events.to_string()])
        .spawn()?;
    let usage = wait(child)?;
    Ok(Measured {
        case: "librdkafka alone".to_owned(),
        events: load.events,
        wall_s: began.elapsed().as_secs_f64(),
        cpu_s: usage.cpu_s,
        rss_mb: usage.rss_kib as f64 / KIB_PER_MB,
        rows: 0,
        cells: 0,
    })
}

/// The child of [`raw_consume`].
pub(crate) fn consume(brokers: &str, topic: &str, partitions: i32, events: u64) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench.raw")
        .set("enable.auto.commit", "false")
        .set("queued.max.messages.kbytes", "16384")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut count, mut bytes) = (0, 0);
    while count < events {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            bytes += message?.payload_len();
            count += 1;
        }
    }
    ensure!(bytes > 0, "no payload");
    Ok(())
}

fn print_table(measured: &[Measured]) {
    println!();
    println!("| case | events/s | client CPU s per million | peak RSS MB | rows checked | cells checked |");
    println!("|---|---|---|---|---|---|");
    for run in measured {
        println!(
            "| {} | {:.0} | {:.2} | {:.0} | {} | {} |",
            run.case,
            run.events as f64 / run.wall_s,
            run.cpu_per_million(),
            run.rss_mb,
            run.rows,
            run.cells
        );
    }
    let [raw, one, two] = measured else { return };
    let overhead = (two.cpu_s / one.cpu_s - 1.0) * 100.0;
    println!();
    println!("CPU against librdkafka alone in this run: {:.2} times", one.cpu_s / raw.cpu_s);
    println!(
        "CPU against the best JVM application ({JVM_BEST_CPU_S} s a million, recorded elsewhere): 1/{:.1}",
        JVM_BEST_CPU_S / one.cpu_per_million()
    );
    target("CPU s per million, one cluster", one.cpu_per_million(), TARGET_CPU_S);
    target("peak RSS MB, one cluster", one.rss_mb, TARGET_RSS_MB);
    target("peak RSS MB, two clusters", two.rss_mb, TARGET_RSS_MB);
    target("CPU of the second cluster, %", overhead, TARGET_SECOND_CLUSTER);
}

fn target(what: &str, found: f64, most: f64) {
    println!("{what}: {found:.2}, at most {most:.2} wanted: {}", if found <= most { "reached" } else { "MISSED" });
}

/// The example topology with this stack's addresses, and only these clusters.
fn topology_text(stack: &Stack, load: &Load, name: &str, clusters: &[&str]) -> anyhow::Result<String> {
    let text = include_str!("../../topology/stack.toml");
    let (head, rest) = text.split_once("[cluster.blue]").context("the example's clusters")?;
    let (_, letters) = rest.split_once("[dead_letter]").context("the example's dead letters")?;
    let mut text = head
        .replace("127.0.0.1:29092", &load.brokers)
        .replace("name = \"chat\"", &format!("name = \"{name}\""))
        .replace("chat.messages", &load.topic)
        .replace("\"message\"", &format!("\"{name}\""))
        .replace("[table.message]", &format!("[table.{name}]"));
    for cluster in clusters {
        let quorum = stack.variable(&format!("HALCYON_{}_ZK", cluster.to_uppercase()))?;
        text.push_str(&format!("[cluster.{cluster}]\nhbase = {{zookeeper = [\"{quorum}\"]}}\n"));
    }
    let letters = letters.replace("chat.dead-letters.jsonl", "/dev/null");
    Ok(format!("{text}[dead_letter]{letters}"))
}
