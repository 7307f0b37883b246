//! Why an operation of the client failed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::exception::Exception;
use crate::misuse::Misuse;
use crate::rpc::connection::{CallError, ConnectionError};
use crate::wire::WireError;

/// A failure that the client could not mend by itself within the operation's time.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The table is not in meta.
    #[error("table {table} does not exist")]
    TableMissing {
        /// The table.
        table: String,
    },
    /// The table is disabled, or being disabled: no server opens its regions.
    #[error("table {table} is disabled: enable it, or stop asking for it")]
    TableDisabled {
        /// The table.
        table: String,
    },
    /// The servers are of a line that does not have what the configuration needs.
    #[error("the servers at {servers} are too old for {what}: {instead}")]
    VersionTooOld {
        /// The servers asked.
        servers: String,
        /// What they do not have.
        what: &'static str,
        /// What to do.
        instead: &'static str,
        /// How the last one refused.
        #[source]
        source: Option<Box<Error>>,
    },
    /// The server refuses for good.
    #[error("the server refuses for good{}", _0.advice())]
    Refused(#[source] Exception),
    /// The request is one that no server would carry out; nothing was sent.
    #[error("ask table {table} about row {row}")]
    Misuse {
        /// The table.
        table: String,
        /// The row, escaped; the start of a scan.
        row: String,
        /// What is wrong and what to do.
        #[source]
        misuse: Misuse,
    },
    /// The server refuses a request about one row for good.
    #[error("row {row} of region {region} of table {table} is refused for good{}", exception.advice())]
    RowRefused {
        /// The table.
        table: String,
        /// The region, by the hash in its name.
        region: String,
        /// The row, escaped.
        row: String,
        /// What the server says.
        #[source]
        exception: Box<Exception>,
    },
    /// The time for the whole operation is over; the cause is that of the last try.
    #[error("not done within {} ms, {tries} tries", elapsed.as_millis())]
    TimedOut {
        /// Time since the operation began.
        elapsed: Duration,
        /// How often it was tried.
        tries: u32,
        /// What failed last.
        #[source]
        last: Option<Box<Error>>,
    },
    /// A connection could not be made.
    #[error("reach a server")]
    Connection(#[source] Arc<ConnectionError>),
    /// A call has no usable answer.
    #[error("call a server")]
    Call(#[source] CallError),
    /// ZooKeeper does not say where the cluster is.
    #[error("ask ZooKeeper at {quorum} for {path}: {reason}")]
    ZooKeeper {
        /// The ensemble.
        quorum: String,
        /// The node.
        path: String,
        /// What ZooKeeper or its client says.
        reason: String,
    },
    /// None of the registry's servers knows.
    #[error("no server of the registry {servers} answers")]
    Registry {
        /// The servers asked.
        servers: String,
        /// What the last one said.
        #[source]
        last: Option<Box<Error>>,
    },
    /// Bytes of the cluster cannot be read.
    #[error("read what the cluster says")]
    Wire(#[source] WireError),
    /// The region that should have the row is not open anywhere.
    #[error("no server has the region of table {table} now")]
    RegionOffline {
        /// The table.
        table: String,
    },
    /// The operating system refuses.
    #[error("the operating system refuses")]
    Io(#[source] Arc<io::Error>),
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(Arc::new(error))
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Error {
    /// Whether the same operation may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TableMissing { .. }
            | Self::TableDisabled { .. }
            | Self::VersionTooOld { .. }
            | Self::Refused(_)
            | Self::Misuse { .. }
            | Self::RowRefused { .. }
            | Self::Wire(_)
            | Self::Io(_) => false,
            // A certificate that nobody trusts stays so; a server that is down does not.
            Self::Connection(cause) => cause.is_transient(),
            Self::Call(cause) => cause.is_transient(),
            // All servers were asked: the last one's word stands for them.
            Self::Registry { last: Some(last), .. } => last.is_transient(),
            Self::TimedOut { .. }
            | Self::ZooKeeper { .. }
            | Self::Registry { last: None, .. }
            | Self::RegionOffline { .. } => true,
        }
    }

    /// The chain of causes in one line, for logs and for people.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
