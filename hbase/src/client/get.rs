//! Reads of single rows, and of many at once.
//!
//! # Laws of [`Client::get_all`]
//! 1. Every get has one result, at its own place.
//! 2. A get is asked again only while it has no result of its own; the others' results stay.
//! 3. What did not fit into an answer (`MultiActionResultTooLarge`) is asked for again at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::attempt::{Attempts, Pause, pause_after};
use super::row_call::{about_row, misuse};
use super::{Client, scan_call};
use crate::cell::Cell;
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::exception::Exception;
use crate::misuse::Misuse;
use crate::rpc::connection::CallError;
use crate::rpc::pool::Service;
use crate::scan::{Get, region_specifier};
use crate::table_name::TableName;
use crate::wire::WireError;
use crate::wire::cell_block::CellReader;
use crate::wire::message::{
    ActionMessage, GetMessage, GetRequest, GetResponse, MultiRequest, MultiResponse, RegionAction, ResultMessage,
};

/// Gets of one Multi at most; servers warn above 5000 (`hbase.rpc.rows.warning.threshold`).
const GETS_MAX: usize = 1000;

impl Client {
    /// Cells of one row, in order; empty if there are none. Cancel safe.
    ///
    /// # Errors
    /// [`Error`], after the operation's time or at once if trying again is useless.
    pub async fn get(&self, table: &TableName, get: &Get) -> Result<Vec<Cell>, Error> {
        let (result, block) = self.call_get(table, get, get.message()).await?;
        let mut reader = CellReader::new(block);
        let mut cells = Vec::new();
        while let Some(cell) = reader.next_cell()? {
            cells.push(cell);
        }
        for cell in result.cell {
            cells.push(scan_call::cell_of(cell)?);
        }
        Ok(cells)
    }

    /// Whether a get would find anything; no cell travels. Cancel safe.
    ///
    /// # Errors
    /// [`Error`], as [`Client::get`].
    pub async fn exists(&self, table: &TableName, get: &Get) -> Result<bool, Error> {
        let message = GetMessage { existence_only: Some(true), ..get.message() };
        Ok(self.call_get(table, get, message).await?.0.exists == Some(true))
    }

    async fn call_get(
        &self,
        table: &TableName,
        get: &Get,
        message: GetMessage,
    ) -> Result<(ResultMessage, Bytes), Error> {
        get.check().map_err(misuse(table, &get.row))?;
        let message = &message;
        self.on_row(table, &get.row, |region, timeout| async move {
            let connection = self.inner().pool.get(&region.server, Service::Client).await?;
            let request = GetRequest { region: region_specifier(&region.name), get: message.clone() };
            let (answer, block): (GetResponse, _) = connection.call(("Get", "GetResponse"), &request, timeout).await?;
            Ok((answer.result.unwrap_or_default(), block))
        })
        .await
    }

    /// Many gets at once, in as few calls as their regions allow; the results stand at the gets' places.
    ///
    /// All answers are in memory at once: the caller bounds the number of gets. Cancel safe.
    pub async fn get_all(&self, table: &TableName, gets: &[Get]) -> Vec<Result<Vec<Cell>, Error>> {
        let mut batch = Batch::new(self, table, gets);
        let mut attempts = Attempts::new(&self.inner().config);
        while !batch.pending.is_empty() {
            let calls = batch.route().await;
            let timeout = attempts.call_timeout();
            let mut running = JoinSet::new();
            for call in calls {
                let client = self.clone();
                running.spawn(async move {
                    let answer = client.multi_get(&call, timeout).await;
                    (call, answer)
                });
            }
            while let Some(done) = running.join_next().await {
                // A call's task never panics and is not aborted while this waits for it.
                let Ok((call, answer)) = done else { continue };
                match answer {
                    Ok((response, block)) => batch.sort_out(&call, response, block, attempts.tries()),
                    Err(error) => batch.call_failed(&call, &error, attempts.tries()),
                }
            }
            let (pause, last) = batch.next_round();
            if let Some(last) = last
                && let Err(error) = attempts.wait(pause, last).await
            {
                batch.give_up(&error);
            }
        }
        batch.results()
    }

