//! An HBase cluster as a sink: puts through the native client.

use std::sync::Arc;
use std::time::Duration;

use hbase::client::{Client, ClientConfig, WriteError};
use hbase::error::Error;
use hbase::mutation::Durability;
use hbase::table_name::TableName;

use super::{Batch, Sink, SinkError, SinkFuture};
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
            for rows in &batch.tables {
                let table = TableName::new(&rows.table);
                let written = self.client.write(&table, &rows.block, self.durability).await;
                let report = written.map_err(|error| self.error(&error))?;
                if report.resent > 0 {
                    tracing::debug!(sink = %self.name, table = %table, rows = report.resent, "rows sent again");
                }
            }
            Ok(())
        })
    }
}

impl HBaseSink {
    fn error(&self, error: &WriteError) -> SinkError {
        match error {
            WriteError::Refused { table, rows, exception }
                if exception.simple_class() == "NoSuchColumnFamilyException" =>
            {
                SinkError::Mismatch(format!(
                    "table {table} of cluster {} lacks a column family ({} rows refused: {}); run `halcyon table diff`",
                    self.name,
                    rows.len(),
                    exception.message
                ))
            }
            WriteError::Refused { table, rows, exception } => SinkError::Refused(format!(
                "cluster {} refuses {} rows of table {table} for good: {exception}; their neighbours were written, \
                 nothing was committed",
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
