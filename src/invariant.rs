//! The laws as named predicates: the same ones are asserted in production, in simulation and in tests.

use crate::progress::offset::Offset;

/// A checkpoint never moves back by itself.
#[must_use]
pub fn no_rewind(committed: Option<Offset>, next: Offset) -> bool {
    committed.is_none_or(|committed| committed <= next)
}

/// A commit never passes what is durable.
#[must_use]
pub fn no_gap(durable: Offset, commit: Offset) -> bool {
    commit <= durable
}

/// What came in under an epoch may be counted only while that epoch holds the partition.
#[must_use]
pub fn fenced(current: Option<u64>, claimed: u64) -> bool {
    current == Some(claimed)
}

/// The group's offset is never ahead of any sink.
#[must_use]
pub fn group_is_minimum(group: Offset, sinks: &[Offset]) -> bool {
    sinks.iter().all(|sink| group <= *sink)
}

/// Records are read only once the start of every sink is committed: after a crash it must be found, not decided anew.
#[must_use]
pub fn start_is_committed(committed: &[Option<Offset>]) -> bool {
    committed.iter().all(Option::is_some)
}

/// What one writer makes durable of one key comes in the order of the log.
#[must_use]
pub fn in_order(last: Option<Offset>, next: Offset) -> bool {
    last.is_none_or(|last| last <= next)
}
