//! Kafka as a source: one consumer group, one poll thread, split partition queues, offsets committed per sink.
//!
//! ```text
//! librdkafka ─▶ reader (poll thread) ─▶ lanes ─▶ workers (CPU pool) ─▶ Pipeline::deliver
//!                  ▲ rebalances, seeks                                   ledger ─▶ committer (thread)
//! ```

mod assign;
mod client;
mod commit;
mod context;
mod control;
pub mod group;
mod lane;
pub mod member;
pub mod offsets;
mod queue;
mod reader;
pub mod start;
mod watchdog;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use self::assign::Positions;
use self::client::KafkaGroup;
use self::commit::Committer;
use self::control::{Control, Phase};
pub use self::lane::BatchLimits;
use self::member::{Member, MemberParts};
use self::offsets::OffsetStore;
use crate::kafka::{ConfigError, Role, client_config};
use crate::pipeline::Pipeline;
use crate::project::LaneError;
use crate::topology::{Start, Topology};

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
    committer: Arc<Committer<KafkaGroup, OffsetStore>>,
    pipeline: Arc<Pipeline>,
    stop_commits: Sender<()>,
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
        runtime: Handle,
    ) -> Result<Self, SourceError> {
        let sinks: Vec<Arc<str>> = pipeline.ledger().sinks().to_vec();
        let stores = sinks.iter().map(|sink| store(topology, sink)).collect::<Result<Vec<_>, _>>()?;
        let lanes = (0..settings.workers.max(1))
            .map(|_| work::lanes(topology).map_err(SourceError::Lane))
            .collect::<Result<Vec<_>, _>>()?;
        let topics: Vec<String> = lanes.first().map(|lanes| lanes.keys().cloned().collect()).unwrap_or_default();
        let partitions = await_topics(topology, &topics, stores.first(), settings.connect_timeout)?;

        let config = group_config(topology, settings, partitions)?;
        let ledger = Arc::clone(pipeline.ledger());
        let group = KafkaGroup::join(config, topics, ledger, runtime).map_err(SourceError::Client)?;
        let parts = MemberParts {
            name: topology.name.clone(),
            positions: positions(topology, sinks)?,
            stores,
            lanes,
            limits: settings.limits,
            drain_timeout: settings.drain_timeout,
            stall: watchdog::STALL,
        };
        let Member { reader, committer, control, workers } = Member::new(Arc::new(group), &pipeline, parts);
        let mut threads = workers
            .into_iter()
            .enumerate()
            .map(|(index, worker)| worker.spawn(index).map_err(SourceError::Thread))
            .collect::<Result<Vec<_>, _>>()?;
        let (stop_commits, commit_ticks) = bounded(1);
        let interval = settings.commit_interval;
        let ticking = Arc::clone(&committer);
        threads.push(spawn("commit", move || {
            while commit_ticks.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                ticking.commit();
            }
        })?);
        threads.push(spawn("kafka-poll", move || reader.run())?);
        Ok(Self { control, committer, pipeline, stop_commits, threads })
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

    /// Reads nothing more, waits for the healthy sinks at most for `patience`, commits once, leaves the group.
    /// Returns whether all that was read is durable in every sink.
    ///
    /// Not cancel safe: dropped half-way, threads go on until the process ends.
    pub async fn stop(self, patience: Duration) -> bool {
        self.control.set_phase(Phase::Draining);
        let flushed = self.wait(Control::is_flushed, patience).await;
        let drained = self.pipeline.drained(self.pipeline.healthy(), None, patience).await;
        let everything = self.pipeline.drained(self.pipeline.all(), None, Duration::ZERO).await;
        let committer = Arc::clone(&self.committer);
        if tokio::task::spawn_blocking(move || committer.commit()).await.is_err() {
            tracing::error!("the last commit ended by a defect of halcyon");
        }
        self.control.set_phase(Phase::Leaving);
        let left = self.wait(Control::has_left, patience).await;
        let Self { committer, stop_commits, threads, .. } = self;
        drop((committer, stop_commits));
        if left {
            // The consumer closes when its last holder is gone; that can take librdkafka a while, and never for ever.
            let join = move || threads.into_iter().all(|thread| thread.join().is_ok());
            let joined = tokio::time::timeout(patience, tokio::task::spawn_blocking(join)).await;
            if !matches!(joined, Ok(Ok(true))) {
                tracing::warn!("the kafka client did not close in time");
            }
        }
        flushed && drained && everything
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

fn positions(topology: &Topology, sinks: Vec<Arc<str>>) -> Result<Positions<OffsetStore>, SourceError> {
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
