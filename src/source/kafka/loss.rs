//! A range of the log that an operator has given up: `--accept-loss TOPIC/PARTITION=a..b`.

use std::fmt;
use std::str::FromStr;

use crate::progress::offset::{Offset, TopicPartition};

/// Offsets `from..to` of a partition that may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// Kafka's topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// The first offset given up.
    pub from: Offset,
    /// Behind the last one.
    pub to: Offset,
}

impl AcceptedLoss {
    /// Whether all of this lost range was given up.
    #[must_use]
    pub fn covers(&self, partition: &TopicPartition, from: Offset, to: Offset) -> bool {
        self.topic == *partition.topic && self.partition == partition.partition && self.from <= from && to <= self.to
    }
}

impl fmt::Display for AcceptedLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}={}..{}", self.topic, self.partition, self.from, self.to)
    }
}

/// A text that names no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write TOPIC/PARTITION=a..b, as the message that stopped the run names it, such as chat.messages/3=1200..1350")]
pub struct NoRange;

impl FromStr for AcceptedLoss {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        let parse = || {
            let (place, range) = text.rsplit_once('=')?;
            let (topic, partition) = place.rsplit_once('/')?;
            let (from, to) = range.split_once("..")?;
            let partition: i32 = partition.parse().ok()?;
            let (from, to): (i64, i64) = (from.parse().ok()?, to.parse().ok()?);
            let legal = !topic.is_empty() && partition >= 0 && 0 <= from && from < to;
            legal.then(|| Self { topic: topic.to_owned(), partition, from: Offset(from), to: Offset(to) })
        };
        parse().ok_or(NoRange)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_names_no_range_is_refused() {
        for text in ["", "a", "a/1", "a/1=3", "a/1=3..", "a/1=3..3", "a/1=5..3", "a/-1=3..4", "/1=3..4", "a=3..4"] {
            assert_eq!(text.parse::<AcceptedLoss>(), Err(NoRange), "{text}");
        }
    }

    #[test]
    fn a_loss_that_has_grown_is_not_covered() {
        let accepted: AcceptedLoss = "chat/3=10..20".parse().expect("a range");
        let partition = |number| TopicPartition { topic: Arc::from("chat"), partition: number };
        assert!(accepted.covers(&partition(3), Offset(10), Offset(20)));
        assert!(accepted.covers(&partition(3), Offset(12), Offset(15)));
        assert!(!accepted.covers(&partition(3), Offset(9), Offset(20)));
        assert!(!accepted.covers(&partition(3), Offset(10), Offset(21)));
        assert!(!accepted.covers(&partition(4), Offset(10), Offset(20)));
    }

    proptest! {
        #[test]
        fn a_range_is_read_back(topic in "[a-z./=]{1,12}", partition in 0..i32::MAX, from in 0..1_000_i64, more in 1..9_i64) {
            let loss = AcceptedLoss { topic, partition, from: Offset(from), to: Offset(from + more) };
            prop_assert_eq!(loss.to_string().parse(), Ok(loss));
        }
    }
}
