//! Deliberate defects: the proof that the simulation can fail (`tests/simulation`).
//!
//! Each stands at the place where the real mistake would be made, as one condition. They exist with debug assertions only:
//! in a release build `is_planted` is the constant `false`, and even in a debug build nothing but a test can plant one.

#[cfg(debug_assertions)]
use std::cell::Cell;

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// What was only handed to a sink counts as durable.
    CommitBeforeAck,
    /// An acknowledgement of a tenure that is over counts for the one that holds the partition now.
    LateAckCounts,
    /// An error entry moves the position, as librdkafka's batch call does before 2.13.2.
    ErrorSkipsRecord,
    /// A write that failed is forgotten: nobody will ever say that it is done.
    LostCompletion,
    /// A write that failed for a passing reason counts as done.
    TransientCountsAsDone,
    /// The durable end is one behind the last offset that is durable.
    SpanEndOffByOne,
    /// The durable end jumps over spans that are not done.
    WatermarkOverHole,
    /// A span that reaches over the sink's own start is taken for durable.
    BarrierOffByOne,
    /// The sinks' offsets are committed although the group has refused.
    CommitWithoutFence,
    /// The sinks' offsets are committed long after the group has agreed.
    CommitAfterFence,
    /// A revoked partition is committed on.
    RevokedIsKept,
    /// A sink that was ahead starts where the slowest one was.
    RewindOnAssign,
    /// The batches of one partition go to several workers.
    WorkerByTurn,
    /// Two batches of one partition are written at once.
    TwoInFlight,
    /// A span is durable before its bad records are in the dead-letter store.
    DeadLettersNotAwaited,
    /// The group commits the maximum over the sinks.
    CommitMaximum,
    /// Records are read before the chosen start is committed.
    ReadBeforeStartIsCommitted,
    /// A first start is committed although somebody may have committed one since it was looked.
    FirstStartFromOldLook,
    /// Nothing is done about a partition that stands still.
    WatchdogSleeps,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::CommitBeforeAck,
        Self::LateAckCounts,
        Self::ErrorSkipsRecord,
        Self::LostCompletion,
        Self::TransientCountsAsDone,
        Self::SpanEndOffByOne,
        Self::WatermarkOverHole,
        Self::BarrierOffByOne,
        Self::CommitWithoutFence,
        Self::CommitAfterFence,
        Self::RevokedIsKept,
        Self::RewindOnAssign,
        Self::WorkerByTurn,
        Self::TwoInFlight,
        Self::DeadLettersNotAwaited,
        Self::CommitMaximum,
        Self::ReadBeforeStartIsCommitted,
        Self::FirstStartFromOldLook,
        Self::WatchdogSleeps,
    ];
}

#[cfg(debug_assertions)]
thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this thread is to make this mistake.
#[cfg(debug_assertions)]
pub(crate) fn is_planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// No release build makes one.
#[cfg(not(debug_assertions))]
pub(crate) const fn is_planted(_: Mutant) -> bool {
    false
}

/// Makes this thread, and no other, make one mistake, or none again.
#[cfg(debug_assertions)]
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}
