//! What a topology says about its records: mistakes, what follows from what, and deletions by null payloads.

use crate::model::batch::{RawBatch, RawRecord};
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::project::Lane;
use crate::topology::load::{self, Loaded};
use crate::topology::{Envelope, Format, NullPayload};

const EXAMPLE: &str = include_str!("../../../topology/formats.toml");

/// A topology whose topic says `TOPIC` and whose model says `MODEL`.
const SMALL: &str = r#"
name = "small"
[kafka]
brokers = ["k:9092"]
[topic.t]
name = "t"
TOPIC
[model.m]
topic = "t"
table = "m"
MODEL
[model.m.columns]
"a:x" = {from = "x", as = "utf8"}
[cluster.c]
hbase = {registry = ["h:16000"]}
[dead_letter]
halt = true
"#;

const BY_RECORD: &str = "key = [{column = \"$key\", as = \"utf8\"}]\nversion = {kafka = \"offset\"}";
const BY_PAYLOAD: &str = "key = [{column = \"id\", as = \"u64\"}]\nversion = {column = \"v\"}";
const REGISTRY: &str = "[schema_registry]\nurls = [\"http://r:8081\"]\n";

fn load(topic: &str, model: &str, more: &str) -> Result<Loaded, String> {
    let text = SMALL.replace("TOPIC", topic).replace("MODEL", model) + more;
    load::parse("t.toml", &text, &|_| None).map_err(|mistakes| mistakes.to_string())
}

fn null_payload(topic: &str, model: &str) -> NullPayload {
    let loaded = load(topic, model, "").unwrap_or_else(|mistakes| panic!("{mistakes}"));
    loaded.topology.reading("t").expect("the topic is there").null_payload
}

#[test]
fn the_example_of_formats_has_no_mistake_and_says_what_it_means() {
    let environment = |name: &str| (name == "SCHEMA_REGISTRY").then(|| "http://a:8081,http://b:8081".to_owned());
    let loaded = load::parse("formats.toml", EXAMPLE, &environment).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let topology = loaded.topology;
    for id in topology.topics.keys() {
        let lane = Lane::new(&topology, id).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(
            lane.framed().payloads,
            topology.reading(id).is_some_and(|reading| reading.frames_payloads()),
            "{id}"
        );
    }
    let described = topology.describe();
    for line in [
        "format     avro",
        "envelope   debezium",
        "envelope   cloudevents",
        "keys       json",
        "urls       http://a:8081, http://b:8081",
    ] {
        assert!(described.contains(line), "{line}:\n{described}");
    }
    assert_eq!(topology.schema_registry.expect("there is one").urls.len(), 2);
}

#[test]
fn what_a_null_payload_means_follows_from_key_and_envelope() {
    assert_eq!(null_payload("format = \"json\"", BY_RECORD), NullPayload::Delete);
    assert_eq!(null_payload("format = \"json\"", BY_PAYLOAD), NullPayload::Bad);
    assert_eq!(null_payload("format = \"json\"\nenvelope = \"debezium\"", BY_RECORD), NullPayload::Skip);
    assert_eq!(null_payload("format = \"json\"\nnull_payload = \"skip\"", BY_RECORD), NullPayload::Skip);
    let mistakes =
        load("format = \"json\"\nnull_payload = \"delete\"", BY_PAYLOAD, "").expect_err("the key is in the payload");
    assert!(mistakes.contains("null payloads cannot delete rows of model `m`: it is made of `id`"), "{mistakes}");
}

