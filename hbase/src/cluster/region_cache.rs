//! Regions of one table, sorted by their start keys. Pure.
//!
//! An array, not a tree: it is read by every write and scan and changed by few events, so a change copies it and readers
//! take no lock (see [`table`](super::table)). Ten thousand regions are eighty kilobytes of pointers.
//!
//! # Laws
//! 1. No two regions in it overlap: what a new region covers is evicted, so a merged or split parent cannot send
//!    callers in a circle (HBASE-27650).
//! 2. News that is older than what is known (by opening sequence) is ignored.
//! 3. A failure only takes away the very entry it was seen with, never a newer one.
//! 4. Regions are compared by start key within one table, never by the bytes of their names: a start key may contain
//!    bytes below the comma.

use std::ops::Range;
use std::sync::Arc;

use super::meta::Region;

/// Regions of one table.
#[derive(Clone, Debug, Default)]
pub struct RegionCache {
    regions: Vec<Arc<Region>>,
}

impl RegionCache {
    /// The region that has the row, if it is known.
    #[must_use]
    pub fn find(&self, row: &[u8]) -> Option<&Arc<Region>> {
        let behind = self.regions.partition_point(|region| region.start <= row);
        self.regions.get(behind.checked_sub(1)?).filter(|region| region.contains(row))
    }

    /// The region whose rows end right before `end`, if it is known; an empty `end` is the table's end.
    #[must_use]
    pub fn find_before(&self, end: &[u8]) -> Option<&Arc<Region>> {
        let behind = match end {
            [] => self.regions.len(),
            end => self.regions.partition_point(|region| region.start < end),
        };
        self.regions.get(behind.checked_sub(1)?).filter(|region| region.reaches(end))
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Number of regions that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.regions.len()
    }

