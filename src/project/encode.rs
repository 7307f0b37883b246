//! Folded rows to HBase cells, once for all clusters of a layout.

use std::sync::Arc;

use hbase::cell::CellKind;
use hbase::row_block::{BlockError, Column, MutationKind, RowBlockBuilder};

use crate::model::batch::TableRows;
use crate::model::rows::{Rows, RowsView};
use crate::model::schema::{CellSource, DELETED_VALUE, DeleteMode, RowLayout};
use crate::model::value::CellScratch;
use crate::project::fold::{self, Entry, Newest};

/// Folds and encodes the rows of one table; reuses its buffers.
#[derive(Debug, Default)]
pub struct Encoder {
    entries: Vec<Entry>,
    /// What a row of the last block took: those of the next one will be alike.
    row_bytes: usize,
}

/// A folded and encoded batch.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The mutations.
    pub rows: TableRows,
    /// Number of cells in them.
    pub cells: u64,
    /// Cells of two different events with one version.
    pub ties: u64,
}

/// Why rows cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The rows were made for another layout.
    #[error("encode rows of table `{table}`: they have another layout")]
    Layout {
        /// The table.
        table: String,
    },
    /// The batch is too large for one block.
    #[error("encode rows of table `{table}`")]
    Block {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: BlockError,
    },
}

/// Folds and encodes rows that do not come from a lane: those of a backfill.
///
/// # Errors
/// [`EncodeError`]
pub fn encode_rows(rows: &Rows, layout: &RowLayout) -> Result<Encoded, EncodeError> {
    Encoder::default().encode(rows, layout)
}

impl Encoder {
    /// The newest cells of these rows, encoded in row and column order.
    ///
    /// # Errors
    /// [`EncodeError`]
    pub fn encode(&mut self, rows: &Rows, layout: &RowLayout) -> Result<Encoded, EncodeError> {
        let table = || layout.table().to_string();
        let view = rows.view(layout).ok_or_else(|| EncodeError::Layout { table: table() })?;
        fold::sort(&view, &mut self.entries);
        let block = RowBlockBuilder::with_capacity(view.len() * (self.row_bytes + self.row_bytes / 8), view.len());
        let mut writer = Writer { rows: &view, layout, block, ties: 0 };
        for group in fold::groups(&view, &self.entries) {
            let written = match layout.delete() {
                DeleteMode::Tombstone => writer.write_tombstoned(group),
                DeleteMode::Marker => writer.write_marked(group),
            };
            written.map_err(|source| EncodeError::Block { table: table(), source })?;
        }
        let ties = writer.ties;
        let block = writer.block.finish();
        self.row_bytes = block.bytes().len() / view.len().max(1);
        let cells = block.cell_count();
        Ok(Encoded { rows: TableRows { table: Arc::clone(layout.table()), block }, cells, ties })
    }
}

struct Writer<'a> {
    rows: &'a RowsView<'a>,
    layout: &'a RowLayout,
    block: RowBlockBuilder,
    ties: u64,
}

impl Writer<'_> {
    /// Deletes are values like all others: empty cells, and the tombstone.
    fn write_tombstoned(&mut self, group: &[Entry]) -> Result<(), BlockError> {
        let Some(first) = group.first() else { return Ok(()) };
        self.block.begin_row(MutationKind::Put, self.rows.key(first.row()))?;
        let deleted = fold::newest_delete(group, self.rows);
        for cell in self.layout.cells() {
            match cell.source {
                CellSource::Column(index) => self.write_newest(group, index, &cell.column)?,
                CellSource::Deleted => {
                    if let Some(row) = deleted {
                        let version = self.rows.version(row);
                        self.block.cell(&cell.column, version, CellKind::Put, DELETED_VALUE)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A marker masks all versions up to its own, so only newer rows are written beside it.
    fn write_marked(&mut self, group: &[Entry]) -> Result<(), BlockError> {
        let Some(first) = group.first() else { return Ok(()) };
        let key = self.rows.key(first.row());
        let mut newer = group;
        if let Some(row) = fold::newest_delete(group, self.rows) {
            let deleted = self.rows.version(row);
            self.block.begin_row(MutationKind::Delete, key)?;
            for family in self.layout.families() {
                self.block.cell(family, deleted, CellKind::DeleteFamily, &[])?;
            }
            let end = group.partition_point(|entry| self.rows.version(entry.row()) > deleted);
            let (alive, masked) = group.split_at(end);
            newer = alive;
            self.ties += self.masked_cells(masked, deleted);
        }
        self.block.begin_row(MutationKind::Put, key)?;
        for cell in self.layout.cells() {
            if let CellSource::Column(index) = cell.source {
                self.write_newest(newer, index, &cell.column)?;
            }
        }
        Ok(())
    }

    /// Cells of puts that have the very version of the delete: the delete wins, whatever their offsets.
    fn masked_cells(&self, masked: &[Entry], deleted: i64) -> u64 {
        let puts = masked
            .iter()
            .map(Entry::row)
            .take_while(|row| self.rows.version(*row) == deleted)
            .filter(|row| !self.rows.is_delete(*row));
        puts.map(|row| self.rows.columns.iter().filter(|column| column.speaks(row)).count() as u64).sum()
    }

    #[inline]
    fn write_newest(&mut self, group: &[Entry], index: usize, name: &Column) -> Result<(), BlockError> {
        let Some(column) = self.rows.columns.get(index) else { return Ok(()) };
        let row = match group {
            [only] if !self.rows.is_delete(only.row()) => only.row(),
            _ => {
                let (newest, ties) = fold::newest(group, self.rows, *column);
                self.ties += ties;
                match newest {
                    None => return Ok(()),
                    Some(Newest::Row(row)) => row,
                    Some(Newest::Delete(row)) => {
                        return self.block.cell(name, self.rows.version(row), CellKind::Put, &[]);
                    }
                }
            }
        };
        let mut scratch = CellScratch::default();
        let bytes = match column.values.value(row) {
            Some(value) => value.cell_bytes(&mut scratch),
            None if column.is_cleared(row) => &[],
            None => return Ok(()),
        };
        self.block.cell(name, self.rows.version(row), CellKind::Put, bytes)
    }
}
