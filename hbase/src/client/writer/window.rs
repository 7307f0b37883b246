//! How many Multis one server gets at once: additive increase, multiplicative decrease. Pure.
//!
//! The measure is latency per MiB (with a fixed share for the call itself, so small calls do not look slow), compared
//! with the best that this server has shown: queueing at the server shows as latency before it shows as refusals.
//!
//! # Laws
//! 1. The window stays between one call and its maximum.
//! 2. It grows only while it is what limits: by one call for a window's worth of good answers.
//! 3. Calls that were sent before the last cut say nothing about the smaller window: they never cut it again.

use std::time::Duration;

/// Calls at once before anything is known of a server: enough to keep several handlers busy, few enough for a small one.
const START: f64 = 4.0;
/// Bytes that stand for the fixed cost of a call.
const CALL_BYTES: f64 = 256.0 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
/// An answer this much slower than the best one is queueing, not work.
const SLOW: f64 = 4.0;
/// Differences below this are noise of timers and networks.
const NOISE: Duration = Duration::from_millis(10);
/// What is left after slow answers.
const SLOW_CUT: f64 = 0.8;
/// What is left after a refusal for overload or a call without an answer.
const OVERLOAD_CUT: f64 = 0.5;
/// The best cost is forgotten slowly, so a server that has become slower for good is not starved for ever.
const FORGET: f64 = 1.002;

/// The window of one server. Times are since the writer began.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    size: f64,
    size_max: f64,
    /// Seconds per MiB at the best, slowly forgotten.
    best: Option<f64>,
    cut_at: Option<Duration>,
}

impl Window {
    /// A window of at most `calls_max` calls.
    pub(super) fn new(calls_max: usize) -> Self {
        let size_max = calls_max.max(1) as f64;
        Self { size: START.min(size_max), size_max, best: None, cut_at: None }
    }

    /// Calls that may be in flight at once.
    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    /// A call of `bytes` was answered. `was_full` says that the window had no room beside it.
    pub(super) fn answered(&mut self, sent_at: Duration, now: Duration, (bytes, was_full): (usize, bool)) {
        let latency = now.saturating_sub(sent_at);
        let mib = (bytes as f64 + CALL_BYTES) / MIB;
        let cost = latency.as_secs_f64() / mib;
        let best = self.best.map_or(cost, |best| (best * FORGET).min(cost));
        self.best = Some(best);
        let is_slow = cost > best * SLOW && latency.as_secs_f64() > best * mib + NOISE.as_secs_f64();
        if is_slow {
            self.cut(sent_at, now, SLOW_CUT);
        } else if was_full {
            self.size = (self.size + 1.0 / self.size).min(self.size_max);
        }
    }

    /// The server refused a call for overload, or never answered it.
    pub(super) fn overloaded(&mut self, sent_at: Duration, now: Duration) {
        self.cut(sent_at, now, OVERLOAD_CUT);
    }

    fn cut(&mut self, sent_at: Duration, now: Duration, left: f64) {
        if self.cut_at.is_some_and(|at| sent_at < at) {
            return;
        }
        self.cut_at = Some(now);
        self.size = (self.size * left).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_full_window_grows_by_one_for_a_window_of_good_answers() {
        let mut window = Window::new(16);
        for _ in 0..5 {
            window.answered(ms(0), ms(5), (1 << 20, true));
        }
        assert_eq!(window.size(), 5);
        for _ in 0..1000 {
            window.answered(ms(0), ms(5), (1 << 20, true));
        }
        assert_eq!(window.size(), 16, "and not above its maximum");
    }

    #[test]
    fn a_window_that_does_not_limit_stays_as_it_is() {
        let mut window = Window::new(16);
        (0..1000).for_each(|_| window.answered(ms(0), ms(5), (1 << 20, false)));
        assert_eq!(window.size(), 4);
    }

    #[test]
    fn overload_halves_once_for_all_calls_that_were_in_flight() {
        let mut window = Window::new(16);
        for _ in 0..4 {
            window.overloaded(ms(10), ms(20));
        }
        assert_eq!(window.size(), 2);
        window.overloaded(ms(21), ms(30));
        assert_eq!(window.size(), 1);
        window.overloaded(ms(31), ms(40));
        assert_eq!(window.size(), 1, "one call always goes");
    }

    #[test]
    fn answers_much_slower_than_the_best_shrink_it_and_small_calls_are_not_slow() {
        let mut window = Window::new(16);
        window.answered(ms(0), ms(10), (2 << 20, true));
        window.answered(ms(20), ms(25), (10, true));
        assert_eq!(window.size(), 4);
        window.answered(ms(30), ms(130), (2 << 20, true));
        assert_eq!(window.size(), 3);
    }

    #[test]
    fn a_server_that_has_become_slower_for_good_is_used_again() {
        let mut window = Window::new(16);
        window.answered(ms(0), ms(1), (1 << 20, true));
        let mut now = 10;
        for _ in 0..5000 {
            window.answered(ms(now), ms(now + 40), (1 << 20, true));
            now += 50;
        }
        assert_eq!(window.size(), 16);
    }

    proptest! {
        /// The model: the same rules in plain words, on whole windows.
        #[test]
        fn stays_within_its_bounds_and_is_cut_at_most_once_a_round_trip(
            events in prop::collection::vec((any::<bool>(), 0_u64..500, 0_u64..500, 0_usize..4 << 20), 1..200),
            calls_max in 1_usize..40,
        ) {
            let mut window = Window::new(calls_max);
            let mut now = 0;
            let mut last_cut = None;
            for (is_overload, gap, latency, bytes) in events {
                now += gap;
                let sent = now.saturating_sub(latency);
                let before = window.size;
                if is_overload {
                    window.overloaded(ms(sent), ms(now));
                } else {
                    window.answered(ms(sent), ms(now), (bytes, true));
                }
                if window.size < before {
                    prop_assert!(last_cut.is_none_or(|cut| sent >= cut), "a call from before a cut cuts again");
                    last_cut = Some(now);
                }
                prop_assert!((1..=calls_max).contains(&window.size()));
            }
        }
    }
}
