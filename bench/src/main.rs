//! Load and checks for halcyon: chat events into Kafka, tables against an independent fold, the benchmark.
#![expect(clippy::print_stdout, reason = "tables and progress are its output")]

mod case;
mod chart;
mod client;
mod clusters;
mod counting;
mod frozen;
mod halcyon_process;
mod jvm;
mod load;
mod measured;
mod peers;
mod process;
mod raw_consumer;
mod record;
mod report;
mod runner;
mod stack;
mod usage;
mod verify;

use clap::{Parser, Subcommand};

/// Load generator and benchmarks of halcyon: every answer is checked before a time is reported.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Name the cases: what each measures, what it needs, how long it takes
    List(runner::List),
    /// Run cases: check the answers, print table and verdicts, keep a record
    Run(runner::Run),
    /// Send chat events to a topic; make the topic if it is missing
    Load(load::Load),
    /// Compare a table of every cluster with an independent fold of the events; exit 1 if one cell differs
    Verify(verify::Verify),
    /// The case `client` with all of its options
    Client(client::Client),
    /// The case `frozen` with all of its options
    Frozen(frozen::Frozen),
    /// Our side of the client benchmark
    #[command(hide = true)]
    ClientPeer {
        /// What it does
        #[command(subcommand)]
        peer: client::Peer,
    },
    /// Read a topic and count: what librdkafka alone costs
    #[command(hide = true)]
    RawConsume(raw_consumer::RawConsume),
    /// halcyon's engine with a sink that counts
    #[command(hide = true)]
    Count(counting::Count),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::List(args) => runner::list(&args),
        Verb::Run(args) => runner::run(&args),
        Verb::Load(args) => load::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Client(args) => client::run(&args),
        Verb::Frozen(args) => frozen::run(&args),
        Verb::ClientPeer { peer } => client::run_peer(peer),
        Verb::Count(args) => counting::run_peer(&args),
        Verb::RawConsume(args) => raw_consumer::run(&args),
    }
}
