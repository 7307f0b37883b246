//! Cells of a table back into rows: the way out of a cluster, for exports and backfills.
//!
//! The cells of one HBase row may have several versions; each version becomes one row of the batch, a `_deleted` cell a
//! delete. Folding and encoding these rows gives the cells that they were made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt8Array};
use hbase::cell::{Cell, CellKind};

use crate::decode::columns::ColumnBuilder;
use crate::model::rows::{Rows, RowsError};
use crate::model::schema::{Op, RowLayout};
use crate::model::value::Value;

/// Builds [`Rows`] from the cells of a table, row by row.
#[derive(Debug)]
pub struct RowsFromCells<'a> {
    layout: &'a RowLayout,
    keys: BinaryBuilder,
    versions: Vec<i64>,
    ops: Vec<u8>,
    columns: Vec<ColumnBuilder>,
}

/// Why a cell is none of the model's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// The model has no such column.
    #[error("read back column `{column}` of table `{table}`: the model has no such column")]
    UnknownColumn {
        /// The table.
        table: String,
        /// `family:qualifier`
        column: String,
    },
    /// The value is not of the column's type.
    #[error("read back column `{column}` of table `{table}`: {bytes} bytes are no {expected}")]
    WrongValue {
        /// The table.
        table: String,
        /// `family:qualifier`
        column: String,
        /// Length of the value.
        bytes: usize,
        /// Name of the type.
        expected: &'static str,
    },
    /// Delete markers are no values; a read without raw cells has none.
    #[error("read back table `{table}`: a delete marker")]
    Marker {
        /// The table.
        table: String,
    },
}

/// What one version of a row says.
#[derive(Default)]
struct Version<'c> {
    deleted: bool,
    /// Values by column index; `None` is a null.
    values: BTreeMap<usize, Option<Value<'c>>>,
}

impl<'a> RowsFromCells<'a> {
    /// An empty builder.
    #[must_use]
    pub fn new(layout: &'a RowLayout) -> Self {
        let columns = layout.columns().iter().map(|column| ColumnBuilder::new(column.data_type, 0)).collect();
        Self { layout, keys: BinaryBuilder::new(), versions: Vec::new(), ops: Vec::new(), columns }
    }

    /// Number of rows so far; an HBase row can be several.
    #[must_use]
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Adds the cells of one HBase row.
    ///
    /// # Errors
    /// [`CellError`]; the builder stays as it was.
    pub fn push(&mut self, key: &[u8], cells: &[Cell]) -> Result<(), CellError> {
        let mut versions: BTreeMap<i64, Version<'_>> = BTreeMap::new();
        for cell in cells {
            if cell.kind != CellKind::Put {
                return Err(CellError::Marker { table: self.layout.table().to_string() });
            }
            let version = versions.entry(cell.timestamp).or_default();
            let (family, qualifier) = self.layout.deleted_column();
            if cell.family == family.as_bytes() && cell.qualifier == qualifier.as_bytes() {
                version.deleted = true;
                continue;
            }
            let (index, value) = self.read(cell)?;
            version.values.insert(index, value);
        }
        for (timestamp, mut version) in versions {
            if version.deleted {
                // The delete empties all columns itself.
                version.values.retain(|_, value| value.is_some());
                self.append(key, timestamp, Op::Delete, &BTreeMap::new());
            }
            if !version.values.is_empty() {
                self.append(key, timestamp, Op::Put, &version.values);
            }
        }
        Ok(())
    }

    fn read<'c>(&self, cell: &'c Cell) -> Result<(usize, Option<Value<'c>>), CellError> {
        let columns = self.layout.columns();
        let found = columns.binary_search_by(|column| {
            (column.family.as_bytes(), column.qualifier.as_bytes()).cmp(&(&cell.family, &cell.qualifier))
        });
        let table = || self.layout.table().to_string();
        let column = found.ok().and_then(|index| Some((index, columns.get(index)?)));
        let Some((index, column)) = column else {
            let (family, qualifier) = (cell.family.escape_ascii(), cell.qualifier.escape_ascii());
            return Err(CellError::UnknownColumn { table: table(), column: format!("{family}:{qualifier}") });
        };
        if cell.value.is_empty() {
            return Ok((index, None));
        }
        let value = Value::from_cell_bytes(column.data_type, &cell.value).ok_or_else(|| CellError::WrongValue {
            table: table(),
            column: column.name(),
            bytes: cell.value.len(),
            expected: column.data_type.name(),
        })?;
        Ok((index, Some(value)))
    }

    fn append(&mut self, key: &[u8], version: i64, op: Op, values: &BTreeMap<usize, Option<Value<'_>>>) {
        self.keys.append_value(key);
        self.versions.push(version);
        self.ops.push(op as u8);
        for (index, column) in self.columns.iter_mut().enumerate() {
            match values.get(&index) {
                Some(Some(value)) => column.push(*value),
                Some(None) => column.push_null(),
                None => column.push_absent(),
            }
        }
    }

    /// The rows.
    ///
    /// # Errors
    /// [`RowsError`] if a key or version was none that a model makes.
    pub fn finish(mut self) -> Result<Rows, RowsError> {
        // Within one version a value stands above the delete that was put before it.
        let offsets: Vec<i64> = (0..self.versions.len() as i64).collect();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(Int64Array::from(self.versions)),
            Arc::new(UInt8Array::from(self.ops)),
            Arc::new(Int64Array::from(offsets)),
        ];
        let (of_model, cleared): (Vec<_>, Vec<_>) = self.columns.into_iter().map(ColumnBuilder::finish).unzip();
        columns.extend(of_model);
        let batch = RecordBatch::try_new(Arc::clone(self.layout.schema()), columns)
            .expect("the columns have the types and the length that the layout says");
        Rows::new(self.layout, batch, cleared)
    }
}
