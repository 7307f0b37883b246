//! The cells of one region, with HBase's rules for versions and deletes. No I/O.
//!
//! # Laws (`ScanQueryMatcher`, `ScanDeleteTracker`)
//! 1. Of one column the newest timestamp wins, not the last arrival; one identity written twice keeps the later value.
//! 2. A marker masks values at or below its timestamp (or exactly at it), whatever came first; it wins ties.
//! 3. Markers and what they mask stay until a major compaction; then both are gone, and an older value that arrives
//!    later is visible again.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use super::memstore::{KeyValue, MemStore};
use crate::cell::{Cell, CellKind, LATEST_TIMESTAMP};

/// What a family keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FamilyRules {
    pub(super) versions: usize,
    pub(super) ttl_ms: Option<i64>,
}

/// What a read asks for.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Families with their qualifiers; no families means all, no qualifiers means all of the family.
    pub(super) columns: BTreeMap<Bytes, BTreeSet<Bytes>>,
    pub(super) versions: usize,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) is_raw: bool,
    pub(super) now_ms: i64,
}

/// How rows are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RowOrder {
    /// As bytes.
    #[default]
    Bytes,
    /// As meta's: table, start key and id are compared one after the other, for a start key may hold bytes that sort
    /// before the comma (`MetaCellComparator`).
    Meta,
}

impl RowOrder {
    pub(super) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Bytes => a.cmp(b),
            Self::Meta => meta_parts(a).cmp(&meta_parts(b)),
        }
    }
}

/// A row of meta, taken apart; the fields are compared in this order. A table's own row has only the first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct MetaParts<'a> {
    table: &'a [u8],
    start: Option<&'a [u8]>,
    id: &'a [u8],
}

fn meta_parts(row: &[u8]) -> MetaParts<'_> {
    let Some(first) = row.iter().position(|byte| *byte == b',') else {
        return MetaParts { table: row, start: None, id: &[] };
    };
    let (table, rest) = row.split_at(first);
    let rest = rest.get(1..).unwrap_or_default();
    let last = rest.iter().rposition(|byte| *byte == b',').unwrap_or(rest.len());
    let (start, id) = rest.split_at(last);
    MetaParts { table, start: Some(start), id }
}

/// Cells in HBase's order.
#[derive(Debug, Default)]
pub(super) struct Store {
    cells: MemStore,
}

impl Store {
    pub(super) fn with_order(order: RowOrder) -> Self {
        Self { cells: MemStore::with_order(order) }
    }

    pub(super) fn order(&self) -> RowOrder {
        self.cells.order()
    }

    /// Applies one cell of a put or a delete.
    pub(super) fn apply(&mut self, mut cell: Cell, now_ms: i64) {
        if cell.timestamp == LATEST_TIMESTAMP {
            cell.timestamp = match cell.kind {
                // Without a timestamp this deletes the newest version: it has to be looked up.
                CellKind::Delete => match self.newest(&cell.row, &cell.family, &cell.qualifier) {
                    Some(newest) => newest,
                    None => return,
                },
                _ => now_ms,
            };
        }
        // What was read as a cell can be written as one.
        if let Some(cell) = KeyValue::of(&cell) {
            self.cells.insert(cell);
        }
    }

    /// Applies the cells of one row, which carry their own timestamps.
    pub(super) fn apply_row(&mut self, count: usize, cells: impl Iterator<Item = KeyValue>) {
        self.cells.insert_row(count, cells);
    }

    fn newest(&self, row: &Bytes, family: &Bytes, qualifier: &Bytes) -> Option<i64> {
        let view = View {
            columns: [(family.clone(), [qualifier.clone()].into())].into(),
            versions: 1,
            from: 0,
            to: i64::MAX,
            is_raw: false,
            now_ms: 0,
        };
        self.row(row, &view, &|_| None).first().map(|cell| cell.timestamp)
    }

    /// The rows from a bound on, one after the other; empty rows are skipped.
    pub(super) fn next_key(&self, from: Bound<&Bytes>) -> Option<Bytes> {
        self.cells.next_key(from)
    }

