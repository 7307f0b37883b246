//! What to read: gets and scans.

use bytes::Bytes;

use crate::filter::Filter;
use crate::misuse::{Misuse, check_family, check_row};
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

    /// The newest version with a timestamp in this range.
    #[must_use]
    pub fn between(from: i64, to: i64) -> Self {
        Self { most: 1, from, to }
    }

    pub(crate) fn check(self) -> Result<(), Misuse> {
        match self {
            Self { most: 0, .. } => Err(Misuse::NoVersions),
            Self { from, to, .. } if from < 0 || to < from => Err(Misuse::NoTimeRange { from, to }),
            _ => Ok(()),
        }
    }

    pub(crate) fn range(self) -> Option<TimeRangeMessage> {
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
    /// What is left out of the row, or leaves the row out.
    pub filter: Option<Filter>,
    /// Whether the blocks read go to the server's block cache.
    pub cache_blocks: bool,
}

impl Get {
    /// The newest version of every cell of a row.
    #[must_use]
    pub fn new(row: impl Into<Bytes>) -> Self {
        Self { row: row.into(), columns: Vec::new(), versions: Versions::default(), filter: None, cache_blocks: true }
    }

    pub(crate) fn check(&self) -> Result<(), Misuse> {
        check_row(&self.row)?;
        check_read(&self.columns, self.versions, self.filter.as_ref())
    }

    pub(crate) fn message(&self) -> GetMessage {
        GetMessage {
            row: self.row.clone(),
            column: columns(&self.columns),
            max_versions: Some(self.versions.most),
            time_range: self.versions.range(),
            cache_blocks: Some(self.cache_blocks),
            filter: self.filter.as_ref().map(Filter::message),
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

/// How the server reads its files (`Scan.ReadType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadType {
    /// By position first, as a stream once the scan turns out to be long.
    #[default]
    ByLength,
    /// As a stream with files of its own: for long ranges.
    Stream,
    /// By position, sharing open files: for short ranges.
    Positional,
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
    /// What is left out.
    pub filter: Option<Filter>,
    /// How the server reads.
    pub read_type: ReadType,
    /// Whether the scanner tells how far it is while a long stretch has no rows to give.
    pub cursors: bool,
    /// Whether the next answer is fetched while the rows of the last one are taken: faster, and one more answer in
    /// memory.
    pub prefetch: bool,
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
            filter: None,
            read_type: ReadType::ByLength,
            cursors: false,
            prefetch: true,
        }
    }
}

impl Scan {
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        check_read(&self.columns, self.versions, self.filter.as_ref())
    }

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
            filter: self.filter.as_ref().map(Filter::message),
            read_type: match self.read_type {
                ReadType::ByLength => None,
                ReadType::Stream => Some(1),
                ReadType::Positional => Some(2),
            },
            need_cursor_result: self.cursors.then_some(true),
            ..ScanMessage::default()
        }
    }
}

fn check_read(columns: &[Selection], versions: Versions, filter: Option<&Filter>) -> Result<(), Misuse> {
    columns.iter().try_for_each(|column| check_family(&column.family))?;
    versions.check()?;
    filter.map_or(Ok(()), Filter::check)
}

/// A whole family takes its single columns in, whatever the order in which they are named.
fn columns(selections: &[Selection]) -> Vec<ColumnMessage> {
    let mut columns: Vec<ColumnMessage> = Vec::new();
    for Selection { family, .. } in selections {
        if columns.iter().any(|column| column.family == family) {
            continue;
        }
        let of_family = || selections.iter().filter(|selection| selection.family == family);
        let qualifier = if of_family().any(|selection| selection.qualifier.is_none()) {
            Vec::new()
        } else {
            of_family().filter_map(|selection| selection.qualifier.clone()).collect()
        };
        columns.push(ColumnMessage { family: family.clone(), qualifier });
    }
    columns
}

pub(crate) fn region_specifier(name: &Bytes) -> RegionSpecifier {
    RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_family_takes_its_columns_in() {
        let one = |family: &'static str, qualifier: Option<&'static str>| Selection {
            family: family.into(),
            qualifier: qualifier.map(Bytes::from),
        };
        let column = |family: &'static str, qualifier: Vec<Bytes>| ColumnMessage { family: family.into(), qualifier };
        let whole = columns(&[one("f", None), one("g", Some("a")), one("f", Some("b")), one("g", Some("c"))]);
        assert_eq!(whole, [column("f", vec![]), column("g", vec!["a".into(), "c".into()])]);
    }

    #[test]
    fn reads_that_no_server_carries_out_are_named() {
        let bad = |versions| Get { versions, ..Get::new("r") }.check();
        assert_eq!(bad(Versions { most: 0, ..Versions::default() }), Err(Misuse::NoVersions));
        assert_eq!(bad(Versions::between(5, 3)), Err(Misuse::NoTimeRange { from: 5, to: 3 }));
        assert_eq!(bad(Versions::between(-1, 3)), Err(Misuse::NoTimeRange { from: -1, to: 3 }));
        assert_eq!(Get::new("").check(), Err(Misuse::EmptyRow));
        let filter = Some(Filter::All(vec![Filter::Any(Vec::new())]));
        assert_eq!(Get { filter, ..Get::new("r") }.check(), Err(Misuse::EmptyFilterList));
    }
}
