//! From a row to its region, with as few look-ups as possible.
//!
//! # Laws
//! 1. One look-up of a table at a time; whoever waited for it looks into the cache first.
//! 2. The first miss of a table reads all its regions; later ones only the region that is missing.
//! 3. What is known is forgotten only for a reason that concerns the place, never for a slow answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::lookup;
use super::meta::{self, META_REGION, MetaRow, Region};
use super::region_cache::RegionCache;
use crate::client::scan_call;
use crate::error::Error;
use crate::registry::Registry;
use crate::rpc::pool::{Pool, Service};
use crate::scan::{Direction, Scan, Selection, region_specifier};
use crate::table_name::TableName;
use crate::wire::message::{RegionInfoMessage, ScanRequest};

/// Rows of one answer while a whole table is looked up.
const META_CACHING: u32 = 1000;

/// Finds regions.
#[derive(Debug)]
pub(crate) struct Locator {
    registry: Registry,
    pool: Arc<Pool>,
    timeout: Duration,
    meta: Mutex<Option<String>>,
    tables: Mutex<HashMap<TableName, Arc<Table>>>,
}

#[derive(Debug, Default)]
struct Table {
    cache: Mutex<RegionCache>,
    lookup: tokio::sync::Mutex<()>,
}

impl Table {
    fn cache(&self) -> MutexGuard<'_, RegionCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locator {
    pub(crate) fn new(registry: Registry, pool: Arc<Pool>, timeout: Duration) -> Self {
        Self { registry, pool, timeout, meta: Mutex::default(), tables: Mutex::default() }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The region that is known to have the row.
    pub(crate) fn known(&self, table: &TableName, row: &[u8]) -> Option<Arc<Region>> {
        self.table(table).cache().find(row).cloned()
    }

    /// The region that has the row.
    pub(crate) async fn locate(&self, table: &TableName, row: &[u8]) -> Result<Arc<Region>, Error> {
        let entry = self.table(table);
        if let Some(region) = entry.cache().find(row) {
            return Ok(Arc::clone(region));
        }
        let _one_at_a_time = entry.lookup.lock().await;
        let is_first = {
            let cache = entry.cache();
            if let Some(region) = cache.find(row) {
                return Ok(Arc::clone(region));
            }
            cache.is_empty()
        };
        if is_first {
            let rows = self.table_rows(table).await?;
            if rows.is_empty() {
                return Err(Error::TableMissing { table: table.to_string() });
            }
            let mut cache = entry.cache();
            for row in rows {
                if let MetaRow::Online(region, _) = row {
                    cache.insert(Arc::new(region));
                }
            }
        } else {
            self.look_up(table, row, &entry).await?;
        }
        let found = entry.cache().find(row).cloned();
        found.ok_or_else(|| Error::RegionOffline { table: table.to_string() })
    }

    /// The region before `end`, for scans that go backwards: the one whose last row is right before it.
    pub(crate) async fn locate_before(&self, table: &TableName, end: &[u8]) -> Result<Arc<Region>, Error> {
        if let Some(region) = self.table(table).cache().find_before(end) {
            return Ok(Arc::clone(region));
        }
        let regions = self.regions(table).await?;
        let before = regions.into_iter().rev().map(|(region, _)| region);
        let mut before = before.filter(|region| end.is_empty() || region.start < end);
        let found = before.next().map(Arc::new);
        let found = found.ok_or_else(|| Error::RegionOffline { table: table.to_string() })?;
        self.table(table).cache().insert(Arc::clone(&found));
        Ok(found)
    }

    /// All regions of a table that are open, in order, as meta says now.
    pub(crate) async fn regions(&self, table: &TableName) -> Result<Vec<(Region, RegionInfoMessage)>, Error> {
        let rows = self.table_rows(table).await?;
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
        let rows = self.table_rows(table).await?;
        let online = rows.iter().filter(|row| matches!(row, MetaRow::Online(..))).count();
        Ok((online, rows.len() - online))
    }

    /// The region is no longer where it was.
    pub(crate) fn invalidate(&self, table: &TableName, used: &Region) {
        self.table(table).cache().invalidate(used);
    }

    /// The server that had the region says where it is now.
    pub(crate) fn relocate(&self, table: &TableName, used: &Region, server: &str) {
        self.table(table).cache().relocate(used, server);
    }

    /// A server is gone, with all regions it had, and maybe with meta.
    pub(crate) fn server_gone(&self, server: &str) {
        let mut meta = self.meta.lock().unwrap_or_else(PoisonError::into_inner);
        if meta.as_deref() == Some(server) {
            *meta = None;
        }
        drop(meta);
        let tables: Vec<Arc<Table>> =
            self.tables.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for table in tables {
            table.cache().invalidate_server(server);
        }
    }

    fn table(&self, table: &TableName) -> Arc<Table> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        match tables.get(table) {
            Some(entry) => Arc::clone(entry),
            None => Arc::clone(tables.entry(table.clone()).or_default()),
        }
    }

