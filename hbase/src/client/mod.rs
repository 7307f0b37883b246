//! The client of one cluster.

pub mod admin;
mod attempt;
mod get;
mod mutate;
pub mod region_scanner;
pub mod retry;
pub mod roads;
mod row_call;
pub(crate) mod scan_call;
mod scan_call_ahead;
pub mod scanner;
mod token;
pub mod writer;

use std::sync::Arc;
use std::time::Duration;

use self::admin::Admin;
use self::mutate::Nonces;
use self::retry::Backoff;
use self::scanner::Scanner;
use self::writer::Writer;
use crate::cluster::directory::Directory;
use crate::cluster::locator::Locator;
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::mutation::Durability;
use crate::registry::Registry;
use crate::row_block::RowBlock;
use crate::rpc::connection::{CallError, ConnectionError};
use crate::rpc::dial::Dialer;
use crate::rpc::liveness::Limits;
use crate::rpc::pool::{Pool, PoolConfig};
use crate::scan::Scan;
use crate::security::Security;
use crate::table_name::TableName;

pub use self::writer::{DebugState, Pending, WriteError, WriteReport, WriterConfig};
pub use crate::rpc::codec::AbsentCodec;
pub use crate::wire::compress::Compression;

/// Announced where the process has no user.
const USER_DEFAULT: &str = "halcyon";
/// Past this a server gains nothing: its readers are shared by all connections.
const CONNECTIONS_PER_SERVER_MAX: usize = 4;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where the cluster is found.
    pub registry: Registry,
    /// The user announced; `None` is the process's own (`USER`), else `halcyon`. With Kerberos, `None` is the ticket's
    /// owner, and another user is impersonated, which the cluster must allow (`hadoop.proxyuser.…`).
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
    /// What metrics and logs call the cluster; `None` is where its registry is.
    pub name: Option<String>,
    /// Connections to one server at most, 1 to 4: a further one is made while all others have calls in flight.
    pub connections_per_server: usize,
    /// A server that owes an answer and sends nothing for so long is taken for dead; at least `rpc_timeout`.
    pub silence_timeout: Duration,
    /// A connection that nobody uses for so long is closed (`hbase.ipc.client.connection.minIdleTimeBeforeClose`).
    pub idle_timeout: Duration,
    /// How cells are compressed, both ways (`hbase.client.rpc.compressor`).
    ///
    /// On servers of Hadoop 2 without its native library Snappy and LZ4 must not be asked for: the class is there, and
    /// each cell block ends a handler thread (`UnsatisfiedLinkError`) until the region server aborts. Seen with 1.7.2.
    pub compression: Compression,
    /// What happens on a server without that codec.
    pub compression_absent: AbsentCodec,
    /// TLS and authentication.
    pub security: Security,
}

impl ClientConfig {
    /// The usual times: 5 s to connect, 20 s a call, 60 s an operation, 30 s of silence, 2 min idle. One connection to a
    /// server, no compression.
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
            name: None,
            connections_per_server: 1,
            silence_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            compression: Compression::None,
            compression_absent: AbsentCodec::Fail,
            security: Security::default(),
        }
    }

    fn pool(&self) -> PoolConfig {
        PoolConfig {
            cluster: self.name.clone().unwrap_or_else(|| self.registry.to_string()).into(),
            limits: Limits { silence: self.silence_timeout.max(self.rpc_timeout), idle: self.idle_timeout },
            connections_max: self.connections_per_server.clamp(1, CONNECTIONS_PER_SERVER_MAX),
            compression: self.compression,
            absent: self.compression_absent,
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
    pub(crate) directory: Arc<Directory>,
    pub(crate) locator: Locator,
    pub(crate) writer: Writer,
    pub(crate) nonces: Nonces,
}

impl Client {
    /// A client; nothing is connected yet. Its operations must run inside a tokio runtime.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        let own = std::env::var("USER").unwrap_or_else(|_| USER_DEFAULT.to_owned());
        let dialer = Dialer::new((config.user.clone(), own), config.connect_timeout, config.security.clone());
        let pool = Arc::new(Pool::new(dialer, config.pool()));
        let directory = Arc::new(Directory::new(&config.registry, Arc::clone(&pool)));
        let patience = (config.rpc_timeout, config.backoff);
        let locator = Locator::new(Arc::clone(&directory), Arc::clone(&pool), patience);
        let writer = Writer::new(&config);
        Self { inner: Arc::new(Inner { config, pool, directory, locator, writer, nonces: Nonces::new() }) }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The cluster's id: shows that its registry answers. One try, not repeated.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cluster_id(&self) -> Result<String, Error> {
        self.inner.directory.cluster_id(self.inner.config.rpc_timeout).await
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
                Reaction::ServerGone => locator.server_gone(region),
                Reaction::Backoff
                | Reaction::BackoffLong
                | Reaction::Wait(_)
                | Reaction::RetryNow
                | Reaction::ResetScanner
                | Reaction::GiveUp => {}
            },
            Error::Connection(cause) | Error::Call(CallError::Connection(cause)) => match &**cause {
                // All its regions were forgotten when that happened.
                ConnectionError::FailedRecently { .. } => locator.unreachable(table, region),
                // The server is there and says no to us, or we closed the connection ourselves.
                ConnectionError::Refused(_)
                | ConnectionError::Ended(_)
                | ConnectionError::CodecMissing { .. }
                | ConnectionError::Security(_)
                | ConnectionError::Idle => {}
                ConnectionError::Connect { .. }
                | ConnectionError::Io(_)
                | ConnectionError::Closed
                | ConnectionError::Silent { .. }
                | ConnectionError::Wire(_) => locator.server_gone(region),
            },
            // Slow is not elsewhere: the place stays known (HBASE-27487).
            _ => {}
        }
    }
}
