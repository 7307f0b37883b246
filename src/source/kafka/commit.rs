//! Commits: the membership group first, fenced by its generation, then every sink's own group.
//!
//! # Invariants
//! 1. If the group's commit is refused, nothing else is committed.
//! 2. A commit and a revocation never overlap: both hold the same lock, and a plan is made under it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::context::Context;
use super::offsets::OffsetStore;
use crate::meter::CommitMeter;
use crate::progress::ledger::{CommitPlan, Epoch, GroupCommit, Ledger};
use crate::progress::offset::TopicPartition;

/// Commits what the ledger says.
pub(super) struct Committer {
    group: String,
    consumer: Arc<BaseConsumer<Context>>,
    stores: Vec<OffsetStore>,
    ledger: Arc<Ledger>,
    began: Instant,
    lock: Mutex<()>,
}

impl Committer {
    pub(super) fn new(
        group: String,
        consumer: Arc<BaseConsumer<Context>>,
        stores: Vec<OffsetStore>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self { group, consumer, stores, ledger, began: Instant::now(), lock: Mutex::new(()) }
    }

    /// The sinks' offsets, by the sinks' index.
    pub(super) fn stores(&self) -> &[OffsetStore] {
        &self.stores
    }

    /// Commits everything that moved. Blocks until the coordinator has answered.
    pub(super) fn commit(&self) {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.commit_plan(&self.ledger.commit_plan(self.began.elapsed(), None));
    }

    /// Commits these partitions for the last time, if this process still owns them, and gives them up.
    pub(super) fn commit_and_revoke(&self, partitions: &[(TopicPartition, Epoch)], ownership: Ownership) {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if ownership == Ownership::Kept {
            let names: Vec<_> = partitions.iter().map(|(partition, _)| partition.clone()).collect();
            self.commit_plan(&self.ledger.commit_plan(self.began.elapsed(), Some(&names)));
        }
        for (partition, epoch) in partitions {
            self.ledger.revoke(partition, *epoch);
        }
    }

    fn commit_plan(&self, plan: &CommitPlan) {
        if plan.is_empty() {
            return;
        }
        let meter = CommitMeter::of(&self.group);
        if let Err(error) = self.commit_group(&plan.group) {
            meter.failed(&code(&error));
            tracing::warn!(group = self.group, %error, "commit refused; no sink's offsets were committed");
            return;
        }
        meter.committed();
        self.ledger.group_committed(&plan.group);
        for (sink, (store, commits)) in self.stores.iter().zip(&plan.sinks).enumerate() {
            if commits.is_empty() {
                continue;
            }
            let meter = CommitMeter::of(store.group());
            match store.commit(commits) {
                Ok(()) => {
                    meter.committed();
                    self.ledger.sink_committed(sink, commits, self.began.elapsed());
                }
                Err(error) => {
                    meter.failed(&code(&error));
                    tracing::warn!(group = store.group(), %error, "commit failed; it is tried again at the next tick");
                }
            }
        }
    }

    fn commit_group(&self, commits: &[GroupCommit]) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::with_capacity(commits.len());
        for GroupCommit { partition, offset, metadata, .. } in commits {
            let mut element = offsets.add_partition(&partition.topic, partition.partition);
            element.set_offset(KafkaOffset::Offset(offset.0))?;
            element.set_metadata(metadata);
        }
        self.consumer.commit(&offsets, CommitMode::Sync)
    }
}

/// Whether partitions that go away were still ours until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Revoked in order: the last commit counts.
    Kept,
    /// Lost (session expired, fenced): another process may own them already.
    Lost,
}

fn code(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| "unknown".to_owned(), |code| format!("{code:?}"))
}
