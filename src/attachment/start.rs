//! Which sinks of a partition begin on the shared read when it is assigned.

use crate::progress::ledger::{SinkSet, SinkStart};
use crate::progress::offset::Offset;

/// Bytes that one record is taken to need in a window, where only offsets are known.
const RECORD_BYTES: u64 = 512;

/// Where the shared read of a partition begins, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedStart {
    /// The first offset that it reads.
    pub next: Offset,
    /// The sinks that it feeds.
    pub sinks: SinkSet,
}

/// Decides it: every sink in `eligible`, but for those that are more than their window behind the foremost of these.
///
/// Such a sink would make the others wait until it is where they are; it has a private reader for that. If no sink takes
/// part, the shared read stands where the foremost is, and waits there for the first to arrive.
#[must_use]
pub fn shared_start(
    starts: &[SinkStart],
    eligible: SinkSet,
    window_bytes: impl Fn(usize) -> u64,
) -> Option<SharedStart> {
    let durable = |wanted: &dyn Fn(usize) -> bool| -> Vec<Offset> {
        let chosen = starts.iter().enumerate().filter(|(index, _)| wanted(*index));
        chosen.map(|(_, start)| start.durable).collect()
    };
    let Some(foremost) = durable(&|index| eligible.contains(index)).into_iter().max() else {
        let next = durable(&|_| true).into_iter().max()?;
        return Some(SharedStart { next, sinks: SinkSet::default() });
    };
    let mut sinks = SinkSet::default();
    for (index, start) in starts.iter().enumerate().filter(|(index, _)| eligible.contains(*index)) {
        let behind = u64::try_from(foremost.0 - start.durable.0).unwrap_or(0);
        if behind <= window_bytes(index) / RECORD_BYTES {
            sinks.insert(index);
        }
    }
    let next = durable(&|index| sinks.contains(index)).into_iter().min()?;
    Some(SharedStart { next, sinks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(durable: &[i64]) -> Vec<SinkStart> {
        durable.iter().map(|at| SinkStart { durable: Offset(*at), committed: Some(Offset(*at)) }).collect()
    }

    fn set(sinks: &[usize]) -> SinkSet {
        let mut set = SinkSet::default();
        sinks.iter().for_each(|sink| set.insert(*sink));
        set
    }

    fn decide(durable: &[i64], eligible: &[usize]) -> (i64, SinkSet) {
        let start = shared_start(&starts(durable), set(eligible), |_| 100 * RECORD_BYTES).expect("a start");
        (start.next.0, start.sinks)
    }

    #[test]
    fn sinks_within_a_window_of_each_other_begin_together() {
        assert_eq!(decide(&[1000, 900, 950], &[0, 1, 2]), (900, set(&[0, 1, 2])));
    }

    #[test]
    fn a_sink_far_behind_does_not_take_the_others_back() {
        assert_eq!(decide(&[1000, 899], &[0, 1]), (1000, set(&[0])));
        assert_eq!(decide(&[0, 5000, 4990], &[0, 1, 2]), (4990, set(&[1, 2])));
    }

    #[test]
    fn a_sink_that_the_operator_holds_decides_nothing() {
        assert_eq!(decide(&[9000, 0], &[1]), (0, set(&[1])));
        assert_eq!(decide(&[10, 20], &[]), (20, set(&[])));
        assert_eq!(shared_start(&[], SinkSet::default(), |_| 0), None);
    }
}
