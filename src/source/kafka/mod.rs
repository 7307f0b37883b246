//! Kafka as a source: one consumer group, one poll thread, split partition queues, offsets committed per sink.
//!
//! ```text
//! librdkafka ─▶ reader (poll thread) ─▶ lanes ─▶ workers (CPU pool) ─▶ Pipeline::deliver
//!                  ▲ rebalances, seeks                                   ledger ─▶ committer (thread)
//! librdkafka ─▶ private reader of a detached sink (thread) ────────────▶ Pipeline::deliver_private
//! ```

mod assign;
mod commit;
mod context;
mod control;
mod lane;
pub mod offsets;
mod private;
mod queue;
mod reader;
pub mod retention;
pub mod start;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use self::assign::Positions;
use self::commit::Committer;
use self::context::Context;
use self::control::{Control, Phase};
pub use self::lane::BatchLimits;
use self::offsets::OffsetStore;
use self::private::Readers;
use self::reader::Reader;
use self::retention::Retention;
use crate::clock::Clock;
use crate::governor::PrivateReaders;
use crate::kafka::{ConfigError, Role, client_config};
use crate::pipeline::Pipeline;
use crate::project::LaneError;
use crate::topology::{Start, Topology};

/// How long the group and the client may take to let this process go, each.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

/// How this process reads.
#[derive(Clone, Debug)]
pub struct ReadSettings {
    /// CPU workers.
    pub workers: usize,
    /// When a batch is closed.
    pub limits: BatchLimits,
    /// How long a revoked partition may drain.
    pub drain_timeout: Duration,
    /// Time between commits.
    pub commit_interval: Duration,
    /// `group.instance.id`: static membership.
    pub instance_id: Option<String>,
    /// Bytes that librdkafka may hold fetched ahead, over all partitions.
    pub prefetch_bytes: u64,
    /// How long brokers may take to answer for the first time.
    pub connect_timeout: Duration,
    /// Private readers at once; with 0 no sink is ever detached by itself.
    pub private_readers: usize,
    /// Bytes that the client of one private reader may hold fetched ahead.
    pub private_prefetch_bytes: u64,
}

