//! A Parquet file of read-model rows as a bounded source: the other end of [`crate::export`].

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_schema::ArrowError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::model::row_file::{from_batch, schema};
use crate::model::rows::{Rows, RowsError};
use crate::model::schema::RowLayout;

/// Records of one batch.
const BATCH_RECORDS: usize = 8192;

/// Why a file's rows cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ParquetSourceError {
    /// The file cannot be opened.
    #[error("open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no Parquet file, or is broken.
    #[error("read {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// The file has other columns than the model.
    #[error("{} does not hold rows of table {table}: its columns are others than the model's", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The table.
        table: String,
    },
    /// A batch cannot be read.
    #[error("read a batch of {}", path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A row breaks the rules of rows.
    #[error("read a batch of {}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Which.
        #[source]
        source: RowsError,
    },
}

/// The rows of a file, batch by batch.
pub struct ParquetRows<'a> {
    path: PathBuf,
    layout: &'a RowLayout,
    reader: ParquetRecordBatchReader,
    records: u64,
}

impl std::fmt::Debug for ParquetRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetRows").field("path", &self.path).field("records", &self.records).finish_non_exhaustive()
    }
}

impl<'a> ParquetRows<'a> {
    /// Opens a file that holds rows of this layout.
    ///
    /// # Errors
    /// [`ParquetSourceError`]
    pub fn open(path: &Path, layout: &'a RowLayout) -> Result<Self, ParquetSourceError> {
        let file = File::open(path).map_err(|source| ParquetSourceError::Open { path: path.to_owned(), source })?;
        let parquet = |source| ParquetSourceError::Parquet { path: path.to_owned(), source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?;
        if builder.schema().fields() != schema(layout).fields() {
            return Err(ParquetSourceError::Schema { path: path.to_owned(), table: layout.table().to_string() });
        }
        let records = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let reader = builder.with_batch_size(BATCH_RECORDS).build().map_err(parquet)?;
        Ok(Self { path: path.to_owned(), layout, reader, records })
    }

    /// Records of the whole file.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }
}

impl Iterator for ParquetRows<'_> {
    type Item = Result<Rows, ParquetSourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        let arrow = |source| ParquetSourceError::Arrow { path: self.path.clone(), source };
        let rows = |source| ParquetSourceError::Rows { path: self.path.clone(), source };
        Some(batch.map_err(arrow).and_then(|batch| from_batch(&batch, self.layout).map_err(rows)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use hbase::cell::CellKind;
    use hbase::wire::cell_block;

    use super::*;
    use crate::chat::expect::Expected;
    use crate::chat::{Edits, Events};
    use crate::export::export;
    use crate::project::encode_rows;
    use crate::topology::load::load;
    use crate::verify::rows::Computed;

    /// Row key and qualifier, to version and value.
    type Cells = BTreeMap<(Bytes, Bytes), (i64, Bytes)>;

    #[tokio::test]
    async fn a_table_comes_back_from_its_file_cell_by_cell() {
        let topology = load(&["topology/stack.toml".into()]).expect("a legal topology").topology;
        let layout = RowLayout::of(&topology.models["message"]).expect("a layout");
        let mut expected = Expected::default();
        Events::new(3, Edits::Partial).take(5000).for_each(|event| expected.add(&event));
        let mut wanted: Vec<Vec<hbase::cell::Cell>> = expected.into_rows().collect();
        // A value that was set to null.
        let nulled = wanted[7].iter_mut().find(|cell| cell.qualifier == "account").expect("an account");
        nulled.value = Bytes::new();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("blue.parquet");
        let exported = export(&mut Computed(wanted.clone().into_iter()), &layout, &path).await.expect("exported");
        assert!(exported.records > exported.rows, "partial edits leave cells of several versions in a row");

        let mut found = Cells::new();
        for rows in ParquetRows::open(&path, &layout).expect("opens") {
            let encoded = encode_rows(&rows.expect("rows"), &layout).expect("encodes");
            for cell in cell_block::decode(encoded.rows.block.bytes()).expect("cells") {
                assert_eq!(cell.kind, CellKind::Put);
                let slot = found.entry((cell.row, cell.qualifier)).or_insert((-1, Bytes::new()));
                if cell.timestamp > slot.0 {
                    *slot = (cell.timestamp, cell.value);
                }
            }
        }
        let wanted: Cells = wanted
            .into_iter()
            .flatten()
            .map(|cell| ((cell.row, cell.qualifier), (cell.timestamp, cell.value)))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_file_that_is_no_parquet_is_named() {
        let topology = load(&["topology/stack.toml".into()]).expect("a legal topology").topology;
        let layout = RowLayout::of(&topology.models["message"]).expect("a layout");
        let error = ParquetRows::open(Path::new("Cargo.toml"), &layout).expect_err("not Parquet");
        assert_eq!(error.to_string(), "read Cargo.toml");
    }
}
