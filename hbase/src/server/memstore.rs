//! Cells in memory: rows in order, each with its cells in order. A cell is one slice of the bytes it came in, with the
//! few numbers that find its parts; nothing of it is copied or allocated on its own.
//!
//! # Invariants
//! 1. A row that is there has at least one cell; all cells of a row carry its key.
//! 2. Cells of a row stand in HBase's order (`CellComparatorImpl`), each identity once; the one written last stays.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Bytes, BytesMut};

use super::store::RowOrder;
use crate::cell::{Cell, CellKind};
use crate::wire::cell_block;

/// Lengths before the key: kvLen, keyLen, valueLen.
const LENGTHS: usize = 12;
/// Where the row begins: behind the lengths and its own length.
const ROW: usize = LENGTHS + 2;
/// Bytes of a key beside row, family and qualifier: row length, family length, timestamp, type.
const KEY_FIXED: usize = 2 + 1 + 8 + 1;
/// The end of a key: timestamp and type.
const KEY_TAIL: usize = 8 + 1;

/// Where the parts of a cell stand in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outline {
    bytes: u32,
    key_bytes: u32,
    row_bytes: u16,
    family_bytes: u8,
    pub(super) kind: CellKind,
    pub(super) timestamp: i64,
}

impl Outline {
    /// The outline of the cell that the bytes begin with; `None` if it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (lengths, rest) = bytes.split_first_chunk::<LENGTHS>()?;
        let [whole, key, value] = [0, 4, 8].map(|at| number(lengths, at));
        if whole.checked_sub(8)?.checked_sub(key)? != value || rest.len() < key.checked_add(value)? {
            return None;
        }
        let (row_bytes, rest) = rest.split_first_chunk::<2>()?;
        let row_bytes = u16::from_be_bytes(*row_bytes);
        let family_bytes = *rest.get(usize::from(row_bytes))?;
        let names = usize::from(row_bytes) + usize::from(family_bytes);
        key.checked_sub(KEY_FIXED + names)?;
        let (timestamp, rest) = rest.get(key - 2 - KEY_TAIL..)?.split_first_chunk::<8>()?;
        Some(Self {
            bytes: (4 + whole) as u32,
            key_bytes: key as u32,
            row_bytes,
            family_bytes,
            kind: CellKind::from_code(*rest.first()?)?,
            timestamp: i64::from_be_bytes(*timestamp),
        })
    }

    /// The same with another timestamp.
    pub(super) fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    /// Bytes of the whole cell.
    pub(super) fn len(&self) -> usize {
        self.bytes as usize
    }

    /// The row key in the cell's bytes.
    pub(super) fn row<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(ROW..ROW + usize::from(self.row_bytes)).unwrap_or_default()
    }

    /// The family's name in the cell's bytes.
    pub(super) fn family<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.family_at();
        bytes.get(start..start + usize::from(self.family_bytes)).unwrap_or_default()
    }

    fn qualifier<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.qualifier_at()..self.tail_at()).unwrap_or_default()
    }

    fn family_at(&self) -> usize {
        ROW + usize::from(self.row_bytes) + 1
    }

    fn qualifier_at(&self) -> usize {
        self.family_at() + usize::from(self.family_bytes)
    }

    fn tail_at(&self) -> usize {
        self.value_at() - KEY_TAIL
    }

    fn value_at(&self) -> usize {
        LENGTHS + self.key_bytes as usize
    }
}

fn number(bytes: &[u8; LENGTHS], at: usize) -> usize {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |number| u32::from_be_bytes(*number) as usize)
}

/// A cell that is kept. Its timestamp may be another than in its bytes: the server's, for one that came without.
#[derive(Clone, Debug)]
pub(super) struct KeyValue {
    outline: Outline,
    bytes: Bytes,
}

impl KeyValue {
    /// The cell that stands in the block from `at` on.
    pub(super) fn new(outline: Outline, block: &Bytes, at: usize) -> Self {
        Self { outline, bytes: block.slice(at..at + outline.len()) }
    }

    /// The same cell in one piece.
    pub(super) fn of(cell: &Cell) -> Option<Self> {
        let mut bytes = BytesMut::with_capacity(cell_block::encoded_len(cell));
        cell_block::encode(cell, &mut bytes);
        let outline = Outline::read(&bytes)?;
        Some(Self { outline, bytes: bytes.freeze() })
    }

    pub(super) fn row(&self) -> Bytes {
        self.bytes.slice(ROW..ROW + usize::from(self.outline.row_bytes))
    }

