//! The driver against what a topology means.

use serde_json::json;

use super::*;
use crate::model::key::KeyValue;
use crate::topology::load;

fn chat() -> Driver {
    let text = include_str!("../../topology/chat.toml");
    let loaded = load::parse("chat.toml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Driver::new(&loaded.topology).expect("lanes")
}

fn posted(version: i64) -> Record {
    let event = json!({"message_id": 7, "room_id": 3, "type": "posted", "body": "hello", "version": version});
    Record::json("messages", &event)
}

fn deleted(version: i64) -> Record {
    Record::json("messages", &json!({"message_id": 7, "room_id": 3, "type": "deleted", "version": version}))
}

#[test]
fn rows_are_read_with_their_key_fields_values_and_versions() {
    let mut driver = chat();
    driver.pipe(posted(5));
    let rows = driver.table("message").expect("known").rows();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row.key_field("room_id"), Some(&KeyValue::U64(3)));
    assert_eq!((row.cell("m:body"), row.version("m:body")), (Some(&json!("hello")), Some(5)));
    assert_eq!(row.cell("m:account"), None, "what the event does not carry is not written");
    assert_eq!(driver.counts().events, 1);
    assert!(driver.table("nowhere").is_none());
}

#[test]
fn a_deleted_row_is_gone_for_readers_and_stays_gone_for_older_events() {
    let mut driver = chat();
    driver.pipe_all([deleted(6), posted(5)]);
    let table = driver.table("message").expect("known");
    assert_eq!(table.live_rows(), []);
    assert_eq!(table.rows()[0].deleted, Some(6));
    driver.pipe(posted(7));
    assert_eq!(driver.table("message").expect("known").live_rows().len(), 1);
}

#[test]
fn several_topics_and_tables_live_in_one_driver() {
    let mut driver = chat();
    driver.pipe(posted(1));
    let event = json!({"room_id": "3", "account": {"id": 9, "name": "mia"}, "last_read": 7,
                       "read_at": "2026-11-01T09:30:00.125Z", "seq": 0, "left": false});
    driver.pipe(Record::json("receipts", &event));
    assert_eq!(driver.tables().collect::<Vec<_>>(), ["message", "receipt"]);
    assert_eq!(driver.table("message").expect("known").rows().len(), 1);
    assert_eq!(driver.table("receipt").expect("known").rows()[0].cell("r:name"), Some(&json!("mia")));
}

#[test]
fn a_paused_sink_catches_up_to_the_very_same_rows() {
    let mut driver = chat();
    driver.pipe(posted(1));
    driver.pause("green");
    driver.pipe(deleted(2));
    let rows = |driver: &Driver, sink: &str| driver.table_of(sink, "message").expect("known").live_rows();
    assert_eq!((rows(&driver, "blue").len(), rows(&driver, "green").len()), (0, 1));
    driver.resume("green");
    assert_eq!(rows(&driver, "blue"), rows(&driver, "green"));
}

#[test]
fn batches_redelivery_and_order_change_nothing() {
    let records = [posted(1), deleted(4), posted(2), posted(9)];
    let mut expected = chat();
    expected.pipe_all(records.clone());
    let expected = expected.table("message").expect("known").rows();
    for (seed, batch) in (0..50).zip([1, 2, 3, 100].into_iter().cycle()) {
        let mut driver = chat();
        driver.set_batch_records(batch);
        driver.pipe_all(in_order(&records, &shuffled(records.len(), seed)));
        driver.redeliver("messages", 0, (seed % 4) as i64);
        assert_eq!(driver.table("message").expect("known").rows(), expected, "seed {seed}");
    }
}

#[test]
fn records_without_a_time_get_the_clocks() {
    let mut driver = chat();
    driver.advance(Duration::from_secs(3));
    driver.pipe(Record::null("messages"));
    driver.pipe(Record::text("messages", "{").at_ms(7).in_partition(2).with_key("k"));
    let letters: Vec<_> = driver
        .dead_letters()
        .iter()
        .map(|letter| (letter.partition.partition, letter.timestamp_ms, letter.key.clone()))
        .collect();
    assert_eq!(letters, [(0, 3000, None), (2, 7, Some(b"k".to_vec()))]);
}

#[test]
#[should_panic(expected = "no model reads topic `nowhere`")]
fn piping_into_nowhere_proves_nothing() {
    chat().pipe(Record::null("nowhere"));
}
