//! Letters through the present topology: by the same lanes as events from Kafka, so that what a run would write now is
//! what is written. Pure but for the writing itself.
//!
//! # Laws
//! 1. Cells carry the versions of their events (law 1 of the design): replaying twice, or beside a run that reads the
//!    same events again, changes nothing.
//! 2. A letter whose event is still bad for the same reason stays as it is; one that is bad for another reason, or whose
//!    rows a cluster refuses, is replaced by a letter that says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use hbase::cell::CellKind;
use hbase::row_block::{BlockError, Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::wire::cell_block;

use super::{DeadLetter, LetterId};
use crate::decode::schemas::Schemas;
use crate::model::batch::{BadRecord, RawBatch, RawRecord, TableRows};
use crate::progress::ledger::{Epoch, SinkSet, Ticket};
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::project::{Lane, LaneError, Projections};
use crate::schema_registry::SchemaRegistry;
use crate::topology::Topology;

/// Letters of one replay, by Kafka's topic name to the lane that does them.
#[derive(Debug)]
pub struct Replayer {
    lanes: BTreeMap<String, Lane>,
}

/// Rows that letters became.
#[derive(Debug)]
pub struct Made {
    /// What a sink is given.
    pub ticket: Ticket,
    /// The rows, by table.
    pub tables: Vec<TableRows>,
    /// Kafka's timestamp of the last event.
    pub last_ms: Option<i64>,
    /// The sink that refused the row before and alone gets it; `None` is every sink.
    pub only: Option<Arc<str>>,
}

/// What becomes of one letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is good now: its rows are among those made (none if no model wants the event).
    Good,
    /// It is as bad as before.
    Same,
    /// It is bad for another reason.
    Bad(BadRecord),
    /// It cannot be replayed, and why.
    Stuck(&'static str),
}

/// What becomes of some letters.
#[derive(Debug)]
pub struct Replayed {
    /// For each letter, in the order given.
    pub fates: Vec<Fate>,
    /// The rows; `None` if there are none.
    pub made: Option<Made>,
    /// Events among them that no model wants.
    pub filtered: u64,
}

const NO_TOPIC: &str = "the topology has no such topic any more, or no model reads it";
const NO_PAYLOAD: &str = "its payload was too large for the dead-letter topic; read the event again from the log, with \
                          `halcyon offsets reset`";
const NO_HEADERS: &str = "its topic's models read record headers, which letters do not keep; read the event again from \
                          the log, with `halcyon offsets reset`";
const NOT_CELLS: &str = "its payload is not the cells of a row";

impl Replayer {
    /// The lanes of a topology, with the schemas of its registry.
    ///
    /// # Errors
    /// [`LaneError`] if the topology and the program's own projections do not fit.
    pub fn new(topology: &Topology, projections: &Projections, schemas: &Arc<Schemas>) -> Result<Self, LaneError> {
        Ok(Self { lanes: projections.lanes(topology, schemas)? })
    }

    /// Whether all schemas that these letters' events need are there; else the registry fetches them.
    #[must_use]
    pub fn is_ready(
        &self,
        registry: &SchemaRegistry,
        partition: &TopicPartition,
        letters: &[(LetterId, DeadLetter)],
    ) -> bool {
        let letters: Vec<&DeadLetter> = letters.iter().map(|(_, letter)| letter).collect();
        let (Some(lane), Some(raw)) = (self.lanes.get(&*partition.topic), raw_batch(partition, &letters)) else {
            return true;
        };
        registry.is_ready(partition, lane.framed(), &raw)
    }

    /// What becomes of letters of one partition that are all events.
    pub fn events(&mut self, partition: &TopicPartition, letters: &[(LetterId, DeadLetter)]) -> Replayed {
        let Some(lane) = self.lanes.get_mut(&*partition.topic) else {
            let fates = letters.iter().map(|_| Fate::Stuck(NO_TOPIC)).collect();
            return Replayed { fates, made: None, filtered: 0 };
        };
        if !lane.headers().is_empty() {
            let fates = letters.iter().map(|_| Fate::Stuck(NO_HEADERS)).collect();
            return Replayed { fates, made: None, filtered: 0 };
        }
        let mut fates: Vec<Fate> = letters
            .iter()
            .map(|(_, letter)| if letter.omitted_bytes.is_some() { Fate::Stuck(NO_PAYLOAD) } else { Fate::Good })
            .collect();
        let whole = |index: &usize| fates.get(*index) == Some(&Fate::Good);
        let mut order: Vec<usize> = (0..letters.len()).filter(whole).collect();
        order.sort_by_key(|index| letters.get(*index).map(|(_, letter)| letter.offset));
        let chosen: Vec<&DeadLetter> =
            order.iter().filter_map(|index| letters.get(*index)).map(|(_, letter)| letter).collect();
        let Some(raw) = raw_batch(partition, &chosen) else { return Replayed { fates, made: None, filtered: 0 } };
        let projected = lane.project(&raw);
        for bad in projected.bad {
            let Some(index) = order.get(bad.record) else { continue };
            let before = letters.get(*index).map(|(_, letter)| (letter.stage, letter.cause.as_str()));
            let fate = if before == Some((bad.stage, &bad.cause)) { Fate::Same } else { Fate::Bad(bad) };
            if let Some(slot) = fates.get_mut(*index) {
                *slot = fate;
            }
        }
        let tables: Vec<_> = projected.tables.into_iter().filter(|table| !table.block.rows().is_empty()).collect();
        let last_ms = raw.records.last().map(|record| record.timestamp_ms).filter(|ms| *ms >= 0);
        let ticket = ticket(partition.clone(), raw.span);
        let made = (!tables.is_empty()).then_some(Made { ticket, tables, last_ms, only: None });
        Replayed { fates, made, filtered: projected.counts.filtered }
    }

    /// What becomes of a row that a sink refused: the same cells again, for that sink.
    #[must_use]
    pub fn row(letter: &DeadLetter) -> Replayed {
        let stuck = |why| Replayed { fates: vec![Fate::Stuck(why)], made: None, filtered: 0 };
        let Some(row) = &letter.row else { return stuck(NOT_CELLS) };
        if letter.omitted_bytes.is_some() {
            return stuck(NO_PAYLOAD);
        }
        let block = letter.payload.as_ref().and_then(|payload| block_of(payload).ok().flatten());
        let span = Span::new(letter.offset, row.end);
        let (Some(block), Some(span)) = (block, span) else { return stuck(NOT_CELLS) };
        let made = Made {
            ticket: ticket(letter.partition.clone(), span),
            tables: vec![TableRows { table: Arc::clone(&row.table), block }],
            last_ms: Some(letter.timestamp_ms).filter(|ms| *ms >= 0),
            only: Some(Arc::clone(&row.sink)),
        };
        Replayed { fates: vec![Fate::Good], made: Some(made), filtered: 0 }
    }
}

/// A replay belongs to no tenure of a partition: nothing is committed for it.
fn ticket(partition: TopicPartition, span: Span) -> Ticket {
    Ticket { partition, epoch: Epoch::default(), span, wanted: SinkSet::default() }
}

/// The letters' events as they came from Kafka; `None` if there are none.
fn raw_batch(partition: &TopicPartition, letters: &[&DeadLetter]) -> Option<RawBatch> {
    let (first, last) = (letters.first()?, letters.last()?);
    let span = Span::new(first.offset, Offset(last.offset.0.checked_add(1)?))?;
    let mut arena = Vec::new();
    let mut append = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map(|bytes| {
            let start = arena.len() as u32;
            arena.extend_from_slice(bytes);
            start..arena.len() as u32
        })
    };
    let mut records = Vec::with_capacity(letters.len());
    for letter in letters {
        let (key, payload) = (append(&letter.key), append(&letter.payload));
        records.push(RawRecord { offset: letter.offset, timestamp_ms: letter.timestamp_ms, key, payload });
    }
    Some(RawBatch { partition: partition.clone(), span, records, arena, headers: Vec::new() })
}

