//! A private reader: replays the log for one sink that is off the shared read.
//!
//! It has a client of its own that is a member of no group (`assign` only), one thread that reads, decodes, projects and
//! delivers, and a place of its own in the memory budget; so it takes nothing from the shared read but its share of the
//! cores. It reads every partition of this process in which the shared read does not feed the sink, from the sink's
//! durable end, and tells the ledger under an epoch that only it has. Offsets are committed by the committer, as for all:
//! the group's fenced commit first.
//!
//! # Invariants
//! 1. While the sink is to come back, nothing is announced beyond the place of the shared read.
//! 2. A partition goes back in one step of the ledger, at that very place ([`crate::progress::ledger`], `begin_private`);
//!    until its last batch is in the sink's queue, a bar keeps those of the shared read behind it.
//! 3. End-of-partition entries are off and partitions are never paused. The client's position is believed as long as
//!    everything that the client gave out is here. Where it is not (records dropped, an error entry: librdkafka#4844), the
//!    client is *spent*: the reader ends, and a new one begins at the sink's durable end.

mod buffer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Message, Offset as KafkaOffset, TopicPartitionList};

use self::buffer::Buffer;
use super::group::{Entry, Queue};
use super::lane::BatchLimits;
use super::prefetch::Prefetch;
use super::queue::PartitionQueue;
use super::work::Needs;
use crate::error_chain::chain;
use crate::governor::{PrivateReaders, ReaderSignal};
use crate::halt::{Halt, HaltKind};
use crate::kafka::{Role, client_config};
use crate::memory::Charge;
use crate::meter::PrivateMeter;
use crate::pipeline::Pipeline;
use crate::progress::ledger::{BeginError, Epoch, PrivatePlace, PrivateStart};
use crate::progress::offset::{Offset, TopicPartition};
use crate::project::{Lane as ProjectLane, Projections};
use crate::schema_registry::SchemaRegistry;
use crate::topology::Topology;

use super::retention::Retention;

/// Longest wait of one poll when nothing moved.
const IDLE_WAIT: Duration = Duration::from_millis(5);
/// How often the ledger is asked for partitions that came or went.
const SYNC_INTERVAL: Duration = Duration::from_millis(50);
/// How often an idle client is asked for offsets that hold no record.
const POSITION_INTERVAL: Duration = Duration::from_millis(250);
/// Partitions that went back stay assigned for this long, undrained, so that several go in one change.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a broker may take to say where a log begins.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What is charged for records that are not encoded yet, as in the shared read's lanes.
const EXPANSION: u64 = 3;
/// One batch may take this part of the reader's place in the budget.
const BATCH_PARTS: u64 = 4;

/// Makes private readers of one source.
pub(super) struct Readers {
    pub(super) topology: Topology,
    pub(super) projections: Projections,
    pub(super) schemas: Arc<SchemaRegistry>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) limits: BatchLimits,
    /// Bytes that the client of one reader may hold fetched ahead.
    pub(super) prefetch_bytes: u64,
    pub(super) retention: Arc<Retention>,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers").field("topology", &self.topology.name).finish_non_exhaustive()
    }
}

impl PrivateReaders for Readers {
    fn start(&self, sink: usize, signal: Arc<ReaderSignal>) -> Result<(), String> {
        let name = self.pipeline.ledger().sinks().get(sink).ok_or("no such sink")?;
        let consumer = self.consumer(name)?;
        let projects = self.projections.lanes(&self.topology, self.schemas.schemas());
        let projects = projects.map_err(|error| chain(&error))?;
        let budget = signal.memory.limit() / EXPANSION / BATCH_PARTS;
        let bytes = self.limits.bytes.min(usize::try_from(budget).unwrap_or(usize::MAX));
        let reader = PrivateReader {
            sink,
            pipeline: Arc::clone(&self.pipeline),
            consumer: Arc::new(consumer),
            needs: super::work::needs(&projects),
            projects,
            schemas: Arc::clone(&self.schemas),
            limits: BatchLimits { bytes, ..self.limits },
            meter: PrivateMeter::new(name),
            lanes: Vec::new(),
            is_unassigned: false,
            is_spent: false,
            given_up: BTreeSet::new(),
            synced: None,
            assigned: Instant::now(),
            positions_asked: Instant::now(),
            signal,
        };
        let thread = std::thread::Builder::new().name(format!("private-{name}"));
        thread.spawn(move || reader.run()).map(drop).map_err(|error| format!("start a thread: {error}"))
    }

