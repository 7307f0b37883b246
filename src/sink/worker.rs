//! One sink at work: takes batches from its queue, writes some of them at once, tells the ledger.
//!
//! A write that fails for a passing reason is tried again for ever with growing pauses: the sink is degraded, holds its
//! queue, and no other sink waits for it. A row that is refused for good goes to the dead letters, and its batch goes on; a
//! write that is refused for a reason that is none of its rows' stops the run. Nothing is dropped.
//!
//! When the sink is detached, its writes in flight are given up at once, so that what they hold of the budget is free:
//! whether their rows arrived is unknown, and they are written again (law 1).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::queue::SinkQueue;
use super::throttle::{Rate, Throttle};
use super::{Batch, PoisonRow, Sink, SinkError};
use crate::dead_letter::{DeadLetter, Kept, Office};
use crate::halt::{Halt, HaltCell, HaltKind};
use crate::meter::SinkMeter;
use crate::mutant::{Mutant, is_planted};
use crate::progress::ledger::Ledger;

/// Batches of different partitions that one sink writes at once. Each becomes a few region-disjoint calls a server, so
/// a handful keeps the handlers of several servers busy; more only adds memory.
const WRITES_MAX: usize = 8;

/// First pause after a failed write.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two tries: a cluster that is back is noticed within this time.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How a sink is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SinkState {
    /// No write was tried yet.
    #[default]
    Starting,
    /// The last write succeeded.
    Healthy,
    /// Writes fail for a passing reason and are tried again.
    Degraded {
        /// The last failure.
        reason: String,
    },
    /// A write was refused for good.
    Failed {
        /// The refusal.
        reason: String,
    },
}

impl SinkState {
    /// The name used in status and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Degraded { .. } => "degraded",
            Self::Failed { .. } => "failed",
        }
    }

    /// Why the sink is not healthy.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Starting | Self::Healthy => None,
            Self::Degraded { reason } | Self::Failed { reason } => Some(reason),
        }
    }
}

/// A sink with its queue and its state.
#[derive(Debug)]
pub struct SinkWorker {
    index: usize,
    sink: Arc<dyn Sink>,
    queue: SinkQueue,
    state: Mutex<SinkState>,
    throttle: Mutex<Throttle>,
    /// Counts the times at which waiting and writing have to look around: a cut, a new limit.
    disturbed: watch::Sender<u64>,
    finished: AtomicU64,
    /// Its share of the shared budget; without limit unless it can be detached.
    window_bytes_max: AtomicU64,
    began: Instant,
    meter: SinkMeter,
    ledger: Arc<Ledger>,
    halt: Arc<HaltCell>,
    office: Arc<Office>,
}

impl SinkWorker {
    /// The worker of the ledger's sink `index`.
    #[must_use]
    pub fn new(
        index: usize,
        sink: Arc<dyn Sink>,
        ledger: Arc<Ledger>,
        (halt, office): (Arc<HaltCell>, Arc<Office>),
    ) -> Arc<Self> {
        let meter = SinkMeter::new(sink.name());
        Arc::new(Self {
            index,
            sink,
            queue: SinkQueue::default(),
            state: Mutex::default(),
            throttle: Mutex::default(),
            disturbed: watch::Sender::new(0),
            finished: AtomicU64::new(0),
            window_bytes_max: AtomicU64::new(u64::MAX),
            began: Instant::now(),
            meter,
            ledger,
            halt,
            office,
        })
    }

