//! The topics of a run by their ids: a run reads each topic as one topic only.
//!
//! # Laws
//! 1. The id that counts is the one that was seen together with the offsets that the run starts from. One that is looked up
//!    later may be the id of a topic that was made anew meanwhile, whose first records the run would skip in silence.
//! 2. Once an id counts, it counts until the run ends; commits carry it, so that the next start refuses as well.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::halt::{Halt, HaltKind};
use crate::progress::topic_id::TopicId;

/// The ids under which topics are read. Empty where brokers have no ids.
#[derive(Debug, Default)]
pub struct TopicsRead(Mutex<BTreeMap<String, TopicId>>);

impl TopicsRead {
    /// Takes note of a topic whose offsets a start is decided from.
    ///
    /// # Errors
    /// The cause for which the run must stop: it reads another topic of this name already.
    pub(super) fn admit(&self, topic: &str, is: TopicId) -> Result<(), Halt> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(topic) {
            Some(was) if *was != is => Err(made_anew(topic, *was, is)),
            Some(_) => Ok(()),
            None => {
                known.insert(topic.to_owned(), is);
                Ok(())
            }
        }
    }

    /// Compares ids as they are now with those that are read. Topics that are not read yet are not compared.
    ///
    /// # Errors
    /// As [`TopicsRead::admit`].
    pub(super) fn compare(&self, now: &BTreeMap<String, TopicId>) -> Result<(), Halt> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = known.iter().find_map(|(topic, was)| {
            let is = now.get(topic)?;
            (was != is).then(|| made_anew(topic, *was, *is))
        });
        changed.map_or(Ok(()), Err)
    }
}

fn made_anew(topic: &str, was: TopicId, is: TopicId) -> Halt {
    let message = format!(
        "topic {topic} was deleted and made anew while it was read (its id was {was}, now it is {is}); its offsets start \
         again at 0: `halcyon offsets show`, then `halcyon offsets reset --topic {topic}`"
    );
    Halt::new(HaltKind::Policy, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(low: i64) -> TopicId {
        TopicId::new(1, low).expect("not zero")
    }

    fn now(ids: &[(&str, i64)]) -> BTreeMap<String, TopicId> {
        ids.iter().map(|(topic, low)| ((*topic).to_owned(), id(*low))).collect()
    }

    #[test]
    fn the_id_that_offsets_were_taken_with_counts_and_no_later_one() {
        let topics = TopicsRead::default();
        topics.compare(&now(&[("chat", 7)])).expect("nothing is read yet, so nothing is learnt either");
        topics.admit("chat", id(1)).expect("the first");
        topics.admit("chat", id(1)).expect("the same");
        topics.compare(&now(&[("chat", 1), ("users", 9)])).expect("unchanged");
        topics.compare(&now(&[])).expect("brokers that do not tell");
        for halt in [topics.compare(&now(&[("chat", 2)])), topics.admit("chat", id(2))] {
            let text = halt.expect_err("another topic").message;
            assert!(text.contains("chat was deleted and made anew") && text.contains(&id(2).to_string()), "{text}");
        }
        topics.compare(&now(&[("chat", 1)])).expect("what was refused is not learnt");
    }
}
