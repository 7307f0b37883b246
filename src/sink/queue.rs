//! What one sink still has to write: a queue for each partition, one batch of a partition at a time.
//!
//! Rows of one partition are written in the order of the log, so equal versions end with the higher offset; partitions
//! do not wait for each other. The queue is bounded by the memory budget that every batch is charged to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Batch;
use crate::mutant::{Mutant, is_planted};
use crate::progress::offset::TopicPartition;

/// The batches of one sink that are not durable yet.
#[derive(Debug, Default)]
pub struct SinkQueue {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<TopicPartition, VecDeque<Arc<Batch>>>,
    /// Partitions with a batch to take and none in flight, longest waiting first.
    ready: VecDeque<TopicPartition>,
    in_flight: BTreeSet<TopicPartition>,
    bytes: u64,
}

impl SinkQueue {
    /// Adds a batch behind the others of its partition.
    pub fn push(&self, batch: Arc<Batch>) {
        let mut state = self.lock();
        state.bytes += batch.charge.bytes();
        let partition = batch.ticket.partition.clone();
        let waiting = state.waiting.entry(partition.clone()).or_default();
        waiting.push_back(batch);
        let is_busy = state.in_flight.contains(&partition) && !is_planted(Mutant::TwoInFlight);
        if state.waiting.get(&partition).is_some_and(|waiting| waiting.len() == 1) && !is_busy {
            state.ready.push_back(partition);
            drop(state);
            self.ready.notify_one();
        }
    }

    /// Takes the next batch of a partition that has none in flight; waits for one. Cancel safe.
    pub async fn take(&self) -> Arc<Batch> {
        loop {
            if let Some(batch) = self.try_take() {
                return batch;
            }
            self.ready.notified().await;
        }
    }

    /// Takes the next batch of a partition that has none in flight, if there is one.
    pub fn try_take(&self) -> Option<Arc<Batch>> {
        let mut state = self.lock();
        let partition = state.ready.pop_front()?;
        let batch = state.waiting.get_mut(&partition)?.pop_front()?;
        state.in_flight.insert(partition);
        Some(batch)
    }

    /// The batch in flight is done (durable or given up): its partition's next one may be taken.
    pub fn release(&self, batch: &Batch) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(batch.charge.bytes());
        let partition = &batch.ticket.partition;
        state.in_flight.remove(partition);
        let Some(waiting) = state.waiting.get(partition) else { return };
        if waiting.is_empty() {
            state.waiting.remove(partition);
            return;
        }
        state.ready.push_back(partition.clone());
        drop(state);
        self.ready.notify_one();
    }

    /// Bytes charged to batches that this sink has not finished.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::progress::ledger::{Ledger, SinkStart};
    use crate::progress::offset::{Offset, Span};

    fn batches(spans: &[(i32, i64, i64)]) -> Vec<Arc<Batch>> {
        let ledger = Ledger::new(vec![Arc::from("blue")]);
        let memory = Memory::new(1 << 20);
        let start = SinkStart { durable: Offset(0), committed: None };
        let mut epochs = BTreeMap::new();
        let mut made = Vec::new();
        for (number, from, to) in spans {
            let partition = TopicPartition { topic: Arc::from("t"), partition: *number };
            let epoch = *epochs.entry(*number).or_insert_with(|| ledger.assign(&partition, Offset(0), &[start]));
            let span = Span::new(Offset(*from), Offset(*to)).expect("not empty");
            let ticket = ledger.begin(&partition, epoch, span).expect("in order");
            made.push(Arc::new(Batch { ticket, tables: Vec::new(), last_ms: None, charge: memory.charge(1) }));
        }
        made
    }

    fn place(batch: &Batch) -> (i32, i64) {
        (batch.ticket.partition.partition, batch.ticket.span.start().0)
    }

    #[test]
    fn one_batch_of_a_partition_is_in_flight_and_others_do_not_wait() {
        let queue = SinkQueue::default();
        for batch in batches(&[(0, 0, 1), (0, 1, 2), (1, 0, 1)]) {
            queue.push(batch);
        }
        let first = queue.try_take().expect("ready");
        let second = queue.try_take().expect("ready");
        assert_eq!((place(&first), place(&second)), ((0, 0), (1, 0)));
        assert!(queue.try_take().is_none());
        queue.release(&first);
        assert_eq!(place(&queue.try_take().expect("ready")), (0, 1));
    }

    #[test]
    fn bytes_are_those_of_unfinished_batches() {
        let queue = SinkQueue::default();
        for batch in batches(&[(0, 0, 1), (0, 1, 2)]) {
            queue.push(batch);
        }
        let one = queue.bytes() / 2;
        let first = queue.try_take().expect("ready");
        assert_eq!(queue.bytes(), 2 * one);
        queue.release(&first);
        assert_eq!(queue.bytes(), one);
        let second = queue.try_take().expect("ready");
        queue.release(&second);
        assert_eq!(queue.bytes(), 0);
    }
}
