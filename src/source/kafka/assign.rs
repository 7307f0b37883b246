//! Where every sink starts: asks Kafka for the facts, decides with [`super::start`], and writes first starts down.
//!
//! # Laws
//! 1. A first start is decided for all partitions of a topic at once and committed before anything is read. So a crash, or
//!    another process that gets its share a moment later, does not decide anew; and whatever partition has no commit
//!    afterwards is newer than the start, or its offset has expired.
//! 2. Processes that decide at the same time agree, although the sinks' groups know no fence: each looks right before it
//!    commits, waits until whoever looked earlier has committed too, and then takes what stands there, its own or not
//!    (Fischer's mutual exclusion). The last of them counts for all, and nobody has read anything before.
//! 3. The membership group is looked at before the sinks' groups, as it is committed before them: what it remembers of a
//!    sink was in the sink's group before, and is missed there only if it expired.
//! 4. A loss that the operator accepted is in the journal before the run goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult};
use tokio::time::Instant;

use super::group::Offsets;
use super::loss::AcceptedLoss;
use super::offsets::{Commit, OffsetStore};
use super::start::{Decision, LogRange, StartError, StartFacts, Why, resolve};
use super::topics::TopicsRead;
use crate::clock::{Clock, SystemClock};
use crate::halt::{Halt, HaltKind};
use crate::kafka::journal::{self, Act, Entry, Journal, Move, Phase};
use crate::mutant::{Mutant, is_planted};
use crate::progress::ledger::SinkStart;
use crate::progress::note;
use crate::progress::offset::{Offset, TopicPartition};
use crate::progress::topic_id::TopicId;
use crate::topology::{Start, Topology};

/// How long coordinators may be away before an assignment is given up. Well below `max.poll.interval.ms`.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// How long ago it may be that a partition had no commit when a first start is committed there.
const LOOK_AGE: Duration = Duration::from_secs(2);
/// After this time the first start of whoever looked when we did has arrived.
const SETTLE: Duration = Duration::from_secs(6);

/// A partition with the start of every sink.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) partition: TopicPartition,
    pub(super) log: LogRange,
    /// By the sinks' index.
    pub(super) starts: Vec<SinkStart>,
}

/// What the topology says about starts, and what else they depend on.
#[derive(Debug)]
pub struct Positions<S = OffsetStore> {
    /// The topology.
    pub topology: Topology,
    /// Sinks by index.
    pub sinks: Vec<Arc<str>>,
    /// Offsets of sinks named in `start = "sink:NAME"` that are not among the sinks of this run.
    pub others: BTreeMap<String, S>,
    /// The membership group, not as its member.
    pub membership: Arc<S>,
    /// Ranges that the operator has given up.
    pub accepted: Vec<AcceptedLoss>,
    /// The ids under which topics are read.
    pub read: Arc<TopicsRead>,
}

/// A partition as it was found.
#[derive(Debug)]
pub struct Surveyed {
    /// The partition.
    pub partition: TopicPartition,
    /// Its log.
    pub log: LogRange,
    /// The topic's id, if its broker has ids.
    pub topic: Option<TopicId>,
    /// By the sinks' index.
    pub sinks: Vec<Seen>,
}

/// A sink in a partition, as it was found.
#[derive(Debug)]
pub struct Seen {
    /// What its group has committed.
    pub committed: Option<Commit>,
    /// Where the membership group remembers it.
    pub remembered: Option<Offset>,
    /// Whether its group has committed any partition of the topic.
    pub has_history: bool,
    /// Where it starts, or why it does not.
    pub decision: Result<Decision, StartError>,
    /// Where it would start if it had never been there.
    pub first_start: Result<(Offset, Why), StartError>,
}

