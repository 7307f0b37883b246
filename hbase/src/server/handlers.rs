//! The handlers of a server and the queue before them (`SimpleRpcScheduler`, `CallRunner`).
//!
//! # Laws
//! 1. So many calls are carried out at once; the others wait in the order of arrival. Reads have handlers of their own,
//!    so that a flood of writes does not starve meta, as HBase's priority handlers prevent it.
//! 2. A call that finds the queue full is refused at once (`CallQueueTooBigException`).
//! 3. A call that waited for longer than its own timeout is dropped without an answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
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
    writes: Semaphore,
    reads: Semaphore,
    calls_max: usize,
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// A place in the queue, and behind it one in front of a handler.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    handlers: &'a Handlers,
    bytes: usize,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.handlers.calls.fetch_sub(1, Ordering::Relaxed);
        self.handlers.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Handlers {
    pub(super) fn new(count: usize) -> Self {
        let count = count.max(1);
        Self {
            writes: Semaphore::new(count),
            reads: Semaphore::new(count),
            calls_max: count * QUEUE_PER_HANDLER,
            calls: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Takes a place in the queue; `None` if it is full.
    pub(super) fn queue(&self, bytes: usize) -> Option<Ticket<'_>> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let queued = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let ticket = Ticket { handlers: self, bytes };
        (calls < self.calls_max && queued < QUEUE_BYTES_MAX).then_some(ticket)
    }
}

impl<'a> Ticket<'a> {
    /// Waits for a handler. `None` if the call's own time was over before there was one.
    pub(super) async fn handler(self, method: &str, timeout_ms: Option<u32>) -> Option<SemaphorePermit<'a>> {
        let since = Instant::now();
        let handlers = match method {
            "Multi" | "Mutate" => &self.handlers.writes,
            _ => &self.handlers.reads,
        };
        // Nobody closes the semaphores.
        let permit = handlers.acquire().await.ok()?;
        let is_stale = |timeout_ms: u32| {
            let timeout = Duration::from_millis(u64::from(timeout_ms)).max(TIMEOUT_MIN);
            since.elapsed() > timeout
        };
        // 0 is no timeout.
        (!timeout_ms.filter(|timeout| *timeout > 0).is_some_and(is_stale)).then_some(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waited_past_its_own_time_is_dropped() {
        let handlers = Handlers::new(1);
        let first = handlers.queue(1).expect("room").handler("Multi", Some(100)).await.expect("a handler");
        let (late, patient) = (handlers.queue(1).expect("room"), handlers.queue(1).expect("room"));
        let free = async {
            tokio::time::sleep(Duration::from_millis(101)).await;
            drop(first);
        };
        let second = async { late.handler("Multi", Some(100)).await.is_some() };
        let third = async { patient.handler("Multi", Some(200)).await.is_some() };
        assert_eq!(tokio::join!(free, second, third), ((), false, true));
    }

    #[tokio::test]
    async fn writes_do_not_take_the_handlers_of_reads() {
        let handlers = Handlers::new(1);
        let _writing = handlers.queue(1).expect("room").handler("Multi", None).await.expect("a handler");
        assert!(handlers.queue(1).expect("room").handler("Scan", None).await.is_some());
    }

    #[test]
    fn a_full_queue_takes_no_more_until_a_call_leaves_it() {
        let handlers = Handlers::new(1);
        let mut tickets: Vec<Ticket<'_>> = (0..10).map(|_| handlers.queue(1).expect("room")).collect();
        assert!(handlers.queue(1).is_none());
        tickets.pop();
        assert!(handlers.queue(1).is_some());
        tickets.clear();
        let _large = handlers.queue(QUEUE_BYTES_MAX).expect("room");
        assert!(handlers.queue(1).is_none());
    }
}
