//! The letters of a store that somebody asks for: which were replayed, which are wanted, how many there are of a kind.
//!
//! A store is read twice, since marks stand behind the letters that they mean: first the marks, then the letters. Only
//! marks and counts are held in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use super::{DeadLetter, DeadLetterError, Entry, LetterId, LetterReader, Mark, Sinks};
use crate::model::batch::Stage;

/// Kinds that are counted apart; what is rarer than these many kinds is counted together.
const KINDS_MAX: usize = 1000;

/// Which letters are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those whose cause contains this.
    pub cause: Option<String>,
    /// Those of this topic, by Kafka's name.
    pub topic: Option<String>,
    /// Those of this stage.
    pub stage: Option<Stage>,
    /// Those that this sink refused.
    pub refused_by: Option<String>,
    /// Those of events from this time on, in milliseconds since 1970; an event without a time is wanted too.
    pub since_ms: Option<i64>,
    /// Only these, by their ids; all if there are none.
    pub ids: BTreeSet<String>,
}

impl Filter {
    /// Whether a letter is wanted.
    #[must_use]
    pub fn wants(&self, id: &LetterId, letter: &DeadLetter) -> bool {
        let refused_by = letter.row.as_ref().map(|row| &*row.sink);
        self.cause.as_ref().is_none_or(|text| letter.cause.contains(text.as_str()))
            && self.topic.as_ref().is_none_or(|topic| *letter.partition.topic == **topic)
            && self.stage.is_none_or(|stage| letter.stage == stage)
            && self.refused_by.as_deref().is_none_or(|sink| refused_by == Some(sink))
            && self.since_ms.is_none_or(|since| letter.timestamp_ms < 0 || letter.timestamp_ms >= since)
            && (self.ids.is_empty() || self.ids.contains(&id.to_string()))
    }
}

/// What was replayed, and where to.
#[derive(Debug, Default)]
pub struct Marks(HashMap<LetterId, Sinks>);

impl Marks {
    /// The marks of a store.
    ///
    /// # Errors
    /// [`DeadLetterError`] if the store cannot be read.
    pub fn read(reader: &LetterReader) -> Result<Self, DeadLetterError> {
        let mut marks = Self::default();
        reader.read(&mut |entry| {
            if let Entry::Mark(mark) = entry {
                marks.add(mark);
            }
            ControlFlow::Continue(())
        })?;
        Ok(marks)
    }

    fn add(&mut self, mark: Mark) {
        match (self.0.get_mut(&mark.letter), mark.sinks) {
            (Some(Sinks::All), _) => {}
            (Some(Sinks::Some(known)), Sinks::Some(more)) => known.extend(more),
            (Some(known @ Sinks::Some(_)), Sinks::All) => *known = Sinks::All,
            (None, sinks) => {
                self.0.insert(mark.letter, sinks);
            }
        }
    }

    /// Whether a letter was replayed into all of these sinks; a refused row, into the one that refused it.
    #[must_use]
    pub fn covers<'a>(&self, id: &LetterId, letter: &DeadLetter, mut sinks: impl Iterator<Item = &'a String>) -> bool {
        match (self.0.get(id), &letter.row) {
            (None, _) => false,
            (Some(Sinks::All), _) => true,
            (Some(Sinks::Some(done)), Some(row)) => done.contains(&*row.sink),
            (Some(Sinks::Some(done)), None) => sinks.all(|sink| done.contains(sink)),
        }
    }
}

/// Letters of one kind: one topic, one stage, one cause up to its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Kafka's topic name.
    pub topic: String,
    /// Name of the stage.
    pub stage: &'static str,
    /// The cause with `#` for every number in it.
    pub cause: String,
}

impl Kind {
    /// The kind of a letter.
    #[must_use]
    pub fn of(letter: &DeadLetter) -> Self {
        let mut cause = String::with_capacity(letter.cause.len());
        for character in letter.cause.chars() {
            if !character.is_ascii_digit() {
                cause.push(character);
            } else if !cause.ends_with('#') {
                cause.push('#');
            }
        }
        Self { topic: letter.partition.topic.to_string(), stage: letter.stage.name(), cause }
    }
}

