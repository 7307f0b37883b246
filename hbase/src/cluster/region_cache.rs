//! Regions of one table by their start keys. Pure.
//!
//! # Laws
//! 1. No two regions in it overlap: what a new region covers is evicted, so a merged or split parent cannot send
//!    callers in a circle (HBASE-27650).
//! 2. News that is older than what is known (by opening sequence) is ignored.
//! 3. A failure only takes away the very entry it was seen with, never a newer one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::meta::Region;

/// Regions of one table.
#[derive(Debug, Default)]
pub struct RegionCache {
    regions: BTreeMap<Bytes, Arc<Region>>,
}

impl RegionCache {
    /// The region that has the row, if it is known.
    #[must_use]
    pub fn find(&self, row: &[u8]) -> Option<&Arc<Region>> {
        let (_, region) = self.regions.range::<[u8], _>((Bound::Unbounded, Bound::Included(row))).next_back()?;
        region.contains(row).then_some(region)
    }

    /// The region whose last row is right before `end`, if it is known; an empty `end` is the table's.
    #[must_use]
    pub fn find_before(&self, end: &[u8]) -> Option<&Arc<Region>> {
        let (_, region) = if end.is_empty() {
            self.regions.last_key_value()?
        } else {
            self.regions.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(end))).next_back()?
        };
        let reaches = region.end.is_empty() || (!end.is_empty() && &region.end[..] >= end);
        reaches.then_some(region)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Takes a region in and evicts what overlaps it.
    pub fn insert(&mut self, region: Arc<Region>) {
        if let Some(known) = self.regions.get(&region.start)
            && known.name == region.name
            && known.sequence > region.sequence
        {
            return;
        }
        let overlapped: Vec<Bytes> = self.overlapping(&region).cloned().collect();
        for start in overlapped {
            self.regions.remove(&start);
        }
        self.regions.insert(region.start.clone(), region);
    }

    /// Takes the entry away if it is still the one that was used.
    pub fn invalidate(&mut self, used: &Region) {
        if self.regions.get(&used.start).is_some_and(|known| **known == *used) {
            self.regions.remove(&used.start);
        }
    }

    /// Takes all regions of a server away.
    pub fn invalidate_server(&mut self, server: &str) {
        self.regions.retain(|_, region| region.server != server);
    }

    /// Moves the entry to another server if it is still the one that was used. Returns whether it did.
    pub fn relocate(&mut self, used: &Region, server: &str) -> bool {
        match self.regions.get_mut(&used.start) {
            Some(known) if **known == *used && known.server != server => {
                *known = Arc::new(Region { server: server.to_owned(), start_code: 0, ..used.clone() });
                true
            }
            _ => false,
        }
    }

    fn overlapping<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a Bytes> {
        let before = self.regions.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&region.start[..]))).next_back();
        let before = before.filter(|(_, known)| known.end.is_empty() || known.end > region.start);
        let from = self.regions.range::<[u8], _>((Bound::Included(&region.start[..]), Bound::Unbounded));
        let inside = from.take_while(|(start, _)| region.end.is_empty() || **start < region.end);
        before.into_iter().chain(inside).map(|(start, _)| start)
    }
}

#[cfg(test)]
mod tests {
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
        cache.invalidate(&used);
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
    fn the_region_before_a_row_is_found_without_meta() {
        let mut cache = RegionCache::default();
        let (first, last) = (region("", "g", 1), region("p", "", 3));
        cache.insert(Arc::clone(&first));
        cache.insert(Arc::clone(&last));
        assert_eq!(cache.find_before(b"g"), Some(&first), "the border itself belongs to the next region");
        assert_eq!(cache.find_before(b"c"), Some(&first));
        assert_eq!(cache.find_before(b"p"), None, "what is right before is not known");
        assert_eq!(cache.find_before(b"pa"), Some(&last));
        assert_eq!(cache.find_before(b""), Some(&last));
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
