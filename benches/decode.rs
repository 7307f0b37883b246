//! Time for one event from bytes to Arrow columns: the same six of seven fields in JSON and in Avro.
//!
//! `cargo bench --bench decode`. Every format is asked whether it reads the same values before it is measured.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use halcyon::decode::Decoder;
use halcyon::decode::events::{Events, FieldSet};
use halcyon::decode::reading::{Format, Reading};
use halcyon::decode::schemas::{SchemaId, SchemaText, Schemas};
use halcyon::model::batch::{RawBatch, RawRecord};
use halcyon::model::field::{Field, FieldType};
use halcyon::progress::offset::{Offset, Span, TopicPartition};

const EVENTS: u64 = 8192;

const SCHEMA: &str = r#"{"type":"record","name":"Event","fields":[
    {"name":"message_id","type":"long"},{"name":"room_id","type":"long"},{"name":"account_id","type":"long"},
    {"name":"type","type":"string"},{"name":"body","type":["null","string"]},
    {"name":"trace","type":"string"},{"name":"version","type":"long"}]}"#;

const BODY: &str = "It was a bright cold day in April, and the clocks were striking thirteen. Winston Smith, his chin \
                    nuzzled into his breast in an effort to escape the vile wind, slipped quickly through.";

fn fields() -> FieldSet {
    let numbers = ["message_id", "room_id", "account_id", "version"].map(|path| (path, FieldType::U64));
    let texts = ["type", "body"].map(|path| (path, FieldType::Utf8));
    let field = |(path, data_type): (&str, FieldType)| Field { path: path.to_owned(), data_type, quoted_number: false };
    FieldSet::new(numbers.into_iter().chain(texts).map(field).collect()).expect("the fields agree")
}

fn batch(payload: impl Fn(u64) -> Vec<u8>) -> RawBatch {
    let (mut arena, mut records) = (Vec::new(), Vec::new());
    for event in 0..EVENTS {
        let start = arena.len() as u32;
        arena.extend_from_slice(&payload(event));
        let payload = Some(start..arena.len() as u32);
        records.push(RawRecord { offset: Offset(event as i64), timestamp_ms: 0, key: None, payload });
    }
    let span = Span::new(Offset(0), Offset(EVENTS as i64)).expect("not empty");
    let partition = TopicPartition { topic: "t".into(), partition: 0 };
    RawBatch { partition, span, records, arena, headers: Vec::new() }
}

const fn version(event: u64) -> u64 {
    1_793_525_400_000 + event
}

fn json(event: u64) -> Vec<u8> {
    let (room, account, version) = (event % 1000, event % 77, version(event));
    format!(
        "{{\"message_id\":{event},\"room_id\":{room},\"account_id\":{account},\"type\":\"posted\",\"body\":\"{BODY}\",\
         \"trace\":\"00112233445566778899aabbccddeeff\",\"version\":{version}}}"
    )
    .into_bytes()
}

fn avro(event: u64) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 7];
    let long = |number: u64, out: &mut Vec<u8>| {
        let mut zigzag = number << 1;
        while zigzag >= 0x80 {
            out.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        out.push(zigzag as u8);
    };
    let text = |text: &str, out: &mut Vec<u8>| {
        long(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    };
    for number in [event, event % 1000, event % 77] {
        long(number, &mut out);
    }
    text("posted", &mut out);
    long(1, &mut out);
    text(BODY, &mut out);
    text("00112233445566778899aabbccddeeff", &mut out);
    long(version(event), &mut out);
    out
}

fn decoder(format: Format) -> Decoder {
    let schemas = Schemas::default();
    let schema = SchemaText { text: SCHEMA.to_owned(), ..SchemaText::default() };
    schemas.insert(SchemaId(7), &schema).expect("there is room");
    Decoder::with_schemas(&Reading::from(format), fields(), Arc::new(schemas)).expect("records have these fields")
}

fn decode(decoder: &mut Decoder, raw: &RawBatch) -> Events {
    let mut bad = Vec::new();
    let events = decoder.decode(raw, &mut bad);
    assert!(bad.is_empty(), "{bad:?}");
    events
}

fn formats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode 6 of 7 fields");
    group.throughput(Throughput::Elements(EVENTS));
    let expected = decode(&mut decoder(Format::Json), &batch(json));
    for (name, format, raw) in [("json", Format::Json, batch(json)), ("avro", Format::Avro, batch(avro))] {
        let mut decoder = decoder(format);
        let events = decode(&mut decoder, &raw);
        for slot in 0..fields().all().len() {
            assert_eq!(events.column(slot), expected.column(slot), "{name}");
        }
        group.bench_function(name, |bencher| bencher.iter(|| black_box(decode(&mut decoder, black_box(&raw)))));
    }
    group.finish();
}

criterion_group!(benches, formats);
criterion_main!(benches);
