//! `halcyon offsets show|set|reset|journal`: where every sink is, and the only way to move it by hand.
//!
//! # Laws
//! 1. Nothing is moved while the membership group has members: they would commit over it. The broker holds this too: the
//!    membership group is committed first, and from outside that is accepted only while it is empty.
//! 2. Everything can be moved, or nothing is.
//! 3. What is moved is in the journal before and after.

mod journal;
pub mod plan;
mod set;
mod show;

pub(super) use self::show::margin;

use std::sync::Arc;

use anyhow::Context;
use rdkafka::error::KafkaResult;

use crate::cli::offsets::{OffsetsVerb, Selection};
use crate::command::Outcome;
use crate::halt::{Halt, HaltKind};
use crate::progress::offset::TopicPartition;
use crate::source::kafka::assign::{Positions, Surveyed};
use crate::source::kafka::offsets::OffsetStore;
use crate::source::kafka::{SourceError, find, positions, store};
use crate::topology::{Topic, Topology};

/// Runs one of the verbs.
///
/// # Errors
/// What the operator has to know.
pub fn run(verb: &OffsetsVerb) -> anyhow::Result<Outcome> {
    match verb {
        OffsetsVerb::Show(args) => show::run(args),
        OffsetsVerb::Set(args) => set::set(args),
        OffsetsVerb::Reset(args) => set::reset(args),
        OffsetsVerb::Journal(args) => journal::run(args),
    }
}

/// Clients for the selected sinks and topics.
struct Desk {
    topology: Topology,
    sinks: Vec<Arc<str>>,
    /// By the sinks' index.
    stores: Vec<OffsetStore>,
    positions: Positions,
    partitions: Vec<TopicPartition>,
}

impl Desk {
    /// Opens the desk; a sink, topic or partition that does not exist is wrong use. Blocks.
    fn open(selection: &Selection) -> anyhow::Result<Self> {
        let topology = super::topology(&selection.topology)?;
        let sinks = sinks(&topology, &selection.sinks)?;
        let topics = topics(&topology, &selection.topics)?;
        let stores = sinks.iter().map(|sink| store(&topology, sink)).collect::<Result<Vec<_>, _>>()?;
        let positions = positions(&topology, &sinks, Vec::new())?;
        for topic in &topics {
            find(&topology, &positions.membership, &topic.name).map_err(wrong_use)?;
        }
        let all =
            positions.partitions(topics.iter().map(|topic| topic.name.as_str())).context("ask for the partitions")?;
        let partitions = chosen(&all, selection)?;
        Ok(Self { stores, positions, partitions, sinks, topology })
    }

    fn survey(&self) -> KafkaResult<Vec<Surveyed>> {
        self.positions.survey(&self.stores, &self.partitions)
    }
}

/// A topic that is missing is a mistake of the topology.
fn wrong_use(error: SourceError) -> anyhow::Error {
    match &error {
        SourceError::TopicMissing { .. } => Halt::new(HaltKind::Topology, error.to_string()).into(),
        _ => error.into(),
    }
}

fn sinks(topology: &Topology, wanted: &[String]) -> anyhow::Result<Vec<Arc<str>>> {
    for name in wanted {
        if !topology.clusters.contains_key(name) {
            let known: Vec<&str> = topology.clusters.keys().map(String::as_str).collect();
            let message = format!("--sink {name}: the topology has no such cluster; it has {}", known.join(", "));
            return Err(Halt::new(HaltKind::Topology, message).into());
        }
    }
    let chosen = topology.clusters.keys().filter(|name| wanted.is_empty() || wanted.contains(name));
    Ok(chosen.map(|name| Arc::from(name.as_str())).collect())
}

/// Topics that a model reads, by id or by name.
fn topics<'a>(topology: &'a Topology, wanted: &[String]) -> anyhow::Result<Vec<&'a Topic>> {
    for name in wanted {
        if !topology.topics.iter().any(|(id, topic)| id == name || topic.name == *name) {
            let known: Vec<&str> = topology.topics.values().map(|topic| topic.name.as_str()).collect();
            let message = format!("--topic {name}: the topology has no such topic; it has {}", known.join(", "));
            return Err(Halt::new(HaltKind::Topology, message).into());
        }
    }
    let chosen = topology
        .topics
        .iter()
        .filter(|(id, topic)| wanted.is_empty() || wanted.iter().any(|name| name == *id || *name == topic.name));
    Ok(chosen.map(|(_, topic)| topic).collect())
}

fn chosen(all: &[TopicPartition], selection: &Selection) -> anyhow::Result<Vec<TopicPartition>> {
    for number in &selection.partitions {
        if !all.iter().any(|partition| partition.partition == *number) {
            let message = format!("--partition {number}: no such partition; there are {}", all.len());
            return Err(Halt::new(HaltKind::Topology, message).into());
        }
    }
    let is_chosen = |partition: &&TopicPartition| {
        selection.partitions.is_empty() || selection.partitions.contains(&partition.partition)
    };
    Ok(all.iter().filter(is_chosen).cloned().collect())
}
