//! Filters as a region server applies them (`Filter`, `FilterListWithAND`, `FilterListWithOR`, `RegionScannerImpl`).
//!
//! # Laws
//! 1. Of a row first the key is asked, then each cell, then, if any cell is left, the row as a whole.
//! 2. In a list where all must pass, a filter sees only what those before it let through.
//! 3. What a filter counts over rows lives as long as its scanner; what it remembers of a row ends with the row.

use bytes::Bytes;
use prost::Message;

use super::state::refusal;
use crate::cell::Cell;
use crate::exception::Exception;
use crate::filter::{
    CompareOperator, FILTER_PACKAGE, Filter, MissingColumn, QualifierBound, ValueLeft, VersionsCompared,
};
use crate::wire::message::{
    BinaryComparatorMessage, ColumnRangeFilterMessage, ComparatorMessage, FilterListMessage, FilterMessage,
    KeyOnlyFilterMessage, PageFilterMessage, PrefixFilterMessage, SingleColumnValueFilterMessage,
};

/// Lists in lists at most; a client that nests deeper has an error in it.
const DEPTH_MAX: usize = 16;

fn read<M: Message + Default>(bytes: &Option<Bytes>) -> Result<M, Exception> {
    let bytes = bytes.clone().unwrap_or_default();
    M::decode(bytes).map_err(|error| refusal("exceptions.DeserializationException", error.to_string()))
}

/// The filter that a message means.
pub(super) fn decode(message: &FilterMessage) -> Result<Filter, Exception> {
    decode_within(message, DEPTH_MAX)
}

fn decode_within(message: &FilterMessage, depth: usize) -> Result<Filter, Exception> {
    let unserved = || refusal("DoNotRetryIOException", format!("filter {} is not served here", message.name));
    let bytes = &message.serialized_filter;
    Ok(match message.name.strip_prefix(FILTER_PACKAGE).ok_or_else(unserved)? {
        "KeyOnlyFilter" => {
            let is_length = read::<KeyOnlyFilterMessage>(bytes)?.len_as_val;
            Filter::KeyOnly(if is_length { ValueLeft::Length } else { ValueLeft::Nothing })
        }
        "FirstKeyOnlyFilter" => Filter::FirstKeyOnly,
        "PrefixFilter" => Filter::Prefix(read::<PrefixFilterMessage>(bytes)?.prefix.unwrap_or_default()),
        "ColumnPrefixFilter" => Filter::ColumnPrefix(read::<PrefixFilterMessage>(bytes)?.prefix.unwrap_or_default()),
        "PageFilter" => {
            let rows = read::<PageFilterMessage>(bytes)?.page_size;
            Filter::Page(u32::try_from(rows.max(0)).unwrap_or(u32::MAX))
        }
        "ColumnRangeFilter" => {
            let range: ColumnRangeFilterMessage = read(bytes)?;
            let bound = |qualifier, is_included| match (qualifier, is_included) {
                (None, _) => QualifierBound::Unbounded,
                (Some(qualifier), Some(true)) => QualifierBound::Included(qualifier),
                (Some(qualifier), _) => QualifierBound::Excluded(qualifier),
            };
            let from = bound(range.min_column, range.min_column_inclusive);
            Filter::ColumnRange { from, to: bound(range.max_column, range.max_column_inclusive) }
        }
        "SingleColumnValueFilter" => {
            let column: SingleColumnValueFilterMessage = read(bytes)?;
            let is_left_out = column.filter_if_missing == Some(true);
            let any = column.latest_version_only == Some(false);
            Filter::SingleColumnValue {
                family: column.column_family.unwrap_or_default(),
                qualifier: column.column_qualifier.unwrap_or_default(),
                operator: CompareOperator::from_code(column.compare_op).ok_or_else(unserved)?,
                value: comparator(&column.comparator)?,
                missing: if is_left_out { MissingColumn::IsLeftOut } else { MissingColumn::Passes },
                versions: if any { VersionsCompared::Any } else { VersionsCompared::Newest },
            }
        }
        "FilterList" => {
            let list: FilterListMessage = read(bytes)?;
            let deeper = depth.checked_sub(1).ok_or_else(unserved)?;
            let filters = list.filters.iter().map(|filter| decode_within(filter, deeper)).collect::<Result<_, _>>()?;
            if list.operator == FilterListMessage::MUST_PASS_ONE { Filter::Any(filters) } else { Filter::All(filters) }
        }
        _ => return Err(unserved()),
    })
}

