//! Reading `hbase:meta`: one region, a whole table in pages, a table's state.
//!
//! Where meta is comes from the [`Directory`] and is remembered until a read fails for a reason that another place could
//! mend.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::directory::Directory;
use super::flights::Target;
use super::gate::Gate;
use super::meta::{self, META_REGION, MetaRow};
use crate::cell::Cell;
use crate::client::retry::Backoff;
use crate::client::scan_call;
use crate::error::Error;
use crate::metrics;
use crate::rpc::pool::{Pool, Service};
use crate::scan::{Direction, Get, Scan, Selection, region_specifier};
use crate::table_name::TableName;
use crate::wire::cell_block::{self, CellReader};
use crate::wire::message::{GetRequest, GetResponse, ScanRequest, TableStateKind};

/// Rows of one answer while a whole table is read.
const PAGE_ROWS: u32 = 1000;

/// Reads meta.
#[derive(Debug)]
pub(crate) struct Catalog {
    directory: Arc<Directory>,
    pool: Arc<Pool>,
    timeout: Duration,
    gate: Gate,
    server: Mutex<Option<String>>,
}

/// What is read, for metrics.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Region,
    Table,
    State,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Table => "table",
            Self::State => "state",
        }
    }
}

impl Catalog {
    pub(crate) fn new(directory: Arc<Directory>, pool: Arc<Pool>, (timeout, backoff): (Duration, Backoff)) -> Self {
        Self { directory, pool, timeout, gate: Gate::new(backoff), server: Mutex::default() }
    }

    /// Reads the row of one region: backwards from behind the place, so the first answer is the region or there is none.
    pub(crate) async fn region(&self, table: &TableName, target: &Target) -> Result<Option<MetaRow>, Error> {
        let start = match target {
            Target::Row(row) => meta::lookup_start(table, row),
            Target::Before(end) => meta::lookup_before(table, end),
        };
        let family = Selection { family: Bytes::from_static(meta::CATALOG_FAMILY), qualifier: None };
        let scan = Scan {
            start,
            stop: meta::table_start(table),
            stop_included: true,
            direction: Direction::Reversed,
            caching: 1,
            cache_blocks: true,
            columns: vec![family],
            ..Scan::default()
        };
        let mut found = None;
        self.read(Kind::Region, async |server| {
            self.scan(server, (&scan, Some(1)), &mut |cells| {
                found = Some(meta::parse(cells)?);
                Ok(())
            })
            .await
        })
        .await?;
        Ok(found)
    }

    /// Reads all rows of a table, in order and page by page, and the table's state if this line of HBase keeps it in
    /// meta. Split parents and replicas are left out.
    pub(crate) async fn table(
        &self,
        table: &TableName,
        mut visit: impl FnMut(MetaRow),
    ) -> Result<Option<TableStateKind>, Error> {
        // All families: selecting the state's would be refused by lines that do not have it.
        let scan = Scan {
            start: meta::state_row(table),
            stop: meta::table_stop(table),
            caching: PAGE_ROWS,
            cache_blocks: true,
            ..Scan::default()
        };
        let mut state = None;
        self.read(Kind::Table, async |server| {
            self.scan(server, (&scan, None), &mut |cells| {
                if cells.first().is_some_and(|cell| cell.row == table.as_str().as_bytes()) {
                    state = meta::table_state(cells)?;
                    return Ok(());
                }
                match meta::parse(cells)? {
                    MetaRow::NotARegion => {}
                    row => visit(row),
                }
                Ok(())
            })
            .await
        })
        .await?;
        Ok(state)
    }

    /// Reads a table's state: from meta (2.0+), else from where 1.x keeps it in ZooKeeper. `None` if neither tells.
    pub(crate) async fn table_state(&self, table: &TableName) -> Result<Option<TableStateKind>, Error> {
        let get = Get { row: meta::state_row(table), ..Get::new("") };
        let state = self.read(Kind::State, async |server| {
            let connection = self.pool.get(server, Service::Client).await?;
            let request = GetRequest { region: region_specifier(&Bytes::from_static(META_REGION)), get: get.message() };
            let (answer, block): (GetResponse, _) =
                connection.call(("Get", "GetResponse"), &request, self.timeout).await?;
            let mut reader = CellReader::new(block);
            let mut cells: Vec<Cell> = Vec::new();
            while let Some(cell) = reader.next_cell()? {
                cells.push(cell);
            }
            for cell in answer.result.map(|result| result.cell).unwrap_or_default() {
                cells.push(scan_call::cell_of(cell)?);
            }
            Ok(meta::table_state(&cells)?)
        });
        match state.await? {
            Some(state) => Ok(Some(state)),
            None => self.directory.table_state(table, self.timeout).await,
        }
    }

    /// `host:port` of the server that is known to have meta.
    pub(crate) fn known_server(&self) -> Option<String> {
        self.place().clone()
    }

    /// A server is gone, maybe with meta.
    pub(crate) fn server_gone(&self, server: &str) {
        let mut place = self.place();
        if place.as_deref() == Some(server) {
            *place = None;
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<String>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one read, when it is right to ask, and draws the consequences.
    async fn read<T>(&self, kind: Kind, read: impl AsyncFnOnce(&str) -> Result<T, Error>) -> Result<T, Error> {
        let _turn = self.gate.pass().await;
        let result = self.read_at_once(read).await;
        let is_answered = result.as_ref().err().is_none_or(|error| !error.is_transient());
        let failures = self.gate.report(is_answered);
        metrics::meta_lookup(self.pool.cluster(), kind.label(), is_answered);
        if let Err(error) = &result
            && !is_answered
            && let Some(suppressed) = self.pool.may_say("hbase:meta", "meta")
        {
            let (cluster, error) = (&**self.pool.cluster(), error.chain());
            tracing::warn!(cluster, failures, suppressed, error, "meta cannot be read");
        }
        if is_answered {
            self.directory.refresh_if_due();
        }
        result
    }

    async fn read_at_once<T>(&self, read: impl AsyncFnOnce(&str) -> Result<T, Error>) -> Result<T, Error> {
        let known = self.known_server();
        let server = match known {
            Some(server) => server,
            None => {
                let server = self.directory.meta_server(self.timeout).await?;
                *self.place() = Some(server.clone());
                server
            }
        };
        let result = read(&server).await;
        if result.as_ref().is_err_and(Error::is_transient) {
            // Whatever it was, the next read asks the directory again.
            self.server_gone(&server);
        }
        result
    }

    async fn scan(
        &self,
        server: &str,
        (scan, limit): (&Scan, Option<u32>),
        visit: &mut impl FnMut(&[Cell]) -> Result<(), Error>,
    ) -> Result<(), Error> {
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
        loop {
            let (answer, parts) = scan_call::scan(&connection, &request, self.timeout).await?;
            for part in parts {
                visit(&cell_block::decode(&part.cells)?)?;
            }
            let goes_on = answer.more_results != Some(false) && answer.more_results_in_region == Some(true);
            let Some(id) = answer.scanner_id.filter(|_| goes_on && limit.is_none()) else { return Ok(()) };
            let sequence = request.next_call_seq.map_or(0, |sequence| sequence + 1);
            request = ScanRequest {
                scanner_id: Some(id),
                number_of_rows: Some(scan.caching),
                next_call_seq: Some(sequence),
                ..ScanRequest::default()
            };
        }
    }
}
