//! The protobuf messages of HBase's RPC that this crate speaks, written down as Rust types.
//!
//! Names and field numbers are those of HBase branch-2.6 (`RPC`, `Client`, `HBase`, `Master`, `Registry`, `ZooKeeper`);
//! they are the same from 1.x to 4.0-alpha where both have a field. Fields that this crate never uses are left out:
//! protobuf skips them.

use bytes::Bytes;
use prost::{Enumeration, Message};

// --- connection and frames (RPC) ---

/// Who the client says it is.
#[derive(Clone, PartialEq, Message)]
pub struct UserInformation {
    /// User whose rights apply.
    #[prost(string, required, tag = "1")]
    pub effective_user: String,
    /// User that authenticated, when it differs.
    #[prost(string, optional, tag = "2")]
    pub real_user: Option<String>,
}

/// Client version: servers unlock behaviour by it.
#[derive(Clone, PartialEq, Message)]
pub struct VersionInfo {
    /// Version text.
    #[prost(string, required, tag = "1")]
    pub version: String,
    /// Source address.
    #[prost(string, required, tag = "2")]
    pub url: String,
    /// Source revision.
    #[prost(string, required, tag = "3")]
    pub revision: String,
    /// Who built it.
    #[prost(string, required, tag = "4")]
    pub user: String,
    /// When it was built.
    #[prost(string, required, tag = "5")]
    pub date: String,
    /// Checksum of the sources.
    #[prost(string, required, tag = "6")]
    pub src_checksum: String,
    /// Major version.
    #[prost(uint32, optional, tag = "7")]
    pub version_major: Option<u32>,
    /// Minor version.
    #[prost(uint32, optional, tag = "8")]
    pub version_minor: Option<u32>,
}

/// First message of a connection.
#[derive(Clone, PartialEq, Message)]
pub struct ConnectionHeader {
    /// The user.
    #[prost(message, optional, tag = "1")]
    pub user_info: Option<UserInformation>,
    /// Short name of the service: `ClientService`, `MasterService`, `AdminService`, `ClientMetaService`.
    #[prost(string, optional, tag = "2")]
    pub service_name: Option<String>,
    /// Java class of the cell codec.
    #[prost(string, optional, tag = "3")]
    pub cell_block_codec_class: Option<String>,
    /// Java class of the cell-block compressor.
    #[prost(string, optional, tag = "4")]
    pub cell_block_compressor_class: Option<String>,
    /// Client version.
    #[prost(message, optional, tag = "5")]
    pub version_info: Option<VersionInfo>,
}

/// Length of the cell block behind a message.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct CellBlockMeta {
    /// Bytes.
    #[prost(uint32, optional, tag = "1")]
    pub length: Option<u32>,
}

/// Head of a request.
#[derive(Clone, PartialEq, Message)]
pub struct RequestHeader {
    /// Pairs request and answer.
    #[prost(uint32, optional, tag = "1")]
    pub call_id: Option<u32>,
    /// Method of the service.
    #[prost(string, optional, tag = "3")]
    pub method_name: Option<String>,
    /// Whether a message follows; servers refuse a request without one.
    #[prost(bool, optional, tag = "4")]
    pub request_param: Option<bool>,
    /// Cell block behind the message.
    #[prost(message, optional, tag = "5")]
    pub cell_block_meta: Option<CellBlockMeta>,
    /// Queue priority.
    #[prost(uint32, optional, tag = "6")]
    pub priority: Option<u32>,
    /// Milliseconds after which the server may drop the call.
    #[prost(uint32, optional, tag = "7")]
    pub timeout: Option<u32>,
}

/// A failed call.
#[derive(Clone, PartialEq, Message)]
pub struct ExceptionResponse {
    /// Java class.
    #[prost(string, optional, tag = "1")]
    pub exception_class_name: Option<String>,
    /// Message and stack.
    #[prost(string, optional, tag = "2")]
    pub stack_trace: Option<String>,
    /// Where the region went (`RegionMovedException`).
    #[prost(string, optional, tag = "3")]
    pub hostname: Option<String>,
    /// Port of `hostname`.
    #[prost(int32, optional, tag = "4")]
    pub port: Option<i32>,
    /// Whether trying again is useless.
    #[prost(bool, optional, tag = "5")]
    pub do_not_retry: Option<bool>,
    /// Whether the server says it is overloaded (2.5+).
    #[prost(bool, optional, tag = "6")]
    pub server_overloaded: Option<bool>,
}

