//! Lanes against a naive table: a map of cells to which every mutation is applied as HBase would.

use std::collections::BTreeMap;

use hbase::cell::CellKind;
use hbase::row_block::RowBlock;
use proptest::prelude::*;

use super::*;
use crate::model::batch::{RawRecord, Stage};
use crate::model::row_file;
use crate::model::rows::RowsError;
use crate::model::schema::RowLayout;
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::project::{CellError, RowsFromCells, encode_rows};
use crate::topology::load;

const CHAT: &str = include_str!("../../../topology/chat.toml");

/// Three columns in two families, so that `_deleted` and markers matter; `DELETE` and `PREFIX` are replaced.
const SMALL: &str = r#"
name = "small"
[kafka]
brokers = ["k:9092"]
[topic.t]
name = "t"
format = "json"
[model.m]
topic = "t"
table = "m"
key = [PREFIX{column = "id", as = "u32"}]
version = {column = "v"}
when = "skip is null"
delete = {when = "gone", as = "DELETE"}
[model.m.columns]
"a:x" = {from = "x", as = "utf8"}
"a:Y" = {from = "y", as = "u32"}
"b:z" = {from = "z", as = "bool"}
[cluster.c]
hbase = {registry = ["h:16000"]}
[dead_letter]
halt = true
"#;

fn lane(text: &str, topic: &str) -> Lane {
    let loaded = load::parse("t.toml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Lane::new(&loaded.topology, topic).expect("the topology was loaded")
}

fn chat() -> Lane {
    lane(CHAT, "messages")
}

/// With markers the keys differ only behind what the sort looks at first.
fn small(delete: &str) -> Lane {
    let prefix = if delete == "marker" { "{literal = \"the same in all keys: \"}, " } else { "" };
    lane(&SMALL.replace("DELETE", delete).replace("PREFIX", prefix), "t")
}

/// A batch of these payloads; `None` is a null payload.
fn batch_from(first_offset: i64, payloads: &[Option<&str>]) -> RawBatch {
    let mut arena = Vec::new();
    let mut records = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        let start = arena.len() as u32;
        arena.extend_from_slice(payload.unwrap_or_default().as_bytes());
        let payload = payload.map(|_| start..arena.len() as u32);
        let offset = Offset(first_offset + index as i64);
        records.push(RawRecord { offset, timestamp_ms: -1, key: None, payload });
    }
    let end = Offset(first_offset + payloads.len().max(1) as i64);
    RawBatch {
        partition: TopicPartition { topic: "t".into(), partition: 0 },
        span: Span::new(Offset(first_offset), end).expect("not empty"),
        records,
        arena,
        headers: Vec::new(),
    }
}

fn batch(payloads: &[&str]) -> RawBatch {
    batch_from(0, &payloads.iter().map(|payload| Some(*payload)).collect::<Vec<_>>())
}

/// A cell as it stands in a block: row, family, qualifier, timestamp, kind, value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TestCell {
    row: Vec<u8>,
    family: String,
    qualifier: String,
    timestamp: i64,
    kind: CellKind,
    value: Vec<u8>,
}

impl TestCell {
    fn cell(&self) -> hbase::cell::Cell {
        hbase::cell::Cell {
            row: self.row.clone().into(),
            family: self.family.clone().into(),
            qualifier: self.qualifier.clone().into(),
            timestamp: self.timestamp,
            kind: self.kind,
            value: self.value.clone().into(),
        }
    }
}

