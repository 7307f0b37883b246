//! Read-model rows before they are folded: an Arrow record batch, checked once.

use arrow_array::{Array, BinaryArray, Int64Array, RecordBatch, UInt8Array};
use arrow_buffer::BooleanBuffer;
use hbase::cell::ROW_BYTES_MAX;

use crate::model::schema::{FIXED_COLUMNS, Op, RowLayout};
use crate::model::value::TypedColumn;

/// Rows of one table in no particular order, with any number of rows of one key.
///
/// # Invariants
/// 1. The batch has the schema of its [`RowLayout`].
/// 2. Every key has 1 to [`ROW_BYTES_MAX`] bytes, every version is at least 0, every operation is an [`Op`].
/// 3. A value that is null in the batch is written as a null (an empty cell) if its bit in `cleared` is set, and is
///    not written at all if it is not.
#[derive(Clone, Debug)]
pub struct Rows {
    batch: RecordBatch,
    cleared: Vec<Option<BooleanBuffer>>,
}

/// Why a record batch does not hold rows of a layout.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// Other columns than the layout's.
    #[error("take rows for table `{table}`: the batch has another schema")]
    Schema {
        /// The table.
        table: String,
    },
    /// The bitmaps are not one for each column with a bit for each row.
    #[error("take rows for table `{table}`: the bitmaps of cleared values do not fit the batch")]
    Cleared {
        /// The table.
        table: String,
    },
    /// A row key that HBase cannot have.
    #[error("take rows for table `{table}`: the key of row {row} has {bytes} bytes, it must have 1 to {ROW_BYTES_MAX}")]
    Key {
        /// The table.
        table: String,
        /// Index of the row.
        row: usize,
        /// Length of its key.
        bytes: usize,
    },
    /// A negative version.
    #[error("take rows for table `{table}`: row {row} has the negative version {version}")]
    Version {
        /// The table.
        table: String,
        /// Index of the row.
        row: usize,
        /// The version.
        version: i64,
    },
    /// An unknown operation.
    #[error("take rows for table `{table}`: row {row} has the unknown operation {code}")]
    Op {
        /// The table.
        table: String,
        /// Index of the row.
        row: usize,
        /// The code found.
        code: u8,
    },
}

impl Rows {
    /// The rows in this batch. `cleared` has one entry for each column of the model, in the order of the layout.
    ///
    /// # Errors
    /// [`RowsError`] if an invariant does not hold.
    pub fn new(layout: &RowLayout, batch: RecordBatch, cleared: Vec<Option<BooleanBuffer>>) -> Result<Self, RowsError> {
        let table = || layout.table().to_string();
        if batch.schema_ref() != layout.schema() {
            return Err(RowsError::Schema { table: table() });
        }
        let fits = cleared.iter().flatten().all(|bits| bits.len() == batch.num_rows());
        if cleared.len() != layout.columns().len() || !fits {
            return Err(RowsError::Cleared { table: table() });
        }
        let rows = Self { batch, cleared };
        let view = rows.view(layout).ok_or_else(|| RowsError::Schema { table: table() })?;
        for row in 0..view.len() {
            let bytes = view.key(row).len();
            if bytes == 0 || bytes > ROW_BYTES_MAX {
                return Err(RowsError::Key { table: table(), row, bytes });
            }
            let version = view.version(row);
            if version < 0 {
                return Err(RowsError::Version { table: table(), row, version });
            }
            let code = view.ops.value(row);
            if Op::from_code(code).is_none() {
                return Err(RowsError::Op { table: table(), row, code });
            }
        }
        Ok(rows)
    }

    /// The record batch.
    #[must_use]
    pub const fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// For each column of the model, which of its nulls are written; `None` is none of them.
    #[must_use]
    pub fn cleared(&self) -> &[Option<BooleanBuffer>] {
        &self.cleared
    }

    /// The columns, downcast; `None` if the batch is not of this layout.
    pub(crate) fn view<'a>(&'a self, layout: &RowLayout) -> Option<RowsView<'a>> {
        let columns = self.batch.columns();
        let [keys, versions, ops, offsets] = columns.first_chunk::<FIXED_COLUMNS>()?;
        let mut cells = Vec::with_capacity(layout.columns().len());
        let of_model = columns.get(FIXED_COLUMNS..)?;
        if of_model.len() != layout.columns().len() {
            return None;
        }
        for ((array, column), cleared) in of_model.iter().zip(layout.columns()).zip(&self.cleared) {
            cells.push(ColumnView { values: TypedColumn::new(array, column.data_type)?, cleared: cleared.as_ref() });
        }
        Some(RowsView {
            keys: keys.as_any().downcast_ref()?,
            versions: versions.as_any().downcast_ref()?,
            ops: ops.as_any().downcast_ref()?,
            offsets: offsets.as_any().downcast_ref()?,
            columns: cells,
        })
    }
}

/// Rows with their columns downcast.
#[derive(Debug)]
pub(crate) struct RowsView<'a> {
    keys: &'a BinaryArray,
    versions: &'a Int64Array,
    ops: &'a UInt8Array,
    offsets: &'a Int64Array,
    pub(crate) columns: Vec<ColumnView<'a>>,
}

/// A column of the model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnView<'a> {
    pub(crate) values: TypedColumn<'a>,
    cleared: Option<&'a BooleanBuffer>,
}

impl<'a> RowsView<'a> {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    #[inline]
    pub(crate) fn key(&self, row: usize) -> &'a [u8] {
        self.keys.value(row)
    }

    #[inline]
    pub(crate) fn version(&self, row: usize) -> i64 {
        self.versions.value(row)
    }

    #[inline]
    pub(crate) fn offset(&self, row: usize) -> i64 {
        self.offsets.value(row)
    }

    #[inline]
    pub(crate) fn is_delete(&self, row: usize) -> bool {
        self.ops.value(row) == Op::Delete as u8
    }
}

impl ColumnView<'_> {
    /// Whether the row says something about this column: a value or a null.
    #[inline]
    pub(crate) fn speaks(&self, row: usize) -> bool {
        self.values.is_valid(row) || self.is_cleared(row)
    }

    #[inline]
    pub(crate) fn is_cleared(&self, row: usize) -> bool {
        self.cleared.is_some_and(|bits| bits.value(row))
    }
}
