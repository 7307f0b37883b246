//! librdkafka behind the traits of [`super::group`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Message, Offset as KafkaOffset, TopicPartitionList};
use tokio::runtime::Handle;

use super::context::Context;
use super::group::{Group, Offsets, Polled, Rebalance};
use super::offsets::{Commit, OffsetStore};
use super::queue::PartitionQueue;
use super::stable::StableEnds;
use crate::kafka::events::Events;
use crate::progress::ledger::{GroupCommit, Ledger, SinkCommit};
use crate::progress::offset::{Offset, TopicPartition};
use crate::progress::topic_id::TopicId;
use crate::topology::Kafka;

/// How long librdkafka may take to seek.
const SEEK_TIMEOUT: Duration = Duration::from_secs(10);

/// What every client of a group is made of.
pub(super) struct GroupParts {
    pub(super) config: ClientConfig,
    /// How to reach Kafka, for what happens on the connections.
    pub(super) kafka: Kafka,
    pub(super) topics: Vec<String>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) stable: Arc<StableEnds>,
    pub(super) runtime: Handle,
}

/// A member of the group: one `rd_kafka_t` at a time.
pub(super) struct KafkaGroup {
    parts: GroupParts,
    consumer: Mutex<Arc<BaseConsumer<Context>>>,
}

impl KafkaGroup {
    /// Joins the group.
    ///
    /// # Errors
    /// What librdkafka says about its configuration or the subscription.
    pub(super) fn join(parts: GroupParts) -> KafkaResult<Self> {
        let consumer = Mutex::new(parts.create()?);
        Ok(Self { parts, consumer })
    }

    fn consumer(&self) -> Arc<BaseConsumer<Context>> {
        Arc::clone(&self.consumer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl GroupParts {
    fn create(&self) -> KafkaResult<Arc<BaseConsumer<Context>>> {
        let events = Events::new(&self.kafka);
        let context = Context::new(Arc::clone(&self.ledger), Arc::clone(&self.stable), events);
        let consumer: BaseConsumer<Context> = self.config.create_with_context(context)?;
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names)?;
        Ok(Arc::new(consumer))
    }
}

impl Group for KafkaGroup {
    type Queue = PartitionQueue<Context>;

    fn poll(&self, wait: Duration) -> Polled {
        let consumer = self.consumer();
        match consumer.poll(wait) {
            None => Polled::Nothing,
            Some(Ok(message)) => {
                Polled::Stray(TopicPartition { topic: Arc::from(message.topic()), partition: message.partition() })
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                // The event says only that it is fatal; the client knows why.
                let code = consumer.client().fatal_error().map_or(code, |(code, _)| code);
                Polled::Error(KafkaError::MessageConsumptionFatal(code))
            }
            Some(Err(error)) => Polled::Error(error),
        }
    }

    fn next_rebalance(&self) -> Option<Rebalance> {
        self.consumer().context().next_rebalance()
    }

    fn is_lost(&self) -> bool {
        self.consumer().assignment_lost()
    }

    fn split(&self, partition: &TopicPartition) -> Option<Self::Queue> {
        PartitionQueue::split(&self.consumer(), partition)
    }

    fn assign(&self, places: &[(TopicPartition, Offset)]) -> KafkaResult<()> {
        let (consumer, places) = (self.consumer(), list(places)?);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&places),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(&places),
        }
    }