/// How many letters there are of each kind.
#[derive(Debug, Default)]
pub struct Counts {
    kinds: BTreeMap<Kind, u64>,
    /// Letters of kinds that found no place.
    pub others: u64,
}

impl Counts {
    /// Counts a letter.
    pub fn add(&mut self, letter: &DeadLetter) {
        let kind = Kind::of(letter);
        if let Some(count) = self.kinds.get_mut(&kind) {
            *count += 1;
        } else if self.kinds.len() < KINDS_MAX {
            self.kinds.insert(kind, 1);
        } else {
            self.others += 1;
        }
    }

    /// The kinds with their counts, the most frequent first.
    #[must_use]
    pub fn ranked(&self) -> Vec<(&Kind, u64)> {
        let mut ranked: Vec<_> = self.kinds.iter().map(|(kind, count)| (kind, *count)).collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        ranked
    }

    /// All letters.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.kinds.values().sum::<u64>() + self.others
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dead_letter::RefusedRow;
    use crate::progress::offset::{Offset, TopicPartition};

    fn letter(cause: &str) -> DeadLetter {
        DeadLetter {
            partition: TopicPartition { topic: Arc::from("chat.messages"), partition: 0 },
            offset: Offset(7),
            timestamp_ms: 1000,
            stage: Stage::Decode,
            cause: cause.to_owned(),
            key: None,
            payload: None,
            omitted_bytes: None,
            row: None,
        }
    }

    const ID: LetterId = LetterId::Record { partition: 0, offset: 3 };

    #[test]
    fn a_filter_wants_what_all_its_parts_want() {
        let one = letter("the payload is not JSON");
        let wants = |filter: Filter| filter.wants(&ID, &one);
        assert!(wants(Filter::default()));
        assert!(wants(Filter { cause: Some("not JSON".to_owned()), since_ms: Some(1000), ..Filter::default() }));
        assert!(!wants(Filter { cause: Some("missing".to_owned()), ..Filter::default() }));
        assert!(!wants(Filter { topic: Some("other".to_owned()), ..Filter::default() }));
        assert!(!wants(Filter { stage: Some(Stage::Write), ..Filter::default() }));
        assert!(!wants(Filter { since_ms: Some(1001), ..Filter::default() }));
        assert!(!wants(Filter { refused_by: Some("blue".to_owned()), ..Filter::default() }));
        assert!(wants(Filter { ids: ["0@3".to_owned()].into(), ..Filter::default() }));
        assert!(!wants(Filter { ids: ["0@4".to_owned()].into(), ..Filter::default() }));
    }

    #[test]
    fn a_letter_is_done_when_every_sink_has_it() {
        let sinks = ["blue".to_owned(), "green".to_owned()];
        let mut marks = Marks::default();
        let mark = |sinks| Mark { letter: ID, sinks };
        assert!(!marks.covers(&ID, &letter("x"), sinks.iter()));
        marks.add(mark(Sinks::Some(["blue".to_owned()].into())));
        assert!(!marks.covers(&ID, &letter("x"), sinks.iter()));
        let row = |sink: &str| RefusedRow { sink: Arc::from(sink), table: Arc::from("t"), end: Offset(8) };
        assert!(marks.covers(&ID, &DeadLetter { row: Some(row("blue")), ..letter("x") }, sinks.iter()));
        assert!(!marks.covers(&ID, &DeadLetter { row: Some(row("green")), ..letter("x") }, sinks.iter()));
        marks.add(mark(Sinks::Some(["green".to_owned()].into())));
        assert!(marks.covers(&ID, &letter("x"), sinks.iter()));
        marks.add(mark(Sinks::All));
        assert!(marks.covers(&ID, &letter("x"), ["later".to_owned()].iter()));
    }

    #[test]
    fn causes_that_differ_in_numbers_are_of_one_kind() {
        let mut counts = Counts::default();
        for cause in ["line 1 column 12", "line 3 column 4", "field `a` is missing", "line 0 column 0"] {
            counts.add(&letter(cause));
        }
        let ranked: Vec<_> = counts.ranked().into_iter().map(|(kind, count)| (kind.cause.as_str(), count)).collect();
        assert_eq!(ranked, [("line # column #", 3), ("field `a` is missing", 1)]);
        assert_eq!(counts.total(), 4);
    }
}