#[test]
fn what_a_topic_says_is_read() {
    let topic = "format = \"avro\"\nkey_format = \"json\"\nenvelope = \"debezium\"";
    let model = "key = [{column = \"$key.id\", as = \"u64\"}]\nversion = {column = \"$source.lsn\"}\ndelete = {when = \"$op = 'd'\"}";
    let loaded = load(topic, model, REGISTRY).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let topic = &loaded.topology.topics["t"];
    assert_eq!((topic.format, topic.key_format, topic.envelope), (Format::Avro, Format::Json, Envelope::Debezium));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn mistakes_about_records_are_told_with_what_to_do() {
    let cases = [
        ("format = \"avro\"", BY_PAYLOAD, "", "`topic.t` needs the schemas of a registry, and there is none"),
        ("format = \"raw\"", BY_PAYLOAD, "", "`id` is none of what records of this topic have"),
        ("format = \"raw\"\nenvelope = \"debezium\"", BY_RECORD, "", "a raw payload has no envelope"),
        ("format = \"json\"\nschema = {file = \"x\"}", BY_PAYLOAD, "", "format json has no schema"),
        (
            "format = \"avro\"\nschema = {message = \"x\"}",
            BY_PAYLOAD,
            REGISTRY,
            "`topic.t.schema` is no schema for avro",
        ),
        ("format = \"avro\"\nschema = {file = \"nowhere.avsc\"}", BY_PAYLOAD, "", "nowhere.avsc cannot be read"),
        ("format = \"avro\"\nschema = {file = \"Cargo.toml\"}", BY_PAYLOAD, "", "Cargo.toml: read an Avro schema"),
        (
            "format = \"protobuf\"\nschema = {file = \"fixtures/formats/shop.desc\", message = \"Order\"}",
            BY_PAYLOAD,
            "",
            "has no message `Order`",
        ),
        ("format = \"jsn\"", BY_PAYLOAD, "", "`topic.t.format` has no value `jsn`"),
        (
            "format = \"json\"",
            BY_PAYLOAD,
            "[schema_registry]\nurls = [\"r:8081\"]",
            "this is not the address of a registry",
        ),
        ("format = \"json\"", BY_PAYLOAD, "[schema_registry]\nurls = [\"https://r\"]", "`https` needs `ca`"),
        (
            "format = \"json\"",
            BY_PAYLOAD,
            "[schema_registry]\nurls = [\"http://r\"]\nuser = \"u\"\npassword = \"p\"",
            "the password is a secret",
        ),
        (
            "format = \"json\"",
            BY_PAYLOAD,
            "[schema_registry]\nurls = [\"http://r\"]\nuser = \"u\"",
            "`user` and `password` go together",
        ),
        (
            "format = \"json\"\nenvelope = \"debezium\"",
            "key = [{column = \"$after.x\", as = \"u64\"}]\nversion = {kafka = \"offset\"}",
            "",
            "`topic.t` cannot be read: read field `after.x` as utf8 and as u64",
        ),
    ];
    for (topic, model, more, expected) in cases {
        let mistakes = load(topic, model, more).expect_err(expected);
        assert!(mistakes.contains(expected), "{expected}: {mistakes}");
    }
    let warned = load("format = \"json\"\nenvelope = \"debezium\"", BY_RECORD, "").expect("no mistake").warnings;
    assert!(warned.iter().any(|warning| warning.what.contains("reads Debezium events, but deletes no row")));
}

fn record(arena: &mut Vec<u8>, offset: i64, key: &str, payload: Option<&str>) -> RawRecord {
    let mut append = |text: &str| {
        let start = arena.len() as u32;
        arena.extend_from_slice(text.as_bytes());
        start..arena.len() as u32
    };
    RawRecord { offset: Offset(offset), timestamp_ms: 5, key: Some(append(key)), payload: payload.map(append) }
}

#[test]
fn a_null_payload_deletes_the_row_that_its_key_names() {
    let model = format!("{BY_RECORD}\nwhen = \"x <> 'hidden'\"");
    let loaded = load("format = \"json\"", &model, "").unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let mut lane = Lane::new(&loaded.topology, "t").expect("the topology was loaded");
    let mut arena = Vec::new();
    let records = vec![
        record(&mut arena, 0, "a", Some("{\"x\":\"1\"}")),
        record(&mut arena, 1, "b", Some("{\"x\":\"hidden\"}")),
        record(&mut arena, 2, "a", None),
    ];
    let raw = RawBatch {
        partition: TopicPartition { topic: "t".into(), partition: 0 },
        span: Span::new(Offset(0), Offset(3)).expect("not empty"),
        records,
        arena,
        headers: Vec::new(),
    };
    let projected = lane.project(&raw);
    assert_eq!((projected.bad.len(), projected.counts.filtered, projected.counts.events), (0, 1, 3));
    let [table] = projected.tables.as_slice() else { panic!("one table") };
    // One row: x is empty and the tombstone stands beside it, both at version 2.
    assert_eq!(table.block.rows().len(), 1);
    let bytes = table.block.bytes();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(has(b"_deleted") && has(&2_i64.to_be_bytes()) && !has(b"hidden"));
}

#[test]
fn skipped_records_count_as_filtered() {
    let loaded = load("format = \"json\"\nnull_payload = \"skip\"", BY_RECORD, "").expect("no mistake");
    let mut lane = Lane::new(&loaded.topology, "t").expect("the topology was loaded");
    let mut arena = Vec::new();
    let records = vec![record(&mut arena, 0, "a", None), record(&mut arena, 1, "b", Some("{"))];
    let raw = RawBatch {
        partition: TopicPartition { topic: "t".into(), partition: 0 },
        span: Span::new(Offset(0), Offset(2)).expect("not empty"),
        records,
        arena,
        headers: Vec::new(),
    };
    let projected = lane.project(&raw);
    assert_eq!((projected.counts.events, projected.counts.filtered, projected.bad.len()), (2, 1, 1));
    assert!(projected.tables.is_empty());
}
