//! What the soak writes, all of it from a seed: which rows there are, in which blocks they are written, and what each
//! version of a row holds. What is remembered of ten million rows is two numbers for each block.
//!
//! The rows lie in [`SPANS`] parts of the table. A block takes every n-th row of one part, so it has rows of some regions,
//! whatever the regions are, and an outage of one server stops some blocks and not all.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use hbase::cell::{Cell, CellKind};
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};

/// Parts of the table.
pub(crate) const SPANS: u64 = 8;
/// Rows of a block.
pub(crate) const BLOCK_ROWS: u64 = 500;
/// Columns of a row, in their order.
const QUALIFIERS: [&[u8]; 2] = [b"a", b"b"];

/// The rows, and how far each block is.
#[derive(Debug)]
pub(crate) struct Model {
    seed: u64,
    /// Blocks of one part; also the distance between two rows of a block.
    stride: u64,
    blocks: Vec<Progress>,
}

/// The versions of one block; a version is written only after the one before it was acknowledged.
#[derive(Debug, Default)]
struct Progress {
    /// The newest that was handed to the client.
    sent: AtomicU32,
    /// The newest that the client has acknowledged.
    acked: AtomicU32,
}

/// The output function of splitmix64.
pub(crate) fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

impl Model {
    /// At least `rows` rows: as many as full blocks in all parts need.
    pub(crate) fn new(rows: u64, seed: u64) -> Self {
        let stride = rows.div_ceil(SPANS * BLOCK_ROWS).max(1);
        let blocks = (0..SPANS * stride).map(|_| Progress::default()).collect();
        Self { seed, stride, blocks }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        SPANS * BLOCK_ROWS * self.stride
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> u64 {
        SPANS * self.stride
    }

    /// The block that has a row.
    pub(crate) fn block_of(&self, row: u64) -> u64 {
        row / (BLOCK_ROWS * self.stride) * self.stride + row % self.stride
    }

    fn rows_of(&self, block: u64) -> impl Iterator<Item = u64> {
        let first = block / self.stride * self.stride * BLOCK_ROWS + block % self.stride;
        (0..BLOCK_ROWS).map(move |row| first + row * self.stride)
    }

    /// Key of a row; keys sort as their rows do.
    pub(crate) fn key(row: u64) -> String {
        format!("r{row:010}")
    }

    fn value(&self, row: u64, version: u32, column: usize) -> Vec<u8> {
        let first = mix(self.seed ^ mix(row ^ mix(u64::from(version) << 8 | column as u64)));
        let words = [first, mix(first)];
        words.into_iter().take(2 - column).flat_map(u64::to_be_bytes).collect()
    }

    /// A block at a version, encoded, and noted as sent.
    pub(crate) fn send(&self, block: u64, version: u32) -> RowBlock {
        self.blocks[block as usize].sent.store(version, Ordering::SeqCst);
        let columns = QUALIFIERS.map(|qualifier| Column::new(b"f", qualifier).expect("a legal column"));
        let mut builder = RowBlockBuilder::with_capacity(BLOCK_ROWS as usize * 100, BLOCK_ROWS as usize);
        for row in self.rows_of(block) {
            builder.begin_row(MutationKind::Put, Self::key(row).as_bytes()).expect("in order");
            for (place, column) in columns.iter().enumerate() {
                let value = self.value(row, version, place);
                builder.cell(column, i64::from(version), CellKind::Put, &value).expect("room");
            }
        }
        builder.finish()
    }

    /// The version of a block was acknowledged.
    pub(crate) fn acked(&self, block: u64, version: u32) {
        self.blocks[block as usize].acked.store(version, Ordering::SeqCst);
    }

    /// The versions that a row may show now, if the acknowledged ones were taken before the read and this is after it.
    pub(crate) fn acked_of(&self, row: u64) -> u32 {
        self.blocks[self.block_of(row) as usize].acked.load(Ordering::SeqCst)
    }

    fn sent_of(&self, row: u64) -> u32 {
        self.blocks[self.block_of(row) as usize].sent.load(Ordering::SeqCst)
    }

    /// What rows `rows` must at least show now.
    pub(crate) fn floor(&self, rows: Range<u64>) -> Vec<u32> {
        rows.map(|row| self.acked_of(row)).collect()
    }

    /// Checks the cells that were read of a row: values are those of their versions, the newest is at least `floor` and
    /// was sent, and both columns agree. `cells` may show more than one version of a column, newest first.
    pub(crate) fn check(&self, row: u64, cells: &[Cell], floor: u32) -> Result<(), String> {
        let fail = |what: String| Err(format!("row {}: {what}; {} cells: {cells:?}", Self::key(row), cells.len()));
        let mut newest = [0_u32; QUALIFIERS.len()];
        for cell in cells {
            let Some(place) = QUALIFIERS.iter().position(|qualifier| cell.qualifier == *qualifier) else {
                return fail("an unknown column".to_owned());
            };
            let Ok(version) = u32::try_from(cell.timestamp) else { return fail("an unknown version".to_owned()) };
            if version == 0 || version > self.sent_of(row) {
                return fail(format!("version {version} was never sent"));
            }
            if cell.kind != CellKind::Put || cell.value != self.value(row, version, place) {
                return fail(format!("column {place} has another value at version {version}"));
            }
            newest[place] = newest[place].max(version);
        }
        if newest[0] != newest[1] {
            return fail(format!("columns differ: {newest:?}"));
        }
        if newest[0] < floor {
            return fail(format!("version {floor} was acknowledged, {} is there", newest[0]));
        }
        Ok(())
    }
}

#[test]
fn every_row_is_in_one_block_and_blocks_are_in_order() {
    let model = Model::new(20_000, 1);
    let mut seen = vec![0; model.rows() as usize];
    for block in 0..model.blocks() {
        let rows: Vec<u64> = model.rows_of(block).collect();
        assert!(rows.is_sorted());
        rows.iter().for_each(|row| seen[*row as usize] += 1);
        assert!(rows.iter().all(|row| model.block_of(*row) == block));
    }
    assert!(model.rows() >= 20_000 && seen.iter().all(|count| *count == 1));
}

#[test]
fn a_lost_an_old_a_wrong_and_a_torn_row_are_noticed() {
    let model = Model::new(1, 3);
    let read = |version: u32, place: usize| Cell {
        row: Model::key(0).into(),
        family: "f".into(),
        qualifier: QUALIFIERS[place].into(),
        timestamp: i64::from(version),
        kind: CellKind::Put,
        value: model.value(0, version, place).into(),
    };
    let _ = model.send(0, 2);
    assert_eq!(model.check(0, &[read(2, 0), read(1, 0), read(2, 1)], 2), Ok(()));
    let wrong = Cell { value: "x".into(), ..read(2, 0) };
    for (cells, floor) in [
        (vec![], 1),
        (vec![read(1, 0), read(1, 1)], 2),
        (vec![wrong, read(2, 1)], 1),
        (vec![read(2, 0), read(1, 1)], 1),
        (vec![read(3, 0), read(3, 1)], 1),
    ] {
        assert!(model.check(0, &cells, floor).is_err(), "{cells:?}");
    }
}
