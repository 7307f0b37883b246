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

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::cell::{CellKind, FAMILY_BYTES_MAX, ROW_BYTES_MAX};

/// Length fields before the key: kvLen, keyLen, valueLen.
const LENGTHS: usize = 12;
/// Bytes of a key beside row, family and qualifier: row length, family length, timestamp, type.
const KEY_FIXED: usize = 2 + 1 + 8 + 1;

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
}

/// Mutations in row order with their cells in one buffer. Cloning shares both.
#[derive(Clone, Debug)]
pub struct RowBlock {
    cells: Bytes,
    rows: Arc<[RowSpan]>,
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

/// Builds a [`RowBlock`], row by row in key order.
#[derive(Debug, Default)]
pub struct RowBlockBuilder {
    cells: Vec<u8>,
    rows: Vec<RowSpan>,
    key: Vec<u8>,
}

impl RowBlockBuilder {
    /// An empty builder with room for `cell_bytes` of cells and `rows` rows.
    #[must_use]
    pub fn with_capacity(cell_bytes: usize, rows: usize) -> Self {
        Self { cells: Vec::with_capacity(cell_bytes), rows: Vec::with_capacity(rows), key: Vec::with_capacity(64) }
    }

    /// Begins the next mutation. A row that gets no cell is left out of the block.
    ///
    /// # Errors
    /// [`BlockError::RowLength`], [`BlockError::OutOfOrder`]; the builder stays as it was.
    pub fn begin_row(&mut self, kind: MutationKind, key: &[u8]) -> Result<(), BlockError> {
        if key.is_empty() || key.len() > ROW_BYTES_MAX {
            return Err(BlockError::RowLength { bytes: key.len() });
        }
        if key < self.key.as_slice() {
            return Err(BlockError::OutOfOrder { row: self.rows.len() });
        }
        self.rows.pop_if(|row| row.cells == 0);
        let start = self.cells.len() as u32;
        self.key.clear();
        self.key.extend_from_slice(key);
        self.rows.push(RowSpan { start, end: start, cells: 0, kind });
        Ok(())
    }

    /// Adds a cell to the row begun last.
    ///
    /// # Errors
    /// [`BlockError::Full`]; the builder stays as it was.
    pub fn cell(&mut self, column: &Column, timestamp: i64, kind: CellKind, value: &[u8]) -> Result<(), BlockError> {
        let key_bytes = KEY_FIXED + self.key.len() + column.encoded.len() - 1;
        let total = LENGTHS + key_bytes + value.len();
        let end = u32::try_from(self.cells.len() + total).map_err(|_| BlockError::Full)?;
        let Some(row) = self.rows.last_mut() else {
            debug_assert!(false, "a cell before the first row");
            return Ok(());
        };
        debug_assert_eq!(kind.is_delete(), row.kind == MutationKind::Delete);
        self.cells.reserve(total);
        self.cells.extend_from_slice(&((8 + key_bytes + value.len()) as u32).to_be_bytes());
        self.cells.extend_from_slice(&(key_bytes as u32).to_be_bytes());
        self.cells.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.cells.extend_from_slice(&(self.key.len() as u16).to_be_bytes());
        self.cells.extend_from_slice(&self.key);
        self.cells.extend_from_slice(&column.encoded);
        self.cells.extend_from_slice(&timestamp.to_be_bytes());
        self.cells.push(kind.code());
        self.cells.extend_from_slice(value);
        row.end = end;
        row.cells += 1;
        Ok(())
    }

    /// The finished block.
    #[must_use]
    pub fn finish(mut self) -> RowBlock {
        self.rows.pop_if(|row| row.cells == 0);
        RowBlock { cells: Bytes::from(self.cells), rows: self.rows.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
