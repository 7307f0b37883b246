//! How many bad events are too many. Pure.

use crate::topology::ErrorBudget;

/// Counts events and says when the run must stop.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    rule: ErrorBudget,
    events: u64,
    bad: u64,
}

/// Whether the budget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Within,
    /// It does not.
    Exceeded {
        /// Bad events since the start.
        bad: u64,
        /// All events since the start.
        events: u64,
    },
}

impl Budget {
    /// A fresh budget.
    #[must_use]
    pub fn new(rule: ErrorBudget) -> Self {
        Self { rule, events: 0, bad: 0 }
    }

    /// Counts a batch. A batch without bad events never exceeds the budget.
    pub fn charge(&mut self, events: u64, bad: u64) -> Verdict {
        self.events += events;
        self.bad += bad;
        let is_over = self.bad >= self.rule.minimum.max(1) && self.bad as f64 > self.rule.share * self.events as f64;
        if bad > 0 && is_over {
            return Verdict::Exceeded { bad: self.bad, events: self.events };
        }
        Verdict::Within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_stops_only_above_both_the_minimum_and_the_share() {
        let mut budget = Budget::new(ErrorBudget { minimum: 10, share: 0.01 });
        assert_eq!(budget.charge(20, 9), Verdict::Within, "below the minimum");
        assert_eq!(budget.charge(1000, 1), Verdict::Within, "10 of 1020 are below the share");
        assert_eq!(budget.charge(10, 1), Verdict::Exceeded { bad: 11, events: 1030 });
        assert_eq!(budget.charge(1, 0), Verdict::Within, "nothing bad came");
    }

    #[test]
    fn a_budget_of_nothing_stops_at_the_first_bad_event() {
        let mut budget = Budget::new(ErrorBudget { minimum: 0, share: 0.0 });
        assert_eq!(budget.charge(1000, 0), Verdict::Within);
        assert_eq!(budget.charge(1, 1), Verdict::Exceeded { bad: 1, events: 1001 });
    }
}
