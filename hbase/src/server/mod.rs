//! Region servers in memory that speak the real wire on real ports: for tests and embedded demos.
//!
//! A [`Cluster`] has one master, some region servers and a real `hbase:meta`; HBase's Java client can make a table on
//! it, write, read, scan and delete. What it does not serve it refuses by name: coprocessors, quotas, replication, filters
//! and comparators beyond those of [`crate::filter`]. Nothing is kept after [`Cluster::shutdown`].
//!
//! It misbehaves on command: a [`Rule`] says where ([`Condition`]) what ([`Reaction`]) happens to calls, region actions
//! and single actions, for the cluster's life ([`Cluster::inject`]) or while a guard lives ([`Cluster::inject_while`]).
//! A [`Change`] splits, merges, moves, stops and starts, at once or in the middle of a call; a [`Storm`] makes many of
//! them from a seed. Without any rule it behaves as HBase does under load: calls of one connection are answered out of
//! order, a full queue and a full memstore refuse, a call that waited past its own time is dropped (see [`Config`]).
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
mod answer;
mod bulk;
mod change;
mod condition;
mod config;
mod connection;
mod data;
mod dispatch;
mod fault;
mod filter;
mod handlers;
mod master;
mod memstore;
mod multi;
mod mutate;
mod node;
mod outbox;
mod reaction;
mod refusal;
mod region;
mod scanner;
mod schema;
mod state;
mod store;
mod subject;

use std::io;
use std::ops::Bound;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

pub use self::change::{Change, Storm, Topology};
pub use self::condition::Condition;
pub use self::config::{Config, Keeping};
pub use self::fault::{Injection, Rule};
use self::node::{Node, Nodes, Role};
pub use self::reaction::Reaction;
pub use self::refusal::Refusal;
pub use self::state::Recorded;
use self::state::{HOST, ServerSlot, State, now_ms};
use self::store::View;
use crate::cell::Cell;
use crate::exception::Exception;
use crate::registry::Registry;
use crate::table_name::TableName;

/// What clients have sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Multi calls.
    pub multis: u64,
    /// Mutations applied.
    pub mutations: u64,
    /// Cells applied.
    pub cells: u64,
    /// Calls that waited in a server's queue past their own time and were dropped without an answer.
    pub dropped: u64,
    /// Scans opened on `hbase:meta`: look-ups of regions.
    pub meta_scans: u64,
}

/// A cluster in this process. It stops when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    state: Arc<State>,
    master: Node,
    nodes: Arc<Nodes>,
}

impl Cluster {
    /// Starts a master and `region_servers` region servers on free ports.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(region_servers: usize) -> io::Result<Self> {
        Self::start_with(Config { region_servers, ..Config::default() }).await
    }

    /// As [`Cluster::start`], with the master on this port.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start_at(master_port: u16, region_servers: usize) -> io::Result<Self> {
        Self::start_with(Config { master_port, region_servers, ..Config::default() }).await
    }

    /// Starts a cluster that is made like this.
    ///
    /// # Errors
    /// If a port cannot be had.
    pub async fn start_with(config: Config) -> io::Result<Self> {
        let (master_port, region_servers) = (config.master_port, config.region_servers.max(1));
        let nodes = Arc::new(Nodes::default());
        let state = Arc::new(State::new(config, Arc::downgrade(&nodes)));
        let master = Node::listen(master_port, Arc::clone(&state), Role::Master)?;
        let slot = ServerSlot { host: HOST.to_owned(), port: master.port, start_code: state.next_id(), is_up: true };
        *state.master.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot);
        for server in 0..region_servers {
            state.start_server(server).await?;
        }
        Ok(Self { state, master, nodes })
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
        self.state.stop_server(server);
    }

    /// Starts a stopped region server again, at its old address, as a new process.
    ///
    /// # Errors
    /// If its port is taken meanwhile.
    pub async fn start_server(&self, server: usize) -> io::Result<()> {
        self.state.start_server(server).await
    }

    /// Changes where rows are.
    ///
    /// # Errors
    /// The refusal that a master would answer: the change does not fit the regions as they are now. Starting a server
    /// fails if its port is taken meanwhile.
    pub async fn change(&self, change: &Change) -> Result<(), Exception> {
        self.state.change(change).await
    }

    /// How a table's regions and the servers look now: what a [`Storm`] decides by.
    #[must_use]
    pub fn topology(&self, table: &TableName) -> Topology {
        self.state.topology(table)
    }

    /// Flushes every region of a table: those that were too busy take writes again.
    pub fn flush(&self, table: &TableName) {
        self.state.regions(table).iter().for_each(|region| region.flush());
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
        self.nodes.open_scanners()
    }

    /// Adds a rule for as long as the cluster lives. Rules are asked in the order in which they were added.
    pub fn inject(&self, rule: Rule) {
        self.state.rules.add(rule);
    }

    /// Adds a rule for as long as the guard lives.
    pub fn inject_while(&self, rule: Rule) -> Injection {
        Injection::new(self.state.rules.clone(), rule)
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
            dropped: counters.dropped.load(Relaxed),
            meta_scans: counters.meta_scans.load(Relaxed),
        }
    }

    /// Stops everything. Dropping the cluster does the same.
    pub fn shutdown(self) {
        drop(self);
    }
}
