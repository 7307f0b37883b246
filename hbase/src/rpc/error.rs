//! Why a connection ends, and why a call has no answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{codec, dial};
use crate::exception::{Exception, Reaction};
use crate::metrics::CallOutcome;
use crate::security::SecurityError;
use crate::wire::WireError;
use crate::wire::compress::Compression;

/// Why a connection ended or was never made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The server's name or the connection failed.
    #[error("connect to {address}")]
    Connect {
        /// `host:port`.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Too recent a failure to try again.
    #[error("{address} failed a moment ago")]
    FailedRecently {
        /// `host:port`.
        address: String,
    },
    /// The socket failed.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server owed an answer and sent nothing.
    #[error("the server owes an answer and has sent nothing for {} ms", silence.as_millis())]
    Silent {
        /// How long.
        silence: Duration,
    },
    /// Nobody had used the connection for long; the next call makes a new one.
    #[error("the connection was closed because nobody used it")]
    Idle,
    /// The server sent what is no answer.
    #[error("the server sent what cannot be read")]
    Wire(#[source] WireError),
    /// The server refused the connection itself.
    #[error("the server refused the connection")]
    Refused(#[source] Exception),
    /// The server ended a connection that it had answered on: one call of it broke the protocol, the others are innocent.
    #[error("the server ended the connection")]
    Ended(#[source] Exception),
    /// The server has none of the codec's classes.
    #[error(
        "{address} cannot compress cells with {codec:?}: install the codec on the servers, choose another, or let the \
         client send plain cells where it is absent"
    )]
    CodecMissing {
        /// `host:port`.
        address: String,
        /// The codec that was asked for.
        codec: Compression,
    },
    /// One side does not trust the other, or the connection could not be protected.
    #[error("secure the connection")]
    Security(#[source] SecurityError),
}

impl From<SecurityError> for ConnectionError {
    fn from(error: SecurityError) -> Self {
        Self::Security(error)
    }
}

impl ConnectionError {
    /// A socket that failed in use; TLS may know why.
    pub(super) fn broken(error: io::Error, address: &str) -> Self {
        dial::refusal(&error, address).map_or_else(|| Self::Io(error), Self::Security)
    }

    /// A word for metrics and for telling repeated messages apart.
    pub(crate) fn cause(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::FailedRecently { .. } => "failed_recently",
            Self::Io(_) => "io",
            Self::Closed => "closed",
            Self::Silent { .. } => "silent",
            Self::Idle => "idle",
            Self::Wire(_) => "unreadable",
            Self::Refused(_) => "refused",
            Self::Ended(_) => "ended",
            Self::CodecMissing { .. } => "codec_missing",
            Self::Security(_) => "security",
        }
    }

    /// Whether another connection may fare better without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::FailedRecently { .. }
            | Self::Io(_)
            | Self::Closed
            | Self::Silent { .. }
            | Self::Idle
            | Self::Ended(_)
            | Self::Wire(_) => true,
            // The next connection announces another class, or none.
            Self::Refused(exception) if codec::is_codec_missing(exception) => true,
            Self::Refused(exception) => exception.reaction() != Reaction::GiveUp,
            Self::CodecMissing { .. } => false,
            Self::Security(error) => error.is_transient(),
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The connection failed; whether the server did what was asked is unknown.
    #[error("the connection failed")]
    Connection(#[source] Arc<ConnectionError>),
    /// No answer in time; whether the server did what was asked is unknown.
    #[error("no answer within {} ms", waited.as_millis())]
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// The server refused.
    #[error("the server refused")]
    Exception(#[source] Exception),
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Wire(#[source] WireError),
    /// The request is longer than servers take; nothing was sent.
    #[error(
        "a {method} request of {bytes} bytes is longer than the {limit} that servers take: send fewer rows at once"
    )]
    TooBig {
        /// The method.
        method: String,
        /// Its length.
        bytes: usize,
        /// The longest that is sent.
        limit: usize,
    },
}

impl CallError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection(cause) => cause.is_transient(),
            Self::TimedOut { .. } | Self::Exception(_) | Self::Wire(_) => true,
            Self::TooBig { .. } => false,
        }
    }

    pub(super) fn outcome(&self) -> CallOutcome {
        match self {
            Self::Connection(_) => CallOutcome::Disconnected,
            Self::TimedOut { .. } => CallOutcome::TimedOut,
            Self::Exception(_) => CallOutcome::Refused,
            Self::Wire(_) => CallOutcome::Unreadable,
            Self::TooBig { .. } => CallOutcome::TooBig,
        }
    }
}
