//! librdkafka's callbacks: rebalances are put aside for the reader, statistics tell where the logs end.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use super::stable::StableEnds;
use crate::kafka::events::Events;
use crate::progress::ledger::Ledger;
use crate::progress::offset::{Offset, TopicPartition};

/// A change of the assignment that the reader has to carry out.
#[derive(Clone, Debug)]
pub(super) enum Rebalance {
    /// Partitions to take.
    Assign(TopicPartitionList),
    /// Partitions to give up.
    Revoke(TopicPartitionList),
}

/// Context of the group's consumer.
///
/// A rebalance callback runs inside `poll` on the reader's thread. It only notes the change; the reader carries it out
/// right after `poll` returns, before it polls again, so nothing is served in between.
pub(super) struct Context {
    ledger: Arc<Ledger>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    stable: Arc<StableEnds>,
    events: Events,
}

impl Context {
    pub(super) fn new(ledger: Arc<Ledger>, stable: Arc<StableEnds>, events: Events) -> Self {
        Self { ledger, rebalances: Mutex::default(), stable, events }
    }

    /// A partition is read elsewhere now.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        self.stable.forget(partition);
    }

    /// The oldest change that was not carried out yet.
    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
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
        for (name, topic) in statistics.topics {
            let name: Arc<str> = Arc::from(name);
            for (number, partition) in topic.partitions {
                // The last stable offset is where a read-committed consumer stops; -1001 until the first fetch.
                let ends = (Offset(partition.ls_offset), Offset(partition.hi_offset));
                let end = partition.ls_offset.max(if partition.ls_offset < 0 { partition.hi_offset } else { 0 });
                if number >= 0 && end >= 0 {
                    let partition = TopicPartition { topic: Arc::clone(&name), partition: number };
                    self.ledger.set_end(&partition, Offset(end));
                    self.stable.observe(&partition, ends, Instant::now());
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, _: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let change = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions.clone()),
            _ => Rebalance::Revoke(partitions.clone()),
        };
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}
