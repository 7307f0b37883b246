//! What halcyon promises, as objects that watch a run, simulated or real, and say how it broke its promise.
//!
//! An observer is told what happened (a record was appended, became durable, an offset was committed) and knows nothing of
//! how it came to that. Sinks are numbered, places are [`TopicPartition`] and offset.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use halcyon::invariant::{in_order, no_gap, no_rewind};
use halcyon::progress::offset::{Offset, TopicPartition};

/// A broken promise, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) String);

pub(crate) type Kept = Result<(), Violation>;

/// Every event below a claimed offset is durable in the sink, or in the dead-letter store, or was not wanted.
#[derive(Debug, Default)]
pub(crate) struct NoLoss {
    /// By sink and partition: what the sink does not have yet.
    owed: BTreeMap<(usize, TopicPartition), Debts>,
}

#[derive(Debug, Default)]
struct Debts {
    /// Where the sink began; nothing is owed while that is not known.
    floor: Option<Offset>,
    open: BTreeSet<Offset>,
}

impl NoLoss {
    /// The sink reads the partition, from `floor` on if that is known yet.
    pub(crate) fn watch(&mut self, sink: usize, partition: &TopicPartition, floor: Option<Offset>) {
        self.owed.insert((sink, partition.clone()), Debts { floor, open: BTreeSet::new() });
    }

    /// A record was appended that every sink must get, as rows or as a dead letter.
    pub(crate) fn appended(&mut self, partition: &TopicPartition, offset: Offset) {
        for (_, debts) in self.owed.iter_mut().filter(|((_, watched), _)| watched == partition) {
            debts.open.insert(offset);
        }
    }

    /// The sink reads the partition from here on.
    pub(crate) fn begins(&mut self, sink: usize, partition: &TopicPartition, floor: Offset) {
        if let Some(debts) = self.owed.get_mut(&(sink, partition.clone())) {
            debts.floor = Some(floor);
        }
    }

    /// The rows of a record are durable in a sink. Its start must be known by then: after a crash, one that was not
    /// committed is decided anew, and differently.
    pub(crate) fn durable(&mut self, sink: usize, partition: &TopicPartition, offset: Offset) -> Kept {
        let Some(debts) = self.owed.get_mut(&(sink, partition.clone())) else { return Ok(()) };
        debts.open.remove(&offset);
        if debts.floor.is_none() {
            let text =
                format!("no loss: {partition} offset {offset} reached sink {sink} before its start was committed");
            return Err(Violation(text));
        }
        Ok(())
    }

    /// A record is in the dead-letter store.
    pub(crate) fn dead_lettered(&mut self, partition: &TopicPartition, offset: Offset) -> Kept {
        let sinks: Vec<usize> = self.owed.keys().filter(|(_, at)| at == partition).map(|(sink, _)| *sink).collect();
        sinks.into_iter().try_for_each(|sink| self.durable(sink, partition, offset))
    }

    /// Nobody can have the record any more: compacted away, or removed by retention and given up by the operator.
    pub(crate) fn removed(&mut self, partition: &TopicPartition, offset: Offset) {
        for (_, debts) in self.owed.iter_mut().filter(|((_, watched), _)| watched == partition) {
            debts.open.remove(&offset);
        }
    }

    /// It is claimed, by a commit or a watermark, that everything below `end` is durable in the sink.
    pub(crate) fn claimed(&mut self, sink: usize, partition: &TopicPartition, end: Offset) -> Kept {
        let Some(debts) = self.owed.get_mut(&(sink, partition.clone())) else { return Ok(()) };
        let floor = *debts.floor.get_or_insert(end);
        let durable = debts.open.range(floor..).next().copied().unwrap_or(end);
        if no_gap(durable, end) {
            return Ok(());
        }
        let text = format!("sink {sink} claims {partition} up to {end}, but offset {durable} is not durable in it");
        Err(Violation(format!("no loss: {text}")))
    }

    /// Where the sink began.
    pub(crate) fn floor(&self, sink: usize, partition: &TopicPartition) -> Option<Offset> {
        self.owed.get(&(sink, partition.clone())).and_then(|debts| debts.floor)
    }

    /// Whether nothing is owed any more.
    pub(crate) fn is_settled(&self) -> bool {
        let is_paid = |debts: &Debts| debts.floor.is_some_and(|floor| debts.open.range(floor..).next().is_none());
        self.owed.values().all(is_paid)
    }
}

/// The rows of one key reach a sink in the order of the log, as long as one writer holds the partition.
#[derive(Debug)]
pub(crate) struct OrderPerKey<W> {
    last: BTreeMap<(W, usize, u64), Offset>,
}

impl<W> Default for OrderPerKey<W> {
    fn default() -> Self {
        Self { last: BTreeMap::new() }
    }
}

impl<W: Clone + Debug + Ord> OrderPerKey<W> {
    /// A writer (one tenure of one partition) has made an event of this key durable. The same once more is no offence.
    pub(crate) fn wrote(&mut self, writer: &W, sink: usize, (key, offset): (u64, Offset)) -> Kept {
        let last = self.last.insert((writer.clone(), sink, key), offset);
        if in_order(last, offset) {
            return Ok(());
        }
        let text = format!("{writer:?} wrote offset {offset} of key {key} to sink {sink} after {last:?}");
        Err(Violation(format!("order per key: {text}")))
    }
}

