//! Tables in memory, with HBase's rules for versions and delete markers, and their rows as typed values.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hbase::cell::CellKind;
use hbase::wire::cell_block;
use serde_json::Value as Json;

use crate::model::batch::TableRows;
use crate::model::field::FieldType;
use crate::model::key::{KeyValue, RowKey};
use crate::model::schema::{DELETED_QUALIFIER, RowLayout};
use crate::model::value::Value;

/// Family and qualifier.
type Column = (Vec<u8>, Vec<u8>);

/// What one sink holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    tables: BTreeMap<Arc<str>, Rows>,
}

type Rows = BTreeMap<Vec<u8>, StoredRow>;

#[derive(Clone, Debug, Default)]
struct StoredRow {
    /// The newest version of each cell that no marker masks; of equal versions the one written last.
    cells: BTreeMap<Column, (i64, Vec<u8>)>,
    /// Up to which version each family is deleted.
    markers: BTreeMap<Vec<u8>, i64>,
}

impl Store {
    pub(super) fn apply(&mut self, rows: &TableRows) {
        let table = self.tables.entry(Arc::clone(&rows.table)).or_default();
        let cells = cell_block::decode(rows.block.bytes()).expect("a lane makes whole cells");
        for cell in cells {
            let row = table.entry(cell.row.to_vec()).or_default();
            let family = cell.family.to_vec();
            if cell.kind == CellKind::Put {
                row.put((family, cell.qualifier.to_vec()), cell.timestamp, &cell.value);
            } else {
                row.mark(family, cell.timestamp);
            }
        }
    }

    pub(super) fn table<'a>(&'a self, table: &str, layout: &'a RowLayout, key: Option<&'a RowKey>) -> TestTable<'a> {
        TestTable { rows: self.tables.get(table), layout, key }
    }
}

impl StoredRow {
    fn put(&mut self, column: Column, version: i64, value: &[u8]) {
        if self.markers.get(&column.0).is_some_and(|marker| version <= *marker) {
            return;
        }
        let cell = self.cells.entry(column).or_insert((i64::MIN, Vec::new()));
        if version >= cell.0 {
            *cell = (version, value.to_vec());
        }
    }

    /// The only markers that models make delete whole families.
    fn mark(&mut self, family: Vec<u8>, version: i64) {
        self.cells.retain(|column, cell| column.0 != family || cell.0 > version);
        let marker = self.markers.entry(family).or_insert(version);
        *marker = version.max(*marker);
    }
}

/// A table as a sink has it.
#[derive(Clone, Copy, Debug)]
pub struct TestTable<'a> {
    rows: Option<&'a Rows>,
    layout: &'a RowLayout,
    key: Option<&'a RowKey>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its key.
    pub key: Vec<u8>,
    /// The fields in its key, by their paths; empty if a projection of one's own made it.
    pub key_fields: Vec<(String, KeyValue)>,
    /// Its cells by `family:qualifier`, without the tombstone.
    pub cells: BTreeMap<String, RowCell>,
    /// The version of its tombstone.
    pub deleted: Option<i64>,
}

/// A cell of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowCell {
    /// Its version, HBase's timestamp.
    pub version: i64,
    /// Its value by the column's type; null is an empty cell. Bytes stand as base64, `json` as what it says.
    pub value: Json,
}

impl TestTable<'_> {
    /// All rows that have a cell, in key order, with everything that a raw read would show.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.rows.into_iter().flatten();
        rows.filter(|(_, stored)| !stored.cells.is_empty()).map(|(key, stored)| self.row(key, stored)).collect()
    }

    /// The rows as readers see them: cells above the tombstone, and rows that have such a cell.
    #[must_use]
    pub fn live_rows(&self) -> Vec<Row> {
        let alive = |mut row: Row| {
            row.cells.retain(|_, cell| row.deleted.is_none_or(|deleted| cell.version > deleted));
            (!row.cells.is_empty()).then_some(row)
        };
        self.rows().into_iter().filter_map(alive).collect()
    }

    /// The row with this key.
    #[must_use]
    pub fn row_at(&self, key: &[u8]) -> Option<Row> {
        Some(self.row(key, self.rows?.get(key).filter(|stored| !stored.cells.is_empty())?))
    }

    fn row(&self, key: &[u8], stored: &StoredRow) -> Row {
        let fields = self.key.and_then(|shape| shape.decode(key).ok()).unwrap_or_default();
        let mut row = Row {
            key: key.to_vec(),
            key_fields: fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect(),
            cells: BTreeMap::new(),
            deleted: None,
        };
        for ((family, qualifier), (version, value)) in &stored.cells {
            if qualifier == DELETED_QUALIFIER.as_bytes() {
                row.deleted = Some(*version);
                continue;
            }
            let name = format!("{}:{}", family.escape_ascii(), qualifier.escape_ascii());
            let column = self.layout.columns().iter().find(|column| {
                column.family.as_bytes() == family.as_slice() && column.qualifier.as_bytes() == qualifier.as_slice()
            });
            let value = column.map_or(Json::Null, |column| json(column.data_type, value));
            row.cells.insert(name, RowCell { version: *version, value });
        }
        row
    }
}

impl Row {
    /// The value of a cell, by `family:qualifier`.
    #[must_use]
    pub fn cell(&self, column: &str) -> Option<&Json> {
        self.cells.get(column).map(|cell| &cell.value)
    }

    /// The version of a cell.
    #[must_use]
    pub fn version(&self, column: &str) -> Option<i64> {
        self.cells.get(column).map(|cell| cell.version)
    }

    /// The value of a field of the key.
    #[must_use]
    pub fn key_field(&self, path: &str) -> Option<&KeyValue> {
        self.key_fields.iter().find(|(field, _)| field == path).map(|(_, value)| value)
    }
}

fn json(data_type: FieldType, bytes: &[u8]) -> Json {
    match Value::from_cell_bytes(data_type, bytes) {
        None => Json::Null,
        // What an event says as JSON is JSON; a number beyond what a value holds stays text.
        Some(Value::Text(text)) if data_type == FieldType::Json => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        Some(Value::Text(text)) => text.into(),
        Some(Value::U64(number)) => number.into(),
        Some(Value::I64(number)) => number.into(),
        Some(Value::U32(number)) => number.into(),
        Some(Value::I32(number)) => number.into(),
        Some(Value::F64(number)) => number.into(),
        Some(Value::Bool(truth)) => truth.into(),
        Some(Value::Bytes(bytes)) => STANDARD.encode(bytes).into(),
    }
}
