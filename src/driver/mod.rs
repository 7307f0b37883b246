//! Tests of a topology without a broker, a cluster, threads or time: events in, rows and dead letters out.
//!
//! The driver holds topics, tables and dead letters in memory and runs records through the very lanes of a run, so what
//! it shows is what a cluster would hold. It is deterministic: the same calls give the same bytes, and the clock stands
//! still until it is [moved](Driver::advance).
//!
//! ```
//! use halcyon::driver::{Driver, Record};
//! use halcyon::topology::load;
//! use serde_json::json;
//!
//! let file = concat!(env!("CARGO_MANIFEST_DIR"), "/topology/chat.toml");
//! let topology = load::load(&[file.into()])?.topology;
//! let mut driver = Driver::new(&topology)?;
//! let posted = json!({"message_id": 7, "room_id": 3, "type": "posted", "body": "hello", "version": 1});
//! driver.pipe(Record::json("messages", &posted));
//! driver.pipe(Record::json("messages", &json!({"message_id": 7, "room_id": 3, "type": "edited", "version": 2})));
//! driver.pipe(Record::text("messages", "{not json"));
//!
//! let rows = driver.table("message").expect("a table of the topology").live_rows();
//! assert_eq!(rows.len(), 1);
//! assert_eq!(rows[0].cell("m:body"), Some(&json!("hello")));
//! assert_eq!(rows[0].cell("m:type"), Some(&json!("edited")));
//! assert!(driver.dead_letters()[0].cause.starts_with("the payload is not JSON"));
//!
//! // Whatever is delivered again changes nothing.
//! driver.redeliver("messages", 0, 0);
//! assert_eq!(driver.table("message").expect("known").live_rows(), rows);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod case;
mod order;
mod record;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::order::{in_order, shuffled};
pub use self::record::Record;
use self::table::Store;
pub use self::table::{Row, RowCell, TestTable};
use crate::dead_letter::DeadLetter;
use crate::model::batch::{Counts, RawBatch, RawRecord, TableRows};
use crate::model::key::RowKey;
use crate::model::schema::RowLayout;
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::project::{Lane, LaneError, Projections};
use crate::topology::Topology;

/// Topics, tables and dead letters in memory.
#[derive(Debug)]
pub struct Driver {
    topics: BTreeMap<String, Topic>,
    tables: BTreeMap<Arc<str>, Shape>,
    sinks: BTreeMap<String, Sink>,
    dead_letters: Vec<DeadLetter>,
    counts: Counts,
    batch_records: usize,
    now_ms: i64,
}

/// A topic: what was piped into it, and the lane of its read models.
#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    lane: Lane,
    partitions: BTreeMap<i32, Log>,
}

/// A partition's records; those from `done` on wait for their batch to be full.
#[derive(Debug, Default)]
struct Log {
    records: Vec<(Record, i64)>,
    done: usize,
}

/// What rows of a table look like.
#[derive(Debug)]
struct Shape {
    layout: RowLayout,
    key: Option<RowKey>,
}

/// A cluster of the topology.
#[derive(Debug, Default)]
struct Sink {
    store: Store,
    is_paused: bool,
    backlog: Vec<TableRows>,
}

impl Driver {
    /// A driver for the declared models of a topology.
    ///
    /// # Errors
    /// [`LaneError`]; a loaded topology has none.
    pub fn new(topology: &Topology) -> Result<Self, LaneError> {
        Self::with(topology, &Projections::default())
    }

    /// A driver for the declared models of a topology and projections of one's own.
    ///
    /// # Errors
    /// [`LaneError`] if a projection does not fit its topic.
    pub fn with(topology: &Topology, projections: &Projections) -> Result<Self, LaneError> {
        let mut topics = BTreeMap::new();
        let mut tables = BTreeMap::new();
        for id in projections.topics(topology) {
            let Some(topic) = topology.topics.get(&id) else { continue };
            let lane = projections.lane(topology, &id)?;
            for layout in lane.layouts() {
                let model = topology.models.values().find(|model| *model.table == **layout.table());
                let shape = Shape { layout: layout.clone(), key: model.map(|model| model.key.clone()) };
                tables.insert(Arc::clone(layout.table()), shape);
            }
            let name = Arc::from(topic.name.as_str());
            topics.insert(id, Topic { name, lane, partitions: BTreeMap::new() });
        }
        Ok(Self {
            topics,
            tables,
            sinks: topology.clusters.keys().map(|name| (name.clone(), Sink::default())).collect(),
            dead_letters: Vec::new(),
            counts: Counts::default(),
            batch_records: 1,
            now_ms: 0,
        })
    }

    /// Records of one batch from now on; 1 unless told otherwise. Where batches end changes no table.
    pub fn set_batch_records(&mut self, records: usize) {
        self.batch_records = records.max(1);
    }

