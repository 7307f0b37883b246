//! Letters and marks as lines of JSON, there and back.
//!
//! Payload and key stand as text where they are UTF-8, and always as hexadecimal, so that nothing is lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DeadLetter, LetterId, Mark, RefusedRow, Sinks};
use crate::model::batch::Stage;
use crate::progress::offset::{Offset, TopicPartition};

/// A letter.
#[derive(Serialize)]
struct LetterLine<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    stage: &'a str,
    cause: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_bytes: Option<u64>,
    key_hex: Option<String>,
    payload_hex: Option<String>,
    payload_text: Option<&'a str>,
}

/// What a line may say. Unknown names are left alone: a later version may say more.
#[derive(Deserialize)]
struct AnyLine {
    replayed: Option<Replayed>,
    sinks: Option<Vec<String>>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    timestamp_ms: Option<i64>,
    stage: Option<String>,
    cause: Option<String>,
    sink: Option<String>,
    table: Option<String>,
    end_offset: Option<i64>,
    omitted_bytes: Option<u64>,
    key_hex: Option<String>,
    payload_hex: Option<String>,
}

/// Which letter a mark means: its line, and a hash of that line, so that a file whose head was cut off has no false marks.
#[derive(Serialize, Deserialize)]
struct Replayed {
    line: u64,
    hash: String,
}

/// What a line says.
pub(super) enum Parsed {
    Letter(Box<DeadLetter>),
    Mark(Mark),
}

/// The letter as a line, with its line break.
pub(super) fn append_letter(letter: &DeadLetter, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    let row = letter.row.as_ref();
    let line = LetterLine {
        topic: &letter.partition.topic,
        partition: letter.partition.partition,
        offset: letter.offset.0,
        timestamp_ms: letter.timestamp_ms,
        stage: letter.stage.name(),
        cause: &letter.cause,
        sink: row.map(|row| &*row.sink),
        table: row.map(|row| &*row.table),
        end_offset: row.map(|row| row.end.0),
        omitted_bytes: letter.omitted_bytes,
        key_hex: letter.key.as_deref().map(hex),
        payload_hex: letter.payload.as_deref().map(hex),
        payload_text: letter.payload.as_deref().and_then(|payload| std::str::from_utf8(payload).ok()),
    };
    serde_json::to_writer(&mut *lines, &line)?;
    lines.push(b'\n');
    Ok(())
}

/// The mark as a line, with its line break. Letters of a topic are marked in the topic.
pub(super) fn append_mark(mark: &Mark, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    let LetterId::Line { number, hash } = mark.letter else { return Ok(()) };
    let sinks = match &mark.sinks {
        Sinks::All => None,
        Sinks::Some(names) => Some(names),
    };
    let replayed = Replayed { line: number, hash: format!("{hash:016x}") };
    serde_json::to_writer(&mut *lines, &serde_json::json!({"replayed": replayed, "sinks": sinks}))?;
    lines.push(b'\n');
    Ok(())
}

/// What a line says; the reason if it is neither a letter nor a mark.
pub(super) fn parse(line: &[u8]) -> Result<Parsed, String> {
    let any: AnyLine = serde_json::from_slice(line).map_err(|error| format!("is not a dead letter: {error}"))?;
    if let Some(Replayed { line, hash }) = any.replayed {
        let hash = u64::from_str_radix(&hash, 16).map_err(|_| format!("marks a letter with the odd hash `{hash}`"))?;
        let sinks = any.sinks.map_or(Sinks::All, |names| Sinks::Some(names.into_iter().collect()));
        return Ok(Parsed::Mark(Mark { letter: LetterId::Line { number: line, hash }, sinks }));
    }
    let lacks = |name: &str| format!("is not a dead letter: it lacks `{name}`");
    let stage = any.stage.ok_or_else(|| lacks("stage"))?;
    let bytes = |text: Option<String>, name: &str| {
        text.map(|text| unhex(&text).ok_or_else(|| format!("has a `{name}` that is not hexadecimal"))).transpose()
    };
    let row = any.sink.zip(any.table).map(|(sink, table)| RefusedRow {
        sink: Arc::from(sink),
        table: Arc::from(table),
        end: Offset(any.end_offset.unwrap_or_default()),
    });
    Ok(Parsed::Letter(Box::new(DeadLetter {
        partition: TopicPartition {
            topic: Arc::from(any.topic.ok_or_else(|| lacks("topic"))?),
            partition: any.partition.ok_or_else(|| lacks("partition"))?,
        },
        offset: Offset(any.offset.ok_or_else(|| lacks("offset"))?),
        timestamp_ms: any.timestamp_ms.unwrap_or(-1),
        stage: Stage::from_name(&stage).ok_or_else(|| format!("names the unknown stage `{stage}`"))?,
        cause: any.cause.ok_or_else(|| lacks("cause"))?,
        key: bytes(any.key_hex, "key_hex")?,
        payload: bytes(any.payload_hex, "payload_hex")?,
        omitted_bytes: any.omitted_bytes,
        row,
    })))
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that hexadecimal digits say.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters() -> impl Strategy<Value = DeadLetter> {
        let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20));
        let row = proptest::option::of(("[a-z]{1,5}", "[a-z:]{1,5}", any::<i64>()));
        let stage = proptest::sample::select(&Stage::ALL[..]);
        (("[a-z.]{1,9}", any::<i32>(), any::<i64>(), any::<i64>()), stage, ".{0,20}", (bytes(), bytes()), row).prop_map(
            |((topic, partition, offset, timestamp_ms), stage, cause, (key, payload), row)| DeadLetter {
                partition: TopicPartition { topic: Arc::from(topic), partition },
                offset: Offset(offset),
                timestamp_ms,
                stage,
                cause,
                key,
                payload,
                omitted_bytes: None,
                row: row.map(|(sink, table, end)| RefusedRow {
                    sink: Arc::from(sink),
                    table: Arc::from(table),
                    end: Offset(end),
                }),
            },
        )
    }

    proptest! {
        #[test]
        fn a_letter_is_one_line_and_comes_back_whole(letter in letters()) {
            let mut lines = Vec::new();
            append_letter(&letter, &mut lines).expect("JSON");
            let line = lines.strip_suffix(b"\n").expect("ends with a line break");
            prop_assert!(!line.contains(&b'\n'));
            match parse(line) {
                Ok(Parsed::Letter(read)) => prop_assert_eq!(*read, letter),
                _ => prop_assert!(false, "not a letter"),
            }
        }

        #[test]
        fn any_line_is_answered_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&line);
        }
    }

    #[test]
    fn what_is_no_letter_is_said() {
        let said = |line: &str| parse(line.as_bytes()).err().unwrap_or_default();
        assert!(said("{\"topic\":\"cut o").starts_with("is not a dead letter: "));
        assert_eq!(said("{}"), "is not a dead letter: it lacks `stage`");
        let whole = r#"{"topic":"t","partition":0,"offset":1,"stage":"decode","cause":"x","payload_hex":"0g"}"#;
        assert_eq!(said(whole), "has a `payload_hex` that is not hexadecimal");
        assert_eq!(said(&whole.replace("decode", "later")), "names the unknown stage `later`");
    }
}
