//! From where to where, and what that means. Pure.
//!
//! # Laws
//! 1. A place outside of the log is refused: nothing is moved unless everything can be.
//! 2. What is skipped is told as clearly as what is read again: no sink will ever have it.

use std::collections::BTreeMap;

use crate::progress::note;
use crate::progress::offset::{Offset, TopicPartition};
use crate::source::kafka::place::Place;
use crate::source::kafka::start::{LogRange, StartError, Why};

/// What is known of one sink in one partition.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The sink.
    pub sink: &'a str,
    /// The partition.
    pub partition: &'a TopicPartition,
    /// Its log.
    pub log: LogRange,
    /// What the sink's group has committed.
    pub committed: Option<Offset>,
    /// Where the membership group remembers the sink.
    pub remembered: Option<Offset>,
    /// Where the topology's `start` leads.
    pub start: &'a Result<(Offset, Why), StartError>,
    /// For a time: the first offset at or after it.
    pub at_time: Option<Offset>,
    /// For another sink: its committed offset.
    pub other: Option<Offset>,
}

/// One move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The sink.
    pub sink: String,
    /// The partition.
    pub partition: TopicPartition,
    /// What is committed now.
    pub from: Option<Offset>,
    /// What will be.
    pub to: Offset,
    /// Records up to the end then, at most.
    pub lag: i64,
    /// Offsets that the sink has and will get again.
    pub read_again: i64,
    /// Offsets that the sink does not have and will not get.
    pub skipped: i64,
}

impl Step {
    fn new(facts: &Facts<'_>, to: Offset) -> Self {
        // A sink without a commit has nothing: what lies below its place is skipped.
        let from = facts.committed.unwrap_or(facts.log.low).max(facts.log.low);
        Self {
            sink: facts.sink.to_owned(),
            partition: facts.partition.clone(),
            from: facts.committed,
            to,
            lag: facts.log.high.0 - to.0,
            read_again: (from.0.min(facts.log.high.0) - to.0).max(0),
            skipped: (to.0 - from.0).max(0),
        }
    }
}

/// Why a place is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not within the log.
    #[error("sink {sink}, {partition}: offset {to} is not in the log, which holds {}..{}", log.low, log.high)]
    OutOfRange {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
        /// Where it should be.
        to: Offset,
        /// What there is.
        log: LogRange,
    },
    /// The other sink has nothing there.
    #[error("sink {sink}, {partition}: sink {other} has no committed offset there")]
    OtherUnknown {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
        /// The sink whose place it should be.
        other: String,
    },
    /// The membership group remembers nothing.
    #[error("sink {sink}, {partition}: the membership group does not remember where it stood")]
    NotRemembered {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
    },
    /// The topology does not say where to start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// The move of one sink in one partition; none if the place says nothing of the partition.
///
/// # Errors
/// [`Refusal`]
pub fn step(facts: &Facts<'_>, place: &Place) -> Result<Option<Step>, Refusal> {
    let (sink, partition) = (facts.sink.to_owned(), facts.partition.clone());
    let to = match place {
        Place::Start => facts.start.clone()?.0,
        Place::Earliest => facts.log.low,
        Place::Latest => facts.log.high,
        Place::Time(_) => facts.at_time.map_or(facts.log.high, |at| at.max(facts.log.low)),
        Place::Offset(offset) => Offset(*offset),
        Place::Offsets(offsets) => match offsets.get(&facts.partition.partition) {
            Some(offset) => Offset(*offset),
            None => return Ok(None),
        },
        Place::Sink(other) => {
            facts.other.ok_or_else(|| Refusal::OtherUnknown { sink, partition, other: other.clone() })?
        }
        Place::Remembered => facts.remembered.ok_or(Refusal::NotRemembered { sink, partition })?,
    };
    if to < facts.log.low || to > facts.log.high {
        let (sink, partition) = (facts.sink.to_owned(), facts.partition.clone());
        return Err(Refusal::OutOfRange { sink, partition, to, log: facts.log });
    }
    Ok(Some(Step::new(facts, to)))
}

