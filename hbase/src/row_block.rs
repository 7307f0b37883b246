//! Mutations of many rows, encoded once: the cells stand in one shared buffer in the bytes that go on the wire.
//!
//! A block is built in row order, so the rows of one region are one slice of the buffer. Every cluster with the same
//! table layout sends slices of the same block; nothing is encoded again when a region has moved or was split.
//! The cell format is HBase's `KeyValueCodec`:
//! `[u32 kvLen][u32 keyLen][u32 valueLen][u16 rowLen][row][u8 famLen][family][qualifier][u64 ts][u8 type][value]`.
//!
//! # Invariants
//! 1. Rows stand in ascending order of their keys; equal keys may follow each other (a delete, then a put).
//! 2. Every row has at least one cell, and all its cells carry its key.
//! 3. No timestamp is below zero ([`crate::cell::LATEST_TIMESTAMP`] is legal).
//!
//! # Cost
//! A cell is five copies into one buffer: its lengths, the row's template (row length and key), the column's template
//! (family length, family, qualifier), timestamp and kind, the value. Nothing is allocated for a cell.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::cell::{CellKind, FAMILY_BYTES_MAX, ROW_BYTES_MAX};
use crate::wire::cell_block::CellReader;

/// Length fields before the key: kvLen, keyLen, valueLen.
const LENGTHS: usize = 12;
/// The row length that stands before the row in every key.
const ROW_LENGTH: usize = 2;
/// The part of a cell that its own length does not count: that length.
const OWN_LENGTH: usize = 4;
/// What stands behind the qualifier in a key: timestamp and type.
const KEY_TAIL: usize = 8 + 1;

/// Whether the cells of a row are values or delete markers; one mutation holds only one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MutationKind {
    /// All cells are [`CellKind::Put`].
    Put,
    /// All cells are delete markers.
    Delete,
}

/// A column as it stands inside every key: family length, family, qualifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    encoded: Box<[u8]>,
}

impl Column {
    /// The column `family:qualifier`. An empty qualifier is legal.
    ///
    /// # Errors
    /// [`BlockError::FamilyLength`] if the family is empty or longer than [`FAMILY_BYTES_MAX`].
    pub fn new(family: &[u8], qualifier: &[u8]) -> Result<Self, BlockError> {
        if family.is_empty() || family.len() > FAMILY_BYTES_MAX {
            return Err(BlockError::FamilyLength { bytes: family.len() });
        }
        let mut encoded = Vec::with_capacity(1 + family.len() + qualifier.len());
        encoded.push(family.len() as u8);
        encoded.extend_from_slice(family);
        encoded.extend_from_slice(qualifier);
        Ok(Self { encoded: encoded.into_boxed_slice() })
    }
}

/// One mutation of one row inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSpan {
    start: u32,
    end: u32,
    cells: u32,
    kind: MutationKind,
}

impl RowSpan {
    /// Where the cells stand in [`RowBlock::bytes`].
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Number of cells.
    #[must_use]
    pub const fn cells(&self) -> u32 {
        self.cells
    }

    /// Put or delete.
    #[must_use]
    pub const fn kind(&self) -> MutationKind {
        self.kind
    }
}

/// Why a block cannot take what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The row key is empty or does not fit its length field.
    #[error("a row key of {bytes} bytes; it must have 1 to {ROW_BYTES_MAX}")]
    RowLength {
        /// Length of the offending key.
        bytes: usize,
    },
    /// The family name is empty or does not fit its length field.
    #[error("a column family name of {bytes} bytes; it must have 1 to {FAMILY_BYTES_MAX}")]
    FamilyLength {
        /// Length of the offending name.
        bytes: usize,
    },
    /// The row sorts before the one written last.
    #[error("row {row} of the block is out of order")]
    OutOfOrder {
        /// Index of the offending row.
        row: usize,
    },
    /// The block would outgrow its 32-bit offsets.
    #[error("the block would exceed 4 GiB")]
    Full,
    /// HBase's timestamps are not negative (`Mutation.setTimestamp`).
    #[error("a timestamp of {timestamp}; it must not be below zero")]
    TimestampBelowZero {
        /// The offending timestamp.
        timestamp: i64,
    },
}

