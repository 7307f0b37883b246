//! Cell blocks: cells one behind the other, as `KeyValueCodec` writes them.
//!
//! `[u32 kvLen][u32 keyLen][u32 valueLen][u16 rowLen][row][u8 famLen][family][qualifier][u64 ts][u8 type][value]`,
//! all big-endian. There is no terminator; the messages say how many cells belong to what.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::WireError;
use crate::cell::{Cell, CellKind};
use crate::row::CellRef;

/// Bytes of a key beside row, family and qualifier: row length, family length, timestamp, type.
const KEY_FIXED: usize = 2 + 1 + 8 + 1;

/// Length fields before the key: kvLen, keyLen, valueLen.
const LENGTHS: usize = 12;
/// What kvLen counts beside key and value: the two other lengths.
const COUNTED_LENGTHS: usize = 8;

/// Reads cells without copying them: every part is a slice of the block.
///
/// A cell is measured on the plain bytes first; the block's reference count is touched once for each part that is kept.
#[derive(Clone, Debug)]
pub struct CellReader {
    block: Bytes,
    at: usize,
}

/// A cell's parts as places behind its first byte.
struct Measured {
    row: Range<usize>,
    family: Range<usize>,
    qualifier: Range<usize>,
    /// Its end is the cell's.
    value: Range<usize>,
    timestamp: i64,
    kind: CellKind,
}

impl CellReader {
    /// Reads the cells of a block.
    #[must_use]
    pub fn new(block: Bytes) -> Self {
        Self { block, at: 0 }
    }

    /// Bytes that were not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.block.len() - self.at
    }

    /// The next cell; `None` at the end of the block.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not a cell; the reader must not be used any further then.
    #[inline]
    pub fn next_cell(&mut self) -> Result<Option<Cell>, WireError> {
        if self.left() == 0 {
            return Ok(None);
        }
        let Measured { row, family, qualifier, value, timestamp, kind } = self.measure()?;
        let at = self.at;
        self.at += value.end;
        let part = |range: Range<usize>| match range.is_empty() {
            true => Bytes::new(),
            false => self.block.slice(at + range.start..at + range.end),
        };
        let (row, family, qualifier, value) = (part(row), part(family), part(qualifier), part(value));
        Ok(Some(Cell { row, family, qualifier, timestamp, kind, value }))
    }

    /// The bytes of the next `count` cells, each of them measured.
    ///
    /// # Errors
    /// [`WireError`] if the block ends before, or the bytes are not cells.
    pub fn next_cells(&mut self, count: u32) -> Result<Bytes, WireError> {
        let start = self.at;
        for _ in 0..count {
            self.at += self.measure()?.value.end;
        }
        Ok(if self.at == start { Bytes::new() } else { self.block.slice(start..self.at) })
    }

    /// The bytes of all cells that were not read yet, each of them measured.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not cells.
    pub fn all(mut self) -> Result<Bytes, WireError> {
        let start = self.at;
        while self.left() > 0 {
            self.at += self.measure()?.value.end;
        }
        Ok(self.block.slice(start..))
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.block.slice(self.at.min(self.block.len())..)
    }

    /// Reads past so many bytes, or to the end of the block; they must be whole cells.
    pub fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.block.len());
    }

    #[inline]
    fn measure(&self) -> Result<Measured, WireError> {
        measure(self.block.get(self.at..).unwrap_or_default())
    }
}

/// The first cell of these bytes and what follows it; `None` if there are no bytes.
///
/// # Errors
/// [`WireError`] if the bytes do not begin with a cell.
#[inline]
pub fn split_first(bytes: &[u8]) -> Result<Option<(CellRef<'_>, &[u8])>, WireError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let Measured { row, family, qualifier, value, timestamp, kind } = measure(bytes)?;
    let rest = bytes.get(value.end..).unwrap_or_default();
    let part = |range: Range<usize>| bytes.get(range).unwrap_or_default();
    let (row, family, qualifier, value) = (part(row), part(family), part(qualifier), part(value));
    Ok(Some((CellRef { row, family, qualifier, timestamp, kind, value }, rest)))
}

/// The row key of the first cell; empty if the bytes do not begin with one.
#[must_use]
pub fn first_row(bytes: &[u8]) -> &[u8] {
    split_first(bytes).ok().flatten().map_or(&[], |(cell, _)| cell.row)
}

