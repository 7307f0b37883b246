//! The layout of a read model's rows: which columns there are, in Arrow and in HBase.
//!
//! The Arrow schema is fixed: [`KEY`], [`VERSION`], [`OP`], [`OFFSET`], then one nullable column named
//! `family:qualifier` for each column of the model, in (family, qualifier) order.

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use hbase::row_block::{BlockError, Column};

use crate::model::field::FieldType;

/// Name of the row key column.
pub const KEY: &str = "_key";
/// Name of the version column.
pub const VERSION: &str = "_version";
/// Name of the operation column; its values are those of [`Op`].
pub const OP: &str = "_op";
/// Name of the column with the offset that the row comes from; it decides ties of one version.
pub const OFFSET: &str = "_offset";
/// Number of columns before those of the model.
pub const FIXED_COLUMNS: usize = 4;
/// Qualifier of the cell that says up to which version a row is deleted (see [`crate::model::version`]).
pub const DELETED_QUALIFIER: &str = "_deleted";
/// Value of that cell.
pub const DELETED_VALUE: &[u8] = &[1];

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// Its columns are written.
    Put = 0,
    /// It is deleted, as the model says deletes are made.
    Delete = 1,
}

impl Op {
    /// The operation with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Put),
            1 => Some(Self::Delete),
            _ => None,
        }
    }
}

/// How a deleted row is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteMode {
    /// Empty values and a `_deleted` cell at the delete's version: an older event cannot bring the row back.
    #[default]
    Tombstone,
    /// `DeleteFamily` at the delete's version. A major compaction drops the marker; an older event that arrives
    /// afterwards brings the row back.
    Marker,
}

/// A column of a read model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelColumn {
    /// Column family.
    pub family: String,
    /// Column qualifier.
    pub qualifier: String,
    /// Path of the field that it holds.
    pub from: String,
    /// Type of the field and the cell.
    pub data_type: FieldType,
}

impl ModelColumn {
    /// `family:qualifier`
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.family, self.qualifier)
    }
}

/// Why columns are no layout.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A model without columns has no cells.
    #[error("lay out rows of table `{table}`: there are no columns")]
    NoColumns {
        /// The table.
        table: String,
    },
    /// Two columns with one name.
    #[error("lay out rows of table `{table}`: column `{column}` stands twice")]
    Duplicate {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The name is taken by the tombstone.
    #[error("lay out rows of table `{table}`: the qualifier `_deleted` is the tombstone's")]
    Reserved {
        /// The table.
        table: String,
    },
    /// HBase cannot have such a column.
    #[error("lay out column `{column}`")]
    Column {
        /// The column.
        column: String,
        /// Why.
        #[source]
        source: BlockError,
    },
}

/// How the rows of one table look in Arrow and in HBase.
#[derive(Clone, Debug)]
pub struct RowLayout {
    table: Arc<str>,
    columns: Vec<ModelColumn>,
    delete: DeleteMode,
    schema: SchemaRef,
    cells: Vec<CellColumn>,
    families: Vec<Column>,
}

/// A column as cells are written, in (family, qualifier) order.
#[derive(Clone, Debug)]
pub(crate) struct CellColumn {
    /// Its encoded name.
    pub(crate) column: Column,
    /// Where its values come from.
    pub(crate) source: CellSource,
}

/// Where the values of a column come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellSource {
    /// The model's column with this index.
    Column(usize),
    /// The tombstone.
    Deleted,
}

impl RowLayout {
    /// The layout of a table with these columns, in any order.
    ///
    /// # Errors
    /// [`LayoutError`]
    pub fn new(table: &str, mut columns: Vec<ModelColumn>, delete: DeleteMode) -> Result<Self, LayoutError> {
        columns.sort_by(|a, b| (&a.family, &a.qualifier).cmp(&(&b.family, &b.qualifier)));
        check(table, &columns)?;
        let mut fields = vec![
            ArrowField::new(KEY, DataType::Binary, false),
            ArrowField::new(VERSION, DataType::Int64, false),
            ArrowField::new(OP, DataType::UInt8, false),
            ArrowField::new(OFFSET, DataType::Int64, false),
        ];
        fields.extend(columns.iter().map(|column| ArrowField::new(column.name(), column.data_type.arrow(), true)));
        let cells = cell_columns(&columns, delete)?;
        let families = families(&columns)?;
        Ok(Self { table: table.into(), columns, delete, schema: Arc::new(Schema::new(fields)), cells, families })
    }

    /// Table name.
    #[must_use]
    pub const fn table(&self) -> &Arc<str> {
        &self.table
    }

    /// The model's columns in (family, qualifier) order.
    #[must_use]
    pub fn columns(&self) -> &[ModelColumn] {
        &self.columns
    }

    /// How deletes are written.
    #[must_use]
    pub const fn delete(&self) -> DeleteMode {
        self.delete
    }

    /// The Arrow schema of its row batches.
    #[must_use]
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// `family:_deleted`, the column of the tombstone: in the first family by name.
    #[must_use]
    pub fn deleted_column(&self) -> (&str, &str) {
        (self.columns.first().map_or("", |column| &column.family), DELETED_QUALIFIER)
    }

    pub(crate) fn cells(&self) -> &[CellColumn] {
        &self.cells
    }

    /// Each family once, as the column with an empty qualifier that delete markers name.
    pub(crate) fn families(&self) -> &[Column] {
        &self.families
    }
}

fn check(table: &str, columns: &[ModelColumn]) -> Result<(), LayoutError> {
    if columns.is_empty() {
        return Err(LayoutError::NoColumns { table: table.into() });
    }
    if columns.iter().any(|column| column.qualifier == DELETED_QUALIFIER) {
        return Err(LayoutError::Reserved { table: table.into() });
    }
    for pair in columns.windows(2) {
        if let [a, b] = pair
            && a.name() == b.name()
        {
            return Err(LayoutError::Duplicate { table: table.into(), column: a.name() });
        }
    }
    Ok(())
}

fn cell_columns(columns: &[ModelColumn], delete: DeleteMode) -> Result<Vec<CellColumn>, LayoutError> {
    let mut cells = Vec::with_capacity(columns.len() + 1);
    for (index, column) in columns.iter().enumerate() {
        let encoded = encoded(&column.family, &column.qualifier)?;
        cells.push(((&column.family, column.qualifier.as_str()), encoded, CellSource::Column(index)));
    }
    if let (Some(first), DeleteMode::Tombstone) = (columns.first(), delete) {
        let encoded = encoded(&first.family, DELETED_QUALIFIER)?;
        cells.push(((&first.family, DELETED_QUALIFIER), encoded, CellSource::Deleted));
    }
    cells.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(cells.into_iter().map(|(_, column, source)| CellColumn { column, source }).collect())
}

fn families(columns: &[ModelColumn]) -> Result<Vec<Column>, LayoutError> {
    let mut names: Vec<&str> = columns.iter().map(|column| column.family.as_str()).collect();
    names.dedup();
    names.into_iter().map(|name| encoded(name, "")).collect()
}

fn encoded(family: &str, qualifier: &str) -> Result<Column, LayoutError> {
    Column::new(family.as_bytes(), qualifier.as_bytes())
        .map_err(|source| LayoutError::Column { column: format!("{family}:{qualifier}"), source })
}
