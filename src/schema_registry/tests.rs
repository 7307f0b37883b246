//! Who waits for what, and for how long.

use super::*;
use crate::model::batch::RawRecord;
use crate::progress::offset::{Offset, Span};

const FRAMED: Framed = Framed { payloads: true, keys: false };

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: number }
}

/// A batch of one record whose payload has this schema.
fn raw(number: i32, id: u32) -> RawBatch {
    let arena = [&[0][..], &id.to_be_bytes()].concat();
    let payload = Some(0..arena.len() as u32);
    RawBatch {
        partition: partition(number),
        span: Span::new(Offset(0), Offset(1)).expect("not empty"),
        records: vec![RawRecord { offset: Offset(0), timestamp_ms: -1, key: None, payload }],
        arena,
        headers: Vec::new(),
    }
}

fn text() -> SchemaText {
    SchemaText { text: "\"string\"".to_owned(), ..SchemaText::default() }
}

fn down() -> FetchError {
    FetchError::Timeout { url: "http://registry".to_owned() }
}

#[test]
fn a_partition_is_ready_once_its_schemas_are_there() {
    let registry = SchemaRegistry::default();
    let is_ready = |number, id| registry.is_ready(&partition(number), FRAMED, &raw(number, id));
    assert!(registry.is_ready(&partition(0), Framed::default(), &raw(0, 7)), "nothing is framed");
    assert!(!is_ready(0, 7));
    assert!(!is_ready(1, 7), "one question for both");
    let (due, next) = registry.take_due(Instant::now(), FETCHES_MAX);
    assert_eq!((due, next), (vec![SchemaId(7)], None));
    assert_eq!(registry.take_due(Instant::now(), FETCHES_MAX).0, [], "it is being asked for");
    registry.finish(SchemaId(7), Ok(text()));
    assert!(is_ready(0, 7) && is_ready(1, 7));
    assert_eq!(registry.waits(), [] as [String; 0]);
}

#[test]
fn what_fails_is_asked_for_again_and_says_why() {
    let registry = SchemaRegistry::default();
    assert!(!registry.is_ready(&partition(0), FRAMED, &raw(0, 7)));
    assert_eq!(registry.waits(), ["t[0] waits for schema 7: it is being fetched"]);
    registry.take_due(Instant::now(), FETCHES_MAX);
    registry.finish(SchemaId(7), Err(down()));
    assert_eq!(registry.waits(), ["t[0] waits for schema 7: http://registry does not answer within 10 s"]);
    let (due, next) = registry.take_due(Instant::now(), FETCHES_MAX);
    assert_eq!(due, []);
    let next = next.expect("it is due once more");
    assert_eq!(registry.take_due(next, FETCHES_MAX).0, [SchemaId(7)]);
}

#[test]
fn nobody_is_asked_for_a_schema_that_nobody_waits_for() {
    let registry = SchemaRegistry::default();
    assert!(!registry.is_ready(&partition(0), FRAMED, &raw(0, 7)));
    assert!(!registry.is_ready(&partition(1), FRAMED, &raw(1, 8)));
    registry.forget(&partition(0));
    assert_eq!(registry.take_due(Instant::now(), FETCHES_MAX).0, [SchemaId(8)]);
    registry.finish(SchemaId(7), Err(down()));
    assert_eq!(registry.waits().len(), 1);
}

#[test]
fn no_more_are_asked_for_at_once_than_there_is_room() {
    let registry = SchemaRegistry::default();
    for id in 0..20 {
        assert!(!registry.is_ready(&partition(id), FRAMED, &raw(id, id.unsigned_abs())));
    }
    let (due, next) = registry.take_due(Instant::now(), 8);
    assert_eq!((due.len(), next), (8, None), "the end of a request is the next thing to wait for");
    assert_eq!(registry.take_due(Instant::now(), 0).0, []);
    assert_eq!(registry.take_due(Instant::now(), 20).0.len(), 12);
}

#[test]
fn pauses_grow_to_a_limit() {
    let pauses: Vec<u128> = (1..=10).map(|failures| pause(failures).as_millis()).collect();
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    assert_eq!(pause(u32::MAX), PAUSE_MAX);
}