    /// The row before a bound.
    pub(super) fn previous_key(&self, from: Bound<&Bytes>) -> Option<Bytes> {
        self.cells.previous_key(from)
    }

    /// What a read sees of one row.
    pub(super) fn row(&self, row: &Bytes, view: &View, rules: &dyn Fn(&Bytes) -> Option<FamilyRules>) -> Vec<Cell> {
        let cells: Vec<Cell> = self.cells.row(row).iter().map(KeyValue::cell).collect();
        let mut seen = Vec::new();
        for family in cells.chunk_by(|a, b| a.family == b.family) {
            let Some(name) = family.first().map(|cell| &cell.family) else { continue };
            let qualifiers = match view.columns.get(name) {
                Some(qualifiers) => qualifiers,
                None if view.columns.is_empty() => &BTreeSet::new(),
                None => continue,
            };
            let rules = rules(name).unwrap_or(FamilyRules { versions: usize::MAX, ttl_ms: None });
            family_view(family, qualifiers, view, &rules, &mut seen);
        }
        seen
    }

    /// Drops markers, what they mask, and versions beyond what the family keeps.
    pub(super) fn major_compact(&mut self, rules: &dyn Fn(&Bytes) -> Option<FamilyRules>, now_ms: i64) {
        let view =
            View { columns: BTreeMap::new(), versions: usize::MAX, from: 0, to: i64::MAX, is_raw: false, now_ms };
        let mut kept = MemStore::with_order(self.order());
        let mut next = self.next_key(Bound::Unbounded);
        while let Some(row) = next {
            // A copy of each cell: the blocks that held it and what was dropped are let go.
            self.row(&row, &view, rules).iter().filter_map(KeyValue::of).for_each(|cell| kept.insert(cell));
            next = self.next_key(Bound::Excluded(&row));
        }
        self.cells = kept;
    }

    /// All cells there are, markers and what they mask among them, in order.
    pub(super) fn all(&self) -> Vec<Cell> {
        self.cells.iter().map(KeyValue::cell).collect()
    }

    /// Keeps only the cells of some families.
    pub(super) fn retain_families(&mut self, is_kept: impl Fn(&[u8]) -> bool) {
        self.cells.retain_families(is_kept);
    }

    /// Cuts the store: what is at or behind `row` is returned.
    pub(super) fn split_off(&mut self, row: &Bytes) -> Self {
        Self { cells: self.cells.split_off(row) }
    }

    /// Takes another store's cells in.
    pub(super) fn absorb(&mut self, other: Self) {
        self.cells.absorb(other.cells);
    }

    /// Removes a whole row at once, without markers (meta only).
    pub(super) fn remove_row(&mut self, row: &Bytes) {
        self.cells.remove_row(row);
    }
}

