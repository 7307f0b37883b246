//! What the brokers remove: whether topics are compacted, how long records are kept, where the logs begin.
//!
//! A thread of its own asks now and then, since brokers may be slow to answer. It raises an alarm once, when retention
//! comes close to what a sink has not read, whatever the sink's state is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio::runtime::Handle;

use super::offsets::OffsetStore;
use crate::attachment::headroom::{Facts, Headroom, headroom};
use crate::clock::Clock;
use crate::kafka::{Role, client_config};
use crate::progress::ledger::Ledger;
use crate::progress::offset::{Offset, TopicPartition};
use crate::topology::Topology;

/// Time between two looks at the logs' starts.
const LOOK: Duration = Duration::from_secs(15);
/// Time before the first one: partitions have to be assigned.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// Time between two looks at the topics' settings.
const SETTINGS: Duration = Duration::from_mins(10);
/// How long a broker may take to tell them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of the topics and of what is left to the sinks.
#[derive(Debug, Default)]
pub struct Retention {
    compacted: Mutex<Option<String>>,
    left: Mutex<BTreeMap<(TopicPartition, usize), Headroom>>,
}

impl Retention {
    /// A compacted topic among those that are read.
    pub(super) fn compacted(&self) -> Option<String> {
        self.compacted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is left to each sink, by its index, in each partition.
    #[must_use]
    pub fn left(&self) -> BTreeMap<(TopicPartition, usize), Headroom> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at the logs until its channel is closed.
pub(super) struct Watch {
    pub(super) retention: Arc<Retention>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) store: OffsetStore,
    pub(super) topology: Topology,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Handle,
}

/// What one topic says about itself.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    retention: Option<Duration>,
    is_compacted: bool,
}

impl Watch {
    pub(super) fn run(self, stop: &Receiver<()>) {
        let mut settings = BTreeMap::new();
        let mut asked: Option<Instant> = None;
        let mut lows = BTreeMap::new();
        let mut pause = FIRST_LOOK;
        while stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            pause = LOOK;
            if asked.is_none_or(|at| at.elapsed() >= SETTINGS) {
                asked = Some(Instant::now());
                self.ask(&mut settings);
            }
            self.look(&settings, &mut lows);
        }
    }

    /// Asks the topics for their settings; brokers that do not tell leave them unknown.
    fn ask(&self, settings: &mut BTreeMap<String, Settings>) {
        let read: BTreeSet<&str> = self.topology.models.values().map(|model| model.topic.as_str()).collect();
        let topics = self.topology.topics.iter().filter(|(id, _)| read.contains(id.as_str()));
        let names: Vec<&str> = topics.map(|(_, topic)| topic.name.as_str()).collect();
        let Ok(config) = client_config(&self.topology.kafka, &Role::Offsets { group: self.store.group() }) else {
            return;
        };
        let admin: AdminClient<DefaultClientContext> = match config.create() {
            Ok(admin) => admin,
            Err(error) => return tracing::debug!(%error, "the topics' settings cannot be asked for"),
        };
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT));
        let found = match self.runtime.block_on(admin.describe_configs(&resources, &options)) {
            Ok(found) => found,
            Err(error) => return tracing::debug!(%error, "the brokers do not tell the topics' settings"),
        };
        for (name, resource) in names.iter().zip(found) {
            let Ok(resource) = resource else { continue };
            let value = |key: &str| resource.get(key).and_then(|entry| entry.value.clone());
            let retention = value("retention.ms").and_then(|text| text.parse().ok()).map(Duration::from_millis);
            let is_compacted = value("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
            settings.insert((*name).to_owned(), Settings { retention, is_compacted });
        }
        let compacted = settings.iter().find(|(_, settings)| settings.is_compacted).map(|(name, _)| name.clone());
        *self.retention.compacted.lock().unwrap_or_else(PoisonError::into_inner) = compacted;
    }

    fn look(&self, settings: &BTreeMap<String, Settings>, lows: &mut BTreeMap<TopicPartition, Offset>) {
        let now_ms = self.clock.now_ms();
        let mut left = BTreeMap::new();
        for held in self.ledger.view() {
            let Ok((low, high)) = self.store.log_range(&held.partition) else { continue };
            let low_before = *lows.entry(held.partition.clone()).or_insert(low);
            let settings = settings.get(&*held.partition.topic).copied().unwrap_or_default();
            for (index, (sink, name)) in held.sinks.iter().zip(self.ledger.sinks()).enumerate() {
                let age = sink.durable_ms.map(|ms| Duration::from_millis(u64::try_from(now_ms - ms).unwrap_or(0)));
                let facts = Facts { low, low_before, high, durable: sink.durable, age, retention: settings.retention };
                let wanted = self.topology.clusters.get(&**name).and_then(|cluster| cluster.pace.headroom);
                let found = headroom(&facts, wanted);
                self.alarm((&held.partition, index, name), &found);
                left.insert((held.partition.clone(), index), found);
            }
        }
        *self.retention.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    /// One line when it becomes short, and one when it is not any more.
    fn alarm(&self, (partition, index, sink): (&TopicPartition, usize, &str), found: &Headroom) {
        let before = self.retention.left.lock().unwrap_or_else(PoisonError::into_inner);
        let was_short = before.get(&(partition.clone(), index)).is_some_and(|before| before.is_short);
        drop(before);
        let (records, left_s) = (found.records, found.left.map(|left| left.as_secs()));
        match (was_short, found.is_short) {
            (false, true) => tracing::error!(
                sink, %partition, records, left_s,
                "retention comes close to what the sink has not read: mend the cluster, or let the topic keep more"
            ),
            (true, false) => tracing::info!(sink, %partition, records, left_s, "retention is far from the sink again"),
            _ => {}
        }
    }
}
