//! Scans: rows in order, each exactly once, whatever happens to the regions meanwhile.
//!
//! # Laws
//! 1. A row is given out whole: its parts are joined over answers.
//! 2. `next_call_seq` goes with every `next`: a call that was answered without the answer arriving is noticed by the
//!    server instead of skipping rows.
//! 3. After a failure the scan goes on behind the last row given out; the parts of a row that was not complete are
//!    thrown away and read again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Client;
use super::attempt::Attempts;
use super::scan_call::{self, RowPart};
use crate::cell::Cell;
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::rpc::connection::Connection;
use crate::rpc::pool::Service;
use crate::scan::{Direction, Scan, region_specifier};
use crate::table_name::TableName;
use crate::wire::message::{ScanRequest, ScanResponse};

/// A scan under way. Dropping it leaves the server's scanner to its lease.
#[derive(Debug)]
pub struct Scanner {
    client: Client,
    table: TableName,
    /// What is left to read: `start` moves with every row given out.
    scan: Scan,
    given: u64,
    open: Option<Open>,
    rows: VecDeque<Vec<Cell>>,
    part: Vec<Cell>,
    is_done: bool,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    region: Arc<Region>,
    id: u64,
    next_call_seq: u64,
}

impl Scanner {
    pub(super) fn new(client: Client, table: TableName, scan: Scan) -> Self {
        Self { client, table, scan, given: 0, open: None, rows: VecDeque::new(), part: Vec::new(), is_done: false }
    }

    /// The cells of the next row, in order; `None` at the end.
    ///
    /// Cancel safe in that no row is lost or given out twice by a later call.
    ///
    /// # Errors
    /// [`Error`], after the operation's time without progress or at once if trying again is useless.
    pub async fn next_row(&mut self) -> Result<Option<Vec<Cell>>, Error> {
        let mut attempts = Attempts::new(&self.client.inner().config);
        loop {
            if self.scan.limit != 0 && self.given >= self.scan.limit {
                self.is_done = true;
                self.rows.clear();
            }
            if let Some(row) = self.rows.pop_front() {
                self.given += 1;
                return Ok(Some(row));
            }
            if self.is_done {
                return Ok(None);
            }
            match self.advance(&mut attempts).await {
                Ok(()) => {}
                Err(error) => {
                    if let Some(open) = self.open.take() {
                        self.client.note(&self.table, &open.region, &error);
                    }
                    self.part.clear();
                    attempts.failed(error).await?;
                }
            }
        }
    }

    /// One call: opens a scanner or goes on with the open one.
    async fn advance(&mut self, attempts: &mut Attempts) -> Result<(), Error> {
        let timeout = attempts.call_timeout();
        // Taken out while the call is under way: if this future is dropped, the scanner is opened anew.
        let (mut open, request) = match self.open.take() {
            Some(open) => {
                let request = ScanRequest {
                    scanner_id: Some(open.id),
                    number_of_rows: Some(self.rows_wanted()),
                    next_call_seq: Some(open.next_call_seq),
                    ..handles()
                };
                (Open { next_call_seq: open.next_call_seq + 1, ..open }, request)
            }
            None => self.opening().await?,
        };
        let called = scan_call::scan(&open.connection, &request, timeout).await;
        let (answer, parts) = match called {
            Ok(answer) => answer,
            Err(error) => {
                self.open = Some(open);
                return Err(error.into());
            }
        };
        if let Some(id) = answer.scanner_id {
            open.id = id;
        }
        if !parts.is_empty() || answer.heartbeat_message == Some(true) {
            attempts.restart();
        }
        self.take(parts);
        self.go_on(open, &answer);
        Ok(())
    }

    async fn opening(&self) -> Result<(Open, ScanRequest), Error> {
        let inner = self.client.inner();
        let region = self.region().await?;
        let connection = inner.pool.get(&region.server, Service::Client).await.map_err(|error| {
            // No scanner is open yet that the failure could be laid to: the place is in doubt here.
            let error = Error::from(error);
            self.client.note(&self.table, &region, &error);
            error
        })?;
        let request = ScanRequest {
            region: Some(region_specifier(&region.name)),
            scan: Some(self.scan.message()),
            number_of_rows: Some(self.rows_wanted()),
            limit_of_rows: u32::try_from(self.left()).ok().filter(|left| *left > 0),
            ..handles()
        };
        Ok((Open { connection, region, id: 0, next_call_seq: 0 }, request))
    }

    async fn region(&self) -> Result<Arc<Region>, Error> {
        let locator = &self.client.inner().locator;
        let Scan { start, start_included, direction, .. } = &self.scan;
        match direction {
            Direction::Forward => locator.locate(&self.table, start).await,
            Direction::Reversed if *start_included && !start.is_empty() => locator.locate(&self.table, start).await,
            Direction::Reversed => locator.locate_before(&self.table, start).await,
        }
    }

    /// Joins parts to rows; the place to go on from moves behind every complete row.
    fn take(&mut self, parts: Vec<RowPart>) {
        for RowPart { cells, is_partial } in parts {
            let continues = match (self.part.first(), cells.first()) {
                (Some(part), Some(cell)) => part.row == cell.row,
                _ => true,
            };
            if !continues {
                // The row before had no more cells, though its last part was marked partial.
                self.complete();
            }
            self.part.extend(cells);
            if !is_partial {
                self.complete();
            }
        }
    }

    fn complete(&mut self) {
        if let Some(first) = self.part.first() {
            self.scan.start = first.row.clone();
            self.scan.start_included = false;
            self.rows.push_back(std::mem::take(&mut self.part));
        }
    }

    /// Keeps the scanner, steps to the next region, or ends the scan.
    fn go_on(&mut self, open: Open, answer: &ScanResponse) {
        if answer.more_results == Some(false) {
            self.complete();
            self.is_done = true;
            return;
        }
        if answer.more_results_in_region == Some(true) || answer.heartbeat_message == Some(true) {
            self.open = Some(open);
            return;
        }
        self.complete();
        self.next_region(&open.region);
    }

    fn next_region(&mut self, region: &Region) {
        let Scan { start, start_included, stop, stop_included, direction, .. } = &mut self.scan;
        let border: &Bytes = match direction {
            Direction::Forward => &region.end,
            Direction::Reversed => &region.start,
        };
        let is_past_stop = !stop.is_empty()
            && match direction {
                Direction::Forward => border > stop || (border == stop && !*stop_included),
                Direction::Reversed => border <= stop,
            };
        if border.is_empty() || is_past_stop {
            self.is_done = true;
            return;
        }
        *start = border.clone();
        // Backwards, the border row itself belongs to the region that was just read.
        *start_included = *direction == Direction::Forward;
    }

    fn left(&self) -> u64 {
        self.scan.limit.saturating_sub(self.given + self.rows.len() as u64)
    }

    fn rows_wanted(&self) -> u32 {
        match self.left() {
            0 => self.scan.caching,
            left => self.scan.caching.min(u32::try_from(left).unwrap_or(u32::MAX)),
        }
    }
}

fn handles() -> ScanRequest {
    ScanRequest { client_handles_partials: Some(true), client_handles_heartbeats: Some(true), ..ScanRequest::default() }
}
