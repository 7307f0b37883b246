//! Messages of the master (`Master.proto`).

use bytes::Bytes;
use prost::Message;

use super::{RegionInfoMessage, RegionSpecifier, ServerNameMessage, TableNameMessage, TableSchema, TableStateMessage};

/// Request of `CreateTable`.
#[derive(Clone, PartialEq, Message)]
pub struct CreateTableRequest {
    /// Table.
    #[prost(message, required, tag = "1")]
    pub table_schema: TableSchema,
    /// First rows of all regions but the first.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub split_keys: Vec<Bytes>,
    /// Nonce group.
    #[prost(uint64, optional, tag = "3")]
    pub nonce_group: Option<u64>,
    /// Nonce: a repeated request is the same procedure.
    #[prost(uint64, optional, tag = "4")]
    pub nonce: Option<u64>,
}

/// Request of `DeleteTable`, `EnableTable` and `DisableTable`.
#[derive(Clone, PartialEq, Message)]
pub struct TableRequest {
    /// Table.
    #[prost(message, required, tag = "1")]
    pub table_name: TableNameMessage,
    /// Nonce group.
    #[prost(uint64, optional, tag = "2")]
    pub nonce_group: Option<u64>,
    /// Nonce.
    #[prost(uint64, optional, tag = "3")]
    pub nonce: Option<u64>,
}

/// Answer of calls that start a procedure.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ProcedureResponse {
    /// The procedure.
    #[prost(uint64, optional, tag = "1")]
    pub proc_id: Option<u64>,
}

/// Request of `getProcedureResult`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct GetProcedureResultRequest {
    /// The procedure.
    #[prost(uint64, required, tag = "1")]
    pub proc_id: u64,
}

/// Failure of a procedure.
#[derive(Clone, PartialEq, Message)]
pub struct ForeignExceptionMessage {
    /// Where it came from.
    #[prost(string, optional, tag = "1")]
    pub source: Option<String>,
    /// The exception.
    #[prost(message, optional, tag = "2")]
    pub generic_exception: Option<GenericExceptionMessage>,
}

/// An exception with its class.
#[derive(Clone, PartialEq, Message)]
pub struct GenericExceptionMessage {
    /// Java class.
    #[prost(string, optional, tag = "1")]
    pub class_name: Option<String>,
    /// Message.
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
}

/// Answer of `getProcedureResult`.
#[derive(Clone, PartialEq, Message)]
pub struct GetProcedureResultResponse {
    /// 0 not found, 1 running, 2 finished.
    #[prost(int32, required, tag = "1")]
    pub state: i32,
    /// Start, ms.
    #[prost(uint64, optional, tag = "2")]
    pub submitted_time: Option<u64>,
    /// End, ms.
    #[prost(uint64, optional, tag = "3")]
    pub last_update: Option<u64>,
    /// Result bytes.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub result: Option<Bytes>,
    /// Failure.
    #[prost(message, optional, tag = "5")]
    pub exception: Option<ForeignExceptionMessage>,
}

/// Request of `GetTableDescriptors`.
#[derive(Clone, PartialEq, Message)]
pub struct GetTableDescriptorsRequest {
    /// Tables; none means all.
    #[prost(message, repeated, tag = "1")]
    pub table_names: Vec<TableNameMessage>,
    /// Pattern.
    #[prost(string, optional, tag = "2")]
    pub regex: Option<String>,
    /// Whether system tables are part.
    #[prost(bool, optional, tag = "3")]
    pub include_sys_tables: Option<bool>,
    /// Namespace.
    #[prost(string, optional, tag = "4")]
    pub namespace: Option<String>,
}

/// Answer of `GetTableDescriptors`.
#[derive(Clone, PartialEq, Message)]
pub struct GetTableDescriptorsResponse {
    /// The tables.
    #[prost(message, repeated, tag = "1")]
    pub table_schema: Vec<TableSchema>,
}

/// Request of `GetTableNames`.
#[derive(Clone, PartialEq, Message)]
pub struct GetTableNamesRequest {
    /// Pattern.
    #[prost(string, optional, tag = "1")]
    pub regex: Option<String>,
    /// Whether system tables are part.
    #[prost(bool, optional, tag = "2")]
    pub include_sys_tables: Option<bool>,
    /// Namespace.
    #[prost(string, optional, tag = "3")]
    pub namespace: Option<String>,
}

/// Answer of `GetTableNames`.
#[derive(Clone, PartialEq, Message)]
pub struct GetTableNamesResponse {
    /// The names.
    #[prost(message, repeated, tag = "1")]
    pub table_names: Vec<TableNameMessage>,
}

/// Request of `GetTableState`.
#[derive(Clone, PartialEq, Message)]
pub struct GetTableStateRequest {
    /// Table.
    #[prost(message, required, tag = "1")]
    pub table_name: TableNameMessage,
}

/// Answer of `GetTableState`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct GetTableStateResponse {
    /// The state.
    #[prost(message, required, tag = "1")]
    pub table_state: TableStateMessage,
}

/// Request of `MoveRegion`.
#[derive(Clone, PartialEq, Message)]
pub struct MoveRegionRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// Where to; any server if it is left out.
    #[prost(message, optional, tag = "2")]
    pub dest_server_name: Option<ServerNameMessage>,
}

/// Request of the master's `SplitRegion` (2.x).
#[derive(Clone, PartialEq, Message)]
pub struct SplitTableRegionRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region_info: RegionInfoMessage,
    /// First row of the upper daughter.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub split_row: Bytes,
    /// Nonce group.
    #[prost(uint64, optional, tag = "3")]
    pub nonce_group: Option<u64>,
    /// Nonce.
    #[prost(uint64, optional, tag = "4")]
    pub nonce: Option<u64>,
}

/// Request of the region server's `SplitRegion` (1.x).
#[derive(Clone, PartialEq, Message)]
pub struct SplitRegionRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// First row of the upper daughter.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub split_point: Option<Bytes>,
}

/// Answer of `IsMasterRunning`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct IsMasterRunningResponse {
    /// Whether it is.
    #[prost(bool, required, tag = "1")]
    pub is_master_running: bool,
}