/// Head of an answer.
#[derive(Clone, PartialEq, Message)]
pub struct ResponseHeader {
    /// The request's id; `u32::MAX` for a fatal answer to the connection itself.
    #[prost(uint32, optional, tag = "1")]
    pub call_id: Option<u32>,
    /// Set if the call failed; no message follows then.
    #[prost(message, optional, tag = "2")]
    pub exception: Option<ExceptionResponse>,
    /// Cell block behind the message.
    #[prost(message, optional, tag = "3")]
    pub cell_block_meta: Option<CellBlockMeta>,
}

// --- nouns (HBase) ---

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

// --- data (Client) ---

/// A column of a get or a scan.
#[derive(Clone, PartialEq, Message)]
pub struct ColumnMessage {
    /// Family.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub family: Bytes,
    /// Qualifiers; none means the whole family.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub qualifier: Vec<Bytes>,
}

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

/// A get.
#[derive(Clone, PartialEq, Message)]
pub struct GetMessage {
    /// Row.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub row: Bytes,
    /// Columns; none means all.
    #[prost(message, repeated, tag = "2")]
    pub column: Vec<ColumnMessage>,
    /// Attributes.
    #[prost(message, repeated, tag = "3")]
    pub attribute: Vec<NameBytesPair>,
    /// Filter.
    #[prost(message, optional, tag = "4")]
    pub filter: Option<FilterMessage>,
    /// Versions wanted.
    #[prost(message, optional, tag = "5")]
    pub time_range: Option<TimeRangeMessage>,
    /// Versions of a cell; 1 by default.
    #[prost(uint32, optional, tag = "6")]
    pub max_versions: Option<u32>,
    /// Whether blocks go to the block cache.
    #[prost(bool, optional, tag = "7")]
    pub cache_blocks: Option<bool>,
    /// Only ask whether there is anything.
    #[prost(bool, optional, tag = "10")]
    pub existence_only: Option<bool>,
    /// Row at or before (1.x meta look-ups).
    #[prost(bool, optional, tag = "11")]
    pub closest_row_before: Option<bool>,
}

/// Cells of one row, in protobuf form.
#[derive(Clone, PartialEq, Message)]
pub struct ResultMessage {
    /// Cells that are not in the cell block.
    #[prost(message, repeated, tag = "1")]
    pub cell: Vec<CellMessage>,
    /// Number of cells in the cell block.
    #[prost(int32, optional, tag = "2")]
    pub associated_cell_count: Option<i32>,
    /// Answer to an existence check.
    #[prost(bool, optional, tag = "3")]
    pub exists: Option<bool>,
    /// From a replica.
    #[prost(bool, optional, tag = "4")]
    pub stale: Option<bool>,
    /// Not the whole row.
    #[prost(bool, optional, tag = "5")]
    pub partial: Option<bool>,
}

/// A cell in protobuf form.
#[derive(Clone, PartialEq, Message)]
pub struct CellMessage {
    /// Row.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub row: Option<Bytes>,
    /// Family.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub family: Option<Bytes>,
    /// Qualifier.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub qualifier: Option<Bytes>,
    /// Timestamp.
    #[prost(uint64, optional, tag = "4")]
    pub timestamp: Option<u64>,
    /// Wire code of the kind.
    #[prost(int32, optional, tag = "5")]
    pub cell_type: Option<i32>,
    /// Value.
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub value: Option<Bytes>,
}

/// Request of `Get`.
#[derive(Clone, PartialEq, Message)]
pub struct GetRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// Get.
    #[prost(message, required, tag = "2")]
    pub get: GetMessage,
}

/// Answer of `Get`.
#[derive(Clone, PartialEq, Message)]
pub struct GetResponse {
    /// The row.
    #[prost(message, optional, tag = "1")]
    pub result: Option<ResultMessage>,
}

