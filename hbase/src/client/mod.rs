//! The client of one cluster.

pub mod admin;
mod attempt;
mod get;
mod mutate;
pub mod region_scanner;
pub mod retry;
mod row_call;
pub(crate) mod scan_call;
mod scan_call_ahead;
pub mod scanner;
pub mod writer;

use std::sync::Arc;
use std::time::Duration;

use self::admin::Admin;
use self::mutate::Nonces;
use self::retry::Backoff;
use self::scanner::Scanner;
use self::writer::Writer;
use crate::cluster::locator::Locator;
use crate::cluster::lookup;
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::mutation::Durability;
use crate::registry::Registry;
use crate::row_block::RowBlock;
use crate::rpc::connection::CallError;
use crate::rpc::dial::Dialer;
use crate::rpc::pool::Pool;
use crate::scan::Scan;
use crate::table_name::TableName;

pub use self::writer::{DebugState, Pending, WriteError, WriteReport, WriterConfig};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where the cluster is found.
    pub registry: Registry,
    /// The user announced; `None` is the process's own (`USER`), else `halcyon`.
    pub user: Option<String>,
    /// For one connection.
    pub connect_timeout: Duration,
    /// For one call (`hbase.rpc.timeout`).
    pub rpc_timeout: Duration,
    /// For a whole operation with all its tries (`hbase.client.operation.timeout`).
    pub operation_timeout: Duration,
    /// Pauses between tries.
    pub backoff: Backoff,
    /// Bulk writes.
    pub writer: WriterConfig,
}

impl ClientConfig {
    /// The usual times: 5 s to connect, 20 s a call, 60 s an operation.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            user: None,
            connect_timeout: Duration::from_secs(5),
            rpc_timeout: Duration::from_secs(20),
            operation_timeout: Duration::from_secs(60),
            backoff: Backoff::default(),
            writer: WriterConfig::default(),
        }
    }
}

/// A client of one cluster. Cloning shares connections and what is known of the cluster.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) pool: Arc<Pool>,
    pub(crate) locator: Locator,
    pub(crate) writer: Writer,
    pub(crate) nonces: Nonces,
}

impl Client {
    /// A client; nothing is connected yet. Its operations must run inside a tokio runtime.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        let user = config.user.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "halcyon".to_owned());
        let pool = Arc::new(Pool::new(Dialer { user, connect_timeout: config.connect_timeout }));
        let locator = Locator::new(config.registry.clone(), Arc::clone(&pool), config.rpc_timeout);
        let writer = Writer::new(&config);
        Self { inner: Arc::new(Inner { config, pool, locator, writer, nonces: Nonces::new() }) }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The cluster's id: shows that its registry answers. One try, not repeated.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cluster_id(&self) -> Result<String, Error> {
        let Inner { config, pool, .. } = &*self.inner;
        lookup::cluster_id(&config.registry, pool, config.rpc_timeout).await
    }

    /// Reads rows in order. Nothing is sent before the first row is asked for.
    #[must_use]
    pub fn scan(&self, table: &TableName, scan: Scan) -> Scanner {
        Scanner::new(self.clone(), table.clone(), scan)
    }

    /// Makes all mutations of a block durable. Rows of writes that run at once travel together: see [`writer`].
    ///
    /// The block stays with the caller, so the write needs no credits: whoever waits here is held back by that. Two
    /// mutations of one row reach the server in the order in which they were given to this client.
    ///
    /// Cancel safe in that nothing leaks: rows that wait are taken out, rows in flight may or may not be written. Writing
    /// the block again is harmless when its cells carry their own timestamps.
    ///
    /// # Errors
    /// [`WriteError`]; some rows may have been written. After the error nothing of the write goes on.
    pub async fn write(
        &self,
        table: &TableName,
        block: &RowBlock,
        durability: Durability,
    ) -> Result<WriteReport, WriteError> {
        writer::write(self, (table, block), durability).await
    }

    /// Hands a block over and returns as soon as the writer has credits for its bytes
    /// ([`WriterConfig::credit_bytes`]), so that one caller can have several blocks on their way and learn of each; the
    /// outcome is that of the returned [`Pending`]. The caller should let its own clone of the block go.
    ///
    /// One silent server or one hot region holds back the callers whose blocks have rows for it, and nobody else: it
    /// cannot take all credits. A caller that must not be held back gives rows of different regions in different blocks.
    ///
    /// Cancel safe as [`Client::write`].
    ///
    /// # Errors
    /// [`WriteError::CellTooLarge`]; everything else is told by the [`Pending`].
    pub async fn submit(
        &self,
        table: &TableName,
        block: &RowBlock,
        durability: Durability,
    ) -> Result<Pending, WriteError> {
        writer::submit(self, (table, block), durability).await
    }

    /// What bulk writes are doing now: credits, servers, lanes.
    #[must_use]
    pub fn debug_state(&self) -> DebugState {
        self.inner.writer.debug_state()
    }

    /// The regions of a table that are open now, in order.
    ///
    /// # Errors
    /// [`Error`]; one try, not repeated.
    pub async fn regions(&self, table: &TableName) -> Result<Vec<Region>, Error> {
        let regions = self.inner.locator.regions(table).await?;
        Ok(regions.into_iter().map(|(region, _)| region).collect())
    }

    /// Tables: make, drop, describe.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Draws the consequence of a failed call for what is known about the region's place.
    pub(crate) fn note(&self, table: &TableName, region: &Region, error: &Error) {
        use crate::exception::Reaction;
        let locator = &self.inner.locator;
        match error {
            Error::Call(CallError::Exception(exception)) => match exception.reaction() {
                Reaction::Relocate { hint: Some((host, port)) } => {
                    locator.relocate(table, region, &format!("{host}:{port}"));
                }
                Reaction::Relocate { hint: None } => locator.invalidate(table, region),
                Reaction::ServerGone => locator.server_gone(&region.server),
                Reaction::Backoff
                | Reaction::BackoffLong
                | Reaction::Wait(_)
                | Reaction::RetryNow
                | Reaction::ResetScanner
                | Reaction::GiveUp => {}
            },
            Error::Connection(_) | Error::Call(CallError::Connection(_)) => locator.server_gone(&region.server),
            // Slow is not elsewhere: the place stays known (HBASE-27487).
            _ => {}
        }
    }
}
