//! One connection: a writer and a reader, many calls in flight.
//!
//! # Laws
//! 1. Answers come in any order; a late one is skipped and the connection goes on.
//! 2. A call that runs out of time ends alone. Only when the server has sent nothing at all for as long as a call
//!    waited is the connection taken for dead.
//! 3. Whatever ends the connection ends every call in flight, with one cause.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::calls::{Calls, Outcome};
use super::dial::{self, Dialed, Dialer, Reading, Writing};
use crate::exception::{Exception, Reaction};
use crate::security::SecurityError;
use crate::wire::frame::{Answer, FATAL_CALL_ID, FRAME_BYTES_MAX, Response};
use crate::wire::message::RequestHeader;
use crate::wire::{WireError, frame};

/// Requests that may wait for the writer. Their bytes belong to the callers, who bound them.
const QUEUE_REQUESTS: usize = 64;
/// Parts of requests given to one `writev`; Linux takes at most 1024.
const SLICES_MAX: usize = 64;
/// The read buffer grows by this much at a time; large answers grow it to their own length.
const READ_BYTES: usize = 64 << 10;
/// The server drops calls that waited longer than their timeout; it never goes below 20 ms itself.
const TIMEOUT_MS_MIN: u32 = 20;

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
    /// Nothing came for as long as a call had time.
    #[error("the server has sent nothing for as long as a call had time")]
    Silent,
    /// The server sent what is no answer.
    #[error("the server sent what cannot be read")]
    Wire(#[source] WireError),
    /// The server refused the connection itself.
    #[error("the server refused the connection")]
    Refused(#[source] Exception),
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
    fn broken(error: io::Error, address: &str) -> Self {
        dial::refusal(&error, address).map_or_else(|| Self::Io(error), Self::Security)
    }

    /// Whether a new connection may succeed without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Security(error) => error.is_transient(),
            Self::Refused(exception) => exception.reaction() != Reaction::GiveUp,
            Self::Connect { .. }
            | Self::FailedRecently { .. }
            | Self::Io(_)
            | Self::Closed
            | Self::Silent
            | Self::Wire(_) => true,
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
}

/// An open connection to one service of one server. Cloning shares it; it closes when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Vec<Bytes>>,
    _tasks: Arc<Tasks>,
}

#[derive(Debug)]
struct Shared {
    address: String,
    calls: Mutex<Calls>,
    /// When anything came from the server last, in ms since the connection was made.
    heard_ms: AtomicU64,
    began: Instant,
}

#[derive(Debug)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Connection {
    /// Dials a service of `host:port` and starts reader and writer.
    ///
    /// Cancel safe: dropped half-way, the socket closes.
    ///
    /// # Errors
    /// What [`Dialer::dial`] says.
    pub(crate) async fn open(dialer: &Dialer, address: &str, service: &str) -> Result<Self, ConnectionError> {
        let Dialed { reading, writing, hello } = dialer.dial(address, service).await?;
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            calls: Mutex::default(),
            heard_ms: AtomicU64::new(0),
            began: Instant::now(),
        });
        let (queue, requests) = mpsc::channel(QUEUE_REQUESTS);
        let tasks = vec![
            tokio::spawn(write(writing, hello, requests, Arc::clone(&shared))),
            tokio::spawn(read(reading, Arc::clone(&shared))),
        ];
        Ok(Self { shared, queue, _tasks: Arc::new(Tasks(tasks)) })
    }

    /// `host:port` of the server.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Whether the connection is over; its calls fail at once then.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.shared.calls().is_failed()
    }

    /// Calls a method with a protobuf message and decodes its answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<A: Message + Default>(
        &self,
        (method, answer): (&str, &'static str),
        message: &impl Message,
        timeout: Duration,
    ) -> Result<(A, Bytes), CallError> {
        let reply = self.exchange(method, timeout, |header| vec![frame::request(header, message, 0)]).await?;
        let decoded = A::decode(reply.message);
        let decoded = decoded.map_err(|error| WireError::Message { what: answer, reason: error.to_string() });
        Ok((decoded.map_err(CallError::Wire)?, reply.cells))
    }

    /// Sends a request and waits for its answer. `frame` makes the request's bytes from the header; they are written in
    /// order without being copied.
    ///
    /// Cancel safe in that nothing leaks: the answer is skipped. What the server did is unknown.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn exchange(
        &self,
        method: &str,
        timeout: Duration,
        frame: impl FnOnce(&mut RequestHeader) -> Vec<Bytes>,
    ) -> Result<Answer, CallError> {
        let (id, answer) = self.shared.calls().register().map_err(CallError::Connection)?;
        let waiting = Waiting { shared: &self.shared, id };
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(TIMEOUT_MS_MIN);
        let mut header = RequestHeader {
            call_id: Some(id),
            method_name: Some(method.to_owned()),
            timeout: Some(timeout_ms),
            ..RequestHeader::default()
        };
        let request = frame(&mut header);
        let sent_at = Instant::now();
        let exchange = async {
            if self.queue.send(request).await.is_err() {
                self.shared.calls().fail(ConnectionError::Closed);
            }
            answer.await
        };
        let outcome: Outcome = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Arc::new(ConnectionError::Closed)),
            Err(_) => {
                self.shared.suspect_silence(sent_at);
                return Err(CallError::TimedOut { waited: timeout });
            }
        };
        drop(waiting);
        let response = outcome.map_err(CallError::Connection)?;
        response.result.map_err(|exception| CallError::Exception(Exception::of_call(*exception)))
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// A call ran out of time. If nothing came since it was sent, the peer is gone without a word.
    fn suspect_silence(&self, sent_at: Instant) {
        let sent_ms = sent_at.duration_since(self.began).as_millis() as u64;
        if self.heard_ms.load(Ordering::Relaxed) <= sent_ms {
            self.calls().fail(ConnectionError::Silent);
        }
    }
}

