//! Who holds which partition, and what is durable of it in every sink.
//!
//! # Invariants
//! 1. What comes in under an epoch counts only while that epoch holds the partition ([`crate::invariant::fenced`]).
//! 2. The group's position of a partition is the minimum over the sinks that the shared read feeds
//!    ([`crate::invariant::group_is_minimum`]); a sink that comes back to it does not move the position back.
//! 3. A commit never passes what is durable and never moves back ([`crate::invariant::no_gap`], [`no_rewind`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::feed::Feed;
use super::offset::{Offset, Span, TopicPartition};
use super::tracker::{Begun, GapError, Tracker};
use crate::invariant::{fenced, group_is_minimum, no_gap, no_rewind, start_is_committed};
use crate::mutant::{Mutant, is_planted};

/// Offsets of a group without members expire seven days after their own last commit
/// (`offsets.retention.minutes`), also while the job runs: unchanged ones are committed again this often.
pub const HEARTBEAT_COMMIT: Duration = Duration::from_hours(6);

/// One tenure of a partition in this process. Never reused; the default is none that ever was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u64);

/// A set of sinks, by their index in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkSet(u64);

/// Sinks a ledger can tell apart.
pub const SINKS_MAX: usize = 64;

impl SinkSet {
    /// Adds a sink.
    pub fn insert(&mut self, sink: usize) {
        self.0 |= 1 << sink;
    }

    /// Whether a sink is in the set.
    #[must_use]
    pub fn contains(self, sink: usize) -> bool {
        self.0 & (1 << sink) != 0
    }

    /// Whether there is no sink in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The sink alone.
    #[must_use]
    pub fn only(sink: usize) -> Self {
        Self(1 << sink)
    }

    /// The set as bits, for an atomic.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The set of these bits.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Where a sink stands when its partition is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkStart {
    /// Everything below is durable in the sink, or was declared not to be wanted by the start that the operator chose.
    pub durable: Offset,
    /// What the sink's group has committed; `None` if it never committed this partition.
    pub committed: Option<Offset>,
}

/// A span that a partition's reader has announced, and who wants it.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The partition.
    pub partition: TopicPartition,
    /// The tenure under which it was read.
    pub epoch: Epoch,
    /// The offsets.
    pub span: Span,
    /// Sinks in which some of it is not durable yet.
    pub wanted: SinkSet,
}

/// Why a span cannot be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The partition is not held under this epoch (any more).
    #[error("the partition was revoked")]
    Revoked,
    /// The reader left something out: a defect of ours.
    #[error("offsets were left out")]
    Gap(#[source] GapError),
}

/// The progress of every partition held by this process.
#[derive(Debug)]
pub struct Ledger {
    sinks: Vec<Arc<str>>,
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    epochs: u64,
    partitions: BTreeMap<TopicPartition, Partition>,
}

#[derive(Debug)]
struct Partition {
    epoch: Epoch,
    /// Where the shared read announces its next span.
    shared_next: Offset,
    end: Option<Offset>,
    group_committed: Option<Offset>,
    sinks: Vec<SinkProgress>,
}

#[derive(Debug)]
struct SinkProgress {
    tracker: Tracker,
    feed: Feed,
    committed: Option<Offset>,
    committed_at: Duration,
    durable_ms: Option<i64>,
}

/// What a commit should say: the membership group first, then every sink's own group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitPlan {
    /// Minimum over the sinks of the shared read, with the positions of all sinks as metadata.
    pub group: Vec<GroupCommit>,
    /// For each sink by index: the partitions whose position moved or is due for a heartbeat.
    pub sinks: Vec<Vec<SinkCommit>>,
}

/// One partition of the membership group's commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The tenure; a commit for another one must not be sent.
    pub epoch: Epoch,
    /// Minimum over the sinks of the shared read.
    pub offset: Offset,
    /// `sink=offset` for all sinks, for tools and for a start without sink groups.
    pub metadata: String,
}

/// One partition of a sink's commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The tenure; a commit for another one must not be sent.
    pub epoch: Epoch,
    /// The sink's durable end.
    pub offset: Offset,
}

impl CommitPlan {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.group.is_empty() && self.sinks.iter().all(Vec::is_empty)
    }
}

