//! One connection: a writer and a reader, many calls in flight.
//!
//! # Laws
//! 1. Answers come in any order; a late one is skipped and the connection goes on.
//! 2. A call that runs out of time ends alone; `liveness` decides when the connection is dead.
//! 3. Whatever ends the connection ends every call in flight, once, with one cause. The reader alone decides the cause:
//!    a server that refuses the connection says why before it closes, and the reason must not be lost to a writer that
//!    finds the socket closed first.

mod reader;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use self::reader::Reader;
use super::calls::{Calls, Outcome};
use super::codec;
use super::dial::{Dialed, Dialer};
pub use super::error::{CallError, ConnectionError};
use super::liveness::{Limits, Liveness};
use super::write::{QUEUE_BYTES, QUEUE_REQUESTS, Queued, write};
use crate::exception::Exception;
use crate::metrics::{CallOutcome, ConnectionMetrics};
use crate::wire::compress::Compression;
use crate::wire::frame::{Answer, FRAME_BYTES_MAX, REQUEST_BYTES_MAX, Response};
use crate::wire::message::RequestHeader;
use crate::wire::{WireError, frame};

/// The server drops calls that waited longer than their timeout; it never goes below 20 ms itself.
const TIMEOUT_MS_MIN: u32 = 20;

/// An open connection to one service of one server. Cloning shares it; it closes when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    _tasks: Arc<Tasks>,
}

/// How a connection behaves, and who it is for.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) cluster: Arc<str>,
    pub(crate) limits: Limits,
    /// What the dialer announced.
    pub(crate) compression: Compression,
}

#[derive(Debug)]
pub(super) struct Shared {
    address: String,
    compression: Compression,
    pub(super) limits: Limits,
    pub(super) metrics: ConnectionMetrics,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: Calls,
    /// Whether the server has answered a call: it has not refused the connection then.
    has_answered: bool,
    liveness: Liveness,
}

#[derive(Debug)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// A connection as it stands, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionState {
    /// `host:port`.
    pub server: String,
    /// Service that is called on it.
    pub service: &'static str,
    /// Calls without an answer yet.
    pub calls: usize,
    /// Bytes of requests that wait for the socket.
    pub queued_bytes: usize,
    /// For how long the server has owed an answer without sending a byte.
    pub silent_for: Option<Duration>,
    /// How cells are compressed.
    pub compression: Compression,
}

impl Connection {
    /// Dials a service of `host:port` and starts reader and writer.
    ///
    /// Cancel safe: dropped half-way, the socket closes.
    ///
    /// # Errors
    /// What [`Dialer::dial`] says.
    pub(crate) async fn open(
        dialer: &Dialer,
        (address, service): (&str, &str),
        terms: Terms,
    ) -> Result<Self, ConnectionError> {
        Ok(Self::over(dialer.dial(address, service).await?, address, terms))
    }

