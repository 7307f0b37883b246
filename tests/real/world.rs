//! A topic, a table and a topology of their own on the running stack, with the chat events in them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use halcyon::chat::expect::Expected;
use halcyon::chat::{Edits, Events};
use halcyon::progress::offset::TopicPartition;
use halcyon::sink::hbase::client;
use halcyon::source::kafka::offsets_of;
use halcyon::topology::Topology;
use halcyon::topology::load::parse;
use halcyon::verify::compare::{Comparison, compare};
use halcyon::verify::rows::{Computed, of_table};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::process::halcyon;

const PARTITIONS: i32 = 8;
const SEED: u64 = 11;
const PATIENCE: Duration = Duration::from_secs(60);

/// One story's things on the stack.
pub(crate) struct World {
    pub(crate) topology: Topology,
    pub(crate) table: String,
    pub(crate) runtime: Runtime,
    pub(crate) topic: String,
    brokers: String,
    folder: TempDir,
}

impl World {
    /// Makes topic and tables. `story` must be unique among the tests of a run; runs on one stack do not meet.
    pub(crate) fn new(story: &str) -> Self {
        let story = format!("{story}_{}", std::process::id());
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not in the environment"));
        let brokers = variable("HALCYON_KAFKA");
        let (topic, table) = (format!("{story}.messages"), format!("{story}_message"));
        let text = include_str!("../../topology/stack.toml")
            .replace("127.0.0.1:29092", &brokers)
            .replace("127.0.0.1:17001", &variable("HALCYON_BLUE_ZK"))
            .replace("127.0.0.1:26000", &variable("HALCYON_GREEN_RPC"))
            .replace("name = \"chat\"", &format!("name = \"{story}\""))
            .replace("chat.messages", &topic)
            .replace("\"message\"", &format!("\"{table}\""))
            .replace("[table.message]", &format!("[table.{table}]"))
            .replace("chat.dead-letters.jsonl", "dead-letters.jsonl")
            + "\n[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n";
        let topology = parse("stack.toml", &text, &|_| None).expect("a legal topology").topology;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("topology.toml"), text).expect("written");
        let runtime = Runtime::new().expect("a runtime");
        let world = Self { topology, table, runtime, topic, brokers, folder };
        world.make_topic();
        let (code, out, error) = halcyon(&["table", "create", "--topology", &world.path()]);
        assert_eq!(code, 0, "{out}{error}");
        world
    }

    /// The topology file.
    pub(crate) fn path(&self) -> String {
        self.folder.path().join("topology.toml").display().to_string()
    }

    fn make_topic(&self) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("an admin client");
        let topic = NewTopic::new(&self.topic, PARTITIONS, TopicReplication::Fixed(1));
        let made = self.runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("an answer");
        made.into_iter().for_each(|made| drop(made.expect("a topic")));
    }

    /// Removes all records of a partition, as retention does; returns where its sinks stood and where the log begins now.
    pub(crate) fn cut(&self, partition: i32) -> (i64, i64) {
        let stores = offsets_of(&self.topology, &format!("{}.blue", self.topology.name)).expect("a store");
        let place = TopicPartition { topic: Arc::from(self.topic.as_str()), partition };
        let committed = stores.committed(std::slice::from_ref(&place)).expect("an answer");
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("an admin client");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::End).expect("a partition");
        let cut = self.runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).expect("an answer");
        let low = cut.elements().first().and_then(|element| element.offset().to_raw()).expect("the new beginning");
        (committed.get(&place).expect("committed").0, low)
    }

    /// Sends these events of the sequence, at most `rate` a second.
    pub(crate) fn send(&self, events: std::ops::Range<usize>, rate: usize) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("compression.type", "lz4")
            .create()
            .expect("a producer");
        let began = std::time::Instant::now();
        for (sent, event) in Events::new(SEED, Edits::Partial).take(events.end).skip(events.start).enumerate() {
            let mut json = Vec::new();
            event.write_json(&mut json);
            let key = event.key();
            let partition = (event.room_id % PARTITIONS as u64) as i32;
            let mut record = BaseRecord::to(&self.topic).partition(partition).key(&key[..]).payload(&json[..]);
            while let Err((_, back)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            if sent % 1000 == 999 {
                producer.poll(Duration::ZERO);
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                std::thread::park_timeout(due.saturating_sub(began.elapsed()));
            }
        }
        producer.flush(PATIENCE).expect("delivered");
    }

    /// Every cluster against an independent fold of the first `events` events.
    pub(crate) fn check(&self, events: usize) -> Vec<(String, Comparison)> {
        let clusters = self.topology.clusters.iter();
        clusters
            .map(|(name, cluster)| {
                let mut expected = Expected::default();
                Events::new(SEED, Edits::Partial).take(events).for_each(|event| expected.add(&event));
                let mut wanted = Computed(expected.into_rows());
                let mut found = of_table(&client(cluster), &self.table);
                let comparison = self.runtime.block_on(compare(&mut wanted, &mut found));
                (name.clone(), comparison.expect("the cluster answers"))
            })
            .collect()
    }
}

/// The stack's script.
pub(crate) fn on_stack(arguments: &[&str]) -> String {
    let name = std::env::var("HALCYON_STACK").expect("the stack's name in the environment");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docker/stack/stack");
    let output = Command::new(script).args(arguments).args(["--name", &name]).output().expect("the script runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "stack {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