/// A partition as seen from outside.
#[derive(Clone, Debug)]
pub struct PartitionView {
    /// The partition.
    pub partition: TopicPartition,
    /// The end of the log when it was last looked at.
    pub end: Option<Offset>,
    /// One entry for each sink, by index.
    pub sinks: Vec<SinkView>,
}

/// Progress of one sink in one partition as seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct SinkView {
    /// Everything below is durable.
    pub durable: Offset,
    /// What the sink's group has committed.
    pub committed: Option<Offset>,
    /// Kafka's timestamp of the last durable record, in milliseconds since 1970.
    pub durable_ms: Option<i64>,
    /// Whether nothing is on its way.
    pub is_idle: bool,
    /// Whether the shared read feeds the sink; else a private reader does, or nobody.
    pub is_shared: bool,
}

impl Ledger {
    /// A ledger for these sinks, at most [`SINKS_MAX`]; their order is their index everywhere.
    #[must_use]
    pub fn new(sinks: Vec<Arc<str>>) -> Self {
        assert!(sinks.len() <= SINKS_MAX, "at most {SINKS_MAX} sinks");
        Self { sinks, state: Mutex::default(), moved: Notify::new() }
    }

    /// The sinks, by index.
    #[must_use]
    pub fn sinks(&self) -> &[Arc<str>] {
        &self.sinks
    }

    /// Takes a partition that is read from `next` on for all sinks; `starts` has one entry for each sink.
    pub fn assign(&self, partition: &TopicPartition, next: Offset, starts: &[SinkStart]) -> Epoch {
        self.assign_shared(partition, (next, SinkSet(u64::MAX)), starts)
    }

    /// Takes a partition that is read from `next` on for the sinks in `shared`; nobody feeds the others yet.
    pub fn assign_shared(
        &self,
        partition: &TopicPartition,
        (next, shared): (Offset, SinkSet),
        starts: &[SinkStart],
    ) -> Epoch {
        debug_assert_eq!(starts.len(), self.sinks.len());
        let mut state = self.lock();
        let epoch = state.new_epoch();
        let progress = |(index, start): (usize, &SinkStart)| {
            let is_shared = shared.contains(index);
            let next = if is_shared { next } else { start.durable };
            SinkProgress {
                tracker: Tracker::new(start.durable, next),
                feed: if is_shared { Feed::shared(epoch) } else { Feed::nobody(epoch) },
                committed: start.committed,
                committed_at: Duration::ZERO,
                durable_ms: None,
            }
        };
        let sinks = starts.iter().enumerate().map(progress).collect();
        let held = Partition { epoch, shared_next: next, end: None, group_committed: None, sinks };
        state.partitions.insert(partition.clone(), held);
        drop(state);
        self.moved.notify_waiters();
        epoch
    }

