//! From a span that was read to rows that are durable in every sink: the part all sources share.
//!
//! ```text
//! begin(span) ─▶ Ticket ─▶ deliver(ticket, projected) ─┬▶ queue blue  ─▶ ledger
//!                                                      ├▶ queue green ─▶ ledger
//!                                                      └▶ dead letters ─▶ ledger
//! ```
//!
//! # Invariants
//! 1. A span is durable in a sink when the sink has its rows *and* its bad records are in the dead-letter store.
//! 2. Nothing here waits for a sink: a reader that must not go on sees it in [`Memory::has_room`].
//! 3. Rows reach a sink only while the ledger says that it wants them: what is pushed is looked at once more afterwards,
//!    so a sink that was cut in between holds nothing of the budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::attachment::start::{SharedStart, shared_start};
use crate::dead_letter::{Budget, DeadLetter, DeadLetters, Kept, Office};
use crate::halt::HaltCell;
use crate::memory::{Charge, Memory};
use crate::meter::TopicMeter;
use crate::model::batch::{BadRecord, Counts, Projected, RawBatch};
use crate::mutant::{Mutant, is_planted};
use crate::progress::ledger::{Ledger, SinkSet, SinkStart, Ticket};
use crate::progress::offset::TopicPartition;
use crate::sink::worker::{SinkState, SinkWorker};
use crate::sink::{Batch, Sink};

/// Sums since the start.
#[derive(Debug, Default)]
pub struct Totals {
    events: AtomicU64,
    filtered: AtomicU64,
    bad: AtomicU64,
    rows: AtomicU64,
    cells: AtomicU64,
    ties: AtomicU64,
}

impl Totals {
    fn add(&self, counts: &Counts, bad: u64) {
        let add = |sum: &AtomicU64, count: u64| sum.fetch_add(count, Ordering::Relaxed);
        add(&self.events, counts.events);
        add(&self.filtered, counts.filtered);
        add(&self.bad, bad);
        add(&self.rows, counts.rows);
        add(&self.cells, counts.cells);
        add(&self.ties, counts.ties);
    }
}

/// A reading of [`Totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TotalsView {
    /// Records read.
    pub events: u64,
    /// Events that no model wanted.
    pub filtered: u64,
    /// Events dead-lettered.
    pub bad: u64,
    /// Mutations made, before the fan-out.
    pub rows: u64,
    /// Cells made, before the fan-out.
    pub cells: u64,
    /// Version ties.
    pub ties: u64,
}

/// Sinks, ledger, memory and dead letters of one run.
#[derive(Debug)]
pub struct Pipeline {
    ledger: Arc<Ledger>,
    memory: Arc<Memory>,
    halt: Arc<HaltCell>,
    sinks: Vec<Arc<SinkWorker>>,
    office: Arc<Office>,
    totals: Totals,
    /// Sinks that may be fed by the shared read of a partition that is assigned now, as the bits of a set.
    eligible: AtomicU64,
    runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

impl Pipeline {
    /// Starts a worker for each sink on the runtime.
    #[must_use]
    pub fn start(
        sinks: Vec<Arc<dyn Sink>>,
        memory: Arc<Memory>,
        (dead_letters, budget): (DeadLetters, Budget),
        runtime: Handle,
    ) -> Arc<Self> {
        let ledger = Arc::new(Ledger::new(sinks.iter().map(|sink| Arc::clone(sink.name())).collect()));
        let halt = Arc::new(HaltCell::default());
        let office = Arc::new(Office::new(dead_letters, budget, Arc::clone(&halt)));
        let mut tasks = JoinSet::new();
        let workers: Vec<_> = sinks
            .into_iter()
            .enumerate()
            .map(|(index, sink)| {
                SinkWorker::new(index, sink, Arc::clone(&ledger), (Arc::clone(&halt), Arc::clone(&office)))
            })
            .collect();
        for worker in &workers {
            tasks.spawn_on(Arc::clone(worker).run(), &runtime);
        }
        Arc::new(Self {
            ledger,
            memory,
            halt,
            sinks: workers,
            office,
            totals: Totals::default(),
            eligible: AtomicU64::new(u64::MAX),
            runtime,
            tasks: Mutex::new(tasks),
        })
    }

