//! What changes behind a run's back and no fetch tells: a topic that is deleted and made anew, and the offsets of sinks that
//! are not part of the run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::error::KafkaResult;

use super::offsets::OffsetStore;
use super::topics::TopicsRead;
use crate::pipeline::Pipeline;
use crate::progress::ledger::HEARTBEAT_COMMIT;
use crate::progress::offset::TopicPartition;

/// Time between two looks. What is read of a topic made anew until then is written, and committed as offsets of the old
/// topic, so that the next start refuses as well.
const INTERVAL: Duration = Duration::from_secs(5);

/// The watch's state.
pub(super) struct Watch {
    pub(super) pipeline: Arc<Pipeline>,
    /// Asks for metadata.
    pub(super) membership: Arc<OffsetStore>,
    /// The topics that are read.
    pub(super) topics: Vec<String>,
    /// Offsets of the topology's sinks that this run does not write: they would expire meanwhile.
    pub(super) absent: Vec<OffsetStore>,
    /// The ids under which they are read.
    pub(super) read: Arc<TopicsRead>,
}

impl Watch {
    /// Looks until the run ends.
    pub(super) fn run<T>(self, ended: &Receiver<T>) {
        let mut kept = Instant::now();
        self.keep_absent();
        while matches!(ended.recv_timeout(INTERVAL), Err(RecvTimeoutError::Timeout)) {
            self.look_at_topics();
            if kept.elapsed() >= HEARTBEAT_COMMIT {
                kept = Instant::now();
                self.keep_absent();
            }
        }
    }

    fn look_at_topics(&self) {
        // A broker that is away is the reader's matter.
        let Ok(now) = self.membership.topic_ids(self.topics.iter().map(String::as_str)) else { return };
        if let Err(halt) = self.read.compare(&now) {
            self.pipeline.halt().set(halt);
        }
    }

    /// Commits the absent sinks' offsets again, unchanged.
    fn keep_absent(&self) {
        for store in &self.absent {
            if let Err(error) = self.keep(store) {
                tracing::warn!(group = store.group(), %error, "offsets of a sink that is not run could not be kept alive");
            }
        }
    }

    fn keep(&self, store: &OffsetStore) -> KafkaResult<()> {
        let mut partitions = Vec::new();
        for topic in &self.topics {
            let name: Arc<str> = Arc::from(topic.as_str());
            let count = self.membership.partition_count(topic)?.unwrap_or(0);
            partitions.extend((0..count).map(|partition| TopicPartition { topic: Arc::clone(&name), partition }));
        }
        let commits = store.commits(&partitions)?;
        store.commit_as(commits.iter().map(|(partition, commit)| (partition, commit.clone())))
    }
}
