//! Transactions that nobody ends: a partition's last stable offset stays behind its high watermark, readers of committed
//! records stop there, and lag looks like zero. Seen here, told once, shown until it is over.
//!
//! A transaction is bounded by its producer's `transaction.timeout.ms` (a minute by default), after which the coordinator
//! aborts it; one that is open for longer than that is a producer with a long timeout, or a marker that was lost.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::gauge;

use crate::metrics as name;
use crate::progress::offset::{Offset, TopicPartition};

/// What there is to tell about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Nothing new.
    Nothing,
    /// The transaction is open for too long.
    Hanging,
    /// It was ended after all.
    Over,
}

/// An open transaction, as the two ends of a log show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    /// The last stable offset: its first record.
    at: Offset,
    since: Instant,
    is_told: bool,
}

/// A transaction that is open for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hanging {
    /// The partition.
    pub partition: TopicPartition,
    /// Its first record: readers stop here.
    pub at: Offset,
    /// For how long it was seen.
    pub age: Duration,
}

impl fmt::Display for Hanging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a transaction is open at offset {} for {} s: nothing behind it can be read",
            self.at,
            self.age.as_secs()
        )
    }
}

/// The open transactions of all partitions.
#[derive(Debug)]
pub struct StableEnds {
    patience: Duration,
    open: Mutex<BTreeMap<TopicPartition, Open>>,
}

impl StableEnds {
    /// Tells of transactions that are open for longer than `patience`.
    #[must_use]
    pub fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self { patience, open: Mutex::default() })
    }

    /// Takes note of a partition's last stable offset and high watermark; negative ones are not known yet.
    pub(super) fn observe(&self, partition: &TopicPartition, ends: (Offset, Offset), now: Instant) {
        let told = step(&mut self.lock(), partition, ends, (now, self.patience));
        let (stable, high) = ends;
        match told {
            Told::Nothing => {}
            Told::Hanging => tracing::warn!(
                %partition,
                offset = %stable,
                behind = high.0 - stable.0,
                patience_seconds = self.patience.as_secs(),
                "a transaction is open for too long: nothing behind its first record can be read until it ends; find its \
                 producer with `kafka-transactions.sh find-hanging`, end it with `kafka-transactions.sh abort`"
            ),
            Told::Over => tracing::info!(%partition, offset = %stable, "the open transaction has ended"),
        }
        let age =
            self.lock().get(partition).map_or(0.0, |open| now.saturating_duration_since(open.since).as_secs_f64());
        let number = partition.partition.to_string();
        gauge!(
            name::TRANSACTION_OPEN_SECONDS,
            "topic" => name::label(&partition.topic), "partition" => name::label(&number)
        )
        .set(age);
    }

    /// Transactions that are open for too long now.
    #[must_use]
    pub fn hanging(&self) -> Vec<Hanging> {
        let open = self.lock();
        let told = open.iter().filter(|(_, open)| open.is_told);
        told.map(|(partition, open)| Hanging { partition: partition.clone(), at: open.at, age: open.since.elapsed() })
            .collect()
    }

    /// Forgets a partition that is read elsewhere now.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        self.lock().remove(partition);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pure part: one look at a partition.
fn step(
    open: &mut BTreeMap<TopicPartition, Open>,
    partition: &TopicPartition,
    (stable, high): (Offset, Offset),
    (now, patience): (Instant, Duration),
) -> Told {
    if stable.0 < 0 || high.0 < 0 {
        return Told::Nothing;
    }
    if stable >= high {
        let was_told = open.remove(partition).is_some_and(|open| open.is_told);
        return if was_told { Told::Over } else { Told::Nothing };
    }
    let fresh = Open { at: stable, since: now, is_told: false };
    let held = open.entry(partition.clone()).or_insert(fresh);
    if held.at != stable {
        // That one ended; the next one has begun already.
        let was_told = held.is_told;
        *held = fresh;
        return if was_told { Told::Over } else { Told::Nothing };
    }
    if !held.is_told && now.saturating_duration_since(held.since) >= patience {
        held.is_told = true;
        return Told::Hanging;
    }
    Told::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Looks at one partition; each is (seconds, last stable offset, high watermark).
    fn told(looks: &[(u64, i64, i64)]) -> Vec<Told> {
        let partition = TopicPartition { topic: Arc::from("chat"), partition: 0 };
        let (began, mut open) = (Instant::now(), BTreeMap::new());
        let look = |(seconds, stable, high): &(u64, i64, i64)| {
            let now = began + Duration::from_secs(*seconds);
            step(&mut open, &partition, (Offset(*stable), Offset(*high)), (now, PATIENCE))
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_hanging_transaction_is_told_once_and_its_end_too() {
        use Told::{Hanging, Nothing, Over};
        let looks = [(0, 10, 12), (59, 10, 15), (60, 10, 15), (90, 10, 20), (100, 21, 21), (110, 21, 21)];
        assert_eq!(told(&looks), [Nothing, Nothing, Hanging, Nothing, Over, Nothing]);
    }

    #[test]
    fn transactions_that_follow_each_other_are_not_one_that_hangs() {
        let looks = [(0, 10, 12), (40, 14, 18), (80, 20, 25), (120, 30, 31)];
        assert_eq!(told(&looks), [Told::Nothing; 4]);
    }

    #[test]
    fn ends_that_are_not_known_yet_say_nothing() {
        assert_eq!(told(&[(0, -1001, 50), (100, -1001, 50), (200, 5, -1001)]), [Told::Nothing; 3]);
    }
}
