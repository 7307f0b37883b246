//! librdkafka's callbacks: rebalances are put aside for the reader, statistics tell where the logs end.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use super::group::Rebalance;
use super::stable::StableEnds;
use crate::kafka::events::Events;
use crate::progress::ledger::Ledger;
use crate::progress::offset::{Offset, TopicPartition};

/// Context of the group's consumer.
///
/// A rebalance callback runs inside `poll` on the reader's thread. It only notes the change; the reader carries it out
/// right after `poll` returns, before it polls again, so nothing is served in between.
pub(super) struct Context {
    ledger: Arc<Ledger>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// Where reads can get to, of partitions whose leader is connected, from the last statistics.
    ends: Mutex<BTreeMap<TopicPartition, Offset>>,
    retired: AtomicBool,
    stable: Arc<StableEnds>,
    events: Events,
}

impl Context {
    pub(super) fn new(ledger: Arc<Ledger>, stable: Arc<StableEnds>, events: Events) -> Self {
        let (rebalances, ends, retired) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self { ledger, rebalances, ends, retired, stable, events }
    }

    /// A partition is read elsewhere now.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        self.stable.forget(partition);
        self.ends().remove(partition);
    }

    /// The oldest change that was not carried out yet.
    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances().pop_front()
    }

    /// Where reads of the partition can get to, if its leader was connected when statistics came last.
    pub(super) fn readable_end(&self, partition: &TopicPartition) -> Option<Offset> {
        self.ends().get(partition).copied()
    }

    /// Another client has taken the place of this one: what is asked of it from now on is only to close.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    fn rebalances(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Offset>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.events.generate_oauth_token(config)
    }

    fn stats(&self, statistics: Statistics) {
        let connected: Vec<i32> =
            statistics.brokers.values().filter(|broker| broker.state == "UP").map(|broker| broker.nodeid).collect();
        let mut ends = BTreeMap::new();
        for (name, topic) in statistics.topics {
            let name: Arc<str> = Arc::from(name);
            for (number, partition) in topic.partitions {
                // The last stable offset is where a read-committed consumer stops; -1001 until the first fetch.
                let (stable, high) = (Offset(partition.ls_offset), Offset(partition.hi_offset));
                let end = partition.ls_offset.max(if partition.ls_offset < 0 { partition.hi_offset } else { 0 });
                if number >= 0 && end >= 0 {
                    let place = TopicPartition { topic: Arc::clone(&name), partition: number };
                    self.ledger.set_end(&place, Offset(end));
                    self.stable.observe(&place, (stable, high), Instant::now());
                    if connected.contains(&partition.leader) {
                        ends.insert(place, Offset(end));
                    }
                }
            }
        }
        *self.ends() = ends;
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let is_assign = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.retired.load(Ordering::Acquire) {
            // Nobody reads from it any more, but it closes only when its assignment was given back.
            return give_back(consumer, if is_assign { None } else { Some(partitions) });
        }
        let names = names(partitions);
        self.rebalances().push_back(if is_assign { Rebalance::Assign(names) } else { Rebalance::Revoke(names) });
    }
}

fn give_back(consumer: &BaseConsumer<Context>, revoked: Option<&TopicPartitionList>) {
    let result = match (revoked, consumer.rebalance_protocol()) {
        (None, RebalanceProtocol::Cooperative) => consumer.incremental_assign(&TopicPartitionList::new()),
        (Some(partitions), RebalanceProtocol::Cooperative) => consumer.incremental_unassign(partitions),
        (_, RebalanceProtocol::Eager | RebalanceProtocol::None) => consumer.unassign(),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a client that was replaced does not give back its partitions");
    }
}

fn names(partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = partitions.elements();
    let name = |topic: &str, partition| TopicPartition { topic: Arc::from(topic), partition };
    elements.iter().map(|element| name(element.topic(), element.partition())).collect()
}
