//! What commits carry beside the offset: the metadata of the membership group and of a sink's group.
//!
//! Both are `key=value` pairs joined by commas. Foreign tools write anything or nothing there: what cannot be read is left
//! out, never a failure.

use std::collections::BTreeMap;

use super::offset::Offset;
use super::topic_id::TopicId;

/// The key under which a sink's commit names the topic that its offset is of.
const TOPIC: &str = "topic";

/// The positions of all sinks, as the membership group's metadata has them.
#[must_use]
pub fn positions(metadata: &str) -> BTreeMap<&str, Offset> {
    pairs(metadata).filter_map(|(sink, offset)| Some((sink, Offset(number(offset)?)))).collect()
}

/// Metadata of the membership group for these positions.
#[must_use]
pub fn of_positions<'a>(positions: impl IntoIterator<Item = (&'a str, Offset)>) -> String {
    positions.into_iter().map(|(sink, offset)| format!("{sink}={offset}")).collect::<Vec<_>>().join(",")
}

/// The topic that a sink's committed offset is of, if its metadata says so.
#[must_use]
pub fn topic(metadata: &str) -> Option<TopicId> {
    pairs(metadata).find(|(key, _)| *key == TOPIC).and_then(|(_, id)| id.parse().ok())
}

/// Metadata of a sink's commit.
#[must_use]
pub fn of_topic(topic: Option<TopicId>) -> String {
    topic.map(|topic| format!("{TOPIC}={topic}")).unwrap_or_default()
}

fn pairs(metadata: &str) -> impl Iterator<Item = (&str, &str)> {
    metadata.split(',').filter_map(|pair| pair.split_once('='))
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_ledger_writes_is_read() {
        assert_eq!(positions("blue=20,green=10"), [("blue", Offset(20)), ("green", Offset(10))].into());
    }

    #[test]
    fn what_others_write_is_left_out() {
        for foreign in ["", "x", "NO_METADATA", "blue=", "blue=-1", "blue=1.5", "{\"a\":1}", ",,="] {
            assert_eq!(positions(foreign), BTreeMap::new(), "{foreign}");
            assert_eq!(topic(foreign), None, "{foreign}");
        }
        assert_eq!(positions("blue=7,what=ever"), [("blue", Offset(7))].into());
    }

    proptest! {
        #[test]
        fn positions_are_read_back(known: BTreeMap<String, u32>) {
            let legal: BTreeMap<&str, Offset> = known
                .iter()
                .filter(|(sink, _)| !sink.is_empty() && !sink.contains([',', '=']))
                .map(|(sink, offset)| (sink.as_str(), Offset(i64::from(*offset))))
                .collect();
            let text = of_positions(legal.iter().map(|(sink, offset)| (*sink, *offset)));
            prop_assert_eq!(positions(&text), legal);
        }

        #[test]
        fn the_topic_is_read_back(high: i64, low: i64) {
            let id = TopicId::new(high, low);
            prop_assert_eq!(topic(&of_topic(id)), id);
        }

        #[test]
        fn no_text_is_a_failure(text: String) {
            prop_assert!(positions(&text).len() <= text.len());
            prop_assert!(topic(&text).is_none() || text.contains("topic="));
        }
    }
}