/// A scan.
#[derive(Clone, PartialEq, Message)]
pub struct ScanMessage {
    /// Columns; none means all.
    #[prost(message, repeated, tag = "1")]
    pub column: Vec<ColumnMessage>,
    /// Attributes.
    #[prost(message, repeated, tag = "2")]
    pub attribute: Vec<NameBytesPair>,
    /// First row.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub start_row: Option<Bytes>,
    /// Last row.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub stop_row: Option<Bytes>,
    /// Filter.
    #[prost(message, optional, tag = "5")]
    pub filter: Option<FilterMessage>,
    /// Versions wanted.
    #[prost(message, optional, tag = "6")]
    pub time_range: Option<TimeRangeMessage>,
    /// Versions of a cell; 1 by default.
    #[prost(uint32, optional, tag = "7")]
    pub max_versions: Option<u32>,
    /// Whether blocks go to the block cache.
    #[prost(bool, optional, tag = "8")]
    pub cache_blocks: Option<bool>,
    /// Cells of one result at most.
    #[prost(uint32, optional, tag = "9")]
    pub batch_size: Option<u32>,
    /// Bytes of one answer at most.
    #[prost(uint64, optional, tag = "10")]
    pub max_result_size: Option<u64>,
    /// Backwards.
    #[prost(bool, optional, tag = "15")]
    pub reversed: Option<bool>,
    /// Rows of one answer at most.
    #[prost(uint32, optional, tag = "17")]
    pub caching: Option<u32>,
    /// Read point of an earlier answer, to finish a row consistently.
    #[prost(uint64, optional, tag = "20")]
    pub mvcc_read_point: Option<u64>,
    /// Whether `start_row` is part; true by default.
    #[prost(bool, optional, tag = "21")]
    pub include_start_row: Option<bool>,
    /// Whether `stop_row` is part; false by default.
    #[prost(bool, optional, tag = "22")]
    pub include_stop_row: Option<bool>,
    /// 0 default, 1 stream, 2 positional read.
    #[prost(int32, optional, tag = "23")]
    pub read_type: Option<i32>,
}

/// Request of `Scan`: open, next, renew or close.
#[derive(Clone, PartialEq, Message)]
pub struct ScanRequest {
    /// Region, to open.
    #[prost(message, optional, tag = "1")]
    pub region: Option<RegionSpecifier>,
    /// Scan, to open.
    #[prost(message, optional, tag = "2")]
    pub scan: Option<ScanMessage>,
    /// Scanner, to go on.
    #[prost(uint64, optional, tag = "3")]
    pub scanner_id: Option<u64>,
    /// Rows wanted.
    #[prost(uint32, optional, tag = "4")]
    pub number_of_rows: Option<u32>,
    /// Close after this answer.
    #[prost(bool, optional, tag = "5")]
    pub close_scanner: Option<bool>,
    /// Number of this `next`: a repeated one is noticed.
    #[prost(uint64, optional, tag = "6")]
    pub next_call_seq: Option<u64>,
    /// The client joins partial rows.
    #[prost(bool, optional, tag = "7")]
    pub client_handles_partials: Option<bool>,
    /// The client understands heartbeats.
    #[prost(bool, optional, tag = "8")]
    pub client_handles_heartbeats: Option<bool>,
    /// Only renew the lease.
    #[prost(bool, optional, tag = "10")]
    pub renew: Option<bool>,
    /// Rows of the whole scan at most.
    #[prost(uint32, optional, tag = "11")]
    pub limit_of_rows: Option<u32>,
}

/// Answer of `Scan`.
#[derive(Clone, PartialEq, Message)]
pub struct ScanResponse {
    /// Cells of each result in the cell block.
    #[prost(uint32, repeated, packed = "false", tag = "1")]
    pub cells_per_result: Vec<u32>,
    /// Scanner to go on with.
    #[prost(uint64, optional, tag = "2")]
    pub scanner_id: Option<u64>,
    /// Whether the scan goes on at all.
    #[prost(bool, optional, tag = "3")]
    pub more_results: Option<bool>,
    /// Lease in milliseconds.
    #[prost(uint32, optional, tag = "4")]
    pub ttl: Option<u32>,
    /// Results that are not in the cell block.
    #[prost(message, repeated, tag = "5")]
    pub results: Vec<ResultMessage>,
    /// Whether each result is partial.
    #[prost(bool, repeated, packed = "false", tag = "7")]
    pub partial_flag_per_result: Vec<bool>,
    /// Whether this region has more.
    #[prost(bool, optional, tag = "8")]
    pub more_results_in_region: Option<bool>,
    /// A sign of life: the time limit was reached.
    #[prost(bool, optional, tag = "9")]
    pub heartbeat_message: Option<bool>,
    /// Read point of the scanner.
    #[prost(uint64, optional, tag = "11")]
    pub mvcc_read_point: Option<u64>,
}

