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

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::dead_letter::{Budget, DeadLetter, DeadLetters, Verdict};
use crate::error_chain::chain;
use crate::halt::{Halt, HaltCell, HaltKind};
use crate::memory::{Charge, Memory};
use crate::meter::TopicMeter;
use crate::model::batch::{BadRecord, Counts, Projected, RawBatch};
use crate::mutant::{Mutant, is_planted};
use crate::progress::ledger::{Ledger, SinkSet, Ticket};
use crate::progress::offset::TopicPartition;
use crate::sink::worker::{SinkState, SinkWorker};
use crate::sink::{Batch, Sink};

/// Pause before a dead-letter store that failed is asked again.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(1);

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
    dead_letters: Arc<DeadLetters>,
    budget: Mutex<Budget>,
    totals: Totals,
    /// Why dead letters cannot be stored now.
    dead_letter_trouble: Mutex<Option<String>>,
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
        let mut tasks = JoinSet::new();
        let workers: Vec<_> = sinks
            .into_iter()
            .enumerate()
            .map(|(index, sink)| SinkWorker::new(index, sink, Arc::clone(&ledger), Arc::clone(&halt)))
            .collect();
        for worker in &workers {
            tasks.spawn_on(Arc::clone(worker).run(), &runtime);
        }
        Arc::new(Self {
            ledger,
            memory,
            halt,
            sinks: workers,
            dead_letters: Arc::new(dead_letters),
            budget: Mutex::new(budget),
            totals: Totals::default(),
            dead_letter_trouble: Mutex::default(),
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

    /// The sinks that can be expected to finish what they have: all but those that are degraded or failed.
    #[must_use]
    pub fn healthy(&self) -> SinkSet {
        let mut set = SinkSet::default();
        for (index, worker) in self.sinks.iter().enumerate() {
            match worker.state() {
                SinkState::Starting | SinkState::Healthy => set.insert(index),
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
    pub fn deliver(self: &Arc<Self>, ticket: Ticket, raw: &RawBatch, (projected, mut charge): (Projected, Charge)) {
        self.count(&projected.counts, projected.bad.len() as u64);
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
            if wanted.contains(index) {
                worker.queue().push(Arc::clone(&batch));
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

    fn count(&self, counts: &Counts, bad: u64) {
        let add = |sum: &AtomicU64, count: u64| sum.fetch_add(count, Ordering::Relaxed);
        add(&self.totals.events, counts.events);
        add(&self.totals.filtered, counts.filtered);
        add(&self.totals.bad, bad);
        add(&self.totals.rows, counts.rows);
        add(&self.totals.cells, counts.cells);
        add(&self.totals.ties, counts.ties);
        let verdict = self.budget.lock().unwrap_or_else(PoisonError::into_inner).charge(counts.events, bad);
        match verdict {
            Verdict::Within => {}
            Verdict::Exceeded { bad, events } => {
                let message = format!(
                    "{bad} of {events} events were bad, more than the error budget allows; look at the dead letters, \
                     mend the cause or raise [dead_letter] budget, then start again"
                );
                self.halt.set(Halt::new(HaltKind::Policy, message));
            }
        }
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
        self.dead_letter_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One line when the trouble begins, changes or ends.
    fn note_dead_letters(&self, trouble: Option<String>) {
        let mut known = self.dead_letter_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &trouble) {
            (before, Some(error)) if before.as_ref() != Some(error) => {
                tracing::warn!(error, "dead letters not stored: their offsets are held, and it is tried again");
            }
            (Some(_), None) => tracing::info!("dead letters are stored again"),
            _ => {}
        }
        *known = trouble;
    }

    async fn store_until_durable(&self, ticket: &Ticket, letters: Vec<DeadLetter>) {
        while let Err(error) = self.dead_letters.store(&letters).await {
            let error_chain = chain(&error);
            if error.is_final() {
                self.halt.set(Halt::new(HaltKind::Policy, error_chain));
                return;
            }
            self.note_dead_letters(Some(error_chain));
            tokio::time::sleep(DEAD_LETTER_PAUSE).await;
        }
        self.note_dead_letters(None);
        for index in 0..self.sinks.len() {
            self.ledger.complete(ticket, index, None);
        }
    }
}
