//! Which letter is meant, and that it was replayed.

use std::collections::BTreeSet;
use std::fmt;

/// A letter's place in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterId {
    /// A line of the file, from 1, with the hash of its bytes.
    Line {
        /// Its number.
        number: u64,
        /// Hash of its bytes, so that another line at that place is not taken for it.
        hash: u64,
    },
    /// A record of the topic.
    Record {
        /// The partition of the dead-letter topic.
        partition: i32,
        /// The offset in it.
        offset: i64,
    },
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { number, .. } => number.fmt(f),
            Self::Record { partition, offset } => write!(f, "{partition}@{offset}"),
        }
    }
}

/// The record that a text names, as [`LetterId`] shows it.
pub(super) fn record(text: &str) -> Option<LetterId> {
    let (partition, offset) = text.split_once('@')?;
    Some(LetterId::Record { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
}

/// Into which sinks a letter was replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sinks {
    /// All that the topology had.
    All,
    /// These.
    Some(BTreeSet<String>),
}

/// Says that a letter was replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The letter.
    pub letter: LetterId,
    /// Where its rows went.
    pub sinks: Sinks,
}
