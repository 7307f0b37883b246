//! Nouns that many messages share: tables, regions, servers, pairs (`HBase.proto`).

use bytes::Bytes;
use prost::{Enumeration, Message};

/// Name of a table.
#[derive(Clone, PartialEq, Message)]
pub struct TableNameMessage {
    /// Namespace.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub namespace: Bytes,
    /// Name inside the namespace.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub qualifier: Bytes,
}

/// A region.
#[derive(Clone, PartialEq, Message)]
pub struct RegionInfoMessage {
    /// Creation time.
    #[prost(uint64, required, tag = "1")]
    pub region_id: u64,
    /// Its table.
    #[prost(message, required, tag = "2")]
    pub table_name: TableNameMessage,
    /// First row; empty is the first region.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub start_key: Option<Bytes>,
    /// Behind the last row; empty is the last region.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub end_key: Option<Bytes>,
    /// Offline (a split parent).
    #[prost(bool, optional, tag = "5")]
    pub offline: Option<bool>,
    /// Was split.
    #[prost(bool, optional, tag = "6")]
    pub split: Option<bool>,
    /// Replica number.
    #[prost(int32, optional, tag = "7")]
    pub replica_id: Option<i32>,
}

/// A server.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct ServerNameMessage {
    /// Host.
    #[prost(string, required, tag = "1")]
    pub host_name: String,
    /// Port.
    #[prost(uint32, optional, tag = "2")]
    pub port: Option<u32>,
    /// When it was started.
    #[prost(uint64, optional, tag = "3")]
    pub start_code: Option<u64>,
}

/// How a region is named in a request. Only [`RegionSpecifier::REGION_NAME`] works on all versions.
#[derive(Clone, PartialEq, Message)]
pub struct RegionSpecifier {
    /// Kind of name.
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
    /// The name.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub value: Bytes,
}

impl RegionSpecifier {
    /// Full region name.
    pub const REGION_NAME: i32 = 1;
    /// Hash part of the region name; only for master and admin calls.
    pub const ENCODED_REGION_NAME: i32 = 2;
}

/// A name with bytes; exceptions inside results are a Java class and its text.
#[derive(Clone, PartialEq, Message)]
pub struct NameBytesPair {
    /// Name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// Two byte strings.
#[derive(Clone, PartialEq, Message)]
pub struct BytesBytesPair {
    /// Key.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub first: Bytes,
    /// Value.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub second: Bytes,
}

/// A name with a string.
#[derive(Clone, PartialEq, Message)]
pub struct NameStringPair {
    /// Name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// Versions from `from` up to but not including `to`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct TimeRangeMessage {
    /// Inclusive.
    #[prost(uint64, optional, tag = "1")]
    pub from: Option<u64>,
    /// Exclusive.
    #[prost(uint64, optional, tag = "2")]
    pub to: Option<u64>,
}

/// A column family with its attributes.
#[derive(Clone, PartialEq, Message)]
pub struct ColumnFamilySchema {
    /// Family name.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub name: Bytes,
    /// Attributes as text (`VERSIONS`, `COMPRESSION`, `BLOOMFILTER`, `TTL`, …).
    #[prost(message, repeated, tag = "2")]
    pub attributes: Vec<BytesBytesPair>,
    /// Configuration overrides.
    #[prost(message, repeated, tag = "3")]
    pub configuration: Vec<NameStringPair>,
}

/// A table with its families.
#[derive(Clone, PartialEq, Message)]
pub struct TableSchema {
    /// Name.
    #[prost(message, optional, tag = "1")]
    pub table_name: Option<TableNameMessage>,
    /// Attributes.
    #[prost(message, repeated, tag = "2")]
    pub attributes: Vec<BytesBytesPair>,
    /// Families.
    #[prost(message, repeated, tag = "3")]
    pub column_families: Vec<ColumnFamilySchema>,
    /// Configuration overrides.
    #[prost(message, repeated, tag = "4")]
    pub configuration: Vec<NameStringPair>,
}

/// Whether a table serves.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct TableStateMessage {
    /// See [`TableStateKind`].
    #[prost(enumeration = "TableStateKind", required, tag = "1")]
    pub state: i32,
}

/// States of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum TableStateKind {
    /// Serving.
    Enabled = 0,
    /// Not serving.
    Disabled = 1,
    /// On its way to disabled.
    Disabling = 2,
    /// On its way to enabled.
    Enabling = 3,
}
