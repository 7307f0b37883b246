//! A table as a Parquet file of read-model rows, from which it can be restored cell by cell.
//!
//! A row whose cells have several versions becomes several records, one for each version (see [`RowsFromCells`]); the
//! columns are those of [`crate::model::row_file`]. The file appears under its name only when it is whole and on disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::model::row_file::{schema, to_batch};
use crate::model::rows::RowsError;
use crate::model::schema::RowLayout;
use crate::project::{CellError, RowsFromCells};
use crate::verify::rows::Rows;

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
    #[error("row {row}")]
    Cell {
        /// The row key, hexadecimal.
        row: String,
        /// What is wrong with it.
        #[source]
        source: CellError,
    },
    /// The batch cannot be made.
    #[error("build a record batch")]
    Rows(#[source] RowsError),
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
    let mut records = RowsFromCells::new(layout);
    while let Some(row) = rows.next_row().await.map_err(ExportError::Read)? {
        let Some(first) = row.first() else { continue };
        exported.rows += 1;
        exported.cells += row.len() as u64;
        records.push(&first.row, &row).map_err(|source| ExportError::Cell {
            row: first.row.iter().map(|byte| format!("{byte:02x}")).collect(),
            source,
        })?;
        if records.len() >= BATCH_RECORDS {
            let whole = std::mem::replace(&mut records, RowsFromCells::new(layout));
            exported.records += write(&mut writer, whole, layout, path)?;
        }
    }
    exported.records += write(&mut writer, records, layout, path)?;
    let file = writer.into_inner().map_err(parquet)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&part, path).map_err(io)?;
    Ok(exported)
}

/// Writes one batch; returns its records.
fn write(
    writer: &mut ArrowWriter<File>,
    records: RowsFromCells<'_>,
    layout: &RowLayout,
    path: &Path,
) -> Result<u64, ExportError> {
    let count = records.len() as u64;
    let batch = to_batch(&records.finish().map_err(ExportError::Rows)?, layout);
    writer.write(&batch).map_err(|source| ExportError::Parquet { path: path.to_owned(), source })?;
    Ok(count)
}
