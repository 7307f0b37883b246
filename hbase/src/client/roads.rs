//! A dump of a client's roads: connections, where meta is, and what is known of each table.

use std::fmt;

use super::Client;
use crate::cluster::table::TableCacheState;
use crate::rpc::connection::ConnectionState;

/// Connections and known places as they stand; [`fmt::Display`] is for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoadsState {
    /// Name of the cluster.
    pub cluster: String,
    /// Open connections, by server and service.
    pub connections: Vec<ConnectionState>,
    /// `host:port` of the server that is known to have meta.
    pub meta_server: Option<String>,
    /// What is known of each table that was asked for.
    pub tables: Vec<TableCacheState>,
}

impl Client {
    /// The state of connections and of the region cache, for a debug dump. Takes no part in any work; safe to call often.
    #[must_use]
    pub fn roads(&self) -> RoadsState {
        let inner = self.inner();
        let (meta_server, tables) = inner.locator.describe();
        let connections = inner.pool.describe();
        RoadsState { cluster: inner.pool.cluster().to_string(), connections, meta_server, tables }
    }
}

impl fmt::Display for RoadsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meta = self.meta_server.as_deref().unwrap_or("unknown");
        writeln!(f, "cluster {}: meta at {meta}", self.cluster)?;
        for connection in &self.connections {
            let ConnectionState { server, service, calls, queued_bytes, silent_for, compression } = connection;
            write!(f, "  {server} {service}: {calls} calls, {queued_bytes} bytes queued, {compression:?}")?;
            match silent_for {
                Some(silent) => writeln!(f, ", silent for {} ms", silent.as_millis())?,
                None => writeln!(f)?,
            }
        }
        for state in &self.tables {
            let TableCacheState { table, regions, holes, waiting, lookups } = state;
            writeln!(f, "  table {table}: {regions} regions, {holes} holes, {waiting} waiting, {lookups} look-ups")?;
        }
        Ok(())
    }
}
