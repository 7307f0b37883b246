//! An HBase cluster as a sink: puts through the native client.

use std::sync::Arc;
use std::time::Duration;

use hbase::client::{Client, ClientConfig, WriteError};
use hbase::error::Error;
use hbase::exception::Exception;
use hbase::mutation::Durability;
use hbase::table_name::TableName;

use super::{Batch, PoisonRow, Sink, SinkError, SinkFuture};
use crate::model::batch::TableRows;
use crate::topology::Cluster;

/// How long the client tries by itself before the sink is called degraded (and the write is tried again): longer than a
/// region takes to move, shorter than an operator's patience.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// One cluster.
#[derive(Debug)]
pub struct HBaseSink {
    name: Arc<str>,
    client: Client,
    durability: Durability,
}

impl HBaseSink {
    /// The cluster of that name; nothing is connected yet.
    #[must_use]
    pub fn new(name: &str, cluster: &Cluster) -> Self {
        let config = ClientConfig { operation_timeout: WRITE_PATIENCE, ..config(cluster) };
        Self { name: Arc::from(name), client: Client::new(config), durability: cluster.durability }
    }
}

/// A client of a cluster of the topology, for tools.
#[must_use]
pub fn client(cluster: &Cluster) -> Client {
    Client::new(config(cluster))
}

fn config(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new(cluster.registry.clone());
    config.user.clone_from(&cluster.user);
    config.security = cluster.security.clone();
    config
}

impl Sink for HBaseSink {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> SinkFuture<'a> {
        Box::pin(async move {
            let mut poison = Vec::new();
            for (index, rows) in batch.tables.iter().enumerate() {
                for (row, cause) in self.write_table(rows).await? {
                    poison.push(PoisonRow { table: index, row, cause });
                }
            }
            if poison.is_empty() { Ok(()) } else { Err(SinkError::Poison(poison)) }
        })
    }
}

impl HBaseSink {
    /// Writes the rows of one table. Those that the cluster will never take come back with the cause, the others are
    /// durable.
    ///
    /// The client refuses a block with a cell over its limit as a whole, before it sends anything: the block is cut
    /// around that row. What a server refuses, the client has already narrowed down to the rows themselves.
    async fn write_table(&self, rows: &TableRows) -> Result<Vec<(usize, String)>, SinkError> {
        let table = TableName::new(&rows.table);
        let mut poison = Vec::new();
        let mut parts = vec![(0, rows.block.clone())];
        while let Some((first, block)) = parts.pop() {
            match self.client.write(&table, &block, self.durability).await {
                Ok(report) if report.resent > 0 => {
                    tracing::debug!(sink = %self.name, table = %table, rows = report.resent, "rows sent again");
                }
                Ok(_) => {}
                Err(WriteError::CellTooLarge { row, column, bytes, limit, .. }) => {
                    poison.push((first + row, format!("cell {column} has {bytes} bytes, the limit is {limit}")));
                    let end = block.rows().len();
                    for part in [row + 1..end, 0..row] {
                        if !part.is_empty() {
                            parts.push((first + part.start, block.copy_of(part)));
                        }
                    }
                }
                Err(WriteError::Refused { rows, exception, .. }) if is_of_the_row(&exception) => {
                    let cause = exception.to_string();
                    poison.extend(rows.into_iter().map(|row| (first + row, cause.clone())));
                }
                Err(error) => return Err(self.error(&error)),
            }
        }
        poison.sort_by_key(|(row, _)| *row);
        Ok(poison)
    }

    fn error(&self, error: &WriteError) -> SinkError {
        match error {
            WriteError::CellTooLarge { .. } => SinkError::Refused(format!("cluster {}: {error}", self.name)),
            WriteError::Refused { table, rows, exception, .. }
                if exception.simple_class() == "NoSuchColumnFamilyException" =>
            {
                SinkError::Mismatch(format!(
                    "table {table} of cluster {} lacks a column family ({} rows refused: {}); run `halcyon table diff`",
                    self.name,
                    rows.len(),
                    exception.message
                ))
            }
            WriteError::Refused { table, rows, key, exception } => SinkError::Refused(format!(
                "cluster {} refuses {} rows of table {table} for good, the first is {key}: {exception}; their \
                 neighbours were written, nothing was committed",
                self.name,
                rows.len()
            )),
            WriteError::Failed { source: Error::TableMissing { table }, .. } => SinkError::Mismatch(format!(
                "table {table} does not exist in cluster {}; run `halcyon table create`",
                self.name
            )),
            WriteError::Failed { source, .. } if source.is_transient() => SinkError::Transient(source.chain()),
            WriteError::Failed { table, source } => {
                SinkError::Refused(format!("table {table} of cluster {}: {}", self.name, source.chain()))
            }
        }
    }
}

/// Whether a refusal for good is about the row itself: its size, its sanity, a constraint or a coprocessor that checks
/// it. All other refusals (rights, quotas, a table that is disabled) are about the cluster: no row is to blame for them,
/// and dead-lettering a whole topic would be no answer.
fn is_of_the_row(exception: &Exception) -> bool {
    [
        "DoNotRetryIOException",
        "client.RowTooBigException",
        "constraint.ConstraintException",
        "coprocessor.CoprocessorException",
        "exceptions.FailedSanityCheckException",
        "exceptions.RequestTooBigException",
    ]
    .iter()
    .any(|class| exception.is(class))
}
