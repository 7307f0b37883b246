//! A row as a scan reads it: the bytes of its cells as the server sent them, taken apart only when somebody looks.

use std::fmt;

use bytes::Bytes;

use crate::cell::{Cell, CellKind};
use crate::wire::cell_block::{self, CellReader};

/// The cells of one row, in the order of the table.
///
/// A slice of the answer that brought it: reading a cell copies nothing and counts no references, and a clone is one
/// more count. While a row lives so does its whole answer ([`Scan::bytes_per_answer`](crate::scan::Scan)); who keeps
/// single values for long copies them.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// At least one cell, each whole.
    cells: Bytes,
}

/// One cell of a [`Row`], borrowed from it. The fields are those of [`Cell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRef<'a> {
    /// Row key.
    pub row: &'a [u8],
    /// Column family.
    pub family: &'a [u8],
    /// Column qualifier; empty is legal.
    pub qualifier: &'a [u8],
    /// Version of the cell.
    pub timestamp: i64,
    /// Value or kind of delete marker.
    pub kind: CellKind,
    /// The value; empty for delete markers.
    pub value: &'a [u8],
}

/// The cells of a [`Row`], in order.
#[derive(Clone, Debug)]
pub struct Cells<'a> {
    rest: &'a [u8],
}

impl Row {
    /// A row of cells that were measured before; `None` if there is none.
    pub(crate) fn of_measured(cells: Bytes) -> Option<Self> {
        (!cells.is_empty()).then_some(Self { cells })
    }

    /// Row key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        cell_block::first_row(&self.cells)
    }

    /// The cells, in order; at least one.
    #[must_use]
    pub fn cells(&self) -> Cells<'_> {
        Cells { rest: &self.cells }
    }

    /// The cells with their parts as slices of the answer: for whoever needs them longer than the row is borrowed.
    #[must_use]
    pub fn to_cells(&self) -> Vec<Cell> {
        let mut reader = CellReader::new(self.cells.clone());
        // Measured before, so nothing fails.
        std::iter::from_fn(|| reader.next_cell().ok().flatten()).collect()
    }

    /// The cells one behind the other, as HBase's `KeyValueCodec` writes them.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.cells
    }
}

impl<'a> IntoIterator for &'a Row {
    type Item = CellRef<'a>;
    type IntoIter = Cells<'a>;

    fn into_iter(self) -> Cells<'a> {
        self.cells()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells()).finish()
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = CellRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<CellRef<'a>> {
        // Measured before, so nothing but the end is none.
        let (cell, rest) = cell_block::split_first(self.rest).ok().flatten()?;
        self.rest = rest;
        Some(cell)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn a_row_gives_its_cells_borrowed_and_owned() {
        let cell = |qualifier: &'static str, value: &'static str| Cell {
            row: Bytes::from_static(b"r1"),
            family: Bytes::from_static(b"f"),
            qualifier: Bytes::from_static(qualifier.as_bytes()),
            timestamp: 7,
            kind: CellKind::Put,
            value: Bytes::from_static(value.as_bytes()),
        };
        let cells = vec![cell("a", "1"), cell("", ""), cell("c", "33")];
        let mut block = BytesMut::new();
        cells.iter().for_each(|cell| cell_block::encode(cell, &mut block));
        let row = Row::of_measured(block.freeze()).expect("cells");
        assert_eq!(row.key(), b"r1");
        assert_eq!(row.to_cells(), cells);
        let same = |(borrowed, owned): (CellRef<'_>, &Cell)| {
            assert_eq!((borrowed.row, borrowed.family), (&owned.row[..], &owned.family[..]));
            assert_eq!((borrowed.qualifier, borrowed.value), (&owned.qualifier[..], &owned.value[..]));
            assert_eq!((borrowed.timestamp, borrowed.kind), (owned.timestamp, owned.kind));
        };
        row.cells().zip(&cells).for_each(same);
        assert_eq!(row.cells().count(), cells.len());
    }

    #[test]
    fn without_cells_there_is_no_row() {
        assert_eq!(Row::of_measured(Bytes::new()), None);
    }
}
