//! From a row to its region, with as few look-ups as possible.
//!
//! # Laws
//! 1. What is known is found without a lock and without a task switch.
//! 2. The first miss of a table reads all its regions, page by page; later ones only what is missing, unless so much is
//!    missing that one read of all is cheaper for meta. Look-ups of one table share their answers
//!    ([`flights`](super::flights)); meta that fails is asked ever more rarely ([`gate`](super::gate)).
//! 3. What is known is forgotten only for a reason that concerns the place, never for a slow or an overloaded answer
//!    (`ClientExceptionsUtil.isMetaClearingException`, HBASE-27487), and only if it is still what was used.
//! 4. A disabled table is an error at once, not a circle of refusals.
//!
//! There is no refresh in the background: a place that is out of date costs one refused call, which most often names
//! the new one (RegionMovedException); reading meta all the time would cost a healthy cluster more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::catalog::Catalog;
use super::directory::Directory;
use super::flights::{Flight, Target};
use super::meta::{MetaRow, Region};
use super::table::{Table, TableCacheState, Waiter};
use crate::client::retry::Backoff;
use crate::error::Error;
use crate::metrics;
use crate::rpc::pool::Pool;
use crate::table_name::TableName;
use crate::wire::message::{RegionInfoMessage, TableStateKind};

/// Finds regions.
#[derive(Debug)]
pub(crate) struct Locator {
    shared: Arc<Shared>,
}

/// What look-ups, which are tasks of their own, need.
#[derive(Debug)]
struct Shared {
    catalog: Catalog,
    cluster: Arc<str>,
    timeout: Duration,
    tables: ArcSwap<HashMap<TableName, Arc<Table>>>,
}

impl Locator {
    pub(crate) fn new(directory: Arc<Directory>, pool: Arc<Pool>, (timeout, backoff): (Duration, Backoff)) -> Self {
        let cluster = Arc::clone(pool.cluster());
        let catalog = Catalog::new(directory, pool, (timeout, backoff));
        Self { shared: Arc::new(Shared { catalog, cluster, timeout, tables: ArcSwap::default() }) }
    }

    /// The region that is known to have the row.
    pub(crate) fn known(&self, table: &TableName, row: &[u8]) -> Option<Arc<Region>> {
        self.shared.tables.load().get(table).and_then(|table| table.find_row(row))
    }

    /// The region that has the row.
    ///
    /// Cancel safe: a look-up that is under way goes on for the others.
    pub(crate) async fn locate(&self, table: &TableName, row: &[u8]) -> Result<Arc<Region>, Error> {
        match self.known(table, row) {
            Some(region) => Ok(region),
            None => self.shared.find(table, Target::Row(Bytes::copy_from_slice(row))).await,
        }
    }

    /// The region before `end`, for scans that go backwards: the one whose last row is right before it.
    ///
    /// Cancel safe.
    pub(crate) async fn locate_before(&self, table: &TableName, end: &[u8]) -> Result<Arc<Region>, Error> {
        self.shared.find(table, Target::Before(Bytes::copy_from_slice(end))).await
    }

    /// All regions of a table that are open, in order, as meta says now.
    pub(crate) async fn regions(&self, table: &TableName) -> Result<Vec<(Region, RegionInfoMessage)>, Error> {
        let rows = self.rows(table).await?;
        if rows.is_empty() {
            return Err(Error::TableMissing { table: table.to_string() });
        }
        let online = rows.into_iter().filter_map(|row| match row {
            MetaRow::Online(region, info) => Some((region, info)),
            MetaRow::Offline(_) | MetaRow::NotARegion => None,
        });
        Ok(online.collect())
    }

    /// Regions of a table that are open and that are not, as meta says now. Both are 0 if the table does not exist.
    pub(crate) async fn count(&self, table: &TableName) -> Result<(usize, usize), Error> {
        let rows = self.rows(table).await?;
        let online = rows.iter().filter(|row| matches!(row, MetaRow::Online(..))).count();
        Ok((online, rows.len() - online))
    }

    async fn rows(&self, table: &TableName) -> Result<Vec<MetaRow>, Error> {
        let mut rows = Vec::new();
        self.shared.catalog.table(table, |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// The server that was asked does not serve the region.
    pub(crate) fn invalidate(&self, table: &TableName, used: &Region) {
        if let Some(entry) = self.entry(table) {
            entry.suspect();
            let forgotten = usize::from(entry.invalidate(used));
            metrics::forgotten(&self.shared.cluster, "not_serving", forgotten);
        }
    }

    /// The region's server could not be reached a moment ago; nothing new is known about its other regions.
    pub(crate) fn unreachable(&self, table: &TableName, used: &Region) {
        if let Some(entry) = self.entry(table) {
            metrics::forgotten(&self.shared.cluster, "unreachable", usize::from(entry.invalidate(used)));
        }
    }

    /// The server that had the region says where it is now.
    pub(crate) fn relocate(&self, table: &TableName, used: &Region, server: &str) {
        if let Some(entry) = self.entry(table) {
            metrics::forgotten(&self.shared.cluster, "moved", usize::from(entry.relocate(used, server)));
        }
    }

    /// The server process that had this region is gone, with all regions it had, and maybe with meta.
    pub(crate) fn server_gone(&self, used: &Region) {
        self.shared.catalog.server_gone(&used.server);
        let tables = self.shared.tables.load();
        let forgotten = tables.values().map(|table| table.invalidate_server(&used.server, used.start_code)).sum();
        metrics::forgotten(&self.shared.cluster, "server_gone", forgotten);
    }

    /// What is known, for people: where meta is, and each table.
    pub(crate) fn describe(&self) -> (Option<String>, Vec<TableCacheState>) {
        let mut tables: Vec<TableCacheState> =
            self.shared.tables.load().values().map(|table| table.describe()).collect();
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        (self.shared.catalog.known_server(), tables)
    }

    fn entry(&self, table: &TableName) -> Option<Arc<Table>> {
        self.shared.tables.load().get(table).cloned()
    }
}

impl Shared {
    async fn find(self: &Arc<Self>, table: &TableName, target: Target) -> Result<Arc<Region>, Error> {
        let entry = self.table(table);
        if let Some(region) = entry.find(&target) {
            return Ok(region);
        }
        let (waiter, answer) = oneshot::channel();
        let reading = entry.reading();
        let begun = entry.flights().join(target, waiter, reading);
        self.begin(&entry, begun);
        // A look-up that ends answers everybody it took off the list.
        answer.await.unwrap_or_else(|_| Err(Error::RegionOffline { table: table.to_string() }))
    }

    fn table(&self, name: &TableName) -> Arc<Table> {
        if let Some(known) = self.tables.load().get(name) {
            return Arc::clone(known);
        }
        let made = Arc::new(Table::new(name.clone()));
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            tables.entry(name.clone()).or_insert_with(|| Arc::clone(&made));
            tables
        });
        self.tables.load().get(name).map_or(made, Arc::clone)
    }

