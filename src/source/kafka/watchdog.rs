//! When a partition that should move does not, and what is done about it: the decision alone, without a clock.
//!
//! Clients of Kafka have stood still after a rebalance until somebody restarted them (librdkafka#2955,
//! parallel-consumer#857). A partition that is assigned, has records to read and room for them, and still does not move
//! for a while is taken anew at its next offset; if that does not help, the client is.
//!
//! # Laws
//! 1. Nothing is done about a partition that is waiting for us (room, its worker, its first commit), or that has nothing
//!    to read, or of which nothing can be known because its broker is away.
//! 2. A remedy loses nothing: reading goes on at the offset behind what was read.

use std::time::Duration;

use crate::mutant::{Mutant, is_planted};
use crate::progress::offset::Offset;

/// How long a partition may stand still: longer than any rebalance, fetch or election of a healthy cluster takes.
pub(super) const STALL: Duration = Duration::from_mins(1);

/// A partition as it is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The next offset to read.
    pub(super) next: Offset,
    /// Up to where it can be read, if that is known.
    pub(super) end: Option<Offset>,
    /// Whether whatever its queue gave would be taken.
    pub(super) is_welcome: bool,
}

/// What to do about a partition that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Give the partition up and take it again.
    Partition,
    /// Put a new client in the place of the one that has the partition.
    Client,
}

/// Watches one partition.
#[derive(Clone, Debug)]
pub(super) struct Watchdog {
    stall: Duration,
    next: Offset,
    /// Monotonic time since when it stands still through no fault of ours.
    since: Duration,
    is_second_try: bool,
}

impl Watchdog {
    /// Of a partition that was assigned `now` and is read from `next` on.
    pub(super) fn new(stall: Duration, next: Offset, now: Duration) -> Self {
        Self { stall, next, since: now, is_second_try: false }
    }

    /// What to do about the partition as it is `now`.
    pub(super) fn look(&mut self, now: Duration, look: &Look) -> Option<Remedy> {
        if look.next != self.next {
            (self.next, self.is_second_try) = (look.next, false);
            self.since = now;
            return None;
        }
        let is_due = look.is_welcome && look.end.is_some_and(|end| end > look.next);
        if !is_due || is_planted(Mutant::WatchdogSleeps) {
            self.since = now;
            return None;
        }
        if now.saturating_sub(self.since) < self.stall {
            return None;
        }
        self.since = now;
        let remedy = if self.is_second_try { Remedy::Client } else { Remedy::Partition };
        self.is_second_try = true;
        Some(remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALLED: Look = Look { next: Offset(5), end: Some(Offset(9)), is_welcome: true };

    fn watchdog() -> Watchdog {
        Watchdog::new(Duration::from_secs(60), Offset(5), Duration::ZERO)
    }

    fn at(watchdog: &mut Watchdog, seconds: u64, look: Look) -> Option<Remedy> {
        watchdog.look(Duration::from_secs(seconds), &look)
    }

    #[test]
    fn a_partition_that_stands_still_is_taken_anew_and_then_its_client() {
        let mut watchdog = watchdog();
        assert_eq!(at(&mut watchdog, 59, STALLED), None);
        assert_eq!(at(&mut watchdog, 60, STALLED), Some(Remedy::Partition));
        assert_eq!(at(&mut watchdog, 119, STALLED), None);
        assert_eq!(at(&mut watchdog, 120, STALLED), Some(Remedy::Client));
    }

    #[test]
    fn one_record_is_enough_to_begin_anew() {
        let mut watchdog = watchdog();
        assert_eq!(at(&mut watchdog, 60, STALLED), Some(Remedy::Partition));
        let moved = Look { next: Offset(6), ..STALLED };
        assert_eq!(at(&mut watchdog, 90, moved), None);
        assert_eq!(at(&mut watchdog, 149, moved), None);
        assert_eq!(at(&mut watchdog, 150, moved), Some(Remedy::Partition));
    }

    #[test]
    fn a_partition_that_waits_for_us_or_has_nothing_to_read_is_left_alone() {
        let idle = Look { end: Some(Offset(5)), ..STALLED };
        let unknown = Look { end: None, ..STALLED };
        let full = Look { is_welcome: false, ..STALLED };
        for look in [idle, unknown, full] {
            let mut watchdog = watchdog();
            assert_eq!(at(&mut watchdog, 1000, look), None, "{look:?}");
            assert_eq!(at(&mut watchdog, 1059, STALLED), None, "counted from then on: {look:?}");
            assert_eq!(at(&mut watchdog, 1060, STALLED), Some(Remedy::Partition), "{look:?}");
        }
    }
}