/// What a comparator compares with: bytes as they are.
pub(super) fn comparator(message: &ComparatorMessage) -> Result<Bytes, Exception> {
    if message.name.strip_prefix(FILTER_PACKAGE) != Some("BinaryComparator") {
        return Err(refusal("DoNotRetryIOException", format!("comparator {} is not served here", message.name)));
    }
    let message: BinaryComparatorMessage = read(&message.serialized_comparator)?;
    Ok(message.comparable.value.unwrap_or_default())
}

/// A filter at work, with what it remembers.
#[derive(Debug)]
pub(super) struct Sieve {
    node: Node,
    is_reversed: bool,
}

impl Sieve {
    pub(super) fn new(filter: Filter, is_reversed: bool) -> Self {
        Self { node: Node::new(filter), is_reversed }
    }

    /// Whether no row that comes could pass (`filterAllRemaining`).
    pub(super) fn is_done(&self) -> bool {
        self.node.is_done()
    }

    /// What is left of a row; nothing if it is left out.
    pub(super) fn row(&mut self, cells: Vec<Cell>) -> Vec<Cell> {
        self.node.reset();
        let Some(key) = cells.first().map(|cell| cell.row.clone()) else { return Vec::new() };
        if self.node.excludes_key(&key, self.is_reversed) {
            return Vec::new();
        }
        let mut left = Vec::with_capacity(cells.len());
        for mut cell in cells {
            if self.node.includes(&cell) {
                self.node.transform(&mut cell);
                left.push(cell);
            }
        }
        if left.is_empty() || self.node.excludes_row() { Vec::new() } else { left }
    }
}

#[derive(Debug)]
enum Node {
    Cells(Filter),
    FirstKeyOnly { has_found: bool },
    Prefix { prefix: Bytes, is_excluded: bool, is_passed: bool },
    Page { rows: u32, accepted: u32 },
    Value(ValueNode),
    All(Vec<Node>),
    Any(Vec<Branch>),
}

#[derive(Debug)]
struct ValueNode {
    family: Bytes,
    qualifier: Bytes,
    operator: CompareOperator,
    value: Bytes,
    is_left_out_without: bool,
    is_newest_only: bool,
    has_found: bool,
    has_matched: bool,
}

/// One way to pass, and whether it is open for this row and was taken by this cell.
#[derive(Debug)]
struct Branch {
    node: Node,
    takes_row: bool,
    takes_cell: bool,
}

impl Node {
    fn new(filter: Filter) -> Self {
        match filter {
            Filter::KeyOnly(_) | Filter::ColumnPrefix(_) | Filter::ColumnRange { .. } => Self::Cells(filter),
            Filter::FirstKeyOnly => Self::FirstKeyOnly { has_found: false },
            Filter::Prefix(prefix) => Self::Prefix { prefix, is_excluded: false, is_passed: false },
            Filter::Page(rows) => Self::Page { rows, accepted: 0 },
            Filter::SingleColumnValue { family, qualifier, operator, value, missing, versions } => {
                Self::Value(ValueNode {
                    family,
                    qualifier,
                    operator,
                    value,
                    is_left_out_without: missing == MissingColumn::IsLeftOut,
                    is_newest_only: versions == VersionsCompared::Newest,
                    has_found: false,
                    has_matched: false,
                })
            }
            Filter::All(filters) => Self::All(filters.into_iter().map(Self::new).collect()),
            Filter::Any(filters) => {
                let branch = |filter| Branch { node: Self::new(filter), takes_row: true, takes_cell: false };
                Self::Any(filters.into_iter().map(branch).collect())
            }
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Cells(_) | Self::Page { .. } => {}
            Self::FirstKeyOnly { has_found } => *has_found = false,
            Self::Prefix { is_excluded, .. } => *is_excluded = false,
            Self::Value(value) => (value.has_found, value.has_matched) = (false, false),
            Self::All(nodes) => nodes.iter_mut().for_each(Self::reset),
            Self::Any(branches) => branches.iter_mut().for_each(|branch| branch.node.reset()),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Cells(_) | Self::FirstKeyOnly { .. } | Self::Value(_) => false,
            Self::Prefix { is_passed, .. } => *is_passed,
            Self::Page { rows, accepted } => accepted >= rows,
            Self::All(nodes) => nodes.iter().any(Self::is_done),
            Self::Any(branches) => !branches.is_empty() && branches.iter().all(|branch| branch.node.is_done()),
        }
    }

