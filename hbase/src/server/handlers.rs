//! The handlers of a server and the queue before them (`SimpleRpcScheduler`, `CallRunner`).
//!
//! # Laws
//! 1. So many calls are carried out at once; the others wait in the order of arrival. Reads have handlers of their own,
//!    so that a flood of writes does not starve meta, as HBase's priority handlers prevent it.
//! 2. A call that finds the queue full is refused at once (`CallQueueTooBigException`).
//! 3. A call that waited for longer than its own timeout is dropped without an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Calls that may wait for each handler (`hbase.ipc.server.max.callqueue.length` is ten times the handlers).
const QUEUE_PER_HANDLER: usize = 10;
/// Bytes of calls that may wait (`hbase.ipc.server.max.callqueue.size`).
const QUEUE_BYTES_MAX: usize = 1 << 30;
/// The server takes no timeout below this for meant (`hbase.ipc.min.client.request.timeout`).
const TIMEOUT_MIN: Duration = Duration::from_millis(20);

/// The handlers of one server.
#[derive(Debug)]
pub(super) struct Handlers {
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    calls_max: usize,
    queued: Arc<Queued>,
}

/// What waits.
#[derive(Debug, Default)]
struct Queued {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// What a call needs to be carried out: a handler, or a place in the queue before them.
#[derive(Debug)]
pub(super) enum Place {
    Handler(OwnedSemaphorePermit),
    Queue(Waiting),
    /// The queue is full.
    None,
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    handlers: Arc<Semaphore>,
    queued: Arc<Queued>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queued.calls.fetch_sub(1, Ordering::Relaxed);
        self.queued.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Handlers {
    pub(super) fn new(count: usize) -> Self {
        let count = count.max(1);
        Self {
            writes: Arc::new(Semaphore::new(count)),
            reads: Arc::new(Semaphore::new(count)),
            calls_max: count * QUEUE_PER_HANDLER,
            queued: Arc::default(),
        }
    }

    /// Takes a handler, or a place in the queue.
    pub(super) fn place(&self, method: &str, bytes: usize) -> Place {
        let handlers = match method {
            "Multi" | "Mutate" => &self.writes,
            _ => &self.reads,
        };
        if let Ok(handler) = Arc::clone(handlers).try_acquire_owned() {
            return Place::Handler(handler);
        }
        let calls = self.queued.calls.fetch_add(1, Ordering::Relaxed);
        let queued = self.queued.bytes.fetch_add(bytes, Ordering::Relaxed);
        let (handlers, queue) = (Arc::clone(handlers), Arc::clone(&self.queued));
        let waiting = Waiting { since: Instant::now(), handlers, queued: queue, bytes };
        if calls < self.calls_max && queued < QUEUE_BYTES_MAX { Place::Queue(waiting) } else { Place::None }
    }
}

impl Waiting {
    /// Waits for a handler. `None` if the call's own time was over before there was one.
    pub(super) async fn handler(self, timeout_ms: Option<u32>) -> Option<OwnedSemaphorePermit> {
        // Nobody closes the semaphores.
        let permit = Arc::clone(&self.handlers).acquire_owned().await.ok()?;
        // 0 is no timeout.
        let timeout = timeout_ms.filter(|timeout| *timeout > 0);
        let timeout = timeout.map(|timeout| Duration::from_millis(u64::from(timeout)).max(TIMEOUT_MIN));
        timeout.is_none_or(|timeout| self.since.elapsed() <= timeout).then_some(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(place: Place) -> OwnedSemaphorePermit {
        match place {
            Place::Handler(handler) => handler,
            other => panic!("no handler: {other:?}"),
        }
    }

    fn waiting(place: Place) -> Waiting {
        match place {
            Place::Queue(waiting) => waiting,
            other => panic!("no place in the queue: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waited_past_its_own_time_is_dropped() {
        let handlers = Handlers::new(1);
        let first = handler(handlers.place("Multi", 1));
        let (late, patient) = (waiting(handlers.place("Multi", 1)), waiting(handlers.place("Multi", 1)));
        let free = async {
            tokio::time::sleep(Duration::from_millis(101)).await;
            drop(first);
        };
        let second = async { late.handler(Some(100)).await.is_some() };
        let third = async { patient.handler(Some(200)).await.is_some() };
        assert_eq!(tokio::join!(free, second, third), ((), false, true));
    }

    #[test]
    fn writes_do_not_take_the_handlers_of_reads() {
        let handlers = Handlers::new(1);
        let _writing = handler(handlers.place("Multi", 1));
        let _reading = handler(handlers.place("Scan", 1));
    }

    #[test]
    fn a_full_queue_takes_no_more_until_a_call_leaves_it() {
        let handlers = Handlers::new(1);
        let _working = handler(handlers.place("Mutate", 1));
        let mut queue: Vec<Waiting> = (0..10).map(|_| waiting(handlers.place("Multi", 1))).collect();
        assert!(matches!(handlers.place("Multi", 1), Place::None));
        queue.pop();
        queue.push(waiting(handlers.place("Multi", 1)));
        queue.clear();
        let _large = waiting(handlers.place("Multi", QUEUE_BYTES_MAX));
        assert!(matches!(handlers.place("Multi", 1), Place::None));
    }
}
