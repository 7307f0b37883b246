//! Who waits for which region of a table, and which look-ups are under way. Pure.
//!
//! # Laws
//! 1. One place is looked up by one look-up at a time, however many wait for it.
//! 2. An answer serves everybody whose place it covers, asked for or not (range completion).
//! 3. At most [`FLIGHTS_MAX`] look-ups of a table at once (`AsyncNonMetaRegionLocator`'s limit); while the whole table is
//!    read there is no other.
//! 4. Every waiter is answered once.

use bytes::Bytes;

use super::meta::Region;

/// Look-ups of one table at once (`hbase.client.meta.max.concurrent.locate.per.table`). One at a time leaves a table
/// whose regions moved waiting for as many round trips as it has regions; without a limit one client's writers could
/// fill meta's handlers.
pub(crate) const FLIGHTS_MAX: usize = 8;

/// A place in a table's key space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The region that has this row.
    Row(Bytes),
    /// The region whose rows end right before this key; empty is the table's end.
    Before(Bytes),
}

impl Target {
    /// Whether this region is the one.
    pub(crate) fn is_in(&self, region: &Region) -> bool {
        match self {
            Self::Row(row) => region.contains(row),
            Self::Before(end) => region.reaches(end),
        }
    }
}

/// How a table should be read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All of it: nothing or too little is known.
    Whole,
    /// The regions that are asked for.
    Parts,
}

/// A look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flight {
    /// All regions.
    Whole,
    /// One region.
    Part(Target),
}

/// Waiters and look-ups of one table. `W` is how a waiter is answered.
#[derive(Debug)]
pub(crate) struct Flights<W> {
    waiters: Vec<(Target, W)>,
    parts: Vec<Target>,
    is_whole_read: bool,
}

impl<W> Default for Flights<W> {
    fn default() -> Self {
        Self { waiters: Vec::new(), parts: Vec::new(), is_whole_read: false }
    }
}

impl<W> Flights<W> {
    /// Somebody waits for a place. Returns the look-ups to begin.
    pub(crate) fn join(&mut self, target: Target, waiter: W, reading: Reading) -> Vec<Flight> {
        self.waiters.push((target, waiter));
        self.next(reading)
    }

    /// A look-up is over. Returns the waiters that it answers: those that `is_answered` names, and whoever asked for the
    /// very place.
    pub(crate) fn land(&mut self, flight: &Flight, is_answered: impl Fn(&Target) -> bool) -> Vec<(Target, W)> {
        match flight {
            Flight::Whole => self.is_whole_read = false,
            Flight::Part(target) => self.parts.retain(|part| part != target),
        }
        let is_asked = |target: &Target| matches!(flight, Flight::Part(part) if part == target);
        self.waiters.extract_if(.., |(target, _)| is_answered(target) || is_asked(target)).collect()
    }

    /// Forgets waiters that have gone.
    pub(crate) fn prune(&mut self, is_gone: impl Fn(&W) -> bool) {
        self.waiters.retain(|(_, waiter)| !is_gone(waiter));
    }

    /// Look-ups to begin for those who still wait.
    pub(crate) fn next(&mut self, reading: Reading) -> Vec<Flight> {
        if self.is_whole_read || self.waiters.is_empty() {
            return Vec::new();
        }
        if reading == Reading::Whole && self.parts.is_empty() {
            self.is_whole_read = true;
            return vec![Flight::Whole];
        }
        let mut begun = Vec::new();
        for (target, _) in &self.waiters {
            if self.parts.len() >= FLIGHTS_MAX {
                break;
            }
            if !self.parts.contains(target) {
                self.parts.push(target.clone());
                begun.push(Flight::Part(target.clone()));
            }
        }
        begun
    }

    /// Those who wait, and look-ups under way.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.waiters.len(), self.parts.len() + usize::from(self.is_whole_read))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(number: u8) -> Target {
        Target::Row(Bytes::copy_from_slice(&[number]))
    }

    #[test]
    fn one_place_is_looked_up_once_however_many_wait() {
        let mut flights = Flights::default();
        assert_eq!(flights.join(row(1), 'a', Reading::Parts), [Flight::Part(row(1))]);
        assert_eq!(flights.join(row(1), 'b', Reading::Parts), []);
        let answered = flights.land(&Flight::Part(row(1)), |_| false);
        assert_eq!(answered, [(row(1), 'a'), (row(1), 'b')]);
        assert_eq!(flights.counts(), (0, 0));
    }

    #[test]
    fn an_answer_serves_everybody_it_covers_and_makes_room_for_others() {
        let mut flights = Flights::default();
        let begun: usize = (0..20).map(|number| flights.join(row(number), number, Reading::Parts).len()).sum();
        assert_eq!(begun, FLIGHTS_MAX);
        let answered = flights.land(&Flight::Part(row(0)), |target| *target < row(15));
        assert_eq!(answered.len(), 15, "rows that had a look-up of their own, and rows that had none");
        let next = flights.next(Reading::Parts);
        assert_eq!(next, [Flight::Part(row(15))], "seven are still under way");
    }

    #[test]
    fn while_a_table_is_read_nothing_else_is() {
        let mut flights = Flights::default();
        assert_eq!(flights.join(row(1), 'a', Reading::Whole), [Flight::Whole]);
        assert_eq!(flights.join(row(2), 'b', Reading::Whole), []);
        assert_eq!(flights.join(row(3), 'c', Reading::Parts), []);
        assert_eq!(flights.land(&Flight::Whole, |_| true).len(), 3);
    }

    impl PartialOrd for Target {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            match (self, other) {
                (Self::Row(a), Self::Row(b)) => a.partial_cmp(b),
                _ => None,
            }
        }
    }

    proptest! {
        /// The naive model knows who waits; every step keeps the limits, and in the end everybody was answered once.
        #[test]
        fn everybody_is_answered_once(steps in prop::collection::vec((0_u8..30, any::<bool>(), 0_u8..6), 1..100)) {
            let mut flights: Flights<usize> = Flights::default();
            let mut flying: Vec<Flight> = Vec::new();
            let mut answers: BTreeMap<usize, u32> = BTreeMap::new();
            for (number, (place, whole, land)) in steps.iter().copied().enumerate() {
                let reading = if whole { Reading::Whole } else { Reading::Parts };
                answers.insert(number, 0);
                flying.extend(flights.join(row(place), number, reading));
                if land > 0 && !flying.is_empty() {
                    let flight = flying.swap_remove(usize::from(place) % flying.len());
                    for (_, waiter) in flights.land(&flight, |target| *target < row(place)) {
                        *answers.entry(waiter).or_default() += 1;
                    }
                    flying.extend(flights.next(reading));
                }
                let parts = flying.iter().filter(|flight| **flight != Flight::Whole).count();
                prop_assert!(parts <= FLIGHTS_MAX);
                prop_assert!(parts == flying.len() || flying.len() == 1, "a whole read is alone");
            }
            while let Some(flight) = flying.pop() {
                for (_, waiter) in flights.land(&flight, |_| flight == Flight::Whole) {
                    *answers.entry(waiter).or_default() += 1;
                }
                flying.extend(flights.next(Reading::Parts));
            }
            prop_assert!(answers.values().all(|count| *count == 1), "{:?}", answers);
        }
    }
}
