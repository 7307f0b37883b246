//! A topic, two clusters in process and a topology of their own on the running Kafka, with the chat events in them.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use halcyon::chat::expect::Expected;
use halcyon::chat::{Edits, Event, Events};
use halcyon::sink::hbase::client;
use halcyon::topology::Topology;
use halcyon::topology::load::parse;
use halcyon::verify::compare::compare;
use halcyon::verify::rows::{Computed, of_table};
use hbase::registry::Registry;
use hbase::server::Cluster;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::process::halcyon;

const SEED: u64 = 23;
const PATIENCE: Duration = Duration::from_secs(60);

/// Partitions of a topic when it is made.
pub(crate) const PARTITIONS: i32 = 4;

/// Whether a real Kafka alone is there; the reason is printed if not.
pub(crate) fn is_running() -> bool {
    let is_running =
        std::env::var("REAL").is_ok_and(|value| value == "1") && std::env::var("HALCYON_KAFKA_SECURE").is_ok();
    if !is_running {
        println!("skipped: REAL=1 and `stack up --only kafka` are needed (`make test` starts one)");
    }
    is_running
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not in the environment"))
}

/// One story's things.
pub(crate) struct World {
    pub(crate) topology: Topology,
    pub(crate) runtime: Runtime,
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) clusters: Vec<Cluster>,
    text: String,
    partitions: AtomicI32,
    folder: TempDir,
}

