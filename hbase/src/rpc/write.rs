//! The writing half of a connection: requests in order of arrival, gathered into few system calls, never copied.
//!
//! # Laws
//! 1. What waits is bounded in bytes ([`QUEUE_BYTES`]); a caller waits for room, and its own deadline goes on.
//! 2. A request whose caller has given up before its first byte went out is not sent.
//! 3. A socket that takes nothing for the time of [`Limits::silence`](super::liveness::Limits) is dead.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::connection::Shared;
use super::dial::Writing;

/// Bytes of requests that may wait for the writer; one larger request waits until it is alone.
pub(super) const QUEUE_BYTES: usize = 16 << 20;
/// Requests that may wait, however small.
pub(super) const QUEUE_REQUESTS: usize = 256;
/// Parts of requests given to one `writev`; Linux takes at most 1024.
const SLICES_MAX: usize = 64;

/// A request on its way to the socket.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) id: u32,
    pub(super) parts: Vec<Bytes>,
    /// Its share of [`QUEUE_BYTES`], given back when it is written.
    pub(super) room: OwnedSemaphorePermit,
}

/// Writes until nobody can ask any more, or the socket fails.
pub(super) async fn write(
    mut writer: Writing,
    hello: Bytes,
    mut requests: mpsc::Receiver<Queued>,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let mut batch = Batch { parts: VecDeque::from([hello]), rooms: Vec::new() };
    loop {
        let bytes = write_all(&mut writer, &mut batch.parts, shared.limits.silence).await?;
        shared.metrics.sent.increment(bytes);
        if !batch.rooms.is_empty() {
            shared.sent();
            batch.rooms.clear();
        }
        let Some(request) = requests.recv().await else { return Ok(()) };
        batch.take(request, &shared);
        // What has gathered meanwhile goes out with the same system call.
        while batch.parts.len() < SLICES_MAX {
            let Ok(request) = requests.try_recv() else { break };
            batch.take(request, &shared);
        }
    }
}

/// Requests that go out together.
struct Batch {
    parts: VecDeque<Bytes>,
    rooms: Vec<OwnedSemaphorePermit>,
}

impl Batch {
    fn take(&mut self, request: Queued, shared: &Shared) {
        if shared.is_waiting(request.id) {
            self.parts.extend(request.parts);
            self.rooms.push(request.room);
        }
    }
}

/// Returns the bytes written.
async fn write_all(writer: &mut Writing, parts: &mut VecDeque<Bytes>, patience: Duration) -> io::Result<u64> {
    let mut total = 0;
    while let Some(front) = parts.front() {
        if front.is_empty() {
            parts.pop_front();
            continue;
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        for (slice, part) in slices.iter_mut().zip(parts.iter()) {
            *slice = IoSlice::new(part);
        }
        let count = parts.len().min(SLICES_MAX);
        let writing = writer.write_vectored(slices.get(..count).unwrap_or_default());
        let written = tokio::time::timeout(patience, writing).await;
        let mut written = written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        total += written as u64;
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
    // A boxed stream may hold bytes back (TLS).
    writer.flush().await?;
    Ok(total)
}