/// Where a cell stands in a block, for errors that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellPlace {
    /// Index of its row in [`RowBlock::rows`].
    pub row: usize,
    /// Row key.
    pub key: Bytes,
    /// `family:qualifier`, escaped.
    pub column: String,
    /// Size as HBase measures it (`Cell.getSerializedSize`), in bytes.
    pub bytes: usize,
}

/// Mutations in row order with their cells in one buffer. Cloning shares both.
#[derive(Clone, Debug)]
pub struct RowBlock {
    cells: Bytes,
    rows: Arc<[RowSpan]>,
    largest_cell: usize,
}

impl RowBlock {
    /// The encoded cells of all rows.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.cells
    }

    /// The mutations, in row order.
    #[must_use]
    pub fn rows(&self) -> &[RowSpan] {
        &self.rows
    }

    /// Number of cells of all rows.
    #[must_use]
    pub fn cell_count(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.cells)).sum()
    }

    /// Size of the largest cell as HBase measures it (`Cell.getSerializedSize`: all but the cell's own length field), in
    /// bytes; 0 without cells. `hbase.client.keyvalue.maxsize` is compared with it.
    #[must_use]
    pub fn largest_cell(&self) -> usize {
        self.largest_cell
    }

    /// The first cell that is larger than `limit` bytes as HBase measures them.
    #[must_use]
    pub fn cell_above(&self, limit: usize) -> Option<CellPlace> {
        if self.largest_cell <= limit {
            return None;
        }
        for (index, row) in self.rows.iter().enumerate() {
            let mut reader = CellReader::new(self.cells.slice(row.range()));
            let mut left = row.range().len();
            while let Ok(Some(cell)) = reader.next_cell() {
                let bytes = left - reader.left() - OWN_LENGTH;
                left = reader.left();
                if bytes > limit {
                    let column = format!("{}:{}", cell.family.escape_ascii(), cell.qualifier.escape_ascii());
                    return Some(CellPlace { row: index, key: cell.row, column, bytes });
                }
            }
        }
        None
    }

    /// The cells of mutations that stand together: one slice of the block's bytes.
    #[must_use]
    pub fn cells_of(&self, rows: Range<usize>) -> Bytes {
        let rows = self.rows.get(rows).unwrap_or_default();
        match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => self.cells.slice(first.range().start..last.range().end),
            _ => Bytes::new(),
        }
    }

    /// A block of its own with a copy of these mutations: it no longer keeps this block's bytes in memory.
    #[must_use]
    pub fn copy_of(&self, rows: Range<usize>) -> Self {
        let cells = Bytes::copy_from_slice(&self.cells_of(rows.clone()));
        let rows = self.rows.get(rows).unwrap_or_default();
        let moved = rows.first().map_or(0, |row| row.start);
        let rows = rows.iter().map(|row| RowSpan { start: row.start - moved, end: row.end - moved, ..*row }).collect();
        Self { cells, rows, largest_cell: self.largest_cell }
    }

    /// The row key of a mutation of this block.
    #[must_use]
    pub fn key(&self, row: &RowSpan) -> &[u8] {
        let start = row.start as usize + LENGTHS;
        self.cells
            .get(start..start + 2)
            .and_then(|length| <[u8; 2]>::try_from(length).ok())
            .and_then(|length| self.cells.get(start + 2..start + 2 + usize::from(u16::from_be_bytes(length))))
            .unwrap_or_default()
    }
}

/// The part of a block's bytes that may be allocated beside them.
const SLACK: usize = 8;

/// Builds a [`RowBlock`], row by row in key order.
#[derive(Debug, Default)]
pub struct RowBlockBuilder {
    cells: Vec<u8>,
    rows: Vec<RowSpan>,
    /// What every cell of the row has before its family: row length and key. Empty before the first row.
    template: Vec<u8>,
    largest_cell: usize,
}