    fn excludes_key(&mut self, key: &Bytes, is_reversed: bool) -> bool {
        if self.is_done() {
            return true;
        }
        match self {
            Self::Cells(_) | Self::FirstKeyOnly { .. } | Self::Page { .. } | Self::Value(_) => false,
            Self::Prefix { prefix, is_excluded, is_passed } => {
                *is_excluded = !key.starts_with(prefix);
                let is_behind = if is_reversed { key < prefix } else { key > prefix };
                *is_passed |= *is_excluded && is_behind;
                *is_excluded
            }
            Self::All(nodes) => {
                // Every one is asked: each remembers the row.
                let excluding = nodes.iter_mut().map(|node| node.excludes_key(key, is_reversed));
                excluding.filter(|excludes| *excludes).count() > 0
            }
            Self::Any(branches) => {
                for branch in branches.iter_mut() {
                    branch.takes_row = !branch.node.excludes_key(key, is_reversed);
                }
                !branches.iter().any(|branch| branch.takes_row)
            }
        }
    }

    fn includes(&mut self, cell: &Cell) -> bool {
        match self {
            Self::Cells(Filter::ColumnPrefix(prefix)) => cell.qualifier.starts_with(prefix),
            Self::Cells(Filter::ColumnRange { from, to }) => is_in_range(&cell.qualifier, from, to),
            Self::Cells(_) | Self::Page { .. } => true,
            Self::FirstKeyOnly { has_found } => !std::mem::replace(has_found, true),
            Self::Prefix { is_excluded, .. } => !*is_excluded,
            Self::Value(value) => value.includes(cell),
            Self::All(nodes) => nodes.iter_mut().all(|node| node.includes(cell)),
            Self::Any(branches) => {
                for branch in branches.iter_mut() {
                    branch.takes_cell = branch.takes_row && branch.node.includes(cell);
                }
                branches.iter().any(|branch| branch.takes_cell)
            }
        }
    }

    fn transform(&self, cell: &mut Cell) {
        match self {
            Self::Cells(Filter::KeyOnly(left)) => {
                cell.value = match left {
                    ValueLeft::Nothing => Bytes::new(),
                    ValueLeft::Length => Bytes::copy_from_slice(&(cell.value.len() as u32).to_be_bytes()),
                };
            }
            Self::All(nodes) => nodes.iter().for_each(|node| node.transform(cell)),
            Self::Any(branches) => {
                branches.iter().filter(|branch| branch.takes_cell).for_each(|branch| branch.node.transform(cell));
            }
            Self::Cells(_) | Self::FirstKeyOnly { .. } | Self::Prefix { .. } | Self::Page { .. } | Self::Value(_) => {}
        }
    }

    fn excludes_row(&mut self) -> bool {
        match self {
            Self::Cells(_) | Self::FirstKeyOnly { .. } => false,
            Self::Prefix { is_excluded, .. } => *is_excluded,
            Self::Page { rows, accepted } => {
                *accepted = accepted.saturating_add(1);
                *accepted > *rows
            }
            Self::Value(value) => {
                if value.has_found {
                    !value.has_matched
                } else {
                    value.is_left_out_without
                }
            }
            Self::All(nodes) => nodes.iter_mut().any(Self::excludes_row),
            Self::Any(branches) => {
                branches.iter_mut().filter(|branch| branch.takes_row).all(|branch| branch.node.excludes_row())
            }
        }
    }
}

impl ValueNode {
    fn includes(&mut self, cell: &Cell) -> bool {
        if self.has_matched {
            return true;
        }
        if self.is_newest_only && self.has_found {
            return false;
        }
        if cell.family != self.family || cell.qualifier != self.qualifier {
            return true;
        }
        self.has_found = true;
        self.has_matched = self.operator.holds(&cell.value, &self.value);
        self.has_matched || !self.is_newest_only
    }
}