    /// Gives a partition up. Whatever completes for it later is refused.
    pub fn revoke(&self, partition: &TopicPartition, epoch: Epoch) {
        let mut state = self.lock();
        if state.partitions.get(partition).is_some_and(|held| held.epoch == epoch) {
            state.partitions.remove(partition);
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// Announces the next span of a partition, before it is given to any sink.
    ///
    /// # Errors
    /// [`BeginError::Revoked`] if the epoch is over; [`BeginError::Gap`] if offsets were left out.
    pub fn begin(&self, partition: &TopicPartition, epoch: Epoch, span: Span) -> Result<Ticket, BeginError> {
        let mut state = self.lock();
        let held = state.held(partition, epoch).ok_or(BeginError::Revoked)?;
        if span.start() != held.shared_next {
            return Err(BeginError::Gap(GapError { expected: held.shared_next, found: span.start() }));
        }
        let mut wanted = SinkSet::default();
        for (index, sink) in held.sinks.iter_mut().enumerate().filter(|(_, sink)| sink.feed.takes(epoch)) {
            if sink.tracker.begin(span).map_err(BeginError::Gap)? == Begun::Wanted {
                wanted.insert(index);
            }
        }
        held.shared_next = span.end();
        // What was read proves how far the log reaches at least; Kafka tells the rest every few seconds.
        held.end = held.end.max(Some(span.end()));
        Ok(Ticket { partition: partition.clone(), epoch, span, wanted })
    }

    /// Makes the ticket need one more completion by every sink that wants it.
    pub fn add_part(&self, ticket: &Ticket) {
        if let Some(held) = self.lock().partitions.get_mut(&ticket.partition) {
            for (_, sink) in wanted(&mut held.sinks, ticket.wanted).filter(|(_, sink)| sink.counts(ticket)) {
                sink.tracker.add_part(ticket.span.start());
            }
        }
    }

    /// One sink is done with the ticket, or with one part of it. `last_ms` is the timestamp of its last record.
    ///
    /// Refused in silence if the epoch is over, or no longer feeds the sink: whoever does will do the work again.
    pub fn complete(&self, ticket: &Ticket, sink: usize, last_ms: Option<i64>) {
        let mut state = self.lock();
        let Some(held) = state.partitions.get_mut(&ticket.partition) else { return };
        let Some(progress) = held.sinks.get_mut(sink).filter(|progress| progress.counts(ticket)) else { return };
        if progress.tracker.complete(ticket.span.start()).is_some() {
            progress.durable_ms = last_ms.or(progress.durable_ms);
            drop(state);
            self.moved.notify_waiters();
        }
    }

    /// Whether the start of every sink is committed: only then does the next process find the same.
    #[must_use]
    pub fn is_settled(&self, partition: &TopicPartition, epoch: Epoch) -> bool {
        let mut state = self.lock();
        let Some(held) = state.held(partition, epoch) else { return false };
        let committed: Vec<_> = held.sinks.iter().map(|sink| sink.committed).collect();
        start_is_committed(&committed)
    }

    /// Whether the epoch still holds the partition.
    #[must_use]
    pub fn holds(&self, partition: &TopicPartition, epoch: Epoch) -> bool {
        let state = self.lock();
        fenced(state.partitions.get(partition).map(|held| held.epoch.0), epoch.0)
    }

    /// Whether some sink has everything below this offset. False once the epoch is over.
    #[must_use]
    pub fn has_reached(&self, partition: &TopicPartition, epoch: Epoch, offset: Offset) -> bool {
        let mut state = self.lock();
        let held = state.held(partition, epoch);
        held.is_some_and(|held| held.sinks.iter().any(|sink| sink.tracker.durable() >= offset))
    }

    /// Whether every sink has everything below these offsets; never of a partition that is not held.
    #[must_use]
    pub fn have_reached<'a>(&self, ends: impl IntoIterator<Item = (&'a TopicPartition, &'a Offset)>) -> bool {
        let state = self.lock();
        ends.into_iter().all(|(partition, end)| {
            let held = state.partitions.get(partition);
            held.is_some_and(|held| held.sinks.iter().all(|sink| sink.tracker.durable() >= *end))
        })
    }

    /// Takes note of the end of a partition's log.
    pub fn set_end(&self, partition: &TopicPartition, end: Offset) {
        if let Some(held) = self.lock().partitions.get_mut(partition) {
            held.end = Some(held.end.map_or(end, |before| before.max(end)));
        }
    }

    /// What should be committed now, for all partitions or for `only` these. `now` is monotonic time.
    #[must_use]
    pub fn commit_plan(&self, now: Duration, only: Option<&[TopicPartition]>) -> CommitPlan {
        let state = self.lock();
        let mut plan = CommitPlan { group: Vec::new(), sinks: vec![Vec::new(); self.sinks.len()] };
        for (partition, held) in &state.partitions {
            if only.is_some_and(|only| !only.contains(partition)) {
                continue;
            }
            let durable: Vec<Offset> = held.sinks.iter().map(|sink| sink.tracker.durable()).collect();
            let Some(group) = held.group_position() else { continue };
            // The group is committed whenever a sink is: its answer is the fence.
            let mut due = held.group_committed != Some(group);
            for ((sink, commits), offset) in held.sinks.iter().zip(&mut plan.sinks).zip(&durable) {
                assert!(no_rewind(sink.committed, *offset), "{partition}: a sink's checkpoint would move back");
                let moved = sink.committed != Some(*offset);
                let heartbeat = now.saturating_sub(sink.committed_at) >= HEARTBEAT_COMMIT;
                if moved || heartbeat {
                    due = true;
                    commits.push(SinkCommit { partition: partition.clone(), epoch: held.epoch, offset: *offset });
                }
            }
            if due {
                let metadata = self.metadata(&durable);
                let commit = GroupCommit { partition: partition.clone(), epoch: held.epoch, offset: group, metadata };
                plan.group.push(commit);
            }
        }
        plan
    }

    /// Takes note that the membership group's part of a plan was committed.
    pub fn group_committed(&self, commits: &[GroupCommit]) {
        let mut state = self.lock();
        for commit in commits {
            if let Some(held) = state.held(&commit.partition, commit.epoch) {
                held.group_committed = Some(commit.offset);
            }
        }
    }

    /// Takes note that a sink's part of a plan was committed.
    pub fn sink_committed(&self, sink: usize, commits: &[SinkCommit], now: Duration) {
        let mut state = self.lock();
        for commit in commits {
            let Some(held) = state.held(&commit.partition, commit.epoch) else { continue };
            let Some(progress) = held.sinks.get_mut(sink) else { continue };
            debug_assert!(no_gap(progress.tracker.durable(), commit.offset));
            progress.committed = Some(commit.offset);
            progress.committed_at = now;
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// All partitions held, in order.
    #[must_use]
    pub fn view(&self) -> Vec<PartitionView> {
        let state = self.lock();
        let partitions = state.partitions.iter();
        partitions
            .map(|(partition, held)| PartitionView {
                partition: partition.clone(),
                end: held.end,
                sinks: held.sinks.iter().map(SinkProgress::view).collect(),
            })
            .collect()
    }

    /// Waits until something became durable, was committed, or a partition was given up, after this call began.
    /// Cancel safe. The caller checks its condition between creating the future and awaiting it.
    pub fn moved(&self) -> tokio::sync::futures::Notified<'_> {
        self.moved.notified()
    }

    /// Whether these sinks have nothing on its way for these partitions (or for all).
    #[must_use]
    pub fn is_idle(&self, sinks: SinkSet, only: Option<&[TopicPartition]>) -> bool {
        let state = self.lock();
        let mut partitions = state.partitions.iter();
        partitions.all(|(partition, held)| {
            only.is_some_and(|only| !only.contains(partition))
                || held.sinks.iter().enumerate().all(|(index, sink)| !sinks.contains(index) || sink.tracker.is_idle())
        })
    }

    fn metadata(&self, durable: &[Offset]) -> String {
        let sinks = self.sinks.iter().zip(durable);
        sinks.map(|(sink, offset)| format!("{sink}={offset}")).collect::<Vec<_>>().join(",")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }

    fn held(&mut self, partition: &TopicPartition, epoch: Epoch) -> Option<&mut Partition> {
        self.partitions.get_mut(partition).filter(|held| fenced(Some(held.epoch.0), epoch.0))
    }
}

impl Partition {
    /// The minimum over the sinks of the shared read. A sink that came back to it counts once it is past what the group
    /// has committed: until then its own group alone says where it is. Without any, the group stays where it is.
    fn group_position(&self) -> Option<Offset> {
        let counted =
            |sink: &&SinkProgress| sink.feed.is_shared() && Some(sink.tracker.durable()) >= self.group_committed;
        let durable: Vec<Offset> = self.sinks.iter().filter(counted).map(|sink| sink.tracker.durable()).collect();
        let all = || self.sinks.iter().map(|sink| sink.tracker.durable()).min();
        let least = if is_planted(Mutant::CommitMaximum) { durable.iter().max() } else { durable.iter().min() };
        let group = least.copied().or(self.group_committed).or_else(all)?;
        assert!(group_is_minimum(group, &durable), "the group would be ahead of a sink");
        debug_assert!(no_rewind(self.group_committed, group));
        Some(group)
    }
}

impl SinkProgress {
    fn counts(&self, ticket: &Ticket) -> bool {
        self.feed.counts(ticket.epoch, ticket.span.start()) || is_planted(Mutant::LateAckCounts)
    }

    fn view(&self) -> SinkView {
        SinkView {
            durable: self.tracker.durable(),
            committed: self.committed,
            durable_ms: self.durable_ms,
            is_idle: self.tracker.is_idle(),
            is_shared: self.feed.is_shared(),
        }
    }
}

fn wanted(sinks: &mut [SinkProgress], set: SinkSet) -> impl Iterator<Item = (usize, &mut SinkProgress)> {
    sinks.iter_mut().enumerate().filter(move |(index, _)| set.contains(*index))
}

mod feeding;
pub use self::feeding::{PrivatePlace, PrivateStart, Standing};

#[cfg(test)]
mod tests;