impl World {
    /// Makes topic and tables; the topology is changed by `change` before it is written.
    pub(crate) fn with(story: &str, change: impl Fn(String) -> String) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let clusters: Vec<Cluster> = (0..2).map(|_| runtime.block_on(Cluster::start(1)).expect("free ports")).collect();
        let registry = |cluster: &Cluster| match cluster.registry() {
            Registry::Rpc { servers } => servers.join("\", \""),
            Registry::ZooKeeper { .. } => unreachable!("clusters in process have an RPC registry"),
        };
        let name = format!("{story}_{}", std::process::id());
        let topic = format!("{name}.messages");
        let text = include_str!("../../topology/stack.toml")
            .replace("127.0.0.1:29092", &variable("HALCYON_KAFKA"))
            .replace("{zookeeper = [\"127.0.0.1:17001\"], znode = \"/hbase\"}", "{registry = [\"BLUE\"]}")
            .replace("BLUE", &registry(&clusters[0]))
            .replace("127.0.0.1:26000", &registry(&clusters[1]))
            .replace("name = \"chat\"", &format!("name = \"{name}\""))
            .replace("chat.messages", &topic)
            + "\n[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n";
        let folder = tempfile::tempdir().expect("a folder");
        let dead_letters = folder.path().join("dead.jsonl").display().to_string();
        let text = change(text.replace("chat.dead-letters.jsonl", &dead_letters));
        std::fs::write(folder.path().join("topology.toml"), &text).expect("written");
        let topology = parse("stack.toml", &text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}")).topology;
        let partitions = AtomicI32::new(PARTITIONS);
        let world = Self { topology, runtime, name, topic, clusters, text, partitions, folder };
        world.make_topic();
        let (code, out, error) = halcyon(&["table", "create", "--topology", &world.path()]);
        assert_eq!(code, 0, "{out}{error}");
        world
    }

    pub(crate) fn new(story: &str) -> Self {
        Self::with(story, |text| text)
    }

    /// The topology file.
    pub(crate) fn path(&self) -> String {
        self.folder.path().join("topology.toml").display().to_string()
    }

    /// A file beside the topology.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    /// Another topology file with the same content but for a change.
    pub(crate) fn variant(&self, name: &str, change: impl Fn(String) -> String) -> String {
        self.file(name, &change(self.text.clone()))
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", variable("HALCYON_KAFKA")).create().expect("an admin client")
    }

    pub(crate) fn make_topic(&self) {
        let topic = NewTopic::new(&self.topic, PARTITIONS, TopicReplication::Fixed(1));
        let admin = self.admin();
        let began = Instant::now();
        loop {
            let made = self.runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("an answer");
            match made.into_iter().next().expect("an answer for the topic") {
                Ok(_) => return,
                // The broker is still deleting the old one.
                Err((_, rdkafka::error::RDKafkaErrorCode::TopicAlreadyExists)) if began.elapsed() < PATIENCE => {
                    std::thread::park_timeout(Duration::from_millis(50));
                }
                Err((_, code)) => panic!("{code}"),
            }
        }
    }

    /// Deletes the topic and makes it again, empty.
    pub(crate) fn make_topic_anew(&self) {
        let deleted = self.runtime.block_on(self.admin().delete_topics(&[&self.topic], &AdminOptions::new()));
        deleted.expect("an answer").into_iter().for_each(|deleted| drop(deleted.expect("deleted")));
        self.make_topic();
    }

    pub(crate) fn add_partitions(&self, count: i32) {
        let (admin, began) = (self.admin(), Instant::now());
        loop {
            let wanted = NewPartitions::new(&self.topic, count as usize);
            let made = self.runtime.block_on(admin.create_partitions([&wanted], &AdminOptions::new()));
            match made.map(|made| made.into_iter().next()) {
                Ok(Some(Ok(_))) => break,
                // A broker that was just killed.
                other => assert!(began.elapsed() < PATIENCE, "{other:?}"),
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        self.partitions.store(count, Ordering::Release);
    }

    pub(crate) fn partition_count(&self) -> i32 {
        self.partitions.load(Ordering::Acquire)
    }

    pub(crate) fn delete_group(&self, group: &str) {
        let deleted = self.runtime.block_on(self.admin().delete_groups(&[group], &AdminOptions::new()));
        deleted.expect("an answer").into_iter().for_each(|deleted| drop(deleted.expect("deleted")));
    }

    /// Removes all records of a partition, as retention does; returns where the log begins now.
    pub(crate) fn cut(&self, partition: i32) -> i64 {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::End).expect("a partition");
        let cut = self.runtime.block_on(self.admin().delete_records(&list, &AdminOptions::new())).expect("an answer");
        cut.elements().first().and_then(|element| element.offset().to_raw()).expect("the new beginning")
    }

    fn consumer(group: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", variable("HALCYON_KAFKA"))
            .set("group.id", group)
            .create()
            .expect("a consumer")
    }

    /// What a group has committed, with its metadata.
    pub(crate) fn commits(&self, group: &str) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, self.partition_count() - 1);
        Self::consumer(group).committed_offsets(list, PATIENCE).expect("an answer")
    }

    /// Commits what a group had committed once.
    pub(crate) fn restore(&self, group: &str, commits: &TopicPartitionList) {
        Self::consumer(group).commit(commits, CommitMode::Sync).expect("committed");
    }

    /// Committed offsets of a group, by partition.
    pub(crate) fn committed(&self, group: &str) -> Vec<Option<i64>> {
        let committed = self.commits(group);
        let raw = |offset: Offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        committed.elements().iter().map(|element| raw(element.offset())).collect()
    }

    /// A producer with transactions.
    pub(crate) fn transactional(&self) -> ThreadedProducer<DefaultProducerContext> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", variable("HALCYON_KAFKA"))
            .set("transactional.id", &self.name)
            .set("transaction.timeout.ms", "600000")
            .create()
            .expect("a producer");
        producer.init_transactions(PATIENCE).expect("transactions");
        producer
    }

    pub(crate) fn events(range: std::ops::Range<usize>) -> impl Iterator<Item = Event> {
        Events::new(SEED, Edits::Partial).take(range.end).skip(range.start)
    }

    /// The partition of an event now: a room stays in one until partitions are added.
    pub(crate) fn partition(&self, event: &Event) -> i32 {
        (event.room_id % self.partitions.load(Ordering::Acquire) as u64) as i32
    }

    /// Sends these events of the sequence, at most `rate` a second.
    pub(crate) fn send(&self, range: std::ops::Range<usize>, rate: usize) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", variable("HALCYON_KAFKA"))
            .set("enable.idempotence", "true")
            // Partitions are added while it sends.
            .set("topic.metadata.refresh.interval.ms", "500")
            .create()
            .expect("a producer");
        let began = Instant::now();
        for (sent, event) in Self::events(range).enumerate() {
            let mut json = Vec::new();
            event.write_json(&mut json);
            let key = event.key();
            let mut record =
                BaseRecord::to(&self.topic).partition(self.partition(&event)).key(&key[..]).payload(&json[..]);
            while let Err((_, back)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            if sent % 200 == 199 {
                producer.poll(Duration::ZERO);
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                std::thread::park_timeout(due.saturating_sub(began.elapsed()));
            }
        }
        producer.flush(PATIENCE).expect("delivered");
    }

    /// Every cluster equals an independent fold of the first `events` events.
    pub(crate) fn assert_equal(&self, events: usize) {
        for (name, cluster) in &self.topology.clusters {
            let mut expected = Expected::default();
            Self::events(0..events).for_each(|event| expected.add(&event));
            let mut wanted = Computed(expected.into_rows());
            let mut found = of_table(&client(cluster), "message");
            let found = self.runtime.block_on(compare(&mut wanted, &mut found)).expect("the cluster answers");
            assert_eq!((found.differences, &found.examples[..]), (0, &[][..]), "{name}");
        }
    }

    /// Runs until everything is caught up; returns the number of events read.
    pub(crate) fn catch_up(&self) -> u64 {
        let (code, out, error) = halcyon(&["run", "--topology", &self.path(), "--until-caught-up", "--json"]);
        assert_eq!(code, 0, "{error}");
        let report: Value = serde_json::from_str(out.trim()).expect("one line of JSON");
        report["events"].as_u64().expect("a number")
    }

    /// `offsets VERB` with these arguments.
    pub(crate) fn offsets(&self, arguments: &[&str]) -> (i32, String, String) {
        let path = self.path();
        let (verb, rest) = arguments.split_first().expect("a verb");
        halcyon(&[&["offsets", verb, "--topology", &path], rest].concat())
    }
}

/// Lines of JSON.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
