//! Where each sink starts in a partition: its own committed offset, else what the topology says.
//!
//! # Laws
//! 1. A committed offset wins over `start`; nothing but an operator moves it back.
//! 2. A range that retention has removed is never jumped over: it is named, and the run stops, until an operator gives
//!    exactly that range up.
//! 3. A partition that appeared after the first start is read from its beginning, whatever `start` says.
//! 4. An offset of a topic that was deleted and made anew is no offset of the new one: the run stops.
//! 5. Offsets that expired are not silently replaced by a first start: what the membership group remembers is taken, and
//!    where the whole group of a sink is gone an operator decides.

use std::collections::BTreeMap;

use super::loss::AcceptedLoss;
use crate::progress::ledger::SinkStart;
use crate::progress::offset::{Offset, TopicPartition};
use crate::progress::topic_id::TopicId;
use crate::topology::Start;

/// What there is of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The first offset that retention has left.
    pub low: Offset,
    /// Behind the last record that may be read.
    pub high: Offset,
}

/// What a sink's group has committed for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset.
    pub offset: Offset,
    /// The topic that it is of, if the commit says so.
    pub topic: Option<TopicId>,
}

/// Everything that decides where a sink starts in one partition.
#[derive(Clone, Debug)]
pub struct StartFacts<'a> {
    /// The partition.
    pub partition: &'a TopicPartition,
    /// The sink.
    pub sink: &'a str,
    /// What the sink's group has committed for this partition.
    pub committed: Option<Committed>,
    /// Whether the sink's group has committed any partition of the topic.
    pub has_history: bool,
    /// Where the sink stood when the membership group committed this partition last.
    pub remembered: Option<Offset>,
    /// The topic's `start`.
    pub start: Option<&'a Start>,
    /// The log now.
    pub log: LogRange,
    /// The topic now, if its broker has ids.
    pub topic: Option<TopicId>,
    /// For `start = TIME`: the first offset at or after it (less the margin), or the log's end.
    pub at_time: Option<Offset>,
    /// For `start = "sink:NAME"`: what that sink has committed here.
    pub other: Option<Offset>,
    /// Ranges that the operator has given up.
    pub accepted: &'a [AcceptedLoss],
}

/// Where a sink starts, and why there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The start.
    pub start: SinkStart,
    /// Its reason.
    pub why: Why,
}

/// Why a sink starts where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its group has committed this offset.
    Committed,
    /// Its group's offset is gone; the membership group's metadata has it.
    Remembered,
    /// Retention removed offsets from here on, and the operator has given them up.
    Accepted {
        /// Where the sink stood.
        from: Offset,
    },
    /// The partition is newer than the sink's first start.
    AddedLater,
    /// `start = "earliest"`.
    Earliest,
    /// `start = "latest"`.
    Latest,
    /// `start = TIME`, and there are records at or after it.
    Time,
    /// `start = TIME`, and all records are older.
    TimePassed,
    /// `start` names this partition's offset.
    Offsets,
    /// `start` names offsets, but none for this partition.
    OffsetsNotNamed,
    /// `start = "sink:NAME"`.
    Sink,
}

impl Why {
    /// For logs and people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Remembered => "remembered by the membership group",
            Self::Accepted { .. } => "accepted loss",
            Self::AddedLater => "partition added later: its beginning",
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::Time => "first record at the time",
            Self::TimePassed => "the end now: all records are older than the time",
            Self::Offsets => "offset named by start",
            Self::OffsetsNotNamed => "earliest: start names other partitions",
            Self::Sink => "committed offset of the other sink",
        }
    }

    /// Whether this is a first start, which the topology decided and nobody has committed yet.
    #[must_use]
    pub fn is_first(&self) -> bool {
        match self {
            Self::Committed | Self::Remembered | Self::Accepted { .. } | Self::AddedLater => false,
            Self::Earliest
            | Self::Latest
            | Self::Time
            | Self::TimePassed
            | Self::Offsets
            | Self::OffsetsNotNamed
            | Self::Sink => true,
        }
    }
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
    /// `start` names an offset that the log does not reach.
    #[error("sink {sink}: `start` says offset {at} of {partition}, but the log ends at {end}; mend `start`")]
    PastEnd {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
        /// What `start` says.
        at: Offset,
        /// The end of the log.
        end: Offset,
    },
    /// Retention removed what the sink had not read yet.
    #[error(
        "{partition}: offsets {from}..{to} were removed by retention before sink {sink} had read them; \
         restore the sink from a backup taken after offset {to}, or go on without them: \
         --accept-loss {}/{}={from}..{to}", partition.topic, partition.partition
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
    /// The log is shorter than what was read: it was truncated, or the topic was made anew.
    #[error(
        "{partition}: sink {sink} stands at offset {at}, but the log ends at {end}; the topic was made anew or \
         truncated: see `halcyon offsets show`, then `halcyon offsets reset --sink {sink} --topic {}`", partition.topic
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
    /// The topic of the committed offset is gone; another one has its name.
    #[error(
        "{partition}: topic {} was deleted and made anew (its id was {was}, now it is {is}), so offset {at} of sink \
         {sink} says nothing about it; `halcyon offsets reset --sink {sink} --topic {}` starts the sink anew",
        partition.topic, partition.topic
    )]
    Recreated {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
        /// Where the sink stood in the old topic.
        at: Offset,
        /// The old topic.
        was: TopicId,
        /// The new one.
        is: TopicId,
    },
    /// The sink's group has nothing of the topic, but the membership group remembers the sink.
    #[error(
        "{partition}: the group of sink {sink} has no offsets of this topic any more (expired or deleted), but it stood at \
         {at}; go on there with `halcyon offsets set --sink {sink} --topic {} --to remembered`, or start anew with \
         `halcyon offsets reset --sink {sink} --topic {}`", partition.topic, partition.topic
    )]
    Expired {
        /// The sink.
        sink: String,
        /// The partition.
        partition: TopicPartition,
        /// Where it stood.
        at: Offset,
    },
}

