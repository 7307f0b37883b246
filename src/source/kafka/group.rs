//! What the source needs of Kafka, as small traits: the poll side of a consumer group, the queue of one partition, and
//! offsets kept without membership.
//!
//! All that decides (reader, committer, starts, watchdog) is written against these. librdkafka stands behind them in
//! `client.rs`, a broker made of a seed in `tests/simulation`. Calls are generic, never `dyn`: a record costs no
//! dispatch.
//!
//! # Contract
//! 1. [`Group::poll`], [`Group::assign`], [`Group::unassign`], [`Group::seek`] and the queues are used by one thread;
//!    [`Group::commit`] by any.
//! 2. After a change of the assignment was taken from [`Group::next_rebalance`], nothing is delivered for the partitions
//!    it names until [`Group::assign`] or [`Group::unassign`] has answered it.
//! 3. A queue gives the records of its partition in the order of the log, from where the partition was assigned or
//!    sought last. Offsets may be missing: they carry no record.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::offsets::Commit;
pub use super::queue::Headers;
use crate::progress::ledger::{GroupCommit, SinkCommit};
use crate::progress::offset::{Offset, TopicPartition};
use crate::progress::topic_id::TopicId;

/// A change of the assignment that the reader has to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// Partitions to take.
    Assign(Vec<TopicPartition>),
    /// Partitions to give up.
    Revoke(Vec<TopicPartition>),
}

/// What the client's own queue held.
#[derive(Debug)]
pub enum Polled {
    /// Nothing but callbacks.
    Nothing,
    /// A record of this partition, fetched before its queue was split off; the partition must be sought.
    Stray(TopicPartition),
    /// The client reports an error.
    Error(KafkaError),
}

/// One entry of a partition's queue, valid for the duration of the callback.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A record.
    Record {
        /// Its offset.
        offset: Offset,
        /// Milliseconds since 1970, or -1.
        timestamp_ms: i64,
        /// The key, if any.
        key: Option<&'a [u8]>,
        /// The payload, if any.
        payload: Option<&'a [u8]>,
        /// The headers.
        headers: Headers<'a>,
    },
    /// An error of the partition. The partition must be sought before the next call.
    Error(RDKafkaErrorCode),
}

/// The records of one partition that were fetched ahead.
pub trait Queue {
    /// Gives what is there now to `each`, in order, a bounded number of entries. Does not wait. Returns their number.
    fn consume(&mut self, each: impl FnMut(Entry<'_>)) -> usize;
}

/// Membership in a consumer group.
pub trait Group {
    /// The queue of a partition.
    type Queue: Queue;

    /// Serves the client's callbacks, waiting at most this long for one.
    fn poll(&self, wait: Duration) -> Polled;

    /// The oldest change of the assignment that was not carried out yet.
    fn next_rebalance(&self) -> Option<Rebalance>;

    /// Whether the assignment was lost (session expired, fenced): another process may own its partitions already.
    fn is_lost(&self) -> bool;

    /// Splits the partition's queue off. Must happen before the partition is assigned, else records become strays.
    fn split(&self, partition: &TopicPartition) -> Option<Self::Queue>;

    /// Answers an assignment: these partitions are read from these offsets.
    ///
    /// # Errors
    /// What the client says.
    fn assign(&self, places: &[(TopicPartition, Offset)]) -> KafkaResult<()>;

    /// Answers a revocation: these partitions, which were assigned before, are no longer read.
    ///
    /// # Errors
    /// What the client says.
    fn unassign(&self, places: &[(TopicPartition, Offset)]) -> KafkaResult<()>;

    /// Gives a partition up and takes it again from this offset, without the group taking note: for one whose queue is
    /// stuck. The queue it had is dead.
    ///
    /// # Errors
    /// What the client says.
    fn reassign(&self, partition: &TopicPartition, offset: Offset) -> KafkaResult<Self::Queue>;

    /// Reads a partition from this offset on.
    ///
    /// # Errors
    /// What the client says.
    fn seek(&self, partition: &TopicPartition, offset: Offset) -> KafkaResult<()>;

    /// Behind what the queues have given: moves over offsets that carry no record too.
    ///
    /// # Errors
    /// What the client says.
    fn positions(&self) -> KafkaResult<Vec<(TopicPartition, Offset)>>;

    /// Up to where a partition can be read, as the client learned last; `None` while it has no connection to learn by.
    fn readable_end(&self, partition: &TopicPartition) -> Option<Offset>;

    /// Forgets what was learned about a partition that is read elsewhere now.
    fn forget(&self, partition: &TopicPartition);

    /// Commits as a member, fenced by the group's generation. Blocks until the coordinator has answered.
    ///
    /// # Errors
    /// What the coordinator or the client says; nothing was committed then, or it is not known.
    fn commit(&self, commits: &[GroupCommit]) -> KafkaResult<()>;

    /// Leaves the group: a revocation of everything follows.
    fn leave(&self);

    /// Puts a new client in the place of this one, which is dropped with everything that was assigned to it.
    ///
    /// # Errors
    /// What the client says; the old one stays then.
    fn renew(&self) -> KafkaResult<()>;

    /// Blocks until the future is done.
    fn wait<F: Future>(&self, future: F) -> F::Output;

    /// Blocks for this long.
    fn pause(&self, time: Duration);
}

/// The committed offsets of a group without members, and facts of the log.
pub trait Offsets {
    /// The group id.
    fn group(&self) -> &str;

    /// What the group has committed for these partitions, with what was written beside the offsets; partitions without a
    /// commit are left out. Blocks.
    ///
    /// # Errors
    /// What the coordinator or the client says.
    fn commits(&self, partitions: &[TopicPartition]) -> KafkaResult<BTreeMap<TopicPartition, Commit>>;

    /// From now on commits of these topics say that they are of these; of each topic the first id that is given stays.
    fn remember(&self, topics: &BTreeMap<String, TopicId>);

    /// Commits; returns when the coordinator has answered. Blocks.
    ///
    /// # Errors
    /// What the coordinator or the client says; some partitions may have been committed.
    fn commit(&self, commits: &[SinkCommit]) -> KafkaResult<()>;

    /// The same for places that nobody has read yet: first starts.
    ///
    /// # Errors
    /// As [`Offsets::commit`].
    fn commit_places(&self, places: &[(&TopicPartition, Offset)]) -> KafkaResult<()>;

    /// The log of a partition now; it ends at the last stable offset. Blocks.
    ///
    /// # Errors
    /// What the broker or the client says.
    fn log_range(&self, partition: &TopicPartition) -> KafkaResult<(Offset, Offset)>;

    /// For each partition the first offset at or after `time_ms`; partitions that end before it are left out. Blocks.
    ///
    /// # Errors
    /// What the broker or the client says.
    fn at_time(&self, partitions: &[TopicPartition], time_ms: i64) -> KafkaResult<BTreeMap<TopicPartition, Offset>>;

    /// Number of partitions of a topic, if it exists. Blocks.
    ///
    /// # Errors
    /// What the broker or the client says.
    fn partition_count(&self, topic: &str) -> KafkaResult<Option<i32>>;

    /// The ids of topics; empty where brokers have none. Blocks.
    ///
    /// # Errors
    /// What the broker or the client says.
    fn topic_ids(&self, topics: &[&str]) -> KafkaResult<BTreeMap<String, TopicId>>;
}
