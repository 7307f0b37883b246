//! The engine's seams (`halcyon::source::kafka::group`) on the simulated broker, as one process sees them.
//!
//! Whatever blocks in production lets the rest of the world go on here: a commit in flight, a drain, a pause.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use halcyon::progress::ledger::{GroupCommit, SinkCommit};
use halcyon::progress::offset::{Offset, TopicPartition};
use halcyon::progress::topic_id::TopicId;
use halcyon::source::kafka::group::{Entry, Group, Headers, Offsets, Polled, Queue, Rebalance};
use halcyon::source::kafka::offsets::Commit;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::broker::Fetched;
use super::world::{Shell, World};

/// Membership.
pub(super) struct SimGroup {
    pub(super) world: Rc<World>,
    pub(super) shell: Rc<Shell>,
}

/// The queue of one partition.
pub(super) struct SimQueue {
    world: Rc<World>,
    client: usize,
    partition: i32,
    serial: u64,
}

impl Queue for SimQueue {
    fn consume(&mut self, mut each: impl FnMut(Entry<'_>)) -> usize {
        let count = self.world.between(1, 4);
        let taken = self.world.broker.borrow_mut().consume(self.client, (self.partition, self.serial), count);
        for entry in &taken {
            each(match entry {
                Fetched::Record(record) => Entry::Record {
                    offset: Offset(record.offset),
                    timestamp_ms: record.id as i64,
                    key: None,
                    payload: Some(&record.payload),
                    headers: Headers::none(),
                },
                Fetched::Error(code) => Entry::Error(*code),
            });
        }
        taken.len()
    }
}

impl SimGroup {
    fn client(&self) -> usize {
        self.shell.client.get()
    }

    /// Lets the world go on while this process is stopped.
    fn stay_paused(&self) {
        while self.world.is_paused(&self.shell) && self.world.nested() {}
        self.world.drive(&self.shell);
    }
}

impl Group for SimGroup {
    type Queue = SimQueue;

    fn poll(&self, _: Duration) -> Polled {
        let chance = self.world.faults().stray;
        if !self.world.permille(chance) {
            return Polled::Nothing;
        }
        let partition = self.world.below(self.world.plan.partitions as usize) as i32;
        let stray = self.world.broker.borrow_mut().stray(self.client(), partition);
        stray.map_or(Polled::Nothing, |partition| {
            self.world.trace(|| format!("{}: a stray record of {partition}", self.shell));
            Polled::Stray(partition)
        })
    }

    fn next_rebalance(&self) -> Option<Rebalance> {
        let change = self.world.broker.borrow_mut().take_rebalance(self.client());
        if let Some(change) = &change {
            self.world.trace(|| format!("{}: {change:?}", self.shell));
        }
        change
    }

    fn is_lost(&self) -> bool {
        self.world.broker.borrow().is_lost(self.client())
    }

    fn split(&self, partition: &TopicPartition) -> Option<SimQueue> {
        let serial = self.world.broker.borrow_mut().split(self.client(), partition.partition);
        Some(SimQueue { world: Rc::clone(&self.world), client: self.client(), partition: partition.partition, serial })
    }

    fn assign(&self, places: &[(TopicPartition, Offset)]) -> KafkaResult<()> {
        self.world.trace(|| format!("{}: reads {}", self.shell, shown(places)));
        self.world.broker.borrow_mut().answer_assign(self.client(), places);
        Ok(())
    }

    fn unassign(&self, places: &[(TopicPartition, Offset)]) -> KafkaResult<()> {
        self.world.trace(|| format!("{}: gave up {}", self.shell, shown(places)));
        self.world.broker.borrow_mut().answer_revoke(self.client());
        Ok(())
    }

    fn reassign(&self, partition: &TopicPartition, offset: Offset) -> KafkaResult<SimQueue> {
        self.world.trace(|| format!("{}: takes {partition} anew at {offset}", self.shell));
        let serial = self.world.broker.borrow_mut().reassign(self.client(), partition.partition, offset.0);
        Ok(SimQueue { world: Rc::clone(&self.world), client: self.client(), partition: partition.partition, serial })
    }

    fn seek(&self, partition: &TopicPartition, offset: Offset) -> KafkaResult<()> {
        self.world.trace(|| format!("{}: seeks {partition} to {offset}", self.shell));
        self.world.broker.borrow_mut().seek(self.client(), partition.partition, offset.0);
        Ok(())
    }

    fn positions(&self) -> KafkaResult<Vec<(TopicPartition, Offset)>> {
        Ok(self.world.broker.borrow().positions(self.client()))
    }

    fn readable_end(&self, partition: &TopicPartition) -> Option<Offset> {
        Some(Offset(self.world.broker.borrow().logs[partition.partition as usize].end))
    }

    /// Nothing is learned but from the broker itself.
    fn forget(&self, _: &TopicPartition) {}

    fn commit(&self, commits: &[GroupCommit]) -> KafkaResult<()> {
        let failed = |code| Err(KafkaError::ConsumerCommit(code));
        self.shell.is_committing.set(true);
        self.world.nested_some();
        self.stay_paused();
        let refused = if !self.shell.is_alive() {
            failed(RDKafkaErrorCode::BrokerTransportFailure)
        } else if self.world.permille(self.world.faults().broker_error) {
            failed(RDKafkaErrorCode::RequestTimedOut)
        } else {
            self.world.commit_member(&self.shell, commits).or_else(failed)
        };
        if refused.is_ok() && self.world.permille(self.world.faults().commit_pause) {
            self.world.pause(&self.shell);
        }
        self.world.nested_some();
        self.stay_paused();
        self.shell.is_committing.set(false);
        refused?;
        if !self.shell.is_alive() || self.world.permille(self.world.faults().broker_error / 2) {
            return failed(RDKafkaErrorCode::RequestTimedOut);
        }
        Ok(())
    }

