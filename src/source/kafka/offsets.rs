//! The committed offsets of one sink: a consumer group without members, `NAME.SINK`.
//!
//! Such a group can be read and moved with every Kafka tool. The broker does not fence it; it is written only right
//! after the membership group's fenced commit was accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::progress::ledger::SinkCommit;
use crate::progress::offset::{Offset, TopicPartition};

/// How long the coordinator may take to answer one request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Offsets of one group without members.
pub struct OffsetStore {
    group: String,
    consumer: BaseConsumer,
}

impl std::fmt::Debug for OffsetStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OffsetStore").field("group", &self.group).finish_non_exhaustive()
    }
}

impl OffsetStore {
    /// The offsets of `group`; the consumer was made with that group id and never subscribes.
    #[must_use]
    pub fn new(group: String, consumer: BaseConsumer) -> Self {
        Self { group, consumer }
    }

    /// The group id.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// What the group has committed for these partitions; partitions without a commit are left out. Blocks.
    ///
    /// # Errors
    /// What the coordinator or librdkafka says.
    pub fn committed(&self, partitions: &[TopicPartition]) -> KafkaResult<BTreeMap<TopicPartition, Offset>> {
        let asked = self.consumer.committed_offsets(list(partitions), ANSWER_TIMEOUT)?;
        let mut committed = BTreeMap::new();
        for element in asked.elements() {
            element.error()?;
            if let KafkaOffset::Offset(offset) = element.offset() {
                let topic: Arc<str> = Arc::from(element.topic());
                committed.insert(TopicPartition { topic, partition: element.partition() }, Offset(offset));
            }
        }
        Ok(committed)
    }

    /// Commits; returns when the coordinator has answered. Blocks.
    ///
    /// # Errors
    /// What the coordinator or librdkafka says; some partitions may have been committed.
    pub fn commit(&self, commits: &[SinkCommit]) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::with_capacity(commits.len());
        for SinkCommit { partition, offset, .. } in commits {
            offsets.add_partition_offset(&partition.topic, partition.partition, KafkaOffset::Offset(offset.0))?;
        }
        self.consumer.commit(&offsets, CommitMode::Sync)
    }

    /// The log of a partition now. Blocks.
    ///
    /// # Errors
    /// What the broker or librdkafka says.
    pub fn log_range(&self, partition: &TopicPartition) -> KafkaResult<(Offset, Offset)> {
        let (low, high) = self.consumer.fetch_watermarks(&partition.topic, partition.partition, ANSWER_TIMEOUT)?;
        Ok((Offset(low), Offset(high)))
    }

    /// For each partition the first offset at or after `time_ms`; partitions that end before it are left out. Blocks.
    ///
    /// # Errors
    /// What the broker or librdkafka says.
    pub fn at_time(
        &self,
        partitions: &[TopicPartition],
        time_ms: i64,
    ) -> KafkaResult<BTreeMap<TopicPartition, Offset>> {
        let mut times = list(partitions);
        times.set_all_offsets(KafkaOffset::Offset(time_ms))?;
        let found = self.consumer.offsets_for_times(times, ANSWER_TIMEOUT)?;
        let mut offsets = BTreeMap::new();
        for element in found.elements() {
            element.error()?;
            if let KafkaOffset::Offset(offset) = element.offset() {
                let topic: Arc<str> = Arc::from(element.topic());
                offsets.insert(TopicPartition { topic, partition: element.partition() }, Offset(offset));
            }
        }
        Ok(offsets)
    }

    /// Number of partitions of a topic, if it exists. Blocks.
    ///
    /// # Errors
    /// What the broker or librdkafka says.
    pub fn partition_count(&self, topic: &str) -> KafkaResult<Option<i32>> {
        let metadata = self.consumer.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        Ok(found.map(|found| found.partitions().len()).filter(|count| *count > 0).and_then(|n| i32::try_from(n).ok()))
    }
}

fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}