    /// Reads one region from meta: backwards from behind the row, so the first answer is the region or there is none.
    async fn look_up(&self, table: &TableName, row: &[u8], entry: &Table) -> Result<(), Error> {
        let scan = Scan {
            start: meta::lookup_start(table, row),
            stop: meta::table_start(table),
            stop_included: true,
            direction: Direction::Reversed,
            caching: 1,
            ..catalog_scan()
        };
        let mut rows = self.meta_rows(scan, Some(1)).await?;
        match rows.pop() {
            Some(MetaRow::Online(region, _)) => {
                entry.cache().insert(Arc::new(region));
                Ok(())
            }
            Some(MetaRow::Offline(_) | MetaRow::NotARegion) => Ok(()),
            None => Err(Error::TableMissing { table: table.to_string() }),
        }
    }

    /// All rows of a table in meta, in order; split parents and replicas are left out.
    async fn table_rows(&self, table: &TableName) -> Result<Vec<MetaRow>, Error> {
        let scan = Scan {
            start: meta::table_start(table),
            stop: meta::table_stop(table),
            caching: META_CACHING,
            ..catalog_scan()
        };
        let mut rows = self.meta_rows(scan, None).await?;
        rows.retain(|row| *row != MetaRow::NotARegion);
        Ok(rows)
    }

    async fn meta_rows(&self, scan: Scan, limit: Option<u32>) -> Result<Vec<MetaRow>, Error> {
        let server = self.meta_server().await?;
        let result = self.scan_meta(&server, &scan, limit).await;
        if let Err(error) = &result
            && error.is_transient()
        {
            // Whatever it was, the next look-up asks the registry again.
            let mut meta = self.meta.lock().unwrap_or_else(PoisonError::into_inner);
            if meta.as_deref() == Some(&server) {
                *meta = None;
            }
        }
        result
    }

    async fn scan_meta(&self, server: &str, scan: &Scan, limit: Option<u32>) -> Result<Vec<MetaRow>, Error> {
        let connection = self.pool.get(server, Service::Client).await?;
        let mut request = ScanRequest {
            region: Some(region_specifier(&Bytes::from_static(META_REGION))),
            scan: Some(scan.message()),
            number_of_rows: Some(scan.caching),
            close_scanner: limit.is_some().then_some(true),
            client_handles_partials: Some(false),
            client_handles_heartbeats: Some(false),
            limit_of_rows: limit,
            ..ScanRequest::default()
        };
        let mut rows = Vec::new();
        loop {
            let (answer, parts) = scan_call::scan(&connection, &request, self.timeout).await?;
            for part in parts {
                rows.push(meta::parse(&part.cells)?);
            }
            let goes_on = answer.more_results != Some(false) && answer.more_results_in_region == Some(true);
            let Some(id) = answer.scanner_id.filter(|_| goes_on && limit.is_none()) else { return Ok(rows) };
            let sequence = request.next_call_seq.map_or(0, |sequence| sequence + 1);
            request = ScanRequest {
                scanner_id: Some(id),
                number_of_rows: Some(scan.caching),
                next_call_seq: Some(sequence),
                ..ScanRequest::default()
            };
        }
    }

    async fn meta_server(&self) -> Result<String, Error> {
        if let Some(server) = self.meta.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(server);
        }
        let server = lookup::meta_server(&self.registry, &self.pool, self.timeout).await?;
        *self.meta.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.clone());
        Ok(server)
    }
}

fn catalog_scan() -> Scan {
    let family = Selection { family: Bytes::from_static(meta::CATALOG_FAMILY), qualifier: None };
    Scan { columns: vec![family], cache_blocks: true, ..Scan::default() }
}
