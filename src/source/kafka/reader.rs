//! The poll thread: rebalances, and records from the partitions' queues to the CPU pool.
//!
//! # Invariants
//! 1. It never waits for a sink. A partition that cannot go on is not drained, and librdkafka stops fetching it; the
//!    main queue is polled all the same, so the process stays in its group.
//! 2. A rebalance is carried out before the next poll.
//! 3. A partition's batches go to one worker, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::time::Instant;

use super::assign::{Assignment, Positions};
use super::commit::{Committer, Ownership};
use super::control::{Control, Phase};
use super::group::{Group, Offsets, Polled, Rebalance};
use super::lane::{BatchLimits, Lane};
use super::watchdog::{Look, Remedy, Watchdog};
use super::work::{Needs, Work};
use crate::halt::{Halt, HaltKind};
use crate::kafka::trouble::fatal;
use crate::meter::{RebalanceMeter, WatchdogMeter};
use crate::model::batch::Projected;
use crate::mutant::{Mutant, is_planted};
use crate::pipeline::Pipeline;
use crate::progress::ledger::{BeginError, Epoch, SinkStart};
use crate::progress::offset::{Offset, TopicPartition};
use crate::schema_registry::SchemaRegistry;

/// Longest wait of one poll when no partition had records: the latency that an idle topic adds, and the rate at which
/// an idle process wakes up.
const IDLE_WAIT: Duration = Duration::from_millis(5);

/// How often an idle partition is asked for offsets that hold no record.
const POSITION_INTERVAL: Duration = Duration::from_millis(250);

/// The memory budget must have been used up for this long before it is worth a line, and lines are this far apart.
const FULL_REPORT: Duration = Duration::from_secs(10);

/// Errors of one partition are told this far apart.
const ERROR_REPORT: Duration = Duration::from_secs(10);

/// How long the group may take to let this process go.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before a worker without room is asked again: it never waits for a sink, so there will be room soon.
const WORKER_PAUSE: Duration = Duration::from_millis(1);

/// How often the watchdog looks at the partitions, as a part of the time that they may stand still.
const LOOKS: u32 = 20;

/// The poll thread's state.
pub struct Reader<G: Group, S> {
    pub(super) group: Arc<G>,
    pub(super) instance_id: Option<String>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) committer: Arc<Committer<G, S>>,
    pub(super) positions: Positions<S>,
    pub(super) control: Arc<Control>,
    pub(super) workers: Vec<Sender<Work>>,
    pub(super) limits: BatchLimits,
    pub(super) drain_timeout: Duration,
    /// How long a partition may stand still.
    pub(super) stall: Duration,
    pub(super) lanes: Vec<Lane<G::Queue>>,
    /// What the group has given to this process, read or not: each of them is taken back by a rebalance.
    pub(super) granted: BTreeSet<TopicPartition>,
    /// What the records of a topic need, by its name.
    pub(super) needs: BTreeMap<String, Needs>,
    pub(super) schemas: Arc<SchemaRegistry>,
    /// Partitions whose open batch needs a schema that is not there: neither drained nor closed meanwhile.
    pub(super) unready: BTreeSet<TopicPartition>,
    /// Closed batches whose worker had no room; their partitions are not drained meanwhile.
    pub(super) waiting: BTreeMap<TopicPartition, Work>,
    /// Where the next round begins, so that no partition is always served last.
    pub(super) turn: usize,
    /// Whether the last turn moved anything.
    pub(super) moved: bool,
    pub(super) began: Instant,
    pub(super) positions_asked: Instant,
    /// When the watchdog looked last.
    pub(super) watched: Instant,
    /// When there was room in the memory budget last, or a line said that there is none.
    pub(super) room_seen: Instant,
    /// When leaving is given up.
    pub(super) leave_until: Option<Instant>,
}

impl<G: Group, S> std::fmt::Debug for Reader<G, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("granted", &self.granted).finish_non_exhaustive()
    }
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is.
    Again,
    /// The reader has left the group.
    Left,
}

impl<G: Group, S: Offsets> Reader<G, S> {
    /// Reads until told to leave.
    pub(super) fn run(mut self) {
        while self.turn() == Turn::Again {}
    }

