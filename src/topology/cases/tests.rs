//! Case files: what is read, and that every mistake is named.

use super::*;
use crate::topology::load;

fn chat() -> Topology {
    let text = include_str!("../../../topology/chat.toml");
    load::parse("chat.toml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}")).topology
}

fn read(text: &str) -> Vec<Case> {
    cases(&chat(), "chat.test.toml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let Err(Mistakes(mistakes)) = cases(&chat(), "t", text) else { panic!("no mistake") };
    mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.place.map_or(0, |at| at.line), mistake.what)).collect()
}

#[test]
fn a_case_is_read_with_the_types_of_its_topology() {
    let cases = read(
        r#"
        [[case]]
        name = "posted"
        any_order = true
        events = [
            {topic = "messages", value = {room_id = 3, tags = ["a", {b = 1.5}]}, key = "k", partition = 2, time = 2026-11-01T00:00:00Z},
            {topic = "messages", text = '{"body": null}'},
            {topic = "messages", hex = "00ff"},
            {topic = "messages", null = true},
        ]
        rows = [
            {table = "message", key = {room_id = 3, message_id = "18446744073709551615"}, version = 4,
             cells = {"m:body" = "x", "m:room" = 3}, nulls = ["m:type"], versions = {"m:room" = 5}},
            {table = "message", key_hex = "00", deleted = true},
        ]
        dead_letters = [{event = 3, stage = "decode", cause = "UTF-8"}]
        "#,
    );
    let [case] = &cases[..] else { panic!("{cases:?}") };
    assert_eq!((case.name.as_str(), case.place.as_str(), case.any_order), ("posted", "chat.test.toml:2", true));
    let first = &case.events[0];
    assert_eq!(first.payload.as_deref(), Some(&br#"{"room_id":3,"tags":["a",{"b":1.5}]}"#[..]));
    assert_eq!((first.key.as_deref(), first.partition), (Some(&b"k"[..]), 2));
    assert_eq!(first.timestamp_ms, Some(1_793_491_200_000));
    let payloads: Vec<_> = case.events[1..].iter().map(|event| event.payload.clone()).collect();
    assert_eq!(payloads, [Some(br#"{"body": null}"#.to_vec()), Some(vec![0, 255]), None]);
    let row = &case.rows[0];
    assert_eq!(row.key[1..], [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(row.cells["m:type"], Json::Null);
    assert_eq!((row.versions["m:body"], row.versions["m:room"]), (4, 5));
    assert!(case.rows[1].deleted);
    assert_eq!(case.letters[0].event, 2);
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_line() {
    let told = mistakes(
        r#"
[[case]]
nme = "x"
events = [
    {topic = "mesages", value = {}},
    {topic = "messages"},
    {topic = "messages", hex = "0g"},
]
rows = [
    {table = "mesage"},
    {table = "message", key = {room = 3}, cells = {"m:bdy" = "x", "m:room" = -1}},
    {table = "receipt", key_hex = "00", cells = {"r:last_read" = "many"}},
]
dead_letters = [{event = 4, stage = "decod"}]
[other]
"#,
    );
    let expected = [
        "2: `case[0]` lacks `name`",
        "3: unknown key `nme` in `case[0]`",
        "5: no model reads topic `mesages`",
        "6: `case[0].events[1]` must say one of `value`, `text`, `hex` and `null`, but says 0",
        "7: these are not bytes",
        "10: no model writes table `mesage`",
        "11: `case[0].rows[1].key` lacks the field `message_id`",
        "11: `case[0].rows[1].key` lacks the field `room_id`",
        "11: table `message` has no column `m:bdy`",
        "11: the row key holds no field `room`",
        "12: `case[0].rows[2].cells.r:last_read` can hold no u64 of that value",
        "14: `case[0].dead_letters[0].event` must be 1 to 3, but is 4",
        "14: `case[0].dead_letters[0].stage` has no value `decod`",
        "15: unknown key `other`",
    ];
    let mut told = told;
    told.sort_by_key(|line| (line.split(':').next().and_then(|n| n.parse::<u32>().ok()), line.clone()));
    assert_eq!(told, expected);
    assert_eq!(mistakes(""), ["1: the file has no case"]);
    assert!(mistakes("[[case]\n")[0].starts_with("1: not TOML: "));
}
