//! Kafka as a source: one consumer group, one poll thread, split partition queues, offsets committed per sink.
//!
//! ```text
//! librdkafka ─▶ reader (poll thread) ─▶ lanes ─▶ workers (CPU pool) ─▶ Pipeline::deliver
//!                  ▲ rebalances, seeks                                   ledger ─▶ committer (thread)
//! librdkafka ─▶ private reader of a detached sink (thread) ────────────▶ Pipeline::deliver_private
//! ```

pub mod assign;
mod client;
mod commit;
mod context;
mod control;
pub mod group;
mod lane;
pub mod loss;
pub mod member;
pub mod offsets;
pub mod place;
mod prefetch;
mod private;
mod queue;
mod reach;
mod reader;
pub mod retention;
pub mod stable;
pub mod start;
pub mod topics;
mod watch;
mod watchdog;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use self::assign::Positions;
use self::client::{GroupParts, KafkaGroup};
use self::commit::Committer;
use self::control::{Control, Phase};
pub use self::lane::BatchLimits;
use self::loss::AcceptedLoss;
use self::member::{Member, MemberParts};
use self::offsets::OffsetStore;
use self::prefetch::Prefetch;
use self::private::Readers;
use self::reach::await_topics;
pub use self::reach::find;
use self::retention::Retention;
use self::stable::StableEnds;
use self::topics::TopicsRead;
use self::watch::Watch;
use crate::clock::Clock;
use crate::governor::PrivateReaders;
use crate::kafka::events::Events;
use crate::kafka::trouble::Trouble;
use crate::kafka::{ConfigError, Role, client_config};
use crate::pipeline::Pipeline;
use crate::project::{LaneError, Projections};
use crate::schema_registry::{ClientError, Fetching, SchemaRegistry};
use crate::topology::{Start, Topology};

/// How long the group and the client may take to let this process go, each.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at whether everything is caught up.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

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
    /// Ranges of the log that the operator has given up.
    pub accepted_losses: Vec<AcceptedLoss>,
    /// How long a transaction may be open before it is told.
    pub transaction_patience: Duration,
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
    /// The brokers are there, but do not let us in.
    #[error("no connection to kafka {brokers}: {trouble}")]
    Refused {
        /// The bootstrap brokers.
        brokers: String,
        /// Why.
        trouble: Trouble,
    },
    /// The user may not see a topic.
    #[error("kafka does not let this user see topic {topic} ({source}); grant Describe and Read on it")]
    Forbidden {
        /// Kafka's topic name.
        topic: String,
        /// What the broker said.
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
    /// The schema registry cannot be asked.
    #[error("prepare the schema registry")]
    SchemaRegistry(#[source] ClientError),
    /// A thread could not be started.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
}

/// Kafka being read into a pipeline.
pub struct KafkaSource {
    control: Arc<Control>,
    committer: Arc<Committer<KafkaGroup, OffsetStore>>,
    pipeline: Arc<Pipeline>,
    schemas: Arc<SchemaRegistry>,
    fetching: Option<Fetching>,
    stop_commits: Sender<()>,
    /// Ends the look at retention when it is dropped; nobody waits for that thread, which may be waiting for a broker.
    stop_watch: Sender<()>,
    retention: Arc<Retention>,
    readers: Option<Readers>,
    threads: Vec<JoinHandle<()>>,
    stable: Arc<StableEnds>,
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
        (topology, projections): (&Topology, &Projections),
        pipeline: Arc<Pipeline>,
        settings: &ReadSettings,
        (runtime, clock): (Handle, Arc<dyn Clock>),
    ) -> Result<Self, SourceError> {
        let sinks: Vec<Arc<str>> = pipeline.ledger().sinks().to_vec();
        let stores = sinks.iter().map(|sink| store(topology, sink)).collect::<Result<Vec<_>, _>>()?;
        let schemas = Arc::new(SchemaRegistry::default());
        let fetching = topology.schema_registry.as_ref().map(|registry| schemas.fetch_from(registry, &runtime));
        let fetching = fetching.transpose().map_err(SourceError::SchemaRegistry)?;
        let lanes = (0..settings.workers.max(1))
            .map(|_| projections.lanes(topology, schemas.schemas()).map_err(SourceError::Lane))
            .collect::<Result<Vec<_>, _>>()?;
        let topics: Vec<String> = lanes.first().map(|lanes| lanes.keys().cloned().collect()).unwrap_or_default();
        let partitions = await_topics(topology, &topics, stores.first(), settings.connect_timeout)?;

        let positions = positions(topology, &sinks, settings.accepted_losses.clone())?;
        let watch = watch(topology, &positions, topics.clone(), &pipeline)?;
        let retention = Arc::new(Retention::default());
        let stop_watch = watch_retention(topology, &pipeline, (&retention, clock), runtime.clone())?;
        let readers = Readers {
            topology: topology.clone(),
            projections: projections.clone(),
            schemas: Arc::clone(&schemas),
            pipeline: Arc::clone(&pipeline),
            limits: settings.limits,
            prefetch_bytes: settings.private_prefetch_bytes,
            retention: Arc::clone(&retention),
        };
        let stable = StableEnds::new(settings.transaction_patience);
        let config = group_config(topology, settings, partitions)?;
        let group = GroupParts {
            config,
            kafka: topology.kafka.clone(),
            topics,
            ledger: Arc::clone(pipeline.ledger()),
            stable: Arc::clone(&stable),
            runtime,
        };
        let group = KafkaGroup::join(group).map_err(SourceError::Client)?;
        let parts = MemberParts {
            name: topology.name.clone(),
            positions,
            stores,
            lanes,
            schemas: Arc::clone(&schemas),
            instance_id: settings.instance_id.clone(),
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
        let ended = commit_ticks.clone();
        let interval = settings.commit_interval;
        let ticking = Arc::clone(&committer);
        threads.push(spawn("commit", move || {
            while commit_ticks.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                ticking.commit();
            }
        })?);
        threads.push(spawn("kafka-watch", move || watch.run(&ended))?);
        threads.push(spawn("kafka-poll", move || reader.run())?);
        let readers = Some(readers);
        Ok(Self {
            control,
            committer,
            pipeline,
            schemas,
            fetching,
            stop_commits,
            stop_watch,
            retention,
            readers,
            threads,
            stable,
        })
    }

    /// Transactions that are open for too long: nothing behind them can be read.
    #[must_use]
    pub fn stable(&self) -> Arc<StableEnds> {
        Arc::clone(&self.stable)
    }

    /// The schemas of the run, and who waits for which.
    #[must_use]
    pub const fn schemas(&self) -> &Arc<SchemaRegistry> {
        &self.schemas
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
            // Much becomes durable between two looks.
            tokio::time::sleep(LOOK_PAUSE).await;
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
        let commit = tokio::task::spawn_blocking(move || committer.commit());
        match tokio::time::timeout(LEAVE_PATIENCE, commit).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!("the last commit ended by a defect of halcyon"),
            Err(_) => tracing::warn!("the last commit was not answered in time; what it names is read again"),
        }
        self.control.set_phase(Phase::Leaving);
        // What was drained is committed; leaving and closing have their own, short time.
        let has_left = self.wait(Control::has_left, LEAVE_PATIENCE).await;
        let Self { committer, stop_commits, stop_watch, readers, fetching, threads, .. } = self;
        drop((committer, stop_commits, stop_watch, readers, fetching));
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
    let consumer = config.create_with_context(Events::new(&topology.kafka)).map_err(SourceError::Client)?;
    Ok(OffsetStore::new(group.to_owned(), consumer))
}