    fn family(&self) -> &[u8] {
        self.outline.family(&self.bytes)
    }

    pub(super) fn cell(&self) -> Cell {
        let outline = &self.outline;
        Cell {
            row: self.row(),
            family: self.bytes.slice(outline.family_at()..outline.qualifier_at()),
            qualifier: self.bytes.slice(outline.qualifier_at()..outline.tail_at()),
            timestamp: outline.timestamp,
            kind: outline.kind,
            value: self.bytes.slice(outline.value_at()..),
        }
    }

    /// The order of cells in one row.
    fn compare(&self, other: &Self) -> Ordering {
        let (one, two) = (&self.outline, &other.outline);
        one.family(&self.bytes)
            .cmp(two.family(&other.bytes))
            .then_with(|| one.qualifier(&self.bytes).cmp(two.qualifier(&other.bytes)))
            .then_with(|| two.timestamp.cmp(&one.timestamp))
            .then_with(|| two.kind.cmp(&one.kind))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct RowKey {
    order: RowOrder,
    row: Bytes,
}

impl Ord for RowKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(&self.row, &other.row)
    }
}

impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Rows in order.
#[derive(Debug, Default)]
pub(super) struct MemStore {
    order: RowOrder,
    rows: BTreeMap<RowKey, Vec<KeyValue>>,
}

impl MemStore {
    pub(super) fn with_order(order: RowOrder) -> Self {
        Self { order, rows: BTreeMap::new() }
    }

    pub(super) fn order(&self) -> RowOrder {
        self.order
    }

    fn key(&self, row: &Bytes) -> RowKey {
        RowKey { order: self.order, row: row.clone() }
    }

    /// Puts one cell in its place.
    pub(super) fn insert(&mut self, cell: KeyValue) {
        let key = RowKey { order: self.order, row: cell.row() };
        put(self.rows.entry(key).or_default(), cell);
    }

    /// Puts cells of one row in their places.
    pub(super) fn insert_row(&mut self, count: usize, mut cells: impl Iterator<Item = KeyValue>) {
        let Some(first) = cells.next() else { return };
        let key = RowKey { order: self.order, row: first.row() };
        let row = self.rows.entry(key).or_insert_with(|| Vec::with_capacity(count));
        put(row, first);
        cells.for_each(|cell| put(row, cell));
    }

    /// The cells of a row.
    pub(super) fn row(&self, row: &Bytes) -> &[KeyValue] {
        self.rows.get(&self.key(row)).map_or(&[], Vec::as_slice)
    }

    /// All cells, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &KeyValue> {
        self.rows.values().flatten()
    }

    /// Keeps only the cells of some families.
    pub(super) fn retain_families(&mut self, is_kept: impl Fn(&[u8]) -> bool) {
        self.rows.retain(|_, cells| {
            cells.retain(|cell| is_kept(cell.family()));
            !cells.is_empty()
        });
    }

    /// The first row from a bound on.
    pub(super) fn next_key(&self, from: Bound<&Bytes>) -> Option<Bytes> {
        let mut range = self.rows.range((from.map(|row| self.key(row)), Bound::Unbounded));
        range.next().map(|(key, _)| key.row.clone())
    }

    /// The last row up to a bound.
    pub(super) fn previous_key(&self, to: Bound<&Bytes>) -> Option<Bytes> {
        let mut range = self.rows.range((Bound::Unbounded, to.map(|row| self.key(row))));
        range.next_back().map(|(key, _)| key.row.clone())
    }

    /// Cuts the rows: what is at or behind `row` is returned.
    pub(super) fn split_off(&mut self, row: &Bytes) -> Self {
        let key = self.key(row);
        Self { order: self.order, rows: self.rows.split_off(&key) }
    }

    /// Takes other rows in. None of them is here too.
    pub(super) fn absorb(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    pub(super) fn remove_row(&mut self, row: &Bytes) {
        let key = self.key(row);
        self.rows.remove(&key);
    }
}

