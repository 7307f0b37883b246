//! The committed offsets of one sink: a consumer group without members, `NAME.SINK`.
//!
//! Such a group can be read and moved with every Kafka tool. The broker does not fence it; it is written only right
//! after the membership group's fenced commit was accepted. Each commit says in its metadata of which topic it is, so
//! that an offset is not taken for one of another topic that has the name later.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::start::Committed;
use crate::kafka::admin::{self, Group};
use crate::kafka::events::Events;
use crate::kafka::trouble::Trouble;
use crate::progress::ledger::SinkCommit;
use crate::progress::note;
use crate::progress::offset::{Offset, TopicPartition};
use crate::progress::topic_id::TopicId;

/// How long the coordinator may take to answer one request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first token may take to be set once it was fetched.
const TOKEN_WAIT: Duration = Duration::from_millis(100);
/// How the cluster ids of librdkafka's mock begin (`rd_kafka_mock_cluster_new`).
const MOCK_CLUSTER: &str = "mockCluster";
/// How long callbacks are served before something is asked.
const SERVE: Duration = Duration::from_millis(1);
/// How long they are served after nobody has answered: the cause may stand behind many lines of the client's log.
const SERVE_TROUBLE: Duration = Duration::from_millis(50);

/// Offsets of one group without members.
pub struct OffsetStore {
    group: String,
    consumer: BaseConsumer<Events>,
    /// What commits say about their topics.
    topics: Mutex<BTreeMap<String, TopicId>>,
    /// Whether the first token was waited for.
    has_token: AtomicBool,
}

impl std::fmt::Debug for OffsetStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OffsetStore").field("group", &self.group).finish_non_exhaustive()
    }
}

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The offset.
    pub offset: Offset,
    /// What the committer wrote beside it.
    pub metadata: String,
}

impl Commit {
    /// As a sink's commit.
    #[must_use]
    pub fn of_sink(&self) -> Committed {
        Committed { offset: self.offset, topic: note::topic(&self.metadata) }
    }
}

impl OffsetStore {
    /// The offsets of `group`; the consumer was made with that group id and never subscribes.
    #[must_use]
    pub fn new(group: String, consumer: BaseConsumer<Events>) -> Self {
        Self { group, consumer, topics: Mutex::default(), has_token: AtomicBool::new(false) }
    }

