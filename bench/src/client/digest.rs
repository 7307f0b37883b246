//! What a table holds, in three numbers: rows, cells, and the sum of a hash of every cell.
//!
//! The hash takes eight bytes at a step, so that computing it costs every peer little and the same; the sum does not
//! depend on the order of the rows. `bench/peers` computes it in Java and in Go.

use std::fmt;
use std::str::FromStr;

use anyhow::Context;

/// 2^64 divided by the golden ratio, as splitmix64 uses it.
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Rows, cells and their digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) rows: u64,
    pub(crate) cells: u64,
    sum: u64,
}

impl Digest {
    /// Adds a cell.
    pub(crate) fn cell(&mut self, row: &[u8], qualifier: &[u8], timestamp: i64, value: &[u8]) {
        let hash = absorb(absorb(0, row), qualifier);
        self.sum = self.sum.wrapping_add(absorb(step(hash, timestamp as u64), value));
        self.cells += 1;
    }
}

fn step(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(GOLDEN).rotate_left(29)
}

fn absorb(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = (hash ^ bytes.len() as u64).wrapping_mul(GOLDEN);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = step(hash, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte));
        hash = step(hash, last);
    }
    hash
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows={} cells={} digest={:016x}", self.rows, self.cells, self.sum)
    }
}

impl FromStr for Digest {
    type Err = anyhow::Error;

    /// Reads the line that every peer prints after a scan.
    fn from_str(line: &str) -> anyhow::Result<Self> {
        let field = |name: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.with_context(|| format!("no {name} in {line:?}"))
        };
        let sum = u64::from_str_radix(field("digest")?, 16)?;
        Ok(Self { rows: field("rows")?.parse()?, cells: field("cells")?.parse()?, sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_cells_does_not_matter_and_every_byte_does() {
        let digest = |cells: &[(&str, &str, i64, &str)]| {
            let mut digest = Digest::default();
            for (row, qualifier, timestamp, value) in cells {
                digest.cell(row.as_bytes(), qualifier.as_bytes(), *timestamp, value.as_bytes());
            }
            digest
        };
        let (a, b) = (("row-1", "q", 1, "a value of some length"), ("row-2", "q", 2, ""));
        assert_eq!(digest(&[a, b]), digest(&[b, a]));
        let others = [
            ("row-2", "q", 1, "a value of some length"),
            ("row-1", "r", 1, "a value of some length"),
            ("row-1", "q", 2, "a value of some length"),
            ("row-1", "q", 1, "a value of some lengtH"),
            ("row-1", "q", 1, "a value of some lengt"),
            ("row-1q", "", 1, "a value of some length"),
        ];
        for other in others {
            assert_ne!(digest(&[a, b]), digest(&[other, b]), "{other:?}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let mut digest = Digest { rows: 3, ..Digest::default() };
        digest.cell(b"row", b"q", 7, b"value");
        assert_eq!(digest.to_string().parse::<Digest>().expect("its own line"), digest);
    }
}
