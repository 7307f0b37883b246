//! The cells that chat events imply, folded without a line of the pipeline's code: what a table is checked against.
//!
//! The rules are those of `topology/chat.toml`: one row a message; key = one byte of salt (the top four bits of
//! splitmix64 of the room), the room, the inverted message id; every event sets what it carries at its version; a
//! deletion empties all six columns and sets `m:_deleted`. Of every cell the newest version counts.

use std::collections::HashMap;

use bytes::Bytes;
use hbase::cell::{Cell, CellKind};

use super::random::Random;
use super::{Event, Kind};

/// The model's columns, in the order of their names; `_deleted` sorts before all of them.
const COLUMNS: [&str; 6] = ["account", "body", "message", "room", "sent_at", "type"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Empty,
    Number(u64),
    Text(Box<str>),
}

#[derive(Clone, Debug, Default)]
struct Row {
    cells: [Option<(u64, Value)>; 6],
    deleted: Option<u64>,
}

/// The newest version of every cell, by message.
#[derive(Debug, Default)]
pub struct Expected {
    rows: HashMap<(u64, u64), Row>,
}

impl Expected {
    /// Folds one event in. The order does not matter.
    pub fn add(&mut self, event: &Event) {
        let row = self.rows.entry((event.room_id, event.message_id)).or_default();
        let is_deletion = event.kind == Kind::Deleted;
        if is_deletion {
            row.deleted = row.deleted.max(Some(event.version));
        }
        let number = |number: Option<u64>| number.map(Value::Number);
        let carried = [
            number(event.account_id),
            Some(Value::Text(event.body.as_str().into())),
            number(Some(event.message_id)),
            number(Some(event.room_id)),
            number(event.sent_at),
            Some(Value::Text(event.kind.name().into())),
        ];
        for (cell, value) in row.cells.iter_mut().zip(carried) {
            let value = if is_deletion { Some(Value::Empty) } else { value };
            let Some(value) = value else { continue };
            if cell.as_ref().is_none_or(|(version, _)| *version < event.version) {
                *cell = Some((event.version, value));
            }
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as HBase gives them: keys ascending, cells in order.
    pub fn into_rows(self) -> impl Iterator<Item = Vec<Cell>> {
        let mut rows: Vec<(Bytes, Row)> =
            self.rows.into_iter().map(|((room, message), row)| (key(room, message), row)).collect();
        rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        rows.into_iter().map(|(key, row)| cells(&key, row))
    }
}

fn key(room: u64, message: u64) -> Bytes {
    let mut key = Vec::with_capacity(17);
    key.push((Random::new(room).next() >> 60) as u8);
    key.extend_from_slice(&room.to_be_bytes());
    key.extend_from_slice(&(!message).to_be_bytes());
    key.into()
}

fn cells(key: &Bytes, row: Row) -> Vec<Cell> {
    let cell = |qualifier: &'static str, version: u64, value: Bytes| Cell {
        row: key.clone(),
        family: Bytes::from_static(b"m"),
        qualifier: Bytes::from_static(qualifier.as_bytes()),
        timestamp: version as i64,
        kind: CellKind::Put,
        value,
    };
    let mut cells = Vec::with_capacity(7);
    cells.extend(row.deleted.map(|version| cell("_deleted", version, Bytes::from_static(&[1]))));
    for (qualifier, newest) in COLUMNS.into_iter().zip(row.cells) {
        let Some((version, value)) = newest else { continue };
        let value = match value {
            Value::Empty => Bytes::new(),
            Value::Number(number) => Bytes::copy_from_slice(&number.to_be_bytes()),
            Value::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
        };
        cells.push(cell(qualifier, version, value));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, version: u64, body: &str) -> Event {
        let body = body.to_owned();
        Event { message_id: 1, room_id: 2, account_id: None, kind, body, version, sent_at: None }
    }

    fn shown(expected: Expected) -> Vec<(String, i64, Vec<u8>)> {
        let rows = expected.into_rows().flatten();
        rows.map(|cell| (String::from_utf8_lossy(&cell.qualifier).into_owned(), cell.timestamp, cell.value.to_vec()))
            .collect()
    }

    #[test]
    fn the_newest_version_of_each_cell_counts_in_any_order() {
        let mut expected = Expected::default();
        expected.add(&event(Kind::Edited, 9, "new"));
        expected.add(&Event { account_id: Some(7), ..event(Kind::Posted, 5, "old") });
        let cells = shown(expected);
        assert_eq!(cells[0], ("account".to_owned(), 5, 7_u64.to_be_bytes().to_vec()));
        assert_eq!(cells[1], ("body".to_owned(), 9, b"new".to_vec()));
    }

    #[test]
    fn a_deletion_empties_what_is_older_and_stays_known() {
        let mut expected = Expected::default();
        expected.add(&event(Kind::Deleted, 7, ""));
        expected.add(&event(Kind::Posted, 5, "old"));
        expected.add(&event(Kind::Edited, 9, "again"));
        let cells = shown(expected);
        assert_eq!(cells[0], ("_deleted".to_owned(), 7, vec![1]));
        assert_eq!(cells[1], ("account".to_owned(), 7, vec![]));
        assert_eq!(cells[2], ("body".to_owned(), 9, b"again".to_vec()));
    }
}
