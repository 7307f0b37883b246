//! Counters that the data path holds: registered once, cheap to bump.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, gauge, histogram};

use crate::metrics as name;
use crate::model::batch::{BadRecord, Counts};
use crate::sink::Batch;

/// What one sink has written.
pub struct SinkMeter {
    sink: Arc<str>,
    rows: Counter,
    cells: Counter,
    bytes: Counter,
    seconds: Histogram,
    rows_sum: AtomicU64,
    bytes_sum: AtomicU64,
}

impl std::fmt::Debug for SinkMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkMeter").field("sink", &self.sink).field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl SinkMeter {
    /// The counters of a sink.
    #[must_use]
    pub fn new(sink: &Arc<str>) -> Self {
        let label = || name::label(sink);
        Self {
            rows: counter!(name::SINK_ROWS_TOTAL, "sink" => label()),
            cells: counter!(name::SINK_CELLS_TOTAL, "sink" => label()),
            bytes: counter!(name::SINK_BYTES_TOTAL, "sink" => label()),
            seconds: histogram!(name::SINK_WRITE_SECONDS, "sink" => label()),
            sink: Arc::clone(sink),
            rows_sum: AtomicU64::new(0),
            bytes_sum: AtomicU64::new(0),
        }
    }

    /// A batch became durable.
    pub fn written(&self, batch: &Batch, took: Duration) {
        let (rows, bytes) = (batch.rows(), batch.bytes());
        self.rows.increment(rows);
        self.cells.increment(batch.cells());
        self.bytes.increment(bytes);
        self.seconds.record(took.as_secs_f64());
        self.rows_sum.fetch_add(rows, Ordering::Relaxed);
        self.bytes_sum.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rows were refused for good and became dead letters.
    pub fn refused(&self, rows: u64) {
        counter!(name::SINK_ROWS_REFUSED_TOTAL, "sink" => name::label(&self.sink)).increment(rows);
    }

    /// A write is tried again.
    pub fn retried(&self, reason: &'static str) {
        counter!(name::SINK_RETRIES_TOTAL, "sink" => name::label(&self.sink), "reason" => reason).increment(1);
    }

    /// Rows made durable since the start.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows_sum.load(Ordering::Relaxed)
    }

    /// Encoded bytes made durable since the start.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes_sum.load(Ordering::Relaxed)
    }
}

/// One sink's part in the shared read.
#[derive(Debug)]
pub struct AttachmentMeter {
    sink: Arc<str>,
}

impl AttachmentMeter {
    /// The gauges and counters of a sink, which is starting.
    #[must_use]
    pub fn new(sink: &Arc<str>) -> Self {
        let meter = Self { sink: Arc::clone(sink) };
        meter.state("starting", "starting");
        meter
    }

    /// The sink's state changed.
    pub fn state(&self, before: &'static str, after: &'static str) {
        gauge!(name::SINK_STATE, "sink" => name::label(&self.sink), "state" => before).set(0.0);
        gauge!(name::SINK_STATE, "sink" => name::label(&self.sink), "state" => after).set(1.0);
    }

    /// The sink was taken off the shared read.
    pub fn detached(&self, cause: &'static str) {
        counter!(name::SINK_DETACHES_TOTAL, "sink" => name::label(&self.sink), "cause" => cause).increment(1);
    }
}

/// What one private reader has read.
pub struct PrivateMeter {
    records: Counter,
    bytes: Counter,
}

impl std::fmt::Debug for PrivateMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateMeter").finish_non_exhaustive()
    }
}

impl PrivateMeter {
    /// The counters of a sink's private readers.
    #[must_use]
    pub fn new(sink: &Arc<str>) -> Self {
        let label = || name::label(sink);
        Self {
            records: counter!(name::PRIVATE_RECORDS_TOTAL, "sink" => label()),
            bytes: counter!(name::PRIVATE_BYTES_TOTAL, "sink" => label()),
        }
    }

