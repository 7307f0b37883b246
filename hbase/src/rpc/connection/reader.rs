//! The reading half of a connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::{Shared, Tasks};
use crate::exception::Exception;
use crate::rpc::dial::Reading;
use crate::rpc::error::ConnectionError;
use crate::rpc::liveness::Verdict;
use crate::wire::frame::{self, FATAL_CALL_ID, Response};

/// The read buffer grows by this much at a time; large answers grow it to their own length, step by step: a length is
/// believed only as far as its bytes have come.
const READ_BYTES: usize = 64 << 10;
/// One step of a large answer.
const READ_STEP_BYTES: usize = 4 << 20;
/// So long the reader looks for the server's reason after the writer found the socket broken.
pub(super) const REASON_PATIENCE: Duration = Duration::from_secs(1);

/// The reading half of a connection, and the one that ends it.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    /// The pool's clone is one; more are held by callers.
    pub(super) held: Weak<Tasks>,
    pub(super) broken: Option<oneshot::Receiver<io::Error>>,
}

impl Reader {
    pub(super) async fn run(mut self, reading: Reading) {
        let cause = self.read(reading).await;
        self.shared.metrics.ended(cause.cause());
        tracing::debug!(server = self.shared.address, cause = cause.cause(), "connection ended");
        self.shared.state().calls.fail(cause);
        // The socket closes when both halves are gone.
        if let Some(writer) = self.held.upgrade().as_ref().and_then(|tasks| tasks.0.first()) {
            writer.abort();
        }
    }

    async fn read(&mut self, mut reading: Reading) -> ConnectionError {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let mut alarm = std::pin::pin!(tokio::time::sleep(self.shared.limits.silence));
        let mut written: Option<io::Error> = None;
        let mut missing = READ_BYTES;
        loop {
            buffer.reserve(missing.clamp(READ_BYTES, READ_STEP_BYTES));
            let ended = tokio::select! {
                biased;
                read = reading.read_buf(&mut buffer) => match read {
                    Ok(0) => ConnectionError::Closed,
                    Ok(bytes) => {
                        self.shared.metrics.received.increment(bytes as u64);
                        match self.take_answers(&mut buffer) {
                            Ok(needed) => missing = needed,
                            Err(cause) => return cause,
                        }
                        continue;
                    }
                    Err(error) => ConnectionError::broken(error, &self.shared.address),
                },
                error = broken(&mut self.broken) => {
                    written = Some(error);
                    alarm.as_mut().reset(Instant::now() + REASON_PATIENCE);
                    continue;
                }
                () = &mut alarm => match self.alarm(&mut alarm, written.is_some()) {
                    Some(cause) => cause,
                    None => continue,
                },
            };
            return match written {
                Some(error) => ConnectionError::broken(error, &self.shared.address),
                None => ended,
            };
        }
    }

    /// Hands out all whole answers of the buffer. Returns how many bytes the next one needs.
    fn take_answers(&self, buffer: &mut BytesMut) -> Result<usize, ConnectionError> {
        let mut answers = Vec::new();
        let fatal = loop {
            match frame::take(buffer).and_then(|frame| frame.map(Response::decode).transpose()) {
                Ok(Some(Response { call_id: FATAL_CALL_ID, result: Err(exception) })) => {
                    let has_answered = self.shared.state().has_answered || !answers.is_empty();
                    let exception = Exception::of_call(*exception);
                    break Some(match has_answered {
                        true => ConnectionError::Ended(exception),
                        false => ConnectionError::Refused(exception),
                    });
                }
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) => break None,
                Err(error) => break Some(ConnectionError::Wire(error)),
            }
        };
        self.shared.heard(answers);
        match fatal {
            Some(cause) => Err(cause),
            None => frame::missing(buffer).map_err(ConnectionError::Wire),
        }
    }

    /// The time has come to look whether the connection is dead or idle. Returns why it ends, if it does.
    fn alarm(&self, alarm: &mut Pin<&mut Sleep>, is_broken: bool) -> Option<ConnectionError> {
        if is_broken {
            return Some(ConnectionError::Closed);
        }
        let now = self.shared.now();
        let mut state = self.shared.state();
        // Whoever takes a clone looks at the failure behind this lock afterwards, so nobody is left with a closed one.
        let is_wanted = !state.calls.is_empty() || self.held.strong_count() > 1;
        match state.liveness.judge(now, self.shared.limits, is_wanted) {
            Verdict::Dead => Some(ConnectionError::Silent { silence: self.shared.limits.silence }),
            Verdict::Idle => {
                state.calls.fail(ConnectionError::Idle);
                Some(ConnectionError::Idle)
            }
            Verdict::LookAgain { at } => {
                alarm.as_mut().reset(self.shared.began + at);
                None
            }
        }
    }
}

/// Waits for the writer's failure; for ever if it has ended in order.
async fn broken(writer: &mut Option<oneshot::Receiver<io::Error>>) -> io::Error {
    if let Some(waiting) = writer.as_mut() {
        let error = waiting.await;
        *writer = None;
        if let Ok(error) = error {
            return error;
        }
    }
    std::future::pending().await
}
