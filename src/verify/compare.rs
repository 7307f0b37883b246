//! Two sorted tables side by side: a merge-walk that names every cell that differs.

use std::cmp::Ordering;
use std::fmt;

use hbase::cell::Cell;
use hbase::error::Error;

use super::rows::Rows;

/// Differences that are kept as examples; the rest is only counted.
const EXAMPLES_MAX: usize = 10;

/// One cell that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only the first table has it.
    Missing(Cell),
    /// Only the second table has it.
    Extra(Cell),
    /// Both have the column, with another version or value.
    Other {
        /// As in the first table.
        wanted: Cell,
        /// As in the second table.
        found: Cell,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(cell) => write!(f, "missing {}", Shown(cell)),
            Self::Extra(cell) => write!(f, "extra {}", Shown(cell)),
            Self::Other { wanted, found } => {
                write!(
                    f,
                    "differs {}, wanted version {} and {} bytes",
                    Shown(found),
                    wanted.timestamp,
                    wanted.value.len()
                )
            }
        }
    }
}

/// A cell without its value, which may be personal.
struct Shown<'a>(&'a Cell);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cell { row, family, qualifier, timestamp, value, .. } = self.0;
        f.write_str("row ")?;
        row.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let (family, qualifier) = (String::from_utf8_lossy(family), String::from_utf8_lossy(qualifier));
        write!(f, " {family}:{qualifier} version {timestamp} ({} bytes)", value.len())
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Rows of the first table.
    pub rows: u64,
    /// Cells of the first table.
    pub cells: u64,
    /// Cells that differ.
    pub differences: u64,
    /// The first of them.
    pub examples: Vec<Difference>,
}

impl Comparison {
    fn note(&mut self, difference: Difference) {
        self.differences += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(difference);
        }
    }

    fn missing(&mut self, row: Vec<Cell>) {
        row.into_iter().for_each(|cell| self.note(Difference::Missing(cell)));
    }

    fn extra(&mut self, row: Vec<Cell>) {
        row.into_iter().for_each(|cell| self.note(Difference::Extra(cell)));
    }

    /// Two rows with one key.
    fn rows(&mut self, wanted: Vec<Cell>, found: Vec<Cell>) {
        let column = |cell: &Cell| (cell.family.clone(), cell.qualifier.clone());
        let (mut wanted, mut found) = (wanted.into_iter().peekable(), found.into_iter().peekable());
        loop {
            let order = match (wanted.peek(), found.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => column(a).cmp(&column(b)),
            };
            let a = (order != Ordering::Greater).then(|| wanted.next()).flatten();
            let b = (order != Ordering::Less).then(|| found.next()).flatten();
            match (a, b) {
                (Some(wanted), Some(found)) if wanted != found => self.note(Difference::Other { wanted, found }),
                (Some(cell), None) => self.note(Difference::Missing(cell)),
                (None, Some(cell)) => self.note(Difference::Extra(cell)),
                _ => {}
            }
        }
    }
}

/// Compares what is `wanted` with what is `found`, cell by cell. Reads both once, in bounded memory.
///
/// # Errors
/// If one of them cannot be read to its end.
pub async fn compare(wanted: &mut impl Rows, found: &mut impl Rows) -> Result<Comparison, Error> {
    let mut comparison = Comparison::default();
    let mut left = wanted.next_row().await?;
    let mut right = found.next_row().await?;
    loop {
        let order = match (key(left.as_ref()), key(right.as_ref())) {
            (None, None) => return Ok(comparison),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.cmp(b),
        };
        let a = if order == Ordering::Greater { None } else { std::mem::replace(&mut left, wanted.next_row().await?) };
        let b = if order == Ordering::Less { None } else { std::mem::replace(&mut right, found.next_row().await?) };
        if let Some(row) = &a {
            comparison.rows += 1;
            comparison.cells += row.len() as u64;
        }
        match (a, b) {
            (Some(a), Some(b)) => comparison.rows(a, b),
            (Some(row), None) => comparison.missing(row),
            (None, Some(row)) => comparison.extra(row),
            (None, None) => {}
        }
    }
}

fn key(row: Option<&Vec<Cell>>) -> Option<&[u8]> {
    row.map(|row| row.first().map_or(&[][..], |cell| &cell.row[..]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use hbase::cell::CellKind;
    use proptest::prelude::*;

    use super::super::rows::Computed;
    use super::*;

    type Table = BTreeMap<(u8, u8), (i64, u8)>;

    fn rows(table: &Table) -> Vec<Vec<Cell>> {
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for ((row, column), (timestamp, value)) in table {
            let cell = Cell {
                row: Bytes::copy_from_slice(&[*row]),
                family: Bytes::from_static(b"f"),
                qualifier: Bytes::copy_from_slice(&[*column]),
                timestamp: *timestamp,
                kind: CellKind::Put,
                value: Bytes::copy_from_slice(&[*value]),
            };
            match rows.last_mut().filter(|cells| cells[0].row == cell.row) {
                Some(cells) => cells.push(cell),
                None => rows.push(vec![cell]),
            }
        }
        rows
    }

    fn differences(wanted: &Table, found: &Table) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (mut a, mut b) = (Computed(rows(wanted).into_iter()), Computed(rows(found).into_iter()));
        let comparison = runtime.block_on(compare(&mut a, &mut b)).expect("computed rows cannot fail");
        assert_eq!(comparison.cells, wanted.len() as u64);
        comparison.differences
    }

    fn any_table() -> impl Strategy<Value = Table> {
        prop::collection::btree_map((0_u8..6, 0_u8..4), (0_i64..3, 0_u8..3), 0..20)
    }

    proptest! {
        #[test]
        fn counts_what_a_comparison_of_maps_counts(a in any_table(), b in any_table()) {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let expected = keys.into_iter().filter(|key| a.get(key) != b.get(key)).count() as u64;
            prop_assert_eq!(differences(&a, &b), expected);
            prop_assert_eq!(differences(&b, &a), expected);
            prop_assert_eq!(differences(&a, &a), 0);
        }
    }
}