fn cells_of(block: &RowBlock) -> Vec<TestCell> {
    let mut cells = Vec::new();
    let mut rest = &block.bytes()[..];
    let u32_at = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    while !rest.is_empty() {
        let (length, key_length, value_length) = (u32_at(rest, 0), u32_at(rest, 4), u32_at(rest, 8));
        assert_eq!(length, 8 + key_length + value_length);
        let (key, value) = rest[12..4 + length].split_at(key_length);
        let row_end = 2 + usize::from(u16::from_be_bytes([key[0], key[1]]));
        let family_end = row_end + 1 + usize::from(key[row_end]);
        let (name, stamp) = key.split_at(key_length - 9);
        cells.push(TestCell {
            row: key[2..row_end].to_vec(),
            family: String::from_utf8(key[row_end + 1..family_end].to_vec()).unwrap(),
            qualifier: String::from_utf8(name[family_end..].to_vec()).unwrap(),
            timestamp: i64::from_be_bytes(stamp[..8].try_into().unwrap()),
            kind: CellKind::from_code(stamp[8]).unwrap(),
            value: value.to_vec(),
        });
        rest = &rest[4 + length..];
    }
    cells
}

/// Row, family and qualifier.
type Coordinates = (Vec<u8>, String, String);

/// What HBase would hold: the newest put of each column that no marker masks; of equal timestamps the one written last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    cells: BTreeMap<Coordinates, (i64, Vec<u8>)>,
    markers: BTreeMap<(Vec<u8>, String), i64>,
}

impl Table {
    fn apply(&mut self, projected: &Projected) {
        for cell in projected.tables.iter().flat_map(|table| cells_of(&table.block)) {
            let family = (cell.row.clone(), cell.family.clone());
            if cell.kind == CellKind::DeleteFamily {
                let marker = self.markers.entry(family).or_insert(cell.timestamp);
                *marker = cell.timestamp.max(*marker);
                continue;
            }
            let column = (cell.row, cell.family, cell.qualifier);
            let newest = self.cells.entry(column).or_insert((cell.timestamp, Vec::new()));
            if cell.timestamp >= newest.0 {
                *newest = (cell.timestamp, cell.value);
            }
        }
        let Self { cells, markers } = self;
        cells.retain(|(row, family, _), (timestamp, _)| {
            markers.get(&(row.clone(), family.clone())).is_none_or(|marker| *timestamp > *marker)
        });
    }
}

