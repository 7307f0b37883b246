//! Messages of registries (`Registry.proto`, `ZooKeeper.proto`).

use prost::Message;

use super::{RegionInfoMessage, ServerNameMessage};

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