    /// The regions that are known, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Region>> {
        self.regions.iter()
    }

    /// Takes a region in and evicts what overlaps it.
    pub fn insert(&mut self, region: Arc<Region>) {
        let overlapping = self.overlapping(&region);
        let known = self.regions.get(overlapping.clone()).unwrap_or_default();
        if known.iter().any(|known| known.name == region.name && known.sequence > region.sequence) {
            return;
        }
        self.regions.splice(overlapping, [region]);
    }

    /// Takes the entry away if it is still the one that was used. Returns whether it did.
    pub fn invalidate(&mut self, used: &Region) -> bool {
        let place = self.place_of(used);
        place.map(|place| self.regions.remove(place)).is_some()
    }

    /// Takes all regions away that a server process had: those at its address that were not opened by a later process
    /// there. Returns how many.
    pub fn invalidate_server(&mut self, server: &str, start_code: u64) -> usize {
        let before = self.regions.len();
        self.regions.retain(|region| region.server != server || region.start_code > start_code);
        before - self.regions.len()
    }

    /// Moves the entry to another server if it is still the one that was used. Returns whether it did.
    pub fn relocate(&mut self, used: &Region, server: &str) -> bool {
        let place = self.place_of(used).filter(|_| used.server != server);
        let Some(known) = place.and_then(|place| self.regions.get_mut(place)) else { return false };
        *known = Arc::new(Region { server: server.to_owned(), start_code: 0, ..used.clone() });
        true
    }

    fn place_of(&self, used: &Region) -> Option<usize> {
        let place = self.regions.binary_search_by(|region| region.start.cmp(&used.start)).ok()?;
        self.regions.get(place).is_some_and(|known| **known == *used).then_some(place)
    }

    fn overlapping(&self, region: &Region) -> Range<usize> {
        let is_before = |known: &Arc<Region>| !known.end.is_empty() && known.end <= region.start;
        let from = self.regions.partition_point(is_before);
        let is_behind = |known: &Arc<Region>| !region.end.is_empty() && known.start >= region.end;
        let to = from + self.regions.get(from..).unwrap_or_default().partition_point(|known| !is_behind(known));
        from..to
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn region(start: &str, end: &str, sequence: i64) -> Arc<Region> {
        Arc::new(Region {
            name: format!("t,{start},{sequence}.").into(),
            start: start.to_owned().into(),
            end: end.to_owned().into(),
            server: "a:1".to_owned(),
            start_code: 1,
            sequence,
        })
    }

    #[test]
    fn a_merged_region_evicts_its_parents() {
        let mut cache = RegionCache::default();
        for parent in [region("", "g", 1), region("g", "p", 2), region("p", "", 3)] {
            cache.insert(parent);
        }
        cache.insert(region("", "p", 9));
        assert_eq!(cache.find(b"h").map(|found| found.sequence), Some(9));
        assert_eq!(cache.find(b"q").map(|found| found.sequence), Some(3));
    }

    #[test]
    fn a_failure_does_not_take_newer_news_away() {
        let mut cache = RegionCache::default();
        let used = region("", "", 1);
        cache.insert(Arc::clone(&used));
        let newer = Arc::new(Region { server: "b:2".to_owned(), sequence: 5, ..(*used).clone() });
        cache.insert(Arc::clone(&newer));
        assert!(!cache.invalidate(&used));
        assert_eq!(cache.find(b"x"), Some(&newer));
        cache.insert(used);
        assert_eq!(cache.find(b"x"), Some(&newer), "older news is ignored");
    }

    #[test]
    fn a_hint_moves_only_the_entry_it_was_given_for() {
        let mut cache = RegionCache::default();
        let used = region("", "", 1);
        cache.insert(Arc::clone(&used));
        assert!(cache.relocate(&used, "c:3"));
        assert!(!cache.relocate(&used, "d:4"));
        assert_eq!(cache.find(b"x").map(|found| found.server.clone()), Some("c:3".to_owned()));
    }

    #[test]
    fn a_server_that_came_back_keeps_what_its_new_process_opened() {
        let mut cache = RegionCache::default();
        cache.insert(region("", "m", 1));
        cache.insert(Arc::new(Region { start_code: 7, ..(*region("m", "", 2)).clone() }));
        assert_eq!(cache.invalidate_server("a:1", 1), 1);
        assert_eq!(cache.iter().map(|known| known.start_code).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn the_region_before_a_key_ends_there() {
        let mut cache = RegionCache::default();
        cache.insert(region("", "g", 1));
        cache.insert(region("p", "", 3));
        assert_eq!(cache.find_before(b"g").map(|found| found.sequence), Some(1));
        assert_eq!(cache.find_before(b"c").map(|found| found.sequence), Some(1), "a key inside");
        assert_eq!(cache.find_before(b"p"), None, "a hole");
        assert_eq!(cache.find_before(b"pa").map(|found| found.sequence), Some(3));
        assert_eq!(cache.find_before(b"").map(|found| found.sequence), Some(3));
    }

    #[test]
    fn start_keys_below_the_comma_are_in_order() {
        // As names, `t,a!,…` stands before `t,a,…`; as start keys it is the other way round.
        let mut cache = RegionCache::default();
        for part in [region("", "a", 1), region("a", "a!", 2), region("a!", "", 3)] {
            cache.insert(part);
        }
        assert_eq!(cache.find(b"a").map(|found| found.sequence), Some(2));
        assert_eq!(cache.find(b"a!z").map(|found| found.sequence), Some(3));
    }

    proptest! {
        /// The naive model is the list of everything inserted; the last one that covers a row has it, unless a later
        /// one overlaps it.
        #[test]
        fn finds_what_a_list_of_intervals_finds(inserts in prop::collection::vec((0_u8..20, 1_u8..6), 1..30)) {
            let mut cache = RegionCache::default();
            let mut model: Vec<(u8, u8)> = Vec::new();
            for (number, (start, length)) in inserts.into_iter().enumerate() {
                let end = start + length;
                model.retain(|(from, to)| *to <= start || *from >= end);
                model.push((start, end));
                let mut new = (*region("", "", 1)).clone();
                new.start = Bytes::copy_from_slice(&[start]);
                new.end = Bytes::copy_from_slice(&[end]);
                new.name = format!("{number}").into();
                cache.insert(Arc::new(new));
            }
            for row in 0..30 {
                let expected = model.iter().find(|(from, to)| (*from..*to).contains(&row)).map(|(from, _)| *from);
                prop_assert_eq!(cache.find(&[row]).map(|found| found.start[0]), expected);
            }
        }
    }
}
