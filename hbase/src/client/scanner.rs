//! Scans: rows in order, each exactly once, whatever happens to the regions meanwhile.
//!
//! # Laws
//! 1. A row is given out whole: its parts are joined over answers.
//! 2. `next_call_seq` goes with every `next`: a call that was answered without the answer arriving is noticed by the
//!    server instead of skipping rows.
//! 3. After a failure the scan goes on behind the last row given out; the parts of a row that was not complete are
//!    thrown away and read again, so a row never mixes two points of time.
//! 4. At most two answers are in memory: the one whose rows are being taken, and the one fetched ahead.
//! 5. A scan that ends early closes its scanner on the server, as well as it can: without a connection or a runtime
//!    the lease does it.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Client;
use super::attempt::Attempts;
use super::row_call::{about_row, misuse};
use super::scan_call::RowPart;
use super::scan_call_ahead::{Ahead, Open};
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::row::Row;
use crate::rpc::pool::Service;
use crate::scan::{Direction, Scan, region_specifier};
use crate::table_name::TableName;
use crate::wire::cell_block::first_row;
use crate::wire::message::{ScanRequest, ScanResponse};

/// What a scan tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next row.
    Row(Row),
    /// No row yet, but everything before this one was looked at ([`Scan::cursors`]).
    Cursor(Bytes),
}

/// A scan under way.
#[derive(Debug)]
pub struct Scanner {
    client: Client,
    table: TableName,
    /// What is left to read: `start` moves with every row given out.
    scan: Scan,
    given: u64,
    /// The server's scanner while no call is under way.
    open: Option<Open>,
    ahead: Option<Ahead>,
    ready: VecDeque<Progress>,
    /// Cells of the row whose end has not come yet.
    part: BytesMut,
    is_done: bool,
}

impl Scanner {
    pub(super) fn new(client: Client, table: TableName, scan: Scan) -> Self {
        let (given, ready, part) = (0, VecDeque::new(), BytesMut::new());
        Self { client, table, scan, given, open: None, ahead: None, ready, part, is_done: false }
    }