/// Column values of a mutation in protobuf form.
#[derive(Clone, PartialEq, Message)]
pub struct ColumnValue {
    /// Family.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub family: Bytes,
    /// Values.
    #[prost(message, repeated, tag = "2")]
    pub qualifier_value: Vec<QualifierValue>,
}

/// One value of a mutation in protobuf form.
#[derive(Clone, PartialEq, Message)]
pub struct QualifierValue {
    /// Qualifier.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub qualifier: Option<Bytes>,
    /// Value.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
    /// Timestamp.
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    /// 0 one version, 1 all versions, 2 family, 3 family version.
    #[prost(int32, optional, tag = "4")]
    pub delete_type: Option<i32>,
}

/// A mutation of one row.
#[derive(Clone, PartialEq, Message)]
pub struct MutationProto {
    /// Row; may be left out when cells are in the cell block.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub row: Option<Bytes>,
    /// See the constants.
    #[prost(int32, optional, tag = "2")]
    pub mutate_type: Option<i32>,
    /// Values that are not in the cell block.
    #[prost(message, repeated, tag = "3")]
    pub column_value: Vec<ColumnValue>,
    /// Timestamp of a mutation without cells.
    #[prost(uint64, optional, tag = "4")]
    pub timestamp: Option<u64>,
    /// Attributes.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<NameBytesPair>,
    /// Durability.
    #[prost(int32, optional, tag = "6")]
    pub durability: Option<i32>,
    /// Cells in the cell block.
    #[prost(int32, optional, tag = "8")]
    pub associated_cell_count: Option<i32>,
}

impl MutationProto {
    /// Append.
    pub const APPEND: i32 = 0;
    /// Increment.
    pub const INCREMENT: i32 = 1;
    /// Put.
    pub const PUT: i32 = 2;
    /// Delete.
    pub const DELETE: i32 = 3;
}

/// Request of `Mutate`.
#[derive(Clone, PartialEq, Message)]
pub struct MutateRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// Mutation.
    #[prost(message, required, tag = "2")]
    pub mutation: MutationProto,
    /// Condition of a check-and-mutate; only its presence matters here.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub condition: Option<Bytes>,
}

/// Answer of `Mutate`.
#[derive(Clone, PartialEq, Message)]
pub struct MutateResponse {
    /// Result of an increment or append.
    #[prost(message, optional, tag = "1")]
    pub result: Option<ResultMessage>,
    /// Whether the condition held.
    #[prost(bool, optional, tag = "2")]
    pub processed: Option<bool>,
}

/// One action of a Multi.
#[derive(Clone, PartialEq, Message)]
pub struct ActionMessage {
    /// Number, from 1 so that a missing one is noticed.
    #[prost(uint32, optional, tag = "1")]
    pub index: Option<u32>,
    /// Mutation.
    #[prost(message, optional, tag = "2")]
    pub mutation: Option<MutationProto>,
    /// Get.
    #[prost(message, optional, tag = "3")]
    pub get: Option<GetMessage>,
}

/// Actions of one region.
#[derive(Clone, PartialEq, Message)]
pub struct RegionAction {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// All or nothing, one row.
    #[prost(bool, optional, tag = "2")]
    pub atomic: Option<bool>,
    /// Actions.
    #[prost(message, repeated, tag = "3")]
    pub action: Vec<ActionMessage>,
    /// Condition; only its presence matters here.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub condition: Option<Bytes>,
}

/// Request of `Multi`.
#[derive(Clone, PartialEq, Message)]
pub struct MultiRequest {
    /// By region.
    #[prost(message, repeated, tag = "1")]
    pub region_action: Vec<RegionAction>,
    /// Nonce group of increments and appends.
    #[prost(uint64, optional, tag = "2")]
    pub nonce_group: Option<u64>,
    /// Condition of old clients; only its presence matters here.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub condition: Option<Bytes>,
}