    fn leave(&self) {
        self.world.trace(|| format!("{}: leaves the group", self.shell));
        self.world.broker.borrow_mut().leave(self.client());
    }

    fn renew(&self) -> KafkaResult<()> {
        self.world.trace(|| format!("{}: has a new client", self.shell));
        self.world.renew(&self.shell);
        Ok(())
    }

    /// The future is polled whenever this process would run; time and everybody else go on in between.
    fn wait<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if !self.shell.is_alive() || self.world.has_failed() {
                // Nothing that it does matters any more: its own clock runs ahead to the end of the wait.
                return self.shell.runtime.block_on(future);
            }
            if !self.world.is_paused(&self.shell) {
                self.world.drive(&self.shell);
                let ready = Cell::new(None);
                self.shell.runtime.block_on(poll_fn(|context| {
                    if let Poll::Ready(output) = future.as_mut().poll(context) {
                        ready.set(Some(output));
                    }
                    Poll::Ready(())
                }));
                if let Some(output) = ready.into_inner() {
                    return output;
                }
            }
            self.world.nested();
        }
    }

    fn pause(&self, time: Duration) {
        let until = self.world.now() + time;
        while self.shell.is_alive() && (self.world.now() < until || self.world.is_paused(&self.shell)) {
            if !self.world.nested() {
                break;
            }
        }
        if self.shell.is_alive() && !self.world.has_failed() {
            self.world.drive(&self.shell);
        } else {
            // Whatever it waits for, its own clock takes it there.
            self.shell.runtime.block_on(tokio::time::advance(time));
        }
    }
}

fn shown(places: &[(TopicPartition, Offset)]) -> String {
    places.iter().map(|(place, offset)| format!("{}@{offset}", place.partition)).collect::<Vec<_>>().join(" ")
}

/// The offsets of one sink's group, or of the membership group as others see them.
pub(super) struct SimOffsets {
    pub(super) world: Rc<World>,
    pub(super) shell: Rc<Shell>,
    /// `None` for the membership group, which only its members commit.
    pub(super) sink: Option<usize>,
    pub(super) group: String,
}

impl std::fmt::Debug for SimOffsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.group)
    }
}

impl SimOffsets {
    fn answer(&self) -> KafkaResult<()> {
        if !self.shell.is_alive() || self.world.permille(self.world.faults().broker_error) {
            return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::RequestTimedOut));
        }
        Ok(())
    }

    fn committed(&self, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, Commit> {
        let broker = self.world.broker.borrow();
        let commit = |place: &TopicPartition| {
            let of = (self.group.clone(), place.partition);
            let metadata = broker.metadata.get(&of).cloned().unwrap_or_default();
            Some((place.clone(), Commit { offset: Offset(*broker.offsets.get(&of)?), metadata }))
        };
        partitions.iter().filter_map(commit).collect()
    }

    fn write(&self, places: &[(&TopicPartition, Offset)]) -> KafkaResult<()> {
        self.answer()?;
        let sink = self.sink.expect("the membership group is committed by its members");
        for place in places {
            self.world.commit_sink(&self.shell, (sink, &self.group), *place);
        }
        self.answer()
    }

    /// An answer is on its way, or the process is stopped, while the others go on.
    fn go_by(&self) {
        self.world.nested_some();
        if self.world.permille(self.world.faults().commit_pause) {
            self.world.pause(&self.shell);
        }
        while self.world.is_paused(&self.shell) && self.world.nested() {}
        if self.shell.is_alive() && !self.world.has_failed() {
            self.world.drive(&self.shell);
        }
    }
}

impl Offsets for SimOffsets {
    fn group(&self) -> &str {
        &self.group
    }

    fn commits(&self, partitions: &[TopicPartition]) -> KafkaResult<BTreeMap<TopicPartition, Commit>> {
        self.answer()?;
        let commits = self.committed(partitions);
        self.go_by();
        Ok(commits)
    }

    /// The simulated broker has no topic ids.
    fn remember(&self, _: &BTreeMap<String, TopicId>) {}

    fn commit(&self, commits: &[SinkCommit]) -> KafkaResult<()> {
        let places: Vec<_> = commits.iter().map(|commit| (&commit.partition, commit.offset)).collect();
        self.write(&places)
    }

    fn commit_places(&self, places: &[(&TopicPartition, Offset)]) -> KafkaResult<()> {
        self.write(places)
    }

    fn log_range(&self, partition: &TopicPartition) -> KafkaResult<(Offset, Offset)> {
        self.answer()?;
        let log = &self.world.broker.borrow().logs[partition.partition as usize];
        Ok((Offset(log.low), Offset(log.end)))
    }

    fn at_time(&self, _: &[TopicPartition], _: i64) -> KafkaResult<BTreeMap<TopicPartition, Offset>> {
        Ok(BTreeMap::new())
    }

    fn partition_count(&self, _: &str) -> KafkaResult<Option<i32>> {
        self.answer()?;
        Ok(Some(self.world.plan.partitions))
    }

    fn topic_ids(&self, _: &[&str]) -> KafkaResult<BTreeMap<String, TopicId>> {
        self.answer()?;
        Ok(BTreeMap::new())
    }
}