    /// The sink's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        self.sink.name()
    }

    /// What is still to be written.
    #[must_use]
    pub fn queue(&self) -> &SinkQueue {
        &self.queue
    }

    /// How the sink is doing.
    #[must_use]
    pub fn state(&self) -> SinkState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Batches written so far.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Its share of the shared budget.
    #[must_use]
    pub fn window_bytes_max(&self) -> u64 {
        self.window_bytes_max.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set_window_bytes_max(&self, bytes: u64) {
        self.window_bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// How fast it may write; `None` is as fast as it can.
    #[must_use]
    pub fn limit(&self) -> Option<Rate> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).rate()
    }

    /// Sets or removes the limit.
    pub fn set_limit(&self, rate: Option<Rate>) {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).set(self.began.elapsed(), rate);
        self.disturb();
    }

    /// Gives up everything that the ledger says this sink does not want any more, waiting or in flight.
    pub fn sweep(&self) {
        self.queue.retain(|ticket| self.ledger.wants(ticket, self.index));
        self.disturb();
    }

    fn disturb(&self) {
        self.disturbed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Rows and bytes made durable so far.
    #[must_use]
    pub fn meter(&self) -> &SinkMeter {
        &self.meter
    }

    /// Writes until it is dropped. Cancel safe: what was in flight is unknown and was not counted as durable.
    pub async fn run(self: Arc<Self>) {
        let mut writes = JoinSet::new();
        loop {
            tokio::select! {
                batch = self.queue.take(), if writes.len() < WRITES_MAX => {
                    let worker = Arc::clone(&self);
                    writes.spawn(async move { worker.finish(&batch).await });
                }
                Some(done) = writes.join_next() => self.note_end(done),
            }
        }
    }

    fn note_end(&self, done: Result<(), tokio::task::JoinError>) {
        if let Err(error) = done {
            let message = format!("sink {}: a write ended by a defect of halcyon: {error}", self.name());
            self.halt.set(Halt::new(HaltKind::Failed, message));
        }
    }

    /// Writes one batch until it is durable, refused for good, or no longer wanted.
    async fn finish(&self, batch: &Batch) {
        let mut disturbed = self.disturbed.subscribe();
        let mut pause = PAUSE_MIN;
        loop {
            disturbed.mark_unchanged();
            if !self.ledger.wants(&batch.ticket, self.index) {
                break;
            }
            // A disturbance ends any wait; if the batch is still wanted, waits begin anew and writes go on.
            match self.attempt(batch, &mut disturbed, pause).await {
                Attempt::Durable => break,
                Attempt::Disturbed => {}
                Attempt::Again => pause = (pause * 2).min(PAUSE_MAX),
                Attempt::Refused => return,
            }
        }
        self.queue.release(batch);
    }

    /// Keeps rows that the cluster will never take among the dead letters.
    async fn bury(&self, batch: &Batch, rows: &[PoisonRow]) -> Kept {
        let letter = |poison: &PoisonRow| {
            let rows = batch.tables.get(poison.table)?;
            DeadLetter::of_row(&batch.ticket, (rows, poison.row), (self.name(), &poison.cause), batch.last_ms)
        };
        let letters: Vec<DeadLetter> = rows.iter().filter_map(letter).collect();
        let first = letters.first().map_or("", |letter| &letter.cause);
        tracing::warn!(sink = %self.name(), rows = rows.len(), cause = first, "rows refused: they become dead letters");
        self.meter.refused(rows.len() as u64);
        self.office.charge(0, rows.len() as u64);
        self.office.keep(&letters).await
    }

    async fn attempt(&self, batch: &Batch, disturbed: &mut watch::Receiver<u64>, pause: Duration) -> Attempt {
        if let Err(wait) = self.pay(batch) {
            return wait_for(wait, disturbed).await.unwrap_or(Attempt::Disturbed);
        }
        let started = tokio::time::Instant::now();
        let write = self.sink.write(batch);
        tokio::pin!(write);
        let written = loop {
            tokio::select! {
                written = &mut write => break written,
                _ = disturbed.changed() => {
                    if !self.ledger.wants(&batch.ticket, self.index) {
                        return Attempt::Disturbed;
                    }
                }
            }
        };
        match written {
            Ok(()) => self.done(batch, started),
            // While the letters wait for their store, the batch is in flight as in a slow write.
            Err(SinkError::Poison(rows)) => match self.bury(batch, &rows).await {
                Kept::Durable => self.done(batch, started),
                Kept::Halted => Attempt::Refused,
            },
            Err(SinkError::Transient(reason)) => {
                self.meter.retried("transient");
                self.set_state(SinkState::Degraded { reason });
                if is_planted(Mutant::TransientCountsAsDone) {
                    return self.done(batch, started);
                }
                if is_planted(Mutant::LostCompletion) {
                    return Attempt::Durable;
                }
                wait_for(pause, disturbed).await.unwrap_or(Attempt::Again)
            }
            Err(SinkError::Mismatch(reason)) => {
                self.fail(HaltKind::Topology, reason);
                Attempt::Refused
            }
            Err(SinkError::Refused(reason)) => {
                self.fail(HaltKind::Failed, reason);
                Attempt::Refused
            }
        }
    }

    fn done(&self, batch: &Batch, started: tokio::time::Instant) -> Attempt {
        self.meter.written(batch, started.elapsed());
        self.set_state(SinkState::Healthy);
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.ledger.complete(&batch.ticket, self.index, batch.last_ms);
        Attempt::Durable
    }

    fn pay(&self, batch: &Batch) -> Result<(), Duration> {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.pay(self.began.elapsed(), batch.rows(), batch.bytes())
    }

    /// The batch stays in flight: neither it nor what follows it counts as durable.
    fn fail(&self, kind: HaltKind, reason: String) {
        let message = format!("sink {}: {reason}", self.name());
        self.set_state(SinkState::Failed { reason });
        self.halt.set(Halt::new(kind, message));
    }

    fn set_state(&self, next: SinkState) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == next {
            return;
        }
        if state.name() != next.name() {
            match &next {
                SinkState::Starting | SinkState::Healthy => tracing::info!(sink = %self.name(), "sink healthy"),
                SinkState::Degraded { reason } => {
                    tracing::warn!(sink = %self.name(), reason, "sink degraded: writes are tried again");
                }
                SinkState::Failed { reason } => tracing::error!(sink = %self.name(), reason, "sink failed"),
            }
        }
        *state = next;
    }
}

/// What came of one try.
enum Attempt {
    Durable,
    Disturbed,
    Again,
    Refused,
}

/// Waits, unless something disturbs.
async fn wait_for(time: Duration, disturbed: &mut watch::Receiver<u64>) -> Option<Attempt> {
    tokio::select! {
        () = tokio::time::sleep(time) => None,
        _ = disturbed.changed() => Some(Attempt::Disturbed),
    }
}