/// What the membership group is to say of a partition once its sinks were moved: the minimum, and every position.
#[must_use]
pub fn membership<'a>(
    committed: &BTreeMap<&'a str, Offset>,
    moved: impl IntoIterator<Item = &'a Step>,
) -> Option<(Offset, String)> {
    let mut positions = committed.clone();
    positions.extend(moved.into_iter().map(|step| (step.sink.as_str(), step.to)));
    let minimum = positions.values().min().copied()?;
    Some((minimum, note::of_positions(positions)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const NOWHERE: Result<(Offset, Why), StartError> = Ok((Offset(110), Why::Earliest));

    fn partition() -> TopicPartition {
        TopicPartition { topic: Arc::from("chat"), partition: 1 }
    }

    fn facts(partition: &TopicPartition, committed: Option<i64>) -> Facts<'_> {
        Facts {
            sink: "green",
            partition,
            log: LogRange { low: Offset(100), high: Offset(200) },
            committed: committed.map(Offset),
            remembered: None,
            start: &NOWHERE,
            at_time: None,
            other: None,
        }
    }

    fn moved(facts: &Facts<'_>, place: &str) -> (i64, i64, i64, i64) {
        let step = step(facts, &place.parse().expect("a place")).expect("possible").expect("this partition");
        (step.to.0, step.lag, step.read_again, step.skipped)
    }

    #[test]
    fn every_place_is_found_with_what_it_costs() {
        let partition = partition();
        let at = facts(&partition, Some(150));
        assert_eq!(moved(&at, "start"), (110, 90, 40, 0));
        assert_eq!(moved(&at, "earliest"), (100, 100, 50, 0));
        assert_eq!(moved(&at, "latest"), (200, 0, 0, 50));
        assert_eq!(moved(&at, "170"), (170, 30, 0, 20));
        assert_eq!(moved(&at, "1=120,2=5"), (120, 80, 30, 0));
        assert_eq!(moved(&at, "2026-11-01T00:00:00Z"), (200, 0, 0, 50));
        let timed = Facts { at_time: Some(Offset(130)), ..at.clone() };
        assert_eq!(moved(&timed, "2026-11-01T00:00:00Z"), (130, 70, 20, 0));
        assert_eq!(moved(&Facts { other: Some(Offset(160)), ..at.clone() }, "sink:blue"), (160, 40, 0, 10));
        assert_eq!(moved(&Facts { remembered: Some(Offset(140)), ..at.clone() }, "remembered"), (140, 60, 10, 0));
        assert_eq!(step(&at, &"0=5".parse().expect("a place")), Ok(None));
    }

    #[test]
    fn a_sink_without_a_commit_skips_what_lies_below_its_place() {
        let partition = partition();
        assert_eq!(moved(&facts(&partition, None), "latest"), (200, 0, 0, 100));
        assert_eq!(moved(&facts(&partition, None), "earliest"), (100, 100, 0, 0));
    }

    #[test]
    fn a_place_outside_of_the_log_is_refused() {
        let partition = partition();
        for place in ["99", "201"] {
            let refused =
                step(&facts(&partition, Some(150)), &place.parse().expect("a place")).expect_err("out of range");
            assert!(refused.to_string().ends_with("is not in the log, which holds 100..200"), "{refused}");
        }
        let old = facts(&partition, Some(40));
        assert_eq!(moved(&old, "earliest"), (100, 100, 0, 0), "what retention removed is not read again");
        for place in ["sink:blue", "remembered"] {
            assert!(step(&old, &place.parse().expect("a place")).is_err(), "{place}");
        }
    }

    #[test]
    fn the_membership_group_says_the_minimum_and_every_position() {
        let partition = partition();
        let step = step(&facts(&partition, Some(150)), &Place::Earliest).expect("possible").expect("this partition");
        let committed = [("blue", Offset(180)), ("green", Offset(150))].into();
        assert_eq!(membership(&committed, [&step]), Some((Offset(100), "blue=180,green=100".to_owned())));
        assert_eq!(membership(&BTreeMap::new(), []), None);
    }

    proptest! {
        /// Read again and skipped are never both, and both follow from the offsets alone.
        #[test]
        fn a_step_says_what_it_costs(low in 0..100_i64, records in 0..100_i64, from in 0..300_i64, to in 0..300_i64) {
            let partition = partition();
            let log = LogRange { low: Offset(low), high: Offset(low + records) };
            let facts = Facts { log, ..facts(&partition, Some(from)) };
            match step(&facts, &Place::Offset(to)) {
                Ok(Some(step)) => {
                    prop_assert!(low <= to && to <= low + records);
                    let has: Vec<i64> = (low..low + records).filter(|offset| *offset < from).collect();
                    let gets: Vec<i64> = (to..low + records).collect();
                    let again = gets.iter().filter(|offset| has.contains(offset)).count();
                    prop_assert_eq!(step.read_again, again as i64);
                    let neither = (low..low + records).filter(|offset| !has.contains(offset) && !gets.contains(offset)).count();
                    prop_assert_eq!(step.skipped, neither as i64);
                }
                other => {
                    let is_refused = matches!(other, Err(Refusal::OutOfRange { .. }));
                    prop_assert!(is_refused && (to < low || to > low + records));
                }
            }
        }
    }
}