    /// Who holds what, and what is durable.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The budget of data in flight.
    #[must_use]
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Why the run stops, once it does.
    #[must_use]
    pub fn halt(&self) -> &Arc<HaltCell> {
        &self.halt
    }

    /// The sinks' workers, by index.
    #[must_use]
    pub fn sinks(&self) -> &[Arc<SinkWorker>] {
        &self.sinks
    }

    /// Sums since the start.
    #[must_use]
    pub fn totals(&self) -> TotalsView {
        let read = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        TotalsView {
            events: read(&self.totals.events),
            filtered: read(&self.totals.filtered),
            bad: read(&self.totals.bad),
            rows: read(&self.totals.rows),
            cells: read(&self.totals.cells),
            ties: read(&self.totals.ties),
        }
    }

    /// The sinks that may be fed by the shared read of a partition that is assigned now.
    #[must_use]
    pub fn eligible(&self) -> SinkSet {
        SinkSet::from_bits(self.eligible.load(Ordering::Acquire))
    }

    /// Sets them.
    pub fn set_eligible(&self, sinks: SinkSet) {
        self.eligible.store(sinks.bits(), Ordering::Release);
    }

    /// Where the shared read of a partition begins that is assigned now, and for whom.
    #[must_use]
    pub fn shared_start(&self, starts: &[SinkStart]) -> Option<SharedStart> {
        let window = |sink: usize| self.sinks.get(sink).map_or(u64::MAX, |worker| worker.window_bytes_max());
        shared_start(starts, self.eligible(), window)
    }

    /// Whether the shared read of a partition feeds any sink. Cheap while all sinks take part.
    #[must_use]
    pub fn is_read(&self, partition: &TopicPartition) -> bool {
        let all = self.all().bits();
        self.eligible().bits() & all == all || self.ledger.is_read(partition)
    }

    /// Nobody feeds the sink any more, and what it has not finished is given up: its queue is free at once.
    pub fn cut(&self, sink: usize) {
        self.ledger.cut(sink);
        if let Some(worker) = self.sinks.get(sink) {
            worker.sweep();
        }
    }

    /// Gives up what no sink wants any more: rows of partitions that went away.
    pub fn sweep(&self) {
        self.sinks.iter().for_each(|worker| worker.sweep());
    }

    /// The sinks that can be expected to finish what they have: all but those that are degraded or failed, and those that
    /// are off the shared read, which have a backlog of their own.
    #[must_use]
    pub fn healthy(&self) -> SinkSet {
        let mut set = SinkSet::default();
        let eligible = self.eligible();
        for (index, worker) in self.sinks.iter().enumerate() {
            match worker.state() {
                SinkState::Starting | SinkState::Healthy if eligible.contains(index) => set.insert(index),
                SinkState::Starting | SinkState::Healthy => {}
                SinkState::Degraded { .. } | SinkState::Failed { .. } => {}
            }
        }
        set
    }

    /// All sinks.
    #[must_use]
    pub fn all(&self) -> SinkSet {
        let mut set = SinkSet::default();
        (0..self.sinks.len()).for_each(|index| set.insert(index));
        set
    }

    /// Hands the rows of a ticket to every sink that wants them, and its bad records to the dead-letter store.
    ///
    /// Never blocks. `charge` is what the batch already holds of the budget; it is resized to the encoded rows.
    pub fn deliver(self: &Arc<Self>, ticket: Ticket, raw: &RawBatch, (projected, charge): (Projected, Charge)) {
        self.totals.add(&projected.counts, projected.bad.len() as u64);
        self.hand_out(ticket, raw, (projected, charge));
    }

