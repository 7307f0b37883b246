//! Formats, envelopes and record fields: against bytes that other implementations made, and against bytes that are none.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::reading::PayloadSchema;
use super::schemas::SchemaText;
use super::*;
use crate::model::batch::{RawHeader, RawRecord};
use crate::model::field::Field;
use crate::progress::offset::{Offset, Span, TopicPartition};

/// A record of a test.
#[derive(Clone, Debug, Default)]
struct Given {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(&'static str, Option<Vec<u8>>)>,
}

fn payload(bytes: impl AsRef<[u8]>) -> Given {
    Given { payload: Some(bytes.as_ref().to_vec()), ..Given::default() }
}

impl Given {
    fn keyed(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, Some(value.as_ref().to_vec())));
        self
    }
}

fn batch(decoder: &Decoder, records: &[Given]) -> RawBatch {
    let mut raw = RawBatch {
        partition: TopicPartition { topic: "shop.orders".into(), partition: 3 },
        span: Span::new(Offset(100), Offset(101 + records.len() as i64)).expect("not empty"),
        records: Vec::new(),
        arena: Vec::new(),
        headers: Vec::new(),
    };
    let append = |arena: &mut Vec<u8>, bytes: &[u8]| {
        let start = arena.len() as u32;
        arena.extend_from_slice(bytes);
        start..arena.len() as u32
    };
    for (index, given) in records.iter().enumerate() {
        let key = given.key.as_ref().map(|bytes| append(&mut raw.arena, bytes));
        let payload = given.payload.as_ref().map(|bytes| append(&mut raw.arena, bytes));
        for (number, name) in decoder.headers().iter().enumerate() {
            if let Some((_, value)) = given.headers.iter().rfind(|(known, _)| known == name) {
                let value = value.as_ref().map(|bytes| append(&mut raw.arena, bytes));
                raw.headers.push(RawHeader { record: index as u32, number: number as u16, value });
            }
        }
        raw.records.push(RawRecord {
            offset: Offset(100 + index as i64),
            timestamp_ms: 1_793_525_400_125,
            key,
            payload,
        });
    }
    raw
}

fn fields(list: &[(&str, FieldType)]) -> FieldSet {
    let field = |(path, data_type): &(&str, FieldType)| Field {
        path: (*path).to_owned(),
        data_type: *data_type,
        quoted_number: path.ends_with("quoted"),
    };
    FieldSet::new(list.iter().map(field).collect()).expect("the fields agree")
}

/// What an event says about each field, by path.
fn said(events: &Events, row: usize) -> BTreeMap<String, String> {
    let slots = events.fields().all().iter().enumerate();
    slots
        .map(|(slot, field)| {
            let value = match events.typed(slot).expect("every slot has a column").value(row) {
                Some(value) => format!("{value:?}"),
                None if events.explicit_nulls(slot).is_some_and(|bits| bits.value(row)) => "null".into(),
                None => "absent".into(),
            };
            (field.path.clone(), value)
        })
        .collect()
}

/// The only event of a record, or why there is none.
fn decode(decoder: &mut Decoder, record: Given) -> Result<BTreeMap<String, String>, String> {
    let mut bad = Vec::new();
    let events = decoder.decode(&batch(decoder, &[record]), &mut bad);
    match bad.pop() {
        Some(bad) => Err(bad.cause),
        None => Ok(said(&events, 0)),
    }
}

fn says(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
}

fn reading(format: Format) -> Reading {
    Reading::from(format)
}

/// A registry that has these schemas.
fn registry(list: &[(u32, &str, &str)]) -> Arc<Schemas> {
    let schemas = Schemas::default();
    for (id, kind, text) in list {
        let schema = SchemaText { kind: Some((*kind).to_owned()), text: (*text).to_owned(), references: Vec::new() };
        schemas.insert(SchemaId(*id), &schema).expect("there is room");
    }
    Arc::new(schemas)
}

fn framed(id: u32, bytes: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), bytes].concat()
}

fn with(reading: &Reading, list: &[(&str, FieldType)], schemas: &Arc<Schemas>) -> Decoder {
    Decoder::with_schemas(reading, fields(list), Arc::clone(schemas)).expect("records have these fields")
}

// --- the record itself ---

