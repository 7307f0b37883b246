//! Messages of the master about tables' schemas, regions' borders and switches (`Master.proto`).

use bytes::Bytes;
use prost::Message;

use super::{ColumnFamilySchema, RegionSpecifier, TableNameMessage, TableSchema};

/// Request of `ModifyTable`.
#[derive(Clone, PartialEq, Message)]
pub struct ModifyTableRequest {
    /// Table.
    #[prost(message, required, tag = "1")]
    pub table_name: TableNameMessage,
    /// What it is to be.
    #[prost(message, required, tag = "2")]
    pub table_schema: TableSchema,
}

/// Request of `AddColumn` and `ModifyColumn`.
#[derive(Clone, PartialEq, Message)]
pub struct ColumnFamilyRequest {
    /// Table.
    #[prost(message, required, tag = "1")]
    pub table_name: TableNameMessage,
    /// The family as it is to be.
    #[prost(message, required, tag = "2")]
    pub column_families: ColumnFamilySchema,
}

/// Request of `DeleteColumn`.
#[derive(Clone, PartialEq, Message)]
pub struct DeleteColumnRequest {
    /// Table.
    #[prost(message, required, tag = "1")]
    pub table_name: TableNameMessage,
    /// The family's name.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub column_name: Bytes,
}

/// Answer of `GetSchemaAlterStatus`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct GetSchemaAlterStatusResponse {
    /// Regions that still have the old schema.
    #[prost(uint32, optional, tag = "1")]
    pub yet_to_update_regions: Option<u32>,
    /// All regions.
    #[prost(uint32, optional, tag = "2")]
    pub total_regions: Option<u32>,
}

/// Request of `truncateTable`.
#[derive(Clone, PartialEq, Message)]
pub struct TruncateTableRequest {
    /// Table.
    #[prost(message, required, tag = "1")]
    pub table_name: TableNameMessage,
    /// Whether the regions stay as they are.
    #[prost(bool, optional, tag = "2")]
    pub preserve_splits: Option<bool>,
}

/// Request of `MergeTableRegions` (2.x).
#[derive(Clone, PartialEq, Message)]
pub struct MergeTableRegionsRequest {
    /// The regions, by the hash in their names.
    #[prost(message, repeated, tag = "1")]
    pub region: Vec<RegionSpecifier>,
    /// Whether they need not stand side by side.
    #[prost(bool, optional, tag = "3")]
    pub forcible: Option<bool>,
}

/// Request of `DispatchMergingRegions` (1.x).
#[derive(Clone, PartialEq, Message)]
pub struct DispatchMergingRegionsRequest {
    /// One region.
    #[prost(message, required, tag = "1")]
    pub region_a: RegionSpecifier,
    /// The other.
    #[prost(message, required, tag = "2")]
    pub region_b: RegionSpecifier,
}

/// Request of `Balance`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct BalanceRequest {
    /// Whether regions in transition do not matter.
    #[prost(bool, optional, tag = "1")]
    pub force: Option<bool>,
}

/// Answer of `Balance`, `IsBalancerEnabled` and `IsSplitOrMergeEnabled`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct YesOrNo {
    /// The answer.
    #[prost(bool, required, tag = "1")]
    pub is: bool,
}

/// Request of `SetBalancerRunning`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SetBalancerRunningRequest {
    /// Whether it is to run.
    #[prost(bool, required, tag = "1")]
    pub on: bool,
    /// Whether a run under way is awaited.
    #[prost(bool, optional, tag = "2")]
    pub synchronous: Option<bool>,
}

/// Answer of `SetBalancerRunning`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SetBalancerRunningResponse {
    /// Whether it ran before.
    #[prost(bool, optional, tag = "1")]
    pub prev_balance_value: Option<bool>,
}

/// Request of `SetSplitOrMergeEnabled`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetSplitOrMergeEnabledRequest {
    /// On or off.
    #[prost(bool, required, tag = "1")]
    pub enabled: bool,
    /// Whether what is under way is awaited.
    #[prost(bool, optional, tag = "2")]
    pub synchronous: Option<bool>,
    /// 0 split, 1 merge.
    #[prost(int32, repeated, packed = "false", tag = "3")]
    pub switch_types: Vec<i32>,
}

/// Answer of `SetSplitOrMergeEnabled`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetSplitOrMergeEnabledResponse {
    /// What they were.
    #[prost(bool, repeated, packed = "false", tag = "1")]
    pub prev_value: Vec<bool>,
}

/// Request of `IsSplitOrMergeEnabled`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct IsSplitOrMergeEnabledRequest {
    /// 0 split, 1 merge.
    #[prost(int32, required, tag = "1")]
    pub switch_type: i32,
}