    /// The same for what a private reader read for its sink alone. [`Pipeline::totals`] are those of the shared read; the
    /// error budget counts both. Bad records are stored again: at least once is what is promised.
    pub fn deliver_private(self: &Arc<Self>, ticket: Ticket, raw: &RawBatch, (projected, charge): (Projected, Charge)) {
        self.hand_out(ticket, raw, (projected, charge));
    }

    fn hand_out(self: &Arc<Self>, ticket: Ticket, raw: &RawBatch, (projected, mut charge): (Projected, Charge)) {
        self.office.charge(projected.counts.events, projected.bad.len() as u64);
        if !projected.bad.is_empty() {
            if !is_planted(Mutant::DeadLettersNotAwaited) {
                self.ledger.add_part(&ticket);
            }
            self.store_bad(&ticket, raw, &projected.bad);
        }
        let last_ms = raw.records.last().map(|record| record.timestamp_ms).filter(|ms| *ms >= 0);
        let tables: Vec<_> = projected.tables.into_iter().filter(|table| !table.block.rows().is_empty()).collect();
        if tables.is_empty() {
            for index in 0..self.sinks.len() {
                self.ledger.complete(&ticket, index, last_ms);
            }
            return;
        }
        charge.resize(tables.iter().map(|table| table.block.bytes().len() as u64).sum());
        let wanted = ticket.wanted;
        let batch = Arc::new(Batch { ticket, tables, last_ms, charge });
        for (index, worker) in self.sinks.iter().enumerate() {
            if wanted.contains(index) && self.ledger.wants(&batch.ticket, index) {
                worker.queue().push(Arc::clone(&batch));
                // Cut in between: the sweep of the cut may have been before the push.
                if !self.ledger.wants(&batch.ticket, index) {
                    worker.sweep();
                }
            }
        }
    }

    /// Waits until these sinks have nothing on its way for these partitions (or for all), or the time is over.
    /// Returns whether they are done. Cancel safe.
    pub async fn drained(&self, sinks: SinkSet, only: Option<&[TopicPartition]>, patience: Duration) -> bool {
        let drained = async {
            loop {
                let moved = self.ledger.moved();
                if self.ledger.is_idle(sinks, only) {
                    return;
                }
                moved.await;
            }
        };
        tokio::time::timeout(patience, drained).await.is_ok()
    }

    /// Ends all tasks. Writes in flight are given up; they were not counted as durable.
    pub fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Stores the bad records in a task of its own; the ticket waits for it, nothing else does.
    fn store_bad(self: &Arc<Self>, ticket: &Ticket, raw: &RawBatch, bad: &[BadRecord]) {
        let letters: Vec<DeadLetter> = bad.iter().filter_map(|bad| DeadLetter::of(raw, bad)).collect();
        TopicMeter::of(&raw.partition.topic).bad(bad);
        // Letters that wait for their store hold a part of the budget: a store that is down stops reading in the end.
        let charge = self.memory.charge(letters.iter().map(DeadLetter::bytes).sum());
        let (pipeline, ticket) = (Arc::clone(self), ticket.clone());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some_and(|done| done.is_ok()) {}
        let storing = async move {
            pipeline.store_until_durable(&ticket, letters).await;
            drop(charge);
        };
        tasks.spawn_on(storing, &self.runtime);
    }

    /// Why dead letters cannot be stored now; their offsets are held meanwhile.
    #[must_use]
    pub fn dead_letter_trouble(&self) -> Option<String> {
        self.office.trouble()
    }

    async fn store_until_durable(&self, ticket: &Ticket, letters: Vec<DeadLetter>) {
        match self.office.keep(&letters).await {
            Kept::Durable => {}
            Kept::Halted => return,
        }
        for index in 0..self.sinks.len() {
            self.ledger.complete(ticket, index, None);
        }
    }
}