/// Why the facts could not be had or do not allow a start.
enum Failure {
    Kafka(KafkaError),
    /// What was seen is too old to commit anything on it.
    TooLate,
    Halt(Halt),
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// What is the same for all partitions of a survey.
struct Common {
    commits: Vec<BTreeMap<TopicPartition, Commit>>,
    remembered: BTreeMap<TopicPartition, Commit>,
    at_time: BTreeMap<TopicPartition, Offset>,
    others: BTreeMap<String, BTreeMap<TopicPartition, Commit>>,
    topics: BTreeMap<String, TopicId>,
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
            match self.try_resolve(stores, partitions, &pause) {
                Ok(assignments) => return Ok(assignments),
                Err(Failure::Halt(halt)) => return Err(halt),
                Err(Failure::TooLate) => {
                    let seconds = LOOK_AGE.as_secs();
                    tracing::warn!(
                        seconds,
                        "a first start was not committed: the sinks' offsets took too long to read"
                    );
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

    fn try_resolve(
        &self,
        stores: &[S],
        partitions: &[TopicPartition],
        pause: &impl Fn(Duration),
    ) -> Result<Vec<Assignment>, Failure> {
        let mut surveyed = self.survey(stores, partitions)?;
        self.admit(&surveyed)?;
        let is_first = surveyed.iter().flat_map(|one| &one.sinks).any(Seen::is_first_start);
        if is_first && !is_planted(Mutant::ReadBeforeStartIsCommitted) {
            // One first start decides for the whole topic, this process's share of it or not.
            let first: BTreeSet<&Arc<str>> = surveyed
                .iter()
                .filter(|one| one.sinks.iter().any(Seen::is_first_start))
                .map(|one| &one.partition.topic)
                .collect();
            let whole = self.partitions(first.iter().map(|topic| &***topic))?;
            self.pin(stores, &whole)?;
            if whole.iter().any(|partition| !partitions.contains(partition)) {
                tracing::info!(
                    seconds = SETTLE.as_secs(),
                    "first start committed; waiting for the other processes' word"
                );
                pause(SETTLE);
            }
            surveyed = self.survey(stores, partitions)?;
            self.admit(&surveyed)?;
        }
        let mut assignments = Vec::with_capacity(surveyed.len());
        let mut lost: BTreeMap<usize, Vec<Move>> = BTreeMap::new();
        for Surveyed { partition, log, sinks, .. } in surveyed {
            let mut starts = Vec::with_capacity(sinks.len());
            for (index, (sink, seen)) in self.sinks.iter().zip(sinks).enumerate() {
                let Decision { start, why } = seen.decision.map_err(halt_of)?;
                tracing::info!(%partition, %sink, offset = %start.durable, why = why.name(), "start decided");
                if let Why::Accepted { from } = why {
                    tracing::warn!(%partition, %sink, lost = %format!("{from}..{}", start.durable), "loss accepted");
                    lost.entry(index).or_default().push(moved(&partition, Some(from), start.durable));
                }
                starts.push(start);
            }
            assignments.push(Assignment { partition, log, starts });
        }
        self.record(lost)?;
        Ok(assignments)
    }

    /// From now on these topics are read as what they are now.
    fn admit(&self, surveyed: &[Surveyed]) -> Result<(), Failure> {
        let seen = surveyed.iter().filter_map(|one| Some((&*one.partition.topic, one.topic?)));
        seen.collect::<BTreeMap<_, _>>()
            .into_iter()
            .try_for_each(|(name, id)| self.read.admit(name, id).map_err(Failure::Halt))
    }

    /// Commits the first starts of whole topics, for the sinks that have none.
    fn pin(&self, stores: &[S], whole: &[TopicPartition]) -> Result<(), Failure> {
        let surveyed = self.survey(stores, whole)?;
        for (index, store) in stores.iter().enumerate() {
            let mut places = Vec::new();
            for one in &surveyed {
                let Some(seen) = one.sinks.get(index) else { continue };
                if let Err(error @ StartError::Expired { .. }) = &seen.decision {
                    // Not a first start, even if the group forgot some partitions altogether.
                    return Err(halt_of(error.clone()));
                }
                if !seen.is_first_start() {
                    continue;
                }
                let decision = seen.decision.clone().map_err(halt_of)?;
                places.push((&one.partition, decision.start.durable));
            }
            if places.is_empty() {
                continue;
            }
            let looked = Instant::now();
            let taken = store.commits(whole)?;
            if !is_planted(Mutant::FirstStartFromOldLook) {
                places.retain(|(partition, _)| !taken.contains_key(*partition));
                if looked.elapsed() > LOOK_AGE {
                    return Err(Failure::TooLate);
                }
            }
            store.commit_places(&places)?;
        }
        Ok(())
    }

    /// Writes accepted losses into the journal.
    fn record(&self, lost: BTreeMap<usize, Vec<Move>>) -> Result<(), Failure> {
        if lost.is_empty() {
            return Ok(());
        }
        let now_ms = SystemClock.now_ms();
        let entries = lost.into_iter().filter_map(|(index, moves)| {
            let sink = self.sinks.get(index)?;
            Some(Entry {
                at: journal::time(now_ms),
                by: journal::operator(),
                act: Act::AcceptLoss,
                phase: Phase::Done,
                id: format!("{now_ms}.{index}"),
                group: super::sink_group(&self.topology, sink),
                note: None,
                moves,
            })
        });
        let entries: Vec<Entry> = entries.collect();
        Journal::of(&self.topology).append(&entries).map_err(|error| {
            let message = format!("an accepted loss cannot be recorded: {}", crate::error_chain::chain(&error));
            Failure::Halt(Halt::new(HaltKind::Failed, message))
        })
    }

    /// All partitions of these topics that there are now. Blocks.
    ///
    /// # Errors
    /// What the brokers or librdkafka say.
    pub fn partitions<'a>(&self, topics: impl IntoIterator<Item = &'a str>) -> KafkaResult<Vec<TopicPartition>> {
        let mut all = Vec::new();
        for topic in topics {
            let name: Arc<str> = Arc::from(topic);
            let count = self.membership.partition_count(topic)?.unwrap_or(0);
            all.extend((0..count).map(|partition| TopicPartition { topic: Arc::clone(&name), partition }));
        }
        Ok(all)
    }

    /// Looks at these partitions: what is committed, what the log has, and where every sink would start. Blocks.
    ///
    /// # Errors
    /// What the brokers or librdkafka say.
    pub fn survey(&self, stores: &[S], partitions: &[TopicPartition]) -> KafkaResult<Vec<Surveyed>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let common = self.common(stores, partitions)?;
        for store in stores {
            store.remember(&common.topics);
        }
        let mut surveyed = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let (low, high) = self.membership.log_range(partition)?;
            surveyed.push(self.look(partition, LogRange { low, high }, &common));
        }
        Ok(surveyed)
    }