impl StartError {
    /// Whether an operator's policy decides (exit 3), not the topology (exit 2).
    #[must_use]
    pub fn is_policy(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Beyond { .. } | Self::Recreated { .. } | Self::Expired { .. } => true,
            Self::NoStart { .. } | Self::OtherUnknown { .. } | Self::PastEnd { .. } => false,
        }
    }
}

/// Decides where a sink starts.
///
/// # Errors
/// [`StartError`], whose sentence is for the operator.
pub fn resolve(facts: &StartFacts<'_>) -> Result<Decision, StartError> {
    let (sink, partition) = (facts.sink.to_owned(), facts.partition.clone());
    let (durable, why) = match (facts.committed, facts.remembered) {
        (Some(committed), _) => (committed_here(&committed, facts)?, Why::Committed),
        (None, Some(at)) if facts.has_history => (at, Why::Remembered),
        (None, Some(at)) => return Err(StartError::Expired { sink, partition, at }),
        (None, None) if facts.has_history => (facts.log.low, Why::AddedLater),
        (None, None) => first_start(facts)?,
    };
    let committed = facts.committed.map(|committed| committed.offset);
    if durable < facts.log.low {
        let (from, to) = (durable, facts.log.low);
        return if facts.accepted.iter().any(|accepted| accepted.covers(facts.partition, from, to)) {
            Ok(Decision { start: SinkStart { durable: to, committed }, why: Why::Accepted { from } })
        } else {
            Err(StartError::Lost { sink, partition, from, to })
        };
    }
    if durable > facts.log.high {
        let (at, end) = (durable, facts.log.high);
        return Err(match why {
            Why::Offsets => StartError::PastEnd { sink, partition, at, end },
            _ => StartError::Beyond { sink, partition, at, end },
        });
    }
    Ok(Decision { start: SinkStart { durable, committed }, why })
}

/// The committed offset, if it is of the topic that there is now.
fn committed_here(committed: &Committed, facts: &StartFacts<'_>) -> Result<Offset, StartError> {
    match (committed.topic, facts.topic) {
        (Some(was), Some(is)) if was != is => Err(StartError::Recreated {
            sink: facts.sink.to_owned(),
            partition: facts.partition.clone(),
            at: committed.offset,
            was,
            is,
        }),
        _ => Ok(committed.offset),
    }
}

/// What the topology says, as if the sink had never been there.
///
/// # Errors
/// [`StartError::NoStart`], [`StartError::OtherUnknown`].
pub fn first_start(facts: &StartFacts<'_>) -> Result<(Offset, Why), StartError> {
    let (sink, partition) = (facts.sink.to_owned(), facts.partition.clone());
    let Some(start) = facts.start else { return Err(StartError::NoStart { sink, partition }) };
    Ok(match start {
        Start::Earliest => (facts.log.low, Why::Earliest),
        Start::Latest => (facts.log.high, Why::Latest),
        Start::Time(_) => match facts.at_time {
            // The end now, not whenever the partition is read first: what comes meanwhile is not lost.
            None => (facts.log.high, Why::TimePassed),
            Some(at) => (at.clamp(facts.log.low, facts.log.high.max(facts.log.low)), Why::Time),
        },
        Start::Offsets(offsets) => named(offsets, facts),
        Start::Sink(other) => {
            let at = facts.other.ok_or_else(|| StartError::OtherUnknown { sink, other: other.clone(), partition })?;
            (at, Why::Sink)
        }
    })
}

fn named(offsets: &BTreeMap<i32, i64>, facts: &StartFacts<'_>) -> (Offset, Why) {
    let named = offsets.get(&facts.partition.partition);
    named.map_or((facts.log.low, Why::OffsetsNotNamed), |offset| (Offset(*offset), Why::Offsets))
}

#[cfg(test)]
mod tests;
