//! When a rule applies: a predicate over calls that is put together from smaller ones. Pure.
//!
//! # Laws
//! 1. A condition is asked about one subject after the other: whole calls, region actions or single actions, whatever
//!    the reaction of its rule hits. What it counts are the subjects it was asked about.
//! 2. Every part of a composed condition sees every subject, so counting does not depend on the order of the parts.
//! 3. The same subjects in the same order give the same answers: chance comes from the seed alone.

use std::ops::{Not, Range};

use bytes::Bytes;

use super::subject::Subject;
use crate::table_name::TableName;

/// When a rule applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(Node);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Always,
    Service(&'static str),
    Method(&'static str),
    Server(usize),
    Master,
    Table(TableName),
    Region(Bytes),
    Rows { start: Bytes, end: Bytes },
    Bytes(Range<usize>),
    Actions(Range<usize>),
    Numbered { of: Box<Node>, numbers: Range<u64>, seen: u64 },
    Chance { per_mille: u16, state: u64 },
    All(Box<Node>, Box<Node>),
    Any(Box<Node>, Box<Node>),
    Not(Box<Node>),
}

impl Condition {
    /// Every call.
    #[must_use]
    pub fn always() -> Self {
        Self(Node::Always)
    }

    /// Calls of a service: `ClientService`, `MasterService`, `AdminService`, `ClientMetaService`.
    #[must_use]
    pub fn service(name: &'static str) -> Self {
        Self(Node::Service(name))
    }

    /// Calls of a method, as `Multi` or `Scan`.
    #[must_use]
    pub fn method(name: &'static str) -> Self {
        Self(Node::Method(name))
    }

    /// Calls to that region server.
    #[must_use]
    pub fn server(index: usize) -> Self {
        Self(Node::Server(index))
    }

    /// Calls to the master, whatever the service.
    #[must_use]
    pub fn master() -> Self {
        Self(Node::Master)
    }

    /// Calls that concern a table; a Multi does if one of its region actions does.
    #[must_use]
    pub fn table(table: &TableName) -> Self {
        Self(Node::Table(table.clone()))
    }

    /// Calls that read `hbase:meta`.
    #[must_use]
    pub fn meta() -> Self {
        Self::table(&TableName::new("hbase:meta"))
    }

    /// Calls that concern the region with that full name.
    #[must_use]
    pub fn region(name: impl Into<Bytes>) -> Self {
        Self(Node::Region(name.into()))
    }

    /// Calls that concern a row from `start` to before `end`; an empty end is the end of the table. Of a scan only the
    /// first row is looked at.
    #[must_use]
    pub fn rows(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self(Node::Rows { start: start.into(), end: end.into() })
    }

    /// Requests whose message and cells have together so many bytes.
    #[must_use]
    pub fn bytes(range: Range<usize>) -> Self {
        Self(Node::Bytes(range))
    }

    /// Actions at these places of their region action, from 0.
    #[must_use]
    pub fn actions(places: Range<usize>) -> Self {
        Self(Node::Actions(places))
    }

    /// So many of a thousand, drawn from the seed.
    #[must_use]
    pub fn chance(per_mille: u16, seed: u64) -> Self {
        Self(Node::Chance { per_mille, state: seed })
    }

    /// Of those for which this holds only the ones with these numbers, from 0.
    #[must_use]
    pub fn numbers(self, numbers: Range<u64>) -> Self {
        Self(Node::Numbered { of: Box::new(self.0), numbers, seen: 0 })
    }

    /// Of those for which this holds only the first ones.
    #[must_use]
    pub fn first(self, count: u64) -> Self {
        self.numbers(0..count)
    }

    /// Of those for which this holds all but the first ones.
    #[must_use]
    pub fn after(self, count: u64) -> Self {
        self.numbers(count..u64::MAX)
    }

    /// Where both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Node::All(Box::new(self.0), Box::new(other.0)))
    }

    /// Where at least one of both holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(Node::Any(Box::new(self.0), Box::new(other.0)))
    }

    /// Whether it holds for this subject. Counts it.
    pub(super) fn holds(&mut self, subject: &Subject<'_>) -> bool {
        self.0.holds(subject)
    }
}

impl Not for Condition {
    type Output = Self;

    fn not(self) -> Self {
        Self(Node::Not(Box::new(self.0)))
    }
}