    fn common(&self, stores: &[S], partitions: &[TopicPartition]) -> KafkaResult<Common> {
        let names: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        let names: Vec<&str> = names.into_iter().collect();
        // Whether a partition is new shows in the other partitions of its topic.
        let all = self.partitions(names.iter().copied())?;
        let look = || stores.iter().map(|store| store.commits(&all)).collect::<KafkaResult<Vec<_>>>();
        let mut commits = look()?;
        let known = |partition: &&TopicPartition| commits.iter().all(|commits| commits.contains_key(*partition));
        let is_known = partitions.iter().all(|partition| known(&partition));
        // The membership group is asked only where a sink's own group does not say; then those are asked once more (law 3).
        let mut remembered = BTreeMap::new();
        if !is_known {
            remembered = self.membership.commits(partitions)?;
            commits = look()?;
        }
        let mut others = BTreeMap::new();
        for (name, store) in &self.others {
            others.insert(name.clone(), store.commits(partitions)?);
        }
        for (sink, commits) in self.sinks.iter().zip(&commits) {
            others.insert(sink.to_string(), commits.clone());
        }
        let at_time = self.at_time(partitions)?;
        Ok(Common { commits, remembered, at_time, others, topics: self.membership.topic_ids(&names)? })
    }

    fn look(&self, partition: &TopicPartition, log: LogRange, common: &Common) -> Surveyed {
        let start = self.start(&partition.topic);
        let topic = common.topics.get(&*partition.topic).copied();
        let other = match start {
            Some(Start::Sink(name)) => common.others.get(name).and_then(|commits| commits.get(partition)),
            _ => None,
        };
        // An offset of a topic that had the name before is none.
        let is_here = |commit: &&Commit| topic.is_none_or(|is| commit.of_sink().topic.is_none_or(|was| was == is));
        let other = other.filter(is_here).map(|commit| commit.offset);
        let remembered = common.remembered.get(partition).map(|commit| note::positions(&commit.metadata));
        let remembered = remembered.unwrap_or_default();
        let sinks = self.sinks.iter().zip(&common.commits).map(|(sink, commits)| {
            let committed = commits.get(partition);
            let facts = StartFacts {
                partition,
                sink,
                committed: committed.map(Commit::of_sink),
                has_history: commits.keys().any(|known| known.topic == partition.topic),
                remembered: remembered.get(&**sink).copied(),
                start,
                log,
                topic,
                at_time: common.at_time.get(partition).copied(),
                other,
                accepted: &self.accepted,
            };
            Seen {
                committed: committed.cloned(),
                remembered: facts.remembered,
                has_history: facts.has_history,
                decision: resolve(&facts),
                first_start: super::start::first_start(&facts),
            }
        });
        Surveyed { partition: partition.clone(), log, topic, sinks: sinks.collect() }
    }

