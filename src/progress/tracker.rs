//! Completions in any order in, the contiguous durable end out.
//!
//! # Invariants
//! 1. Spans are begun in order and without gaps: each starts where the one before ended.
//! 2. `durable` never moves back, and every offset below it was completed or lay below the start.
//!
//! The idea of a bounded window with a contiguous end, instead of a map of single completions, is that of Decaton's
//! `OutOfOrderCommitControl`, with batches in the place of records.

use std::collections::VecDeque;

use super::offset::{Offset, Span};
use crate::mutant::{Mutant, is_planted};

/// What one sink still owes of one partition.
#[derive(Debug)]
pub struct Tracker {
    durable: Offset,
    next: Offset,
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    span: Span,
    /// Parts that are not done yet: the sink's write, and the dead letters of the batch if it has any.
    parts: u8,
}

/// Whether a sink needs a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Some of the span is not durable in this sink yet.
    Wanted,
    /// All of the span was durable before the partition was assigned.
    AlreadyDurable,
}

/// A span that does not start where the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a span starts at {found}, but the next offset is {expected}")]
pub struct GapError {
    /// The offset that had to come next.
    pub expected: Offset,
    /// Where the span starts.
    pub found: Offset,
}

impl Tracker {
    /// A sink in which everything below `durable` is durable, of a partition read from `next` on.
    ///
    /// `next` may lie below `durable`: other sinks of the same partition need the earlier records.
    #[must_use]
    pub fn new(durable: Offset, next: Offset) -> Self {
        Self { durable, next: next.min(durable), open: VecDeque::new() }
    }

    /// The offset below which everything is durable.
    #[must_use]
    pub fn durable(&self) -> Offset {
        if is_planted(Mutant::CommitBeforeAck) { self.next.max(self.durable) } else { self.durable }
    }

    /// Where the next span must start.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Whether every span that was begun is durable.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes note of the next span.
    ///
    /// # Errors
    /// [`GapError`] if the span does not start where the one before it ended; nothing changes then.
    pub fn begin(&mut self, span: Span) -> Result<Begun, GapError> {
        if span.start() != self.next {
            return Err(GapError { expected: self.next, found: span.start() });
        }
        self.next = span.end();
        let is_over_barrier = is_planted(Mutant::BarrierOffByOne) && span.start() < self.durable;
        if span.end() <= self.durable || is_over_barrier {
            return Ok(Begun::AlreadyDurable);
        }
        self.open.push_back(Open { span, parts: 1 });
        Ok(Begun::Wanted)
    }

    /// Adds a part to the span that starts at `start`: it needs one more completion.
    pub fn add_part(&mut self, start: Offset) {
        if let Some(open) = self.find(start) {
            open.parts += 1;
        }
    }

    /// One part of the span that starts at `start` is durable. Returns the new durable end if it moved.
    ///
    /// A span that is not open (any more) is ignored: its completion was counted before.
    pub fn complete(&mut self, start: Offset) -> Option<Offset> {
        let open = self.find(start)?;
        open.parts = open.parts.saturating_sub(1);
        let done_to = if open.parts == 0 { open.span.end() } else { Offset(0) };
        let before = self.durable;
        if is_planted(Mutant::WatermarkOverHole) {
            self.durable = self.durable.max(done_to);
        }
        while self.open.front().is_some_and(|open| open.parts == 0) {
            if let Some(done) = self.open.pop_front() {
                let extra = i64::from(is_planted(Mutant::SpanEndOffByOne));
                self.durable = self.durable.max(Offset(done.span.end().0 + extra));
            }
        }
        (self.durable > before).then_some(self.durable)
    }

    fn find(&mut self, start: Offset) -> Option<&mut Open> {
        let at = self.open.binary_search_by_key(&start, |open| open.span.start()).ok()?;
        self.open.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn span(start: i64, end: i64) -> Span {
        Span::new(Offset(start), Offset(end)).expect("not empty")
    }

    #[test]
    fn a_span_that_leaves_a_gap_is_refused() {
        let mut tracker = Tracker::new(Offset(5), Offset(5));
        assert_eq!(tracker.begin(span(5, 8)), Ok(Begun::Wanted));
        assert_eq!(tracker.begin(span(9, 10)), Err(GapError { expected: Offset(8), found: Offset(9) }));
    }

    #[test]
    fn spans_below_the_start_are_not_wanted() {
        let mut tracker = Tracker::new(Offset(10), Offset(4));
        assert_eq!(tracker.begin(span(4, 10)), Ok(Begun::AlreadyDurable));
        assert_eq!(tracker.begin(span(10, 12)), Ok(Begun::Wanted));
        assert_eq!(tracker.complete(Offset(10)), Some(Offset(12)));
    }

    #[test]
    fn a_span_with_dead_letters_waits_for_both_parts() {
        let mut tracker = Tracker::new(Offset(0), Offset(0));
        tracker.begin(span(0, 3)).expect("no gap");
        tracker.add_part(Offset(0));
        assert_eq!(tracker.complete(Offset(0)), None);
        assert_eq!(tracker.complete(Offset(0)), Some(Offset(3)));
    }

    proptest! {
        /// The naive model keeps a set of single offsets and counts up from the start.
        #[test]
        fn durable_end_equals_that_of_a_set_of_offsets(
            lengths in prop::collection::vec(1_i64..5, 1..40),
            already in 0_i64..60,
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let mut tracker = Tracker::new(Offset(already), Offset(0));
            let mut done: BTreeSet<i64> = (0..already).collect();
            let mut spans = Vec::new();
            let mut next = 0;
            for length in lengths {
                let each = span(next, next + length);
                next += length;
                if tracker.begin(each).expect("no gap") == Begun::Wanted {
                    spans.push(each);
                }
            }
            for index in order {
                if spans.is_empty() {
                    break;
                }
                let each = spans.remove(index.index(spans.len()));
                let before = tracker.durable();
                let moved = tracker.complete(each.start());
                done.extend(each.start().0..each.end().0);
                let expected = (0..).find(|offset| !done.contains(offset)).expect("endless");
                prop_assert_eq!(tracker.durable(), Offset(expected));
                prop_assert_eq!(moved.is_some(), tracker.durable() > before);
            }
            prop_assert_eq!(tracker.is_idle(), spans.is_empty());
        }
    }
}
