//! Bulk writes: a block of rows to the regions that have them.
//!
//! Rows stand in order, so one merge-walk over the region boundaries cuts the block into runs; a run is one slice of
//! the block's bytes and one RegionAction. What fails is sent again, as the same bytes, to wherever its rows are then;
//! what succeeded is not.
//!
//! # Laws
//! 1. `Ok` means that the server has acknowledged every mutation of the block under the asked durability.
//! 2. A mutation counts as done only if its own index stands in the answer without an exception.
//! 3. A row that is refused for good never takes its neighbours with it: a run that is refused as a whole with a class
//!    that one row can cause is cut in halves until the row is found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::Client;
use super::attempt::{Attempts, Pause, pause_after};
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::exception::Exception;
use crate::mutation::Durability;
use crate::row_block::RowBlock;
use crate::rpc::connection::CallError;
use crate::rpc::pool::Service;
use crate::table_name::TableName;
use crate::wire::message::{MultiResponse, RegionActionResult};
use crate::wire::multi::{self, RegionRows};
use crate::wire::{WireError, decode};

/// Actions of one Multi at most; servers warn above this (`hbase.rpc.rows.warning.threshold`) and may refuse.
const ACTIONS_MAX: usize = 5000;
/// Cell bytes of one Multi at most.
const CALL_BYTES_MAX: usize = 4 << 20;

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteReport {
    /// Mutations acknowledged.
    pub rows: u64,
    /// Multi calls sent.
    pub calls: u64,
    /// Mutations sent again.
    pub resent: u64,
}

/// Why a block was not written. Some of its rows may have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The server refuses some rows for good; all others are written.
    #[error("{} rows of table {table} are refused for good", rows.len())]
    Refused {
        /// The table.
        table: String,
        /// Indices into [`RowBlock::rows`].
        rows: Vec<usize>,
        /// The refusal of the first of them.
        #[source]
        exception: Exception,
    },
    /// Not all rows were written in time, or trying again is useless.
    #[error("write to table {table}")]
    Failed {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: Error,
    },
}

impl WriteError {
    /// Whether the same write may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. } => false,
            Self::Failed { source, .. } => source.is_transient(),
        }
    }
}

/// Rows of a block that stand together and go to one region.
#[derive(Clone, Debug)]
struct Run {
    rows: Range<usize>,
    region: Arc<Region>,
}

/// What became of a run.
#[derive(Debug, Default)]
struct Fates {
    done: u64,
    again: Vec<Range<usize>>,
    refused: Vec<usize>,
    first_refusal: Option<Exception>,
    pause: Option<Pause>,
    last: Option<Error>,
}

pub(super) async fn write(
    client: &Client,
    table: &TableName,
    block: &RowBlock,
    durability: Durability,
) -> Result<WriteReport, WriteError> {
    let failed = |source| WriteError::Failed { table: table.to_string(), source };
    let mut report = WriteReport::default();
    let mut attempts = Attempts::new(&client.inner().config);
    let mut refused: Vec<usize> = Vec::new();
    let mut refusal: Option<Exception> = None;
    let mut pieces: Vec<Range<usize>> = Vec::from_iter(whole(block));
    while !pieces.is_empty() {
        let runs = match route(client, table, block, &pieces).await {
            Ok(runs) => runs,
            Err(error) => {
                attempts.failed(error).await.map_err(failed)?;
                continue;
            }
        };
        let (calls, fates) =
            send(client, (table, block), runs, (durability, attempts.call_timeout(), attempts.tries())).await;
        report.calls += calls;
        report.rows += fates.done;
        refused.extend(fates.refused);
        refusal = refusal.or(fates.first_refusal);
        pieces = fates.again;
        pieces.sort_unstable_by_key(|piece| piece.start);
        report.resent += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if let Some(last) = fates.last.filter(|_| !pieces.is_empty()) {
            if is_no_road(&last) {
                return Err(failed(last));
            }
            attempts.wait(fates.pause.unwrap_or(Pause::None), last).await.map_err(failed)?;
        }
    }
    match refusal {
        None => Ok(report),
        Some(exception) => {
            refused.sort_unstable();
            Err(WriteError::Refused { table: table.to_string(), rows: refused, exception })
        }
    }
}

/// Whether no later connection to the server will do: it refuses us, lacks the codec, or takes no request that long.
fn is_no_road(error: &Error) -> bool {
    match error {
        Error::Connection(cause) => !cause.is_transient(),
        Error::Call(cause) => !cause.is_transient(),
        _ => false,
    }
}

/// The whole block as one piece; nothing if it is empty.
fn whole(block: &RowBlock) -> Option<Range<usize>> {
    let rows = 0..block.rows().len();
    (!rows.is_empty()).then_some(rows)
}

