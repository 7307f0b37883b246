//! Filters and comparators (`Filter.proto`, `Comparator.proto`): a Java class name, and what that class serialises.

use bytes::Bytes;
use prost::Message;

/// A filter: a Java class and its own serialised form.
#[derive(Clone, PartialEq, Message)]
pub struct FilterMessage {
    /// Java class.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Serialised filter.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub serialized_filter: Option<Bytes>,
}

/// A comparator: a Java class and its own serialised form.
#[derive(Clone, PartialEq, Message)]
pub struct ComparatorMessage {
    /// Java class.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Serialised comparator.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub serialized_comparator: Option<Bytes>,
}

/// What most comparators hold.
#[derive(Clone, PartialEq, Message)]
pub struct ByteArrayComparable {
    /// The value.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub value: Option<Bytes>,
}

/// `BinaryComparator` and `BinaryPrefixComparator`.
#[derive(Clone, PartialEq, Message)]
pub struct BinaryComparatorMessage {
    /// What it compares with.
    #[prost(message, required, tag = "1")]
    pub comparable: ByteArrayComparable,
}

/// `KeyOnlyFilter`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct KeyOnlyFilterMessage {
    /// The value's length in its place, as four bytes.
    #[prost(bool, required, tag = "1")]
    pub len_as_val: bool,
}

/// `PageFilter`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct PageFilterMessage {
    /// Rows.
    #[prost(int64, required, tag = "1")]
    pub page_size: i64,
}

/// `PrefixFilter` and `ColumnPrefixFilter`.
#[derive(Clone, PartialEq, Message)]
pub struct PrefixFilterMessage {
    /// What rows, or qualifiers, begin with.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub prefix: Option<Bytes>,
}

/// `ColumnRangeFilter`.
#[derive(Clone, PartialEq, Message)]
pub struct ColumnRangeFilterMessage {
    /// First qualifier; any if it is left out.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub min_column: Option<Bytes>,
    /// Whether the first one is part.
    #[prost(bool, optional, tag = "2")]
    pub min_column_inclusive: Option<bool>,
    /// Last qualifier; any if it is left out.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub max_column: Option<Bytes>,
    /// Whether the last one is part.
    #[prost(bool, optional, tag = "4")]
    pub max_column_inclusive: Option<bool>,
}

/// `SingleColumnValueFilter`.
#[derive(Clone, PartialEq, Message)]
pub struct SingleColumnValueFilterMessage {
    /// Family.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub column_family: Option<Bytes>,
    /// Qualifier.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub column_qualifier: Option<Bytes>,
    /// `CompareType`.
    #[prost(int32, required, tag = "3")]
    pub compare_op: i32,
    /// Compares with the cell's value.
    #[prost(message, required, tag = "4")]
    pub comparator: ComparatorMessage,
    /// Whether rows without the column are left out.
    #[prost(bool, optional, tag = "5")]
    pub filter_if_missing: Option<bool>,
    /// Whether only the newest version is looked at; true by default.
    #[prost(bool, optional, tag = "6")]
    pub latest_version_only: Option<bool>,
}

/// `FilterList`.
#[derive(Clone, PartialEq, Message)]
pub struct FilterListMessage {
    /// 1 all must pass, 2 one must pass.
    #[prost(int32, required, tag = "1")]
    pub operator: i32,
    /// The filters.
    #[prost(message, repeated, tag = "2")]
    pub filters: Vec<FilterMessage>,
}

impl FilterListMessage {
    /// All filters must pass.
    pub const MUST_PASS_ALL: i32 = 1;
    /// One filter must pass.
    pub const MUST_PASS_ONE: i32 = 2;
}
