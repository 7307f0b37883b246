//! The ledger's part in detaching a sink and taking it back: who feeds it, and the barrier at which that changes.
//!
//! ```text
//! shared ──cut──▶ nobody ──take_private──▶ private ──join at X──▶ shared
//! ```
//!
//! `X` is where the shared read announces its next span. The private reader never passes it while it wants to join: it cuts
//! its last span there, and in the same step under the ledger's lock the shared read takes over. So there is no offset
//! between the two that nobody announces, and none that both do.

use super::{BeginError, Epoch, Ledger, SinkSet, Ticket};
use crate::mutant::{Mutant, is_planted};
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::progress::tracker::{Begun, Tracker};

/// Where a private reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateStart {
    /// The partition.
    pub partition: TopicPartition,
    /// The epoch of this feed alone.
    pub epoch: Epoch,
    /// The sink's durable end.
    pub next: Offset,
}

/// What a private reader must know before it announces a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivatePlace {
    /// Where its next span starts.
    pub next: Offset,
    /// Where the shared read announces its next span.
    pub shared_next: Offset,
    /// Whether all it announced is durable.
    pub is_idle: bool,
}

/// One sink over all partitions of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Partitions held.
    pub partitions: usize,
    /// Those in which the shared read feeds the sink.
    pub shared: usize,
    /// Whether nothing is on its way.
    pub is_idle: bool,
    /// Records up to the ends of the logs, as far as they are known.
    pub lag: u64,
}

impl Ledger {
    /// Whether a ticket is (still) for this sink: it was announced to it, and what is done under it counts.
    #[must_use]
    pub fn wants(&self, ticket: &Ticket, sink: usize) -> bool {
        let state = self.lock();
        let held = state.partitions.get(&ticket.partition);
        let progress = held.and_then(|held| held.sinks.get(sink));
        let is_fed = progress.is_some_and(|progress| progress.counts(ticket)) || is_planted(Mutant::LateAckCounts);
        ticket.wanted.contains(sink) && is_fed
    }

    /// Whether the shared read of a partition feeds any sink. Else reading it is of no use to anybody.
    #[must_use]
    pub fn is_read(&self, partition: &TopicPartition) -> bool {
        let state = self.lock();
        let held = state.partitions.get(partition);
        held.is_some_and(|held| held.sinks.iter().any(|sink| sink.feed.takes(held.epoch)))
    }

    /// Nobody feeds the sink any more. What is on its way to it no longer counts; its durable ends stay.
    pub fn cut(&self, sink: usize) {
        let mut state = self.lock();
        for held in state.partitions.values_mut() {
            let Some(progress) = held.sinks.get_mut(sink) else { continue };
            let durable = progress.tracker.durable();
            progress.feed.cut();
            progress.tracker = Tracker::new(durable, durable);
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// Nothing more is announced to the sink; what is on its way still counts.
    pub fn close(&self, sink: usize) {
        let mut state = self.lock();
        for held in state.partitions.values_mut() {
            if let Some(progress) = held.sinks.get_mut(sink) {
                progress.feed.close();
            }
        }
    }

    /// Gives a private reader every partition in which the shared read does not feed the sink, but for those that it has
    /// (`has`) under their current epoch. What an earlier reader announced no longer counts.
    pub fn take_private(&self, sink: usize, has: impl Fn(&TopicPartition, Epoch) -> bool) -> Vec<PrivateStart> {
        let mut state = self.lock();
        let mut starts = Vec::new();
        let mut epochs = state.epochs;
        for (partition, held) in &mut state.partitions {
            let Some(progress) = held.sinks.get_mut(sink) else { continue };
            if progress.feed.is_shared() || progress.feed.private().is_some_and(|epoch| has(partition, epoch)) {
                continue;
            }
            epochs += 1;
            let (epoch, durable) = (Epoch(epochs), progress.tracker.durable());
            progress.feed.give(epoch, durable);
            progress.tracker = Tracker::new(durable, durable);
            starts.push(PrivateStart { partition: partition.clone(), epoch, next: durable });
        }
        state.epochs = epochs;
        starts
    }

    /// Where a private reader and the shared read of its partition are; `None` once the reader's feed is over.
    #[must_use]
    pub fn private_place(&self, sink: usize, partition: &TopicPartition, epoch: Epoch) -> Option<PrivatePlace> {
        let state = self.lock();
        let held = state.partitions.get(partition)?;
        let progress = held.sinks.get(sink).filter(|progress| progress.feed.takes(epoch))?;
        let (next, is_idle) = (progress.tracker.next(), progress.tracker.is_idle());
        Some(PrivatePlace { next, shared_next: held.shared_next, is_idle })
    }

    /// Announces the next span of a private reader. If it ends exactly where the shared read is and `join` is asked for,
    /// the shared read feeds the sink from there on; the second value says so.
    ///
    /// # Errors
    /// [`BeginError::Revoked`] if this feed is over; [`BeginError::Gap`] if offsets were left out.
    pub fn begin_private(
        &self,
        sink: usize,
        (partition, epoch): (&TopicPartition, Epoch),
        span: Span,
        join: bool,
    ) -> Result<(Ticket, bool), BeginError> {
        let mut state = self.lock();
        let held = state.partitions.get_mut(partition).ok_or(BeginError::Revoked)?;
        let progress = held.sinks.get_mut(sink).filter(|progress| progress.feed.takes(epoch));
        let progress = progress.ok_or(BeginError::Revoked)?;
        let begun = progress.tracker.begin(span).map_err(BeginError::Gap)?;
        held.end = held.end.max(Some(span.end()));
        let joined = join && span.end() == held.shared_next;
        if joined {
            progress.feed.hand_over(held.shared_next);
        }
        let wanted = if begun == Begun::Wanted { SinkSet::only(sink) } else { SinkSet::default() };
        Ok((Ticket { partition: partition.clone(), epoch, span, wanted }, joined))
    }

    /// Hands a sink over to the shared read without a further span: its private reader is where the shared read is, or
    /// ahead of it with nothing on its way. Returns whether it did.
    pub fn join(&self, sink: usize, partition: &TopicPartition, epoch: Epoch) -> bool {
        let mut state = self.lock();
        let Some(held) = state.partitions.get_mut(partition) else { return false };
        let at = held.shared_next;
        let progress = held.sinks.get_mut(sink).filter(|progress| progress.feed.takes(epoch));
        let Some(progress) = progress else { return false };
        let next = progress.tracker.next();
        if next == at {
            progress.feed.hand_over(at);
        } else if next > at && progress.tracker.is_idle() {
            progress.tracker = Tracker::new(progress.tracker.durable(), at);
            progress.feed.fall_back(at);
        } else {
            return false;
        }
        true
    }

    /// One sink over all partitions.
    #[must_use]
    pub fn standing(&self, sink: usize) -> Standing {
        let state = self.lock();
        let mut standing = Standing { is_idle: true, ..Standing::default() };
        for held in state.partitions.values() {
            let Some(progress) = held.sinks.get(sink) else { continue };
            standing.partitions += 1;
            standing.shared += usize::from(progress.feed.is_shared());
            standing.is_idle &= progress.tracker.is_idle();
            let behind = held.end.map_or(0, |end| end.0 - progress.tracker.durable().0);
            standing.lag += u64::try_from(behind).unwrap_or(0);
        }
        standing
    }
}

#[cfg(test)]
mod tests;
