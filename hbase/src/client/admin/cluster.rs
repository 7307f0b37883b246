//! The cluster as a whole: what it says of itself, and its switches.

use super::Admin;
use crate::cluster::directory::address;
use crate::error::Error;
use crate::wire::message::{
    BalanceRequest, ClusterStatusMessage, Empty, GetClusterStatusResponse, IsSplitOrMergeEnabledRequest,
    LiveServerInfo, RegionLoadMessage, SetBalancerRunningRequest, SetBalancerRunningResponse,
    SetSplitOrMergeEnabledRequest, SetSplitOrMergeEnabledResponse, YesOrNo,
};
use bytes::Bytes;

/// Load of one region, as its server has reported it last (every three seconds at first).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionLoad {
    /// Full name.
    pub region: Bytes,
    /// Store files.
    pub store_files: u32,
    /// Size of the store files, MB.
    pub store_files_mb: u32,
    /// Size of the memstore, MB.
    pub memstore_mb: u32,
    /// Reads since the region was opened.
    pub reads: u64,
    /// Writes since the region was opened.
    pub writes: u64,
    /// Cells of the compaction under way; 0 if there is none.
    pub cells_to_compact: u64,
    /// Cells of it that are done.
    pub cells_compacted: u64,
}

/// Load of one region server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLoad {
    /// `host:port`.
    pub server: String,
    /// When the process was started.
    pub start_code: u64,
    /// Requests since it was started.
    pub requests: u64,
    /// Heap used, MB.
    pub heap_used_mb: u32,
    /// Heap there is, MB.
    pub heap_max_mb: u32,
    /// Regions, by name.
    pub regions: Vec<RegionLoad>,
}

/// What a cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// HBase's version.
    pub version: String,
    /// `host:port` of the active master.
    pub master: Option<String>,
    /// `host:port` of masters that wait.
    pub backup_masters: Vec<String>,
    /// Region servers that run, by name.
    pub servers: Vec<ServerLoad>,
    /// `host:port` of region servers that do not.
    pub dead_servers: Vec<String>,
    /// Regions in transition.
    pub regions_in_transition: usize,
    /// Whether the balancer is on; old masters do not say.
    pub is_balancer_on: Option<bool>,
}

/// What masters do by themselves unless they are told not to. The discriminants are the wire codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Switch {
    /// Cutting of regions.
    Split = 0,
    /// Joining of regions.
    Merge = 1,
}

impl Admin {
    /// What the cluster says of itself, with the load of every region.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cluster_status(&self) -> Result<ClusterStatus, Error> {
        let call = ("GetClusterStatus", "GetClusterStatusResponse");
        let answer: GetClusterStatusResponse = self.call(call, &Empty {}).await?;
        Ok(status(answer.cluster_status))
    }

    /// Runs the balancer once. Returns whether it ran: it does not while it is off or regions are in transition.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn balance(&self) -> Result<bool, Error> {
        let request = BalanceRequest { force: None };
        Ok(self.call::<YesOrNo>(("Balance", "BalanceResponse"), &request).await?.is)
    }

    /// Turns the balancer on or off; returns what it was. What it is doing is awaited.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_balancer(&self, is_on: bool) -> Result<bool, Error> {
        let request = SetBalancerRunningRequest { on: is_on, synchronous: Some(true) };
        let call = ("SetBalancerRunning", "SetBalancerRunningResponse");
        let answer: SetBalancerRunningResponse = self.call(call, &request).await?;
        Ok(answer.prev_balance_value == Some(true))
    }

    /// Whether the balancer is on.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn is_balancer_on(&self) -> Result<bool, Error> {
        Ok(self.call::<YesOrNo>(("IsBalancerEnabled", "IsBalancerEnabledResponse"), &Empty {}).await?.is)
    }

    /// Turns a switch on or off; returns what it was. What is under way is awaited. Servers before 1.4 have none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_switch(&self, switch: Switch, is_on: bool) -> Result<bool, Error> {
        let request = SetSplitOrMergeEnabledRequest {
            enabled: is_on,
            synchronous: Some(true),
            switch_types: vec![switch as i32],
        };
        let call = ("SetSplitOrMergeEnabled", "SetSplitOrMergeEnabledResponse");
        let answer: SetSplitOrMergeEnabledResponse = self.call(call, &request).await?;
        Ok(answer.prev_value.first() == Some(&true))
    }

    /// Whether a switch is on.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn is_switch_on(&self, switch: Switch) -> Result<bool, Error> {
        let request = IsSplitOrMergeEnabledRequest { switch_type: switch as i32 };
        Ok(self.call::<YesOrNo>(("IsSplitOrMergeEnabled", "IsSplitOrMergeEnabledResponse"), &request).await?.is)
    }
}

fn status(message: ClusterStatusMessage) -> ClusterStatus {
    let mut servers: Vec<ServerLoad> = message.live_servers.into_iter().map(server_load).collect();
    servers.sort_by(|a, b| a.server.cmp(&b.server));
    ClusterStatus {
        version: message.hbase_version.map(|version| version.version).unwrap_or_default(),
        master: message.master.as_ref().map(address),
        backup_masters: message.backup_masters.iter().map(address).collect(),
        servers,
        dead_servers: message.dead_servers.iter().map(address).collect(),
        regions_in_transition: message.regions_in_transition.len(),
        is_balancer_on: message.balancer_on,
    }
}

fn server_load(live: LiveServerInfo) -> ServerLoad {
    let load = live.server_load;
    let mut regions: Vec<RegionLoad> = load.region_loads.into_iter().map(region_load).collect();
    regions.sort_by(|a, b| a.region.cmp(&b.region));
    ServerLoad {
        server: address(&live.server),
        start_code: live.server.start_code.unwrap_or(0),
        requests: load.total_number_of_requests.or(load.number_of_requests).unwrap_or(0),
        heap_used_mb: load.used_heap_mb.unwrap_or(0),
        heap_max_mb: load.max_heap_mb.unwrap_or(0),
        regions,
    }
}

fn region_load(load: RegionLoadMessage) -> RegionLoad {
    RegionLoad {
        region: load.region_specifier.value,
        store_files: load.storefiles.unwrap_or(0),
        store_files_mb: load.storefile_size_mb.unwrap_or(0),
        memstore_mb: load.mem_store_size_mb.unwrap_or(0),
        reads: load.read_requests_count.unwrap_or(0),
        writes: load.write_requests_count.unwrap_or(0),
        cells_to_compact: load.total_compacting_kvs.unwrap_or(0),
        cells_compacted: load.current_compacted_kvs.unwrap_or(0),
    }
}
