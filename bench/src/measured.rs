//! What a case has measured: the raw samples of every round, their medians, and ratios that are taken inside a round.
//!
//! # Laws
//! 1. A sample is one whole process (or one phase of a case) whose answer was checked before it became a sample.
//! 2. A ratio is that of two samples of one round, so that what the machine did meanwhile is in both; of the rounds'
//!    ratios the median counts.
//! 3. Nothing is rounded before it is shown.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// One subject in one round.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// What was measured.
    pub(crate) subject: String,
    /// From 1.
    pub(crate) round: u32,
    /// Events, or rows, that the work consists of.
    pub(crate) events: u64,
    /// From start to end of the process.
    pub(crate) wall_s: f64,
    /// User and system time of the whole process.
    pub(crate) cpu_s: f64,
    /// Peak of the resident set.
    pub(crate) rss_mb: f64,
    /// Numbers that only this case has, by their names in [`Number::More`].
    pub(crate) more: BTreeMap<&'static str, f64>,
}

/// A number of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Number {
    /// CPU seconds per million events.
    Cpu,
    /// Events a second, over the life of the process.
    Rate,
    /// Peak resident set.
    Memory,
    /// One of [`Sample::more`].
    More {
        /// Its name, as shown.
        name: &'static str,
        /// Its unit; empty for a plain number.
        unit: &'static str,
    },
}

impl Number {
    /// The number of this sample, if it has it.
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Cpu => Some(sample.cpu_s * 1e6 / sample.events as f64),
            Self::Rate => Some(sample.events as f64 / sample.wall_s),
            Self::Memory => Some(sample.rss_mb),
            Self::More { name, .. } => sample.more.get(name).copied(),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU per million",
            Self::Rate => "rate",
            Self::Memory => "peak RSS",
            Self::More { name, .. } => name,
        }
    }

    /// The unit; `noun` is what is counted.
    pub(crate) fn unit(self, noun: &str) -> String {
        match self {
            Self::Cpu => "s".to_owned(),
            Self::Rate => format!("{noun}/s"),
            Self::Memory => "MB".to_owned(),
            Self::More { unit, .. } => unit.to_owned(),
        }
    }
}

/// What is wanted of a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, found: f64) -> bool {
        match self {
            Self::AtMost(most) => found <= most,
            Self::AtLeast(least) => found >= least,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {}", shown(*most)),
            Self::AtLeast(least) => write!(f, "at least {}", shown(*least)),
        }
    }
}

/// A number that is wanted of a subject: absolute, or as a ratio to another subject.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Wanted {
    pub(crate) number: Number,
    pub(crate) subject: String,
    /// The subject that it is divided by.
    pub(crate) beside: Option<String>,
    pub(crate) bound: Bound,
}

impl Wanted {
    /// Of this subject, or of it divided by the one `beside`.
    pub(crate) fn of(number: Number, subject: &str, beside: Option<&str>, bound: Bound) -> Self {
        Self { number, subject: subject.to_owned(), beside: beside.map(str::to_owned), bound }
    }
}

/// What was wanted and what was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) wanted: Wanted,
    /// The median; not a number if the case has no sample for it.
    pub(crate) found: f64,
    pub(crate) is_reached: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wanted { number, subject, beside, bound } = &self.wanted;
        write!(f, "{}, {subject}: {}", number.name(), shown(self.found))?;
        if let Some(other) = beside {
            write!(f, " of {other}")?;
        }
        write!(f, "; {bound} wanted: {}", if self.is_reached { "reached" } else { "**MISSED**" })
    }
}

/// The result of a case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// What [`Sample::events`] counts: `events` or `rows`.
    pub(crate) noun: &'static str,
    /// The numbers that are shown.
    pub(crate) numbers: Vec<Number>,
    /// Pairs of a subject and the one that it is compared with.
    pub(crate) pairs: Vec<(String, String)>,
    /// How the run was set up, and what was checked with which result: one line each.
    pub(crate) notes: Vec<String>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) wanted: Vec<Wanted>,
}