    fn start(&self, topic: &str) -> Option<&Start> {
        self.topology.topics.values().find(|known| known.name == topic).and_then(|topic| topic.start.as_ref())
    }

    /// Only topics that start at a time are asked for.
    fn at_time(&self, partitions: &[TopicPartition]) -> KafkaResult<BTreeMap<TopicPartition, Offset>> {
        let mut found = BTreeMap::new();
        for topic in self.topology.topics.values() {
            let Some(Start::Time(time_ms)) = topic.start else { continue };
            let of_topic: Vec<_> =
                partitions.iter().filter(|partition| *partition.topic == *topic.name).cloned().collect();
            if !of_topic.is_empty() {
                let margin_ms = i64::try_from(topic.start_margin.as_millis()).unwrap_or(i64::MAX);
                found.extend(self.membership.at_time(&of_topic, time_ms.saturating_sub(margin_ms))?);
            }
        }
        Ok(found)
    }

    /// What the log no longer holds of a partition that is being read.
    pub(super) fn lost(&self, partition: &TopicPartition, next: Offset) -> Halt {
        let message = match self.membership.log_range(partition) {
            Ok((low, _)) if next < low => format!(
                "{partition}: offsets {next}..{low} were removed by retention before they had been read; restore the sinks \
                 from a backup taken after offset {low}, or go on without them: --accept-loss {}/{}={next}..{low}",
                partition.topic, partition.partition
            ),
            Ok((_, high)) if next > high => format!(
                "{partition}: was read up to offset {next}, but the log ends at {high}: the topic was made anew or truncated; \
                 see `halcyon offsets show`"
            ),
            Ok(_) | Err(_) => format!(
                "{partition}: the log does not hold offset {next}: retention removed it before it was read, or the topic was \
                 made anew; see `halcyon offsets show`"
            ),
        };
        Halt::new(HaltKind::Policy, message)
    }
}

impl Seen {
    fn is_first_start(&self) -> bool {
        match &self.decision {
            Ok(decision) => decision.why.is_first(),
            Err(error) => match error {
                // What hinders a first start hinders it for the whole topic.
                StartError::NoStart { .. } | StartError::OtherUnknown { .. } | StartError::PastEnd { .. } => true,
                StartError::Lost { .. }
                | StartError::Beyond { .. }
                | StartError::Recreated { .. }
                | StartError::Expired { .. } => false,
            },
        }
    }
}

fn moved(partition: &TopicPartition, from: Option<Offset>, to: Offset) -> Move {
    let from = from.map(|offset| offset.0);
    Move { topic: partition.topic.to_string(), partition: partition.partition, from, to: to.0 }
}

fn halt_of(error: StartError) -> Failure {
    let kind = if error.is_policy() { HaltKind::Policy } else { HaltKind::Topology };
    Failure::Halt(Halt::new(kind, error.to_string()))
}
