//! What is known of one table: its regions, and who waits for which.
//!
//! Readers load the regions without a lock; a change copies the array and swaps it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::flights::{Flights, Reading, Target};
use super::meta::Region;
use super::region_cache::RegionCache;
use crate::error::Error;
use crate::table_name::TableName;

/// With more forgotten regions than this one read of the whole table is cheaper for meta than looking each up.
const HOLES_MAX: usize = 8;
/// A whole table is not read again sooner: while a server's regions wait for another one, meta says nothing new.
const WHOLE_READ_INTERVAL: Duration = Duration::from_secs(2);
/// Meta is asked at most so often whether a table is disabled.
const STATE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How a waiter is answered.
pub(crate) type Waiter = oneshot::Sender<Result<Arc<Region>, Error>>;

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    regions: ArcSwap<RegionCache>,
    flights: Mutex<Flights<Waiter>>,
    doubts: Mutex<Doubts>,
}

/// What makes the known regions doubtful.
#[derive(Clone, Copy, Debug, Default)]
struct Doubts {
    /// Regions forgotten since the last whole read and not found again.
    holes: usize,
    whole_read_at: Option<Instant>,
    /// A server said that it does not serve a region: the table may be disabled.
    is_refused: bool,
    state_checked_at: Option<Instant>,
}

/// A table's entry in the cache, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableCacheState {
    /// The table.
    pub table: String,
    /// Regions whose place is known.
    pub regions: usize,
    /// Regions that were forgotten and not found again.
    pub holes: usize,
    /// Callers that wait for a region.
    pub waiting: usize,
    /// Look-ups under way.
    pub lookups: usize,
}

fn is_due(last: Option<Instant>, interval: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= interval)
}

impl Table {
    pub(crate) fn new(name: TableName) -> Self {
        let regions = ArcSwap::from_pointee(RegionCache::default());
        Self { name, regions, flights: Mutex::default(), doubts: Mutex::default() }
    }

    pub(crate) fn find_row(&self, row: &[u8]) -> Option<Arc<Region>> {
        self.regions.load().find(row).cloned()
    }

    pub(crate) fn find(&self, target: &Target) -> Option<Arc<Region>> {
        let regions = self.regions.load();
        match target {
            Target::Row(row) => regions.find(row),
            Target::Before(end) => regions.find_before(end),
        }
        .cloned()
    }

    pub(crate) fn flights(&self) -> MutexGuard<'_, Flights<Waiter>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the table should be read next.
    pub(crate) fn reading(&self) -> Reading {
        let doubts = self.doubts();
        let too_little = self.regions.load().is_empty() || doubts.holes > HOLES_MAX;
        if too_little && is_due(doubts.whole_read_at, WHOLE_READ_INTERVAL) { Reading::Whole } else { Reading::Parts }
    }

    /// Whether to ask now if the table is disabled. Counts as asked.
    pub(crate) fn should_check_state(&self) -> bool {
        let mut doubts = self.doubts();
        let is_due = doubts.is_refused && is_due(doubts.state_checked_at, STATE_CHECK_INTERVAL);
        if is_due {
            doubts.state_checked_at = Some(Instant::now());
            doubts.is_refused = false;
        }
        is_due
    }

    /// The whole table was read.
    pub(crate) fn fill(&self, regions: Vec<Arc<Region>>) {
        self.change(|known| regions.iter().for_each(|region| known.insert(Arc::clone(region))));
        let mut doubts = self.doubts();
        doubts.holes = 0;
        doubts.whole_read_at = Some(Instant::now());
    }

    /// One region was looked up.
    pub(crate) fn insert(&self, region: &Arc<Region>) {
        self.change(|known| known.insert(Arc::clone(region)));
        let mut doubts = self.doubts();
        doubts.holes = doubts.holes.saturating_sub(1);
    }

    /// Nothing is known any more.
    pub(crate) fn clear(&self) {
        self.regions.store(Arc::default());
    }

    /// A server does not serve the region, or cannot be asked. Returns whether something was forgotten.
    pub(crate) fn invalidate(&self, used: &Region) -> bool {
        let is_forgotten = self.change(|known| known.invalidate(used));
        let mut doubts = self.doubts();
        doubts.holes += usize::from(is_forgotten);
        is_forgotten
    }

    /// A server said that it does not serve a region.
    pub(crate) fn suspect(&self) {
        self.doubts().is_refused = true;
    }

    pub(crate) fn relocate(&self, used: &Region, server: &str) -> bool {
        self.change(|known| known.relocate(used, server))
    }

    pub(crate) fn invalidate_server(&self, server: &str, start_code: u64) -> usize {
        // Most tables have nothing there: nothing is copied for them.
        if !self.regions.load().iter().any(|region| region.server == server) {
            return 0;
        }
        let forgotten = self.change(|known| known.invalidate_server(server, start_code));
        self.doubts().holes += forgotten;
        forgotten
    }

    pub(crate) fn describe(&self) -> TableCacheState {
        let (waiting, lookups) = self.flights().counts();
        let (regions, holes) = (self.regions.load().len(), self.doubts().holes);
        TableCacheState { table: self.name.to_string(), regions, holes, waiting, lookups }
    }

    /// Changes a copy and swaps it in; repeated if another change came between.
    fn change<R: Default>(&self, change: impl Fn(&mut RegionCache) -> R) -> R {
        let mut result = R::default();
        self.regions.rcu(|known| {
            let mut changed = RegionCache::clone(known);
            result = change(&mut changed);
            changed
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(number: u8, server: &str) -> Arc<Region> {
        Arc::new(Region {
            name: format!("t,{number},1.").into(),
            start: vec![number].into(),
            end: vec![number + 1].into(),
            server: server.to_owned(),
            start_code: 1,
            sequence: 1,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn many_holes_are_filled_by_one_read_but_not_at_any_rate() {
        let table = Table::new(TableName::new("t"));
        assert_eq!(table.reading(), Reading::Whole, "nothing is known");
        table.fill((0..100).map(|number| region(number, if number < 50 { "a:1" } else { "b:2" })).collect());
        assert_eq!(table.reading(), Reading::Parts);
        assert_eq!(table.invalidate_server("a:1", 1), 50);
        assert_eq!(table.reading(), Reading::Parts, "it was read a moment ago");
        tokio::time::advance(WHOLE_READ_INTERVAL).await;
        assert_eq!(table.reading(), Reading::Whole);
        (0..42).for_each(|number| table.insert(&region(number, "c:3")));
        assert_eq!(table.reading(), Reading::Parts, "eight holes are left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_asks_for_the_tables_state_at_most_once_a_second() {
        let table = Table::new(TableName::new("t"));
        assert!(!table.should_check_state());
        for _ in 0..2 {
            table.suspect();
            assert!(table.should_check_state());
            table.suspect();
            assert!(!table.should_check_state());
            tokio::time::advance(STATE_CHECK_INTERVAL).await;
            assert!(table.should_check_state());
            tokio::time::advance(STATE_CHECK_INTERVAL).await;
        }
    }
}