    /// The group id.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Why the brokers were not reached last, if that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.serve_for(SERVE_TROUBLE);
        self.consumer.context().trouble()
    }

    /// What the group has committed for these partitions; partitions without a commit are left out. Blocks.
    ///
    /// # Errors
    /// What the coordinator or librdkafka says.
    pub fn committed(&self, partitions: &[TopicPartition]) -> KafkaResult<BTreeMap<TopicPartition, Offset>> {
        let commits = self.commits(partitions)?;
        Ok(commits.into_iter().map(|(partition, commit)| (partition, commit.offset)).collect())
    }

    /// The same with what the committer wrote beside the offsets. Blocks.
    ///
    /// # Errors
    /// What the coordinator or librdkafka says.
    pub fn commits(&self, partitions: &[TopicPartition]) -> KafkaResult<BTreeMap<TopicPartition, Commit>> {
        self.serve();
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let asked = self.consumer.committed_offsets(list(partitions), ANSWER_TIMEOUT)?;
        let mut commits = BTreeMap::new();
        for element in asked.elements() {
            element.error()?;
            if let KafkaOffset::Offset(offset) = element.offset() {
                let topic: Arc<str> = Arc::from(element.topic());
                let commit = Commit { offset: Offset(offset), metadata: element.metadata().to_owned() };
                commits.insert(TopicPartition { topic, partition: element.partition() }, commit);
            }
        }
        Ok(commits)
    }

    /// From now on commits of these topics say that they are of these. Of a topic that was made anew the first id stays:
    /// offsets of the topic before must not be taken for its own.
    pub fn remember(&self, topics: &BTreeMap<String, TopicId>) {
        let mut known = self.topics();
        for (name, id) in topics {
            known.entry(name.clone()).or_insert(*id);
        }
    }

    /// Commits; returns when the coordinator has answered. Blocks.
    ///
    /// # Errors
    /// What the coordinator or librdkafka says; some partitions may have been committed.
    pub fn commit(&self, commits: &[SinkCommit]) -> KafkaResult<()> {
        let places = commits.iter().map(|SinkCommit { partition, offset, .. }| (partition, *offset));
        self.commit_places(places)
    }

    /// Commits places. Blocks.
    ///
    /// # Errors
    /// As [`OffsetStore::commit`].
    pub fn commit_places<'a>(&self, places: impl IntoIterator<Item = (&'a TopicPartition, Offset)>) -> KafkaResult<()> {
        let topics = self.topics().clone();
        let notes = places.into_iter().map(|(partition, offset)| {
            let metadata = note::of_topic(topics.get(&*partition.topic).copied());
            (partition, Commit { offset, metadata })
        });
        self.commit_as(notes)
    }

    /// Commits offsets with metadata as given. Blocks.
    ///
    /// # Errors
    /// As [`OffsetStore::commit`].
    pub fn commit_as<'a>(&self, commits: impl IntoIterator<Item = (&'a TopicPartition, Commit)>) -> KafkaResult<()> {
        self.serve();
        let mut offsets = TopicPartitionList::new();
        for (partition, Commit { offset, metadata }) in commits {
            let mut element = offsets.add_partition(&partition.topic, partition.partition);
            element.set_offset(KafkaOffset::Offset(offset.0))?;
            element.set_metadata(metadata);
        }
        if offsets.count() == 0 {
            return Ok(());
        }
        self.consumer.commit(&offsets, CommitMode::Sync)
    }

    /// The log of a partition now; it ends at the last stable offset. Blocks.
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
        self.serve();
        let mut times = list(partitions);
        times.set_all_offsets(KafkaOffset::Offset(time_ms.max(0)))?;
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
    /// What the broker or librdkafka says; that the user may not see the topic is one, not a topic that does not exist.
    pub fn partition_count(&self, topic: &str) -> KafkaResult<Option<i32>> {
        self.partition_count_within(topic, ANSWER_TIMEOUT)
    }

    /// The same with less patience.
    ///
    /// # Errors
    /// As [`OffsetStore::partition_count`].
    pub fn partition_count_within(&self, topic: &str, patience: Duration) -> KafkaResult<Option<i32>> {
        self.serve();
        let metadata = self.consumer.fetch_metadata(Some(topic), patience)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        if let Some(error) = found.error() {
            let code = RDKafkaErrorCode::from(error);
            let is_absent = matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic);
            return if is_absent { Ok(None) } else { Err(KafkaError::MetadataFetch(code)) };
        }
        Ok(Some(found.partitions().len()).filter(|count| *count > 0).and_then(|count| i32::try_from(count).ok()))
    }

    /// The ids of topics; empty where brokers have none. Blocks.
    ///
    /// # Errors
    /// What a broker or librdkafka says.
    pub fn topic_ids<'a>(&self, topics: impl IntoIterator<Item = &'a str>) -> KafkaResult<BTreeMap<String, TopicId>> {
        self.serve();
        let names: Vec<&str> = topics.into_iter().collect();
        if names.is_empty() || self.is_mock() {
            return Ok(BTreeMap::new());
        }
        match admin::topic_ids(self.consumer.client(), &names, ANSWER_TIMEOUT) {
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature)) => Ok(BTreeMap::new()),
            other => other,
        }
    }

    /// The group and its members; `None` where brokers cannot tell. Blocks.
    ///
    /// # Errors
    /// What the coordinator or librdkafka says.
    pub fn describe_group(&self) -> KafkaResult<Option<Group>> {
        self.serve();
        if self.is_mock() {
            return Ok(None);
        }
        match admin::group(self.consumer.client(), &self.group, ANSWER_TIMEOUT) {
            Ok(group) => Ok(Some(group)),
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this is librdkafka's mock cluster, which leaves administrators' questions unanswered instead of refusing them.
    fn is_mock(&self) -> bool {
        let id = self.consumer.client().fetch_cluster_id(ANSWER_TIMEOUT);
        id.is_some_and(|id| id.starts_with(MOCK_CLUSTER))
    }

    /// Serves the client's callbacks: errors are noted, tokens fetched.
    fn serve(&self) {
        let is_first_token = self.consumer.context().has_token() && !self.has_token.swap(true, Ordering::AcqRel);
        self.serve_for(if is_first_token { TOKEN_WAIT } else { SERVE });
    }

    fn serve_for(&self, time: Duration) {
        let deadline = Instant::now() + time;
        loop {
            // The client has no partitions, so nothing that comes is a record; an error ends the wait early.
            let left = deadline.saturating_duration_since(Instant::now());
            if self.consumer.poll(left).is_none() {
                return;
            }
        }
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<String, TopicId>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}