    /// A name that is no table's is not remembered.
    fn forget(&self, name: &TableName) {
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            tables.remove(name);
            tables
        });
    }

    /// Look-ups are tasks: a caller that goes away does not end what others wait for. Each ends within its time.
    fn begin(self: &Arc<Self>, table: &Arc<Table>, flights: Vec<Flight>) {
        for flight in flights {
            let (shared, table) = (Arc::clone(self), Arc::clone(table));
            tokio::spawn(async move { shared.fly(&table, flight).await });
        }
    }

    async fn fly(self: Arc<Self>, table: &Arc<Table>, flight: Flight) {
        let late = |_| Err(Error::TimedOut { elapsed: self.timeout, tries: 1, last: None });
        let found = match &flight {
            Flight::Whole => {
                tokio::time::timeout(self.timeout, self.read_all(table)).await.map(|read| read.map(|()| None))
            }
            Flight::Part(target) => {
                tokio::time::timeout(self.timeout, self.look_up(table, target)).await.map(|found| found.map(Some))
            }
        }
        .unwrap_or_else(late);
        let (answered, next) = {
            // Taken before the lock: it looks into the doubts of the table.
            let reading = table.reading();
            let mut flights = table.flights();
            let answered = match &found {
                Ok(Some(region)) => flights.land(&flight, |target| target.is_in(region)),
                Ok(None) => flights.land(&flight, |_| true),
                Err(error) => flights.land(&flight, |_| concerns_all(error)),
            };
            flights.prune(Waiter::is_closed);
            (answered, flights.next(reading))
        };
        self.begin(table, next);
        if let Err(Error::TableMissing { .. }) = found {
            self.forget(&table.name);
        }
        for (target, waiter) in answered {
            let outcome = match &found {
                Ok(Some(region)) if target.is_in(region) => Ok(Arc::clone(region)),
                Ok(_) => table.find(&target).ok_or_else(|| offline(&table.name)),
                Err(error) => Err(error.clone()),
            };
            // A caller that has gone needs no answer.
            let _ = waiter.send(outcome);
        }
    }

    /// Reads all regions of a table into the cache.
    async fn read_all(&self, table: &Table) -> Result<(), Error> {
        let mut regions = Vec::new();
        let mut rows = 0;
        let state = self.catalog.table(&table.name, |row| {
            rows += 1;
            if let MetaRow::Online(region, _) = row {
                regions.push(Arc::new(region));
            }
        });
        self.enabled(table, state.await?)?;
        if rows == 0 {
            return Err(Error::TableMissing { table: table.name.to_string() });
        }
        table.fill(regions);
        Ok(())
    }

    async fn look_up(&self, table: &Table, target: &Target) -> Result<Arc<Region>, Error> {
        if let Some(region) = table.find(target) {
            return Ok(region);
        }
        if table.should_check_state() {
            self.enabled(table, self.catalog.table_state(&table.name).await?)?;
        }
        match self.catalog.region(&table.name, target).await? {
            Some(MetaRow::Online(region, _)) => {
                let region = Arc::new(region);
                table.insert(&region);
                Ok(region)
            }
            Some(MetaRow::Offline(_)) => {
                table.suspect();
                if table.should_check_state() {
                    self.enabled(table, self.catalog.table_state(&table.name).await?)?;
                }
                Err(offline(&table.name))
            }
            Some(MetaRow::NotARegion) => Err(offline(&table.name)),
            None => Err(Error::TableMissing { table: table.name.to_string() }),
        }
    }

    /// Refuses a table that is disabled; what was known of it is worth nothing.
    fn enabled(&self, table: &Table, state: Option<TableStateKind>) -> Result<(), Error> {
        match state {
            Some(TableStateKind::Disabled | TableStateKind::Disabling) => {
                table.clear();
                Err(Error::TableDisabled { table: table.name.to_string() })
            }
            Some(TableStateKind::Enabled | TableStateKind::Enabling) | None => Ok(()),
        }
    }
}

fn offline(table: &TableName) -> Error {
    Error::RegionOffline { table: table.to_string() }
}

/// Whether a failed look-up says something about every place of the table: then whoever waits for another place is not
/// left to find the same out one after the other.
fn concerns_all(error: &Error) -> bool {
    !matches!(error, Error::RegionOffline { .. })
}
