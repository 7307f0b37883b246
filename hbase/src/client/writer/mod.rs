//! Bulk writes: blocks of rows to the regions that have them, few large calls instead of many small ones.
//!
//! ```text
//! write / submit ─▶ lanes by key range ─▶ servers (window) ─▶ Multi ─▶ verdicts ─▶ tickets ─▶ callers
//!                     ▲      one batch in flight a region        │
//!                     └────────── what failed, at its head ◀─────┘
//! ```
//!
//! # Design
//! - **Lanes.** Rows stand in order in their block, so one merge-walk cuts it into runs; a run is one slice of the block's
//!   bytes. A run joins the *lane* of its key range. A server runs the regions of one Multi one after the other, with one
//!   sync each, so what counts is rows per region and call: a lane has one batch in flight, and what comes meanwhile makes
//!   the next one larger. That also keeps the order of each row: what failed comes back to the front of its lane.
//! - **Servers.** Each has a window of Multis that grows and shrinks with what the server shows (`window`). A call takes
//!   lanes with many rows first; lanes with few wait for a few milliseconds, unless the server is idle. Calls to one server
//!   have different regions, so its handlers work side by side.
//! - **Credits** (`credits`) bound what the writer holds on its own account. No server and no lane can take them all.
//! - **Trouble.** An overloaded server pauses as a whole, a busy region alone; a throttled one waits for the time that it
//!   was told; load statistics pause a region before it refuses. A region that moved takes its lane along, one that was
//!   split dissolves it into new lanes, with the bytes as they are.
//! - **Cost.** All decisions are one pure state (`state`) behind one lock, asked once for each block and once for each
//!   answer, never for a row. There is one task for each call in flight, and one for time.
//!
//! # Laws
//! 1. `Ok` means that the server has acknowledged every mutation of the block under the asked durability.
//! 2. A mutation counts as done only if its own index stands in the answer without an exception.
//! 3. A row that is refused for good never takes its neighbours with it: a batch that is refused as a whole with a class
//!    that one row can cause is cut in halves until the row is found. What is acknowledged is not sent again. A refusal
//!    that concerns all rows ends after a number of calls that grows with the logarithm of the batch.
//! 4. Two mutations of one row reach the server in the order in which they were given to this client, whatever fails,
//!    moves or splits; when the earlier one of a batch fails alone, the later one is sent again behind it.
//! 5. A dropped write is forgotten: what waits is taken out, what flies is not sent again, and all credits come back.

mod config;
mod credits;
mod debug;
mod lane;
mod pushback;
mod report;
mod server;
mod settle;
mod slice;
mod state;
mod ticket;
mod verdict;
mod window;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::config::WriterConfig;
pub use self::debug::{DebugState, LaneDebug, ServerDebug};
pub use self::report::{WriteError, WriteReport};

pub(crate) use self::server::Server;
pub(crate) use self::settle::Settled;
use self::state::{Call, Order, State};
use self::ticket::{Holder, Outcome, Terms, Waiters};
use self::verdict::{Judged, Scope, Verdict, judge};
use super::{Client, ClientConfig, Inner};
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::metrics;
use crate::mutation::Durability;
use crate::row_block::RowBlock;
use crate::rpc::connection::{CallError, ConnectionError};
use crate::rpc::pool::Service;
use crate::table_name::TableName;
use crate::wire::multi::{self, RegionParts};

/// The writer of one client.
#[derive(Debug)]
pub(crate) struct Writer {
    state: Mutex<State>,
    began: Instant,
    /// Rung when something is to be done earlier than the clock's task expects.
    bell: Arc<Notify>,
    clock: Mutex<Clock>,
}

/// The task that wakes the state up.
#[derive(Debug, Default)]
struct Clock {
    task: Option<JoinHandle<()>>,
    /// When it wakes up by itself.
    wakes_at: Option<Duration>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let clock = self.clock.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = clock.task.take() {
            task.abort();
        }
    }
}

impl Writer {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self {
            state: Mutex::new(State::new(config.writer, config.rpc_timeout, config.backoff)),
            began: Instant::now(),
            bell: Arc::default(),
            clock: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What the writer is doing, lane by lane.
    pub(crate) fn debug_state(&self) -> DebugState {
        self.state().debug(self.now())
    }
}

/// A write whose rows are on their way. It ends with the last of them.
///
/// Dropping it forgets the write: rows that wait are taken out, rows in flight may or may not be written.
#[derive(Debug)]
#[must_use = "a write that nobody waits for is forgotten"]
pub struct Pending {
    inner: Arc<Inner>,
    ticket: u64,
    done: oneshot::Receiver<Outcome>,
    is_done: bool,
}

impl Future for Pending {
    type Output = Result<WriteReport, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.done).poll(context));
        self.is_done = true;
        // The state keeps the sender until it has told the outcome.
        Poll::Ready(outcome.expect("a write is told its outcome before it is forgotten"))
    }
}

