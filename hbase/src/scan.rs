//! What to read: gets and scans.

use bytes::Bytes;

use crate::wire::message::{ColumnMessage, GetMessage, NameBytesPair, RegionSpecifier, ScanMessage, TimeRangeMessage};

/// Attribute that makes a scan show delete markers and what they mask (`Scan.RAW_ATTR`).
const RAW: &str = "_raw_";

/// A family, or one column of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Family.
    pub family: Bytes,
    /// Qualifier; `None` is the whole family.
    pub qualifier: Option<Bytes>,
}

/// Which versions of a cell are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Newest first, at most this many.
    pub most: u32,
    /// Timestamps from here.
    pub from: i64,
    /// Up to but not including this.
    pub to: i64,
}

impl Default for Versions {
    /// The newest version.
    fn default() -> Self {
        Self { most: 1, from: 0, to: i64::MAX }
    }
}

impl Versions {
    /// All versions that the table keeps.
    #[must_use]
    pub fn all() -> Self {
        Self { most: i32::MAX as u32, ..Self::default() }
    }

    fn range(self) -> Option<TimeRangeMessage> {
        let whole = Self::default();
        (self.from != whole.from || self.to != whole.to)
            .then_some(TimeRangeMessage { from: Some(self.from as u64), to: Some(self.to as u64) })
    }
}

/// A read of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// The row.
    pub row: Bytes,
    /// Columns; none means all.
    pub columns: Vec<Selection>,
    /// Versions.
    pub versions: Versions,
}

impl Get {
    /// The newest version of every cell of a row.
    #[must_use]
    pub fn new(row: impl Into<Bytes>) -> Self {
        Self { row: row.into(), columns: Vec::new(), versions: Versions::default() }
    }

    pub(crate) fn message(&self) -> GetMessage {
        GetMessage {
            row: self.row.clone(),
            column: columns(&self.columns),
            max_versions: Some(self.versions.most),
            time_range: self.versions.range(),
            cache_blocks: Some(true),
            ..GetMessage::default()
        }
    }
}

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Rows ascending.
    #[default]
    Forward,
    /// Rows descending: `start` is the highest row.
    Reversed,
}

/// Which cells a scan shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// What is not deleted.
    #[default]
    Live,
    /// Also delete markers and what they mask, as long as they were not compacted away.
    Raw,
}

/// A read of a range of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// First row; empty is the table's end on that side.
    pub start: Bytes,
    /// Whether the row `start` is part.
    pub start_included: bool,
    /// Last row; empty is the table's end on that side.
    pub stop: Bytes,
    /// Whether the row `stop` is part.
    pub stop_included: bool,
    /// Columns; none means all.
    pub columns: Vec<Selection>,
    /// Versions.
    pub versions: Versions,
    /// Direction.
    pub direction: Direction,
    /// Visibility.
    pub visibility: Visibility,
    /// Rows of the whole scan at most; 0 is no limit.
    pub limit: u64,
    /// Rows of one answer at most.
    pub caching: u32,
    /// Bytes of one answer at most.
    pub bytes_per_answer: u64,
    /// Whether the blocks read go to the server's block cache.
    pub cache_blocks: bool,
}

impl Default for Scan {
    /// The newest version of every cell of the table, in answers of at most 2 MiB that leave the block cache alone.
    fn default() -> Self {
        Self {
            start: Bytes::new(),
            start_included: true,
            stop: Bytes::new(),
            stop_included: false,
            columns: Vec::new(),
            versions: Versions::default(),
            direction: Direction::Forward,
            visibility: Visibility::Live,
            limit: 0,
            caching: i32::MAX as u32,
            bytes_per_answer: 2 << 20,
            cache_blocks: false,
        }
    }
}

impl Scan {
    pub(crate) fn message(&self) -> ScanMessage {
        let raw = NameBytesPair { name: RAW.to_owned(), value: Some(Bytes::from_static(&[0xFF])) };
        ScanMessage {
            column: columns(&self.columns),
            attribute: if self.visibility == Visibility::Raw { vec![raw] } else { Vec::new() },
            start_row: Some(self.start.clone()),
            stop_row: Some(self.stop.clone()),
            max_versions: Some(self.versions.most),
            time_range: self.versions.range(),
            cache_blocks: Some(self.cache_blocks),
            max_result_size: Some(self.bytes_per_answer),
            reversed: (self.direction == Direction::Reversed).then_some(true),
            caching: Some(self.caching),
            include_start_row: Some(self.start_included),
            include_stop_row: Some(self.stop_included),
            ..ScanMessage::default()
        }
    }
}

fn columns(selections: &[Selection]) -> Vec<ColumnMessage> {
    let mut columns: Vec<ColumnMessage> = Vec::new();
    for Selection { family, qualifier } in selections {
        match columns.iter_mut().find(|column| column.family == family) {
            Some(column) => column.qualifier.extend(qualifier.clone()),
            None => {
                columns.push(ColumnMessage { family: family.clone(), qualifier: qualifier.iter().cloned().collect() })
            }
        }
    }
    columns
}

pub(crate) fn region_specifier(name: &Bytes) -> RegionSpecifier {
    RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: name.clone() }
}