/// The offsets of a sink.
///
/// # Errors
/// As [`offsets_of`].
pub fn store(topology: &Topology, sink: &str) -> Result<OffsetStore, SourceError> {
    offsets_of(topology, &sink_group(topology, sink))
}

/// What decides where these sinks start.
///
/// # Errors
/// As [`offsets_of`].
pub fn positions(
    topology: &Topology,
    sinks: &[Arc<str>],
    accepted: Vec<AcceptedLoss>,
) -> Result<Positions, SourceError> {
    let mut others = BTreeMap::new();
    for start in topology.topics.values().filter_map(|topic| topic.start.as_ref()) {
        if let Start::Sink(name) = start
            && !sinks.iter().any(|sink| **sink == **name)
        {
            others.insert(name.clone(), store(topology, name)?);
        }
    }
    let membership = Arc::new(offsets_of(topology, &topology.name)?);
    let read = Arc::new(TopicsRead::default());
    Ok(Positions { topology: topology.clone(), sinks: sinks.to_vec(), others, membership, accepted, read })
}

fn watch(
    topology: &Topology,
    positions: &Positions,
    topics: Vec<String>,
    pipeline: &Arc<Pipeline>,
) -> Result<Watch, SourceError> {
    let absent = topology.clusters.keys().filter(|name| !positions.sinks.iter().any(|sink| **sink == ***name));
    Ok(Watch {
        pipeline: Arc::clone(pipeline),
        membership: Arc::clone(&positions.membership),
        topics,
        absent: absent.map(|name| store(topology, name)).collect::<Result<_, _>>()?,
        read: Arc::clone(&positions.read),
    })
}

fn group_config(topology: &Topology, settings: &ReadSettings, partitions: u64) -> Result<ClientConfig, SourceError> {
    let role = Role::Group { group: &topology.name, instance_id: settings.instance_id.as_deref() };
    let mut config = client_config(&topology.kafka, &role).map_err(SourceError::Config)?;
    for (property, value) in Prefetch::within(settings.prefetch_bytes, partitions).properties() {
        config.set(property, value.to_string());
    }
    Ok(config)
}
