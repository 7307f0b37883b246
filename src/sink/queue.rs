//! What one sink still has to write: a queue for each partition, one batch of a partition at a time.
//!
//! Rows of one partition are written in the order of the log, so equal versions end with the higher offset; partitions
//! do not wait for each other. The queue is bounded by the memory budget that every batch is charged to.
//!
//! A sink that is detached has its queue freed at once ([`SinkQueue::retain`]). When it comes back to the shared read, the
//! last batch of its private reader and the first one of the shared read come from two threads; a [`Bar`] keeps the second
//! behind the first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Batch;
use crate::mutant::{Mutant, is_planted};
use crate::progress::ledger::{Epoch, Ticket};
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
    /// Partitions of which only batches of this epoch may be taken, and the others that came meanwhile.
    barred: BTreeMap<TopicPartition, (Epoch, VecDeque<Arc<Batch>>)>,
    bytes: u64,
}

/// Keeps all batches of a partition but those of one epoch waiting, until it is dropped.
#[derive(Debug)]
pub struct Bar<'a> {
    queue: &'a SinkQueue,
    partition: TopicPartition,
}

impl SinkQueue {
    /// Adds a batch behind the others of its partition.
    pub fn push(&self, batch: Arc<Batch>) {
        let mut state = self.lock();
        state.bytes += batch.charge.bytes();
        match state.barred.get_mut(&batch.ticket.partition) {
            Some((epoch, barred)) if *epoch != batch.ticket.epoch => return barred.push_back(batch),
            _ => {}
        }
        if state.line_up(batch) {
            drop(state);
            self.ready.notify_one();
        }
    }

    /// From now on, batches of this partition that are not of `epoch` wait behind those that are.
    pub fn bar(&self, partition: &TopicPartition, epoch: Epoch) -> Bar<'_> {
        self.lock().barred.insert(partition.clone(), (epoch, VecDeque::new()));
        Bar { queue: self, partition: partition.clone() }
    }

    /// Drops every waiting batch whose ticket the sink does not want any more, and gives its bytes back. Those in flight
    /// go when they are released.
    pub fn retain(&self, is_wanted: impl Fn(&Ticket) -> bool) {
        let mut state = self.lock();
        let State { waiting, ready, barred, bytes, .. } = &mut *state;
        let mut dropped = Vec::new();
        let mut sift = |batches: &mut VecDeque<Arc<Batch>>| {
            let (kept, gone): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(batches).into_iter().partition(|batch| is_wanted(&batch.ticket));
            *batches = kept;
            dropped.extend(gone);
        };
        waiting.values_mut().for_each(&mut sift);
        barred.values_mut().for_each(|(_, batches)| sift(batches));
        for batch in &dropped {
            *bytes = bytes.saturating_sub(batch.charge.bytes());
        }
        waiting.retain(|_, batches| !batches.is_empty());
        ready.retain(|partition| waiting.contains_key(partition));
        drop(state);
        // Charges are given back outside of the lock.
        drop(dropped);
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

impl State {
    /// Puts a batch behind the others of its partition. Returns whether it can be taken at once.
    fn line_up(&mut self, batch: Arc<Batch>) -> bool {
        let partition = batch.ticket.partition.clone();
        let waiting = self.waiting.entry(partition.clone()).or_default();
        waiting.push_back(batch);
        let is_busy = self.in_flight.contains(&partition) && !is_planted(Mutant::TwoInFlight);
        let is_ready = waiting.len() == 1 && !is_busy;
        if is_ready {
            self.ready.push_back(partition);
        }
        is_ready
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        let Some((_, barred)) = state.barred.remove(&self.partition) else { return };
        let mut is_ready = false;
        for batch in barred {
            is_ready |= state.line_up(batch);
        }
        drop(state);
        if is_ready {
            self.queue.ready.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::progress::ledger::{Ledger, SinkStart};
    use crate::progress::offset::{Offset, Span};

    fn batches(spans: &[(i32, i64, i64)]) -> Vec<Arc<Batch>> {
        batches_charged_to(&Memory::new(1 << 20), spans)
    }

    fn batches_charged_to(memory: &Arc<Memory>, spans: &[(i32, i64, i64)]) -> Vec<Arc<Batch>> {
        let ledger = Ledger::new(vec![Arc::from("blue")]);
        let mut epochs = BTreeMap::new();
        let mut made = Vec::new();
        for (number, from, to) in spans {
            let partition = TopicPartition { topic: Arc::from("t"), partition: *number };
            let start = SinkStart { durable: Offset(*from), committed: None };
            let epoch = *epochs.entry(*number).or_insert_with(|| ledger.assign(&partition, Offset(*from), &[start]));
            let span = Span::new(Offset(*from), Offset(*to)).expect("not empty");
            let ticket = ledger.begin(&partition, epoch, span).expect("in order");
            made.push(Arc::new(Batch { ticket, tables: Vec::new(), last_ms: None, charge: memory.charge(1) }));
        }
        made
    }

    #[test]
    fn what_is_not_wanted_any_more_gives_its_bytes_back_at_once() {
        let memory = Memory::new(1 << 20);
        let queue = SinkQueue::default();
        for batch in batches_charged_to(&memory, &[(0, 0, 1), (0, 1, 2), (1, 0, 1)]) {
            queue.push(batch);
        }
        let first = queue.try_take().expect("ready");
        let one = queue.bytes() / 3;
        queue.retain(|ticket| ticket.partition.partition == 1);
        assert_eq!(queue.bytes(), 2 * one, "the one in flight and the one that is wanted");
        assert_eq!(memory.used(), 2 * one);
        queue.release(&first);
        drop(first);
        assert_eq!((queue.bytes(), memory.used()), (one, one));
        assert_eq!(place(&queue.try_take().expect("the wanted one")), (1, 0));
        assert!(queue.try_take().is_none());
    }

    #[test]
    fn a_bar_keeps_other_epochs_behind_one() {
        let queue = SinkQueue::default();
        let mut shared = batches(&[(0, 5, 9)]);
        let private = batches(&[(1, 0, 1), (0, 1, 5)]).pop().expect("two");
        let shared = shared.pop().expect("one");
        assert_ne!(private.ticket.epoch, shared.ticket.epoch);
        let bar = queue.bar(&shared.ticket.partition, private.ticket.epoch);
        queue.push(shared);
        assert!(queue.try_take().is_none());
        queue.push(private);
        let first = queue.try_take().expect("of the epoch");
        assert_eq!(place(&first), (0, 1));
        drop(bar);
        assert!(queue.try_take().is_none(), "one of a partition is in flight");
        queue.release(&first);
        assert_eq!(place(&queue.try_take().expect("behind it")), (0, 5));
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