/// Outcome of one action.
#[derive(Clone, PartialEq, Message)]
pub struct ResultOrException {
    /// Number of the action.
    #[prost(uint32, optional, tag = "1")]
    pub index: Option<u32>,
    /// Success.
    #[prost(message, optional, tag = "2")]
    pub result: Option<ResultMessage>,
    /// Failure.
    #[prost(message, optional, tag = "3")]
    pub exception: Option<NameBytesPair>,
}

/// Outcomes of one region; matched to the request by position.
#[derive(Clone, PartialEq, Message)]
pub struct RegionActionResult {
    /// By action.
    #[prost(message, repeated, tag = "1")]
    pub result_or_exception: Vec<ResultOrException>,
    /// Failure of the whole region.
    #[prost(message, optional, tag = "2")]
    pub exception: Option<NameBytesPair>,
    /// Whether the condition held.
    #[prost(bool, optional, tag = "3")]
    pub processed: Option<bool>,
}

/// Answer of `Multi`.
#[derive(Clone, PartialEq, Message)]
pub struct MultiResponse {
    /// By region.
    #[prost(message, repeated, tag = "1")]
    pub region_action_result: Vec<RegionActionResult>,
    /// Whether the condition held.
    #[prost(bool, optional, tag = "2")]
    pub processed: Option<bool>,
}

// --- registry (Registry, ZooKeeper) ---

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Empty {}

/// Answer of `GetClusterId`.
#[derive(Clone, PartialEq, Message)]
pub struct GetClusterIdResponse {
    /// The id.
    #[prost(string, optional, tag = "1")]
    pub cluster_id: Option<String>,
}

/// Answer of `GetActiveMaster`.
#[derive(Clone, PartialEq, Message)]
pub struct GetActiveMasterResponse {
    /// The master.
    #[prost(message, optional, tag = "1")]
    pub server_name: Option<ServerNameMessage>,
}

/// One entry of `GetMasters`.
#[derive(Clone, PartialEq, Message)]
pub struct GetMastersResponseEntry {
    /// The master.
    #[prost(message, required, tag = "1")]
    pub server_name: ServerNameMessage,
    /// Whether it is the active one.
    #[prost(bool, required, tag = "2")]
    pub is_active: bool,
}

/// Answer of `GetMasters`.
#[derive(Clone, PartialEq, Message)]
pub struct GetMastersResponse {
    /// All masters.
    #[prost(message, repeated, tag = "1")]
    pub master_servers: Vec<GetMastersResponseEntry>,
}

/// Answer of `GetBootstrapNodes`.
#[derive(Clone, PartialEq, Message)]
pub struct GetBootstrapNodesResponse {
    /// Servers to ask.
    #[prost(message, repeated, tag = "1")]
    pub server_name: Vec<ServerNameMessage>,
}

/// A region and where it is.
#[derive(Clone, PartialEq, Message)]
pub struct RegionLocationMessage {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region_info: RegionInfoMessage,
    /// Server.
    #[prost(message, optional, tag = "2")]
    pub server_name: Option<ServerNameMessage>,
    /// Sequence number of the opening.
    #[prost(int64, required, tag = "3")]
    pub seq_num: i64,
}

/// Answer of `GetMetaRegionLocations`.
#[derive(Clone, PartialEq, Message)]
pub struct GetMetaRegionLocationsResponse {
    /// Meta's replicas.
    #[prost(message, repeated, tag = "1")]
    pub meta_locations: Vec<RegionLocationMessage>,
}

/// ZooKeeper's `meta-region-server`.
#[derive(Clone, PartialEq, Message)]
pub struct MetaRegionServer {
    /// Server.
    #[prost(message, required, tag = "1")]
    pub server: ServerNameMessage,
    /// RPC version.
    #[prost(uint32, optional, tag = "2")]
    pub rpc_version: Option<u32>,
    /// State; 3 is open.
    #[prost(int32, optional, tag = "3")]
    pub state: Option<i32>,
}

/// ZooKeeper's `master`.
#[derive(Clone, PartialEq, Message)]
pub struct MasterMessage {
    /// The master.
    #[prost(message, required, tag = "1")]
    pub master: ServerNameMessage,
}

/// ZooKeeper's `hbaseid`.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterIdMessage {
    /// The id.
    #[prost(string, required, tag = "1")]
    pub cluster_id: String,
}

// --- tables (Master) ---

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