impl RowBlockBuilder {
    /// An empty builder with room for `cell_bytes` of cells and `rows` rows.
    #[must_use]
    pub fn with_capacity(cell_bytes: usize, rows: usize) -> Self {
        Self {
            cells: Vec::with_capacity(cell_bytes),
            rows: Vec::with_capacity(rows),
            template: Vec::with_capacity(64),
            largest_cell: 0,
        }
    }

    /// Begins the next mutation. A row that gets no cell is left out of the block.
    ///
    /// # Errors
    /// [`BlockError::RowLength`], [`BlockError::OutOfOrder`]; the builder stays as it was.
    pub fn begin_row(&mut self, kind: MutationKind, key: &[u8]) -> Result<(), BlockError> {
        if key.is_empty() || key.len() > ROW_BYTES_MAX {
            return Err(BlockError::RowLength { bytes: key.len() });
        }
        if self.template.get(ROW_LENGTH..).is_some_and(|last| key < last) {
            return Err(BlockError::OutOfOrder { row: self.rows.len() });
        }
        self.rows.pop_if(|row| row.cells == 0);
        // A block lives as long as its slowest cluster; what it does not need goes back at once.
        if self.cells.capacity() - self.cells.len() > self.cells.len() / SLACK {
            self.cells.shrink_to_fit();
        }
        let start = self.cells.len() as u32;
        self.template.clear();
        self.template.extend_from_slice(&(key.len() as u16).to_be_bytes());
        self.template.extend_from_slice(key);
        self.rows.push(RowSpan { start, end: start, cells: 0, kind });
        Ok(())
    }

    /// Adds a cell to the row begun last.
    ///
    /// # Errors
    /// [`BlockError::Full`], [`BlockError::TimestampBelowZero`]; the builder stays as it was.
    #[inline]
    pub fn cell(&mut self, column: &Column, timestamp: i64, kind: CellKind, value: &[u8]) -> Result<(), BlockError> {
        if timestamp < 0 {
            return Err(BlockError::TimestampBelowZero { timestamp });
        }
        let key_bytes = self.template.len() + column.encoded.len() + KEY_TAIL;
        let total = LENGTHS + key_bytes + value.len();
        let end = u32::try_from(self.cells.len() + total).map_err(|_| BlockError::Full)?;
        let Some(row) = self.rows.last_mut() else {
            debug_assert!(false, "a cell before the first row");
            return Ok(());
        };
        debug_assert_eq!(kind.is_delete(), row.kind == MutationKind::Delete);
        let lengths = u128::from((total - OWN_LENGTH) as u32) << 64
            | u128::from(key_bytes as u32) << 32
            | u128::from(value.len() as u32);
        let [_, _, _, _, lengths @ ..]: [u8; 16] = lengths.to_be_bytes();
        let tail = (u128::from(timestamp as u64) << 8) | u128::from(kind.code());
        let [_, _, _, _, _, _, _, tail @ ..]: [u8; 16] = tail.to_be_bytes();
        self.cells.reserve(total);
        self.cells.extend_from_slice(&lengths);
        self.cells.extend_from_slice(&self.template);
        self.cells.extend_from_slice(&column.encoded);
        self.cells.extend_from_slice(&tail);
        self.cells.extend_from_slice(value);
        row.end = end;
        row.cells += 1;
        self.largest_cell = self.largest_cell.max(total - OWN_LENGTH);
        Ok(())
    }

