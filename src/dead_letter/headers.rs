//! Letters and marks as headers of records, there and back. Key and payload are the record's own.

use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

use super::{DeadLetter, LetterId, Mark, RefusedRow, Sinks, mark};
use crate::model::batch::Stage;
use crate::progress::offset::{Offset, TopicPartition};

const TOPIC: &str = "halcyon.topic";
const PARTITION: &str = "halcyon.partition";
const OFFSET: &str = "halcyon.offset";
const STAGE: &str = "halcyon.stage";
const CAUSE: &str = "halcyon.cause";
const SINK: &str = "halcyon.sink";
const TABLE: &str = "halcyon.table";
const END_OFFSET: &str = "halcyon.end_offset";
const OMITTED_BYTES: &str = "halcyon.omitted_bytes";
const REPLAYED: &str = "halcyon.replayed";
const SINKS: &str = "halcyon.sinks";
/// What stands for all sinks in a mark; no cluster can have that name.
const ALL_SINKS: &str = "*";

/// What a record says.
pub(super) enum Parsed {
    Letter(Box<DeadLetter>),
    Mark(Mark),
}

/// The headers of a letter.
pub(super) fn of_letter(letter: &DeadLetter) -> OwnedHeaders {
    let mut texts = vec![
        (TOPIC, letter.partition.topic.to_string()),
        (PARTITION, letter.partition.partition.to_string()),
        (OFFSET, letter.offset.to_string()),
        (STAGE, letter.stage.name().to_owned()),
        (CAUSE, letter.cause.clone()),
    ];
    if let Some(row) = &letter.row {
        texts.push((SINK, row.sink.to_string()));
        texts.push((TABLE, row.table.to_string()));
        texts.push((END_OFFSET, row.end.to_string()));
    }
    if let Some(bytes) = letter.omitted_bytes {
        texts.push((OMITTED_BYTES, bytes.to_string()));
    }
    headers(texts)
}

/// The headers of a mark.
pub(super) fn of_mark(mark: &Mark) -> OwnedHeaders {
    let sinks = match &mark.sinks {
        Sinks::All => ALL_SINKS.to_owned(),
        Sinks::Some(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(","),
    };
    headers(vec![(REPLAYED, mark.letter.to_string()), (SINKS, sinks)])
}

fn headers(texts: Vec<(&str, String)>) -> OwnedHeaders {
    let with = |headers: OwnedHeaders, (key, value): (&str, String)| {
        headers.insert(Header { key, value: Some(value.as_bytes()) })
    };
    texts.into_iter().fold(OwnedHeaders::new(), with)
}

/// Where a record stands in the dead-letter topic.
pub(super) fn id(message: &BorrowedMessage<'_>) -> LetterId {
    LetterId::Record { partition: message.partition(), offset: message.offset() }
}

/// What a record says; the reason if it is neither a letter nor a mark.
pub(super) fn parse(message: &BorrowedMessage<'_>) -> Result<Parsed, String> {
    let found = |name: &str| {
        let headers = message.headers()?;
        let header = headers.iter().filter(|header| header.key == name).last()?;
        header.value.and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned)
    };
    if let Some(text) = found(REPLAYED) {
        let letter = mark::record(&text).ok_or_else(|| format!("marks the odd letter `{text}`"))?;
        let sinks = match found(SINKS).as_deref() {
            None | Some(ALL_SINKS) => Sinks::All,
            Some(names) => Sinks::Some(names.split(',').map(str::to_owned).collect()),
        };
        return Ok(Parsed::Mark(Mark { letter, sinks }));
    }
    let required =
        |name: &str| found(name).ok_or_else(|| format!("is not a dead letter: it lacks the header `{name}`"));
    let number =
        |name: &str, text: String| text.parse::<i64>().map_err(|_| format!("`{name}` is not a number: {text}"));
    let stage = required(STAGE)?;
    let partition = number(PARTITION, required(PARTITION)?)?;
    let row = match (found(SINK), found(TABLE)) {
        (Some(sink), Some(table)) => Some(RefusedRow {
            sink: Arc::from(sink),
            table: Arc::from(table),
            end: Offset(number(END_OFFSET, required(END_OFFSET)?)?),
        }),
        _ => None,
    };
    Ok(Parsed::Letter(Box::new(DeadLetter {
        partition: TopicPartition {
            topic: Arc::from(required(TOPIC)?),
            partition: i32::try_from(partition).map_err(|_| format!("`{PARTITION}` is no partition: {partition}"))?,
        },
        offset: Offset(number(OFFSET, required(OFFSET)?)?),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        stage: Stage::from_name(&stage).ok_or_else(|| format!("names the unknown stage `{stage}`"))?,
        cause: required(CAUSE)?,
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        omitted_bytes: found(OMITTED_BYTES).and_then(|text| text.parse().ok()),
        row,
    })))
}