#[test]
fn a_record_has_fields_beside_those_of_its_payload() {
    let list = [
        ("$key", FieldType::Utf8),
        ("$value", FieldType::Bytes),
        ("$header.kind", FieldType::Utf8),
        ("$header.a.b", FieldType::I32),
        ("$header.none", FieldType::Utf8),
        ("$header.quoted", FieldType::I64),
        ("$offset", FieldType::U64),
        ("$timestamp", FieldType::I64),
        ("$partition", FieldType::I32),
        ("$topic", FieldType::Utf8),
        ("id", FieldType::U64),
    ];
    let mut decoder = with(&reading(Format::Json), &list, &Arc::default());
    let mut record = payload("{\"id\":7}")
        .keyed("k")
        .header("kind", "first")
        .header("kind", "last")
        .header("a.b", [0xff, 0xff, 0xff, 0xfe])
        .header("quoted", "-12");
    record.headers.push(("none", None));
    let expected = says(&[
        ("$key", "Text(\"k\")"),
        ("$value", "Bytes([123, 34, 105, 100, 34, 58, 55, 125])"),
        ("$header.kind", "Text(\"last\")"),
        ("$header.a.b", "I32(-2)"),
        ("$header.none", "null"),
        ("$header.quoted", "I64(-12)"),
        ("$offset", "U64(100)"),
        ("$timestamp", "I64(1793525400125)"),
        ("$partition", "I32(3)"),
        ("$topic", "Text(\"shop.orders\")"),
        ("id", "U64(7)"),
    ]);
    assert_eq!(decode(&mut decoder, record), Ok(expected));
    let bare = decode(&mut decoder, payload("{}")).expect("nothing is needed");
    assert_eq!((bare["$key"].as_str(), bare["$header.kind"].as_str()), ("null", "absent"));
}

#[test]
fn keys_of_every_type_are_as_kafkas_serializers_write_them() {
    let key = |data_type, bytes: &[u8]| {
        let mut decoder = with(&reading(Format::Raw), &[("$key", data_type)], &Arc::default());
        decode(&mut decoder, payload("anything").keyed(bytes)).map(|said| said["$key"].clone())
    };
    assert_eq!(key(FieldType::I64, &(-2_i64).to_be_bytes()), Ok("I64(-2)".into()));
    assert_eq!(key(FieldType::U64, &u64::MAX.to_be_bytes()), Ok(format!("U64({})", u64::MAX)));
    assert_eq!(key(FieldType::I32, &(-2_i32).to_be_bytes()), Ok("I32(-2)".into()));
    assert_eq!(key(FieldType::U32, &7_u32.to_be_bytes()), Ok("U32(7)".into()));
    assert_eq!(key(FieldType::F64, &0.5_f64.to_be_bytes()), Ok("F64(0.5)".into()));
    assert_eq!(key(FieldType::Bool, &[1]), Ok("Bool(true)".into()));
    assert_eq!(key(FieldType::Json, b" {\"a\":1} "), Ok("Text(\"{\\\"a\\\":1}\")".into()));
    let wrong = [
        (FieldType::I64, &[1, 2, 3][..], "field `$key` must be 8 bytes, big-endian (i64), but is 3 other bytes"),
        (FieldType::Utf8, &[0xff], "field `$key` must be UTF-8 text (utf8), but is 1 other bytes"),
        (FieldType::Bool, &[2], "field `$key` must be one byte, 0 or 1 (bool), but is 1 other bytes"),
        (FieldType::Json, b"{", "field `$key` must be JSON text (json), but is 1 other bytes"),
        (
            FieldType::F64,
            &f64::NAN.to_be_bytes(),
            "field `$key` must be 8 bytes, big-endian, of a finite number (f64), but is 8 other bytes",
        ),
    ];
    for (data_type, bytes, cause) in wrong {
        assert_eq!(key(data_type, bytes), Err(cause.to_owned()));
    }
}

#[test]
fn a_null_payload_is_what_the_topic_says_it_is() {
    let decoded = |null_payload| {
        let reading = Reading { null_payload, ..reading(Format::Json) };
        let mut decoder = with(&reading, &[("$key", FieldType::Utf8), ("id", FieldType::U64)], &Arc::default());
        let null = Given { key: Some(b"k".to_vec()), ..Given::default() };
        let mut bad = Vec::new();
        let raw = batch(&decoder, &[payload("{\"id\":1}"), null, payload("{\"id\":2}")]);
        let events = decoder.decode(&raw, &mut bad);
        let tombstones: Vec<bool> = (0..events.len()).map(|row| events.is_tombstone(row)).collect();
        (events.records().to_vec(), tombstones, bad.len(), said(&events, 1))
    };
    let (records, tombstones, bad, row) = decoded(NullPayload::Delete);
    assert_eq!((records, tombstones, bad), (vec![0, 1, 2], vec![false, true, false], 0));
    assert_eq!(row, says(&[("$key", "Text(\"k\")"), ("id", "absent")]));
    let (records, tombstones, bad, _) = decoded(NullPayload::Skip);
    assert_eq!((records, tombstones, bad), (vec![0, 2], vec![false, false], 0));
    let (records, _, bad, _) = decoded(NullPayload::Bad);
    assert_eq!((records, bad), (vec![0, 2], 1));
}

#[test]
fn names_that_records_do_not_have_are_told_with_those_they_have() {
    let wrong =
        |reading: &Reading, path: &str, data_type| check_field(reading, path, data_type).expect_err(path).to_string();
    let json = reading(Format::Json);
    for path in ["$kex", "$op", "$ce.type", "$key.id", "$offset.x", "$"] {
        assert!(wrong(&json, path, FieldType::Utf8).ends_with("is none of what records of this topic have"), "{path}");
    }
    assert!(check_field(&reading(Format::Raw), "id", FieldType::Utf8).is_err());
    assert_eq!(wrong(&json, "$offset", FieldType::U32), "`$offset` is read as u32, but it is i64 or u64");
    assert_eq!(wrong(&json, "$topic", FieldType::Bytes), "`$topic` is read as bytes, but it is utf8");
    let debezium = Reading { envelope: Envelope::Debezium, key_format: Format::Json, ..json };
    for path in ["$op", "$before.id", "$after.id", "$source.ts_ms", "$ts_ms", "$key.id", "id"] {
        assert_eq!(check_field(&debezium, path, FieldType::Utf8), Ok(()), "{path}");
    }
}

