//! Region servers in memory that speak the real wire on real ports: for tests and embedded demos.
//!
//! A [`Cluster`] has one master, some region servers and a real `hbase:meta`; HBase's Java client can make a table on
//! it, write, read, scan and delete. What it does not serve it refuses by name: coprocessors,
//! quotas, replication, filters and comparators beyond those of [`crate::filter`]. Nothing is kept after [`Cluster::shutdown`].
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use hbase::client::{Client, ClientConfig};
//! use hbase::server::Cluster;
//!
//! let cluster = Cluster::start(2).await?;
//! let client = Client::new(ClientConfig::new(cluster.registry()));
//! # let _ = client;
//! # Ok(())
//! # }
//! ```

mod admin;
mod data;
mod fault;
mod filter;
mod master;
mod mutate;
mod node;
mod region;
mod scanner;
mod schema;
mod state;
mod store;

use std::io;
use std::ops::Bound;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use self::data::Data;
pub use self::fault::{Fault, Reaction};
use self::node::{Node, Nodes, Role};
pub use self::state::Recorded;
use self::state::{ServerSlot, State, now_ms};
use self::store::View;
use crate::cell::Cell;
use crate::exception::Exception;
use crate::registry::Registry;
use crate::table_name::TableName;

/// The name under which the servers are announced; everything listens on 127.0.0.1.
const HOST: &str = "127.0.0.1";

/// What clients have sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Multi calls.
    pub multis: u64,
    /// Mutations applied.
    pub mutations: u64,
    /// Cells applied.
    pub cells: u64,
}

/// A cluster in this process. It stops when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    state: Arc<State>,
    master: Node,
    nodes: Nodes,
}

impl Cluster {
    /// Starts a master and `region_servers` region servers on free ports.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(region_servers: usize) -> io::Result<Self> {
        Self::start_at(0, region_servers).await
    }

    /// As [`Cluster::start`], with the master on this port.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start_at(master_port: u16, region_servers: usize) -> io::Result<Self> {
        let state = Arc::new(State::new());
        let master = Node::listen(master_port, Arc::clone(&state), Role::Master).await?;
        let slot = |port, start_code| ServerSlot { host: HOST.to_owned(), port, start_code, is_up: true };
        *state.master.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot(master.port, state.next_id()));
        let mut nodes = Vec::new();
        for server in 0..region_servers.max(1) {
            let role = Role::RegionServer(Arc::new(Data::new(Arc::clone(&state), server)));
            let node = Node::listen(0, Arc::clone(&state), role).await?;
            let start_code = state.next_id();
            state.servers().push(slot(node.port, start_code));
            nodes.push(Some(node));
        }
        Ok(Self { state, master, nodes: Nodes::new(nodes) })
    }

    /// Where clients find the cluster.
    #[must_use]
    pub fn registry(&self) -> Registry {
        Registry::Rpc { servers: vec![format!("{HOST}:{}", self.master.port)] }
    }

    /// Cuts the region that has `row` in two at it.
    ///
    /// # Errors
    /// The refusal that a master would answer.
    pub fn split(&self, table: &TableName, row: &[u8]) -> Result<(), Exception> {
        self.state.split(table, &Bytes::copy_from_slice(row))
    }

    /// Joins the region that has `row` with the one behind it.
    ///
    /// # Errors
    /// The refusal that a master would answer.
    pub fn merge(&self, table: &TableName, row: &[u8]) -> Result<(), Exception> {
        self.state.merge(table, row)
    }

    /// Moves the region that has `row` to region server `server`; the old server names the new one to whoever asks.
    pub fn move_region(&self, table: &TableName, row: &[u8], server: usize) {
        if let Some(region) = self.state.regions(table).iter().find(|region| region.contains(row)) {
            self.state.move_region(region, server);
        }
    }

    /// Number of regions of a table.
    #[must_use]
    pub fn region_count(&self, table: &TableName) -> usize {
        self.state.regions(table).len()
    }

    /// Stops a region server: its connections break, its regions go to the others that run. Acknowledged rows stay.
    pub fn stop_server(&self, server: usize) {
        if let Some(slot) = self.state.servers().get_mut(server) {
            slot.is_up = false;
        }
        if let Some(node) = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).get_mut(server) {
            *node = None;
        }
        self.state.evacuate(server);
    }

    /// Starts a stopped region server again, at its old address, as a new process.
    ///
    /// # Errors
    /// If its port is taken meanwhile.
    pub async fn start_server(&self, server: usize) -> io::Result<()> {
        let port = self.state.server(server).map_or(0, |slot| slot.port);
        let role = Role::RegionServer(Arc::new(Data::new(Arc::clone(&self.state), server)));
        let node = Node::listen(port, Arc::clone(&self.state), role).await?;
        let start_code = self.state.next_id();
        if let Some(slot) = self.state.servers().get_mut(server) {
            slot.is_up = true;
            slot.start_code = start_code;
        }
        if let Some(place) = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).get_mut(server) {
            *place = Some(node);
        }
        Ok(())
    }

    /// Compacts every region of a table: markers, what they mask and spare versions are gone.
    pub fn major_compact(&self, table: &TableName) {
        for region in self.state.regions(table) {
            if let Some(store) = region.write().as_mut() {
                store.major_compact(&region.rules_of(), now_ms());
            }
        }
    }

    /// All cells of a table, in order, read past the wire: the newest versions, or with `raw` everything there is.
    #[must_use]
    pub fn cells(&self, table: &TableName, visibility: crate::scan::Visibility) -> Vec<Cell> {
        let is_raw = visibility == crate::scan::Visibility::Raw;
        let view = View {
            columns: std::collections::BTreeMap::new(),
            versions: if is_raw { usize::MAX } else { 1 },
            from: 0,
            to: i64::MAX,
            is_raw,
            now_ms: now_ms(),
        };
        let mut cells = Vec::new();
        for region in self.state.regions(table) {
            let held = region.read();
            let Some(store) = held.as_ref() else { continue };
            let mut next = store.next_key(Bound::Unbounded);
            while let Some(row) = next {
                cells.extend(store.row(&row, &view, &region.rules_of()));
                next = store.next_key(Bound::Excluded(&row));
            }
        }
        cells
    }

    /// Sets how long a scanner lives that no call touches (`hbase.client.scanner.timeout.period`; 60 s at first).
    pub fn set_scanner_lease(&self, lease: std::time::Duration) {
        self.state.scanner_lease_ms.store(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Scanners that clients have left open on all servers.
    #[must_use]
    pub fn open_scanners(&self) -> usize {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().flatten().filter_map(Node::data).map(|data| data.open_scanners()).sum()
    }

    /// Adds a fault. Faults are asked in the order in which they were added.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Keeps the next thousand requests of clients, for golden files.
    pub fn record(&self) {
        *self.state.recorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was kept since [`Cluster::record`], in the order of arrival.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// What clients have sent so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counters = &self.state.counters;
        Counts {
            multis: counters.multis.load(Relaxed),
            mutations: counters.mutations.load(Relaxed),
            cells: counters.cells.load(Relaxed),
        }
    }

    /// Stops everything. Dropping the cluster does the same.
    pub fn shutdown(self) {
        drop(self);
    }
}