fn shown(projected: &Projected) -> Vec<String> {
    let cells = projected.tables.iter().flat_map(|table| cells_of(&table.block));
    let show = |cell: TestCell| {
        let value = match std::str::from_utf8(&cell.value) {
            Ok(text) if text.chars().all(|c| !c.is_control()) => text.to_owned(),
            _ => cell.value.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let row = cell.row.last().copied().unwrap_or_default();
        format!("{row} {}:{} @{} {:?} {value}", cell.family, cell.qualifier, cell.timestamp, cell.kind)
    };
    cells.map(show).collect()
}

fn bad(projected: &Projected) -> Vec<(usize, Stage, &str)> {
    projected.bad.iter().map(|bad| (bad.record, bad.stage, bad.cause.as_str())).collect()
}

#[test]
fn a_posted_message_becomes_one_row_of_six_cells() {
    let event =
        r#"{"message_id":1,"room_id":0,"account_id":258,"type":"posted","body":"h\u00e9","version":7,"sent_at":5}"#;
    let projected = chat().project(&batch(&[event]));
    assert_eq!(bad(&projected), []);
    let cells = cells_of(&projected.tables[0].block);
    assert_eq!(&*projected.tables[0].table, "message");
    let found: Vec<(&str, &[u8])> = cells.iter().map(|one| (one.qualifier.as_str(), one.value.as_slice())).collect();
    let expected: [(&str, &[u8]); 6] = [
        ("account", &[0, 0, 0, 0, 0, 0, 1, 2]),
        ("body", "hé".as_bytes()),
        ("message", &[0, 0, 0, 0, 0, 0, 0, 1]),
        ("room", &[0; 8]),
        ("sent_at", &[0, 0, 0, 0, 0, 0, 0, 5]),
        ("type", b"posted"),
    ];
    assert_eq!(found, expected);
    let key = [&[0x0e_u8][..], &[0; 8], &[255, 255, 255, 255, 255, 255, 255, 254]].concat();
    assert!(cells.iter().all(|cell| cell.timestamp == 7 && cell.kind == CellKind::Put && cell.row == key));
    assert_eq!(projected.counts, Counts { events: 1, filtered: 0, rows: 1, cells: 6, ties: 0 });
}

#[test]
fn an_edit_that_carries_only_the_body_keeps_the_older_cells_with_their_versions() {
    let posted = r#"{"id":1,"v":10,"x":"old","y":3}"#;
    let edited = r#"{"id":1,"v":11,"x":"new"}"#;
    let expected = ["1 a:Y @10 Put 00000003", "1 a:x @11 Put new"];
    assert_eq!(shown(&small("tombstone").project(&batch(&[posted, edited]))), expected);
    assert_eq!(shown(&small("tombstone").project(&batch(&[edited, posted]))), expected);
}

#[test]
fn an_explicit_null_writes_an_empty_cell_and_an_absent_field_nothing() {
    let projected = small("tombstone").project(&batch(&[r#"{"id":1,"v":10,"x":null}"#]));
    assert_eq!(shown(&projected), ["1 a:x @10 Put "]);
}

#[test]
fn a_deleted_row_keeps_empty_cells_and_the_tombstone() {
    let posted = r#"{"id":1,"v":10,"x":"secret","y":3,"z":true}"#;
    let deleted = r#"{"id":1,"v":12,"x":"secret","gone":true}"#;
    let late = r#"{"id":1,"v":11,"x":"secret"}"#;
    let projected = small("tombstone").project(&batch(&[posted, deleted, late]));
    let expected = ["1 a:Y @12 Put ", "1 a:_deleted @12 Put 01", "1 a:x @12 Put ", "1 b:z @12 Put "];
    assert_eq!(shown(&projected), expected);
    let reborn = r#"{"id":1,"v":13,"x":"again"}"#;
    let projected = small("tombstone").project(&batch(&[posted, deleted, reborn]));
    let expected = ["1 a:Y @12 Put ", "1 a:_deleted @12 Put 01", "1 a:x @13 Put again", "1 b:z @12 Put "];
    assert_eq!(shown(&projected), expected);
}

#[test]
fn a_marker_deletes_every_family_and_newer_cells_follow_it() {
    let posted = r#"{"id":1,"v":10,"x":"old","y":3}"#;
    let deleted = r#"{"id":1,"v":12,"gone":true}"#;
    let reborn = r#"{"id":1,"v":13,"x":"again"}"#;
    let expected = ["1 a: @12 DeleteFamily ", "1 b: @12 DeleteFamily ", "1 a:x @13 Put again"];
    let projected = small("marker").project(&batch(&[reborn, deleted, posted]));
    assert_eq!(shown(&projected), expected);
    assert_eq!(projected.counts.rows, 2);
}

#[test]
fn of_one_version_the_higher_offset_wins_and_is_counted() {
    let (a, b) = (r#"{"id":1,"v":10,"x":"a","y":1}"#, r#"{"id":1,"v":10,"x":"b","y":1}"#);
    let projected = small("tombstone").project(&batch(&[a, b]));
    assert_eq!(shown(&projected), ["1 a:Y @10 Put 00000001", "1 a:x @10 Put b"]);
    // y is the same in both: a record that was produced twice is no tie.
    assert_eq!(projected.counts.ties, 1);
    let projected = small("tombstone").project(&batch(&[b, a]));
    assert_eq!(shown(&projected), ["1 a:Y @10 Put 00000001", "1 a:x @10 Put a"]);
}

#[test]
fn at_one_version_a_marker_wins_over_a_put() {
    let (put, delete) = (r#"{"id":1,"v":10,"x":"a"}"#, r#"{"id":1,"v":10,"gone":true}"#);
    let projected = small("marker").project(&batch(&[delete, put]));
    assert_eq!(shown(&projected), ["1 a: @10 DeleteFamily ", "1 b: @10 DeleteFamily "]);
    assert_eq!(projected.counts.ties, 1);
}

#[test]
fn bad_records_are_named_with_their_cause_and_their_neighbours_are_written() {
    let payloads = [
        Some(r#"{"id":1,"v":1,"x":"a"}"#),
        Some(r#"{"id":1,"v":"#),
        None,
        Some(r#"{"v":1}"#),
        Some(r#"{"id":null,"v":1}"#),
        Some(r#"{"id":2}"#),
        Some(r#"{"id":2,"v":-1}"#),
        Some(r#"{"id":4294967296,"v":1}"#),
        Some(r#"{"id":"2","v":1}"#),
        Some(r#"{"id":2,"v":1.5}"#),
        Some(r#"{"id":2,"v":1} {"id":3,"v":1}"#),
        Some(r#"[1]"#),
        Some(r#"{"id":2,"v":1,"x":"b"}"#),
    ];
    let projected = small("tombstone").project(&batch_from(0, &payloads));
    assert_eq!(shown(&projected), ["1 a:x @1 Put a", "2 a:x @1 Put b"]);
    let expected = [
        (1, Stage::Decode, "the payload is not JSON: "),
        (2, Stage::Decode, "the payload is null (a log-compaction tombstone)"),
        (3, Stage::Project, "model `m`: field `id` is missing (needed for the row key)"),
        (4, Stage::Project, "model `m`: field `id` is missing (needed for the row key)"),
        (5, Stage::Project, "model `m`: field `v` is missing (needed for the version)"),
        (6, Stage::Project, "model `m`: field `v` is -1, but a version is never negative (needed for the version)"),
        (7, Stage::Decode, "field `id` must be an integer in the range of u32, but is an integer out of that range"),
        (8, Stage::Decode, "field `id` must be an integer in the range of u32, but is a string"),
        (9, Stage::Decode, "field `v` must be an integer in the range of i64, but is a number"),
        (10, Stage::Decode, "the payload is not JSON: "),
        (11, Stage::Decode, "the payload must be a JSON object, but is an array"),
    ];
    let found = bad(&projected);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((found.0, found.1), (expected.0, expected.1), "{found:?}");
        assert!(found.2.starts_with(expected.2), "{found:?}");
    }
    let counts = Counts { events: 13, filtered: 0, rows: 2, cells: 2, ties: 0 };
    assert_eq!(projected.counts, counts);
}

#[test]
fn events_that_no_model_wants_are_counted() {
    let event = |kind: &str| format!(r#"{{"message_id":1,"room_id":0,{kind}"version":7}}"#);
    let events = [event(r#""type":"pinned","#), event(""), event(r#""type":null,"#), event(r#""type":"edited","#)];
    let payloads: Vec<&str> = events.iter().map(String::as_str).collect();
    let projected = chat().project(&batch(&payloads));
    assert_eq!(projected.counts.filtered, 3);
    assert_eq!(projected.counts.rows, 1);
    assert_eq!(bad(&projected), []);
}

#[test]
fn nested_fields_quoted_numbers_and_text_times_are_read() {
    let event = r#"{"room_id":"3","account":{"id":9,"name":"mia","name":"Mia"},"last_read":7,
                    "read_at":"1970-01-01T00:00:00.002Z","seq":1,"left":false}"#;
    let projected = lane(CHAT, "receipts").project(&batch(&[event]));
    assert_eq!(bad(&projected), []);
    let expected = ["3 r:last_read @2097153 Put 0000000000000007", "3 r:name @2097153 Put Mia"];
    assert_eq!(shown(&projected), expected);
}

#[test]
fn an_empty_batch_becomes_nothing() {
    let projected = chat().project(&batch_from(0, &[]));
    assert!(projected.tables.is_empty() && projected.bad.is_empty());
    assert_eq!(projected.counts, Counts::default());
}

#[test]
fn a_lane_needs_a_topic_that_a_model_reads() {
    let loaded = load::parse("t.toml", CHAT, &|_| None).expect("the example has no mistake");
    assert!(matches!(Lane::new(&loaded.topology, "rooms"), Err(LaneError::UnknownTopic { .. })));
}

#[test]
fn lanes_can_move_to_other_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Lane>();
}

/// An event of few rows and few versions, so that ties, deletes and partial rows meet.
#[derive(Clone, Debug)]
struct Event {
    id: u32,
    version: i64,
    gone: bool,
    skip: bool,
    x: Option<Option<String>>,
    y: Option<Option<u32>>,
    z: Option<Option<bool>>,
}

impl Event {
    fn json(&self) -> String {
        let mut object = serde_json::Map::new();
        object.insert("id".into(), self.id.into());
        object.insert("v".into(), self.version.into());
        if self.gone {
            object.insert("gone".into(), true.into());
        }
        if self.skip {
            object.insert("skip".into(), "this event".into());
        }
        let mut insert = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                object.insert(name.into(), value);
            }
        };
        insert("x", self.x.clone().map(Into::into));
        insert("y", self.y.map(Into::into));
        insert("z", self.z.map(Into::into));
        serde_json::Value::Object(object).to_string()
    }
}

fn event() -> impl Strategy<Value = Event> {
    let x = proptest::option::of(proptest::option::of("[a-b\"\\\\é]{0,2}"));
    let y = proptest::option::of(proptest::option::of(0..3_u32));
    let z = proptest::option::of(proptest::option::of(any::<bool>()));
    let rare = proptest::bool::weighted;
    (0..4_u32, 0..20_i64, rare(0.15), rare(0.1), x, y, z).prop_map(|(id, version, gone, skip, x, y, z)| Event {
        id,
        version,
        gone,
        skip,
        x,
        y,
        z,
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec(event(), 1..40)
}

/// Gives every event of a row a version of its own.
fn without_ties(mut events: Vec<Event>) -> Vec<Event> {
    for (index, event) in events.iter_mut().enumerate() {
        event.version = event.version * 100 + index as i64;
    }
    events
}

/// The table after batches of these sizes, in this order.
fn table_after(lane: &mut Lane, events: &[Event], size: usize) -> Table {
    let payloads: Vec<String> = events.iter().map(Event::json).collect();
    let mut table = Table::default();
    let mut offset = 0;
    for chunk in payloads.chunks(size) {
        let chunk: Vec<Option<&str>> = chunk.iter().map(|payload| Some(payload.as_str())).collect();
        let projected = lane.project(&batch_from(offset, &chunk));
        assert_eq!(bad(&projected), []);
        table.apply(&projected);
        offset += chunk.len() as i64;
    }
    table
}

proptest! {
    #[test]
    fn any_split_of_the_log_gives_the_cells_of_one_event_at_a_time(events in events(), size in 1..40_usize) {
        for delete in ["tombstone", "marker"] {
            let mut lane = small(delete);
            let one_by_one = table_after(&mut lane, &events, 1);
            prop_assert_eq!(&table_after(&mut lane, &events, size), &one_by_one);
            prop_assert_eq!(&table_after(&mut lane, &events, events.len()), &one_by_one);
        }
    }

    #[test]
    fn without_ties_any_order_of_the_events_gives_the_same_cells(
        events in events().prop_map(without_ties),
        shuffled in any::<proptest::sample::Index>(),
        size in 1..40_usize,
    ) {
        let mut other = events.clone();
        let turn = shuffled.index(other.len());
        other.rotate_left(turn);
        let middle = other.len() / 2;
        other[middle..].reverse();
        for delete in ["tombstone", "marker"] {
            let mut lane = small(delete);
            let expected = table_after(&mut lane, &events, 1);
            prop_assert_eq!(table_after(&mut lane, &other, size), expected);
        }
    }

    #[test]
    fn replaying_a_range_changes_nothing(events in events().prop_map(without_ties), from in any::<proptest::sample::Index>()) {
        let mut lane = small("tombstone");
        let mut replayed = events.clone();
        replayed.extend_from_slice(&events[from.index(events.len())..]);
        prop_assert_eq!(table_after(&mut lane, &replayed, 7), table_after(&mut lane, &events, 7));
    }

    #[test]
    fn same_input_same_bytes(events in events(), before in events()) {
        let batch_of = |events: &[Event]| {
            let payloads: Vec<String> = events.iter().map(Event::json).collect();
            batch(&payloads.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let mut used = small("tombstone");
        used.project(&batch_of(&before));
        let (fresh, used) = (small("tombstone").project(&batch_of(&events)), used.project(&batch_of(&events)));
        prop_assert_eq!(fresh.tables.len(), used.tables.len());
        for (fresh, used) in fresh.tables.iter().zip(&used.tables) {
            prop_assert_eq!(fresh.block.bytes(), used.block.bytes());
            prop_assert_eq!(fresh.block.rows(), used.block.rows());
        }
        prop_assert_eq!(fresh.counts, used.counts);
    }

    #[test]
    fn an_export_loads_again_cell_for_cell(events in events()) {
        let payloads: Vec<String> = events.iter().map(Event::json).collect();
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let mut lane = small("tombstone");
        let projected = lane.project(&batch(&payloads));
        let layout = lane.models[0].projection.layout();
        for table in &projected.tables {
            let mut rows = RowsFromCells::new(layout);
            for group in cells_of(&table.block).chunk_by(|a, b| a.row == b.row) {
                let cells: Vec<hbase::cell::Cell> = group.iter().map(TestCell::cell).collect();
                rows.push(&group[0].row, &cells).unwrap();
            }
            let file = row_file::to_batch(&rows.finish().unwrap(), layout);
            let again = encode_rows(&row_file::from_batch(&file, layout).unwrap(), layout).unwrap();
            // An event that says "" and one that says null write the same cell.
            prop_assert_eq!(again.rows.block.bytes(), table.block.bytes());
        }
    }

    #[test]
    fn rows_and_cells_of_a_block_stand_in_hbase_order(events in events()) {
        let payloads: Vec<String> = events.iter().map(Event::json).collect();
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        for delete in ["tombstone", "marker"] {
            let projected = small(delete).project(&batch(&payloads));
            for table in &projected.tables {
                let mut rest = cells_of(&table.block);
                prop_assert_eq!(rest.len() as u64, table.block.cell_count());
                for row in table.block.rows() {
                    let of_row: Vec<TestCell> = rest.drain(..row.cells() as usize).collect();
                    prop_assert!(of_row.iter().all(|cell| cell.row == table.block.key(row)));
                    let names: Vec<_> = of_row.iter().map(|cell| (&cell.family, &cell.qualifier)).collect();
                    prop_assert!(names.is_sorted_by(|a, b| a < b), "{:?}", names);
                }
            }
        }
    }
}

#[test]
fn cells_that_are_not_the_models_are_refused() {
    let lane = small("tombstone");
    let layout = lane.models[0].projection.layout();
    let cell = |qualifier: &str, value: &[u8]| hbase::cell::Cell {
        row: "r".into(),
        family: "a".into(),
        qualifier: qualifier.to_owned().into(),
        timestamp: 1,
        kind: CellKind::Put,
        value: value.to_vec().into(),
    };
    let mut rows = RowsFromCells::new(layout);
    let unknown = rows.push(b"r", &[cell("x", b"1"), cell("q", b"1")]).expect_err("there is no a:q");
    assert_eq!(unknown.to_string(), "read back column `a:q` of table `m`: the model has no such column");
    let wrong = rows.push(b"r", &[cell("Y", b"1")]).expect_err("a u32 has four bytes");
    assert_eq!(wrong.to_string(), "read back column `a:Y` of table `m`: 1 bytes are no u32");
    let mut marker = cell("", b"");
    marker.kind = CellKind::DeleteFamily;
    assert!(matches!(rows.push(b"r", &[marker]), Err(CellError::Marker { .. })));
    assert!(rows.is_empty());
    let other = lane_layout_with_other_columns();
    let batch = row_file::to_batch(&rows.finish().expect("no rows are rows"), layout);
    assert!(matches!(row_file::from_batch(&batch, &other), Err(RowsError::Schema { .. })));
}

fn lane_layout_with_other_columns() -> RowLayout {
    chat().models[0].projection.layout().clone()
}
