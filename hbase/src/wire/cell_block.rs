//! Cell blocks: cells one behind the other, as `KeyValueCodec` writes them.
//!
//! `[u32 kvLen][u32 keyLen][u32 valueLen][u16 rowLen][row][u8 famLen][family][qualifier][u64 ts][u8 type][value]`,
//! all big-endian. There is no terminator; the messages say how many cells belong to what.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::WireError;
use crate::cell::{Cell, CellKind};

/// Bytes of a key beside row, family and qualifier: row length, family length, timestamp, type.
const KEY_FIXED: usize = 2 + 1 + 8 + 1;

/// Reads cells without copying them: every part is a slice of the block.
#[derive(Clone, Debug)]
pub struct CellReader {
    rest: Bytes,
    at: usize,
}

impl CellReader {
    /// Reads the cells of a block.
    #[must_use]
    pub fn new(block: Bytes) -> Self {
        Self { rest: block, at: 0 }
    }

    /// The next cell; `None` at the end of the block.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not a cell; the reader must not be used any further then.
    pub fn next_cell(&mut self) -> Result<Option<Cell>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let length = self.length("cell")?;
        let key_length = self.length("cell key")?;
        let value_length = self.length("cell value")?;
        let whole = 8_usize.checked_add(key_length).and_then(|sum| sum.checked_add(value_length));
        if whole != Some(length) {
            return Err(WireError::Impossible { what: "cell length", value: length as u64 });
        }
        let row_length = usize::from(self.take(2, "row length")?.get_u16());
        let row = self.take(row_length, "row")?;
        let family_length = usize::from(self.take(1, "family length")?.get_u8());
        let family = self.take(family_length, "family")?;
        let qualifier_length = key_length
            .checked_sub(KEY_FIXED + row_length + family_length)
            .ok_or(WireError::Impossible { what: "cell key length", value: key_length as u64 })?;
        let qualifier = self.take(qualifier_length, "qualifier")?;
        let timestamp = self.take(8, "timestamp")?.get_i64();
        let code = self.take(1, "cell type")?.get_u8();
        let kind =
            CellKind::from_code(code).ok_or(WireError::Impossible { what: "cell type", value: u64::from(code) })?;
        let value = self.take(value_length, "value")?;
        Ok(Some(Cell { row, family, qualifier, timestamp, kind, value }))
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    /// Reads past so many bytes, or to the end of the block; they must be whole cells.
    pub fn skip(&mut self, bytes: usize) {
        let bytes = bytes.min(self.rest.len());
        self.at += bytes;
        self.rest.advance(bytes);
    }

    fn length(&mut self, what: &'static str) -> Result<usize, WireError> {
        let length = self.take(4, what)?.get_u32();
        // Lengths are signed in Java; nothing legal is longer.
        match i32::try_from(length) {
            Ok(_) => Ok(length as usize),
            Err(_) => Err(WireError::Impossible { what, value: u64::from(length) }),
        }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, WireError> {
        if self.rest.len() < length {
            return Err(WireError::Truncated { what, at: self.at + self.rest.len() });
        }
        self.at += length;
        Ok(self.rest.split_to(length))
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
