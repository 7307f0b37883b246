//! librdkafka's mock cluster with one topic, and readings of its groups.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(20);

/// A mock cluster with one broker.
pub(crate) struct MockKafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer<DefaultProducerContext>,
}

impl MockKafka {
    pub(crate) fn with_topic(topic: &str, partitions: i32) -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic(topic, partitions, 1).expect("a topic");
        let producer =
            ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().expect("a producer");
        Self { cluster, producer }
    }

    /// Makes one more topic.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) {
        self.cluster.create_topic(topic, partitions, 1).expect("a topic");
    }

    pub(crate) fn brokers(&self) -> Vec<String> {
        vec![self.cluster.bootstrap_servers()]
    }

    /// Sends payloads to a partition and waits until the broker has them.
    pub(crate) fn send<P: AsRef<[u8]>>(&self, (topic, partition): (&str, i32), payloads: impl IntoIterator<Item = P>) {
        for payload in payloads {
            let record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).payload(payload.as_ref());
            self.producer.send(record).map_err(|(error, _)| error).expect("room in the producer");
        }
        self.producer.flush(PATIENCE).expect("delivered");
    }

    /// Sends one record with its key, its headers and, unless it is null, its payload, and waits until the broker has it.
    pub(crate) fn send_record(
        &self,
        (topic, partition): (&str, i32),
        (key, payload): (&[u8], Option<&[u8]>),
        headers: &[(&str, &[u8])],
    ) {
        let mut carried = OwnedHeaders::new();
        for (name, value) in headers {
            carried = carried.insert(Header { key: name, value: Some(*value) });
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).key(key).headers(carried);
        record.payload = payload;
        self.producer.send(record).map_err(|(error, _)| error).expect("room in the producer");
        self.producer.flush(PATIENCE).expect("delivered");
    }

    /// Committed offset and metadata of a group, for each partition that has one.
    pub(crate) fn committed(&self, group: &str, (topic, partitions): (&str, i32)) -> BTreeMap<i32, (i64, String)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", group)
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let committed = consumer.committed_offsets(list, PATIENCE).expect("committed offsets");
        let elements = committed.elements();
        let known = elements.iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), (offset, element.metadata().to_owned()))),
            _ => None,
        });
        known.collect()
    }
}
