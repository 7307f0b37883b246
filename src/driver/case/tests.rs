//! Cases that pass, and what is said about those that do not.

use super::*;
use crate::topology::{cases, load};

fn topology(text: &str) -> Topology {
    load::parse("t.toml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}")).topology
}

fn chat() -> Topology {
    topology(include_str!("../../../topology/chat.toml"))
}

/// What is said about the one case of a file: first how its events came, then what is otherwise.
fn said(topology: &Topology, text: &str) -> Vec<String> {
    let cases = cases::cases(topology, "t", text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let verdict = run((topology, &Projections::default()), &cases[0]).expect("lanes");
    let delivery = verdict.failed.iter().map(ToString::to_string);
    delivery.chain(verdict.differences.iter().map(ToString::to_string)).collect()
}

const POSTED: &str =
    r#"{topic = "messages", value = {message_id = 7, room_id = 3, type = "posted", body = "hello", version = 5}}"#;

#[test]
fn every_difference_is_told_at_once_with_row_column_and_both_values() {
    let text = format!(
        r#"
        [[case]]
        name = "wrong in every way"
        events = [
            {POSTED},
            {{topic = "messages", text = "x"}},
            {{topic = "messages", value = {{message_id = 8, room_id = 3, type = "posted", version = 5}}}},
            {{topic = "messages", value = {{message_id = 9, room_id = 3, type = "posted", version = 5}}}},
        ]
        rows = [
            {{table = "message", key = {{room_id = 3, message_id = 7}}, version = 6, cells = {{"m:body" = "bye", "m:account" = 1, "m:room" = 3, "m:message" = 7}}}},
            {{table = "message", key = {{room_id = 3, message_id = 8}}, deleted = true}},
            {{table = "message", key = {{room_id = 4, message_id = 8}}}},
        ]
        dead_letters = [{{event = 1, stage = "project", cause = "version"}}]
        "#
    );
    let said = said(&chat(), &text);
    assert_eq!(said[0], "one by one");
    let tails: Vec<&str> =
        said[1..].iter().map(|line| line.split_once("): ").map_or(line.as_str(), |at| at.1)).collect();
    let cells: Vec<&str> = said[1..]
        .iter()
        .filter(|line| line.starts_with("table "))
        .filter_map(|line| line.split_once("), "))
        .map(|at| at.1)
        .collect();
    assert_eq!(
        cells,
        [
            "m:account: expected 1, got no cell",
            "m:body: expected \"bye\", got \"hello\"",
            "m:body: expected version 6, got 5",
            "m:message: expected version 6, got 5",
            "m:room: expected version 6, got 5",
            "m:type: expected no cell, got \"posted\"",
        ]
    );
    assert!(tails.contains(&"expected to be deleted, but is not"), "{said:#?}");
    assert!(tails.contains(&"expected, but is not there"), "{said:#?}");
    assert!(
        tails.contains(&"not expected, but is there with m:message = 9, m:room = 3, m:type = \"posted\""),
        "{said:#?}"
    );
    assert!(
        said.contains(&"event 1: expected as a dead letter (project version), but is none".to_owned()),
        "{said:#?}"
    );
    assert!(
        said.iter().any(|line| line.starts_with("event 2: a dead letter: decode: the payload is not JSON")),
        "{said:#?}"
    );
    assert!(said.iter().any(|line| line.contains("(room_id = 3, message_id = 7)")), "{said:#?}");
}

#[test]
fn a_case_that_holds_passes_in_every_delivery() {
    let text = format!(
        r#"
        [[case]]
        name = "posted and deleted in any order"
        any_order = true
        events = [
            {POSTED},
            {{topic = "messages", value = {{message_id = 7, room_id = 3, type = "deleted", version = 6}}}},
            {{topic = "messages", text = "x"}},
        ]
        rows = [{{table = "message", key = {{room_id = 3, message_id = 7}}, deleted = true}}]
        dead_letters = [{{event = 3, cause = "not JSON"}}]
        "#
    );
    assert_eq!(said(&chat(), &text), Vec::<String>::new());
}

#[test]
fn a_model_that_depends_on_the_order_is_found_out() {
    // Two events of one version: whichever has the higher offset wins.
    let text = r#"
        [[case]]
        name = "a tie"
        any_order = true
        events = [
            {topic = "messages", value = {message_id = 7, room_id = 3, type = "posted", version = 5}},
            {topic = "messages", value = {message_id = 7, room_id = 3, type = "edited", version = 5}},
        ]
        rows = [{table = "message", key = {room_id = 3, message_id = 7}, partial = true, cells = {"m:type" = "edited"}}]
        "#;
    let said = said(&chat(), text);
    assert_eq!(said[0], "in the order 2, 1");
    assert!(said[1].ends_with("m:type: expected \"edited\", got \"posted\""), "{said:?}");
}

#[test]
fn a_row_deleted_by_a_marker_is_deleted() {
    let text = include_str!("../../../topology/chat.toml").replace("as = \"tombstone\"", "as = \"marker\"");
    let case = format!(
        r#"
        [[case]]
        name = "marker"
        events = [{POSTED}, {{topic = "messages", value = {{message_id = 7, room_id = 3, type = "deleted", version = 6}}}}]
        rows = [{{table = "message", key = {{room_id = 3, message_id = 7}}, deleted = true}}]
        "#
    );
    assert_eq!(said(&topology(&text), &case), Vec::<String>::new());
}