    /// One turn of the poll thread: the client's callbacks, rebalances, one look into every partition.
    pub fn turn(&mut self) -> Turn {
        self.poll(if self.moved { Duration::ZERO } else { IDLE_WAIT });
        self.rebalance();
        match self.control.phase() {
            Phase::Running => self.moved = self.round(),
            Phase::Draining => self.moved = self.flush(),
            Phase::Leaving => return self.leave(),
        }
        Turn::Again
    }

    /// Serves the client's callbacks.
    fn poll(&mut self, wait: Duration) {
        let partition = match self.group.poll(wait) {
            Polled::Nothing => return,
            Polled::Stray(partition) => partition,
            Polled::Error(error) => return self.note(&error),
        };
        // It must not be lost: the partition is read again from its next offset.
        if let Some(at) = self.lanes.iter().position(|lane| lane.partition == partition) {
            tracing::debug!(%partition, "record outside of its partition's queue");
            self.seek(at);
        }
    }

    fn note(&self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                self.halt(HaltKind::Failed, fatal(*code, self.instance_id.as_deref()));
            }
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
            ) => {
                self.halt(HaltKind::Topology, format!("a topic does not exist: {error}; run `halcyon check --live`"));
            }
            KafkaError::MessageConsumption(
                code @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed),
            ) => self.halt(HaltKind::Failed, format!("kafka refuses access: {code}; check the client's rights")),
            _ => tracing::warn!(%error, "kafka client reports an error; it goes on by itself"),
        }
    }

    /// One look into every partition that may go on. Returns whether anything moved.
    fn round(&mut self) -> bool {
        let now = Instant::now();
        self.report_full(now);
        let mut moved = self.retry_waiting();
        let count = self.lanes.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            moved |= self.serve(at, now);
        }
        self.turn = self.turn.wrapping_add(1) % count.max(1);
        if !moved && now.duration_since(self.positions_asked) >= POSITION_INTERVAL {
            self.positions_asked = now;
            self.skip_recordless();
        }
        if now.duration_since(self.watched) >= self.stall / LOOKS {
            self.watched = now;
            // What only holds no record is no reason to complain, and is passed over here when others are too busy.
            self.skip_recordless();
            self.watch(now);
        }
        moved
    }

    /// Lets the watchdog look at every partition.
    fn watch(&mut self, now: Instant) {
        let has_room = self.pipeline.memory().has_room();
        let mut at = 0;
        while let Some(lane) = self.lanes.get_mut(at) {
            // An open batch that stays open waits for us: for a schema, or for sinks that still write the one before it.
            let is_waiting = lane.is_open() || self.waiting.contains_key(&lane.partition);
            let is_read = lane.is_settled && self.pipeline.is_read(&lane.partition);
            let look = Look {
                next: lane.next(),
                end: self.group.readable_end(&lane.partition),
                is_welcome: has_room && is_read && !is_waiting,
            };
            match lane.watchdog.look(now.duration_since(self.began), &look) {
                None => {}
                Some(Remedy::Partition) => self.reassign(at, &look),
                Some(Remedy::Client) => return self.renew(at, &look),
            }
            at += 1;
        }
    }

    /// Takes a partition anew whose queue gives nothing although there is something.
    fn reassign(&mut self, at: usize, look: &Look) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        WatchdogMeter::partition();
        tracing::warn!(
            partition = %lane.partition, next = %look.next, end = ?look.end, stall_seconds = self.stall.as_secs(),
            "partition stands still: taken anew at its next offset"
        );
        match self.group.reassign(&lane.partition, look.next) {
            Ok(queue) => lane.replace_queue(queue),
            Err(error) => tracing::warn!(partition = %lane.partition, %error, "partition cannot be taken anew"),
        }
    }

    /// Puts a new client in the place of one that does not deliver a partition, after a last commit.
    fn renew(&mut self, at: usize, look: &Look) {
        let Some(lane) = self.lanes.get(at) else { return };
        WatchdogMeter::client();
        tracing::error!(
            partition = %lane.partition, next = %look.next, end = ?look.end, stall_seconds = self.stall.as_secs(),
            "partition stands still although it was taken anew: the kafka client is replaced"
        );
        let held: Vec<_> = self.lanes.iter().map(|lane| (lane.partition.clone(), lane.epoch)).collect();
        self.committer.commit_and_revoke(&held, Ownership::Kept);
        RebalanceMeter::revoked(self.granted.len(), false);
        self.pipeline.sweep();
        for partition in std::mem::take(&mut self.granted) {
            self.forget(&partition);
        }
        self.waiting.clear();
        self.lanes.clear();
        if let Err(error) = self.group.renew() {
            self.halt(HaltKind::Failed, format!("the kafka client cannot be replaced: {error}; start again"));
        }
    }

    /// Says who holds the memory budget when nothing can be read for a while.
    fn report_full(&mut self, now: Instant) {
        if self.pipeline.memory().has_room() {
            self.room_seen = now;
        } else if now.duration_since(self.room_seen) >= FULL_REPORT {
            self.room_seen = now;
            let Some(holder) = self.pipeline.sinks().iter().max_by_key(|sink| sink.queue().bytes()) else { return };
            let state = holder.state();
            tracing::warn!(
                sink = %holder.name(),
                state = state.name(),
                reason = state.reason().unwrap_or("slow"),
                held_bytes = holder.queue().bytes(),
                budget_bytes = self.pipeline.memory().limit(),
                "reading paused: a sink holds the shared window"
            );
        }
    }

    fn serve(&mut self, at: usize, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(at) else { return false };
        if self.waiting.contains_key(&lane.partition) {
            return false;
        }
        if self.unready.contains(&lane.partition) && !self.is_ready(at) {
            return false;
        }
        let Some(lane) = self.lanes.get_mut(at) else { return false };
        // A start that only this process knows would be decided anew after a crash, and differently.
        lane.is_settled = lane.is_settled
            || self.pipeline.ledger().is_settled(&lane.partition, lane.epoch)
            || is_planted(Mutant::ReadBeforeStartIsCommitted);
        if !lane.is_settled {
            return false;
        }
        let mut moved = false;
        // What nobody is fed from is not read: a detached sink has a reader of its own.
        let may_read = self.pipeline.memory().has_room() && self.pipeline.is_read(&lane.partition);
        if may_read && !lane.is_full(&self.limits) {
            let filled = lane.fill(self.pipeline.memory(), now);
            moved = filled.entries > 0;
            if let Some(code) = filled.error {
                self.partition_error(at, code);
            }
        }
        let ledger = self.pipeline.ledger();
        let is_due = |lane: &Lane<G::Queue>| {
            lane.is_due(&self.limits, now, |offset| ledger.has_reached(&lane.partition, lane.epoch, offset))
        };
        if self.lanes.get(at).is_some_and(is_due) && self.is_ready(at) {
            self.close(at);
            moved = true;
        }
        moved
    }

    /// Whether the schemas that the open batch needs are there. If not, they are being fetched.
    fn is_ready(&mut self, at: usize) -> bool {
        let Some(lane) = self.lanes.get(at) else { return true };
        let (Some(needs), Some(raw)) = (self.needs.get(&*lane.partition.topic), lane.open()) else { return true };
        let is_ready = self.schemas.is_ready(&lane.partition, needs.framed, raw);
        if is_ready {
            self.unready.remove(&lane.partition);
        } else {
            self.unready.insert(lane.partition.clone());
        }
        is_ready
    }

    fn partition_error(&mut self, at: usize, code: RDKafkaErrorCode) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) {
            let halt = self.positions.lost(&lane.partition, lane.next());
            return self.pipeline.halt().set(halt);
        }
        // An error that stays comes with every fetch.
        if lane.error_told.is_none_or(|at| at.elapsed() >= ERROR_REPORT) {
            lane.error_told = Some(Instant::now());
            let (partition, offset) = (&lane.partition, lane.next());
            tracing::warn!(%partition, %offset, %code, "partition reports an error; read again");
        }
        self.seek(at);
    }

    fn seek(&mut self, at: usize) {
        let Some(lane) = self.lanes.get(at) else { return };
        if let Err(error) = self.group.seek(&lane.partition, lane.next()) {
            let message = format!("{}: cannot seek to offset {}: {error}; start again", lane.partition, lane.next());
            self.halt(HaltKind::Failed, message);
        }
    }

    /// Closes the open batch, announces its span and gives it to its worker.
    fn close(&mut self, at: usize) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let Some((raw, charge)) = lane.close() else { return };
        match self.pipeline.ledger().begin(&raw.partition, lane.epoch, raw.span) {
            Ok(ticket) => {
                let worker = match is_planted(Mutant::WorkerByTurn) {
                    true => raw.span.start().0.unsigned_abs() as usize % self.workers.len(),
                    false => lane.worker,
                };
                self.submit(worker, Work { ticket, raw, charge });
            }
            Err(BeginError::Revoked) => {}
            Err(error @ BeginError::Gap(_)) => {
                let message = format!("{}: a defect of halcyon: {error}: {:?}", raw.partition, error);
                self.halt(HaltKind::Failed, message);
            }
        }
    }

    fn submit(&mut self, worker: usize, work: Work) -> bool {
        let Some(sender) = self.workers.get(worker) else { return false };
        match sender.try_send(work) {
            Ok(()) => true,
            Err(TrySendError::Full(work)) => {
                self.waiting.insert(work.ticket.partition.clone(), work);
                false
            }
            Err(TrySendError::Disconnected(_)) => {
                self.halt(HaltKind::Failed, "a worker thread ended by a defect of halcyon".to_owned());
                false
            }
        }
    }

    fn retry_waiting(&mut self) -> bool {
        let mut moved = false;
        for (partition, work) in std::mem::take(&mut self.waiting) {
            let Some(worker) = self.lanes.iter().find(|lane| lane.partition == partition).map(|lane| lane.worker)
            else {
                continue;
            };
            moved |= self.submit(worker, work);
        }
        moved
    }

    /// Closes all open batches without reading on, but those that cannot be decoded: their spans were not announced, and
    /// the next start reads them again. Returns whether anything moved.
    fn flush(&mut self) -> bool {
        let moved = self.retry_waiting();
        for at in 0..self.lanes.len() {
            if self.lanes.get(at).is_some_and(|lane| lane.is_open() && !self.waiting.contains_key(&lane.partition))
                && self.is_ready(at)
            {
                self.close(at);
            }
        }
        let is_flushed = |lane: &Lane<G::Queue>| !lane.is_open() || self.unready.contains(&lane.partition);
        if self.waiting.is_empty() && self.lanes.iter().all(is_flushed) {
            self.control.set_flushed();
        }
        moved
    }

    /// Offsets without a record (control records of transactions) at the end of a log would keep the lag above zero.
    fn skip_recordless(&mut self) {
        let Ok(positions) = self.group.positions() else { return };
        for (partition, position) in positions {
            let lane = self.lanes.iter_mut().find(|lane| lane.partition == partition);
            let Some(lane) = lane.filter(|lane| !lane.is_open()) else { continue };
            if self.waiting.contains_key(&lane.partition) {
                continue;
            }
            let Some(raw) = lane.skip_to(position) else { continue };
            if let Ok(ticket) = self.pipeline.ledger().begin(&raw.partition, lane.epoch, raw.span) {
                let charge = self.pipeline.memory().charge(0);
                self.pipeline.deliver(ticket, &raw, (Projected::default(), charge));
            }
        }
    }

    fn rebalance(&mut self) {
        while let Some(change) = self.group.next_rebalance() {
            let done = match &change {
                Rebalance::Assign(partitions) => self.assign(partitions),
                Rebalance::Revoke(partitions) => self.revoke(partitions),
            };
            if let Err(error) = done {
                self.halt(HaltKind::Failed, format!("a rebalance could not be carried out: {error}; start again"));
            }
        }
    }

    fn assign(&mut self, names: &[TopicPartition]) -> KafkaResult<()> {
        RebalanceMeter::assigned(names.len());
        self.granted.extend(names.iter().cloned());
        let group = Arc::clone(&self.group);
        let assignments = match self.positions.resolve(self.committer.stores(), names, |time| group.pause(time)) {
            Ok(assignments) => assignments,
            Err(halt) => {
                self.pipeline.halt().set(halt);
                Vec::new()
            }
        };
        let mut places = Vec::with_capacity(assignments.len());
        let now = Instant::now();
        for Assignment { partition, log, mut starts } in assignments {
            let Some(shared) = self.pipeline.shared_start(&starts) else { continue };
            let next = shared.next;
            if is_planted(Mutant::RewindOnAssign) {
                starts.fill(SinkStart { durable: next, committed: Some(next) });
            }
            let Some(queue) = self.group.split(&partition) else { continue };
            let epoch = self.pipeline.ledger().assign_shared(&partition, (next, shared.sinks), &starts);
            self.pipeline.ledger().set_end(&partition, log.high);
            self.control.set_target(&partition, log.high);
            tracing::info!(%partition, offset = %next, end = %log.high, "partition assigned");
            let worker = worker_of(&partition, self.workers.len());
            places.push((partition.clone(), next));
            let headers = self.needs.get(&*partition.topic).map(|needs| Arc::clone(&needs.headers)).unwrap_or_default();
            let watchdog = Watchdog::new(self.stall, next, now.duration_since(self.began));
            let lane = Lane::new((partition, epoch), queue, (next, worker), watchdog);
            self.lanes.push(lane.with_headers(headers));
        }
        self.group.assign(&places)?;
        let is_settled = |(partition, _): &(TopicPartition, Offset)| {
            let lane = self.lanes.iter().find(|lane| lane.partition == *partition);
            lane.is_some_and(|lane| self.pipeline.ledger().is_settled(partition, lane.epoch))
        };
        if !places.iter().all(is_settled) {
            self.committer.commit();
        }
        self.control.set_assigned();
        Ok(())
    }

    /// Drains what the healthy sinks have of these partitions for a bounded time, commits, and gives them up.
    fn revoke(&mut self, names: &[TopicPartition]) -> KafkaResult<()> {
        let lost = self.group.is_lost();
        RebalanceMeter::revoked(names.len(), lost);
        for at in 0..self.lanes.len() {
            // What cannot be decoded was not announced: whoever gets the partition reads it again.
            if self.lanes.get(at).is_some_and(|lane| names.contains(&lane.partition)) && self.is_ready(at) {
                self.close(at);
            }
        }
        self.send_waiting(names);
        let (going, staying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lanes).into_iter().partition(|lane| names.contains(&lane.partition));
        self.lanes = staying;
        let held: Vec<(TopicPartition, Epoch)> =
            going.iter().map(|lane| (lane.partition.clone(), lane.epoch)).collect();
        if !lost {
            let drain = self.pipeline.drained(self.pipeline.healthy(), Some(names), self.drain_timeout);
            if !self.group.wait(drain) {
                tracing::warn!(partitions = names.len(), "partitions revoked before all of their rows were durable");
            }
        }
        self.committer.commit_and_revoke(&held, if lost { Ownership::Lost } else { Ownership::Kept });
        self.pipeline.sweep();
        for partition in names {
            self.forget(partition);
            tracing::info!(%partition, lost, "partition revoked");
        }
        self.granted.retain(|partition| !names.contains(partition));
        // Partitions that no sink could start in were granted, but never assigned: librdkafka refuses to unassign those.
        let assigned: Vec<_> = going.iter().map(|lane| (lane.partition.clone(), lane.next())).collect();
        let result = self.group.unassign(&assigned);
        // The queues go only now: without its queue an assigned partition would be stuck.
        drop(going);
        result
    }

    /// A partition is read elsewhere now.
    fn forget(&mut self, partition: &TopicPartition) {
        self.control.forget_target(partition);
        self.group.forget(partition);
        self.schemas.forget(partition);
        self.unready.remove(partition);
    }

    /// Waits for room at the workers: they never wait for a sink, so there will be room soon.
    fn send_waiting(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let Some(mut work) = self.waiting.remove(partition) else { continue };
            let Some(sender) = self.workers.get(worker_of(partition, self.workers.len())) else { continue };
            // A worker that is gone was reported by the halt it left.
            while let Err(TrySendError::Full(back)) = sender.try_send(work) {
                work = back;
                self.group.pause(WORKER_PAUSE);
            }
        }
    }

    /// Leaves the group: the revocation that follows commits for the last time.
    fn leave(&mut self) -> Turn {
        let now = Instant::now();
        let until = *self.leave_until.get_or_insert_with(|| {
            self.group.leave();
            now + LEAVE_TIMEOUT
        });
        self.moved = false;
        if !self.granted.is_empty() && now < until {
            return Turn::Again;
        }
        self.control.set_left();
        Turn::Left
    }

    fn halt(&self, kind: HaltKind, message: String) {
        self.pipeline.halt().set(Halt::new(kind, message));
    }
}

/// All batches of one partition go to one worker, so that they stay in order.
fn worker_of(partition: &TopicPartition, workers: usize) -> usize {
    partition.partition.unsigned_abs() as usize % workers.max(1)
}