fn family_view(cells: &[Cell], qualifiers: &BTreeSet<Bytes>, view: &View, rules: &FamilyRules, seen: &mut Vec<Cell>) {
    let of_kind = |kind| cells.iter().filter(move |cell| cell.kind == kind).map(|cell| cell.timestamp);
    let family_at = of_kind(CellKind::DeleteFamily).max();
    let family_exactly: BTreeSet<i64> = of_kind(CellKind::DeleteFamilyVersion).collect();
    for column in cells.chunk_by(|a, b| a.qualifier == b.qualifier) {
        let is_wanted = |cell: &Cell| qualifiers.is_empty() || qualifiers.contains(&cell.qualifier);
        let of_kind = |kind| column.iter().filter(move |cell| cell.kind == kind).map(|cell| cell.timestamp);
        let column_at = of_kind(CellKind::DeleteColumn).max();
        let exactly: BTreeSet<i64> = of_kind(CellKind::Delete).collect();
        let mut versions = 0;
        for cell in column {
            let at = cell.timestamp;
            let is_family_marker = matches!(cell.kind, CellKind::DeleteFamily | CellKind::DeleteFamilyVersion);
            if at < view.from || at >= view.to || !(is_wanted(cell) || is_family_marker) {
                continue;
            }
            if cell.kind.is_delete() {
                if view.is_raw {
                    seen.push(cell.clone());
                }
                continue;
            }
            let is_masked = family_at.is_some_and(|marker| at <= marker)
                || column_at.is_some_and(|marker| at <= marker)
                || family_exactly.contains(&at)
                || exactly.contains(&at);
            let is_expired = rules.ttl_ms.is_some_and(|ttl| at.saturating_add(ttl) <= view.now_ms);
            if !view.is_raw && (is_masked || is_expired) {
                continue;
            }
            versions += 1;
            let most = if view.is_raw { view.versions } else { view.versions.min(rules.versions) };
            if versions <= most {
                seen.push(cell.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(qualifier: u8, timestamp: i64, kind: CellKind, value: u8) -> Cell {
        let is_family = matches!(kind, CellKind::DeleteFamily | CellKind::DeleteFamilyVersion);
        let qualifier = if is_family { Bytes::new() } else { Bytes::copy_from_slice(&[qualifier]) };
        let value = if kind.is_delete() { Bytes::new() } else { Bytes::copy_from_slice(&[value]) };
        let (row, family) = (Bytes::from_static(b"r"), Bytes::from_static(b"f"));
        Cell { row, family, qualifier, timestamp, kind, value }
    }

    fn view(versions: usize) -> View {
        View { columns: BTreeMap::new(), versions, from: 0, to: i64::MAX, is_raw: false, now_ms: 0 }
    }

    fn keeps(versions: usize) -> impl Fn(&Bytes) -> Option<FamilyRules> {
        move |_| Some(FamilyRules { versions, ttl_ms: None })
    }

    fn seen(store: &Store, view: &View, kept: usize) -> Vec<(u8, i64, u8)> {
        let row = store.row(&Bytes::from_static(b"r"), view, &keeps(kept));
        row.iter().map(|cell| (cell.qualifier[0], cell.timestamp, cell.value[0])).collect()
    }

    #[test]
    fn an_old_value_comes_back_after_its_marker_was_compacted_away() {
        let mut store = Store::default();
        store.apply(cell(1, 5, CellKind::Put, 1), 0);
        store.apply(cell(0, 7, CellKind::DeleteFamily, 0), 0);
        assert_eq!(seen(&store, &view(1), 1), []);
        store.apply(cell(1, 6, CellKind::Put, 2), 0);
        assert_eq!(seen(&store, &view(1), 1), [], "the marker still masks what arrives late");
        store.major_compact(&keeps(1), 0);
        store.apply(cell(1, 6, CellKind::Put, 2), 0);
        assert_eq!(seen(&store, &view(1), 1), [(1, 6, 2)]);
    }

    #[test]
    fn a_delete_without_a_time_takes_the_newest_version() {
        let mut store = Store::default();
        for version in [5, 7] {
            store.apply(cell(1, version, CellKind::Put, version as u8), 0);
        }
        store.apply(cell(1, LATEST_TIMESTAMP, CellKind::Delete, 0), 99);
        assert_eq!(seen(&store, &view(9), 9), [(1, 5, 5)]);
    }

    #[test]
    fn meta_rows_stand_in_the_order_of_their_start_keys() {
        let rows: [&[u8]; 5] = [b"message", b"message,,9", b"message,\x01,5", b"message,,,7", b"message ,,"];
        let ordered = |a: &[u8], b: &[u8]| RowOrder::Meta.compare(a, b) == Ordering::Less;
        assert!(rows.windows(2).all(|pair| ordered(pair[0], pair[1])));
    }

    /// Of every column the newest puts that no marker masks, in a range of times.
    fn visible(list: &[Cell], most: usize, (from, to): (i64, i64)) -> Vec<(u8, i64, u8)> {
        let is_masked = |put: &Cell| {
            list.iter().any(|marker| match marker.kind {
                CellKind::Put => false,
                CellKind::Delete => marker.qualifier == put.qualifier && marker.timestamp == put.timestamp,
                CellKind::DeleteColumn => marker.qualifier == put.qualifier && put.timestamp <= marker.timestamp,
                CellKind::DeleteFamily => put.timestamp <= marker.timestamp,
                CellKind::DeleteFamilyVersion => put.timestamp == marker.timestamp,
            })
        };
        let mut found = Vec::new();
        for qualifier in 1..4_u8 {
            let is_wanted = |cell: &&Cell| {
                cell.kind == CellKind::Put
                    && cell.qualifier[0] == qualifier
                    && (from..to).contains(&cell.timestamp)
                    && !is_masked(cell)
            };
            let mut puts: Vec<&Cell> = list.iter().filter(is_wanted).collect();
            puts.sort_by_key(|cell| -cell.timestamp);
            found.extend(puts.iter().take(most).map(|cell| (qualifier, cell.timestamp, cell.value[0])));
        }
        found
    }

    fn any_cells() -> impl Strategy<Value = Vec<Cell>> {
        prop::collection::vec(any_cell(), 0..25)
    }

    fn any_cell() -> impl Strategy<Value = Cell> {
        let kind = prop::sample::select(vec![
            CellKind::Put,
            CellKind::Put,
            CellKind::Put,
            CellKind::Delete,
            CellKind::DeleteColumn,
            CellKind::DeleteFamily,
            CellKind::DeleteFamilyVersion,
        ]);
        (1_u8..4, 0_i64..8, kind, any::<u8>()).prop_map(|(q, at, kind, value)| cell(q, at, kind, value))
    }

    proptest! {
        /// The naive model asks of every put in turn whether any marker masks it.
        #[test]
        fn reads_see_what_a_list_of_cells_shows(cells in any_cells(), wanted in 1_usize..4, kept in 1_usize..4) {
            let mut store = Store::default();
            let mut list: Vec<Cell> = Vec::new();
            for cell in cells {
                list.retain(|old| (&old.qualifier, old.timestamp, old.kind) != (&cell.qualifier, cell.timestamp, cell.kind));
                list.push(cell.clone());
                store.apply(cell, 0);
            }
            let mut expected: Vec<(u8, i64, u8)> = Vec::new();
            for qualifier in 1..4_u8 {
                let mut puts: Vec<&Cell> = list.iter().filter(|cell| cell.kind == CellKind::Put && cell.qualifier[0] == qualifier).collect();
                puts.sort_by_key(|cell| -cell.timestamp);
                puts.retain(|put| !list.iter().any(|marker| match marker.kind {
                    CellKind::Put => false,
                    CellKind::Delete => marker.qualifier == put.qualifier && marker.timestamp == put.timestamp,
                    CellKind::DeleteColumn => marker.qualifier == put.qualifier && put.timestamp <= marker.timestamp,
                    CellKind::DeleteFamily => put.timestamp <= marker.timestamp,
                    CellKind::DeleteFamilyVersion => put.timestamp == marker.timestamp,
                }));
                expected.extend(puts.iter().take(wanted.min(kept)).map(|cell| (qualifier, cell.timestamp, cell.value[0])));
            }
            prop_assert_eq!(seen(&store, &view(wanted), kept), expected);
        }

        /// The naive model keeps every cell in a list and asks of every put whether a marker masks it; a major
        /// compaction of the list keeps what all reads of all versions show. Reads have time ranges and versions.
        #[test]
        fn reads_see_what_a_list_shows_through_ranges_and_compactions(
            steps in prop::collection::vec(prop_oneof![9 => any_cell().prop_map(Some), 1 => Just(None)], 0..40),
            wanted in 1_usize..4,
            kept in 1_usize..4,
            (from, length) in (0_i64..8, 1_i64..9),
        ) {
            let mut store = Store::default();
            let mut list: Vec<Cell> = Vec::new();
            for step in steps {
                let Some(cell) = step else {
                    store.major_compact(&keeps(kept), 0);
                    let all = visible(&list, kept, (0, i64::MAX));
                    list.retain(|cell| cell.kind == CellKind::Put && all.contains(&(cell.qualifier[0], cell.timestamp, cell.value[0])));
                    continue;
                };
                list.retain(|old| (&old.qualifier, old.timestamp, old.kind) != (&cell.qualifier, cell.timestamp, cell.kind));
                list.push(cell.clone());
                store.apply(cell, 0);
            }
            let view = View { from, to: from + length, ..view(wanted) };
            prop_assert_eq!(seen(&store, &view, kept), visible(&list, wanted.min(kept), (from, from + length)));
        }
    }
}