/// A checkpoint never moves back, unless an operator moves it.
#[derive(Debug, Default)]
pub(crate) struct NoRewind {
    committed: BTreeMap<(String, TopicPartition), Offset>,
}

impl NoRewind {
    /// A group's offset was committed.
    pub(crate) fn committed(&mut self, group: &str, partition: &TopicPartition, offset: Offset) -> Kept {
        let before = self.committed.insert((group.to_owned(), partition.clone()), offset);
        if no_rewind(before, offset) {
            return Ok(());
        }
        Err(Violation(format!("no rewind: group {group} moved {partition} from {before:?} back to {offset}")))
    }

    /// An operator moved the group's offset.
    pub(crate) fn reset(&mut self, group: &str, partition: &TopicPartition, offset: Offset) {
        self.committed.insert((group.to_owned(), partition.clone()), offset);
    }
}

/// A sink ends with exactly the rows that the log implies. Rows in `optional` may be there or not.
pub(crate) fn converged<K: Ord + Debug, V: PartialEq + Debug>(
    sink: usize,
    found: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
    is_optional: impl Fn(&K) -> bool,
) -> Kept {
    let places: BTreeSet<&K> = found.keys().chain(expected.keys()).filter(|place| !is_optional(place)).collect();
    let differ = places.into_iter().find(|place| found.get(*place) != expected.get(*place));
    differ.map_or(Ok(()), |place| {
        let (has, should) = (found.get(place), expected.get(place));
        Err(Violation(format!("convergence: sink {sink} has {has:?} at {place:?}, the log implies {should:?}")))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition { topic: Arc::from("t"), partition: 0 }
    }

    #[test]
    fn a_claim_over_what_is_owed_is_a_loss() {
        let (mut no_loss, at) = (NoLoss::default(), partition());
        no_loss.watch(0, &at, Some(Offset(0)));
        (0..3).for_each(|offset| no_loss.appended(&at, Offset(offset)));
        assert_eq!(no_loss.durable(0, &at, Offset(0)), Ok(()));
        assert_eq!(no_loss.durable(0, &at, Offset(2)), Ok(()));
        assert_eq!(no_loss.claimed(0, &at, Offset(1)), Ok(()));
        assert!(no_loss.claimed(0, &at, Offset(2)).is_err());
        assert_eq!(no_loss.dead_lettered(&at, Offset(1)), Ok(()));
        assert_eq!(no_loss.claimed(0, &at, Offset(3)), Ok(()));
        assert!(no_loss.is_settled());
    }

    #[test]
    fn what_lies_below_the_chosen_start_is_not_owed() {
        let (mut no_loss, at) = (NoLoss::default(), partition());
        no_loss.watch(0, &at, None);
        (0..9).for_each(|offset| no_loss.appended(&at, Offset(offset)));
        assert!(no_loss.durable(0, &at, Offset(5)).is_err(), "nobody knows its start yet");
        assert_eq!(no_loss.claimed(0, &at, Offset(5)), Ok(()));
        assert_eq!(no_loss.durable(0, &at, Offset(6)), Ok(()));
        assert!(no_loss.claimed(0, &at, Offset(8)).is_err());
    }

    #[test]
    fn one_writer_keeps_the_order_and_two_need_not() {
        let mut order = OrderPerKey::default();
        assert_eq!(order.wrote(&1, 0, (7, Offset(4))), Ok(()));
        assert_eq!(order.wrote(&1, 0, (7, Offset(4))), Ok(()));
        assert_eq!(order.wrote(&2, 0, (7, Offset(3))), Ok(()));
        assert_eq!(order.wrote(&1, 0, (8, Offset(3))), Ok(()));
        assert!(order.wrote(&1, 0, (7, Offset(3))).is_err());
    }

    #[test]
    fn only_an_operator_moves_a_checkpoint_back() {
        let (mut no_rewind, at) = (NoRewind::default(), partition());
        assert_eq!(no_rewind.committed("g", &at, Offset(5)), Ok(()));
        no_rewind.reset("g", &at, Offset(2));
        assert_eq!(no_rewind.committed("g", &at, Offset(3)), Ok(()));
        assert!(no_rewind.committed("g", &at, Offset(2)).is_err());
    }

    #[test]
    fn a_row_too_many_too_few_or_different_is_named() {
        let rows = |cells: &[(u8, u8)]| cells.iter().copied().collect::<BTreeMap<u8, u8>>();
        let expected = rows(&[(1, 1), (2, 2)]);
        let none = |_: &u8| false;
        assert_eq!(converged(0, &rows(&[(1, 1), (2, 2)]), &expected, none), Ok(()));
        for found in [rows(&[(1, 1)]), rows(&[(1, 1), (2, 3)]), rows(&[(1, 1), (2, 2), (3, 3)])] {
            assert!(converged(0, &found, &expected, none).is_err(), "{found:?}");
        }
        assert_eq!(converged(0, &rows(&[(1, 1)]), &expected, |place| *place == 2), Ok(()));
    }
}