impl Node {
    fn holds(&mut self, subject: &Subject<'_>) -> bool {
        let Subject { call, parts } = subject;
        match self {
            Self::Always => true,
            Self::Service(name) => call.service == *name,
            Self::Method(name) => call.method == *name,
            Self::Server(index) => call.server == Some(*index),
            Self::Master => call.server.is_none(),
            Self::Table(table) => parts.iter().any(|part| part.is_of(table)),
            Self::Region(name) => parts.iter().any(|part| part.region == *name),
            Self::Rows { start, end } => {
                parts.iter().any(|part| *start <= part.row && (end.is_empty() || part.row < *end))
            }
            Self::Bytes(range) => range.contains(&call.bytes),
            Self::Actions(places) => parts.iter().any(|part| places.contains(&part.place)),
            Self::Numbered { of, numbers, seen } => {
                let holds = of.holds(subject);
                let number = *seen;
                *seen += u64::from(holds);
                holds && numbers.contains(&number)
            }
            Self::Chance { per_mille, state } => draw(state) % 1000 < u64::from(*per_mille),
            Self::All(one, other) => {
                let (one, other) = (one.holds(subject), other.holds(subject));
                one && other
            }
            Self::Any(one, other) => {
                let (one, other) = (one.holds(subject), other.holds(subject));
                one || other
            }
            Self::Not(of) => !of.holds(subject),
        }
    }
}

/// The next number of a seed (SplitMix64).
pub(super) fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::subject::{Call, Part};
    use super::*;

    fn call(method: &str, rows: &[&'static str]) -> Call {
        let part = |(place, row): (usize, &&'static str)| Part {
            region: Bytes::from_static(b"ns:t,,1.abc."),
            row: Bytes::from_static(row.as_bytes()),
            place,
        };
        Call {
            service: "ClientService".to_owned(),
            method: method.to_owned(),
            server: Some(1),
            bytes: 100,
            parts: rows.iter().enumerate().map(part).collect(),
            regions: std::iter::once(0..rows.len()).collect(),
        }
    }

    #[test]
    fn a_condition_looks_at_what_it_names() {
        let call = call("Multi", &["a", "m"]);
        let cases = [
            (Condition::always(), true),
            (Condition::method("Multi"), true),
            (Condition::method("Scan"), false),
            (Condition::service("MasterService"), false),
            (Condition::server(1), true),
            (Condition::server(0), false),
            (Condition::master(), false),
            (Condition::table(&TableName::new("ns:t")), true),
            (Condition::table(&TableName::new("t")), false),
            (Condition::meta(), false),
            (Condition::region("ns:t,,1.abc."), true),
            (Condition::rows("b", "n"), true),
            (Condition::rows("b", "m"), false),
            (Condition::rows("m", ""), true),
            (Condition::bytes(100..101), true),
            (Condition::bytes(0..100), false),
            (Condition::actions(1..2), true),
            (Condition::actions(2..9), false),
            (!Condition::method("Multi"), false),
            (Condition::method("Scan").or(Condition::server(1)), true),
            (Condition::method("Multi").and(Condition::server(0)), false),
        ];
        for (mut condition, expected) in cases {
            assert_eq!(condition.holds(&call.whole()), expected, "{condition:?}");
        }
    }

    #[test]
    fn a_part_of_a_call_is_asked_about_on_its_own() {
        let call = call("Multi", &["a", "m"]);
        let mut condition = Condition::rows("m", "");
        let holds: Vec<bool> =
            (0..2).map(|place| condition.holds(&Subject { call: &call, parts: &call.parts[place..=place] })).collect();
        assert_eq!(holds, [false, true]);
    }

    #[test]
    fn numbers_count_only_what_holds() {
        let (multi, scan) = (call("Multi", &["a"]), call("Scan", &["a"]));
        let mut second = Condition::method("Multi").numbers(1..2);
        let asked = [&multi, &scan, &scan, &multi, &multi].map(|call| second.holds(&call.whole()));
        assert_eq!(asked, [false, false, false, true, false]);
    }

    proptest! {
        /// The naive model counts in a list of what the parts said.
        #[test]
        fn composed_conditions_are_what_their_parts_are(
            methods in prop::collection::vec(any::<bool>(), 1..40),
            skip in 0_u64..5,
            take in 0_u64..5,
            seed in any::<u64>(),
        ) {
            let (multi, scan) = (call("Multi", &["a"]), call("Scan", &["a"]));
            let mut composed = Condition::method("Multi")
                .numbers(skip..skip + take)
                .and(!Condition::chance(300, seed))
                .or(Condition::chance(100, !seed));
            let (mut lower, mut upper, mut seen) = (seed, !seed, 0);
            for is_multi in methods {
                let numbered = is_multi && (skip..skip + take).contains(&seen);
                seen += u64::from(is_multi);
                let expected = (draw(&mut lower) % 1000 >= 300 && numbered) | (draw(&mut upper) % 1000 < 100);
                let asked = if is_multi { &multi } else { &scan };
                prop_assert_eq!(composed.holds(&asked.whole()), expected);
            }
        }
    }
}