    fn compacted(&self) -> Option<String> {
        self.retention.compacted()
    }
}

impl Readers {
    fn consumer(&self, sink: &str) -> Result<BaseConsumer, String> {
        let group = super::sink_group(&self.topology, sink);
        let role = Role::Offsets { group: &group };
        let mut config = client_config(&self.topology.kafka, &role).map_err(|error| error.to_string())?;
        let partitions = self.pipeline.ledger().view().len().max(1) as u64;
        for (property, value) in Prefetch::within(self.prefetch_bytes, partitions).properties() {
            config.set(property, value.to_string());
        }
        config.set("fetch.queue.backoff.ms", "10");
        config.set("fetch.wait.max.ms", "50");
        config.create().map_err(|error| format!("create a kafka client: {error}"))
    }
}

/// One partition of a private reader.
struct PrivateLane {
    partition: TopicPartition,
    epoch: Epoch,
    queue: PartitionQueue<DefaultConsumerContext>,
    buffer: Buffer,
    /// What the buffer holds of the reader's place, unless it is empty.
    charge: Option<Charge>,
    /// When the first record of the buffer came.
    since: Option<Instant>,
    /// Where the shared read was when it was asked for last, if the sink goes back to it.
    cap: Option<Offset>,
    /// Handed over or revoked: not read any more.
    is_over: bool,
    /// How it is named where it waits for a schema: the shared read of the partition may wait too.
    waits_as: TopicPartition,
}

impl PrivateLane {
    /// Whether everything up to the shared read is announced: what comes next is for that one, or for later.
    fn is_at_cap(&self) -> bool {
        self.cap.is_some_and(|cap| self.buffer.start() >= cap)
    }
}

struct PrivateReader {
    sink: usize,
    pipeline: Arc<Pipeline>,
    consumer: Arc<BaseConsumer>,
    projects: BTreeMap<String, ProjectLane>,
    /// What the records of a topic need beside their keys and payloads.
    needs: BTreeMap<String, Needs>,
    schemas: Arc<SchemaRegistry>,
    limits: BatchLimits,
    meter: PrivateMeter,
    lanes: Vec<PrivateLane>,
    /// The assignment was not accepted.
    is_unassigned: bool,
    /// The client's position cannot be believed any more.
    is_spent: bool,
    /// Partitions that this client gave out records of that were dropped, or may have been.
    given_up: BTreeSet<TopicPartition>,
    synced: Option<Instant>,
    assigned: Instant,
    positions_asked: Instant,
    signal: Arc<ReaderSignal>,
}

impl PrivateReader {
    fn run(mut self) {
        let _watch = EndWatch { signal: Arc::clone(&self.signal), pipeline: Arc::clone(&self.pipeline) };
        let mut moved = true;
        while !self.is_spent && !self.signal.is_stopped() && self.pipeline.halt().get().is_none() {
            if !self.poll(if moved { Duration::ZERO } else { IDLE_WAIT }) {
                break;
            }
            let now = Instant::now();
            if let Err(error) = self.sync(now) {
                tracing::warn!(%error, "a private reader cannot be assigned its partitions yet");
                self.is_unassigned = true;
            }
            moved = self.round(now);
        }
        self.lanes.iter().for_each(|lane| self.schemas.forget(&lane.waits_as));
    }

    /// Serves librdkafka's callbacks. Returns whether the client is of any use still.
    fn poll(&mut self, wait: Duration) -> bool {
        match self.consumer.poll(wait) {
            None => true,
            // Fetched before its queue was split off: read again.
            Some(Ok(message)) => {
                tracing::debug!(
                    topic = message.topic(),
                    partition = message.partition(),
                    "record outside of its queue"
                );
                false
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                tracing::warn!(%code, "the client of a private reader failed for good; a new one is made");
                false
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the client of a private reader reports an error; it goes on by itself");
                true
            }
        }
    }

