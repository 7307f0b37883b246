//! Load and checks for halcyon: chat events into Kafka, tables against an independent fold, the benchmark.
#![expect(clippy::print_stdout, reason = "tables and progress are its output")]

mod client;
mod frozen;
mod load;
mod record;
mod run_real;
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
    /// Send chat events to a topic; make the topic if it is missing
    Load(load::Load),
    /// Compare a table of every cluster with an independent fold of the events; exit 1 if one cell differs
    Verify(verify::Verify),
    /// Measure halcyon on real servers: CPU, memory, rate, with one cluster and with two
    RunReal(run_real::RunReal),
    /// Measure the HBase client beside Java's and Go's: CPU of client and server, memory, time
    Client(client::Client),
    /// Measure what one frozen region server costs the others
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
    RawConsume {
        /// Bootstrap brokers
        brokers: String,
        /// Topic
        topic: String,
        /// Partitions
        partitions: i32,
        /// Events
        events: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::Load(args) => load::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::RunReal(args) => run_real::run(&args),
        Verb::Client(args) => client::run(&args),
        Verb::Frozen(args) => frozen::run(&args),
        Verb::ClientPeer { peer } => client::run_peer(peer),
        Verb::RawConsume { brokers, topic, partitions, events } => {
            run_real::consume(&brokers, &topic, partitions, events)
        }
    }
}