/// Cuts pieces at the region boundaries.
async fn route(
    client: &Client,
    table: &TableName,
    block: &RowBlock,
    pieces: &[Range<usize>],
) -> Result<Vec<Run>, Error> {
    let locator = &client.inner().locator;
    let rows = block.rows();
    let mut runs: Vec<Run> = Vec::new();
    for piece in pieces {
        let mut start = piece.start;
        while let Some(first) = rows.get(start..piece.end).and_then(|rest| rest.first()) {
            let key = block.key(first);
            let region = match locator.known(table, key) {
                Some(region) => region,
                None => locator.locate(table, key).await?,
            };
            let rest = rows.get(start..piece.end).unwrap_or_default();
            let count = if region.end.is_empty() {
                rest.len()
            } else {
                rest.partition_point(|row| block.key(row) < &region.end[..])
            };
            let end = start + count.max(1);
            runs.push(Run { rows: start..end, region });
            start = end;
        }
    }
    Ok(runs)
}

/// Sends all runs, one or more Multis for each server, all at once. Returns the number of calls and what became of them.
async fn send(
    client: &Client,
    (table, block): (&TableName, &RowBlock),
    runs: Vec<Run>,
    (durability, timeout, tries): (Durability, Duration, u32),
) -> (u64, Fates) {
    let mut fates = Fates::default();
    let mut calls = JoinSet::new();
    for runs in by_call(runs, block) {
        let (client, block) = (client.clone(), block.clone());
        calls.spawn(async move {
            let answer = multi(&client, &block, &runs, (durability, timeout)).await;
            (runs, answer)
        });
    }
    let count = calls.len() as u64;
    while let Some(done) = calls.join_next().await {
        // A call's task never panics and is not aborted while this waits for it.
        let Ok((runs, answer)) = done else { continue };
        match answer {
            Ok(response) => sort_out(client, table, (&runs, response), tries, &mut fates),
            Err(error) => {
                fates.call_failed(client, table, (&runs, error), tries);
            }
        }
    }
    (count, fates)
}

/// One list of runs for each Multi: by server, bounded in actions and bytes.
fn by_call(runs: Vec<Run>, block: &RowBlock) -> Vec<Vec<Run>> {
    let mut open: BTreeMap<String, (Vec<Run>, usize, usize)> = BTreeMap::new();
    let mut calls = Vec::new();
    for run in runs {
        for part in split(&run, block) {
            let (actions, bytes) = (part.rows.len(), run_bytes(block, &part).len());
            let entry = open.entry(part.region.server.clone()).or_default();
            if !entry.0.is_empty() && (entry.1 + actions > ACTIONS_MAX || entry.2 + bytes > CALL_BYTES_MAX) {
                calls.push(std::mem::take(entry).0);
            }
            entry.0.push(part);
            entry.1 += actions;
            entry.2 += bytes;
        }
    }
    calls.extend(open.into_values().map(|(runs, ..)| runs).filter(|runs| !runs.is_empty()));
    calls
}