    /// The finished block.
    #[must_use]
    pub fn finish(mut self) -> RowBlock {
        self.rows.pop_if(|row| row.cells == 0);
        // A block lives as long as its slowest cluster; what it does not need goes back at once.
        if self.cells.capacity() - self.cells.len() > self.cells.len() / SLACK {
            self.cells.shrink_to_fit();
        }
        RowBlock { cells: Bytes::from(self.cells), rows: self.rows.into(), largest_cell: self.largest_cell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::LATEST_TIMESTAMP;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn cell_bytes_equal_those_of_key_value_codec() {
        let mut builder = RowBlockBuilder::default();
        let column = Column::new(b"d", b"q").expect("legal family");
        builder.begin_row(MutationKind::Put, b"r1").expect("legal row");
        builder.cell(&column, 1, CellKind::Put, b"v").expect("room");
        let block = builder.finish();
        assert_eq!(hex(block.bytes()), "0000001900000010000000010002723101647100000000000000010476");
        assert_eq!(block.rows().iter().map(|row| block.key(row)).collect::<Vec<_>>(), [b"r1"]);
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        let mut builder = RowBlockBuilder::default();
        let column = Column::new(b"d", b"q").expect("legal family");
        builder.begin_row(MutationKind::Put, b"b").expect("legal row");
        builder.cell(&column, 1, CellKind::Put, b"v").expect("room");
        assert_eq!(builder.begin_row(MutationKind::Put, b"a"), Err(BlockError::OutOfOrder { row: 1 }));
        builder.begin_row(MutationKind::Put, b"b").expect("equal keys may follow each other");
    }

    #[test]
    fn a_row_without_cells_is_left_out() {
        let mut builder = RowBlockBuilder::default();
        let column = Column::new(b"d", b"q").expect("legal family");
        builder.begin_row(MutationKind::Put, b"a").expect("legal row");
        builder.begin_row(MutationKind::Put, b"b").expect("legal row");
        builder.cell(&column, 1, CellKind::Put, b"v").expect("room");
        builder.begin_row(MutationKind::Put, b"c").expect("legal row");
        let block = builder.finish();
        assert_eq!(block.rows().iter().map(|row| block.key(row)).collect::<Vec<_>>(), [b"b"]);
    }

    #[test]
    fn a_timestamp_below_zero_is_refused_and_leaves_no_trace() {
        let mut builder = RowBlockBuilder::default();
        let column = Column::new(b"d", b"q").expect("legal family");
        builder.begin_row(MutationKind::Put, b"a").expect("legal row");
        let refused = builder.cell(&column, -1, CellKind::Put, b"v");
        assert_eq!(refused, Err(BlockError::TimestampBelowZero { timestamp: -1 }));
        builder.cell(&column, LATEST_TIMESTAMP, CellKind::Put, b"v").expect("the latest timestamp is legal");
        assert_eq!(builder.finish().cell_count(), 1);
    }

    #[test]
    fn the_first_cell_above_a_limit_is_named() {
        let mut builder = RowBlockBuilder::default();
        let (small, large) = (Column::new(b"d", b"q").expect("legal"), Column::new(b"d", b"\x00big").expect("legal"));
        for row in [b"a", b"b", b"c"] {
            builder.begin_row(MutationKind::Put, row).expect("legal row");
            builder.cell(&small, 1, CellKind::Put, b"v").expect("room");
            builder.cell(&large, 1, CellKind::Put, if row == b"a" { b"v" } else { &[7; 100] }).expect("room");
        }
        let block = builder.finish();
        // 8 for two lengths, a key of 2 + 1 + 1 + 1 + 4 + 8 + 1, the value.
        assert_eq!(block.largest_cell(), 8 + 18 + 100);
        assert_eq!(block.cell_above(126), None);
        let place = CellPlace { row: 1, key: "b".into(), column: "d:\\x00big".to_owned(), bytes: 126 };
        assert_eq!(block.cell_above(125), Some(place));
    }

    #[test]
    fn a_copied_part_has_the_same_rows_in_bytes_of_its_own() {
        let mut builder = RowBlockBuilder::default();
        let column = Column::new(b"d", b"q").expect("legal family");
        for row in [b"a", b"b", b"c", b"d"] {
            builder.begin_row(MutationKind::Put, row).expect("legal row");
            builder.cell(&column, 1, CellKind::Put, row).expect("room");
        }
        let block = builder.finish();
        let copy = block.copy_of(1..3);
        assert_eq!(copy.bytes(), &block.cells_of(1..3));
        assert_eq!(copy.rows().iter().map(|row| copy.key(row)).collect::<Vec<_>>(), [b"b", b"c"]);
    }
}
