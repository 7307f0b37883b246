//! Where rows go. One sink is one cluster.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::memory::Charge;
use crate::model::batch::TableRows;
use crate::progress::ledger::Ticket;

pub mod hbase;
pub mod memory;
pub mod queue;
pub mod throttle;
pub mod worker;

/// Rows of one span, on their way to every sink that wants them. Shared, never copied.
#[derive(Debug)]
pub struct Batch {
    /// What is done when these rows are durable.
    pub ticket: Ticket,
    /// The rows, by table.
    pub tables: Vec<TableRows>,
    /// Kafka's timestamp of the last record, in milliseconds since 1970.
    pub last_ms: Option<i64>,
    /// The part of the memory budget held until the last sink is done.
    pub charge: Charge,
}

impl Batch {
    /// Mutations of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.block.rows().len() as u64).sum()
    }

    /// Cells of all tables.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.tables.iter().map(|table| table.block.cell_count()).sum()
    }

    /// Encoded bytes of all tables.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.block.bytes().len() as u64).sum()
    }
}

/// Why a write did not happen, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Trying again may help: the cluster or a part of it does not answer.
    #[error("{0}")]
    Transient(String),
    /// The topology and the cluster do not fit: a table or a family is missing.
    #[error("{0}")]
    Mismatch(String),
    /// The cluster refuses the write for good, for a reason that no row of it is to blame for.
    #[error("{0}")]
    Refused(String),
    /// The cluster refuses these rows for good, each for itself; **all others of the batch are durable**.
    #[error("{} rows are refused for good", .0.len())]
    Poison(Vec<PoisonRow>),
}

/// A row that a cluster will never take, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoisonRow {
    /// Index into [`Batch::tables`].
    pub table: usize,
    /// Index into the rows of its block.
    pub row: usize,
    /// One sentence.
    pub cause: String,
}

/// A future of a sink.
pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// A place that rows are written to.
///
/// # Contract (`tests/contract/sink.rs`)
/// 1. `Ok` means that every row of the batch is durable.
/// 2. An error may leave any part of the batch written; writing it again changes nothing (law 1).
/// 3. [`SinkError::Poison`] names every row that is not durable; the caller keeps them elsewhere and goes on.
/// 4. Dropping the future leaves the outcome unknown, and nothing else.
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// The cluster's name in the topology.
    fn name(&self) -> &Arc<str>;

    /// Writes all rows of the batch.
    fn write<'a>(&'a self, batch: &'a Batch) -> SinkFuture<'a>;
}
