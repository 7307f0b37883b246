//! One sink at work: takes batches from its queue, writes some of them at once, tells the ledger.
//!
//! A write that fails for a passing reason is tried again for ever with growing pauses: the sink is degraded, holds its
//! queue, and no other sink waits for it. A write that is refused for good stops the run; nothing is dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::queue::SinkQueue;
use super::{Batch, Sink, SinkError};
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
    meter: SinkMeter,
    ledger: Arc<Ledger>,
    halt: Arc<HaltCell>,
}

impl SinkWorker {
    /// The worker of the ledger's sink `index`.
    #[must_use]
    pub fn new(index: usize, sink: Arc<dyn Sink>, ledger: Arc<Ledger>, halt: Arc<HaltCell>) -> Arc<Self> {
        let meter = SinkMeter::new(sink.name());
        let state = Mutex::default();
        Arc::new(Self { index, sink, queue: SinkQueue::default(), state, meter, ledger, halt })
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

    /// Writes one batch until it is durable, refused for good, or no longer ours.
    async fn finish(&self, batch: &Batch) {
        let mut pause = PAUSE_MIN;
        while self.ledger.holds(&batch.ticket.partition, batch.ticket.epoch) {
            let started = tokio::time::Instant::now();
            match self.sink.write(batch).await {
                Ok(()) => {
                    self.meter.written(batch, started.elapsed());
                    self.set_state(SinkState::Healthy);
                    self.ledger.complete(&batch.ticket, self.index, batch.last_ms);
                    break;
                }
                Err(SinkError::Transient(reason)) => {
                    self.meter.retried("transient");
                    self.set_state(SinkState::Degraded { reason });
                    if is_planted(Mutant::TransientCountsAsDone) {
                        self.ledger.complete(&batch.ticket, self.index, batch.last_ms);
                    }
                    if is_planted(Mutant::LostCompletion) || is_planted(Mutant::TransientCountsAsDone) {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(SinkError::Mismatch(reason)) => {
                    self.fail(HaltKind::Topology, reason);
                    return;
                }
                Err(SinkError::Refused(reason)) => {
                    self.fail(HaltKind::Failed, reason);
                    return;
                }
            }
        }
        self.queue.release(batch);
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
            self.meter.state(state.name(), next.name());
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
