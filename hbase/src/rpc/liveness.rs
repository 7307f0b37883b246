//! When a connection is taken for dead, and when it is no longer needed. Pure.
//!
//! # Laws
//! 1. A server that owes an answer and has sent nothing for [`Limits::silence`] is dead. The time runs from the first
//!    request behind the last byte heard; sending more does not extend it (asynchbase #195: a half-open socket under
//!    constant writes was never noticed).
//! 2. A call that ran out of time is still owed. Servers drop calls that waited too long without a word
//!    (`CallRunner`), so one lost call on a connection that says nothing else ends it: that costs one connect.
//! 3. A connection without calls that nobody has used for [`Limits::idle`] is closed.

use std::time::Duration;

/// Times after which something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// For an owed answer without any byte.
    pub(crate) silence: Duration,
    /// For a connection without calls.
    pub(crate) idle: Duration,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The peer is gone.
    Dead,
    /// Nobody needs it.
    Idle,
    /// Nothing; before this time nothing can change.
    LookAgain {
        /// Time since the connection was made.
        at: Duration,
    },
}

/// When bytes went and came. Times are since the connection was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Liveness {
    owed_since: Option<Duration>,
    last: Duration,
}

impl Liveness {
    /// A request is sent.
    pub(crate) fn sent(&mut self, now: Duration) {
        self.owed_since.get_or_insert(now);
        self.last = now;
    }

    /// Bytes have come. `are_calls_open` says whether the server still owes an answer.
    pub(crate) fn heard(&mut self, now: Duration, are_calls_open: bool) {
        self.owed_since = are_calls_open.then_some(now);
        self.last = now;
    }

    /// Since when the server owes an answer without having said anything.
    pub(crate) fn owed_since(&self) -> Option<Duration> {
        self.owed_since
    }

    /// What to do now. `is_wanted` says whether calls are open or somebody holds the connection.
    pub(crate) fn judge(&self, now: Duration, limits: Limits, is_wanted: bool) -> Verdict {
        // A request that is sent from now on is owed from then on, so this is soon enough for it.
        let soonest = now + limits.silence;
        match self.owed_since {
            Some(since) if since + limits.silence <= now => Verdict::Dead,
            Some(since) => Verdict::LookAgain { at: since + limits.silence },
            None if is_wanted => Verdict::LookAgain { at: soonest },
            None if self.last + limits.idle <= now => Verdict::Idle,
            None => Verdict::LookAgain { at: soonest.min(self.last + limits.idle) },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { silence: Duration::from_secs(30), idle: Duration::from_secs(120) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn constant_sends_do_not_keep_a_silent_peer_alive() {
        let mut liveness = Liveness::default();
        for second in 5..35 {
            liveness.sent(at(second));
            assert_eq!(liveness.judge(at(second), LIMITS, true), Verdict::LookAgain { at: at(35) });
        }
        assert_eq!(liveness.judge(at(35), LIMITS, true), Verdict::Dead);
    }

    #[test]
    fn any_byte_begins_the_time_anew_and_the_last_answer_ends_it() {
        let mut liveness = Liveness::default();
        liveness.sent(at(0));
        liveness.heard(at(29), true);
        assert_eq!(liveness.judge(at(30), LIMITS, true), Verdict::LookAgain { at: at(59) });
        liveness.heard(at(40), false);
        assert_eq!(liveness.judge(at(1000), LIMITS, true), Verdict::LookAgain { at: at(1030) });
    }

    #[test]
    fn only_a_connection_that_nobody_wants_is_idle() {
        let mut liveness = Liveness::default();
        liveness.sent(at(0));
        liveness.heard(at(1), false);
        assert_eq!(liveness.judge(at(121), LIMITS, true), Verdict::LookAgain { at: at(151) });
        assert_eq!(liveness.judge(at(120), LIMITS, false), Verdict::LookAgain { at: at(121) });
        assert_eq!(liveness.judge(at(121), LIMITS, false), Verdict::Idle);
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Send,
        Hear { last: bool },
        Judge,
    }

    proptest! {
        /// The naive model keeps the whole history: dead is a send behind the last byte (or a byte that left calls
        /// open) that is older than the limit.
        #[test]
        fn dead_is_what_the_history_says(events in prop::collection::vec(
            (0_u64..20, prop_oneof![
                3 => Just(Event::Send),
                1 => any::<bool>().prop_map(|last| Event::Hear { last }),
                2 => Just(Event::Judge),
            ]), 1..60))
        {
            let mut liveness = Liveness::default();
            let mut now = 0;
            let mut owed: Vec<u64> = Vec::new();
            for (step, event) in events {
                now += step;
                match event {
                    Event::Send => { liveness.sent(at(now)); owed.push(now); }
                    Event::Hear { last } => {
                        liveness.heard(at(now), !last);
                        owed.clear();
                        if !last { owed.push(now); }
                    }
                    Event::Judge => {
                        let expected = owed.iter().min().is_some_and(|since| now - since >= 30);
                        prop_assert_eq!(liveness.judge(at(now), LIMITS, true) == Verdict::Dead, expected);
                    }
                }
            }
        }

        /// Whoever looks only when told to sees a death at the very moment.
        #[test]
        fn looking_when_told_is_soon_enough(sends in prop::collection::vec(0_u64..100, 1..20)) {
            let mut sends = sends;
            sends.sort_unstable();
            let mut liveness = Liveness::default();
            let mut look = match liveness.judge(at(0), LIMITS, true) {
                Verdict::LookAgain { at } => at,
                other => panic!("{other:?}"),
            };
            let mut died = None;
            for second in 0..300 {
                sends.iter().filter(|send| **send == second).for_each(|_| liveness.sent(at(second)));
                if at(second) == look {
                    match liveness.judge(at(second), LIMITS, true) {
                        Verdict::Dead => { died = Some(second); break; }
                        Verdict::LookAgain { at } => look = at,
                        Verdict::Idle => panic!("wanted"),
                    }
                }
            }
            prop_assert_eq!(died, Some(sends[0] + 30));
        }
    }
}