    /// Starts reader and writer of a stream that is ready.
    fn over(dialed: Dialed, address: &str, terms: Terms) -> Self {
        let Dialed { reading, writing, hello } = dialed;
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            compression: terms.compression,
            limits: terms.limits,
            metrics: ConnectionMetrics::new(&terms.cluster, address),
            began: Instant::now(),
            state: Mutex::default(),
        });
        let (queue, requests) = mpsc::channel(QUEUE_REQUESTS);
        let (writer_broke, broken) = oneshot::channel();
        let tasks = Arc::new_cyclic(|held| {
            let writing = write(writing, hello, requests, Arc::clone(&shared));
            let writer = tokio::spawn(async move {
                if let Err(error) = writing.await {
                    // Without a reader the cause is known already.
                    let _ = writer_broke.send(error);
                }
            });
            let reader = Reader { shared: Arc::clone(&shared), held: Weak::clone(held), broken: Some(broken) };
            Tasks(vec![writer, tokio::spawn(reader.run(reading))])
        });
        Self { shared, queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)), _tasks: tasks }
    }

    /// `host:port` of the server.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Whether the connection is over; its calls fail at once then.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.shared.state().calls.failure().is_some()
    }

    /// Why the connection is over, if it is.
    pub(crate) fn failure(&self) -> Option<Arc<ConnectionError>> {
        self.shared.state().calls.failure().cloned()
    }

    /// Calls without an answer yet.
    pub(crate) fn calls(&self) -> usize {
        self.shared.state().calls.len()
    }

    pub(crate) fn describe(&self, service: &'static str) -> ConnectionState {
        let state = self.shared.state();
        ConnectionState {
            server: self.shared.address.clone(),
            service,
            calls: state.calls.len(),
            queued_bytes: QUEUE_BYTES - self.room.available_permits().min(QUEUE_BYTES),
            silent_for: state.liveness.owed_since().map(|since| self.shared.now().saturating_sub(since)),
            compression: self.shared.compression,
        }
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

    /// Sends a request and waits for its answer. `frame` makes the request's bytes from the header: the frame up to the
    /// cell block in the first part, cells behind it. They are written in order without being copied, unless the
    /// connection compresses cells.
    ///
    /// Cancel safe in that nothing leaks: a request that has not begun to go out is not sent, a late answer is skipped.
    /// What the server did with a request that was sent is unknown.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn exchange(
        &self,
        method: &str,
        timeout: Duration,
        frame: impl FnOnce(&mut RequestHeader) -> Vec<Bytes>,
    ) -> Result<Answer, CallError> {
        let began = Instant::now();
        let metrics = self.shared.metrics.method(method);
        let span = tracing::debug_span!("call", server = self.shared.address, method);
        let result = self.exchange_unmeasured((method, timeout), frame).instrument(span).await;
        let outcome = result.as_ref().err().map_or(CallOutcome::Ok, CallError::outcome);
        metrics.ended(outcome, began.elapsed());
        result
    }

    async fn exchange_unmeasured(
        &self,
        (method, timeout): (&str, Duration),
        frame: impl FnOnce(&mut RequestHeader) -> Vec<Bytes>,
    ) -> Result<Answer, CallError> {
        let (id, answer) = self.shared.state().calls.register().map_err(CallError::Connection)?;
        let waiting = Waiting { shared: &self.shared, id };
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(TIMEOUT_MS_MIN);
        let mut header = RequestHeader {
            call_id: Some(id),
            method_name: Some(method.to_owned()),
            timeout: Some(timeout_ms),
            ..RequestHeader::default()
        };
        let parts = frame(&mut header);
        let compression = self.shared.compression;
        let parts = frame::compress_request(&mut header, parts, compression).map_err(CallError::Wire)?;
        let bytes = parts.iter().map(Bytes::len).sum();
        if bytes > REQUEST_BYTES_MAX {
            return Err(CallError::TooBig { method: method.to_owned(), bytes, limit: REQUEST_BYTES_MAX });
        }
        let exchange = async {
            let share = bytes.min(QUEUE_BYTES) as u32;
            if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(share).await {
                // A writer that is gone is the reader's to explain: the answer below is the cause.
                let _ = self.queue.send(Queued { id, parts, room }).await;
            }
            answer.await
        };
        let outcome: Outcome = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Arc::new(ConnectionError::Closed)),
            Err(_) => return Err(CallError::TimedOut { waited: timeout }),
        };
        drop(waiting);
        self.understand(outcome.map_err(CallError::Connection)?)
    }

    fn understand(&self, response: Response) -> Result<Answer, CallError> {
        let compression = self.shared.compression;
        match response.result {
            Ok(answer) if answer.cells.is_empty() || compression == Compression::None => Ok(answer),
            Ok(Answer { message, cells }) => {
                let cells = compression.decompress(cells, FRAME_BYTES_MAX).map_err(CallError::Wire)?;
                Ok(Answer { message, cells })
            }
            Err(exception) => {
                let exception = Exception::of_call(*exception);
                if compression != Compression::None && codec::is_codec_missing(&exception) {
                    // The class is there and its library is not: no call with cells will do better here.
                    let cause = ConnectionError::Refused(exception);
                    self.shared.state().calls.fail(cause);
                    let cause = self.failure().unwrap_or_else(|| Arc::new(ConnectionError::Closed));
                    return Err(CallError::Connection(cause));
                }
                Err(CallError::Exception(exception))
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn is_waiting(&self, id: u32) -> bool {
        self.state().calls.is_waiting(id)
    }

    /// The writer has given requests to the socket. Answers may have come already.
    pub(super) fn sent(&self) {
        let now = self.now();
        let mut state = self.state();
        if !state.calls.is_empty() {
            state.liveness.sent(now);
        }
    }

    /// Answers have come, or a part of one.
    fn heard(&self, answers: Vec<Response>) {
        let now = self.now();
        let mut state = self.state();
        state.has_answered |= !answers.is_empty();
        for answer in answers {
            if !state.calls.answer(answer) {
                tracing::debug!(server = self.address, "late answer skipped");
            }
        }
        let are_calls_open = !state.calls.is_empty();
        state.liveness.heard(now, are_calls_open);
    }
}

/// Takes the waiter away when the caller is gone.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.state().calls.forget(self.id);
    }
}

#[cfg(test)]
mod tests;
