//! A table as a Parquet file of read-model rows, from which it can be restored cell by cell.
//!
//! A row whose cells have several versions becomes several records, one for each version, each with only the columns of
//! that version: so every cell keeps its own. A record has the columns of [`crate::model::schema`] and [`CLEARED`].
//! The file appears under its name only when it is whole and on disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int64Builder, UInt8Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use hbase::cell::Cell;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::decode::columns::ColumnBuilder;
use crate::model::schema::{DELETED_QUALIFIER, Op, RowLayout};
use crate::model::value::Value;
use crate::verify::rows::Rows;

/// Name of the column that says which nulls of a record are written as nulls: bit `i` of byte `i / 8` stands for the
/// model's column `i`. Null if there is none.
pub const CLEARED: &str = "_cleared";

/// Records of one batch.
const BATCH_RECORDS: usize = 8192;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Rows of the table.
    pub rows: u64,
    /// Cells of the table.
    pub cells: u64,
    /// Records of the file.
    pub records: u64,
}

/// Why a table was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The table cannot be read to its end.
    #[error("read the table")]
    Read(#[source] hbase::error::Error),
    /// A cell is not what the model says.
    #[error("row {row}: the cell {column} has {bytes} bytes, which is no {data_type} value")]
    Cell {
        /// The row key, hexadecimal.
        row: String,
        /// `family:qualifier`.
        column: String,
        /// Length of the value.
        bytes: usize,
        /// The type that the model says.
        data_type: String,
    },
    /// The batch cannot be made.
    #[error("build a record batch")]
    Arrow(#[source] ArrowError),
    /// The file cannot be written.
    #[error("write {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// The file cannot be made or synced.
    #[error("write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The schema of an exported file.
#[must_use]
pub fn schema(layout: &RowLayout) -> SchemaRef {
    let mut fields: Vec<_> = layout.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(CLEARED, DataType::Binary, true)));
    Arc::new(Schema::new(fields))
}

/// Writes all rows to `path`.
///
/// Dropped half-way, a file with the suffix `.part` is left.
///
/// # Errors
/// [`ExportError`]; nothing appears under `path` then.
pub async fn export(rows: &mut impl Rows, layout: &RowLayout, path: &Path) -> Result<Exported, ExportError> {
    let part = path.with_extension("part");
    let io = |source| ExportError::Io { path: path.to_owned(), source };
    let parquet = |source| ExportError::Parquet { path: path.to_owned(), source };
    let file = File::create(&part).map_err(io)?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(file, schema(layout), Some(properties)).map_err(parquet)?;
    let mut exported = Exported::default();
    let mut records = Records::new(layout);
    while let Some(row) = rows.next_row().await.map_err(ExportError::Read)? {
        exported.rows += 1;
        exported.cells += row.len() as u64;
        exported.records += records.add(&row)?;
        if records.count >= BATCH_RECORDS {
            let batch = std::mem::replace(&mut records, Records::new(layout)).finish()?;
            writer.write(&batch).map_err(parquet)?;
        }
    }
    writer.write(&records.finish()?).map_err(parquet)?;
    let file = writer.into_inner().map_err(parquet)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&part, path).map_err(io)?;
    Ok(exported)
}

/// Records of one batch under construction.
struct Records<'a> {
    layout: &'a RowLayout,
    count: usize,
    keys: BinaryBuilder,
    versions: Int64Builder,
    ops: UInt8Builder,
    offsets: Int64Builder,
    columns: Vec<ColumnBuilder>,
}

impl<'a> Records<'a> {
    fn new(layout: &'a RowLayout) -> Self {
        let column = |column: &crate::model::schema::ModelColumn| ColumnBuilder::new(column.data_type, BATCH_RECORDS);
        Self {
            layout,
            count: 0,
            keys: BinaryBuilder::new(),
            versions: Int64Builder::new(),
            ops: UInt8Builder::new(),
            offsets: Int64Builder::new(),
            columns: layout.columns().iter().map(column).collect(),
        }
    }

    /// Adds a row: one record for each version that its cells have. Returns how many.
    fn add(&mut self, row: &[Cell]) -> Result<u64, ExportError> {
        let mut versions: Vec<i64> = row.iter().map(|cell| cell.timestamp).collect();
        versions.sort_unstable();
        versions.dedup();
        for version in &versions {
            self.add_version(*version, row.iter().filter(|cell| cell.timestamp == *version))?;
        }
        Ok(versions.len() as u64)
    }

    fn add_version<'c>(
        &mut self,
        version: i64,
        cells: impl Iterator<Item = &'c Cell> + Clone,
    ) -> Result<(), ExportError> {
        let Some(first) = cells.clone().next() else { return Ok(()) };
        let (family, _) = self.layout.deleted_column();
        let is_deleted = cells
            .clone()
            .any(|cell| cell.family == family.as_bytes() && cell.qualifier == DELETED_QUALIFIER.as_bytes());
        for (column, builder) in self.layout.columns().iter().zip(&mut self.columns) {
            let mut cells = cells.clone();
            let cell = cells
                .find(|cell| cell.family == column.family.as_bytes() && cell.qualifier == column.qualifier.as_bytes());
            match cell {
                None => builder.push_absent(),
                Some(_) if is_deleted => builder.push_absent(),
                Some(cell) if cell.value.is_empty() => builder.push_null(),
                Some(cell) => match Value::from_cell_bytes(column.data_type, &cell.value) {
                    Some(value) => builder.push(value),
                    None => {
                        return Err(ExportError::Cell {
                            row: first.row.iter().map(|byte| format!("{byte:02x}")).collect(),
                            column: column.name(),
                            bytes: cell.value.len(),
                            data_type: format!("{:?}", column.data_type),
                        });
                    }
                },
            }
        }
        self.keys.append_value(&first.row);
        self.versions.append_value(version);
        self.ops.append_value(if is_deleted { Op::Delete as u8 } else { Op::Put as u8 });
        self.offsets.append_value(0);
        self.count += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<RecordBatch, ExportError> {
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(self.versions.finish()),
            Arc::new(self.ops.finish()),
            Arc::new(self.offsets.finish()),
        ];
        let mut cleared = Vec::new();
        for column in self.columns {
            let (array, bits) = column.finish();
            arrays.push(array);
            cleared.push(bits);
        }
        arrays.push(Arc::new(bitmaps(&cleared, self.count)));
        RecordBatch::try_new(schema(self.layout), arrays).map_err(ExportError::Arrow)
    }
}

/// One bitmap for each record.
fn bitmaps(cleared: &[Option<BooleanBuffer>], records: usize) -> arrow_array::BinaryArray {
    let mut builder = BinaryBuilder::new();
    for record in 0..records {
        let mut bits = vec![0_u8; cleared.len().div_ceil(8)];
        for (column, buffer) in cleared.iter().enumerate() {
            if buffer.as_ref().is_some_and(|buffer| buffer.value(record))
                && let Some(byte) = bits.get_mut(column / 8)
            {
                *byte |= 1 << (column % 8);
            }
        }
        if bits.iter().all(|byte| *byte == 0) {
            builder.append_null();
        } else {
            builder.append_value(&bits);
        }
    }
    builder.finish()
}