fn put(row: &mut Vec<KeyValue>, cell: KeyValue) {
    // Cells come in order most often: behind the last one, or over the same place as before.
    match row.last().map(|last| last.compare(&cell)) {
        None | Some(Ordering::Less) => row.push(cell),
        Some(_) => match row.binary_search_by(|known| known.compare(&cell)) {
            Ok(place) => {
                if let Some(known) = row.get_mut(place) {
                    *known = cell;
                }
            }
            Err(place) => row.insert(place, cell),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_cell() -> impl Strategy<Value = Cell> {
        let kind = prop::sample::select(vec![CellKind::Put, CellKind::Delete, CellKind::DeleteFamily]);
        let name = |most: usize| prop::collection::vec(b'a'..b'd', 0..most).prop_map(Bytes::from);
        let row = prop::collection::vec(b'a'..b'c', 1..3).prop_map(Bytes::from);
        (row, name(3), name(3), 0_i64..4, kind, name(9)).prop_map(|(row, family, qualifier, timestamp, kind, value)| {
            Cell { row, family, qualifier, timestamp, kind, value }
        })
    }

    /// Identity and order of a cell as the specification has them.
    fn identity(cell: &Cell) -> (Bytes, Bytes, Bytes, i64, u8) {
        let kind = u8::MAX - cell.kind.code();
        (cell.row.clone(), cell.family.clone(), cell.qualifier.clone(), -cell.timestamp, kind)
    }

    fn all(store: &MemStore) -> Vec<Cell> {
        let mut cells = Vec::new();
        let mut next = store.next_key(Bound::Unbounded);
        while let Some(row) = next {
            cells.extend(store.row(&row).iter().map(KeyValue::cell));
            next = store.next_key(Bound::Excluded(&row));
        }
        cells
    }

    proptest! {
        /// The naive model is a map by identity.
        #[test]
        fn cells_stand_in_order_and_the_last_of_an_identity_stays(cells in prop::collection::vec(any_cell(), 0..60)) {
            let mut store = MemStore::default();
            let mut model = BTreeMap::new();
            for cell in cells {
                store.insert(KeyValue::of(&cell).expect("a cell"));
                model.insert(identity(&cell), cell);
            }
            prop_assert_eq!(store.iter().map(KeyValue::cell).collect::<Vec<_>>(), all(&store));
            prop_assert_eq!(all(&store), model.into_values().collect::<Vec<_>>());
        }

        #[test]
        fn families_that_are_dropped_leave_no_cell_and_no_row(
            cells in prop::collection::vec(any_cell(), 0..40),
            dropped in prop::collection::vec(b'a'..b'd', 0..3),
        ) {
            let mut store = MemStore::default();
            cells.iter().for_each(|cell| store.insert(KeyValue::of(cell).expect("a cell")));
            let mut expected = all(&store);
            expected.retain(|cell| cell.family != dropped);
            store.retain_families(|family| family != dropped);
            prop_assert_eq!(store.rows.len(), expected.chunk_by(|a, b| a.row == b.row).count());
            prop_assert_eq!(all(&store), expected);
        }

        #[test]
        fn an_outline_is_what_the_reader_reads(cell in any_cell(), tail in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut bytes = BytesMut::new();
            cell_block::encode(&cell, &mut bytes);
            let length = bytes.len();
            bytes.extend_from_slice(&tail);
            let block = bytes.freeze();
            let outline = Outline::read(&block).expect("a cell");
            prop_assert_eq!(outline.len(), length);
            prop_assert_eq!((outline.row(&block), outline.family(&block)), (&cell.row[..], &cell.family[..]));
            prop_assert_eq!(KeyValue::new(outline, &block, 0).cell(), cell);
            for short in 0..length {
                prop_assert_eq!(Outline::read(&block[..short]), None);
            }
        }

        #[test]
        fn no_bytes_make_an_outline_panic(
            lengths in prop::array::uniform3(0_u32..60),
            tail in prop::collection::vec(any::<u8>(), 0..60),
            junk in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = Outline::read(&junk);
            let near: Vec<u8> = lengths.iter().flat_map(|length| length.to_be_bytes()).chain(tail).collect();
            if let Some(outline) = Outline::read(&near) {
                prop_assert_eq!(Some(KeyValue::new(outline, &near.clone().into(), 0).cell()), cell_block::CellReader::new(near.into()).next_cell().expect("the same"));
            }
        }

        #[test]
        fn cut_and_joined_rows_are_the_same_rows(cells in prop::collection::vec(any_cell(), 0..40), at in 0_usize..6) {
            let mut store = MemStore::default();
            cells.iter().for_each(|cell| store.insert(KeyValue::of(cell).expect("a cell")));
            let before = all(&store);
            let row = Bytes::from_static([&b"a"[..], b"aa", b"ab", b"b", b"ba", b"bb"][at]);
            let upper = store.split_off(&row);
            prop_assert!(all(&store).iter().all(|cell| cell.row < row));
            prop_assert!(all(&upper).iter().all(|cell| cell.row >= row));
            store.absorb(upper);
            prop_assert_eq!(all(&store), before);
        }
    }
}
