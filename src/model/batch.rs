//! What travels: records as read, and rows as written.

use std::ops::Range;
use std::sync::Arc;

use hbase::row_block::RowBlock;

use crate::progress::offset::{Offset, Span, TopicPartition};

/// Records of one partition in offset order, with all their bytes in one arena.
///
/// The span covers every offset that the records stand for, also those that carry no record
/// (control records, compacted offsets).
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// Where the records come from.
    pub partition: TopicPartition,
    /// The offsets that are done when this batch is done.
    pub span: Span,
    /// The records, in offset order.
    pub records: Vec<RawRecord>,
    /// Keys, payloads and carried headers of all records.
    pub arena: Vec<u8>,
    /// The headers that some model reads, by record and number; mostly there are none.
    pub headers: Vec<RawHeader>,
}

/// A header of a record; its value stands in the arena of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawHeader {
    /// Index into [`RawBatch::records`].
    pub record: u32,
    /// Which of the carried headers it is: an index into the names that the decoder asked for.
    pub number: u16,
    /// Its value, the last one if the record has several of this name; `None` is Kafka's null.
    pub value: Option<Range<u32>>,
}

/// One record; its bytes stand in the arena of its batch.
#[derive(Clone, Debug)]
pub struct RawRecord {
    /// Its own offset.
    pub offset: Offset,
    /// Kafka's timestamp in milliseconds since 1970, or -1 if it has none.
    pub timestamp_ms: i64,
    /// The record key, if there is one.
    pub key: Option<Range<u32>>,
    /// The payload; `None` is Kafka's null (a log-compaction tombstone).
    pub payload: Option<Range<u32>>,
}

impl RawBatch {
    /// The key of a record of this batch.
    #[must_use]
    pub fn key(&self, record: &RawRecord) -> Option<&[u8]> {
        self.slice(record.key.as_ref()?)
    }

    /// The payload of a record of this batch.
    #[must_use]
    pub fn payload(&self, record: &RawRecord) -> Option<&[u8]> {
        self.slice(record.payload.as_ref()?)
    }

    /// The value of a carried header of the record with this index: `None` if the record has no such header,
    /// `Some(None)` if it says null.
    #[must_use]
    pub fn header(&self, record: usize, number: usize) -> Option<Option<&[u8]>> {
        let place = |header: &RawHeader| (header.record as usize, usize::from(header.number));
        let at = self.headers.binary_search_by_key(&(record, number), place).ok()?;
        let header = self.headers.get(at)?;
        Some(header.value.as_ref().and_then(|range| self.slice(range)))
    }

    fn slice(&self, range: &Range<u32>) -> Option<&[u8]> {
        self.arena.get(range.start as usize..range.end as usize)
    }
}

/// What decode and project made of a [`RawBatch`]: rows for tables, records for the dead-letter store.
#[derive(Clone, Debug, Default)]
pub struct Projected {
    /// The folded rows, one entry for each table that gets any.
    pub tables: Vec<TableRows>,
    /// Records that could not become rows. Each is also part of the span: it is done once it is dead-lettered.
    pub bad: Vec<BadRecord>,
    /// What was counted on the way.
    pub counts: Counts,
}

/// Rows of one table, encoded once for all clusters of that layout.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// Table name, with its namespace if it has one (`ns:table`).
    pub table: Arc<str>,
    /// The mutations in row order.
    pub block: RowBlock,
}

/// A record that could not become a row, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Index into [`RawBatch::records`].
    pub record: usize,
    /// Where it failed.
    pub stage: Stage,
    /// One sentence that names the field and what is wrong with it.
    pub cause: String,
}

/// The stages in which a record can turn out to be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The payload is not what the topic's format says.
    Decode,
    /// The event lacks a key column or a version, or one is out of range.
    Project,
    /// A cluster refuses a row that was made of it, for good.
    Write,
}

impl Stage {
    /// All stages, in the order in which events pass them.
    pub const ALL: [Self; 3] = [Self::Decode, Self::Project, Self::Write];

    /// The stage with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The name used in dead letters, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Project => "project",
            Self::Write => "write",
        }
    }
}

/// Sums over one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records read.
    pub events: u64,
    /// Events that no model wanted (`when` was false for all).
    pub filtered: u64,
    /// Mutations after folding, over all tables.
    pub rows: u64,
    /// Cells after folding, over all tables.
    pub cells: u64,
    /// Cells of two different events with one version, of which the higher offset won.
    pub ties: u64,
}