    /// Takes what came, drops what went, and assigns anew if anything changed.
    fn sync(&mut self, now: Instant) -> KafkaResult<()> {
        if self.synced.is_some_and(|at| now.duration_since(at) < SYNC_INTERVAL) {
            return Ok(());
        }
        self.synced = Some(now);
        let lanes = &self.lanes;
        let starts = self.pipeline.ledger().take_private(self.sink, |partition, epoch| {
            lanes.iter().any(|lane| !lane.is_over && lane.partition == *partition && lane.epoch == epoch)
        });
        let has_gone = self.lanes.iter().any(|lane| lane.is_over);
        let is_tidy = !has_gone || now.duration_since(self.assigned) < TIDY_INTERVAL;
        if starts.is_empty() && !self.is_unassigned && is_tidy {
            return Ok(());
        }
        if !starts.is_empty()
            && let Some(worker) = self.pipeline.sinks().get(self.sink)
        {
            // What an earlier reader announced does not count any more.
            worker.sweep();
        }
        let is_gone = |lane: &PrivateLane| lane.is_over || starts.iter().any(|start| start.partition == lane.partition);
        self.given_up.extend(self.lanes.iter().filter(|lane| is_gone(lane)).map(|lane| lane.partition.clone()));
        self.lanes.retain(|lane| !is_gone(lane));
        for start in starts {
            self.take(start);
        }
        if self.is_spent { Ok(()) } else { self.assign(now) }
    }

    fn take(&mut self, PrivateStart { partition, epoch, next }: PrivateStart) {
        if self.given_up.contains(&partition) {
            self.is_spent = true;
        }
        let Some(queue) = PartitionQueue::split(&self.consumer, &partition) else {
            self.is_spent = true;
            return;
        };
        tracing::info!(%partition, offset = %next, "private reader begins");
        let buffer = Buffer::new(partition.clone(), next);
        let sink = self.pipeline.ledger().sinks().get(self.sink).map_or("?", |name| &**name);
        let waits_as = TopicPartition {
            topic: Arc::from(format!("{} for sink {sink}", partition.topic)),
            partition: partition.partition,
        };
        self.lanes.push(PrivateLane {
            partition,
            epoch,
            queue,
            buffer,
            charge: None,
            since: None,
            cap: None,
            is_over: false,
            waits_as,
        });
    }

