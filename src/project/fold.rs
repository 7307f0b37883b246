//! The newest version of every cell of a batch.
//!
//! Rows are sorted by (key, newest version, highest offset) through small entries; keys and values stay where they
//! are. The rows of one key then stand together, and each column takes its value from the first of them that says
//! anything about it. So an edit that carries only the body leaves the older cells of the other columns in place, with
//! their own versions.
//!
//! # Invariants
//! 1. The outcome does not depend on the order of the rows.
//! 2. Folding parts of a batch and applying them to a table, in any order, gives the cells that folding the whole gives,
//!    as long as no two different rows of one key have one version.

use std::cmp::Ordering;

use crate::model::rows::{ColumnView, RowsView};
use crate::model::value::CellScratch;

/// Bytes of a key that are compared without looking at the key.
const PREFIX_BYTES: usize = 20;

/// A row in the sort: the beginning of its key, and which row it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    first: u64,
    second: u64,
    third: u32,
    row: u32,
}

impl Entry {
    fn new(key: &[u8], row: usize) -> Self {
        let mut prefix = [0; PREFIX_BYTES];
        for (to, from) in prefix.iter_mut().zip(key) {
            *to = *from;
        }
        let word =
            |at: usize| prefix.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let third = prefix.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        Self { first: word(0), second: word(8), third, row: row as u32 }
    }

    #[inline]
    pub(super) const fn row(&self) -> usize {
        self.row as usize
    }

    #[inline]
    fn compare(&self, other: &Self, rows: &RowsView<'_>) -> Ordering {
        self.first
            .cmp(&other.first)
            .then_with(|| self.second.cmp(&other.second))
            .then_with(|| self.third.cmp(&other.third))
            .then_with(|| rows.key(self.row()).cmp(rows.key(other.row())))
            .then_with(|| rows.version(other.row()).cmp(&rows.version(self.row())))
            .then_with(|| rows.offset(other.row()).cmp(&rows.offset(self.row())))
            .then_with(|| other.row.cmp(&self.row))
    }
}

/// Sorts the rows into `entries`: by key, then newest version first, then highest offset first.
pub(super) fn sort(rows: &RowsView<'_>, entries: &mut Vec<Entry>) {
    entries.clear();
    entries.extend((0..rows.len()).map(|row| Entry::new(rows.key(row), row)));
    entries.sort_unstable_by(|a, b| a.compare(b, rows));
}

/// The sorted entries of each key.
pub(super) fn groups<'a>(rows: &'a RowsView<'_>, entries: &'a [Entry]) -> impl Iterator<Item = &'a [Entry]> {
    entries.chunk_by(|a, b| {
        (a.first, a.second, a.third) == (b.first, b.second, b.third) && rows.key(a.row()) == rows.key(b.row())
    })
}

/// Where the newest cell of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// The value of this row, or its null.
    Row(usize),
    /// The delete of this row: an empty cell.
    Delete(usize),
}

/// The newest cell of one column among the rows of one key, and how many ties were decided to find it.
///
/// A delete says something about every column: that it is empty.
pub(super) fn newest(group: &[Entry], rows: &RowsView<'_>, column: ColumnView<'_>) -> (Option<Newest>, u64) {
    let mut speaking = group.iter().map(Entry::row).filter(|row| rows.is_delete(*row) || column.speaks(*row));
    let Some(winner) = speaking.next() else { return (None, 0) };
    let rivals = speaking.take_while(|row| rows.version(*row) == rows.version(winner));
    let ties = rivals.filter(|rival| !same_cell(rows, column, winner, *rival)).count();
    let newest = if rows.is_delete(winner) { Newest::Delete(winner) } else { Newest::Row(winner) };
    (Some(newest), ties as u64)
}

/// The newest delete among the rows of one key.
pub(super) fn newest_delete(group: &[Entry], rows: &RowsView<'_>) -> Option<usize> {
    group.iter().map(Entry::row).find(|row| rows.is_delete(*row))
}

/// Whether two rows would write the same bytes. A record that a producer wrote twice is no tie.
fn same_cell(rows: &RowsView<'_>, column: ColumnView<'_>, a: usize, b: usize) -> bool {
    let (mut left, mut right) = (CellScratch::default(), CellScratch::default());
    let value = |row: usize| if rows.is_delete(row) { None } else { column.values.value(row) };
    let a = value(a).map_or(&[][..], |value| value.cell_bytes(&mut left));
    let b = value(b).map_or(&[][..], |value| value.cell_bytes(&mut right));
    a == b
}
