//! From an address to a byte stream that is ready for the first request: socket, then preamble.
//!
//! The name is resolved anew at each dial: servers of orchestrated clusters change their addresses (HBASE-25292).

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::connection::ConnectionError;
use super::socket;
use crate::wire::preamble;

/// The half of a stream that answers are read from.
pub(crate) type Reading = Box<dyn AsyncRead + Send + Unpin>;
/// The half of a stream that requests are written to.
pub(crate) type Writing = Box<dyn AsyncWrite + Send + Unpin>;

/// Who dials, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    /// The user announced.
    pub(crate) user: String,
    /// Java class that compresses cell blocks; `None` is no compression.
    pub(crate) compressor: Option<&'static str>,
    /// For one connection, preamble included.
    pub(crate) connect_timeout: Duration,
}

/// A stream whose peer expects requests.
pub(crate) struct Dialed {
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// What must be written before the first request; it may go out together with it.
    pub(crate) hello: Bytes,
}

impl Dialer {
    /// Connects to a service of `host:port`.
    ///
    /// Cancel safe: dropped half-way, the socket closes.
    ///
    /// # Errors
    /// [`ConnectionError::Connect`].
    pub(crate) async fn dial(&self, address: &str, service: &str) -> Result<Dialed, ConnectionError> {
        let failed = |source| ConnectionError::Connect { address: address.to_owned(), source };
        let connect = tokio::time::timeout(self.connect_timeout, TcpStream::connect(address));
        let stream = connect.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(failed)?;
        socket::prepare(&stream).map_err(failed)?;
        let (reading, writing) = stream.into_split();
        let hello = preamble::hello(&self.user, service, self.compressor);
        Ok(Dialed { reading: Box::new(reading), writing: Box::new(writing), hello })
    }
}