// --- avro ---

#[derive(Deserialize)]
struct Golden {
    #[serde(default)]
    schema: String,
    cases: Vec<GoldenCase>,
}

#[derive(Deserialize)]
struct GoldenCase {
    bytes: String,
    says: BTreeMap<String, String>,
}

impl GoldenCase {
    fn bytes(&self) -> Vec<u8> {
        let pairs = self.bytes.as_bytes().chunks(2);
        let text = |pair: &[u8]| String::from_utf8(pair.to_vec()).expect("hexadecimal");
        pairs.map(|pair| u8::from_str_radix(&text(pair), 16).expect("hexadecimal")).collect()
    }
}

fn avro_golden() -> Golden {
    serde_json::from_str(include_str!("../../fixtures/formats/avro.json")).expect("the fixture is JSON")
}

const AVRO_FIELDS: [(&str, FieldType); 21] = [
    ("id", FieldType::U64),
    ("small", FieldType::I32),
    ("flag", FieldType::Bool),
    ("ratio", FieldType::F64),
    ("single", FieldType::F64),
    ("blob", FieldType::Bytes),
    ("name", FieldType::Utf8),
    ("state", FieldType::Utf8),
    ("hash", FieldType::Bytes),
    ("price", FieldType::Utf8),
    ("key", FieldType::Utf8),
    ("day", FieldType::Utf8),
    ("at", FieldType::I64),
    ("at_micros", FieldType::Utf8),
    ("tags", FieldType::Json),
    ("labels.x", FieldType::I64),
    ("labels.z", FieldType::I64),
    ("author.id", FieldType::U64),
    ("author.friend.id", FieldType::U64),
    ("either", FieldType::I64),
    ("nowhere", FieldType::Utf8),
];

fn avro() -> Reading {
    reading(Format::Avro)
}

#[test]
fn avro_of_another_implementation_is_read_as_it_was_meant() {
    let golden = avro_golden();
    let schema = Arc::new(AvroSchema::parse(&golden.schema, &[]).expect("a schema"));
    let bare = Reading { schema: PayloadSchema::Avro("event.avsc".into(), schema), ..avro() };
    let schemas = registry(&[(7, "AVRO", &golden.schema)]);
    for case in &golden.cases {
        let mut decoder = with(&avro(), &AVRO_FIELDS, &schemas);
        assert_eq!(decode(&mut decoder, payload(framed(7, &case.bytes()))).as_ref(), Ok(&case.says));
        let mut decoder = with(&bare, &AVRO_FIELDS, &Arc::default());
        assert_eq!(decode(&mut decoder, payload(case.bytes())).as_ref(), Ok(&case.says));
    }
}

#[test]
fn an_avro_datum_cut_off_or_lengthened_is_bad() {
    let golden = avro_golden();
    let mut decoder = with(&avro(), &AVRO_FIELDS, &registry(&[(7, "AVRO", &golden.schema)]));
    let whole = framed(7, &golden.cases[0].bytes());
    for length in 0..whole.len() {
        assert!(decode(&mut decoder, payload(&whole[..length])).is_err(), "{length}");
    }
    let cause = decode(&mut decoder, payload([&whole[..], &[0]].concat())).expect_err("too long");
    assert_eq!(cause, "the payload is not a datum of Avro schema 7: there are bytes behind it");
    let cause = decode(&mut decoder, payload("{}")).expect_err("no frame");
    assert_eq!(cause, "the payload begins with 0x7b, not with 0x00 and the id of a schema");
}

fn record_of(fields: &str) -> String {
    format!("{{\"type\":\"record\",\"name\":\"r\",\"fields\":[{fields}]}}")
}

