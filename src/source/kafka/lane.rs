//! One partition between librdkafka's queue and the CPU pool: records gather in an open batch until it is closed.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use super::group::{Entry, Headers, Queue};
use super::watchdog::Watchdog;
use crate::memory::{Charge, Memory};
use crate::model::batch::{RawBatch, RawHeader, RawRecord};
use crate::mutant::{Mutant, is_planted};
use crate::progress::ledger::Epoch;
use crate::progress::offset::{Offset, Span, TopicPartition};

/// Encoded cells are larger than the JSON they came from: 24 bytes and the row key for each cell. What is charged for
/// records that are not encoded yet; corrected once they are.
const EXPANSION: u64 = 3;

/// When a batch is closed.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Records.
    pub rows: usize,
    /// Bytes of keys and payloads.
    pub bytes: usize,
    /// Time since its first record.
    pub linger: Duration,
}

/// A partition of this process.
pub(super) struct Lane<Q> {
    pub(super) partition: TopicPartition,
    pub(super) epoch: Epoch,
    /// The CPU worker that does all batches of this partition.
    pub(super) worker: usize,
    /// Whether every sink's start is committed, so that it is found again after a crash.
    pub(super) is_settled: bool,
    pub(super) watchdog: Watchdog,
    /// When an error of the partition was told last.
    pub(super) error_told: Option<Instant>,
    queue: Q,
    next: Offset,
    /// Where the batch that was closed last begins.
    closed: Offset,
    open: Option<Open>,
    /// Names of the headers that are carried, by number.
    headers: Arc<[CString]>,
}

struct Open {
    raw: RawBatch,
    charge: Charge,
    since: Instant,
}

/// What one look into the queue brought.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// Entries taken.
    pub(super) entries: usize,
    /// The last error entry; the partition must be sought to [`Lane::next`].
    pub(super) error: Option<RDKafkaErrorCode>,
}

impl<Q: Queue> Lane<Q> {
    pub(super) fn new(
        (partition, epoch): (TopicPartition, Epoch),
        queue: Q,
        (next, worker): (Offset, usize),
        watchdog: Watchdog,
    ) -> Self {
        let headers = Arc::default();
        Self {
            partition,
            epoch,
            worker,
            is_settled: false,
            watchdog,
            error_told: None,
            queue,
            next,
            closed: next,
            open: None,
            headers,
        }
    }

    /// The same, carrying these headers.
    pub(super) fn with_headers(self, headers: Arc<[CString]>) -> Self {
        Self { headers, ..self }
    }

    /// Reads from another queue of the same partition, which begins at [`Self::next`].
    pub(super) fn replace_queue(&mut self, queue: Q) {
        self.queue = queue;
    }

    /// The records of the open batch.
    pub(super) fn open(&self) -> Option<&RawBatch> {
        self.open.as_ref().map(|open| &open.raw)
    }

    /// The next offset to read.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// Moves what the queue holds into the open batch. Does not wait.
    pub(super) fn fill(&mut self, memory: &Arc<Memory>, now: Instant) -> Filled {
        let Self { queue, next, open, partition, headers: carried, .. } = self;
        let mut filled = Filled::default();
        filled.entries = queue.consume(|entry| match entry {
            Entry::Error(code) => {
                filled.error = Some(code);
                if is_planted(Mutant::ErrorSkipsRecord) {
                    *next = Offset(next.0 + 1);
                }
            }
            // Read once before a seek: it is in an earlier batch.
            Entry::Record { offset, .. } if offset < *next => {}
            Entry::Record { offset, timestamp_ms, key, payload, headers } => {
                let open = open.get_or_insert_with(|| Open {
                    raw: empty(partition, *next),
                    charge: memory.charge(0),
                    since: now,
                });
                let key = key.map(|bytes| append(&mut open.raw.arena, bytes));
                let payload = payload.map(|bytes| append(&mut open.raw.arena, bytes));
                if !carried.is_empty() {
                    carry(&mut open.raw, headers, carried);
                }
                open.raw.records.push(RawRecord { offset, timestamp_ms, key, payload });
                *next = Offset(offset.0 + 1);
            }
        });
        if let Some(open) = open {
            open.charge.resize(open.raw.arena.len() as u64 * EXPANSION);
        }
        filled
    }

    /// Whether the open batch should be closed. `has_reached` tells whether some sink has everything below an offset.
    ///
    /// A batch that is not full waits while no sink wants it yet: as long as one of its partition is being written and
    /// another one waits, it only gathers. So batches are small when there is little to do, and large when there is
    /// much, where each costs.
    pub(super) fn is_due(&self, limits: &BatchLimits, now: Instant, has_reached: impl FnOnce(Offset) -> bool) -> bool {
        let is_late = |open: &Open| now.duration_since(open.since) >= limits.linger;
        self.is_full(limits) || (self.open.as_ref().is_some_and(is_late) && has_reached(self.closed))
    }

    /// Whether the open batch is so full that nothing more may be put into it.
    pub(super) fn is_full(&self, limits: &BatchLimits) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.raw.records.len() >= limits.rows || open.raw.arena.len() >= limits.bytes)
    }

    /// Whether there is an open batch.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the open batch; its span reaches up to the next offset to read.
    pub(super) fn close(&mut self) -> Option<(RawBatch, Charge)> {
        let Open { mut raw, charge, .. } = self.open.take()?;
        raw.span = Span::new(raw.span.start(), self.next)?;
        self.closed = raw.span.start();
        Some((raw, charge))
    }

    /// Steps over offsets that hold no record (control records at the end of a transaction).
    pub(super) fn skip_to(&mut self, position: Offset) -> Option<RawBatch> {
        let span = Span::new(self.next, position)?;
        let mut raw = empty(&self.partition, self.next);
        raw.span = span;
        self.next = position;
        Some(raw)
    }
}

/// A batch without records that starts at `start`; its span is set when it is closed.
fn empty(partition: &TopicPartition, start: Offset) -> RawBatch {
    let span = Span::new(start, Offset(start.0 + 1)).expect("one offset is not empty");
    RawBatch { partition: partition.clone(), span, records: Vec::new(), arena: Vec::new(), headers: Vec::new() }
}

/// Copies the headers of the record that comes next.
fn carry(raw: &mut RawBatch, headers: Headers<'_>, carried: &[CString]) {
    for (number, name) in carried.iter().enumerate() {
        if let Some(value) = headers.last(name) {
            let value = value.map(|bytes| append(&mut raw.arena, bytes));
            raw.headers.push(RawHeader { record: raw.records.len() as u32, number: number as u16, value });
        }
    }
}

/// Appends bytes to the arena. The arena stays far below 4 GiB: a batch is closed at its byte limit, and one look adds
/// at most 1024 records of at most `message.max.bytes` each.
fn append(arena: &mut Vec<u8>, bytes: &[u8]) -> std::ops::Range<u32> {
    let start = arena.len() as u32;
    arena.extend_from_slice(bytes);
    start..arena.len() as u32
}
