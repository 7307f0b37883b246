//! Where every sink starts in the partitions that were assigned: asks Kafka for the facts, decides with [`super::start`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;

use super::group::Offsets;
use super::start::{LogRange, StartError, StartFacts, resolve};
use crate::halt::{Halt, HaltKind};
use crate::progress::ledger::SinkStart;
use crate::progress::offset::{Offset, TopicPartition};
use crate::topology::Start;

/// How long coordinators may be away before an assignment is given up. Well below `max.poll.interval.ms`.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// A partition with the start of every sink.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) partition: TopicPartition,
    pub(super) log: LogRange,
    /// By the sinks' index.
    pub(super) starts: Vec<SinkStart>,
}

/// What the topology says about starts.
#[derive(Debug)]
pub struct Positions<S> {
    /// Sinks by index.
    pub sinks: Vec<Arc<str>>,
    /// `start` by Kafka's topic name.
    pub starts: BTreeMap<String, Option<Start>>,
    /// Offsets of sinks named in `start = "sink:NAME"` that are not among the sinks of this run.
    pub others: BTreeMap<String, S>,
}

/// Why the facts could not be had or do not allow a start.
enum Failure {
    Kafka(KafkaError),
    Start(StartError),
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

impl<S: Offsets> Positions<S> {
    /// Decides the start of every sink in every partition. Blocks; asks again while coordinators are away.
    ///
    /// # Errors
    /// The cause for which the run must stop.
    pub(super) fn resolve(
        &self,
        stores: &[S],
        partitions: &[TopicPartition],
        pause: impl Fn(Duration),
    ) -> Result<Vec<Assignment>, Halt> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_resolve(stores, partitions) {
                Ok(assignments) => return Ok(assignments),
                Err(Failure::Start(error)) => {
                    let kind = if error.is_policy() { HaltKind::Policy } else { HaltKind::Topology };
                    return Err(Halt::new(kind, error.to_string()));
                }
                Err(Failure::Kafka(error)) if Instant::now() >= deadline => {
                    let message =
                        format!("the sinks' offsets cannot be read: {error}; check the brokers and start again");
                    return Err(Halt::new(HaltKind::Failed, message));
                }
                Err(Failure::Kafka(error)) => {
                    tracing::warn!(%error, "the sinks' offsets cannot be read yet");
                    pause(PAUSE);
                }
            }
        }
    }

    fn try_resolve(&self, stores: &[S], partitions: &[TopicPartition]) -> Result<Vec<Assignment>, Failure> {
        let Some(first) = stores.first().filter(|_| !partitions.is_empty()) else { return Ok(Vec::new()) };
        let topics: BTreeSet<&Arc<str>> = partitions.iter().map(|partition| &partition.topic).collect();
        let mut all = Vec::new();
        for topic in topics {
            let count = first.partition_count(topic)?.unwrap_or(0);
            all.extend((0..count).map(|partition| TopicPartition { topic: Arc::clone(topic), partition }));
        }
        let committed: Vec<BTreeMap<TopicPartition, Offset>> =
            stores.iter().map(|store| store.committed(&all)).collect::<Result<_, _>>()?;
        let at_time = self.at_time(first, partitions)?;
        let mut assignments = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let (low, high) = first.log_range(partition)?;
            let log = LogRange { low, high };
            let start = self.starts.get(&*partition.topic).and_then(Option::as_ref);
            let other = self.other(start, &committed, partition)?;
            let mut starts = Vec::with_capacity(self.sinks.len());
            for (sink, committed) in self.sinks.iter().zip(&committed) {
                let facts = StartFacts {
                    partition,
                    sink,
                    committed: committed.get(partition).copied(),
                    has_history: committed.keys().any(|known| known.topic == partition.topic),
                    start,
                    log,
                    at_time: at_time.get(partition).copied(),
                    other,
                };
                starts.push(resolve(&facts).map_err(Failure::Start)?);
            }
            assignments.push(Assignment { partition: partition.clone(), log, starts });
        }
        Ok(assignments)
    }

    /// Only topics that start at a time are asked for.
    fn at_time(&self, store: &S, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
        let mut found = BTreeMap::new();
        for (topic, start) in &self.starts {
            let Some(Start::Time(time_ms)) = start else { continue };
            let of_topic: Vec<_> = partitions.iter().filter(|partition| *partition.topic == **topic).cloned().collect();
            if !of_topic.is_empty() {
                found.extend(store.at_time(&of_topic, *time_ms)?);
            }
        }
        Ok(found)
    }

    fn other(
        &self,
        start: Option<&Start>,
        committed: &[BTreeMap<TopicPartition, Offset>],
        partition: &TopicPartition,
    ) -> Result<Option<Offset>, Failure> {
        let Some(Start::Sink(name)) = start else { return Ok(None) };
        if let Some(index) = self.sinks.iter().position(|sink| **sink == **name) {
            return Ok(committed.get(index).and_then(|offsets| offsets.get(partition).copied()));
        }
        let Some(store) = self.others.get(name) else { return Ok(None) };
        Ok(store.committed(std::slice::from_ref(partition))?.get(partition).copied())
    }
}
