//! The poll thread: rebalances, and records from the partitions' queues to the CPU pool.
//!
//! # Invariants
//! 1. It never waits for a sink. A partition that cannot go on is not drained, and librdkafka stops fetching it; the
//!    main queue is polled all the same, so the process stays in its group.
//! 2. A rebalance is carried out before the next poll.
//! 3. A partition's batches go to one worker, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Message, Offset as KafkaOffset};
use tokio::runtime::Handle;

use super::assign::{Assignment, Positions};
use super::commit::{Committer, Ownership};
use super::context::{Context, Rebalance};
use super::control::{Control, Phase};
use super::lane::{BatchLimits, Lane};
use super::queue::PartitionQueue;
use super::work::{Needs, Work};
use crate::halt::{Halt, HaltKind};
use crate::kafka::trouble::fatal;
use crate::meter::RebalanceMeter;
use crate::model::batch::Projected;
use crate::pipeline::Pipeline;
use crate::progress::ledger::{BeginError, Epoch};
use crate::progress::offset::{Offset, TopicPartition};
use crate::schema_registry::SchemaRegistry;

/// Longest wait of one poll when no partition had records: the latency that an idle topic adds, and the rate at which
/// an idle process wakes up.
const IDLE_WAIT: Duration = Duration::from_millis(5);

/// How often an idle partition is asked for offsets that hold no record.
const POSITION_INTERVAL: Duration = Duration::from_millis(250);

/// The memory budget must have been used up for this long before it is worth a line, and lines are this far apart.
const FULL_REPORT: Duration = Duration::from_secs(10);

/// How long the group may take to let this process go.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long librdkafka may take to seek.
const SEEK_TIMEOUT: Duration = Duration::from_secs(10);

/// The poll thread's state.
pub(super) struct Reader {
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) instance_id: Option<String>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) committer: Arc<Committer>,
    pub(super) positions: Positions,
    pub(super) control: Arc<Control>,
    pub(super) workers: Vec<Sender<Work>>,
    pub(super) limits: BatchLimits,
    pub(super) drain_timeout: Duration,
    pub(super) runtime: Handle,
    pub(super) lanes: Vec<Lane>,
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
    pub(super) positions_asked: Instant,
    /// When there was room in the memory budget last, or a line said that there is none.
    pub(super) room_seen: Instant,
}

impl Reader {
    /// Reads until told to leave.
    pub(super) fn run(mut self) {
        let mut moved = true;
        loop {
            self.poll(if moved { Duration::ZERO } else { IDLE_WAIT });
            self.rebalance();
            match self.control.phase() {
                Phase::Running => moved = self.round(),
                Phase::Draining => moved = self.flush(),
                Phase::Leaving => break,
            }
        }
        self.leave();
    }

    /// Serves librdkafka's callbacks.
    fn poll(&mut self, wait: Duration) {
        let stray = match self.consumer.poll(wait) {
            None => return,
            Some(Ok(message)) => (Arc::<str>::from(message.topic()), message.partition()),
            Some(Err(error)) => return self.note(&error),
        };
        // Fetched before its queue was split off. It must not be lost: the partition is read again from its next offset.
        let partition = TopicPartition { topic: stray.0, partition: stray.1 };
        if let Some(at) = self.lanes.iter().position(|lane| lane.partition == partition) {
            tracing::debug!(%partition, "record outside of its partition's queue");
            self.seek(at);
        }
    }

    fn note(&self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                // The event says only that it is fatal; the client knows why.
                let code = self.consumer.client().fatal_error().map_or(*code, |(code, _)| code);
                self.halt(HaltKind::Failed, fatal(code, self.instance_id.as_deref()));
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
        moved
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
        let is_due = |lane: &Lane| {
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
        let Some(lane) = self.lanes.get(at) else { return };
        if matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) {
            let halt = self.positions.lost(&lane.partition, lane.next());
            return self.pipeline.halt().set(halt);
        }
        tracing::warn!(partition = %lane.partition, offset = %lane.next(), %code, "partition reports an error; read again");
        self.seek(at);
    }