/// Measures the first cell of these bytes. What is wrong is said with a place behind its first byte.
#[inline]
fn measure(bytes: &[u8]) -> Result<Measured, WireError> {
    let cut = |what| WireError::Truncated { what, at: bytes.len() };
    let (lengths, body) = bytes.split_first_chunk::<LENGTHS>().ok_or_else(|| cut("cell lengths"))?;
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *lengths;
    let whole = length("cell", [a, b, c, d])?;
    let key_length = length("cell key", [e, f, g, h])?;
    let value_length = length("cell value", [i, j, k, l])?;
    // No sum overflows: lengths are below 2^31.
    if COUNTED_LENGTHS + key_length + value_length != whole {
        return Err(WireError::Impossible { what: "cell length", value: whole as u64 });
    }
    let body = body.get(..key_length + value_length).ok_or_else(|| cut("cell"))?;
    let bad_key = || WireError::Impossible { what: "cell key length", value: key_length as u64 };
    let key = body.get(..key_length).ok_or_else(bad_key)?;
    let (row_length, key) = key.split_first_chunk::<2>().ok_or_else(bad_key)?;
    let row_length = usize::from(u16::from_be_bytes(*row_length));
    let key = key.get(row_length..).ok_or_else(bad_key)?;
    let (family_length, key) = key.split_first().ok_or_else(bad_key)?;
    let family_length = usize::from(*family_length);
    let qualifier_length = key_length.checked_sub(KEY_FIXED + row_length + family_length).ok_or_else(bad_key)?;
    let tail = key.get(family_length + qualifier_length..).ok_or_else(bad_key)?;
    let (timestamp, code) = tail.split_first_chunk::<8>().ok_or_else(bad_key)?;
    let code = code.first().copied().ok_or_else(bad_key)?;
    let kind = CellKind::from_code(code).ok_or(WireError::Impossible { what: "cell type", value: u64::from(code) })?;
    let row = LENGTHS + 2;
    let family = row + row_length + 1;
    let qualifier = family + family_length;
    let value = LENGTHS + key_length;
    Ok(Measured {
        row: row..row + row_length,
        family: family..qualifier,
        qualifier: qualifier..qualifier + qualifier_length,
        value: value..value + value_length,
        timestamp: i64::from_be_bytes(*timestamp),
        kind,
    })
}

/// Lengths are signed in Java; nothing legal is longer.
fn length(what: &'static str, bytes: [u8; 4]) -> Result<usize, WireError> {
    let length = u32::from_be_bytes(bytes);
    match i32::try_from(length) {
        Ok(_) => Ok(length as usize),
        Err(_) => Err(WireError::Impossible { what, value: u64::from(length) }),
    }
}

/// All cells of a block.
///
/// # Errors
/// [`WireError`] if the bytes are not cells.
pub fn decode(block: &Bytes) -> Result<Vec<Cell>, WireError> {
    let mut reader = CellReader::new(block.clone());
    let mut cells = Vec::new();
    while let Some(cell) = reader.next_cell()? {
        cells.push(cell);
    }
    Ok(cells)
}

/// Bytes of a cell in a block.
#[must_use]
pub fn encoded_len(cell: &Cell) -> usize {
    12 + KEY_FIXED + cell.row.len() + cell.family.len() + cell.qualifier.len() + cell.value.len()
}

/// Appends a cell to a block. Lengths must fit their fields (see [`crate::cell`]).
pub fn encode(cell: &Cell, block: &mut BytesMut) {
    let key_length = KEY_FIXED + cell.row.len() + cell.family.len() + cell.qualifier.len();
    block.reserve(12 + key_length + cell.value.len());
    block.put_u32((8 + key_length + cell.value.len()) as u32);
    block.put_u32(key_length as u32);
    block.put_u32(cell.value.len() as u32);
    block.put_u16(cell.row.len() as u16);
    block.put_slice(&cell.row);
    block.put_u8(cell.family.len() as u8);
    block.put_slice(&cell.family);
    block.put_slice(&cell.qualifier);
    block.put_i64(cell.timestamp);
    block.put_u8(cell.kind.code());
    block.put_slice(&cell.value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_cell() -> impl Strategy<Value = Cell> {
        let kind = prop::sample::select(vec![
            CellKind::Put,
            CellKind::Delete,
            CellKind::DeleteFamilyVersion,
            CellKind::DeleteColumn,
            CellKind::DeleteFamily,
        ]);
        let bytes = |most| prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from);
        (bytes(40), bytes(10), bytes(20), any::<i64>(), kind, bytes(60)).prop_map(
            |(row, family, qualifier, timestamp, kind, value)| Cell { row, family, qualifier, timestamp, kind, value },
        )
    }

    fn unhex(text: &str) -> Bytes {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn known_cells_are_read() {
        let put = decode(&unhex("0000001900000010000000010002723101647100000000000000010476")).expect("a cell");
        let expected = Cell {
            row: Bytes::from_static(b"r1"),
            family: Bytes::from_static(b"d"),
            qualifier: Bytes::from_static(b"q"),
            timestamp: 1,
            kind: CellKind::Put,
            value: Bytes::from_static(b"v"),
        };
        assert_eq!(put, [expected]);
        let markers = "0000001800000010000000000002723101647100000000000000050c\
                       000000170000000f0000000000027231016400000000000000050e";
        let kinds: Vec<CellKind> = decode(&unhex(markers)).expect("cells").iter().map(|cell| cell.kind).collect();
        assert_eq!(kinds, [CellKind::DeleteColumn, CellKind::DeleteFamily]);
    }

    proptest! {
        #[test]
        fn cells_come_back_as_they_went(cells in prop::collection::vec(any_cell(), 0..8)) {
            let mut block = BytesMut::new();
            for cell in &cells {
                encode(cell, &mut block);
            }
            prop_assert_eq!(decode(&block.freeze()).expect("cells"), cells);
        }

        #[test]
        fn every_truncation_is_an_error(cell in any_cell()) {
            let mut block = BytesMut::new();
            encode(&cell, &mut block);
            let block = block.freeze();
            for length in 1..block.len() {
                prop_assert!(decode(&block.slice(..length)).is_err());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&Bytes::from(bytes));
        }
    }
}
