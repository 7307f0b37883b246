//! What a cluster in memory consists of: servers, tables, regions, and meta that says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost::Message;

use super::change::{Change, Topology};
use super::config::Config;
use super::data::Data;
use super::fault::Rules;
use super::node::{Node, Nodes, Role};
use super::region::Region;
use super::schema::Catalog;
use super::store::Store;
use crate::cell::{Cell, CellKind};
use crate::client::admin::{Family, TableDescriptor};
use crate::exception::Exception;
use crate::table_name::TableName;
use crate::wire::message::{ServerNameMessage, TableStateKind, TableStateMessage};

/// The name under which the servers are announced; everything listens on 127.0.0.1.
pub(super) const HOST: &str = "127.0.0.1";

const PREFIX: &str = "org.apache.hadoop.hbase.";

/// A refusal with HBase's class of that name.
pub(super) fn refusal(class: &str, message: impl Into<String>) -> Exception {
    let class = if class.starts_with("java.") { class.to_owned() } else { format!("{PREFIX}{class}") };
    Exception { class, message: message.into(), moved_to: None, do_not_retry: false }
}

/// Counters of what clients have sent.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) multis: AtomicU64,
    pub(super) mutations: AtomicU64,
    pub(super) cells: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) meta_scans: AtomicU64,
}

/// Requests that are kept; later ones are not.
pub(super) const RECORDED_MAX: usize = 1000;

/// A request as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Service of the connection.
    pub service: String,
    /// Method; empty for the connection's header.
    pub method: String,
    /// The frame without its length, or the ConnectionHeader.
    pub bytes: Bytes,
}

/// A server's name and whether it runs.
#[derive(Clone, Debug)]
pub(super) struct ServerSlot {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) start_code: u64,
    pub(super) is_up: bool,
}

impl ServerSlot {
    pub(super) fn message(&self) -> ServerNameMessage {
        ServerNameMessage {
            host_name: self.host.clone(),
            port: Some(u32::from(self.port)),
            start_code: Some(self.start_code),
        }
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) descriptor: TableDescriptor,
    pub(super) is_enabled: bool,
    pub(super) regions: BTreeMap<Bytes, Arc<Region>>,
}

/// The whole cluster.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Config,
    pub(super) cluster_id: String,
    pub(super) counters: Counters,
    pub(super) master: Mutex<Option<ServerSlot>>,
    pub(super) servers: Mutex<Vec<ServerSlot>>,
    pub(super) rules: Rules,
    pub(super) recorded: Mutex<Option<Vec<Recorded>>>,
    /// The region servers' processes, which hold this state themselves.
    nodes: Weak<Nodes>,
    /// How long an idle scanner lives, in ms.
    pub(super) scanner_lease_ms: AtomicU64,
    pub(super) catalog: Mutex<Catalog>,
    meta: Arc<Region>,
    pub(super) tables: RwLock<BTreeMap<TableName, Table>>,
    last_id: AtomicU64,
    next_server: AtomicUsize,
}

impl State {
    pub(super) fn new(config: Config, nodes: Weak<Nodes>) -> Self {
        let now = now_ms() as u64;
        Self {
            config,
            nodes,
            cluster_id: format!("in-process-{now:x}"),
            counters: Counters::default(),
            master: Mutex::default(),
            servers: Mutex::default(),
            rules: Rules::default(),
            recorded: Mutex::default(),
            scanner_lease_ms: AtomicU64::new(60_000),
            catalog: Mutex::default(),
            meta: Arc::new(Region::meta(&[Family::new("info").with("VERSIONS", "3"), Family::new("table")])),
            tables: RwLock::default(),
            last_id: AtomicU64::new(now),
            next_server: AtomicUsize::new(0),
        }
    }