    async fn multi_get(&self, call: &Call, timeout: Duration) -> Result<(MultiResponse, Bytes), Error> {
        let connection = self.inner().pool.get(&call.server, Service::Client).await?;
        let region_action = call.regions.iter().map(|(region, gets)| RegionAction {
            region: region_specifier(&region.name),
            action: gets.iter().map(|(index, get)| action(*index, get)).collect(),
            ..RegionAction::default()
        });
        let request = MultiRequest { region_action: region_action.collect(), ..MultiRequest::default() };
        Ok(connection.call(("Multi", "MultiResponse"), &request, timeout).await?)
    }
}

/// Numbered from 1, so that a missing number is noticed.
fn action(index: usize, get: &Get) -> ActionMessage {
    ActionMessage { index: Some(index as u32 + 1), get: Some(get.message()), ..ActionMessage::default() }
}

/// A get and its place in the batch.
type Placed = (usize, Get);

/// Gets that go to one server in one Multi, with their places in the batch.
#[derive(Debug)]
struct Call {
    server: String,
    regions: Vec<(Arc<Region>, Vec<Placed>)>,
}

/// Gets under way.
struct Batch<'a> {
    client: &'a Client,
    table: &'a TableName,
    gets: &'a [Get],
    done: Vec<Option<Result<Vec<Cell>, Error>>>,
    pending: Vec<usize>,
    again: Vec<usize>,
    pause: Option<Pause>,
    last: Option<Error>,
}

impl<'a> Batch<'a> {
    fn new(client: &'a Client, table: &'a TableName, gets: &'a [Get]) -> Self {
        let mut done: Vec<Option<Result<Vec<Cell>, Error>>> = Vec::with_capacity(gets.len());
        for get in gets {
            done.push(get.check().err().map(|wrong: Misuse| Err(misuse(table, &get.row)(wrong))));
        }
        let mut pending: Vec<usize> =
            done.iter().enumerate().filter(|(_, done)| done.is_none()).map(|(place, _)| place).collect();
        // In the order of their rows neighbours share a region.
        pending.sort_by_key(|place| gets.get(*place).map(|get| &get.row));
        Self { client, table, gets, done, pending, again: Vec::new(), pause: None, last: None }
    }

    /// Sorts what is pending by server and region; what has no region is pending again.
    async fn route(&mut self) -> Vec<Call> {
        let mut open: BTreeMap<String, (Call, usize)> = BTreeMap::new();
        let mut calls = Vec::new();
        for place in std::mem::take(&mut self.pending) {
            let Some(get) = self.gets.get(place) else { continue };
            let region = match self.client.inner().locator.locate(self.table, &get.row).await {
                Ok(region) => region,
                Err(error) if error.is_transient() => {
                    self.retry(place, Pause::Usual, error);
                    continue;
                }
                Err(error) => {
                    self.finish(place, Err(error));
                    continue;
                }
            };
            let server = region.server.clone();
            let new = || (Call { server: server.clone(), regions: Vec::new() }, 0);
            let (call, count) = open.entry(server.clone()).or_insert_with(new);
            match call.regions.last_mut() {
                Some((last, gets)) if last.name == region.name => gets.push((place, get.clone())),
                _ => call.regions.push((region, vec![(place, get.clone())])),
            }
            *count += 1;
            if *count >= GETS_MAX
                && let Some((full, _)) = open.remove(&server)
            {
                calls.push(full);
            }
        }
        calls.extend(open.into_values().map(|(call, _)| call));
        calls
    }

    fn finish(&mut self, place: usize, result: Result<Vec<Cell>, Error>) {
        if let Some(slot) = self.done.get_mut(place) {
            *slot = Some(result);
        }
    }

    fn retry(&mut self, place: usize, pause: Pause, last: Error) {
        self.again.push(place);
        self.pause = Some(self.pause.map_or(pause, |before| before.max(pause)));
        self.last = Some(last);
    }