impl Pending {
    /// Rows of the write that wait or are in flight.
    #[must_use]
    pub fn rows_left(&self) -> usize {
        self.inner.writer.state().tickets.get(&self.ticket).map_or(0, |ticket| ticket.left)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_done {
            let writer = &self.inner.writer;
            let now = writer.now();
            writer.state().withdraw(self.ticket, now);
        }
    }
}

/// Writes a block and waits for the end. The caller keeps the block.
pub(super) async fn write(
    client: &Client,
    (table, block): (&TableName, &RowBlock),
    durability: Durability,
) -> Result<WriteReport, WriteError> {
    check(client, table, block)?;
    let (pending, _) = begin(client, (table, block), durability, Holder::Caller);
    pending.await
}

/// Hands a block over and waits until the writer has credits for it.
pub(super) async fn submit(
    client: &Client,
    (table, block): (&TableName, &RowBlock),
    durability: Durability,
) -> Result<Pending, WriteError> {
    check(client, table, block)?;
    let (pending, admitted) = begin(client, (table, block), durability, Holder::Writer);
    // A write that ended in the meantime needs no credits.
    let _ = admitted.await;
    Ok(pending)
}

/// What the server would refuse anyway is refused before anything is sent.
fn check(client: &Client, table: &TableName, block: &RowBlock) -> Result<(), WriteError> {
    let limit = client.inner().config.writer.cell_bytes_max;
    match block.cell_above(limit).filter(|_| limit > 0) {
        None => Ok(()),
        Some(place) => Err(WriteError::CellTooLarge {
            table: table.to_string(),
            row: place.row,
            key: place.key.escape_ascii().to_string(),
            column: place.column,
            bytes: place.bytes,
            limit,
        }),
    }
}

fn begin(
    client: &Client,
    (table, block): (&TableName, &RowBlock),
    durability: Durability,
    holder: Holder,
) -> (Pending, oneshot::Receiver<()>) {
    let writer = &client.inner().writer;
    let (done_sender, done) = oneshot::channel();
    let (admitted_sender, admitted) = oneshot::channel();
    let waiters = Waiters { admitted: admitted_sender, done: done_sender };
    let now = writer.now();
    let deadline = now + client.inner().config.operation_timeout;
    let terms = Terms { durability, began: now, deadline, holder };
    let (ticket, orders) = {
        let mut state = writer.state();
        let ticket = state.push((table, block), (terms, waiters), (now, &known(client)));
        (ticket, state.orders(now))
    };
    carry_out(client, orders);
    (Pending { inner: Arc::clone(&client.inner), ticket, done, is_done: false }, admitted)
}

fn known(client: &Client) -> impl Fn(&TableName, &[u8]) -> Option<Arc<Region>> + '_ {
    |table, row| client.inner().locator.known(table, row)
}

/// Starts what the state asks for: a task for each call and each look-up.
fn carry_out(client: &Client, orders: Vec<Order>) {
    // All of them are guarded before the first one starts: what cannot be started tells so.
    let (mut flights, mut look_ups) = (Vec::new(), Vec::new());
    for order in orders {
        match order {
            Order::Call(call) => flights.push(Flight { client: client.clone(), call: Some(call) }),
            Order::Locate(lane, table, row) => {
                look_ups.push((LookUp { client: client.clone(), lane: Some(lane) }, table, row));
            }
        }
    }
    for flight in flights {
        tokio::spawn(flight.run());
    }
    for (look_up, table, row) in look_ups {
        tokio::spawn(look_up.run(table, row));
    }
    keep_time(client);
}

/// Sees to it that the state is woken when it wants to be.
fn keep_time(client: &Client) {
    let writer = &client.inner().writer;
    let Some(at) = writer.state().next_wake() else { return };
    let mut clock = writer.clock.lock().unwrap_or_else(PoisonError::into_inner);
    // The runtime that a clock ran on may be gone while the client lives on.
    if clock.task.as_ref().is_none_or(JoinHandle::is_finished) {
        clock.wakes_at = None;
        clock.task = Some(tokio::spawn(tick(Arc::downgrade(&client.inner), Arc::clone(&writer.bell))));
    } else if clock.wakes_at.is_some_and(|wakes_at| wakes_at <= at) {
        return;
    }
    clock.wakes_at = Some(at);
    writer.bell.notify_one();
}

