//! The verbs of `halcyon offsets`.

use clap::{Args, Subcommand};

use super::TopologyArgs;
use crate::source::kafka::place::Place;

/// `offsets`.
#[derive(Clone, Debug, Subcommand)]
pub enum OffsetsVerb {
    /// Show what every sink has committed, where it would start and why, and who is in the group
    Show(OffsetsShow),
    /// Move a sink's offsets to a place
    Set(OffsetsSet),
    /// Start a sink anew: where the topology's `start` says, or at --to
    Reset(OffsetsReset),
    /// Show who moved which offsets from where to where, and when
    Journal(OffsetsJournal),
}

/// Which offsets.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// The sink (cluster); may be given several times
    #[arg(long = "sink", value_name = "NAME")]
    pub sinks: Vec<String>,
    /// The topic, by its id in the topology or its name in Kafka; all topics by default
    #[arg(long = "topic", value_name = "NAME")]
    pub topics: Vec<String>,
    /// Only this partition; may be given several times
    #[arg(long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partitions: Vec<i32>,
    /// Print one line of JSON for each finding
    #[arg(long)]
    pub json: bool,
}

/// `offsets show`.
#[derive(Clone, Debug, Args)]
pub struct OffsetsShow {
    /// Which
    #[command(flatten)]
    pub selection: Selection,
}

/// How offsets are moved.
#[derive(Clone, Debug, Args)]
pub struct Moving {
    /// Which
    #[command(flatten)]
    pub selection: Selection,
    /// Only say from where to where, and what would be read twice or skipped
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `offsets set`.
#[derive(Clone, Debug, Args)]
pub struct OffsetsSet {
    /// How
    #[command(flatten)]
    pub moving: Moving,
    /// earliest, latest, a time such as 2026-11-01T00:00:00Z (less the topic's margin), an offset (of one --partition),
    /// offsets such as 0=1200,1=1350, sink:NAME (that sink's offsets), or remembered (the membership group's metadata)
    #[arg(long, value_name = "PLACE")]
    pub to: Place,
}

/// `offsets reset`.
#[derive(Clone, Debug, Args)]
pub struct OffsetsReset {
    /// How
    #[command(flatten)]
    pub moving: Moving,
    /// Another place than the topology's `start`; as for `offsets set`
    #[arg(long, value_name = "PLACE", default_value = "start")]
    pub to: Place,
}

/// `offsets journal`.
#[derive(Clone, Debug, Args)]
pub struct OffsetsJournal {
    /// Where the topology is
    #[command(flatten)]
    pub topology: TopologyArgs,
    /// The newest entries at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Print one line of JSON for each entry
    #[arg(long)]
    pub json: bool,
}