/// Why reading cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A client's properties are wrong.
    #[error("configure the kafka client")]
    Config(#[source] ConfigError),
    /// librdkafka refuses its configuration or the subscription.
    #[error("create the kafka client")]
    Client(#[source] KafkaError),
    /// No broker answered.
    #[error("no broker of {brokers} answered within {} s; check the addresses in [kafka] and that the brokers are up", waited.as_secs())]
    Unreachable {
        /// The bootstrap brokers.
        brokers: String,
        /// How long was waited.
        waited: Duration,
        /// The last failure.
        #[source]
        source: KafkaError,
    },
    /// A topic of the topology is not there.
    #[error("topic {topic} does not exist; create it, or mend its name in the topology")]
    TopicMissing {
        /// Kafka's topic name.
        topic: String,
    },
    /// A topic's lane cannot be made.
    #[error("prepare the read models")]
    Lane(#[source] LaneError),
    /// A thread could not be started.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
}

/// Kafka being read into a pipeline.
pub struct KafkaSource {
    control: Arc<Control>,
    committer: Arc<Committer>,
    pipeline: Arc<Pipeline>,
    stop_commits: Sender<()>,
    /// Ends the look at retention when it is dropped; nobody waits for that thread, which may be waiting for a broker.
    stop_watch: Sender<()>,
    retention: Arc<Retention>,
    readers: Option<Readers>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource").field("control", &self.control).finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Joins the group and begins to read every topic that a model wants. Blocks until a broker has answered.
    ///
    /// The pipeline's sinks are the sinks whose offsets are kept.
    ///
    /// # Errors
    /// [`SourceError`]; nothing runs then.
    pub fn start(
        topology: &Topology,
        pipeline: Arc<Pipeline>,
        settings: &ReadSettings,
        (runtime, clock): (Handle, Arc<dyn Clock>),
    ) -> Result<Self, SourceError> {
        let sinks: Vec<Arc<str>> = pipeline.ledger().sinks().to_vec();
        let stores = sinks.iter().map(|sink| store(topology, sink)).collect::<Result<Vec<_>, _>>()?;
        let lanes = (0..settings.workers.max(1))
            .map(|_| work::lanes(topology).map_err(SourceError::Lane))
            .collect::<Result<Vec<_>, _>>()?;
        let topics: Vec<String> = lanes.first().map(|lanes| lanes.keys().cloned().collect()).unwrap_or_default();
        let partitions = await_topics(topology, &topics, stores.first(), settings.connect_timeout)?;

        let context = Context::new(Arc::clone(pipeline.ledger()));
        let config = group_config(topology, settings, partitions)?;
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(SourceError::Client)?;
        let consumer = Arc::new(consumer);
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(SourceError::Client)?;

        let control = Arc::new(Control::default());
        let ledger = Arc::clone(pipeline.ledger());
        let committer = Committer::new(topology.name.clone(), Arc::clone(&consumer), stores, ledger);
        let committer = Arc::new(committer);
        let work::Pool { senders: workers, mut threads } =
            work::start(lanes, &pipeline).map_err(SourceError::Thread)?;
        let retention = Arc::new(Retention::default());
        let stop_watch = watch_retention(topology, &pipeline, (&retention, clock), runtime.clone())?;
        let readers = Readers {
            topology: topology.clone(),
            pipeline: Arc::clone(&pipeline),
            limits: settings.limits,
            prefetch_bytes: settings.private_prefetch_bytes,
            retention: Arc::clone(&retention),
        };
        let reader = Reader {
            consumer,
            pipeline: Arc::clone(&pipeline),
            committer: Arc::clone(&committer),
            positions: positions(topology, sinks)?,
            control: Arc::clone(&control),
            workers,
            limits: settings.limits,
            drain_timeout: settings.drain_timeout,
            runtime,
            lanes: Vec::new(),
            granted: BTreeSet::new(),
            waiting: BTreeMap::new(),
            turn: 0,
            positions_asked: Instant::now(),
            room_seen: Instant::now(),
        };
        let (stop_commits, commit_ticks) = bounded(1);
        let interval = settings.commit_interval;
        let ticking = Arc::clone(&committer);
        threads.push(spawn("commit", move || {
            while commit_ticks.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                ticking.commit();
            }
        })?);
        threads.push(spawn("kafka-poll", move || reader.run())?);
        let readers = Some(readers);
        Ok(Self { control, committer, pipeline, stop_commits, stop_watch, retention, readers, threads })
    }

    /// What starts private readers; once.
    pub fn private_readers(&mut self) -> Option<Box<dyn PrivateReaders>> {
        self.readers.take().map(|readers| Box::new(readers) as Box<dyn PrivateReaders>)
    }

    /// What retention leaves to the sinks.
    #[must_use]
    pub fn retention(&self) -> &Arc<Retention> {
        &self.retention
    }

    /// Whether the group has given this process its share.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.control.is_assigned()
    }

    /// Waits until every partition of this process is durable in every sink up to the end that it had when it was
    /// assigned. Cancel safe.
    pub async fn caught_up(&self) {
        loop {
            let (moved, changed) = (self.pipeline.ledger().moved(), self.control.changed());
            if self.control.is_caught_up(self.pipeline.ledger()) {
                return;
            }
            tokio::select! {
                () = moved => {}
                () = changed => {}
            }
        }
    }

    /// Reads nothing more, waits for the healthy sinks until `patience` is over, commits once, leaves the group.
    /// Returns whether all that was read is durable in every sink.
    ///
    /// Not cancel safe: dropped half-way, threads go on until the process ends.
    pub async fn stop(self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let left = || deadline.saturating_duration_since(Instant::now());
        self.control.set_phase(Phase::Draining);
        let flushed = self.wait(Control::is_flushed, left()).await;
        let drained = self.pipeline.drained(self.pipeline.healthy(), None, left()).await;
        let everything = self.pipeline.drained(self.pipeline.all(), None, Duration::ZERO).await;
        if !everything {
            self.report_undrained();
        }
        let committer = Arc::clone(&self.committer);
        if tokio::task::spawn_blocking(move || committer.commit()).await.is_err() {
            tracing::error!("the last commit ended by a defect of halcyon");
        }
        self.control.set_phase(Phase::Leaving);
        // What was drained is committed; leaving and closing have their own, short time.
        let has_left = self.wait(Control::has_left, LEAVE_PATIENCE).await;
        let Self { committer, stop_commits, stop_watch, readers, threads, .. } = self;
        drop((committer, stop_commits, stop_watch, readers));
        if has_left {
            // The consumer closes when its last holder is gone; that can take librdkafka a while, and never for ever.
            let join = move || threads.into_iter().all(|thread| thread.join().is_ok());
            let joined = tokio::time::timeout(LEAVE_PATIENCE, tokio::task::spawn_blocking(join)).await;
            if !matches!(joined, Ok(Ok(true))) {
                tracing::warn!("the kafka client did not close in time");
            }
        }
        flushed && drained && everything
    }

    /// Says for each sink what is left when the time to drain is over.
    fn report_undrained(&self) {
        for worker in self.pipeline.sinks() {
            let bytes = worker.queue().bytes();
            if bytes > 0 {
                let state = worker.state();
                let reason = state.reason().unwrap_or("slow");
                tracing::warn!(sink = %worker.name(), bytes, state = state.name(), reason, "not drained in time");
            }
        }
    }

    async fn wait(&self, is_done: fn(&Control) -> bool, patience: Duration) -> bool {
        let done = async {
            loop {
                let changed = self.control.changed();
                if is_done(&self.control) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, done).await.is_ok()
    }
}

/// Starts the look at retention; it ends when the sender is dropped.
fn watch_retention(
    topology: &Topology,
    pipeline: &Arc<Pipeline>,
    (retention, clock): (&Arc<Retention>, Arc<dyn Clock>),
    runtime: Handle,
) -> Result<Sender<()>, SourceError> {
    let watch = retention::Watch {
        retention: Arc::clone(retention),
        ledger: Arc::clone(pipeline.ledger()),
        store: offsets_of(topology, &topology.name)?,
        topology: topology.clone(),
        clock,
        runtime,
    };
    let (stop, stopped) = bounded(1);
    spawn("retention", move || watch.run(&stopped))?;
    Ok(stop)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, SourceError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(SourceError::Thread)
}

/// The group that holds the offsets of one sink.
#[must_use]
pub fn sink_group(topology: &Topology, sink: &str) -> String {
    format!("{}.{sink}", topology.name)
}

/// The offsets of a group, read and written without being its member.
///
/// # Errors
/// [`SourceError::Config`], [`SourceError::Client`].
pub fn offsets_of(topology: &Topology, group: &str) -> Result<OffsetStore, SourceError> {
    let config = client_config(&topology.kafka, &Role::Offsets { group }).map_err(SourceError::Config)?;
    let consumer: BaseConsumer = config.create().map_err(SourceError::Client)?;
    Ok(OffsetStore::new(group.to_owned(), consumer))
}

fn store(topology: &Topology, sink: &str) -> Result<OffsetStore, SourceError> {
    offsets_of(topology, &sink_group(topology, sink))
}

fn positions(topology: &Topology, sinks: Vec<Arc<str>>) -> Result<Positions, SourceError> {
    let starts: BTreeMap<_, _> =
        topology.topics.values().map(|topic| (topic.name.clone(), topic.start.clone())).collect();
    let mut others = BTreeMap::new();
    for start in starts.values().flatten() {
        if let Start::Sink(name) = start
            && !sinks.iter().any(|sink| **sink == **name)
        {
            others.insert(name.clone(), store(topology, name)?);
        }
    }
    Ok(Positions { sinks, starts, others })
}

/// Waits until a broker answers, then looks up the topics. Returns the number of partitions of all topics.
fn await_topics(
    topology: &Topology,
    topics: &[String],
    store: Option<&OffsetStore>,
    patience: Duration,
) -> Result<u64, SourceError> {
    let Some(store) = store else { return Ok(0) };
    let began = Instant::now();
    let mut partitions = 0;
    for topic in topics {
        let count = loop {
            match store.partition_count(topic) {
                Ok(count) => break count,
                Err(source) if began.elapsed() >= patience => {
                    let brokers = topology.kafka.brokers.join(", ");
                    return Err(SourceError::Unreachable { brokers, waited: began.elapsed(), source });
                }
                Err(error) => tracing::warn!(%error, "no broker answers yet"),
            }
        };
        let missing = || SourceError::TopicMissing { topic: topic.clone() };
        partitions += u64::try_from(count.ok_or_else(missing)?).unwrap_or(0);
    }
    Ok(partitions)
}

/// Prefetch is limited per partition once queues are split: the share of the budget is divided by the worst case.
fn group_config(topology: &Topology, settings: &ReadSettings, partitions: u64) -> Result<ClientConfig, SourceError> {
    const KBYTES_MIN: u64 = 256;
    const FETCH_BYTES_MAX: u64 = 8 << 20;
    const FETCH_BYTES_MIN: u64 = 1 << 20;
    let role = Role::Group { group: &topology.name, instance_id: settings.instance_id.as_deref() };
    let mut config = client_config(&topology.kafka, &role).map_err(SourceError::Config)?;
    let kbytes = (settings.prefetch_bytes / partitions.max(1) / 1024).max(KBYTES_MIN);
    let fetch = (settings.prefetch_bytes / 4).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX);
    config.set("queued.max.messages.kbytes", kbytes.to_string());
    config.set("fetch.max.bytes", fetch.to_string());
    Ok(config)
}
