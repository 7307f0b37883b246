//! Dead letters as an operator meets them: listed, shown, replayed after a fix, from a file and from a topic.

use halcyon::dead_letter::{DeadLetter, DeadLetters, Entry, LetterReader};
use halcyon::model::batch::Stage;
use halcyon::progress::offset::{Offset, TopicPartition};
use halcyon::topology::load;
use hbase::scan::Visibility;
use hbase::server::Config;
use hbase::table_name::TableName;
use serde_json::Value;

use super::bad_input::{TOPIC, World};
use crate::support::process::halcyon;

/// What a verb printed, line by line, as JSON; its exit code first.
fn lines(arguments: &[&str]) -> (i32, Vec<Value>) {
    let (code, out, error) = halcyon(&[arguments, &["--json"]].concat());
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} {error}")));
    (code, lines.collect())
}

fn change(topology: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(topology).expect("readable");
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(topology, text.replace(from, to)).expect("written");
}

/// The quoted number becomes readable; the event without a field stays bad.
const MENDED: (&str, &str) = ("start  = \"earliest\"", "start  = \"earliest\"\nquoted_numbers = [\"event\"]");

/// Runs until the two bad events of four are dead letters.
fn with_letters(world: &World, topology: &str) {
    world.create_tables(topology);
    world.kafka.send((TOPIC, 0), [r#"{"event":1}"#, r#"{"event":"2"}"#, r#"{"other":3}"#, r#"{"event":4}"#]);
    let (code, _, error) = halcyon(&["run", "--topology", topology, "--until-caught-up"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(world.rows(), 2);
}

fn story(world: &World, topology: &str) {
    with_letters(world, topology);
    let at = ["--topology", topology];
    let (code, listed) = lines(&[&["dead-letter", "list"][..], &at].concat());
    assert_eq!(code, 0);
    let [first, second, summary] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&first["stage"], &first["offset"]), (&"decode".into(), &1.into()));
    assert_eq!((&second["stage"], &second["offset"]), (&"project".into(), &2.into()));
    assert_eq!(summary["summary"]["letters"], 2);

    // Nothing is mended yet.
    let (code, replayed) = lines(&[&["dead-letter", "replay"][..], &at].concat());
    assert_eq!(code, 1);
    assert_eq!(replayed.last().expect("a summary")["summary"]["still_bad"], 2);
    assert_eq!(lines(&[&["dead-letter", "list"][..], &at].concat()).1, listed, "still the same two letters");

    change(topology, MENDED.0, MENDED.1);
    let (_, dry) = lines(&[&["dead-letter", "replay", "--dry-run"][..], &at].concat());
    assert_eq!(
        dry.iter().map(|line| line["verdict"].clone()).collect::<Vec<_>>()[..2],
        ["would be replayed", "still bad"]
    );
    assert_eq!((world.rows(), lines(&[&["dead-letter", "list"][..], &at].concat()).1), (2, listed.clone()));

    let (code, replayed) = lines(&[&["dead-letter", "replay", "--cause", "integer"][..], &at].concat());
    assert_eq!((code, &replayed.last().expect("a summary")["summary"]["replayed"]), (0, &1.into()));
    assert_eq!(world.rows(), 3);
    let (_, left) = lines(&[&["dead-letter", "list"][..], &at].concat());
    let [only, summary] = &left[..] else { panic!("{left:?}") };
    assert_eq!((&only["offset"], &summary["summary"]["replayed"]), (&2.into(), &1.into()));

    // Replaying what was replayed is harmless, and a letter that is bad for a new reason says that one.
    change(topology, "version = {column = \"event\"}", "version = {column = \"room\"}");
    let (code, replayed) = lines(&[&["dead-letter", "replay"][..], &at].concat());
    assert_eq!((code, &replayed[0]["verdict"]), (1, &"bad for another reason".into()));
    let (_, left) = lines(&[&["dead-letter", "list"][..], &at].concat());
    assert_eq!(left.len(), 2);
    assert!(left[0]["cause"].as_str().expect("a cause").contains("`room`"), "{left:?}");
    let id = left[0]["id"].as_str().expect("an id").to_owned();
    let (code, out, _) = halcyon(&[&["dead-letter", "show", &id][..], &at].concat());
    assert_eq!(code, 0);
    assert!(out.contains("chat.messages[0] 2") && out.contains("\"other\": 3"), "{out}");
    let (code, _, error) = halcyon(&[&["dead-letter", "show", "77"][..], &at].concat());
    assert!(code == 2 && error.contains("there is no dead letter `77`"), "{error}");
}

#[test]
fn letters_of_a_file_are_listed_shown_and_replayed_after_a_fix() {
    let world = World::new();
    story(&world, &world.topology(""));
}

#[test]
fn letters_of_a_topic_are_listed_shown_and_replayed_after_a_fix() {
    let world = World::new();
    let topology = world.topology("");
    let file = format!("file = {:?}", world.dead_letters());
    change(&topology, &file, "topic = \"chat.dead\"");
    world.kafka.create_topic("chat.dead", 1);
    story(&world, &topology);
}

#[test]
fn a_topology_that_halts_has_no_letters_and_says_so() {
    let world = World::new();
    let topology = world.topology("");
    change(&topology, &format!("file = {:?}", world.dead_letters()), "halt = true");
    let (code, _, error) = halcyon(&["dead-letter", "list", "--topology", &topology]);
    assert!(code == 2 && error.contains("halt = true"), "{error}");
}

#[test]
fn a_letter_too_large_for_its_topic_is_kept_without_its_payload() {
    let world = World::new();
    let topology = world.topology("");
    change(&topology, &format!("file = {:?}", world.dead_letters()), "topic = \"chat.dead\"");
    world.kafka.create_topic("chat.dead", 1);
    let loaded = load::load(&[topology.clone().into()]).expect("a legal topology").topology;
    let letter = |offset: i64, bytes: usize| DeadLetter {
        partition: TopicPartition { topic: TOPIC.into(), partition: 0 },
        offset: Offset(offset),
        timestamp_ms: 7,
        stage: Stage::Decode,
        cause: "too long".to_owned(),
        key: Some(b"k".to_vec()),
        payload: Some(vec![b'x'; bytes]),
        omitted_bytes: None,
        row: None,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = DeadLetters::open(&loaded.dead_letter.to, &loaded.kafka).expect("opens");
    runtime.block_on(store.store(&[letter(1, 3_000_000), letter(2, 10)])).expect("both are kept");
    let mut found = Vec::new();
    let reader = LetterReader::new(&loaded).expect("a store");
    reader
        .read(&mut |entry| {
            if let Entry::Letter(_, letter) = entry {
                found.push(*letter);
            }
            std::ops::ControlFlow::Continue(())
        })
        .expect("readable");
    found.sort_by_key(|letter| letter.offset);
    let short = DeadLetter { payload: None, omitted_bytes: Some(3_000_000), ..letter(1, 0) };
    assert_eq!(found, [short, letter(2, 10)]);
    let (code, replayed) = lines(&["dead-letter", "replay", "--id", "0@1", "--id", "0@0", "--topology", &topology]);
    assert_eq!((code, &replayed.last().expect("a summary")["summary"]["stuck"]), (1, &1.into()), "{replayed:?}");
}

/// A column with text, so that a row can be too large for the servers.
fn with_body(topology: &str) {
    change(topology, "[cluster.blue]", "\"e:body\" = {from = \"body\", as = \"utf8\"}\n\n[cluster.blue]");
}

#[test]
fn a_row_that_a_cluster_refuses_becomes_a_dead_letter_and_its_neighbours_are_written() {
    let world = World::with(Config { region_servers: 1, cell_bytes_max: 1000, ..Config::default() });
    let topology = world.topology("budget = {minimum = 100, share = 0.01}");
    with_body(&topology);
    world.create_tables(&topology);
    let event = |event: u32| {
        let body = if event == 7 { "x".repeat(2000) } else { "small".to_owned() };
        format!(r#"{{"event":{event},"body":"{body}"}}"#)
    };
    world.kafka.send((TOPIC, 0), (0..20).map(event));
    let (code, _, error) = halcyon(&["run", "--topology", &topology, "--until-caught-up"]);
    assert_eq!(code, 0, "{error}");
    let rows = || {
        let cells = world.cluster.cells(&TableName::new("event"), Visibility::Live);
        cells.into_iter().map(|cell| cell.row.to_vec()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(rows(), 19, "all but the refused one");
    assert_eq!(world.kafka.committed("chat.blue", (TOPIC, 2))[&0].0, 20, "nothing is held back");
    let (_, listed) = lines(&["dead-letter", "list", "--topology", &topology]);
    let letter = &listed[0];
    assert_eq!(
        (&letter["stage"], &letter["sink"], &letter["table"]),
        (&"write".into(), &"blue".into(), &"event".into())
    );
    assert_eq!(letter["key_hex"], "0000000000000007");
    assert!(letter["offset"].as_i64() <= Some(7) && letter["end_offset"].as_i64() >= Some(8), "{letter}");
    assert!(letter["cause"].as_str().is_some_and(|cause| cause.contains("DoNotRetryIOException")), "{letter}");

    // Refused again: it stays the letter that it is.
    let (code, replayed) = lines(&["dead-letter", "replay", "--topology", &topology]);
    assert_eq!((code, &replayed.last().expect("a summary")["summary"]["still_bad"]), (1, &1.into()), "{replayed:?}");
    let (code, out, _) = halcyon(&["dead-letter", "show", "1", "--topology", &topology]);
    assert!(code == 0 && out.contains("event = 7") && out.contains("e:body at 7, 2000 bytes: xxx"), "{out}");
}