    fn assign(&mut self, now: Instant) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            let offset = KafkaOffset::Offset(lane.buffer.next().0);
            list.add_partition_offset(&lane.partition.topic, lane.partition.partition, offset)?;
        }
        self.consumer.assign(&list)?;
        self.is_unassigned = false;
        self.assigned = now;
        Ok(())
    }

    /// One look into every partition. Returns whether anything moved.
    fn round(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for at in 0..self.lanes.len() {
            moved |= self.fill(at, now);
            moved |= self.announce(at, now);
        }
        if !moved && !self.signal.memory.has_room() {
            self.let_go();
        }
        if !moved && now.duration_since(self.positions_asked) >= POSITION_INTERVAL {
            self.positions_asked = now;
            self.skip_recordless();
        }
        moved
    }

    /// If nothing but records beyond the shared read fills the reader's place in the budget, partitions that are further
    /// behind could never be read: these records are dropped, to be read again.
    fn let_go(&mut self) {
        if self.pipeline.sinks().get(self.sink).is_some_and(|worker| worker.queue().bytes() > 0) {
            return;
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_at_cap() && lane.buffer.len() > 0) {
            lane.buffer = Buffer::new(lane.partition.clone(), lane.buffer.start());
            lane.charge = None;
            lane.since = None;
            self.is_spent = true;
        }
    }

    fn fill(&mut self, at: usize, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(at).filter(|lane| !lane.is_over) else { return false };
        let is_full = lane.buffer.len() >= self.limits.rows || lane.buffer.bytes() >= self.limits.bytes;
        if is_full || lane.is_at_cap() || !self.signal.memory.has_room() {
            return false;
        }
        let PrivateLane { partition, queue, buffer, charge, since, .. } = lane;
        let carried = self.needs.get(&*partition.topic).map_or(&[][..], |needs| &needs.headers);
        let (before, mut error) = ((buffer.len(), buffer.bytes()), None);
        queue.consume(|entry| match entry {
            Entry::Error(code) => error = Some(code),
            Entry::Record { offset, timestamp_ms, key, payload, headers } => {
                if buffer.push(offset, timestamp_ms, key, payload) {
                    for (number, name) in carried.iter().enumerate() {
                        if let Some(value) = headers.last(name) {
                            buffer.push_header(number as u16, value);
                        }
                    }
                }
            }
        });
        let (records, bytes) = (buffer.len() - before.0, (buffer.bytes() - before.1) as u64);
        if records > 0 {
            let held = buffer.bytes() as u64 * EXPANSION;
            match charge {
                Some(charge) => charge.resize(held),
                None => *charge = Some(self.signal.memory.charge(held)),
            }
            since.get_or_insert(now);
            self.meter.read(records as u64, bytes);
            self.signal.count(bytes);
        }
        if let Some(code) = error {
            self.partition_error(at, code);
        }
        records > 0
    }

    fn partition_error(&mut self, at: usize, code: RDKafkaErrorCode) {
        let Some(lane) = self.lanes.get(at) else { return };
        let (partition, next) = (&lane.partition, lane.buffer.next());
        self.is_spent = true;
        if !matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) {
            tracing::warn!(%partition, offset = %next, %code, "a private reader's partition reports an error; read again");
            return;
        }
        // Only what the broker says now is a reason to give up.
        let range = self.consumer.fetch_watermarks(&partition.topic, partition.partition, ANSWER_TIMEOUT);
        let sink = self.pipeline.ledger().sinks().get(self.sink).cloned().unwrap_or_else(|| Arc::from("?"));
        match range {
            Ok((low, _)) if low > next.0 => self.signal.set_lost(format!(
                "{partition}: offsets {next}..{low} were removed by retention before sink {sink} had read them; restore \
                 the sink from a backup taken after offset {low}, or move its group's offset to {low} to accept the loss"
            )),
            Ok((_, high)) if high < next.0 => self.signal.set_lost(format!(
                "{partition}: sink {sink} stands at offset {next}, but the log ends at {high}; the topic was made anew or \
                 truncated: reset the offsets of the sink's group and start again"
            )),
            Ok(_) => tracing::warn!(%partition, offset = %next, %code, "a private reader's offset is in the log; read again"),
            Err(error) => tracing::warn!(%partition, %error, "the range of the log cannot be asked for yet"),
        }
    }

    /// Announces what the buffer has, if it is time to, and hands the partition over where that is allowed.
    fn announce(&mut self, at: usize, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(at).filter(|lane| !lane.is_over) else { return false };
        let may_join = self.signal.may_join();
        let waited = lane.since.is_some_and(|since| now.duration_since(since) >= self.limits.linger);
        let is_full = lane.buffer.len() >= self.limits.rows || lane.buffer.bytes() >= self.limits.bytes;
        let is_due = waited || is_full || lane.buffer.next() > lane.buffer.start() && lane.buffer.len() == 0;
        if !is_due && !may_join && !lane.is_at_cap() {
            return false;
        }
        let place = self.pipeline.ledger().private_place(self.sink, &lane.partition, lane.epoch);
        let Some(PrivatePlace { next, shared_next, .. }) = place else {
            self.finish(at);
            return true;
        };
        let limit = self.signal.wants_attach().then_some(shared_next);
        lane.cap = limit;
        if may_join && next >= shared_next {
            return self.join(at);
        }
        let reaches = may_join && lane.buffer.next() >= shared_next;
        if !is_due && !reaches {
            return false;
        }
        self.close(at, limit, may_join)
    }

    fn join(&mut self, at: usize) -> bool {
        let Some(lane) = self.lanes.get(at) else { return false };
        let joined = self.pipeline.ledger().join(self.sink, &lane.partition, lane.epoch);
        if joined {
            tracing::info!(partition = %lane.partition, offset = %lane.buffer.start(), "private reader hands over");
            self.finish(at);
        }
        joined
    }

    /// Whether the schemas that the partition's records need are there. If not, they are being fetched.
    fn is_ready(&self, at: usize) -> bool {
        let Some(lane) = self.lanes.get(at) else { return true };
        let needs = self.needs.get(&*lane.partition.topic).filter(|needs| needs.framed.any());
        let (Some(needs), Some(raw)) = (needs, needs.and_then(|_| lane.buffer.all())) else { return true };
        self.schemas.is_ready(&lane.waits_as, needs.framed, &raw)
    }

    fn close(&mut self, at: usize, limit: Option<Offset>, may_join: bool) -> bool {
        if !self.is_ready(at) {
            return false;
        }
        let Some(lane) = self.lanes.get_mut(at) else { return false };
        let Some(raw) = lane.buffer.take(limit) else { return false };
        let memory = &self.signal.memory;
        lane.charge = None;
        let charge = memory.charge(raw.arena.len() as u64 * EXPANSION);
        let beyond = lane.buffer.bytes() as u64;
        lane.charge = (lane.buffer.len() > 0).then(|| memory.charge(beyond * EXPANSION));
        if lane.buffer.len() == 0 {
            lane.since = None;
        }
        let (partition, epoch) = (lane.partition.clone(), lane.epoch);
        let Some(worker) = self.pipeline.sinks().get(self.sink) else { return false };
        let bar = may_join.then(|| worker.queue().bar(&partition, epoch));
        let begun = self.pipeline.ledger().begin_private(self.sink, (&partition, epoch), raw.span, may_join);
        match begun {
            Ok((ticket, joined)) => {
                let Some(project) = self.projects.get_mut(&*partition.topic) else { return false };
                let projected = project.project(&raw);
                self.pipeline.deliver_private(ticket, &raw, (projected, charge));
                drop(bar);
                if joined {
                    tracing::info!(%partition, offset = %raw.span.end(), "private reader hands over");
                    self.finish(at);
                }
            }
            Err(BeginError::Revoked) => {
                drop(bar);
                self.finish(at);
            }
            Err(error @ BeginError::Gap(_)) => {
                let message = format!("{partition}: a defect of halcyon: {error}: {error:?}");
                self.pipeline.halt().set(Halt::new(HaltKind::Failed, message));
            }
        }
        true
    }

    /// The partition is not read any more; what was fetched of it is dropped.
    fn finish(&mut self, at: usize) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        lane.is_over = true;
        self.schemas.forget(&lane.waits_as);
        lane.buffer = Buffer::new(lane.partition.clone(), lane.buffer.next());
        lane.charge = None;
        self.given_up.insert(lane.partition.clone());
    }

    /// Offsets without a record (control records, compacted ones) at the end of the log would keep the sink from arriving.
    fn skip_recordless(&mut self) {
        if self.is_spent {
            return;
        }
        let Ok(positions) = self.consumer.position() else { return };
        for element in positions.elements() {
            let KafkaOffset::Offset(position) = element.offset() else { continue };
            let lane = self.lanes.iter_mut().find(|lane| {
                &*lane.partition.topic == element.topic() && lane.partition.partition == element.partition()
            });
            if let Some(lane) = lane.filter(|lane| !lane.is_over && lane.buffer.len() == 0) {
                lane.buffer.skip_to(Offset(position));
            }
        }
    }
}

/// Tells the governor that the reader is over, and stops the run if that was by a panic.
struct EndWatch {
    signal: Arc<ReaderSignal>,
    pipeline: Arc<Pipeline>,
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = "a private reader ended by a defect of halcyon; see the message above it";
            self.pipeline.halt().set(Halt::new(HaltKind::Failed, message));
        }
        self.signal.set_ended();
    }
}