    fn unassign(&self, places: &[(TopicPartition, Offset)]) -> KafkaResult<()> {
        let consumer = self.consumer();
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(&list(places)?),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        }
    }

    /// With an eager assignor there is no incremental call: a seek starts the partition's fetcher anew.
    fn reassign(&self, partition: &TopicPartition, offset: Offset) -> KafkaResult<Self::Queue> {
        let consumer = self.consumer();
        let place = list(&[(partition.clone(), offset)])?;
        let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        if is_cooperative {
            consumer.incremental_unassign(&place)?;
        }
        let queue = PartitionQueue::split(&consumer, partition)
            .ok_or_else(|| KafkaError::Subscription(format!("{partition} has no queue")))?;
        if is_cooperative {
            consumer.incremental_assign(&place)?;
        } else {
            consumer.seek_partitions(place, SEEK_TIMEOUT)?;
        }
        Ok(queue)
    }

    fn seek(&self, partition: &TopicPartition, offset: Offset) -> KafkaResult<()> {
        let place = list(&[(partition.clone(), offset)])?;
        self.consumer().seek_partitions(place, SEEK_TIMEOUT).map(|_| ())
    }

    fn positions(&self) -> KafkaResult<Vec<(TopicPartition, Offset)>> {
        let mut positions = Vec::new();
        for element in self.consumer().position()?.elements() {
            if let KafkaOffset::Offset(offset) = element.offset() {
                let topic = Arc::from(element.topic());
                positions.push((TopicPartition { topic, partition: element.partition() }, Offset(offset)));
            }
        }
        Ok(positions)
    }

    fn readable_end(&self, partition: &TopicPartition) -> Option<Offset> {
        self.consumer().context().readable_end(partition)
    }

    fn forget(&self, partition: &TopicPartition) {
        self.consumer().context().forget(partition);
    }

    fn commit(&self, commits: &[GroupCommit]) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::with_capacity(commits.len());
        for GroupCommit { partition, offset, metadata, .. } in commits {
            let mut element = offsets.add_partition(&partition.topic, partition.partition);
            element.set_offset(KafkaOffset::Offset(offset.0))?;
            element.set_metadata(metadata);
        }
        self.consumer().commit(&offsets, CommitMode::Sync)
    }

    fn leave(&self) {
        self.consumer().unsubscribe();
    }

    fn renew(&self) -> KafkaResult<()> {
        let fresh = self.parts.create()?;
        let old = std::mem::replace(&mut *self.consumer.lock().unwrap_or_else(PoisonError::into_inner), fresh);
        old.context().retire();
        // Closing a client that is stuck may never end: nobody waits for it.
        let close = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(old));
        if let Err(error) = close {
            tracing::warn!(%error, "the kafka client that was replaced was closed in place");
        }
        Ok(())
    }

    fn wait<F: Future>(&self, future: F) -> F::Output {
        self.parts.runtime.block_on(future)
    }

    fn pause(&self, time: Duration) {
        // A thread that is parked may wake up early, and first starts rest on the whole time.
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
}

impl Offsets for OffsetStore {
    fn group(&self) -> &str {
        self.group()
    }

    fn commits(&self, partitions: &[TopicPartition]) -> KafkaResult<BTreeMap<TopicPartition, Commit>> {
        self.commits(partitions)
    }

    fn remember(&self, topics: &BTreeMap<String, TopicId>) {
        self.remember(topics);
    }

    fn commit(&self, commits: &[SinkCommit]) -> KafkaResult<()> {
        self.commit(commits)
    }

    fn commit_places(&self, places: &[(&TopicPartition, Offset)]) -> KafkaResult<()> {
        self.commit_places(places.iter().copied())
    }

    fn log_range(&self, partition: &TopicPartition) -> KafkaResult<(Offset, Offset)> {
        self.log_range(partition)
    }

    fn at_time(&self, partitions: &[TopicPartition], time_ms: i64) -> KafkaResult<BTreeMap<TopicPartition, Offset>> {
        self.at_time(partitions, time_ms)
    }

    fn partition_count(&self, topic: &str) -> KafkaResult<Option<i32>> {
        self.partition_count(topic)
    }

    fn topic_ids(&self, topics: &[&str]) -> KafkaResult<BTreeMap<String, TopicId>> {
        self.topic_ids(topics.iter().copied())
    }
}

fn list(places: &[(TopicPartition, Offset)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (partition, offset) in places {
        list.add_partition_offset(&partition.topic, partition.partition, KafkaOffset::Offset(offset.0))?;
    }
    Ok(list)
}
