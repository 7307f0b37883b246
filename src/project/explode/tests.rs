//! `each`: from the text of a topology to rows, with what happens to arrays that are none.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::driver::{Driver, Record, Row};
use crate::topology::load;

const TOPOLOGY: &str = r#"
name = "t"
[kafka]
brokers = ["k:9092"]
[topic.t]
name = "t"
format = "json"
quoted_numbers = ["room.members.id"]
[model.member]
topic = "t"
table = "member"
each = "room.members"
key = [{column = "room.id", as = "u64"}, {column = "room.members.id", as = "u64"}]
version = {column = "v"}
when = "type = 'members'"
delete = {when = "room.members.left"}
[model.member.columns]
"m:role" = {from = "room.members.role.name", as = "utf8"}
"m:place" = {from = "$index", as = "u32"}
"m:title" = {concat = ["room.title", {value = ": "}, "room.members.nick"], as = "utf8"}
[model.tag]
topic = "t"
table = "tag"
each = "tags"
key = [{column = "tags", as = "utf8"}]
version = {column = "v"}
when = "tags != ''"
[model.tag.columns]
"t:room" = {from = "room.id", as = "u64"}
[cluster.c]
hbase = {registry = ["h:16000"]}
[dead_letter]
halt = true
"#;

fn driver() -> Driver {
    let loaded = load::parse("t.toml", TOPOLOGY, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Driver::new(&loaded.topology).expect("lanes")
}

fn rows(driver: &Driver, table: &str) -> Vec<Row> {
    driver.table(table).expect("known").live_rows()
}

fn event(members: &str) -> Record {
    Record::text("t", &format!(r#"{{"type":"members","v":1,"room":{{"id":3,"title":"x","members":{members}}}}}"#))
}

#[test]
fn every_element_is_a_row_with_the_fields_of_its_event_beside_its_own() {
    let mut driver = driver();
    driver.pipe(event(r#"[{"id":1,"nick":"a","role":{"name":"owner"}}, {"id":"2","nick":null}, {"id":1,"nick":"b"}]"#));
    let rows = rows(&driver, "member");
    let [first, second] = &rows[..] else { panic!("{rows:?}") };
    // Of two elements with one key and version the later one counts, and what it does not say stays the other's.
    let cells = |row: &Row| ["m:title", "m:role", "m:place"].map(|column| row.cell(column).cloned());
    assert_eq!(cells(first), [Some(json!("x: b")), Some(json!("owner")), Some(json!(2))]);
    assert_eq!(cells(second), [Some(Json::Null), None, Some(json!(1))]);
    assert_eq!(driver.dead_letters(), []);
}

#[test]
fn values_are_elements_too_and_conditions_see_them() {
    let mut driver = driver();
    driver.pipe(Record::text("t", r#"{"type":"x","v":1,"room":{"id":3},"tags":["a","","b"]}"#));
    let keys: Vec<_> = rows(&driver, "tag").into_iter().map(|row| row.key).collect();
    assert_eq!(keys, [b"a", b"b"]);
    assert_eq!((driver.dead_letters().len(), driver.counts().filtered), (0, 0));
}

#[test]
fn no_array_no_element_and_a_null_make_no_row() {
    let mut driver = driver();
    driver.pipe(event("[]"));
    driver.pipe(event("null"));
    driver.pipe(Record::text("t", r#"{"type":"members","v":1,"room":{"id":3}}"#));
    assert_eq!((rows(&driver, "member"), driver.counts().filtered, driver.dead_letters().len()), (vec![], 3, 0));
}

#[test]
fn what_is_no_array_or_no_element_is_bad_and_the_other_elements_are_written() {
    let mut driver = driver();
    let bad = [r#"{"id":1}"#, r#""x""#, "[7]", r#"[{"id":1,"nick":"a"},{"id":"x"},{"nick":"c"},{"id":4,"nick":"d"}]"#];
    driver.pipe_all(bad.map(event));
    let causes: Vec<&str> = driver.dead_letters().iter().map(|letter| letter.cause.as_str()).collect();
    assert_eq!(causes[0], "model `member`: field `room.members` must be an array, but is an object");
    assert_eq!(causes[1], "model `member`: field `room.members` must be an array, but is a string");
    assert!(causes[2].contains("what holds field `room.members.id` must be an object, but is a number"), "{causes:?}");
    assert!(causes[3].contains("field `room.members.id` must be an integer"), "{causes:?}");
    assert!(causes[3].contains("field `room.members.id` is missing (needed for the row key)"), "{causes:?}");
    assert_eq!(causes.len(), 4, "one letter an event");
    let titles: Vec<_> = rows(&driver, "member").iter().map(|row| row.cell("m:title").cloned()).collect();
    assert_eq!(titles, [Some(json!("x: a")), Some(json!("x: d"))]);
}

#[test]
fn an_event_that_is_not_wanted_may_hold_anything_for_an_array() {
    let mut driver = driver();
    driver.pipe(Record::text("t", r#"{"type":"other","v":1,"room":{"id":3,"members":{"a":1}}}"#));
    assert_eq!((driver.dead_letters().len(), driver.counts().filtered), (0, 1));
}

#[test]
fn an_element_deletes_its_own_row() {
    let mut driver = driver();
    driver.pipe(event(r#"[{"id":1,"nick":"a"},{"id":2,"nick":"b"}]"#));
    let left = r#"{"type":"members","v":2,"room":{"id":3,"title":"x","members":[{"id":1,"left":true}]}}"#;
    driver.pipe(Record::text("t", left));
    assert_eq!(rows(&driver, "member").len(), 1);
    assert_eq!(driver.table("member").expect("known").rows()[0].deleted, Some(2));
}

#[test]
fn what_elements_repeat_is_bounded_by_the_size_of_their_event() {
    let mut driver = driver();
    let members: Vec<String> = (0..2000).map(|id| format!("{{\"id\":{id},\"nick\":\"a\"}}")).collect();
    let large = "x".repeat(20_000);
    let of = |title: &str| {
        event(&format!("[{}]", members.join(",")))
            .payload
            .map(|payload| String::from_utf8(payload).expect("text").replace("\"x\"", &format!("\"{title}\"")))
    };
    driver.pipe(Record::text("t", &of("x").expect("a payload")));
    assert_eq!((rows(&driver, "member").len(), driver.dead_letters().len()), (2000, 0));
    driver.pipe(Record::text("t", &of(&large).expect("a payload")));
    let cause = &driver.dead_letters()[0].cause;
    assert!(cause.contains("the 2000 elements of `room.members` would repeat"), "{cause}");
}

#[test]
fn an_array_is_read_whole_and_an_element_must_be_read() {
    let said = |from: &str, to: &str| {
        assert!(TOPOLOGY.contains(from));
        load::parse("t.toml", &TOPOLOGY.replace(from, to), &|_| None).expect_err("a mistake").to_string()
    };
    let text = said("each = \"tags\"", "each = \"labels\"");
    assert!(text.contains("no field of it is read"), "{text}");
    let text = said(
        "\"t:room\" = {from = \"room.id\", as = \"u64\"}",
        "\"t:room\" = {from = \"room.members.id\", as = \"u64\"}",
    );
    assert!(
        text.contains("field `room.members.id` is within `room.members`, which is read as a whole elsewhere"),
        "{text}"
    );
    let text = said("each = \"tags\"", "each = \"tags.\"");
    assert!(text.contains("is not the path of a field"), "{text}");
}

fn events() -> impl Strategy<Value = Vec<Record>> {
    let element = prop_oneof![
        (0..4_u32, "[ab]?").prop_map(|(id, nick)| format!("{{\"id\":{id},\"nick\":\"{nick}\"}}")),
        Just("{\"id\":-1}".to_owned()),
        Just("{\"nick\":\"no id\"}".to_owned()),
        Just("7".to_owned()),
    ];
    let array = prop_oneof![
        4 => proptest::collection::vec(element, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
    ];
    // Events differ in what their elements repeat, so that an element of another event shows.
    let event = (array, 0..3_u32, 0..5_u32, "[xy]").prop_map(|(members, room, version, title)| {
        let room = format!("{{\"id\":{room},\"title\":\"{title}\",\"members\":{members}}}");
        Record::text("t", &format!("{{\"type\":\"members\",\"v\":{version},\"room\":{room}}}"))
    });
    proptest::collection::vec(event, 0..10)
}

proptest! {
    #[test]
    fn where_batches_end_changes_no_row_and_no_letter(events in events(), batch in 1..6_usize) {
        let run = |batch: usize| {
            let mut driver = driver();
            driver.set_batch_records(batch);
            driver.pipe_all(events.clone());
            (rows(&driver, "member"), driver.dead_letters().to_vec())
        };
        prop_assert_eq!(run(batch), run(1));
    }
}