#[test]
fn fields_are_found_by_name_under_every_writers_schema() {
    let old = record_of(r#"{"name":"nick","type":"string"},{"name":"id","type":"int"}"#);
    let new = record_of(
        r#"{"name":"id","type":"long"},{"name":"name","type":["null","string"]},{"name":"age","type":"int"}"#,
    );
    let reader = record_of(
        r#"{"name":"id","type":"long"},{"name":"name","type":["null","string"],"aliases":["nick"]},
           {"name":"age","type":"int","default":-1},{"name":"level","type":"string","default":"basic"},
           {"name":"raw","type":"bytes","default":"\u0000\u00ff"},{"name":"gone","type":["null","int"],"default":null}"#,
    );
    let reader = Arc::new(AvroSchema::parse(&reader, &[]).expect("a schema"));
    let reading = Reading { schema: PayloadSchema::RegistryAndReader("r.avsc".into(), reader), ..avro() };
    let list = [
        ("id", FieldType::I64),
        ("name", FieldType::Utf8),
        ("age", FieldType::I32),
        ("level", FieldType::Utf8),
        ("raw", FieldType::Bytes),
        ("gone", FieldType::I32),
        ("unknown", FieldType::I32),
    ];
    let schemas = registry(&[(1, "AVRO", &old), (2, "AVRO", &new)]);
    let mut decoder = with(&reading, &list, &schemas);
    let records = [payload(framed(1, &[2, b'm', 14])), payload(framed(2, &[14, 2, 4, b'm', b'i', 60]))];
    let mut bad = Vec::new();
    let events = decoder.decode(&batch(&decoder, &records), &mut bad);
    assert_eq!(bad, []);
    let both = [("level", "Text(\"basic\")"), ("raw", "Bytes([0, 255])"), ("gone", "null"), ("unknown", "absent")];
    let mut first = says(&[("id", "I64(7)"), ("name", "Text(\"m\")"), ("age", "I32(-1)")]);
    let mut second = says(&[("id", "I64(7)"), ("name", "Text(\"mi\")"), ("age", "I32(30)")]);
    first.extend(says(&both));
    second.extend(says(&both));
    assert_eq!((said(&events, 0), said(&events, 1)), (first, second));
    // Without a reader's schema, what a writer does not know is absent.
    let mut decoder = with(&avro(), &list, &schemas);
    let row = decode(&mut decoder, records[0].clone()).expect("good");
    assert_eq!((row["name"].as_str(), row["age"].as_str()), ("absent", "absent"));
}

#[test]
fn a_batch_tells_the_schemas_that_it_lacks() {
    let schema = record_of(r#"{"name":"id","type":"int"}"#);
    let schemas = registry(&[(1, "AVRO", &schema)]);
    let reading = Reading { key_format: Format::Avro, ..avro() };
    let decoder = with(&reading, &[("id", FieldType::I32), ("$key", FieldType::Utf8)], &schemas);
    let records = [
        payload(framed(1, &[2])).keyed(framed(9, &[])),
        payload(framed(8, &[2])),
        payload([0, 0]),
        payload(framed(7, &[2])),
        Given::default(),
    ];
    let raw = batch(&decoder, &records);
    assert_eq!(decoder.missing_schemas(&raw), BTreeSet::from([SchemaId(7), SchemaId(8), SchemaId(9)]));
    let json = with(&self::reading(Format::Json), &[("id", FieldType::I32)], &Arc::default());
    assert_eq!(json.missing_schemas(&raw), BTreeSet::new());
}

#[test]
fn a_schema_that_cannot_be_used_makes_its_records_bad_and_no_others() {
    let good = record_of(r#"{"name":"id","type":"int"}"#);
    let schemas = registry(&[(1, "AVRO", &good), (2, "AVRO", "{"), (3, "JSON", "{}"), (4, "AVRO", "\"nowhere\"")]);
    let mut decoder = with(&avro(), &[("id", FieldType::I32)], &schemas);
    let records = [1, 2, 1, 3, 4].map(|id| payload(framed(id, &[2])));
    let mut bad = Vec::new();
    let events = decoder.decode(&batch(&decoder, &records), &mut bad);
    assert_eq!(events.records(), [0, 2]);
    let causes: Vec<&str> = bad.iter().map(|bad| bad.cause.as_str()).collect();
    assert!(causes[0].starts_with("schema 2 of the registry cannot be used: read an Avro schema: it is not JSON"));
    assert_eq!(causes[1], "schema 3 of the registry cannot be used: it is a schema of type JSON, which is not read");
    assert!(causes[2].ends_with("type `nowhere` is not defined before it is used"), "{}", causes[2]);
}

#[test]
fn avro_values_of_another_type_are_bad_and_named() {
    let cause = |kind: &str, data_type, bytes: &[u8]| {
        let schema = record_of(&format!("{{\"name\":\"f\",\"type\":{kind}}}"));
        let mut decoder = with(&avro(), &[("f", data_type)], &registry(&[(1, "AVRO", &schema)]));
        decode(&mut decoder, payload(framed(1, bytes))).map(|row| row["f"].clone())
    };
    let wrong = |wanted: &str, found: &str| Err(format!("field `f` must be {wanted}, but is {found} that is none"));
    assert_eq!(cause("\"long\"", FieldType::U64, &[1]), wrong("u64", "a long"));
    assert_eq!(cause("\"long\"", FieldType::U32, &[0x80, 0x80, 0x80, 0x80, 0x20]), wrong("u32", "a long"));
    assert_eq!(cause("\"string\"", FieldType::U64, &[2, b'1']), wrong("u64", "a string"));
    assert_eq!(cause("\"double\"", FieldType::F64, &f64::NAN.to_le_bytes()), wrong("f64", "a double"));
    assert_eq!(cause("[\"int\",\"string\"]", FieldType::I32, &[2, 2, b'1']), wrong("i32", "a string"));
    assert_eq!(cause("[\"int\",\"string\"]", FieldType::I32, &[0, 2]), Ok("I32(1)".into()));
    assert_eq!(cause("\"int\"", FieldType::F64, &[2]), Ok("F64(1.0)".into()));
    assert_eq!(cause("{\"type\":\"array\",\"items\":\"int\"}", FieldType::Utf8, &[0]), wrong("utf8", "an array"));
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":0}"#;
    assert_eq!(cause(decimal, FieldType::I64, &[2, 0xfe]), Ok("I64(-2)".into()));
}

#[test]
fn items_of_no_bytes_make_no_endless_work() {
    let nulls = record_of(r#"{"name":"f","type":{"type":"array","items":"null"}}"#);
    // A block of 2^61 nulls in ten bytes.
    let block = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
    for list in [("f", FieldType::Json), ("g", FieldType::Json)] {
        let mut decoder = with(&avro(), &[list], &registry(&[(1, "AVRO", &nulls)]));
        let cause = decode(&mut decoder, payload(framed(1, &block))).expect_err("too many");
        assert!(cause.starts_with("the payload is not a datum of Avro schema 1:"), "{cause}");
    }
    // A record that holds itself, as deep as the bytes say.
    let list = r#"{"type":"record","name":"l","fields":[{"name":"f","type":["null","l"]}]}"#;
    let mut decoder = with(&avro(), &[("f", FieldType::Json)], &registry(&[(1, "AVRO", list)]));
    assert!(decode(&mut decoder, payload(framed(1, &[2; 100_000]))).is_err());
    assert_eq!(
        decode(&mut decoder, payload(framed(1, &[2, 2, 0]))).expect("good")["f"],
        "Text(\"{\\\"f\\\":{\\\"f\\\":null}}\")"
    );
}

#[test]
fn an_avro_key_may_be_a_record_or_a_single_value() {
    let schemas = registry(&[(1, "AVRO", "\"string\""), (2, "AVRO", &record_of(r#"{"name":"id","type":"long"}"#))]);
    let json = Reading { key_format: Format::Avro, ..reading(Format::Json) };
    let mut decoder = with(&json, &[("$key", FieldType::Utf8)], &schemas);
    assert_eq!(
        decode(&mut decoder, payload("{}").keyed(framed(1, &[4, b'a', b'b']))),
        Ok(says(&[("$key", "Text(\"ab\")")]))
    );
    let mut decoder = with(&json, &[("$key.id", FieldType::U64)], &schemas);
    assert_eq!(decode(&mut decoder, payload("{}").keyed(framed(2, &[14]))), Ok(says(&[("$key.id", "U64(7)")])));
    let cause = decode(&mut decoder, payload("{}").keyed("7")).expect_err("no frame");
    assert_eq!(cause, "in the record's key: the payload begins with 0x37, not with 0x00 and the id of a schema");
}

// --- debezium ---

const ROW: [(&str, FieldType); 5] = [
    ("$op", FieldType::Utf8),
    ("$source.lsn", FieldType::I64),
    ("$before.name", FieldType::Utf8),
    ("id", FieldType::U64),
    ("name", FieldType::Utf8),
];

fn debezium() -> Reading {
    Reading { envelope: Envelope::Debezium, null_payload: NullPayload::Skip, ..reading(Format::Json) }
}

#[test]
fn a_debezium_event_is_the_row_after_its_change_or_before_its_deletion() {
    let old = r#"{"id":7,"name":"old"}"#;
    let new = r#"{"id":7,"name":"new"}"#;
    let cases = [
        ("c", "null", new, ["absent_or_null", "Text(\"new\")"]),
        ("r", "null", new, ["absent_or_null", "Text(\"new\")"]),
        ("u", old, new, ["Text(\"old\")", "Text(\"new\")"]),
        ("d", old, "null", ["Text(\"old\")", "Text(\"old\")"]),
    ];
    for (op, before, after, [before_name, name]) in cases {
        let event = format!(r#"{{"before":{before},"after":{after},"source":{{"lsn":12}},"op":"{op}","ts_ms":1}}"#);
        let wrapped = format!(r#"{{"schema":{{"type":"struct","fields":[{{"field":"op"}}]}},"payload":{event}}}"#);
        let turned = format!(r#"{{"payload":{event},"schema":{{"op":"x","after":{{}}}}}}"#);
        for event in [event, wrapped, turned] {
            let mut decoder = with(&debezium(), &ROW, &Arc::default());
            let before_name = if before == "null" { "null" } else { before_name };
            let op = format!("Text(\"{op}\")");
            let expected = says(&[
                ("$op", op.as_str()),
                ("$source.lsn", "I64(12)"),
                ("$before.name", before_name),
                ("id", "U64(7)"),
                ("name", name),
            ]);
            assert_eq!(decode(&mut decoder, payload(&event)), Ok(expected), "{event}");
        }
    }
}

#[test]
fn debezium_events_that_are_about_no_row_are_skipped_or_told() {
    let mut decoder = with(&debezium(), &ROW, &Arc::default());
    let records = [
        payload(r#"{"op":"m","message":{}}"#),
        Given { key: Some(b"k".to_vec()), ..Given::default() },
        payload(r#"{"op":"t"}"#),
        payload(r#"{"op":"x"}"#),
        payload(r#"{"id":7}"#),
        payload(r#"{"schema":null,"payload":null}"#),
        payload(r#"{"op":"d","before":{"id":1}}"#),
    ];
    let mut bad = Vec::new();
    let events = decoder.decode(&batch(&decoder, &records), &mut bad);
    assert_eq!(events.records(), [6]);
    let bad: Vec<(usize, &str)> =
        bad.iter().map(|bad| (bad.record, bad.cause.split(';').next().unwrap_or(""))).collect();
    let expected = [
        (2, "the event truncates its table (op t), which cannot be told row by row"),
        (3, "field `op` must be c, r, u, d, m or t of Debezium, but is something else"),
        (4, "the payload is no Debezium event: it has no `op`"),
        (5, "what holds field `after.id` must be an object, but is null"),
    ];
    assert_eq!(bad[..3], expected[..3]);
    assert_eq!(bad[3].0, 5);
}

#[test]
fn debezium_is_the_same_in_avro_and_its_keys_are_unwrapped() {
    let row = r#"{"type":"record","name":"Value","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]}]}"#;
    let envelope = record_of(&format!(
        r#"{{"name":"before","type":["null",{row}]}},{{"name":"after","type":["null","Value"]}},
           {{"name":"source","type":{{"type":"record","name":"s","fields":[{{"name":"lsn","type":"long"}}]}}}},{{"name":"op","type":"string"}}"#
    ));
    let avro = Reading { format: Format::Avro, ..debezium() };
    let mut decoder = with(&avro, &ROW, &registry(&[(1, "AVRO", &envelope)]));
    let deleted = [&[2, 14, 2, 2, b'a'][..], &[0], &[24], &[2, b'd']].concat();
    let expected = says(&[
        ("$op", "Text(\"d\")"),
        ("$source.lsn", "I64(12)"),
        ("$before.name", "Text(\"a\")"),
        ("id", "U64(7)"),
        ("name", "Text(\"a\")"),
    ]);
    assert_eq!(decode(&mut decoder, payload(framed(1, &deleted))), Ok(expected));
    let keyed = Reading { key_format: Format::Json, ..debezium() };
    let mut decoder = with(&keyed, &[("$key.id", FieldType::U64)], &Arc::default());
    for key in [r#"{"id":7}"#, r#"{"schema":{"type":"struct"},"payload":{"id":7}}"#] {
        let record = payload(r#"{"op":"c"}"#).keyed(key);
        assert_eq!(decode(&mut decoder, record), Ok(says(&[("$key.id", "U64(7)")])), "{key}");
    }
}

// --- cloudevents ---

const CLOUD: [(&str, FieldType); 5] = [
    ("$ce.type", FieldType::Utf8),
    ("$ce.time", FieldType::Utf8),
    ("$ce.sequence", FieldType::I64),
    ("id", FieldType::U64),
    ("name", FieldType::Utf8),
];

#[test]
fn a_cloud_event_is_the_same_in_both_modes() {
    let reading = Reading { envelope: Envelope::CloudEvents, ..reading(Format::Json) };
    let mut decoder = with(&reading, &CLOUD, &Arc::default());
    let binary = payload(r#"{"id":7,"name":"m"}"#)
        .header("content-type", "application/json")
        .header("ce_specversion", "1.0")
        .header("ce_type", "shop.order")
        .header("ce_time", "2026-11-01T09:30:00Z")
        .header("ce_sequence", "12");
    let structured = payload(
        r#"{"specversion":"1.0","type":"shop.order","time":"2026-11-01T09:30:00Z","sequence":12,"data":{"id":7,"name":"m"}}"#,
    )
    .header("content-type", "application/CloudEvents+json; charset=utf-8");
    let expected = says(&[
        ("$ce.type", "Text(\"shop.order\")"),
        ("$ce.time", "Text(\"2026-11-01T09:30:00Z\")"),
        ("$ce.sequence", "I64(12)"),
        ("id", "U64(7)"),
        ("name", "Text(\"m\")"),
    ]);
    assert_eq!(decode(&mut decoder, binary.clone()).as_ref(), Ok(&expected));
    assert_eq!(decode(&mut decoder, structured.clone()).as_ref(), Ok(&expected));
    // One batch may hold both.
    let mut bad = Vec::new();
    let events = decoder.decode(&batch(&decoder, &[binary, structured]), &mut bad);
    assert_eq!((said(&events, 0), said(&events, 1), bad.len()), (expected.clone(), expected, 0));
}

#[test]
fn what_is_no_cloud_event_is_told() {
    let reading = Reading { envelope: Envelope::CloudEvents, ..reading(Format::Json) };
    let mut decoder = with(&reading, &CLOUD, &Arc::default());
    let mut cause = |record| decode(&mut decoder, record).expect_err("bad");
    assert!(cause(payload("{}")).starts_with("the record is no CloudEvent: it has neither"));
    let batched = payload("[]").header("content-type", "application/cloudevents-batch+json");
    assert!(cause(batched).starts_with("the event is a CloudEvent in a structured mode other than"));
    let structured = |text: &str| payload(text).header("content-type", "application/cloudevents+json");
    assert_eq!(cause(structured("{\"type\":\"x\"}")), "the payload is no CloudEvent: it has no `specversion`");
    let base64 = r#"{"specversion":"1.0","data_base64":"AA=="}"#;
    assert!(cause(structured(base64)).starts_with("the data of the CloudEvent is base64"));
    let text = payload("{}").header("ce_specversion", "1.0").header("ce_sequence", "twelve");
    assert_eq!(
        cause(text),
        "field `$ce.sequence` must be the digits of an integer in the range of i64, but is 6 other bytes"
    );
}

// --- protobuf ---

const SHOP: &str = include_str!("../../fixtures/formats/shop.proto");
const SHOP_SET: &[u8] = include_bytes!("../../fixtures/formats/shop.desc");

const PROTOBUF_FIELDS: [(&str, FieldType); 19] = [
    ("id", FieldType::U64),
    ("customer", FieldType::Utf8),
    ("comment", FieldType::Utf8),
    ("state", FieldType::Utf8),
    ("lines", FieldType::Json),
    ("points.x", FieldType::I64),
    ("points.z", FieldType::I64),
    ("placed", FieldType::I64),
    ("coupon", FieldType::Utf8),
    ("card", FieldType::Utf8),
    ("voucher", FieldType::I64),
    ("deltas", FieldType::Json),
    ("weight", FieldType::F64),
    ("raw", FieldType::Bytes),
    ("floor", FieldType::I32),
    ("gift.article", FieldType::Utf8),
    ("gift.count", FieldType::U32),
    ("gift.discount.percent", FieldType::I32),
    ("express", FieldType::Bool),
];

fn protobuf_golden() -> Golden {
    serde_json::from_str(include_str!("../../fixtures/formats/protobuf.json")).expect("the fixture is JSON")
}

fn shop_file() -> Reading {
    let all = Arc::new(Descriptors::decode(SHOP_SET).expect("a descriptor set"));
    Reading {
        schema: PayloadSchema::Protobuf("shop.desc".into(), all, "shop.Order".into()),
        ..reading(Format::Protobuf)
    }
}

#[test]
fn protobuf_of_another_implementation_is_read_as_it_was_meant() {
    let list: Vec<_> = PROTOBUF_FIELDS.iter().copied().chain([("nowhere", FieldType::Utf8)]).collect();
    let schemas = registry(&[(7, "PROTOBUF", SHOP)]);
    for case in &protobuf_golden().cases {
        // `Order` is the second message of its file.
        let payload_7 = framed(7, &[&[2, 2][..], &case.bytes()].concat());
        let mut decoder = with(&reading(Format::Protobuf), &list, &schemas);
        assert_eq!(decode(&mut decoder, payload(payload_7)).as_ref(), Ok(&case.says));
        let mut decoder = with(&shop_file(), &list, &Arc::default());
        assert_eq!(decode(&mut decoder, payload(case.bytes())).as_ref(), Ok(&case.says));
    }
}

#[test]
fn the_frame_of_a_protobuf_payload_names_its_message() {
    let schemas = registry(&[(7, "PROTOBUF", SHOP)]);
    let list = [("text", FieldType::Utf8), ("article", FieldType::Utf8), ("percent", FieldType::I32)];
    let mut decoder = with(&reading(Format::Protobuf), &list, &schemas);
    let mut decode = |bytes: &[u8]| decode(&mut decoder, payload(framed(7, bytes)));
    let note = Ok(says(&[("text", "Text(\"a\")"), ("article", "absent"), ("percent", "absent")]));
    assert_eq!(decode(&[0, 10, 1, b'a']), note, "an empty list is the first message");
    assert_eq!(decode(&[2, 0, 10, 1, b'a']), note);
    let line = says(&[("text", "absent"), ("article", "Text(\"a\")"), ("percent", "absent")]);
    assert_eq!(decode(&[4, 2, 0, 10, 1, b'a']), Ok(line), "Order.Line");
    let discount = says(&[("text", "absent"), ("article", "absent"), ("percent", "I32(-5)")]);
    assert_eq!(decode(&[6, 2, 0, 0, 8, 9]), Ok(discount), "Order.Line.Discount");
    for wrong in [&[2, 8][..], &[4, 0, 0], &[1], &[2, 1], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[]] {
        assert!(decode(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn of_a_oneof_and_of_a_field_that_stands_twice_the_last_counts() {
    let mut decoder = with(&shop_file(), &PROTOBUF_FIELDS, &Arc::default());
    // voucher = 12, card = "a", id = 1, id = 2, an unknown group and field
    let bytes = [0x50, 12, 0x4a, 1, b'a', 0x08, 1, 0x08, 2, 0xa3, 6, 0x08, 1, 0xa4, 6, 0xfa, 7, 1, 0];
    let row = decode(&mut decoder, payload(bytes)).expect("good");
    assert_eq!([&row["voucher"], &row["card"], &row["id"]], ["absent", "Text(\"a\")", "U64(2)"]);
}

#[test]
fn a_protobuf_message_cut_off_or_of_other_types_is_bad_or_shorter() {
    let golden = protobuf_golden();
    let mut decoder = with(&shop_file(), &PROTOBUF_FIELDS, &Arc::default());
    let whole = golden.cases[0].bytes();
    for length in 0..whole.len() {
        // Cut off between two fields, it is another message; it must only not panic.
        let _ = decode(&mut decoder, payload(&whole[..length]));
    }
    let cause = |list: &[(&str, FieldType)], bytes: &[u8]| {
        let mut decoder = with(&shop_file(), list, &Arc::default());
        decode(&mut decoder, payload(bytes)).expect_err("bad")
    };
    assert_eq!(
        cause(&PROTOBUF_FIELDS, &[0x0a, 0]),
        "the payload is not a message of the topic's descriptor set: it has a field of another wire type than its schema says"
    );
    assert_eq!(
        cause(&[("customer", FieldType::U64)], &[0x12, 1, b'7']),
        "field `customer` must be u64, but is a string that is none"
    );
    assert_eq!(
        cause(&[("lines", FieldType::Utf8)], &[0x2a, 0]),
        "field `lines` cannot be read: it is repeated; read it as json"
    );
    assert_eq!(
        cause(&[("id", FieldType::U32)], &[0x08, 0xff, 0xff, 0xff, 0xff, 0x1f]),
        "field `id` must be u32, but is an integer that is none"
    );
    let mut nested = Vec::new();
    for _ in 0..200 {
        nested = [&[0x0a, nested.len() as u8 & 0x7f][..], &nested].concat();
        nested.truncate(120);
    }
    let _ = decode(&mut decoder, payload(nested));
}

#[test]
fn imports_of_a_registrys_protobuf_schema_are_known_by_their_names() {
    let text = r#"syntax = "proto3"; package a; import "b.proto"; message M { b.N n = 1; google.protobuf.Int64Value w = 2; c.Gone g = 3; }"#;
    let imported = ("b.proto".to_owned(), r#"syntax = "proto3"; package b; message N { int32 x = 1; }"#.to_owned());
    let schemas = Schemas::default();
    let schema = SchemaText { kind: Some("PROTOBUF".into()), text: text.into(), references: vec![imported] };
    schemas.insert(SchemaId(1), &schema).expect("there is room");
    let list = [("n.x", FieldType::I32), ("w", FieldType::I64)];
    let mut decoder = with(&reading(Format::Protobuf), &list, &Arc::new(schemas));
    let row = decode(&mut decoder, payload(framed(1, &[0, 0x0a, 2, 8, 7, 0x12, 0, 0x1a, 0])));
    assert_eq!(row, Ok(says(&[("n.x", "I32(7)"), ("w", "I64(0)")])));
}

// --- bytes that are none ---

/// A decoder of every format, and good payloads for it.
fn every_decoder() -> Vec<(Decoder, Vec<Vec<u8>>)> {
    let golden = avro_golden();
    let avro_payloads = golden.cases.iter().map(|case| framed(7, &case.bytes())).collect();
    let avro = with(&avro(), &AVRO_FIELDS, &registry(&[(7, "AVRO", &golden.schema)]));
    let protobuf_payloads = protobuf_golden().cases.iter().map(GoldenCase::bytes).collect();
    let protobuf = with(&shop_file(), &PROTOBUF_FIELDS, &Arc::default());
    let debezium_payloads = vec![br#"{"op":"u","before":{"id":1},"after":{"id":1,"name":"n"}}"#.to_vec()];
    let debezium = with(&debezium(), &ROW, &Arc::default());
    vec![(avro, avro_payloads), (protobuf, protobuf_payloads), (debezium, debezium_payloads)]
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic_and_leave_their_neighbours_alone(
        noise in proptest::collection::vec(any::<u8>(), 0..64),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for (mut decoder, payloads) in every_decoder() {
            for good in payloads {
                let expected = decode(&mut decoder, payload(&good)).expect("good");
                let mut changed = good.clone();
                // The frame stays: an id that is not there would wait, it would not be decoded.
                let start = usize::from(good.first() == Some(&0)) * 5;
                if good.len() > start {
                    changed[start + at.index(good.len() - start)] = byte;
                }
                let noisy = [&good[..start], &noise].concat();
                let records = [payload(&good), payload(&changed), payload(noisy), payload(&good)];
                let mut bad = Vec::new();
                let events = decoder.decode(&batch(&decoder, &records), &mut bad);
                let row = |record: u32| events.records().iter().position(|known| *known == record);
                for record in [0, 3] {
                    prop_assert_eq!(said(&events, row(record).expect("it is good")), expected.clone());
                }
            }
        }
    }

    #[test]
    fn schemas_of_a_registry_never_panic(text in ".{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = AvroSchema::parse(&text, &[]);
        let _ = Descriptors::parse(&text, &[]);
        let _ = Descriptors::decode(&bytes);
    }
}
