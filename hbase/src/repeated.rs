//! The same message again and again, said once in a while (HBASE-29390). Pure.
//!
//! A cluster in trouble fails thousands of calls a second for one reason. Each subject (a server and a cause) is let
//! through once per [`EVERY`], with the number of messages that were left out since.
//!
//! # Laws
//! 1. The first message of a subject is never left out.
//! 2. Memory is bounded: at most [`SUBJECTS_MAX`] subjects; the one heard of longest ago makes room.

use std::collections::HashMap;
use std::time::Duration;

/// One message of a subject in this time.
const EVERY: Duration = Duration::from_secs(10);
/// Subjects that are remembered.
const SUBJECTS_MAX: usize = 1024;

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speak {
    /// Say it, and that so many like it were left out before.
    Now {
        /// Messages left out since the last one that was said.
        suppressed: u64,
    },
    /// Leave it out.
    No,
}

#[derive(Clone, Copy, Debug)]
struct Subject {
    said: Duration,
    suppressed: u64,
}

/// Who has said what lately.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    subjects: HashMap<(String, &'static str), Subject>,
}

impl Repeated {
    /// A message about `who` for the reason `why` at `now` (any clock that does not go back).
    pub(crate) fn say(&mut self, who: &str, why: &'static str, now: Duration) -> Speak {
        let key = (who.to_owned(), why);
        if let Some(subject) = self.subjects.get_mut(&key) {
            if now.saturating_sub(subject.said) < EVERY {
                subject.suppressed += 1;
                return Speak::No;
            }
            let suppressed = std::mem::take(&mut subject.suppressed);
            subject.said = now;
            return Speak::Now { suppressed };
        }
        if self.subjects.len() >= SUBJECTS_MAX {
            self.make_room(now);
        }
        self.subjects.insert(key, Subject { said: now, suppressed: 0 });
        Speak::Now { suppressed: 0 }
    }

    fn make_room(&mut self, now: Duration) {
        self.subjects.retain(|_, subject| now.saturating_sub(subject.said) < EVERY || subject.suppressed > 0);
        if self.subjects.len() >= SUBJECTS_MAX {
            let oldest = self.subjects.iter().min_by_key(|(_, subject)| subject.said).map(|(key, _)| key.clone());
            oldest.map(|key| self.subjects.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flood_is_one_message_in_ten_seconds_and_nothing_is_lost_from_the_count() {
        let mut repeated = Repeated::default();
        let mut said = Vec::new();
        for ms in 0..25_000 {
            if let Speak::Now { suppressed } = repeated.say("a:1", "refused", Duration::from_millis(ms)) {
                said.push((ms, suppressed));
            }
        }
        assert_eq!(said, [(0, 0), (10_000, 9_999), (20_000, 9_999)]);
    }

    #[test]
    fn another_server_or_cause_has_its_own_say() {
        let mut repeated = Repeated::default();
        for (who, why) in [("a:1", "refused"), ("b:1", "refused"), ("a:1", "silent")] {
            assert_eq!(repeated.say(who, why, Duration::ZERO), Speak::Now { suppressed: 0 });
        }
    }

    proptest! {
        #[test]
        fn subjects_are_bounded(subjects in prop::collection::vec(0_u32..3000, 0..4000)) {
            let mut repeated = Repeated::default();
            for (second, subject) in subjects.into_iter().enumerate() {
                repeated.say(&subject.to_string(), "why", Duration::from_millis(second as u64));
                prop_assert!(repeated.subjects.len() <= SUBJECTS_MAX);
            }
        }
    }
}
