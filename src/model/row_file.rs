//! Rows as they stand in files: the columns of the row batch, and one more for each column of the model that tells a
//! null that is written from a value that is absent.
//!
//! A Parquet file of this schema is an export of a table that can be loaded again, cell for cell.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::model::rows::{Rows, RowsError};
use crate::model::schema::{FIXED_COLUMNS, RowLayout};

/// Prefix of the columns that say which nulls are written: `_null:family:qualifier`.
pub const NULL_PREFIX: &str = "_null:";

/// The schema of files with rows of this layout.
#[must_use]
pub fn schema(layout: &RowLayout) -> SchemaRef {
    let mut fields: Vec<_> = layout.schema().fields().iter().cloned().collect();
    fields.extend(
        layout
            .columns()
            .iter()
            .map(|column| Arc::new(Field::new(format!("{NULL_PREFIX}{}", column.name()), DataType::Boolean, false))),
    );
    Arc::new(Schema::new(fields))
}

/// The rows as a batch of [`schema`].
#[must_use]
pub fn to_batch(rows: &Rows, layout: &RowLayout) -> RecordBatch {
    let length = rows.batch().num_rows();
    let mut columns: Vec<ArrayRef> = rows.batch().columns().to_vec();
    columns.extend(rows.cleared().iter().map(|bits| -> ArrayRef {
        let bits = bits.clone().unwrap_or_else(|| BooleanBuffer::new_unset(length));
        Arc::new(BooleanArray::new(bits, None))
    }));
    RecordBatch::try_new(schema(layout), columns).expect("rows have the columns of their layout")
}

/// The rows in a batch of [`schema`].
///
/// # Errors
/// [`RowsError`] if it has another schema or breaks an invariant of [`Rows`].
pub fn from_batch(batch: &RecordBatch, layout: &RowLayout) -> Result<Rows, RowsError> {
    let wrong = || RowsError::Schema { table: layout.table().to_string() };
    let found = batch.schema();
    let expected = schema(layout);
    // Files carry metadata of their own beside the fields.
    if found.fields() != expected.fields() {
        return Err(wrong());
    }
    let split = FIXED_COLUMNS + layout.columns().len();
    let (rows, nulls) = batch.columns().split_at_checked(split).ok_or_else(wrong)?;
    let cleared = nulls.iter().map(|bits| {
        let bits = bits.as_any().downcast_ref::<BooleanArray>()?;
        Some((bits.has_true()).then(|| bits.values().clone()))
    });
    let cleared = cleared.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    let batch = RecordBatch::try_new(Arc::clone(layout.schema()), rows.to_vec()).map_err(|_| wrong())?;
    Rows::new(layout, batch, cleared)
}
