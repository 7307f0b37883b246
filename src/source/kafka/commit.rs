//! Commits: the membership group first, fenced by its generation, then every sink's own group.
//!
//! # Invariants
//! 1. If the group's commit is refused, nothing else is committed.
//! 2. A commit and a revocation never overlap: both hold the same lock, and a plan is made under it.
//! 3. The sinks' groups, which no broker fences, are committed only shortly after the group has agreed. A process that
//!    was stopped in between may have lost its partitions, and a new owner may have committed more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;

use super::group::{Group, Offsets};
use crate::meter::CommitMeter;
use crate::mutant::{Mutant, is_planted};
use crate::progress::ledger::{CommitPlan, Epoch, Ledger};
use crate::progress::offset::TopicPartition;

/// How long the group's agreement is worth something, from when it was asked for. An accepted commit renews the member's
/// session, so no other process gets its partitions within `session.timeout.ms` (45 s, never below 6 s by default).
const AGREEMENT: Duration = Duration::from_secs(5);

/// Commits what the ledger says.
pub struct Committer<G, S> {
    name: String,
    group: Arc<G>,
    stores: Vec<S>,
    ledger: Arc<Ledger>,
    began: Instant,
    lock: Mutex<()>,
}

impl<G, S> std::fmt::Debug for Committer<G, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").field("group", &self.name).finish_non_exhaustive()
    }
}

impl<G: Group, S: Offsets> Committer<G, S> {
    /// Commits as a member of the group called `name`.
    pub(super) fn new(name: String, group: Arc<G>, stores: Vec<S>, ledger: Arc<Ledger>) -> Self {
        Self { name, group, stores, ledger, began: Instant::now(), lock: Mutex::new(()) }
    }

    /// The sinks' offsets, by the sinks' index.
    pub(super) fn stores(&self) -> &[S] {
        &self.stores
    }

    /// Commits everything that moved. Blocks until the coordinator has answered.
    pub fn commit(&self) {
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
        if is_planted(Mutant::RevokedIsKept) {
            return;
        }
        for (partition, epoch) in partitions {
            self.ledger.revoke(partition, *epoch);
        }
    }

    fn commit_plan(&self, plan: &CommitPlan) {
        if plan.is_empty() {
            return;
        }
        let asked = Instant::now();
        let meter = CommitMeter::of(&self.name);
        if let Err(error) = self.group.commit(&plan.group) {
            meter.failed(&code(&error));
            tracing::warn!(group = self.name, %error, "commit refused; no sink's offsets were committed");
            if !is_planted(Mutant::CommitWithoutFence) {
                return;
            }
        }
        meter.committed();
        self.ledger.group_committed(&plan.group);
        for (sink, (store, commits)) in self.stores.iter().zip(&plan.sinks).enumerate() {
            if commits.is_empty() {
                continue;
            }
            if asked.elapsed() > AGREEMENT && !is_planted(Mutant::CommitAfterFence) {
                let waited = asked.elapsed().as_secs_f64();
                tracing::warn!(group = store.group(), waited, "commit left out: the group agreed too long ago");
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
