//! One member of the group, put together but not running: what a process drives by threads, and a simulation by turns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use super::assign::Positions;
pub use super::commit::Committer;
pub use super::control::{Control, Phase};
use super::group::{Group, Offsets};
use super::lane::BatchLimits;
pub use super::reader::{Reader, Turn};
use super::work;
pub use super::work::Worker;
use crate::pipeline::Pipeline;
use crate::project::Lane;
use crate::schema_registry::SchemaRegistry;

/// What a member is made of.
#[derive(Debug)]
pub struct MemberParts<S> {
    /// The group's id.
    pub name: String,
    /// What the topology says about starts.
    pub positions: Positions<S>,
    /// The sinks' offsets, by the sinks' index.
    pub stores: Vec<S>,
    /// For every worker its lanes, by Kafka's topic name.
    pub lanes: Vec<BTreeMap<String, Lane>>,
    /// The schemas of the run.
    pub schemas: Arc<SchemaRegistry>,
    /// `group.instance.id`, for what is said about it.
    pub instance_id: Option<String>,
    /// When a batch is closed.
    pub limits: BatchLimits,
    /// How long a revoked partition may drain.
    pub drain_timeout: Duration,
    /// How long a partition may stand still before it is taken anew.
    pub stall: Duration,
}

/// A member.
#[derive(Debug)]
pub struct Member<G: Group, S> {
    /// For the poll thread.
    pub reader: Reader<G, S>,
    /// For the thread of commits, and the last commit.
    pub committer: Arc<Committer<G, S>>,
    /// What is asked of the reader.
    pub control: Arc<Control>,
    /// For the threads of the CPU pool.
    pub workers: Vec<Worker>,
}

impl<G: Group, S: Offsets> Member<G, S> {
    /// A member that writes into the pipeline.
    #[must_use]
    pub fn new(group: Arc<G>, pipeline: &Arc<Pipeline>, parts: MemberParts<S>) -> Self {
        let MemberParts { name, positions, stores, lanes, schemas, instance_id, limits, drain_timeout, stall } = parts;
        let needs = lanes.first().map(work::needs).unwrap_or_default();
        let ledger = Arc::clone(pipeline.ledger());
        let committer = Arc::new(Committer::new(name, Arc::clone(&group), stores, ledger));
        let control = Arc::new(Control::default());
        let (senders, workers) = work::pool(lanes, pipeline);
        let now = Instant::now();
        let reader = Reader {
            group,
            instance_id,
            pipeline: Arc::clone(pipeline),
            committer: Arc::clone(&committer),
            positions,
            control: Arc::clone(&control),
            workers: senders,
            limits,
            drain_timeout,
            stall,
            lanes: Vec::new(),
            granted: BTreeSet::new(),
            needs,
            schemas,
            unready: BTreeSet::new(),
            waiting: BTreeMap::new(),
            turn: 0,
            moved: true,
            began: now,
            positions_asked: now,
            watched: now,
            room_seen: now,
            leave_until: None,
        };
        Self { reader, committer, control, workers }
    }
}
