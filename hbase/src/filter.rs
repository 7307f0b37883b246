//! Filters: what the server leaves out before it answers.
//!
//! A filter travels as the name of a Java class of HBase's with what that class serialises. Only classes that every
//! server from 1.4 on has are here. A filter sees one region: what it counts (`Page`) it counts anew in each.

use bytes::Bytes;
use prost::Message;

use crate::misuse::{Misuse, check_family};
use crate::wire::message::{
    BinaryComparatorMessage, ByteArrayComparable, ColumnRangeFilterMessage, ComparatorMessage, FilterListMessage,
    FilterMessage, KeyOnlyFilterMessage, PageFilterMessage, PrefixFilterMessage, SingleColumnValueFilterMessage,
};

/// Package of HBase's filters and comparators.
pub(crate) const FILTER_PACKAGE: &str = "org.apache.hadoop.hbase.filter.";

/// How a stored value is to the one that is given (`CompareOperator`). The discriminants are the wire codes.
///
/// Always read it as `stored OPERATOR given`, in filters and in conditions; HBase itself turns the two round in
/// conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum CompareOperator {
    /// The stored value is less.
    Less = 0,
    /// Less or equal.
    LessOrEqual = 1,
    /// Equal.
    Equal = 2,
    /// Not equal.
    NotEqual = 3,
    /// Greater or equal.
    GreaterOrEqual = 4,
    /// Greater.
    Greater = 5,
}

impl CompareOperator {
    /// The operator with this wire code, if there is one.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Less),
            1 => Some(Self::LessOrEqual),
            2 => Some(Self::Equal),
            3 => Some(Self::NotEqual),
            4 => Some(Self::GreaterOrEqual),
            5 => Some(Self::Greater),
            _ => None,
        }
    }

    /// The operator with its two sides exchanged.
    #[must_use]
    pub const fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Greater => Self::Less,
        }
    }

    /// Whether `stored OPERATOR given` holds.
    #[must_use]
    pub fn holds(self, stored: &[u8], given: &[u8]) -> bool {
        match self {
            Self::Less => stored < given,
            Self::LessOrEqual => stored <= given,
            Self::Equal => stored == given,
            Self::NotEqual => stored != given,
            Self::GreaterOrEqual => stored >= given,
            Self::Greater => stored > given,
        }
    }
}

/// What a key-only filter leaves of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ValueLeft {
    /// Nothing.
    #[default]
    Nothing,
    /// Its length, as four bytes, the highest first.
    Length,
}

/// An end of a range of qualifiers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QualifierBound {
    /// No end on this side.
    Unbounded,
    /// The qualifier is part.
    Included(Bytes),
    /// The qualifier is not part.
    Excluded(Bytes),
}

/// What becomes of rows that lack the column of a value filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissingColumn {
    /// They pass.
    #[default]
    Passes,
    /// They are left out.
    IsLeftOut,
}

/// Which versions of the column a value filter looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VersionsCompared {
    /// The newest.
    #[default]
    Newest,
    /// Any that is read.
    Any,
}

/// A filter of rows and cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Cells without their values (`KeyOnlyFilter`).
    KeyOnly(ValueLeft),
    /// The first cell of each row (`FirstKeyOnlyFilter`): for counting.
    FirstKeyOnly,
    /// Rows that begin so (`PrefixFilter`). Start the scan at the prefix: the filter itself does not seek.
    Prefix(Bytes),
    /// At most so many rows **of each region** (`PageFilter`); [`crate::scan::Scan::limit`] bounds the whole scan.
    Page(u32),
    /// Cells whose qualifiers begin so (`ColumnPrefixFilter`).
    ColumnPrefix(Bytes),
    /// Cells whose qualifiers are in a range (`ColumnRangeFilter`).
    ColumnRange {
        /// Lower end.
        from: QualifierBound,
        /// Upper end.
        to: QualifierBound,
    },
    /// Rows whose column compares so (`SingleColumnValueFilter`). The column must be among those that are read, or
    /// it counts as missing.
    SingleColumnValue {
        /// Family.
        family: Bytes,
        /// Qualifier.
        qualifier: Bytes,
        /// `stored OPERATOR value`.
        operator: CompareOperator,
        /// The value given.
        value: Bytes,
        /// Rows without the column.
        missing: MissingColumn,
        /// Versions looked at.
        versions: VersionsCompared,
    },
    /// What passes all of them, asked in this order (`FilterList` with `MUST_PASS_ALL`). Must not be empty.
    All(Vec<Filter>),
    /// What passes one of them (`FilterList` with `MUST_PASS_ONE`). Must not be empty.
    Any(Vec<Filter>),
}