    pub(super) fn servers(&self) -> MutexGuard<'_, Vec<ServerSlot>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn server(&self, index: usize) -> Option<ServerSlot> {
        self.servers().get(index).cloned()
    }

    /// Keeps what a client sent, if that was asked for.
    pub(super) fn record(&self, service: &str, method: &str, bytes: &Bytes) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorded) = recorded.as_mut().filter(|recorded| recorded.len() < RECORDED_MAX) {
            let (service, method) = (service.to_owned(), method.to_owned());
            recorded.push(Recorded { service, method, bytes: bytes.clone() });
        }
    }

    pub(super) fn scanner_lease(&self) -> Duration {
        Duration::from_millis(self.scanner_lease_ms.load(Ordering::Relaxed))
    }

    /// Region ids and start codes: time-like, never the same twice.
    pub(super) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The region of that full name, if it exists.
    pub(super) fn region(&self, name: &[u8]) -> Option<Arc<Region>> {
        if name == &self.meta.name[..] {
            return Some(Arc::clone(&self.meta));
        }
        // `table,start,id.hash.`: neither the table nor what is behind the start has a comma.
        let table = name.split(|byte| *byte == b',').next().unwrap_or_default();
        let start = name.get(table.len() + 1..)?;
        let start = start.get(..start.iter().rposition(|byte| *byte == b',')?)?;
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get(&TableName::new(std::str::from_utf8(table).ok()?))?;
        table.regions.get(start).filter(|region| region.name == name).cloned()
    }

    /// The region of that hash, for the master's calls.
    pub(super) fn region_by_hash(&self, encoded: &[u8]) -> Option<Arc<Region>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let mut regions = tables.values().flat_map(|table| table.regions.values());
        regions.find(|region| region.encoded.as_bytes() == encoded).cloned()
    }

    pub(super) fn regions(&self, table: &TableName) -> Vec<Arc<Region>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(table).map(|table| table.regions.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn is_enabled(&self, table: &TableName) -> Option<bool> {
        if *table == self.meta.table {
            return Some(true);
        }
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(table).map(|table| table.is_enabled)
    }

    pub(super) fn descriptors(&self) -> Vec<TableDescriptor> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.values().map(|table| table.descriptor.clone()).collect()
    }

    pub(super) fn create(&self, descriptor: TableDescriptor, mut splits: Vec<Bytes>) -> Result<(), Exception> {
        if descriptor.families.is_empty() {
            return Err(refusal("DoNotRetryIOException", "Table should have at least one column family."));
        }
        splits.sort();
        splits.dedup();
        let name = descriptor.name.clone();
        self.check_namespace(&name)?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if tables.contains_key(&name) {
            return Err(refusal("TableExistsException", name.as_str()));
        }
        let mut starts = vec![Bytes::new()];
        starts.extend(splits);
        let ends = starts.iter().skip(1).cloned().chain([Bytes::new()]).collect::<Vec<_>>();
        let mut regions = BTreeMap::new();
        for (start, end) in starts.into_iter().zip(ends) {
            let place = (self.next_id(), self.pick_server());
            let families = (descriptor.families.as_slice(), Store::default());
            let region = Arc::new(Region::new(&name, (start.clone(), end), place, families));
            self.publish(&region);
            regions.insert(start, region);
        }
        tables.insert(name.clone(), Table { descriptor, is_enabled: true, regions });
        drop(tables);
        self.publish_state(&name, TableStateKind::Enabled);
        Ok(())
    }

    pub(super) fn drop_table(&self, name: &TableName) -> Result<(), Exception> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        match tables.get(name) {
            None => return Err(refusal("TableNotFoundException", name.as_str())),
            Some(table) if table.is_enabled => {
                return Err(refusal("TableNotDisabledException", name.as_str()));
            }
            Some(_) => {}
        }
        if let Some(table) = tables.remove(name) {
            for region in table.regions.values() {
                self.withdraw(&region.name);
            }
        }
        self.withdraw(&Bytes::copy_from_slice(name.as_str().as_bytes()));
        Ok(())
    }

    pub(super) fn enable(&self, name: &TableName, is_enabled: bool) -> Result<(), Exception> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get_mut(name).ok_or_else(|| refusal("TableNotFoundException", name.as_str()))?;
        if table.is_enabled == is_enabled {
            let class = if is_enabled { "TableNotDisabledException" } else { "TableNotEnabledException" };
            return Err(refusal(class, name.as_str()));
        }
        table.is_enabled = is_enabled;
        drop(tables);
        self.publish_state(name, if is_enabled { TableStateKind::Enabled } else { TableStateKind::Disabled });
        Ok(())
    }

    /// Cuts the region that has `row` in two.
    pub(super) fn split(&self, name: &TableName, row: &Bytes) -> Result<(), Exception> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get_mut(name).ok_or_else(|| refusal("TableNotFoundException", name.as_str()))?;
        let parent = table.regions.values().find(|region| region.contains(row)).cloned();
        let parent = parent.filter(|parent| parent.start != *row);
        let parent = parent.ok_or_else(|| refusal("DoNotRetryIOException", "cannot split at a region's first row"))?;
        // Writers that wait for the lock find the region closed and look it up again.
        let Some(mut lower) = parent.write().take() else {
            return Err(refusal("NotServingRegionException", parent.encoded.clone()));
        };
        let upper = lower.split_off(row);
        self.withdraw(&parent.name);
        table.regions.remove(&parent.start);
        let ends = [(parent.start.clone(), row.clone(), lower), (row.clone(), parent.end.clone(), upper)];
        for (start, end, store) in ends {
            let place = (self.next_id(), parent.server());
            let families = (table.descriptor.families.as_slice(), store);
            let daughter = Arc::new(Region::new(name, (start.clone(), end), place, families));
            self.publish(&daughter);
            table.regions.insert(start, daughter);
        }
        Ok(())
    }

    /// Joins the region that has `row` with the one behind it.
    pub(super) fn merge(&self, name: &TableName, row: &[u8]) -> Result<(), Exception> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get_mut(name).ok_or_else(|| refusal("TableNotFoundException", name.as_str()))?;
        let first = table.regions.values().find(|region| region.contains(row)).cloned();
        let second = first.as_ref().and_then(|first| table.regions.get(&first.end)).cloned();
        let (Some(first), Some(second)) = (first, second) else {
            return Err(refusal("exceptions.MergeRegionException", "no region behind it"));
        };
        let (Some(mut store), Some(other)) = (first.write().take(), second.write().take()) else {
            return Err(refusal("NotServingRegionException", first.encoded.clone()));
        };
        store.absorb(other);
        for parent in [&first, &second] {
            self.withdraw(&parent.name);
            table.regions.remove(&parent.start);
        }
        let place = (self.next_id(), first.server());
        let range = (first.start.clone(), second.end.clone());
        let merged = Arc::new(Region::new(name, range, place, (table.descriptor.families.as_slice(), store)));
        self.publish(&merged);
        table.regions.insert(merged.start.clone(), merged);
        Ok(())
    }

    /// Moves a region to a server that runs.
    pub(super) fn move_region(&self, region: &Arc<Region>, server: usize) {
        region.set_server(server);
        self.publish(region);
    }

    /// Gives the regions of a server to the others that run; without any they wait for it.
    pub(super) fn evacuate(&self, server: usize) {
        let regions: Vec<Arc<Region>> = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            tables.values().flat_map(|table| table.regions.values()).cloned().collect()
        };
        let all = regions.iter().chain([&self.meta]);
        for region in all.filter(|region| region.server() == server) {
            if self.servers().iter().any(|slot| slot.is_up) {
                let target = self.pick_server();
                region.set_server(target);
                if !Arc::ptr_eq(region, &self.meta) {
                    self.publish(region);
                }
            }
        }
    }

    /// Changes where rows are.
    pub(super) async fn change(self: &Arc<Self>, change: &Change) -> Result<(), Exception> {
        match self.rearrange(change)? {
            None => Ok(()),
            Some(server) => {
                let failed = |error: std::io::Error| refusal("java.io.IOException", error.to_string());
                self.start_server(server).await.map_err(failed)
            }
        }
    }

    /// A change by a rule. One that no longer fits the regions is none.
    pub(super) fn change_on_command(self: &Arc<Self>, change: &Change) {
        match self.rearrange(change) {
            Ok(None) => {}
            Ok(Some(server)) => {
                let state = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(error) = state.start_server(server).await {
                        tracing::debug!(server, %error, "a region server does not start on command");
                    }
                });
            }
            Err(refused) => tracing::debug!(?change, %refused, "a change on command does not fit"),
        }
    }

    /// Does what can be done at once. Returns the server that is to be started.
    fn rearrange(&self, change: &Change) -> Result<Option<usize>, Exception> {
        match change {
            Change::Split { table, row } => self.split(table, row)?,
            Change::Merge { table, row } => self.merge(table, row)?,
            Change::Move { table, row, server } => {
                let regions = self.regions(table);
                let found = regions.iter().find(|region| region.contains(row));
                let found = found.ok_or_else(|| refusal("TableNotFoundException", table.as_str()))?;
                self.move_region(found, *server);
            }
            Change::Stop { server } => self.stop_server(*server),
            Change::Start { server } => return Ok(Some(*server)),
        }
        Ok(None)
    }

    /// How a table's regions and the servers look now.
    pub(super) fn topology(&self, table: &TableName) -> Topology {
        Topology {
            starts: self.regions(table).iter().map(|region| region.start.clone()).collect(),
            is_up: self.servers().iter().map(|slot| slot.is_up).collect(),
        }
    }

    pub(super) fn stop_server(&self, server: usize) {
        if let Some(slot) = self.servers().get_mut(server) {
            slot.is_up = false;
        }
        if let Some(nodes) = self.nodes.upgrade() {
            nodes.stop(server);
        }
        self.evacuate(server);
    }

    /// Starts a region server at its old address, or on a free port if it never ran. Must be called inside a runtime.
    pub(super) async fn start_server(self: &Arc<Self>, server: usize) -> std::io::Result<()> {
        let port = self.server(server).map_or(0, |slot| slot.port);
        let nodes = self.nodes.upgrade().ok_or(std::io::ErrorKind::NotConnected)?;
        nodes.stopped(server).await;
        let role = Role::RegionServer(Arc::new(Data::new(Arc::clone(self), server)));
        let node = Node::listen(port, Arc::clone(self), role)?;
        let start_code = self.next_id();
        let slot = ServerSlot { host: HOST.to_owned(), port: node.port, start_code, is_up: true };
        let mut slots = self.servers();
        match slots.get_mut(server) {
            Some(place) => *place = slot,
            None => slots.push(slot),
        }
        drop(slots);
        nodes.put(server, node);
        Ok(())
    }

    /// The server that has meta.
    pub(super) fn meta_server(&self) -> Option<ServerSlot> {
        self.server(self.meta.server()).filter(|slot| slot.is_up)
    }

    pub(super) fn meta_region(&self) -> &Arc<Region> {
        &self.meta
    }

    /// The next server that runs, in turn.
    pub(super) fn pick_server(&self) -> usize {
        let servers = self.servers();
        let count = servers.len().max(1);
        let first = self.next_server.fetch_add(1, Ordering::Relaxed);
        let candidates = (0..count).map(|step| (first + step) % count);
        let mut up = candidates.filter(|index| servers.get(*index).is_some_and(|slot| slot.is_up));
        up.next().unwrap_or(0)
    }

    /// Writes a region's row in meta.
    pub(super) fn publish(&self, region: &Region) {
        let Some(slot) = self.server(region.server()) else { return };
        let mut info = b"PBUF".to_vec();
        info.extend(region.info().encode_to_vec());
        let values = [
            ("regioninfo", Bytes::from(info)),
            ("server", Bytes::from(format!("{}:{}", slot.host, slot.port))),
            ("serverstartcode", Bytes::copy_from_slice(&slot.start_code.to_be_bytes())),
            ("seqnumDuringOpen", Bytes::copy_from_slice(&self.next_id().to_be_bytes())),
            ("state", Bytes::from_static(b"OPEN")),
        ];
        for (qualifier, value) in values {
            self.put_meta(&region.name, ("info", qualifier), value);
        }
    }

    fn publish_state(&self, table: &TableName, state: TableStateKind) {
        let value = TableStateMessage { state: state as i32 }.encode_to_vec();
        self.put_meta(&Bytes::copy_from_slice(table.as_str().as_bytes()), ("table", "state"), value.into());
    }

    fn put_meta(&self, row: &Bytes, (family, qualifier): (&'static str, &'static str), value: Bytes) {
        let cell = Cell {
            row: row.clone(),
            family: Bytes::from_static(family.as_bytes()),
            qualifier: Bytes::from_static(qualifier.as_bytes()),
            // Not the clock: two changes within one millisecond must not hide each other.
            timestamp: self.next_id() as i64,
            kind: CellKind::Put,
            value,
        };
        if let Some(store) = self.meta.write().as_mut() {
            store.apply(cell, 0);
        }
    }

    fn withdraw(&self, row: &Bytes) {
        if let Some(store) = self.meta.write().as_mut() {
            store.remove_row(row);
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