impl Measured {
    /// All subjects in the order in which they were measured first.
    pub(crate) fn subjects(&self) -> Vec<&str> {
        let mut subjects: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !subjects.contains(&sample.subject.as_str()) {
                subjects.push(&sample.subject);
            }
        }
        subjects
    }

    /// The number in every round that has it.
    pub(crate) fn all(&self, subject: &str, number: Number) -> Vec<f64> {
        self.samples.iter().filter(|sample| sample.subject == subject).filter_map(|it| number.of(it)).collect()
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, subject: &str, number: Number) -> f64 {
        median(self.all(subject, number))
    }

    /// The median of the ratios inside each round.
    pub(crate) fn ratio(&self, subject: &str, beside: &str, number: Number) -> f64 {
        let of = |name: &str, round| {
            self.samples.iter().find(|it| it.subject == name && it.round == round).and_then(|it| number.of(it))
        };
        let mut rounds: Vec<u32> = self.samples.iter().map(|sample| sample.round).collect();
        rounds.sort_unstable();
        rounds.dedup();
        let ratio = |round| {
            let (ours, theirs) = (of(subject, round)?, of(beside, round)?);
            (theirs > 0.0).then(|| ours / theirs)
        };
        median(rounds.into_iter().filter_map(ratio).collect())
    }

    /// Everything that was wanted, with what was found.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |wanted: &Wanted| {
            let found = match &wanted.beside {
                Some(beside) => self.ratio(&wanted.subject, beside, wanted.number),
                None => self.median(&wanted.subject, wanted.number),
            };
            Verdict { wanted: wanted.clone(), found, is_reached: wanted.bound.holds(found) }
        };
        self.wanted.iter().map(verdict).collect()
    }
}

/// The middle, or between the middle two.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let (low, high) = (numbers.get(numbers.len().saturating_sub(1) / 2), numbers.get(numbers.len() / 2));
    low.zip(high).map_or(f64::NAN, |(low, high)| (low + high) / 2.0)
}

/// With as many digits as say something: `612,345`, `96.1`, `2.31`, `0.063`.
pub(crate) fn shown(number: f64) -> String {
    match number.abs() {
        size if size.is_nan() => "-".to_owned(),
        size if size >= 1000.0 => grouped(number),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Whole, with a comma between each three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(subject: &str, round: u32, cpu_s: f64, wall_s: f64) -> Sample {
        let subject = subject.to_owned();
        Sample { subject, round, events: 2_000_000, wall_s, cpu_s, rss_mb: 50.0, more: BTreeMap::new() }
    }

    fn measured(samples: Vec<Sample>, wanted: Vec<Wanted>) -> Measured {
        let (pairs, notes) = (Vec::new(), Vec::new());
        Measured { noun: "events", numbers: vec![Number::Cpu, Number::Rate], pairs, notes, samples, wanted }
    }

    #[test]
    fn medians_are_the_middle_or_between_the_middle_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_inside_a_round_and_a_round_without_both_does_not_count() {
        // The second round is slow for both: the ratio of the medians would be 2 × 4 / (2 + 3), not 2.
        let of = |subject, round, cpu_s| sample(subject, round, cpu_s, 1.0);
        let samples = vec![of("ours", 1, 4.0), of("theirs", 1, 2.0), of("ours", 2, 8.0), of("theirs", 2, 4.0)];
        let mut measured = measured(samples, Vec::new());
        assert_eq!(measured.ratio("ours", "theirs", Number::Cpu), 2.0);
        measured.samples.push(of("ours", 3, 900.0));
        assert_eq!(measured.ratio("ours", "theirs", Number::Cpu), 2.0);
        assert_eq!(measured.median("ours", Number::Cpu), 4.0);
        assert_eq!(measured.subjects(), ["ours", "theirs"]);
    }

    #[test]
    fn a_verdict_holds_only_if_there_is_a_number_and_it_is_within_the_bound() {
        let wanted = |number, beside: Option<&str>, bound| Wanted {
            number,
            subject: "ours".to_owned(),
            beside: beside.map(str::to_owned),
            bound,
        };
        let missing = Number::More { name: "return", unit: "s" };
        let measured = measured(
            vec![sample("ours", 1, 7.0, 4.0), sample("theirs", 1, 2.0, 4.0)],
            vec![
                wanted(Number::Cpu, Some("theirs"), Bound::AtMost(3.5)),
                wanted(Number::Cpu, Some("theirs"), Bound::AtMost(3.49)),
                wanted(Number::Rate, None, Bound::AtLeast(500_000.0)),
                wanted(Number::Rate, None, Bound::AtLeast(500_001.0)),
                wanted(missing, None, Bound::AtMost(5.0)),
                wanted(missing, None, Bound::AtLeast(5.0)),
            ],
        );
        let verdicts = measured.verdicts();
        let reached: Vec<bool> = verdicts.iter().map(|verdict| verdict.is_reached).collect();
        assert_eq!(reached, [true, false, true, false, false, false]);
        let said = verdicts.first().map(ToString::to_string);
        assert_eq!(said.as_deref(), Some("CPU per million, ours: 3.50 of theirs; at most 3.50 wanted: reached"));
    }

    #[test]
    fn numbers_are_shown_with_the_digits_that_say_something() {
        let shown = [1_234_567.4, -1000.0, 999.4, 96.13, 2.306, 0.0628, 0.0, f64::NAN].map(shown);
        assert_eq!(shown, ["1,234,567", "-1,000", "999", "96.1", "2.31", "0.063", "0.00", "-"]);
    }
}
