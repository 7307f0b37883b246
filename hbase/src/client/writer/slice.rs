//! Rows of one caller's block that go to one lane: a range of rows, and the very bytes they were encoded to.

use std::ops::Range;

use bytes::Bytes;

use crate::mutation::Durability;
use crate::row_block::{RowBlock, RowSpan};

/// Which write the rows belong to.
pub(super) type TicketId = u64;

/// Rows that stand together in a block. Never empty.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    block: RowBlock,
    rows: Range<usize>,
    /// Place of the block's first row in the caller's block.
    base: usize,
    pub(super) ticket: TicketId,
    pub(super) durability: Durability,
    /// Whether the pool has given credits for its bytes.
    pub(super) is_credited: bool,
    /// A batch ends behind this slice: it is a part of one that was refused as a whole.
    pub(super) ends_batch: bool,
}

impl Slice {
    /// All rows of a block; `None` if it has none.
    pub(super) fn whole(block: RowBlock, ticket: TicketId, durability: Durability) -> Option<Self> {
        let rows = 0..block.rows().len();
        let slice = Self { block, rows, base: 0, ticket, durability, is_credited: false, ends_batch: false };
        (!slice.rows.is_empty()).then_some(slice)
    }

    pub(super) fn rows(&self) -> &[RowSpan] {
        self.block.rows().get(self.rows.clone()).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn cells(&self) -> Bytes {
        self.block.cells_of(self.rows.clone())
    }

    /// Bytes of its cells.
    pub(super) fn bytes(&self) -> usize {
        match (self.rows().first(), self.rows().last()) {
            (Some(first), Some(last)) => last.range().end - first.range().start,
            _ => 0,
        }
    }

    pub(super) fn first_key(&self) -> &[u8] {
        self.rows().first().map(|row| self.block.key(row)).unwrap_or_default()
    }

    /// Key of the row at this place of the slice.
    pub(super) fn key(&self, place: usize) -> &[u8] {
        self.rows().get(place).map(|row| self.block.key(row)).unwrap_or_default()
    }

    /// Place in the caller's block of the row at this place of the slice.
    pub(super) fn callers_row(&self, place: usize) -> usize {
        self.base + self.rows.start + place
    }

    /// Number of rows before `end` (empty is the end of the table).
    pub(super) fn rows_before(&self, end: &[u8]) -> usize {
        if end.is_empty() { self.len() } else { self.rows().partition_point(|row| self.block.key(row) < end) }
    }

    /// Number of rows, at least one, whose cells are at most `bytes`.
    pub(super) fn rows_within(&self, bytes: usize) -> usize {
        let start = self.rows().first().map_or(0, |row| row.range().start);
        self.rows().partition_point(|row| row.range().end - start <= bytes).max(1)
    }

    /// Takes the first `count` rows off; `None` if there would be none. What is left may be empty and must be dropped
    /// then.
    pub(super) fn take(&mut self, count: usize) -> Option<Self> {
        let count = count.min(self.len());
        let middle = self.rows.start + count;
        let head = Self { rows: self.rows.start..middle, ends_batch: false, ..self.clone() };
        self.rows.start = middle;
        (count > 0).then_some(head)
    }

    /// Bytes that stay in memory because of it.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.block.bytes().len()
    }

    /// Whether these rows are some of that slice's.
    pub(super) fn is_of(&self, whole: &Self) -> bool {
        self.ticket == whole.ticket
            && (self.block.bytes().as_ptr(), self.base) == (whole.block.bytes().as_ptr(), whole.base)
            && whole.rows.start <= self.rows.start
            && self.rows.end <= whole.rows.end
    }

    /// The rows at these places of the slice; `None` if there are none.
    pub(super) fn part(&self, places: Range<usize>) -> Option<Self> {
        let rows = self.rows.start + places.start..self.rows.start + places.end.min(self.len());
        (!rows.is_empty()).then(|| Self { rows, ends_batch: false, ..self.clone() })
    }

    /// The same rows in bytes of their own, so that the block they came with can be freed.
    pub(super) fn detached(&self) -> Self {
        let block = self.block.copy_of(self.rows.clone());
        Self { base: self.base + self.rows.start, rows: 0..block.rows().len(), block, ..self.clone() }
    }
}

/// Places of equal keys: for a row that must be sent again, those of `later` that must follow it.
pub(super) fn places_of(slice: &Slice, key: &[u8]) -> Range<usize> {
    let start = slice.rows_before(key);
    let count =
        slice.rows().get(start..).unwrap_or_default().iter().take_while(|row| slice.block.key(row) == key).count();
    start..start + count
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cell::CellKind;
    use crate::row_block::{Column, MutationKind, RowBlockBuilder};

    /// A block with one small cell a key.
    pub(in super::super) fn block(keys: &[&str], version: i64) -> RowBlock {
        let column = Column::new(b"f", b"q").expect("legal");
        let mut builder = RowBlockBuilder::default();
        for key in keys {
            builder.begin_row(MutationKind::Put, key.as_bytes()).expect("in order");
            builder.cell(&column, version, CellKind::Put, b"value").expect("room");
        }
        builder.finish()
    }

    fn keys(slice: &Slice) -> Vec<String> {
        (0..slice.len()).map(|place| String::from_utf8_lossy(slice.key(place)).into_owned()).collect()
    }

    #[test]
    fn parts_keep_their_places_in_the_callers_block_even_when_detached() {
        let mut rest = Slice::whole(block(&["a", "b", "c", "d", "e"], 1), 7, Durability::SyncWal).expect("rows");
        let head = rest.take(2).expect("rows");
        assert_eq!(
            (keys(&head), keys(&rest)),
            (vec!["a".into(), "b".into()], vec!["c".into(), "d".into(), "e".into()])
        );
        let detached = rest.detached();
        assert_eq!(detached.cells(), rest.cells());
        let part = detached.part(1..3).expect("rows");
        assert_eq!((part.callers_row(0), part.callers_row(1)), (3, 4));
        assert_eq!(part.detached().callers_row(1), 4);
    }

    #[test]
    fn rows_are_counted_by_key_and_by_bytes() {
        let slice = Slice::whole(block(&["a", "b", "b", "c"], 1), 7, Durability::SyncWal).expect("rows");
        assert_eq!([slice.rows_before(b"b"), slice.rows_before(b"bb"), slice.rows_before(b"")], [1, 3, 4]);
        assert_eq!(places_of(&slice, b"b"), 1..3);
        assert_eq!(places_of(&slice, b"x"), 4..4);
        let row = slice.bytes() / 4;
        assert_eq!([slice.rows_within(0), slice.rows_within(2 * row), slice.rows_within(99 * row)], [1, 2, 4]);
    }
}
