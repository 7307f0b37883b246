//! Messages of reads and writes (`Client.proto`).

use bytes::Bytes;
use prost::Message;

use super::{ComparatorMessage, FilterMessage, NameBytesPair, RegionSpecifier, TimeRangeMessage};

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
    /// Whether answers without rows say how far the scan is.
    #[prost(bool, optional, tag = "24")]
    pub need_cursor_result: Option<bool>,
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
    /// How far the scan is, if that was asked for.
    #[prost(message, optional, tag = "12")]
    pub cursor: Option<CursorMessage>,
}

/// How far a scan is.
#[derive(Clone, PartialEq, Message)]
pub struct CursorMessage {
    /// The row that was looked at last.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub row: Option<Bytes>,
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
    /// Number of the operation inside its nonce group: carried out once, however often it is sent.
    #[prost(uint64, optional, tag = "9")]
    pub nonce: Option<u64>,
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

/// What must hold for a check-and-mutate: one column compared, or a filter that passes the row.
#[derive(Clone, PartialEq, Message)]
pub struct ConditionMessage {
    /// Row.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub row: Bytes,
    /// Family.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub family: Option<Bytes>,
    /// Qualifier.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub qualifier: Option<Bytes>,
    /// `CompareType`; says how the comparator's value is to the cell's, not the other way round.
    #[prost(int32, optional, tag = "4")]
    pub compare_type: Option<i32>,
    /// Compares with the cell's value.
    #[prost(message, optional, tag = "5")]
    pub comparator: Option<ComparatorMessage>,
    /// Versions looked at (2.4+).
    #[prost(message, optional, tag = "6")]
    pub time_range: Option<TimeRangeMessage>,
    /// The filter, instead of a column (2.4+).
    #[prost(message, optional, tag = "7")]
    pub filter: Option<FilterMessage>,
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
    /// Condition of a check-and-mutate.
    #[prost(message, optional, tag = "3")]
    pub condition: Option<ConditionMessage>,
    /// Nonce group of increments and appends.
    #[prost(uint64, optional, tag = "4")]
    pub nonce_group: Option<u64>,
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
    /// Condition under which the actions are carried out (2.4+; older servers read [`MultiRequest::condition`]).
    #[prost(message, optional, tag = "4")]
    pub condition: Option<ConditionMessage>,
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
    /// Condition of the only region action, as clients before 2.4 send it.
    #[prost(message, optional, tag = "3")]
    pub condition: Option<ConditionMessage>,
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

/// Load of one region, in percent of what its server can bear.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RegionLoadStats {
    /// Of the region's memstore limit.
    #[prost(int32, optional, tag = "1")]
    pub mem_store_load: Option<i32>,
    /// Of the server's heap.
    #[prost(int32, optional, tag = "2")]
    pub heap_occupancy: Option<i32>,
    /// Of the files that block writes.
    #[prost(int32, optional, tag = "3")]
    pub compaction_pressure: Option<i32>,
}

/// Loads of regions: two lists side by side.
#[derive(Clone, PartialEq, Message)]
pub struct MultiRegionLoadStats {
    /// Regions.
    #[prost(message, repeated, tag = "1")]
    pub region: Vec<RegionSpecifier>,
    /// Their loads.
    #[prost(message, repeated, tag = "2")]
    pub stat: Vec<RegionLoadStats>,
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
    /// Loads of the regions, if the server is made to tell them.
    #[prost(message, optional, tag = "3")]
    pub region_statistics: Option<MultiRegionLoadStats>,
}