    /// The time of the clock in milliseconds since 1970: what records without a time of their own get. It starts at 0.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Moves the clock on.
    pub fn advance(&mut self, by: Duration) {
        self.now_ms = self.now_ms.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Appends a record to its topic and processes it once its batch is full. Returns its offset.
    ///
    /// # Panics
    /// If no model reads that topic: a test that pipes into nowhere proves nothing.
    pub fn pipe(&mut self, record: Record) -> i64 {
        let (id, number) = (record.topic.clone(), record.partition);
        let (batch_records, now_ms) = (self.batch_records, self.now_ms);
        let topic = self.topic(&id);
        let log = topic.partitions.entry(number).or_default();
        let offset = log.records.len() as i64;
        let timestamp_ms = record.timestamp_ms.unwrap_or(now_ms);
        log.records.push((record, timestamp_ms));
        if log.records.len() - log.done >= batch_records {
            self.process(&id, number);
        }
        offset
    }

    /// Appends records one after the other and processes all of them.
    ///
    /// # Panics
    /// As [`Driver::pipe`].
    pub fn pipe_all(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.pipe(record);
        }
        self.flush();
    }

    /// Processes what waits for its batch to be full.
    pub fn flush(&mut self) {
        let waiting: Vec<(String, i32)> = self
            .topics
            .iter()
            .flat_map(|(id, topic)| topic.partitions.keys().map(|number| (id.clone(), *number)))
            .collect();
        for (id, number) in waiting {
            self.process(&id, number);
        }
    }

    /// Delivers the records of a partition from an offset on again, as after a restart.
    ///
    /// # Panics
    /// As [`Driver::pipe`].
    pub fn redeliver(&mut self, topic: &str, partition: i32, from: i64) {
        let log = self.topic(topic).partitions.entry(partition).or_default();
        log.done = log.done.min(usize::try_from(from).unwrap_or(0));
        self.process(topic, partition);
    }

    /// A sink takes nothing from now on, as a cluster that is down.
    pub fn pause(&mut self, sink: &str) {
        if let Some(sink) = self.sinks.get_mut(sink) {
            sink.is_paused = true;
        }
    }

    /// A sink takes again, first what it has missed.
    pub fn resume(&mut self, sink: &str) {
        if let Some(sink) = self.sinks.get_mut(sink) {
            sink.is_paused = false;
            for rows in std::mem::take(&mut sink.backlog) {
                sink.store.apply(&rows);
            }
        }
    }

    /// A table as the first sink by name has it; `None` if no model writes it. All sinks get the same cells.
    #[must_use]
    pub fn table(&self, table: &str) -> Option<TestTable<'_>> {
        let sink = self.sinks.keys().next()?;
        self.table_of(sink, table)
    }

    /// A table as a sink has it.
    #[must_use]
    pub fn table_of(&self, sink: &str, table: &str) -> Option<TestTable<'_>> {
        let shape = self.tables.get(table)?;
        Some(self.sinks.get(sink)?.store.table(table, &shape.layout, shape.key.as_ref()))
    }

    /// The tables that models write, by name.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(|table| &**table)
    }

    /// The letters so far, in the order in which they were written.
    #[must_use]
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// Sums so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn topic(&mut self, id: &str) -> &mut Topic {
        match self.topics.get_mut(id) {
            Some(topic) => topic,
            None => panic!("no model reads topic `{id}`"),
        }
    }

    /// Runs what waits of a partition through the lane, batch by batch.
    fn process(&mut self, id: &str, number: i32) {
        let batch_records = self.batch_records;
        loop {
            let Some(topic) = self.topics.get_mut(id) else { return };
            let Some(log) = topic.partitions.get_mut(&number) else { return };
            let end = log.records.len().min(log.done + batch_records);
            let Some(raw) = raw_batch((&topic.name, number), log, end) else { return };
            log.done = end;
            let projected = topic.lane.project(&raw);
            self.dead_letters.extend(projected.bad.iter().filter_map(|bad| DeadLetter::of(&raw, bad)));
            add(&mut self.counts, &projected.counts);
            for rows in projected.tables {
                self.sinks.values_mut().for_each(|sink| sink.take(&rows));
            }
        }
    }
}

impl Sink {
    fn take(&mut self, rows: &TableRows) {
        if self.is_paused {
            self.backlog.push(rows.clone());
        } else {
            self.store.apply(rows);
        }
    }
}

fn add(sums: &mut Counts, counts: &Counts) {
    sums.events += counts.events;
    sums.filtered += counts.filtered;
    sums.rows += counts.rows;
    sums.cells += counts.cells;
    sums.ties += counts.ties;
}

/// The waiting records of a partition up to `end`; `None` if there are none.
fn raw_batch((topic, number): (&Arc<str>, i32), log: &Log, end: usize) -> Option<RawBatch> {
    let span = Span::new(Offset(log.done as i64), Offset(end as i64))?;
    let mut arena = Vec::new();
    let mut append = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map(|bytes| {
            let start = arena.len() as u32;
            arena.extend_from_slice(bytes);
            start..arena.len() as u32
        })
    };
    let mut records = Vec::with_capacity(end - log.done);
    for (index, (record, timestamp_ms)) in log.records.iter().enumerate().take(end).skip(log.done) {
        let (key, payload) = (append(&record.key), append(&record.payload));
        records.push(RawRecord { offset: Offset(index as i64), timestamp_ms: *timestamp_ms, key, payload });
    }
    let partition = TopicPartition { topic: Arc::clone(topic), partition: number };
    Some(RawBatch { partition, span, records, arena, headers: Vec::new() })
}

#[cfg(test)]
mod tests;