/// Wakes the state whenever its time has come. Ends with the client.
async fn tick(inner: Weak<Inner>, bell: Arc<Notify>) {
    loop {
        let Some(client) = inner.upgrade().map(|inner| Client { inner }) else { return };
        let writer = &client.inner().writer;
        let now = writer.now();
        let orders = {
            let mut state = writer.state();
            state.wake(now);
            state.orders(now)
        };
        if !orders.is_empty() {
            carry_out(&client, orders);
        }
        let next = writer.state().next_wake();
        writer.clock.lock().unwrap_or_else(PoisonError::into_inner).wakes_at = next;
        let at = next.map(|next| writer.began + next);
        drop(client);
        match at {
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = bell.notified() => {}
                }
            }
            None => bell.notified().await,
        }
    }
}

/// A call in flight. However its task ends, the state learns of it: lanes and credits are never lost.
struct Flight {
    client: Client,
    call: Option<Call>,
}

impl Flight {
    async fn run(mut self) {
        while let Some(call) = &self.call {
            let began = Instant::now();
            let answer = multi(&self.client, call).await;
            metrics::writer_call(&call.address, (began.elapsed(), call.bytes, answer.is_ok()));
            let judged = judge(&call.batches, answer);
            self.settle(judged);
            let writer = &self.client.inner().writer;
            let mut orders = writer.state().orders(writer.now());
            // This task goes on with a call; what is beside it gets tasks of its own.
            if let Some(Order::Call(_)) = orders.last()
                && let Some(Order::Call(call)) = orders.pop()
            {
                self.call = Some(call);
            }
            carry_out(&self.client, orders);
        }
    }

    fn settle(&mut self, (verdicts, loads): Judged) {
        let Some(call) = self.call.take() else { return };
        let client = &self.client;
        let writer = &client.inner().writer;
        for (batch, verdict) in call.batches.iter().zip(&verdicts) {
            let note = |error| {
                let table = writer.state().table(batch.lane.table).name.clone();
                client.note(&table, &batch.region, error);
            };
            match verdict {
                Verdict::Done => {}
                Verdict::Failed(error, _) => note(error),
                Verdict::Rows(rows) => rows.iter().for_each(|(_, error)| note(error)),
            }
        }
        let now = writer.now();
        let (server, address) = (call.server, call.address.clone());
        let mut state = writer.state();
        let settled = state.settle(call, (verdicts, loads), (now, &known(client)));
        let gauges = metrics::WriterGauges::of(state.server(server));
        let credits = state.credits.used();
        drop(state);
        metrics::writer_settled(&address, &settled, gauges);
        metrics::writer_credits(credits);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(call) = &self.call else { return };
        let verdicts = call.batches.iter().map(|_| Verdict::Failed(lost(), Scope::Call)).collect();
        self.settle((verdicts, Vec::new()));
        // What follows is for a task that lives.
        self.client.inner().writer.bell.notify_one();
    }
}

/// The end of a task that was stopped from outside, with its runtime.
fn lost() -> Error {
    Error::Call(CallError::Connection(Arc::new(ConnectionError::Closed)))
}

async fn multi(client: &Client, call: &Call) -> Result<Bytes, Error> {
    let connection = client.inner().pool.get(&call.address, Service::Client).await?;
    let answer = connection.exchange("Multi", call.timeout, |header| {
        let mut parts = vec![Bytes::new()];
        let mut regions = Vec::with_capacity(call.batches.len());
        for batch in &call.batches {
            let durability = batch.slices.first().map(|slice| slice.durability).unwrap_or_default();
            let rows = batch.slices.iter().map(|slice| slice.rows()).collect();
            regions.push(RegionParts { region: &batch.region.name, durability, parts: rows });
            parts.extend(batch.slices.iter().map(|slice| slice.cells()));
        }
        if let Some(first) = parts.first_mut() {
            *first = multi::request_of_parts(header, &regions, call.bytes);
        }
        parts
    });
    Ok(answer.await?.message)
}

/// A look-up in flight; as [`Flight`], it always tells its end.
struct LookUp {
    client: Client,
    lane: Option<lane::LaneKey>,
}

impl LookUp {
    async fn run(mut self, table: TableName, row: Bytes) {
        let located = self.client.inner().locator.locate(&table, &row).await.map(drop);
        self.tell(located);
        let writer = &self.client.inner().writer;
        let orders = writer.state().orders(writer.now());
        carry_out(&self.client, orders);
    }

    fn tell(&mut self, located: Result<(), Error>) {
        let Some(lane) = self.lane.take() else { return };
        let writer = &self.client.inner().writer;
        writer.state().located(&lane, located, (writer.now(), &known(&self.client)));
    }
}

impl Drop for LookUp {
    fn drop(&mut self) {
        if self.lane.is_some() {
            self.tell(Err(lost()));
            self.client.inner().writer.bell.notify_one();
        }
    }
}