impl Filter {
    /// Rows whose column's newest value compares so; rows without the column are left out.
    #[must_use]
    pub fn value(
        family: impl Into<Bytes>,
        qualifier: impl Into<Bytes>,
        operator: CompareOperator,
        value: impl Into<Bytes>,
    ) -> Self {
        Self::SingleColumnValue {
            family: family.into(),
            qualifier: qualifier.into(),
            operator,
            value: value.into(),
            missing: MissingColumn::IsLeftOut,
            versions: VersionsCompared::Newest,
        }
    }

    /// The filter's class below [`FILTER_PACKAGE`] and what it serialises.
    fn parts(&self) -> (&'static str, Vec<u8>) {
        match self {
            Self::KeyOnly(left) => {
                let len_as_val = *left == ValueLeft::Length;
                ("KeyOnlyFilter", KeyOnlyFilterMessage { len_as_val }.encode_to_vec())
            }
            Self::FirstKeyOnly => ("FirstKeyOnlyFilter", Vec::new()),
            Self::Prefix(prefix) => ("PrefixFilter", prefix_message(prefix)),
            Self::Page(rows) => ("PageFilter", PageFilterMessage { page_size: i64::from(*rows) }.encode_to_vec()),
            Self::ColumnPrefix(prefix) => ("ColumnPrefixFilter", prefix_message(prefix)),
            Self::ColumnRange { from, to } => ("ColumnRangeFilter", column_range(from, to)),
            Self::SingleColumnValue { family, qualifier, operator, value, missing, versions } => {
                let message = SingleColumnValueFilterMessage {
                    column_family: Some(family.clone()),
                    column_qualifier: Some(qualifier.clone()),
                    compare_op: *operator as i32,
                    comparator: binary_comparator(value),
                    filter_if_missing: Some(*missing == MissingColumn::IsLeftOut),
                    latest_version_only: Some(*versions == VersionsCompared::Newest),
                };
                ("SingleColumnValueFilter", message.encode_to_vec())
            }
            Self::All(filters) => ("FilterList", list(FilterListMessage::MUST_PASS_ALL, filters)),
            Self::Any(filters) => ("FilterList", list(FilterListMessage::MUST_PASS_ONE, filters)),
        }
    }

    /// Whether a server can make sense of it.
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        match self {
            Self::All(filters) | Self::Any(filters) if filters.is_empty() => Err(Misuse::EmptyFilterList),
            Self::All(filters) | Self::Any(filters) => filters.iter().try_for_each(Self::check),
            Self::SingleColumnValue { family, .. } => check_family(family),
            Self::KeyOnly(_)
            | Self::FirstKeyOnly
            | Self::Prefix(_)
            | Self::Page(_)
            | Self::ColumnPrefix(_)
            | Self::ColumnRange { .. } => Ok(()),
        }
    }

    pub(crate) fn message(&self) -> FilterMessage {
        let (class, serialized) = self.parts();
        FilterMessage { name: format!("{FILTER_PACKAGE}{class}"), serialized_filter: Some(serialized.into()) }
    }
}

/// Compares bytes as they are (`BinaryComparator`).
pub(crate) fn binary_comparator(value: &Bytes) -> ComparatorMessage {
    let message = BinaryComparatorMessage { comparable: ByteArrayComparable { value: Some(value.clone()) } };
    ComparatorMessage {
        name: format!("{FILTER_PACKAGE}BinaryComparator"),
        serialized_comparator: Some(message.encode_to_vec().into()),
    }
}

fn prefix_message(prefix: &Bytes) -> Vec<u8> {
    PrefixFilterMessage { prefix: Some(prefix.clone()) }.encode_to_vec()
}

fn column_range(from: &QualifierBound, to: &QualifierBound) -> Vec<u8> {
    let bound = |bound: &QualifierBound| match bound {
        QualifierBound::Unbounded => (None, Some(true)),
        QualifierBound::Included(qualifier) => (Some(qualifier.clone()), Some(true)),
        QualifierBound::Excluded(qualifier) => (Some(qualifier.clone()), Some(false)),
    };
    let (min_column, min_column_inclusive) = bound(from);
    let (max_column, max_column_inclusive) = bound(to);
    ColumnRangeFilterMessage { min_column, min_column_inclusive, max_column, max_column_inclusive }.encode_to_vec()
}

fn list(operator: i32, filters: &[Filter]) -> Vec<u8> {
    FilterListMessage { operator, filters: filters.iter().map(Filter::message).collect() }.encode_to_vec()
}