/// A block with the one row whose cells these are; `None` if they are none.
fn block_of(cells: &[u8]) -> Result<Option<RowBlock>, BlockError> {
    let Ok(cells) = cell_block::decode(&bytes::Bytes::copy_from_slice(cells)) else { return Ok(None) };
    let Some(first) = cells.first() else { return Ok(None) };
    let kind = |kind: CellKind| if kind.is_delete() { MutationKind::Delete } else { MutationKind::Put };
    let mut builder = RowBlockBuilder::default();
    builder.begin_row(kind(first.kind), &first.row)?;
    for cell in &cells {
        if cell.row != first.row || kind(cell.kind) != kind(first.kind) {
            return Ok(None);
        }
        builder.cell(&Column::new(&cell.family, &cell.qualifier)?, cell.timestamp, cell.kind, &cell.value)?;
    }
    Ok(Some(builder.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::batch::Stage;
    use crate::topology::load;

    const TOPOLOGY: &str = include_str!("../../topology/chat.toml");

    fn letter(offset: i64, cause: &str, payload: &str) -> (LetterId, DeadLetter) {
        let letter = DeadLetter {
            partition: partition("chat.messages"),
            offset: Offset(offset),
            timestamp_ms: -1,
            stage: Stage::Decode,
            cause: cause.to_owned(),
            key: None,
            payload: Some(payload.as_bytes().to_vec()),
            omitted_bytes: None,
            row: None,
        };
        (LetterId::Line { number: offset as u64, hash: 0 }, letter)
    }

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition { topic: Arc::from(topic), partition: 0 }
    }

    fn replayer() -> Replayer {
        let loaded = load::parse("chat.toml", TOPOLOGY, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Replayer::new(&loaded.topology, &Projections::default(), &Arc::default()).expect("lanes")
    }

    #[test]
    fn each_letter_is_told_its_fate_in_the_order_given() {
        let good = r#"{"message_id": 7, "room_id": 3, "type": "posted", "body": "hello", "version": 5}"#;
        let unwanted = r#"{"message_id": 7, "room_id": 3, "type": "seen", "version": 5}"#;
        let no_key = r#"{"message_id": 7, "type": "posted", "version": 5}"#;
        let mut replayer = replayer();
        let letters = [letter(9, "x", no_key), letter(4, "x", good), letter(5, "x", unwanted)];
        let replayed = replayer.events(&partition("chat.messages"), &letters);
        let [Fate::Bad(bad), Fate::Good, Fate::Good] = &replayed.fates[..] else { panic!("{:?}", replayed.fates) };
        assert!(bad.cause.contains("field `room_id` is missing"), "{bad:?}");
        assert_eq!(replayed.filtered, 1);
        let made = replayed.made.expect("rows");
        assert_eq!((made.tables.len(), made.tables[0].block.rows().len()), (1, 1));
        assert_eq!(made.ticket.span.to_string(), "4..10");
        let again = DeadLetter { cause: bad.cause.clone(), stage: bad.stage, ..letters[0].1.clone() };
        let replayed = replayer.events(&partition("chat.messages"), &[(letters[0].0, again)]);
        assert_eq!(replayed.fates, [Fate::Same]);
        assert!(replayed.made.is_none());
    }

    #[test]
    fn what_cannot_be_replayed_says_why() {
        let (id, whole) = letter(1, "x", "{}");
        let short = DeadLetter { payload: None, omitted_bytes: Some(2_000_000), ..whole.clone() };
        let replayed = replayer().events(&partition("chat.messages"), &[(id, short)]);
        assert_eq!(replayed.fates, [Fate::Stuck(NO_PAYLOAD)]);
        let replayed = replayer().events(&partition("chat.gone"), &[(id, whole)]);
        assert_eq!(replayed.fates, [Fate::Stuck(NO_TOPIC)]);
    }

    #[test]
    fn the_cells_of_a_row_become_the_same_row_again() {
        let column = Column::new(b"f", b"q").expect("legal");
        let mut builder = RowBlockBuilder::default();
        builder.begin_row(MutationKind::Put, b"r").expect("legal");
        builder.cell(&column, 7, CellKind::Put, b"v").expect("room");
        let block = builder.finish();
        let copy = block_of(block.bytes()).expect("legal").expect("a row");
        assert_eq!((copy.bytes(), copy.rows()), (block.bytes(), block.rows()));
        assert!(block_of(b"no cells").expect("answered").is_none());
        assert!(block_of(b"").expect("answered").is_none());
    }
}