    fn seek(&mut self, at: usize) {
        let Some(lane) = self.lanes.get(at) else { return };
        let result = list(&[(lane.partition.clone(), lane.next())])
            .and_then(|list| self.consumer.seek_partitions(list, SEEK_TIMEOUT));
        if let Err(error) = result {
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
                let worker = lane.worker;
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
        let is_flushed = |lane: &Lane| !lane.is_open() || self.unready.contains(&lane.partition);
        if self.waiting.is_empty() && self.lanes.iter().all(is_flushed) {
            self.control.set_flushed();
        }
        moved
    }

    /// Offsets without a record (control records of transactions) at the end of a log would keep the lag above zero.
    fn skip_recordless(&mut self) {
        let Ok(positions) = self.consumer.position() else { return };
        for element in positions.elements() {
            let KafkaOffset::Offset(position) = element.offset() else { continue };
            let lane = self.lanes.iter_mut().find(|lane| {
                &*lane.partition.topic == element.topic() && lane.partition.partition == element.partition()
            });
            let Some(lane) = lane.filter(|lane| !lane.is_open()) else { continue };
            if self.waiting.contains_key(&lane.partition) {
                continue;
            }
            let Some(raw) = lane.skip_to(Offset(position)) else { continue };
            if let Ok(ticket) = self.pipeline.ledger().begin(&raw.partition, lane.epoch, raw.span) {
                let charge = self.pipeline.memory().charge(0);
                self.pipeline.deliver(ticket, &raw, (Projected::default(), charge));
            }
        }
    }

    fn rebalance(&mut self) {
        while let Some(change) = self.consumer.context().next_rebalance() {
            let done = match &change {
                Rebalance::Assign(partitions) => self.assign(partitions),
                Rebalance::Revoke(partitions) => self.revoke(partitions),
            };
            if let Err(error) = done {
                self.halt(HaltKind::Failed, format!("a rebalance could not be carried out: {error}; start again"));
            }
        }
    }

    fn assign(&mut self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        RebalanceMeter::assigned(partitions.count());
        let names = names(partitions);
        self.granted.extend(names.iter().cloned());
        let assignments = match self.positions.resolve(self.committer.stores(), &names) {
            Ok(assignments) => assignments,
            Err(halt) => {
                self.pipeline.halt().set(halt);
                Vec::new()
            }
        };
        let mut places = Vec::with_capacity(assignments.len());
        for Assignment { partition, log, starts } in assignments {
            let Some(shared) = self.pipeline.shared_start(&starts) else { continue };
            let next = shared.next;
            let Some(queue) = PartitionQueue::split(&self.consumer, &partition) else { continue };
            let epoch = self.pipeline.ledger().assign_shared(&partition, (next, shared.sinks), &starts);
            self.pipeline.ledger().set_end(&partition, log.high);
            self.control.set_target(&partition, log.high);
            tracing::info!(%partition, offset = %next, end = %log.high, "partition assigned");
            let worker = worker_of(&partition, self.workers.len());
            places.push((partition.clone(), next));
            let headers = self.needs.get(&*partition.topic).map(|needs| Arc::clone(&needs.headers)).unwrap_or_default();
            self.lanes.push(Lane::new((partition, epoch), queue, next, worker).with_headers(headers));
        }
        let places = list(&places)?;
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&places)?,
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(&places)?,
        }
        self.control.set_assigned();
        Ok(())
    }

    /// Drains what the healthy sinks have of these partitions for a bounded time, commits, and gives them up.
    fn revoke(&mut self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        let names = names(partitions);
        let lost = self.consumer.assignment_lost();
        RebalanceMeter::revoked(names.len(), lost);
        for at in 0..self.lanes.len() {
            // What cannot be decoded was not announced: whoever gets the partition reads it again.
            if self.lanes.get(at).is_some_and(|lane| names.contains(&lane.partition)) && self.is_ready(at) {
                self.close(at);
            }
        }
        self.send_waiting(&names);
        let (going, staying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lanes).into_iter().partition(|lane| names.contains(&lane.partition));
        self.lanes = staying;
        let held: Vec<(TopicPartition, Epoch)> =
            going.iter().map(|lane| (lane.partition.clone(), lane.epoch)).collect();
        if !lost {
            let drain = self.pipeline.drained(self.pipeline.healthy(), Some(&names), self.drain_timeout);
            if !self.runtime.block_on(drain) {
                tracing::warn!(partitions = names.len(), "partitions revoked before all of their rows were durable");
            }
        }
        self.committer.commit_and_revoke(&held, if lost { Ownership::Lost } else { Ownership::Kept });
        self.pipeline.sweep();
        for partition in &names {
            self.control.forget_target(partition);
            self.consumer.context().forget(partition);
            self.schemas.forget(partition);
            self.unready.remove(partition);
            tracing::info!(%partition, lost, "partition revoked");
        }
        self.granted.retain(|partition| !names.contains(partition));
        // Partitions that no sink could start in were granted, but never assigned: librdkafka refuses to unassign those.
        let assigned: Vec<_> = going.iter().map(|lane| (lane.partition.clone(), lane.next())).collect();
        let result = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_unassign(&list(&assigned)?),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.unassign(),
        };
        // The queues go only now: without its queue an assigned partition would be stuck.
        drop(going);
        result
    }

    /// Waits for room at the workers: they never wait for a sink, so there will be room soon.
    fn send_waiting(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let Some(work) = self.waiting.remove(partition) else { continue };
            let worker = worker_of(partition, self.workers.len());
            if let Some(sender) = self.workers.get(worker) {
                // A worker that is gone was reported by the halt it left.
                sender.send(work).ok();
            }
        }
    }

    /// Leaves the group: the revocation that follows commits for the last time.
    fn leave(mut self) {
        self.consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while !self.granted.is_empty() && Instant::now() < deadline {
            self.poll(IDLE_WAIT);
            self.rebalance();
        }
        self.control.set_left();
    }

    fn halt(&self, kind: HaltKind, message: String) {
        self.pipeline.halt().set(Halt::new(kind, message));
    }
}

/// All batches of one partition go to one worker, so that they stay in order.
fn worker_of(partition: &TopicPartition, workers: usize) -> usize {
    partition.partition.unsigned_abs() as usize % workers.max(1)
}

fn names(partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = partitions.elements();
    let name = |topic: &str, partition| TopicPartition { topic: Arc::from(topic), partition };
    elements.iter().map(|element| name(element.topic(), element.partition())).collect()
}

fn list(places: &[(TopicPartition, Offset)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (partition, offset) in places {
        list.add_partition_offset(&partition.topic, partition.partition, KafkaOffset::Offset(offset.0))?;
    }
    Ok(list)
}