/// Takes the waiter away when the caller is gone.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.calls().forget(self.id);
    }
}

async fn write(mut writer: Writing, hello: Bytes, mut requests: mpsc::Receiver<Vec<Bytes>>, shared: Arc<Shared>) {
    let mut parts = VecDeque::from([hello]);
    loop {
        if let Err(error) = write_all(&mut writer, &mut parts).await {
            shared.calls().fail(ConnectionError::broken(error, &shared.address));
            return;
        }
        let Some(request) = requests.recv().await else { return };
        parts.extend(request);
        // What has gathered meanwhile goes out with the same system call.
        while parts.len() < SLICES_MAX {
            let Ok(request) = requests.try_recv() else { break };
            parts.extend(request);
        }
    }
}

async fn write_all(writer: &mut Writing, parts: &mut VecDeque<Bytes>) -> io::Result<()> {
    while let Some(front) = parts.front() {
        if front.is_empty() {
            parts.pop_front();
            continue;
        }
        let slices: Vec<IoSlice<'_>> = parts.iter().take(SLICES_MAX).map(|part| IoSlice::new(part)).collect();
        let mut written = writer.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(front) = parts.front_mut() {
            let step = written.min(front.len());
            front.advance(step);
            written -= step;
            if !front.is_empty() {
                break;
            }
            parts.pop_front();
        }
    }
    // TLS and protected streams may still hold what they have taken.
    writer.flush().await
}

async fn read(mut reader: Reading, shared: Arc<Shared>) {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let cause = loop {
        match read_frame(&mut reader, &mut buffer, &shared).await {
            Ok(frame) => match Response::decode(frame) {
                Ok(Response { call_id: FATAL_CALL_ID, result: Err(exception) }) => {
                    break ConnectionError::Refused(Exception::of_call(*exception));
                }
                Ok(response) => {
                    if !shared.calls().answer(response) {
                        tracing::debug!(server = shared.address, "late answer skipped");
                    }
                }
                Err(error) => break ConnectionError::Wire(error),
            },
            Err(cause) => break cause,
        }
    };
    shared.calls().fail(cause);
}

async fn read_frame(reader: &mut Reading, buffer: &mut BytesMut, shared: &Shared) -> Result<Bytes, ConnectionError> {
    fill(reader, buffer, 4, shared).await?;
    let length = buffer.get_u32() as usize;
    if length > FRAME_BYTES_MAX {
        let error = WireError::Impossible { what: "frame length", value: length as u64 };
        return Err(ConnectionError::Wire(error));
    }
    fill(reader, buffer, length, shared).await?;
    Ok(buffer.split_to(length).freeze())
}

/// Reads until the buffer holds `wanted` bytes.
async fn fill(
    reader: &mut Reading,
    buffer: &mut BytesMut,
    wanted: usize,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    while buffer.len() < wanted {
        // Grown step by step: a length is believed only as far as its bytes have come.
        buffer.reserve((wanted - buffer.len()).clamp(READ_BYTES, 4 << 20));
        match reader.read_buf(buffer).await {
            Ok(0) => return Err(ConnectionError::Closed),
            Ok(_) => shared.heard_ms.store(shared.now_ms() + 1, Ordering::Relaxed),
            Err(error) => return Err(ConnectionError::broken(error, &shared.address)),
        }
    }
    Ok(())
}