    /// The next row; `None` at the end.
    ///
    /// Cancel safe in that no row is lost or given out twice by a later call.
    ///
    /// # Errors
    /// [`Error`], after the operation's time without progress or at once if trying again is useless.
    pub async fn next_row(&mut self) -> Result<Option<Row>, Error> {
        loop {
            match self.next_progress().await? {
                Some(Progress::Row(row)) => return Ok(Some(row)),
                Some(Progress::Cursor(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// As [`Scanner::next_row`], with cursors between the rows if the scan asks for them.
    ///
    /// # Errors
    /// As [`Scanner::next_row`].
    pub async fn next_progress(&mut self) -> Result<Option<Progress>, Error> {
        let mut attempts = Attempts::new(&self.client.inner().config);
        loop {
            if self.scan.limit != 0 && self.given >= self.scan.limit {
                self.end();
            }
            if let Some(progress) = self.ready.pop_front() {
                self.given += u64::from(matches!(progress, Progress::Row(_)));
                return Ok(Some(progress));
            }
            if self.is_done {
                return Ok(None);
            }
            self.advance_or_wait(&mut attempts).await?;
            self.fetch_ahead();
        }
    }

    /// All rows that one answer brings, for consumers that count in answers; empty at the end.
    pub(super) async fn next_rows(&mut self) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::from_iter(self.next_row().await?);
        while let Some(progress) = self.ready.pop_front() {
            if self.scan.limit != 0 && self.given >= self.scan.limit {
                break;
            }
            if let Progress::Row(row) = progress {
                self.given += 1;
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Renews the lease of the server's scanner, for a consumer that takes its time. While an answer fetched ahead
    /// waits ([`Scan::prefetch`]) that happens by itself; a scan whose lease ran out goes on with a new scanner.
    ///
    /// Returns whether there was a scanner to renew. Cancel safe.
    ///
    /// # Errors
    /// [`Error`] of a call that was under way, as [`Scanner::next_row`].
    pub async fn renew(&mut self) -> Result<bool, Error> {
        if self.ahead.is_some() {
            let mut attempts = Attempts::new(&self.client.inner().config);
            self.advance_or_wait(&mut attempts).await?;
        }
        let timeout = self.client.inner().config.rpc_timeout;
        // Taken out while the call is under way: if this future is dropped, the scanner is opened anew.
        let Some(mut open) = self.open.take() else { return Ok(false) };
        let is_renewed = open.renew(timeout).await.is_ok();
        self.open = is_renewed.then_some(open);
        Ok(is_renewed)
    }

    /// Ends the scan and closes the server's scanner. Dropping does the same, without waiting.
    pub async fn close(mut self) {
        self.is_done = true;
        let timeout = self.client.inner().config.rpc_timeout;
        let (open, ahead) = (self.open.take(), self.ahead.take());
        Open::close_all(open, ahead, timeout).await;
    }

    /// The scan is over, whatever the server still has.
    fn end(&mut self) {
        self.is_done = true;
        self.ready.clear();
        let (open, ahead) = (self.open.take(), self.ahead.take());
        if open.is_none() && ahead.is_none() {
            return;
        }
        let timeout = self.client.inner().config.rpc_timeout;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Open::close_all(open, ahead, timeout));
        }
    }

    async fn advance_or_wait(&mut self, attempts: &mut Attempts) -> Result<(), Error> {
        let Err(error) = self.advance(attempts).await else { return Ok(()) };
        self.part.clear();
        match self.ahead.take().map(|ahead| ahead.open.region) {
            Some(region) => {
                self.client.note(&self.table, &region, &error);
                let about = |error| about_row(&self.table, &region, &self.scan.start, error);
                attempts.failed(error).await.map_err(about)
            }
            None => attempts.failed(error).await,
        }
    }

    /// One answer: of the call under way, or of a new one.
    async fn advance(&mut self, attempts: &mut Attempts) -> Result<(), Error> {
        if self.ahead.is_none() {
            let timeout = attempts.call_timeout();
            let (open, request) = match self.open.take() {
                Some(open) => self.next_of(open),
                None => self.opening().await?,
            };
            self.ahead = Some(Ahead::call(open, request, timeout));
        }
        let Some(ahead) = &mut self.ahead else { return Ok(()) };
        let (answer, parts) = ahead.answer().await?;
        let Some(Ahead { open, .. }) = self.ahead.take() else { return Ok(()) };
        if !parts.is_empty() || answer.heartbeat_message == Some(true) {
            attempts.restart();
        }
        self.take(parts);
        self.take_cursor(&answer);
        self.go_on(open, &answer);
        Ok(())
    }

    fn fetch_ahead(&mut self) {
        let is_wanted = self.scan.prefetch && !self.is_done && !self.ready.is_empty();
        let has_room = self.scan.limit == 0 || self.left() > 0;
        if is_wanted
            && has_room
            && let Some(open) = self.open.take()
        {
            let (open, request) = self.next_of(open);
            self.ahead = Some(Ahead::call(open, request, self.client.inner().config.rpc_timeout));
        }
    }

    fn next_of(&self, mut open: Open) -> (Open, ScanRequest) {
        let request = ScanRequest {
            scanner_id: Some(open.id),
            number_of_rows: Some(self.rows_wanted()),
            next_call_seq: Some(open.take_sequence()),
            ..handles()
        };
        (open, request)
    }

    async fn opening(&self) -> Result<(Open, ScanRequest), Error> {
        self.scan.check().map_err(misuse(&self.table, &self.scan.start))?;
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
            // The server closes a scanner that has given so many rows: a small scan is one call.
            limit_of_rows: u32::try_from(self.left()).ok().filter(|left| *left > 0),
            ..handles()
        };
        Ok((Open::new(connection, region), request))
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

    /// Joins parts to rows; the place to go on from moves behind the last complete one.
    fn take(&mut self, parts: Vec<RowPart>) {
        let before = self.ready.len();
        for RowPart { cells, is_partial } in parts {
            if !self.part.is_empty() && !cells.is_empty() && first_row(&self.part) != first_row(&cells) {
                // The row before had no more cells, though its last part was marked partial.
                self.complete();
            }
            match (is_partial, self.part.is_empty()) {
                // A whole row stays what it is: a slice of the answer.
                (false, true) => self.give(cells),
                (true, _) => self.part.extend_from_slice(&cells),
                (false, false) => {
                    self.part.extend_from_slice(&cells);
                    self.complete();
                }
            }
        }
        if self.ready.len() > before
            && let Some(Progress::Row(row)) = self.ready.back()
        {
            // Copied, so that it does not hold a whole answer.
            self.scan.start = Bytes::copy_from_slice(row.key());
            self.scan.start_included = false;
        }
    }

    /// The row whose parts have come so far is complete.
    fn complete(&mut self) {
        let cells = mem::take(&mut self.part).freeze();
        self.give(cells);
    }

    fn give(&mut self, cells: Bytes) {
        if let Some(row) = Row::of_measured(cells) {
            self.ready.push_back(Progress::Row(row));
        }
    }

    /// A cursor is a place to go on from as good as a row.
    fn take_cursor(&mut self, answer: &ScanResponse) {
        let Some(row) = answer.cursor.as_ref().and_then(|cursor| cursor.row.clone()) else { return };
        let is_ahead = match self.scan.direction {
            Direction::Forward => row > self.scan.start,
            Direction::Reversed => self.scan.start.is_empty() || row < self.scan.start,
        };
        if self.scan.cursors && self.part.is_empty() && is_ahead {
            self.scan.start = row.clone();
            self.scan.start_included = true;
            self.ready.push_back(Progress::Cursor(row));
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
            self.open = open.if_not_lost();
            if self.open.is_none() {
                self.part.clear();
            }
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
        let ready = self.ready.iter().filter(|progress| matches!(progress, Progress::Row(_))).count();
        self.scan.limit.saturating_sub(self.given + ready as u64)
    }

    fn rows_wanted(&self) -> u32 {
        match self.left() {
            0 => self.scan.caching,
            left => self.scan.caching.min(u32::try_from(left).unwrap_or(u32::MAX)),
        }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.end();
    }
}

fn handles() -> ScanRequest {
    ScanRequest { client_handles_partials: Some(true), client_handles_heartbeats: Some(true), ..ScanRequest::default() }
}
