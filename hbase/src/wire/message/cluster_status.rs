//! What a cluster says of itself (`ClusterStatus.proto`).

use bytes::Bytes;
use prost::Message;

use super::{RegionSpecifier, ServerNameMessage};

/// Load of one region.
#[derive(Clone, PartialEq, Message)]
pub struct RegionLoadMessage {
    /// The region.
    #[prost(message, required, tag = "1")]
    pub region_specifier: RegionSpecifier,
    /// Stores.
    #[prost(uint32, optional, tag = "2")]
    pub stores: Option<u32>,
    /// Store files.
    #[prost(uint32, optional, tag = "3")]
    pub storefiles: Option<u32>,
    /// Their size before compression, MB.
    #[prost(uint32, optional, tag = "4")]
    pub store_uncompressed_size_mb: Option<u32>,
    /// Their size, MB.
    #[prost(uint32, optional, tag = "5")]
    pub storefile_size_mb: Option<u32>,
    /// Memstore, MB.
    #[prost(uint32, optional, tag = "6")]
    pub mem_store_size_mb: Option<u32>,
    /// Reads since it was opened.
    #[prost(uint64, optional, tag = "8")]
    pub read_requests_count: Option<u64>,
    /// Writes since it was opened.
    #[prost(uint64, optional, tag = "9")]
    pub write_requests_count: Option<u64>,
    /// Cells of the compaction under way.
    #[prost(uint64, optional, tag = "10")]
    pub total_compacting_kvs: Option<u64>,
    /// Cells of it that are compacted.
    #[prost(uint64, optional, tag = "11")]
    pub current_compacted_kvs: Option<u64>,
}

/// Load of one server.
#[derive(Clone, PartialEq, Message)]
pub struct ServerLoadMessage {
    /// Requests since the last report.
    #[prost(uint64, optional, tag = "1")]
    pub number_of_requests: Option<u64>,
    /// Requests since it was started.
    #[prost(uint64, optional, tag = "2")]
    pub total_number_of_requests: Option<u64>,
    /// Heap used, MB.
    #[prost(uint32, optional, tag = "3")]
    pub used_heap_mb: Option<u32>,
    /// Heap there is, MB.
    #[prost(uint32, optional, tag = "4")]
    pub max_heap_mb: Option<u32>,
    /// By region.
    #[prost(message, repeated, tag = "5")]
    pub region_loads: Vec<RegionLoadMessage>,
}

/// A server that runs.
#[derive(Clone, PartialEq, Message)]
pub struct LiveServerInfo {
    /// The server.
    #[prost(message, required, tag = "1")]
    pub server: ServerNameMessage,
    /// Its load.
    #[prost(message, required, tag = "2")]
    pub server_load: ServerLoadMessage,
}

/// HBase's version.
#[derive(Clone, PartialEq, Message)]
pub struct HBaseVersionMessage {
    /// The version.
    #[prost(string, required, tag = "1")]
    pub version: String,
}

/// A region in transition; what it goes through is of no use here.
#[derive(Clone, PartialEq, Message)]
pub struct RegionInTransition {
    /// The region.
    #[prost(message, required, tag = "1")]
    pub spec: RegionSpecifier,
    /// Its state, not taken apart.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub region_state: Option<Bytes>,
}

/// The cluster.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterStatusMessage {
    /// HBase's version.
    #[prost(message, optional, tag = "1")]
    pub hbase_version: Option<HBaseVersionMessage>,
    /// Servers that run.
    #[prost(message, repeated, tag = "2")]
    pub live_servers: Vec<LiveServerInfo>,
    /// Servers that do not.
    #[prost(message, repeated, tag = "3")]
    pub dead_servers: Vec<ServerNameMessage>,
    /// Regions in transition.
    #[prost(message, repeated, tag = "4")]
    pub regions_in_transition: Vec<RegionInTransition>,
    /// The active master.
    #[prost(message, optional, tag = "7")]
    pub master: Option<ServerNameMessage>,
    /// Masters that wait.
    #[prost(message, repeated, tag = "8")]
    pub backup_masters: Vec<ServerNameMessage>,
    /// Whether the balancer is on.
    #[prost(bool, optional, tag = "9")]
    pub balancer_on: Option<bool>,
}

/// Answer of `GetClusterStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct GetClusterStatusResponse {
    /// The cluster.
    #[prost(message, required, tag = "1")]
    pub cluster_status: ClusterStatusMessage,
}