    fn refused(&mut self, (region, place, row): (&Region, usize, &Bytes), exception: Exception, tries: u32) {
        let pause = pause_after(&exception, tries);
        let error = Error::Call(CallError::Exception(exception));
        self.client.note(self.table, region, &error);
        match pause {
            Some(pause) => self.retry(place, pause, error),
            None => self.finish(place, Err(about_row(self.table, region, row, error))),
        }
    }

    fn call_failed(&mut self, call: &Call, error: &Error, tries: u32) {
        for (region, gets) in &call.regions {
            for (place, get) in gets {
                match error {
                    Error::Call(CallError::Exception(exception)) => {
                        self.refused((region, *place, &get.row), exception.clone(), tries);
                    }
                    error if error.is_transient() => {
                        self.client.note(self.table, region, error);
                        self.retry(*place, Pause::Usual, error.clone());
                    }
                    error => self.finish(*place, Err(error.clone())),
                }
            }
        }
    }

    /// Matches an answer to its request: regions by position, gets by number; cells stand in the order of the results.
    fn sort_out(&mut self, call: &Call, response: MultiResponse, block: Bytes, tries: u32) {
        let mut reader = CellReader::new(block);
        let mut results = response.region_action_result.into_iter();
        for (region, gets) in &call.regions {
            let result = results.next().unwrap_or_default();
            let region_refusal = result.exception.as_ref().map(Exception::of_result);
            let mut outcomes: BTreeMap<usize, Result<Vec<Cell>, Exception>> = BTreeMap::new();
            for action in result.result_or_exception {
                let Some(place) = action.index.and_then(|index| (index as usize).checked_sub(1)) else { continue };
                let outcome = match &action.exception {
                    Some(pair) => Err(Exception::of_result(pair)),
                    None => match cells_of(action.result.unwrap_or_default(), &mut reader) {
                        Ok(cells) => Ok(cells),
                        Err(error) => return self.call_failed(call, &Error::Wire(error), tries),
                    },
                };
                outcomes.insert(place, outcome);
            }
            for (place, get) in gets {
                match (outcomes.remove(place), &region_refusal) {
                    (Some(Ok(cells)), _) => self.finish(*place, Ok(cells)),
                    (Some(Err(exception)), _) => self.refused((region, *place, &get.row), exception, tries),
                    (None, Some(exception)) => self.refused((region, *place, &get.row), exception.clone(), tries),
                    (None, None) => {
                        let missing = WireError::Truncated { what: "a get's result", at: *place };
                        self.retry(*place, Pause::Usual, Error::Wire(missing));
                    }
                }
            }
        }
    }

    /// What is pending next, after which pause, and why.
    fn next_round(&mut self) -> (Pause, Option<Error>) {
        self.pending = std::mem::take(&mut self.again);
        self.pending.sort_by_key(|place| self.gets.get(*place).map(|get| &get.row));
        (self.pause.take().unwrap_or(Pause::None), self.last.take())
    }

    fn give_up(&mut self, error: &Error) {
        for place in std::mem::take(&mut self.pending) {
            self.finish(place, Err(error.clone()));
        }
    }

    fn results(self) -> Vec<Result<Vec<Cell>, Error>> {
        // Nothing is pending, so every place has its result.
        self.done.into_iter().map(|done| done.unwrap_or(Ok(Vec::new()))).collect()
    }
}

/// The cells of one result: from the cell block as many as it counts, or those in the message.
pub(super) fn cells_of(result: ResultMessage, reader: &mut CellReader) -> Result<Vec<Cell>, WireError> {
    let count = usize::try_from(result.associated_cell_count.unwrap_or(0)).unwrap_or(0);
    // The count is the server's word; memory follows the cells that are really there.
    let mut cells = Vec::with_capacity(count.min(1024));
    for at in 0..count {
        cells.push(reader.next_cell()?.ok_or(WireError::Truncated { what: "the cells of a result", at })?);
    }
    for cell in result.cell {
        cells.push(scan_call::cell_of(cell)?);
    }
    Ok(cells)
}
