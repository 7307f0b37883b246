//! `halcyon dead-letter list|show|replay`: look at what became no row, and try again after a fix.

pub mod list;
pub mod replay;
pub mod show;

use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::cli::{LetterArgs, Since};
use crate::clock::{Clock, SystemClock};
use crate::dead_letter::letters::Filter;
use crate::dead_letter::{DeadLetter, DeadLetterError, Entry, LetterId, LetterReader, hex};
use crate::halt::{Halt, HaltKind};
use crate::model::batch::Stage;
use crate::topology::Topology;

/// Longest text of a payload or cause on one line of a list.
const SHORT_CHARS: usize = 120;

/// What the operator asked for.
fn filter(args: &LetterArgs, topology: &Topology) -> Filter {
    let now_ms = || SystemClock.now_ms();
    Filter {
        cause: args.cause.clone(),
        topic: args.topic.as_ref().map(|topic| {
            let by_id = topology.topics.get(topic).map(|known| known.name.clone());
            by_id.unwrap_or_else(|| topic.clone())
        }),
        stage: args.stage.as_deref().and_then(Stage::from_name),
        refused_by: None,
        since_ms: args.since.map(|since| match since {
            Since::Time(ms) => ms,
            Since::Ago(ms) => now_ms().saturating_sub(ms),
        }),
        ids: args.ids.iter().cloned().collect(),
    }
}

/// A topology without a store has no letters, and saying so is the answer to a wrong use.
fn reader(topology: &Topology) -> anyhow::Result<LetterReader> {
    LetterReader::new(topology).map_err(|error| match error {
        DeadLetterError::NoStore => Halt::new(HaltKind::Topology, error.to_string()).into(),
        other => other.into(),
    })
}

/// Shows every letter of the store; entries that are none are logged.
fn each_letter(
    reader: &LetterReader,
    visit: &mut dyn FnMut(LetterId, DeadLetter) -> ControlFlow<()>,
) -> Result<(), DeadLetterError> {
    reader.read(&mut |entry| match entry {
        Entry::Letter(id, letter) => visit(id, *letter),
        Entry::Mark(_) => ControlFlow::Continue(()),
        Entry::Strange(id, why) => {
            tracing::warn!(entry = %id, why, "an entry of the store is passed over");
            ControlFlow::Continue(())
        }
    })
}

/// `topic[partition] offset`, or the span that a refused row was made of.
fn place(letter: &DeadLetter) -> String {
    match &letter.row {
        None => format!("{} {}", letter.partition, letter.offset),
        Some(row) => format!("{} {}..{}", letter.partition, letter.offset, row.end),
    }
}

fn time(letter: &DeadLetter) -> String {
    let known = Some(letter.timestamp_ms).filter(|ms| *ms >= 0);
    let shown = known.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    shown.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

/// A letter as JSON, with everything it holds.
fn letter_json(id: &LetterId, letter: &DeadLetter) -> Value {
    let row = letter.row.as_ref();
    let text =
        |bytes: &Option<Vec<u8>>| bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned);
    json!({
        "id": id.to_string(),
        "topic": &*letter.partition.topic,
        "partition": letter.partition.partition,
        "offset": letter.offset.0,
        "end_offset": row.map(|row| row.end.0),
        "timestamp_ms": letter.timestamp_ms,
        "stage": letter.stage.name(),
        "cause": letter.cause,
        "sink": row.map(|row| row.sink.to_string()),
        "table": row.map(|row| row.table.to_string()),
        "key_hex": letter.key.as_deref().map(hex),
        "key_text": text(&letter.key),
        "payload_bytes": letter.payload.as_ref().map(|payload| payload.len() as u64).or(letter.omitted_bytes),
        "payload_omitted": letter.omitted_bytes.is_some(),
        "payload_hex": letter.payload.as_deref().map(hex),
        "payload_text": text(&letter.payload),
    })
}

/// One line that fits a terminal: control characters escaped, the end cut off.
fn short(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHORT_CHARS {
            shown.push('…');
            break;
        }
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}
