//! The rows that every client writes: number n, made from n alone, with the shape of the chat read model.
//!
//! Key: one byte of salt (16 values), the room, the inverted message id; family `m`, six cells at the row's version; a
//! body of 120 to 280 bytes, 200 on average. `bench/peers` makes the same rows in Java and in Go.

use std::ops::Range;

use anyhow::Context;
use hbase::cell::CellKind;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};

use super::digest::{Digest, GOLDEN};

const ROOMS: u64 = 20_000;
const ACCOUNTS: u64 = 200_000;
const MESSAGE_FIRST: u64 = 1 << 52;
/// The version of row 0, in milliseconds; that of row n is n later.
const VERSION_FIRST: u64 = 1_760_000_000_000;
/// Bodies are slices of one text of this size.
const POOL_BYTES: usize = 1 << 20;
const BODY_BYTES_MIN: usize = 120;
/// Number of different body lengths.
const BODY_SPREAD: usize = 161;
/// Cells of a row.
pub(crate) const CELLS: usize = 6;
/// First bytes of the keys: the table has a region for each.
pub(crate) const SALTS: u8 = 16;
/// A row as encoded cells, on average; only a first guess for buffers.
const ROW_BYTES: usize = 560;

type Key = [u8; 17];

/// Makes rows.
#[derive(Debug)]
pub(crate) struct Rows {
    text: Vec<u8>,
    columns: [Column; CELLS],
}

/// The output function of splitmix64.
fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(GOLDEN);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Names of the columns, in their order.
const QUALIFIERS: [&[u8]; CELLS] = [b"account", b"body", b"deleted", b"sent_at", b"type", b"version"];

impl Rows {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let letter = |n: u64| match mix(n) {
            random if random.is_multiple_of(8) => b' ',
            random => b'a' + (random >> 8).wrapping_rem(26) as u8,
        };
        let text = (0..(POOL_BYTES + BODY_BYTES_MIN + BODY_SPREAD) as u64).map(letter).collect();
        let columns = QUALIFIERS.map(|qualifier| Column::new(b"m", qualifier));
        let [a, b, c, d, e, f] = columns;
        Ok(Self { text, columns: [a?, b?, c?, d?, e?, f?] })
    }

    fn key(n: u64) -> Key {
        let room = mix(mix(n) % ROOMS) >> 32;
        let mut key = Key::default();
        let (salt, rest) = key.split_at_mut(1);
        let (first, last) = rest.split_at_mut(8);
        salt.copy_from_slice(&[(mix(room) >> 60) as u8]);
        first.copy_from_slice(&room.to_be_bytes());
        last.copy_from_slice(&(!(MESSAGE_FIRST + n)).to_be_bytes());
        key
    }

    /// Calls `cell` with the place of its column, and the value, of each cell; returns the row's version.
    fn cells<E>(&self, n: u64, mut cell: impl FnMut(usize, i64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let random = mix(n);
        let version = VERSION_FIRST + n;
        let start = (random >> 40) as usize % POOL_BYTES;
        let length = BODY_BYTES_MIN + (random >> 17) as usize % BODY_SPREAD;
        let account = (1 + (random >> 5) % ACCOUNTS).to_be_bytes();
        let body = self.text.get(start..start + length).unwrap_or_default();
        let values: [&[u8]; CELLS] = [&account, body, &[0], &version.to_be_bytes(), b"posted", &version.to_be_bytes()];
        for (place, value) in values.into_iter().enumerate() {
            cell(place, version as i64, value)?;
        }
        Ok(())
    }

    /// These rows in key order, encoded.
    pub(crate) fn block(&self, rows: Range<u64>) -> anyhow::Result<RowBlock> {
        let mut keys: Vec<(Key, u64)> = rows.map(|n| (Self::key(n), n)).collect();
        keys.sort_unstable();
        let mut block = RowBlockBuilder::with_capacity(keys.len() * ROW_BYTES, keys.len());
        for (key, n) in keys {
            block.begin_row(MutationKind::Put, &key)?;
            self.cells(n, |place, version, value| {
                let column = self.columns.get(place).context("one of six columns")?;
                Ok::<(), anyhow::Error>(block.cell(column, version, CellKind::Put, value)?)
            })?;
        }
        Ok(block.finish())
    }

    /// What a table with these rows must hold.
    pub(crate) fn digest(&self, rows: Range<u64>) -> Digest {
        let mut digest = Digest::default();
        digest.rows = rows.end - rows.start;
        for n in rows {
            let key = Self::key(n);
            let added = self.cells(n, |place, version, value| {
                digest.cell(&key, QUALIFIERS.get(place).copied().unwrap_or_default(), version, value);
                Ok::<(), std::convert::Infallible>(())
            });
            match added {
                Ok(()) => {}
                Err(never) => match never {},
            }
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_shape_that_was_promised() {
        let rows = Rows::new().expect("legal columns");
        let block = rows.block(0..10_000).expect("sorted");
        assert_eq!((block.rows().len(), block.cell_count()), (10_000, 60_000));
        let mut salts = [0; SALTS as usize];
        block.rows().iter().for_each(|row| salts[usize::from(block.key(row)[0])] += 1);
        assert!(salts.iter().all(|count| (400..900).contains(count)), "{salts:?}");
        // 6 × (24 + 17 + 1) for what is no qualifier or value, 36 for the qualifiers, 31 and a body for the values.
        let bodies = block.bytes().len() - 10_000 * (6 * (24 + 17 + 1) + 36 + 31);
        assert!((195..205).contains(&(bodies / 10_000)), "{bodies}");
    }

    #[test]
    fn parts_make_the_same_digest_as_the_whole() {
        let rows = Rows::new().expect("legal columns");
        let (a, b, whole) = (rows.digest(0..40), rows.digest(40..100), rows.digest(0..100));
        assert_eq!((whole.rows, whole.cells), (100, 600));
        assert_eq!(a.rows + b.rows, whole.rows);
        assert_ne!(a, whole);
    }
}
