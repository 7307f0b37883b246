//! Where each sink starts in a partition: its own committed offset, else what the topology says.
//!
//! # Laws
//! 1. A committed offset wins over `start`; nothing but an operator moves it back.
//! 2. A range that retention has removed is never jumped over: it is named, and the run stops.
//! 3. A partition that appeared after the first start is read from its beginning, never from `latest`.

use std::collections::BTreeMap;

use crate::progress::ledger::SinkStart;
use crate::progress::offset::{Offset, TopicPartition};
use crate::topology::Start;

/// What there is of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The first offset that retention has left.
    pub low: Offset,
    /// Behind the last record that may be read.
    pub high: Offset,
}

/// Everything that decides where a sink starts in one partition.
#[derive(Clone, Debug)]
pub struct StartFacts<'a> {
    /// The partition.
    pub partition: &'a TopicPartition,
    /// The sink.
    pub sink: &'a str,
    /// What the sink's group has committed for this partition.
    pub committed: Option<Offset>,
    /// Whether the sink's group has committed any other partition of the topic.
    pub has_history: bool,
    /// The topic's `start`.
    pub start: Option<&'a Start>,
    /// The log now.
    pub log: LogRange,
    /// For `start = TIME`: the first offset at or after it, or the log's end.
    pub at_time: Option<Offset>,
    /// For `start = "sink:NAME"`: what that sink has committed here.
    pub other: Option<Offset>,
}

/// Why a sink cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// First start without `start`.
    #[error(
        "sink {sink} has no committed offset for {partition} and the topic has no `start`; \
         set start = \"earliest\", \"latest\", a time, offsets or \"sink:NAME\" in the topology"
    )]
    NoStart {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
    },
    /// `start = "sink:NAME"`, but that sink has no offset here.
    #[error("sink {sink} is to start where sink {other} is, but that one has no committed offset for {partition}")]
    OtherUnknown {
        /// The sink.
        sink: String,
        /// The sink named by `start`.
        other: String,
        /// The partition.
        partition: TopicPartition,
    },
    /// Retention removed what the sink had not read yet.
    #[error(
        "{partition}: offsets {from}..{to} were removed by retention before sink {sink} had read them; \
         restore the sink from a backup taken after offset {to}, or move its group's offset to {to} to accept the loss"
    )]
    Lost {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
        /// First lost offset.
        from: Offset,
        /// Behind the last lost offset.
        to: Offset,
    },
    /// The log is shorter than what was read: the topic was made anew.
    #[error(
        "{partition}: sink {sink} stands at offset {at}, but the log ends at {end}; the topic was made anew or \
         truncated: reset the offsets of the sink's group before starting again"
    )]
    Beyond {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
        /// Where the sink stands.
        at: Offset,
        /// The end of the log.
        end: Offset,
    },
}

impl StartError {
    /// Whether an operator's policy decides (exit 3), not the topology (exit 2).
    #[must_use]
    pub fn is_policy(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Beyond { .. } => true,
            Self::NoStart { .. } | Self::OtherUnknown { .. } => false,
        }
    }
}

/// Decides where a sink starts.
///
/// # Errors
/// [`StartError`], whose sentence is for the operator.
pub fn resolve(facts: &StartFacts<'_>) -> Result<SinkStart, StartError> {
    let (sink, partition) = (facts.sink.to_owned(), facts.partition.clone());
    let durable = match facts.committed {
        Some(committed) => committed,
        None => first_start(facts)?,
    };
    if durable < facts.log.low {
        return Err(StartError::Lost { sink, partition, from: durable, to: facts.log.low });
    }
    if durable > facts.log.high {
        return Err(StartError::Beyond { sink, partition, at: durable, end: facts.log.high });
    }
    Ok(SinkStart { durable, committed: facts.committed })
}

fn first_start(facts: &StartFacts<'_>) -> Result<Offset, StartError> {
    let (sink, partition) = (facts.sink.to_owned(), facts.partition.clone());
    let Some(start) = facts.start else { return Err(StartError::NoStart { sink, partition }) };
    Ok(match start {
        Start::Earliest => facts.log.low,
        Start::Latest if facts.has_history => facts.log.low,
        Start::Latest => facts.log.high,
        Start::Time(_) => facts.at_time.unwrap_or(facts.log.high).max(facts.log.low),
        Start::Offsets(offsets) => named(offsets, facts),
        Start::Sink(other) => {
            facts.other.ok_or_else(|| StartError::OtherUnknown { sink, other: other.clone(), partition })?
        }
    })
}

fn named(offsets: &BTreeMap<i32, i64>, facts: &StartFacts<'_>) -> Offset {
    offsets.get(&facts.partition.partition).map_or(facts.log.low, |offset| Offset(*offset))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition { topic: Arc::from("chat.messages"), partition: 3 }
    }

    fn facts<'a>(partition: &'a TopicPartition, start: Option<&'a Start>) -> StartFacts<'a> {
        StartFacts {
            partition,
            sink: "green",
            committed: None,
            has_history: false,
            start,
            log: LogRange { low: Offset(100), high: Offset(200) },
            at_time: None,
            other: None,
        }
    }

    fn durable(facts: &StartFacts<'_>) -> i64 {
        resolve(facts).expect("a start").durable.0
    }

    #[test]
    fn a_committed_offset_wins_over_start() {
        let partition = partition();
        let facts = StartFacts { committed: Some(Offset(150)), ..facts(&partition, Some(&Start::Earliest)) };
        assert_eq!(resolve(&facts), Ok(SinkStart { durable: Offset(150), committed: Some(Offset(150)) }));
    }

    #[test]
    fn every_form_of_start_is_obeyed() {
        let partition = partition();
        assert_eq!(durable(&facts(&partition, Some(&Start::Earliest))), 100);
        assert_eq!(durable(&facts(&partition, Some(&Start::Latest))), 200);
        assert_eq!(
            durable(&StartFacts { at_time: Some(Offset(130)), ..facts(&partition, Some(&Start::Time(0))) }),
            130
        );
        assert_eq!(durable(&facts(&partition, Some(&Start::Offsets([(3, 120)].into())))), 120);
        assert_eq!(durable(&facts(&partition, Some(&Start::Offsets([(4, 120)].into())))), 100);
        let start = Start::Sink("blue".to_owned());
        assert_eq!(durable(&StartFacts { other: Some(Offset(170)), ..facts(&partition, Some(&start)) }), 170);
    }

    #[test]
    fn a_partition_added_later_starts_at_its_beginning() {
        let partition = partition();
        assert_eq!(durable(&StartFacts { has_history: true, ..facts(&partition, Some(&Start::Latest)) }), 100);
    }

    #[test]
    fn a_first_start_without_start_is_refused() {
        let partition = partition();
        let error = resolve(&facts(&partition, None)).expect_err("no start");
        assert!(!error.is_policy());
        assert!(error.to_string().contains("chat.messages[3]"), "{error}");
    }

    #[test]
    fn a_range_removed_by_retention_is_named() {
        let partition = partition();
        let error = resolve(&StartFacts { committed: Some(Offset(40)), ..facts(&partition, None) }).expect_err("lost");
        assert!(error.is_policy());
        assert!(error.to_string().starts_with("chat.messages[3]: offsets 40..100 were removed"), "{error}");
    }

    #[test]
    fn a_log_that_became_shorter_is_refused() {
        let partition = partition();
        let error =
            resolve(&StartFacts { committed: Some(Offset(201)), ..facts(&partition, None) }).expect_err("beyond");
        assert!(error.is_policy());
    }
}