/// A run that is too large for one Multi, in parts.
fn split(run: &Run, block: &RowBlock) -> Vec<Run> {
    let mut parts = Vec::new();
    let mut start = run.rows.start;
    let mut bytes = 0;
    for (at, row) in (run.rows.start..).zip(block.rows().get(run.rows.clone()).unwrap_or_default()) {
        let size = row.range().len();
        if at > start && (at - start >= ACTIONS_MAX || bytes + size > CALL_BYTES_MAX) {
            parts.push(Run { rows: start..at, region: Arc::clone(&run.region) });
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    parts.push(Run { rows: start..run.rows.end, region: Arc::clone(&run.region) });
    parts
}

/// The cells of a run: one slice of the block.
fn run_bytes(block: &RowBlock, run: &Run) -> Bytes {
    let rows = block.rows().get(run.rows.clone()).unwrap_or_default();
    match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => block.bytes().slice(first.range().start..last.range().end),
        _ => Bytes::new(),
    }
}

async fn multi(
    client: &Client,
    block: &RowBlock,
    runs: &[Run],
    (durability, timeout): (Durability, Duration),
) -> Result<MultiResponse, Error> {
    let server = runs.first().map(|run| run.region.server.as_str()).unwrap_or_default();
    let connection = client.inner().pool.get(server, Service::Client).await?;
    let cells: Vec<Bytes> = runs.iter().map(|run| run_bytes(block, run)).collect();
    let answer = connection.exchange("Multi", timeout, |header| {
        let regions: Vec<RegionRows<'_>> = runs
            .iter()
            .map(|run| RegionRows {
                region: &run.region.name,
                rows: block.rows().get(run.rows.clone()).unwrap_or_default(),
            })
            .collect();
        let length = cells.iter().map(Bytes::len).sum();
        let mut parts = Vec::with_capacity(1 + cells.len());
        parts.push(multi::request(header, &regions, durability, length));
        parts.extend(cells.iter().cloned());
        parts
    });
    Ok(decode("MultiResponse", answer.await?.message)?)
}

/// Matches the answer to the request: regions by position, actions by index.
fn sort_out(
    client: &Client,
    table: &TableName,
    (runs, response): (&[Run], MultiResponse),
    tries: u32,
    fates: &mut Fates,
) {
    let mut results = response.region_action_result.into_iter();
    for run in runs {
        match results.next() {
            Some(RegionActionResult { exception: Some(pair), .. }) => {
                fates.region_refused(client, table, run, (Exception::of_result(&pair), tries));
            }
            Some(result) => fates.actions(client, table, run, (result, tries)),
            None => fates.again(run.rows.clone(), Pause::Usual, missing("a region's result", run.rows.start)),
        }
    }
}

fn missing(what: &'static str, at: usize) -> Error {
    Error::Wire(WireError::Truncated { what, at })
}

impl Fates {
    fn again(&mut self, rows: Range<usize>, pause: Pause, last: Error) {
        self.again.push(rows);
        self.pause = Some(self.pause.map_or(pause, |before| before.max(pause)));
        self.last = Some(last);
    }

    fn refuse(&mut self, rows: impl Iterator<Item = usize>, exception: Exception) {
        self.refused.extend(rows);
        self.first_refusal.get_or_insert(exception);
    }

    /// The whole call failed: every run of it shares the fate.
    fn call_failed(&mut self, client: &Client, table: &TableName, (runs, error): (&[Run], Error), tries: u32) {
        for run in runs {
            if let Error::Call(CallError::Exception(exception)) = &error {
                self.region_refused(client, table, run, (exception.clone(), tries));
                continue;
            }
            client.note(table, &run.region, &error);
            let pause = if tries == 0 && !matches!(error, Error::Connection(_)) { Pause::None } else { Pause::Usual };
            self.again(run.rows.clone(), pause, error.clone());
        }
    }

    fn region_refused(&mut self, client: &Client, table: &TableName, run: &Run, (exception, tries): (Exception, u32)) {
        let error = Error::Call(CallError::Exception(exception.clone()));
        client.note(table, &run.region, &error);
        match pause_after(&exception, tries) {
            Some(pause) => self.again(run.rows.clone(), pause, error),
            None => self.refuse_or_halve(run, exception),
        }
    }

    /// One row can be the cause for all: its halves are sent on their own.
    fn refuse_or_halve(&mut self, run: &Run, exception: Exception) {
        let Range { start, end } = run.rows;
        if end - start <= 1 || !exception.may_be_copied_from_a_neighbour() {
            return self.refuse(start..end, exception);
        }
        let middle = start + (end - start) / 2;
        let error = Error::Call(CallError::Exception(exception));
        self.again(start..middle, Pause::None, error.clone());
        self.again(middle..end, Pause::None, error);
    }

    fn actions(&mut self, client: &Client, table: &TableName, run: &Run, (result, tries): (RegionActionResult, u32)) {
        let count = run.rows.len();
        let mut outcome: Vec<Option<Option<Exception>>> = vec![None; count];
        for action in result.result_or_exception {
            let place = action.index.and_then(|index| (index as usize).checked_sub(1));
            if let Some(slot) = place.and_then(|place| outcome.get_mut(place)) {
                *slot = Some(action.exception.as_ref().map(Exception::of_result));
            }
        }
        let final_refusals = outcome.iter().flatten().flatten().filter(|it| pause_after(it, tries).is_none()).count();
        if final_refusals == count
            && let Some(Some(Some(exception))) = outcome.first().cloned()
        {
            return self.refuse_or_halve(run, exception);
        }
        for (row, outcome) in run.rows.clone().zip(outcome) {
            match outcome {
                Some(None) => self.done += 1,
                Some(Some(exception)) => {
                    let one = Run { rows: row..row + 1, region: Arc::clone(&run.region) };
                    match pause_after(&exception, tries) {
                        Some(_) => self.region_refused(client, table, &one, (exception, tries)),
                        None => self.refuse(row..row + 1, exception),
                    }
                }
                None => self.again(row..row + 1, Pause::Usual, missing("an action's result", row)),
            }
        }
        self.join_neighbours();
    }

    /// Rows that are sent again and stand together go as one piece.
    fn join_neighbours(&mut self) {
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(self.again.len());
        for rows in self.again.drain(..) {
            match joined.last_mut() {
                Some(last) if last.end == rows.start && rows.len() == 1 => last.end = rows.end,
                _ => joined.push(rows),
            }
        }
        self.again = joined;
    }
}
