//! Messages of a region server's own service (`Admin.proto`).

use bytes::Bytes;
use prost::Message;

use super::{RegionInfoMessage, RegionSpecifier};

/// Request of `FlushRegion`.
#[derive(Clone, PartialEq, Message)]
pub struct FlushRegionRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
}

/// Answer of `FlushRegion`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct FlushRegionResponse {
    /// When it was flushed last, ms.
    #[prost(uint64, required, tag = "1")]
    pub last_flush_time: u64,
    /// Whether there was anything to flush.
    #[prost(bool, optional, tag = "2")]
    pub flushed: Option<bool>,
}

/// Request of `CompactRegion`.
#[derive(Clone, PartialEq, Message)]
pub struct CompactRegionRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// Whether all files are compacted to one.
    #[prost(bool, optional, tag = "2")]
    pub major: Option<bool>,
    /// Family; all if it is left out.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub family: Option<Bytes>,
}

/// Request of `GetRegionInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct GetRegionInfoRequest {
    /// Region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// Whether the compaction state is wanted.
    #[prost(bool, optional, tag = "2")]
    pub compaction_state: Option<bool>,
}

/// Answer of `GetRegionInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct GetRegionInfoResponse {
    /// The region.
    #[prost(message, required, tag = "1")]
    pub region_info: RegionInfoMessage,
    /// 0 none, 1 minor, 2 major, 3 both.
    #[prost(int32, optional, tag = "2")]
    pub compaction_state: Option<i32>,
}