    /// A batch was read.
    pub fn read(&self, records: u64, bytes: u64) {
        self.records.increment(records);
        self.bytes.increment(bytes);
    }
}

/// What one topic has brought; bumped once a batch.
#[derive(Debug)]
pub struct TopicMeter<'a> {
    topic: &'a str,
}

impl<'a> TopicMeter<'a> {
    /// The counters of a topic.
    #[must_use]
    pub fn of(topic: &'a str) -> Self {
        Self { topic }
    }

    /// A batch was decoded and projected.
    pub fn projected(&self, counts: &Counts, took: Duration) {
        let label = || name::label(self.topic);
        counter!(name::EVENTS_TOTAL, "topic" => label()).increment(counts.events);
        counter!(name::EVENTS_FILTERED_TOTAL, "topic" => label()).increment(counts.filtered);
        counter!(name::ROWS_TOTAL, "topic" => label()).increment(counts.rows);
        counter!(name::CELLS_TOTAL, "topic" => label()).increment(counts.cells);
        counter!(name::VERSION_TIES_TOTAL, "topic" => label()).increment(counts.ties);
        counter!(name::BATCHES_TOTAL, "topic" => label()).increment(1);
        histogram!(name::BATCH_PROJECT_SECONDS, "topic" => label()).record(took.as_secs_f64());
    }

    /// Events were bad.
    pub fn bad(&self, bad: &[BadRecord]) {
        for record in bad {
            let stage = record.stage.name();
            counter!(name::EVENTS_BAD_TOTAL, "topic" => name::label(self.topic), "stage" => stage).increment(1);
        }
    }
}

/// What the schema registry is asked for.
#[derive(Debug)]
pub struct SchemaMeter;

impl SchemaMeter {
    /// A question was answered or failed.
    pub fn fetched(ok: bool) {
        counter!(name::SCHEMA_FETCHES_TOTAL, "outcome" => if ok { "ok" } else { "failed" }).increment(1);
    }

    /// So many partitions wait for a schema.
    pub fn waiting(partitions: usize) {
        gauge!(name::SCHEMA_WAITS).set(partitions as f64);
    }
}

/// What one group has committed.
#[derive(Debug)]
pub struct CommitMeter<'a> {
    group: &'a str,
}

impl<'a> CommitMeter<'a> {
    /// The counters of a group.
    #[must_use]
    pub fn of(group: &'a str) -> Self {
        Self { group }
    }

    /// A commit was accepted.
    pub fn committed(&self) {
        counter!(name::COMMITS_TOTAL, "group" => name::label(self.group)).increment(1);
    }

    /// A commit was refused or got no answer.
    pub fn failed(&self, code: &str) {
        let (group, code) = (name::label(self.group), name::label(code));
        counter!(name::COMMIT_FAILURES_TOTAL, "group" => group, "code" => code).increment(1);
    }
}

/// Partitions come and go.
#[derive(Debug)]
pub struct RebalanceMeter;

impl RebalanceMeter {
    /// Partitions were assigned.
    pub fn assigned(partitions: usize) {
        counter!(name::REBALANCES_TOTAL, "kind" => "assign").increment(1);
        gauge!(name::PARTITIONS_ASSIGNED).increment(partitions as f64);
    }

    /// Partitions were revoked, or lost to another process.
    pub fn revoked(partitions: usize, lost: bool) {
        counter!(name::REBALANCES_TOTAL, "kind" => if lost { "lost" } else { "revoke" }).increment(1);
        gauge!(name::PARTITIONS_ASSIGNED).decrement(partitions as f64);
    }
}

/// Partitions that stood still.
#[derive(Debug)]
pub struct WatchdogMeter;

impl WatchdogMeter {
    /// A partition was taken anew.
    pub fn partition() {
        counter!(name::WATCHDOG_TOTAL, "kind" => "partition").increment(1);
    }

    /// The client was replaced.
    pub fn client() {
        counter!(name::WATCHDOG_TOTAL, "kind" => "client").increment(1);
    }
}
