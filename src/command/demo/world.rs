//! The demo's surroundings: a mock Kafka, two clusters in memory, and a service that never stops writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use hbase::registry::Registry;
use hbase::server::Cluster;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use crate::chat::expect::Expected;
use crate::chat::{Edits, Events};
use crate::topology::Topology;
use crate::topology::load::parse;

/// The topic's name.
pub(super) const TOPIC: &str = "chat.messages";
/// Its partitions.
pub(super) const PARTITIONS: i32 = 16;
/// Events a second while the story goes on.
pub(super) const RATE: u64 = 2_000;
/// The topology, with places for addresses.
const TOPOLOGY: &str = include_str!("topology.toml");

/// Servers of the demo; they stop with it.
pub(super) struct World {
    pub(super) topology: Topology,
    pub(super) brokers: String,
    _kafka: MockCluster<'static, DefaultProducerContext>,
    _clusters: [Cluster; 2],
}

impl World {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let kafka = MockCluster::new(1).context("start the mock Kafka")?;
        kafka.create_topic(TOPIC, PARTITIONS, 1).context("make the topic")?;
        let brokers = kafka.bootstrap_servers();
        let clusters = [Cluster::start(2).await?, Cluster::start(2).await?];
        let mut text = TOPOLOGY.replace("BROKERS", &brokers);
        for (name, cluster) in ["BLUE", "GREEN"].into_iter().zip(&clusters) {
            let Registry::Rpc { servers } = cluster.registry() else { continue };
            text = text.replace(name, &servers.join(","));
        }
        let topology = parse("demo.toml", &text, &|_| None)?.topology;
        Ok(Self { topology, brokers, _kafka: kafka, _clusters: clusters })
    }
}

/// A service that writes events: first a number at once, then at a steady rate until it is stopped.
pub(super) struct Service {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<anyhow::Result<Written>>,
}

/// What the service has written.
pub(super) struct Written {
    /// Events.
    pub(super) events: u64,
    /// The end of every partition.
    pub(super) ends: Vec<i64>,
    /// The cells that the events imply.
    pub(super) expected: Expected,
}

impl Service {
    pub(super) fn start(brokers: &str, at_once: u64, seed: u64) -> anyhow::Result<Self> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .create()
            .context("create the producer")?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::Builder::new().name("chat-service".to_owned());
        let thread = thread.spawn(move || write(&producer, (at_once, seed), &stopped, &counted))?;
        Ok(Self { stop, sent, thread })
    }

    /// Events written so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops writing and waits until the broker has everything. Blocks.
    pub(super) fn stop(self) -> anyhow::Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the chat service ended by a defect"))?
    }
}

fn write(
    producer: &BaseProducer,
    (at_once, seed): (u64, u64),
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> anyhow::Result<Written> {
    const FLUSH: Duration = Duration::from_secs(30);
    let mut written = Written { events: 0, ends: vec![0; PARTITIONS as usize], expected: Expected::default() };
    let mut steady_since: Option<Instant> = None;
    let mut json = Vec::new();
    for event in Events::new(seed, Edits::Partial) {
        if written.events >= at_once {
            let since = *steady_since.get_or_insert_with(Instant::now);
            let due = Duration::from_secs_f64((written.events - at_once) as f64 / RATE as f64);
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if written.events.is_multiple_of(20) {
                producer.poll(Duration::ZERO);
                std::thread::park_timeout(due.saturating_sub(since.elapsed()));
            }
        }
        json.clear();
        event.write_json(&mut json);
        let partition = (event.room_id % PARTITIONS as u64) as usize;
        let key = event.key();
        let mut record = BaseRecord::to(TOPIC).partition(partition as i32).key(&key[..]).payload(&json[..]);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
        if let Some(end) = written.ends.get_mut(partition) {
            *end += 1;
        }
        written.expected.add(&event);
        written.events += 1;
        sent.store(written.events, Ordering::Relaxed);
    }
    producer.flush(FLUSH).context("wait for the last events")?;
    Ok(written)
}