fn is_in_range(qualifier: &Bytes, from: &QualifierBound, to: &QualifierBound) -> bool {
    let is_from = match from {
        QualifierBound::Unbounded => true,
        QualifierBound::Included(bound) => qualifier >= bound,
        QualifierBound::Excluded(bound) => qualifier > bound,
    };
    let is_to = match to {
        QualifierBound::Unbounded => true,
        QualifierBound::Included(bound) => qualifier <= bound,
        QualifierBound::Excluded(bound) => qualifier < bound,
    };
    is_from && is_to
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cell::CellKind;

    fn any_filter() -> impl Strategy<Value = Filter> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from);
        let operator = (0..6).prop_map(|code| CompareOperator::from_code(code).expect("a code"));
        let bound = || {
            (0..3, bytes()).prop_map(|(kind, bytes)| match kind {
                0 => QualifierBound::Unbounded,
                1 => QualifierBound::Included(bytes),
                _ => QualifierBound::Excluded(bytes),
            })
        };
        let leaf = prop_oneof![
            any::<bool>().prop_map(|is| Filter::KeyOnly(if is { ValueLeft::Length } else { ValueLeft::Nothing })),
            Just(Filter::FirstKeyOnly),
            bytes().prop_map(Filter::Prefix),
            bytes().prop_map(Filter::ColumnPrefix),
            any::<u32>().prop_map(Filter::Page),
            (bound(), bound()).prop_map(|(from, to)| Filter::ColumnRange { from, to }),
            (bytes(), bytes(), operator, bytes()).prop_map(|(f, q, operator, v)| Filter::value(f, q, operator, v)),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::All),
                prop::collection::vec(inner, 1..4).prop_map(Filter::Any),
            ]
        })
    }

    fn row(key: &'static str, cells: &[(&'static str, &'static str)]) -> Vec<Cell> {
        let cell = |(qualifier, value): &(&'static str, &'static str)| Cell {
            row: key.into(),
            family: "f".into(),
            qualifier: (*qualifier).into(),
            timestamp: 1,
            kind: CellKind::Put,
            value: (*value).into(),
        };
        cells.iter().map(cell).collect()
    }

    fn left(sieve: &mut Sieve, cells: Vec<Cell>) -> Vec<(Bytes, Bytes)> {
        sieve.row(cells).into_iter().map(|cell| (cell.qualifier, cell.value)).collect()
    }

    fn pairs(pairs: &[(&'static str, &'static str)]) -> Vec<(Bytes, Bytes)> {
        pairs.iter().map(|(qualifier, value)| ((*qualifier).into(), (*value).into())).collect()
    }

    proptest! {
        #[test]
        fn filters_come_back_from_the_wire_as_they_went(filter in any_filter()) {
            prop_assert_eq!(decode(&filter.message()).expect("served"), filter);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(class in "[A-Za-z]{0,30}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let classes = ["KeyOnlyFilter", "ColumnRangeFilter", "SingleColumnValueFilter", "FilterList", &class];
            for class in classes {
                let name = format!("{FILTER_PACKAGE}{class}");
                let _ = decode(&FilterMessage { name, serialized_filter: Some(bytes.clone().into()) });
            }
        }
    }

    #[test]
    fn a_page_counts_only_rows_that_the_filters_before_it_let_through() {
        let filters = vec![Filter::value("f", "a", CompareOperator::Equal, "yes"), Filter::Page(1)];
        let mut sieve = Sieve::new(Filter::All(filters), false);
        assert_eq!(left(&mut sieve, row("r1", &[("a", "no")])), []);
        assert!(!sieve.is_done());
        assert_eq!(left(&mut sieve, row("r2", &[("a", "yes")])), pairs(&[("a", "yes")]));
        assert!(sieve.is_done());
        assert_eq!(left(&mut sieve, row("r3", &[("a", "yes")])), []);
    }

    #[test]
    fn a_row_without_the_column_passes_or_not_as_asked() {
        let mut drops = Sieve::new(Filter::value("f", "x", CompareOperator::Equal, "1"), false);
        assert_eq!(left(&mut drops, row("r", &[("a", "1")])), []);
        let Filter::SingleColumnValue { family, qualifier, operator, value, versions, .. } =
            Filter::value("f", "x", CompareOperator::Equal, "1")
        else {
            panic!("a value filter")
        };
        let missing = MissingColumn::Passes;
        let filter = Filter::SingleColumnValue { family, qualifier, operator, value, missing, versions };
        assert_eq!(left(&mut Sieve::new(filter, false), row("r", &[("a", "1")])), pairs(&[("a", "1")]));
    }

    #[test]
    fn one_of_several_filters_is_enough_and_only_its_transformation_counts() {
        let first = Filter::All(vec![Filter::ColumnPrefix("a".into()), Filter::KeyOnly(ValueLeft::Length)]);
        let mut sieve = Sieve::new(Filter::Any(vec![first, Filter::ColumnPrefix("c".into())]), false);
        let found = left(&mut sieve, row("r", &[("a", "xyz"), ("b", "1"), ("c", "2")]));
        assert_eq!(found, pairs(&[("a", "\0\0\0\u{3}"), ("c", "2")]));
    }

    #[test]
    fn a_prefix_ends_the_scan_behind_it_in_either_direction() {
        for (is_reversed, behind) in [(false, "s"), (true, "q")] {
            let mut sieve = Sieve::new(Filter::Prefix("r".into()), is_reversed);
            assert_eq!(left(&mut sieve, row("r7", &[("a", "1")])), pairs(&[("a", "1")]));
            assert_eq!(left(&mut sieve, row(behind, &[("a", "1")])), []);
            assert!(sieve.is_done());
        }
    }
}
