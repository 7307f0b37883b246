//! All that the writer of one cluster knows: lanes by key range, servers, writes, credits. Pure: time comes in as an
//! argument, calls go out as orders.
//!
//! # Laws
//! 1. The lanes of a table never overlap, so all rows with one key wait in one lane, in the order in which they came.
//!    A lane lives only as long as it has something to do; its range is a part of its region's.
//! 2. One batch of a region is in flight at most, even while two lanes have the same region (after a merge).
//! 3. A region that moved changes its lane's home; one that was split or merged dissolves its lanes into new ones, with
//!    nothing in flight, every row in its order, as the same bytes.
//! 4. What a server holds on the writer's account is the sum over its lanes, always.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::config::{CALL_ACTIONS_MAX, CALL_BYTES_MAX, CALL_BYTES_MIN, WriterConfig};
use super::credits::Credits;
use super::lane::{Batch, Home, Lane, LaneKey, Place};
use super::server::{Server, ServerId};
use super::slice::{Slice, TicketId};
use super::ticket::{Holder, Terms, Ticket, Waiters};
use crate::client::retry::Backoff;
use crate::cluster::meta::Region;
use crate::error::Error;
use crate::row_block::RowBlock;
use crate::table_name::TableName;

/// Look-ups of one table at once.
const LOOKUPS_MAX: usize = 8;
/// Rows that join a lane which has not moved for this long are copied out of their block if nobody else keeps it: a
/// lane that waits must not keep the rows of all others in memory.
const STALLED: Duration = Duration::from_millis(100);

/// The region that is known to have a row.
pub(super) type Known<'a> = &'a dyn Fn(&TableName, &[u8]) -> Option<Arc<Region>>;

/// What the state asks for.
#[derive(Debug)]
pub(super) enum Order {
    /// Send a Multi; the answer goes to [`State::settle`].
    Call(Call),
    /// Look a row up; the answer goes to [`State::located`].
    Locate(LaneKey, TableName, Bytes),
}

/// A Multi.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) server: ServerId,
    pub(super) address: String,
    pub(super) batches: Vec<Batch>,
    pub(super) bytes: usize,
    pub(super) sent_at: Duration,
    pub(super) timeout: Duration,
    /// Whether no other call could begin beside it.
    pub(super) was_full: bool,
}

/// What is to be looked at later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    Ticket(TicketId),
    Lane(LaneKey),
    Server(ServerId),
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: TableName,
    pub(super) lanes: BTreeMap<Bytes, Lane>,
    pub(super) lookups: usize,
}

/// The state. Times are since the writer began.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: WriterConfig,
    pub(super) rpc_timeout: Duration,
    pub(super) backoff: Backoff,
    pub(super) credits: Credits,
    pub(super) tables: Vec<Table>,
    table_places: FxHashMap<TableName, usize>,
    pub(super) servers: Vec<Server>,
    server_places: FxHashMap<String, ServerId>,
    pub(super) tickets: FxHashMap<TicketId, Ticket>,
    /// Regions with a batch in flight, by name.
    pub(super) regions_in_flight: FxHashSet<Bytes>,
    /// Lanes with rows that want credits, first come first served.
    thirsty: VecDeque<LaneKey>,
    homeless: BTreeSet<LaneKey>,
    touched: Vec<ServerId>,
    agenda: BTreeSet<(Duration, Wake)>,
    last_ticket: TicketId,
    calls: u64,
}

impl State {
    pub(super) fn new(config: WriterConfig, rpc_timeout: Duration, backoff: Backoff) -> Self {
        Self {
            credits: Credits::new(config.credit_bytes),
            config,
            rpc_timeout,
            backoff,
            tables: Vec::new(),
            table_places: FxHashMap::default(),
            servers: Vec::new(),
            server_places: FxHashMap::default(),
            tickets: FxHashMap::default(),
            regions_in_flight: FxHashSet::default(),
            thirsty: VecDeque::new(),
            homeless: BTreeSet::new(),
            touched: Vec::new(),
            agenda: BTreeSet::new(),
            last_ticket: 0,
            calls: 0,
        }
    }

    pub(super) fn server(&mut self, id: ServerId) -> &mut Server {
        self.servers.get_mut(id.0).expect("servers are never taken out of the list")
    }

    pub(super) fn table(&mut self, place: usize) -> &mut Table {
        self.tables.get_mut(place).expect("tables are never taken out of the list")
    }

    pub(super) fn lane(&mut self, key: &LaneKey) -> Option<&mut Lane> {
        self.table(key.table).lanes.get_mut(&key.start)
    }

    /// Takes the rows of a write in. It is done when its waiter is told.
    pub(super) fn push(
        &mut self,
        (table, block): (&TableName, &RowBlock),
        (terms, waiters): (Terms, Waiters),
        (now, known): (Duration, Known<'_>),
    ) -> TicketId {
        self.last_ticket += 1;
        let id = self.last_ticket;
        let sizes = (block.rows().len(), block.bytes().len());
        self.tickets.insert(id, Ticket::new(table.clone(), sizes, terms, waiters));
        self.wake_at(terms.deadline, Wake::Ticket(id));
        let place = self.table_place(table);
        let mut rest = Slice::whole(block.clone(), id, terms.durability);
        while let Some(slice) = rest.as_mut().filter(|slice| slice.len() > 0) {
            let (key, end) = self.lane_of(place, slice.first_key(), (now, known));
            let Some(run) = slice.take(slice.rows_before(&end).max(1)) else { break };
            self.join(&key, run, (now, terms.holder));
        }
        self.settle_empty(id);
        id
    }

    /// A write without rows is done at once.
    fn settle_empty(&mut self, id: TicketId) {
        if let Some(ticket) = self.tickets.get_mut(&id)
            && ticket.left == 0
        {
            ticket.credited(0);
            self.finish_if_settled(id);
        }
    }

    fn table_place(&mut self, table: &TableName) -> usize {
        if let Some(place) = self.table_places.get(table) {
            return *place;
        }
        self.tables.push(Table { name: table.clone(), lanes: BTreeMap::new(), lookups: 0 });
        self.table_places.insert(table.clone(), self.tables.len() - 1);
        self.tables.len() - 1
    }

    pub(super) fn server_place(&mut self, address: &str) -> ServerId {
        if let Some(id) = self.server_places.get(address) {
            return *id;
        }
        let id = ServerId(self.servers.len());
        self.servers.push(Server::new(address, self.config.calls_per_server_max));
        self.server_places.insert(address.to_owned(), id);
        id
    }

    /// The lane that has a row, made if there is none, and where its range ends.
    fn lane_of(&mut self, table: usize, row: &[u8], (now, known): (Duration, Known<'_>)) -> (LaneKey, Bytes) {
        let lanes = &self.table(table).lanes;
        let before = lanes.range::<[u8], _>((Bound::Unbounded, Bound::Included(row))).next_back();
        if let Some((start, lane)) = before
            && is_before(row, &lane.end)
        {
            return (LaneKey { table, start: start.clone() }, lane.end.clone());
        }
        let after = before.map(|(_, lane)| lane.end.clone()).unwrap_or_default();
        let next = lanes.range::<[u8], _>((Bound::Excluded(row), Bound::Unbounded)).next();
        let next = next.map(|(start, _)| start.clone()).unwrap_or_default();
        let name = self.table(table).name.clone();
        let (start, end, home) = match known(&name, row) {
            Some(region) => {
                let server = self.server_place(&region.server);
                let start = region.start.clone().max(after);
                (start, nearer_end(&region.end, &next), Some(Home { region, server }))
            }
            None => (Bytes::copy_from_slice(row), next, None),
        };
        let key = LaneKey { table, start };
        if home.is_none() {
            self.homeless.insert(key.clone());
        }
        let mut lane = Lane::new(end.clone(), now);
        lane.home = home;
        self.table(table).lanes.insert(key.start.clone(), lane);
        (key, end)
    }

    /// Puts rows at the end of a lane and asks for their credits.
    fn join(&mut self, key: &LaneKey, mut run: Slice, (now, holder): (Duration, Holder)) {
        let Some(lane) = self.lane(key) else { return };
        if holder == Holder::Writer && lane.is_stalled(now, STALLED) {
            run = run.detached();
        }
        let (was_thirsty, of_lane) = (lane.is_thirsty, lane.credited);
        let of_server = lane.home.as_ref().map(|home| home.server).map_or(0, |server| self.server(server).credited);
        let bytes = run.bytes();
        // Nobody overtakes those who wait for credits already.
        run.is_credited = !was_thirsty && self.credits.take(bytes, (of_lane, of_server));
        let is_credited = run.is_credited;
        if is_credited && let Some(ticket) = self.tickets.get_mut(&run.ticket) {
            ticket.credited(bytes);
        }
        self.change(key, |lane| {
            lane.push_back(run, now);
            lane.is_thirsty |= !is_credited;
        });
        if !is_credited && !was_thirsty {
            self.thirsty.push_back(key.clone());
        }
        self.place(key, now);
    }

    /// Changes a lane and keeps its server's sums.
    pub(super) fn change<R>(&mut self, key: &LaneKey, change: impl FnOnce(&mut Lane) -> R) -> Option<R> {
        let lane = self.lane(key)?;
        let sums = |lane: &Lane| (lane.home.as_ref().map(|home| home.server), lane.bytes, lane.credited);
        let before = sums(lane);
        let result = change(lane);
        let after = sums(lane);
        if let (Some(server), bytes, credited) = before {
            let server = self.server(server);
            server.queued -= bytes;
            server.credited -= credited;
        }
        if let (Some(server), bytes, credited) = after {
            let server = self.server(server);
            server.queued += bytes;
            server.credited += credited;
        }
        Some(result)
    }

    /// Tells the lane's server what it has to send; looks for its home; or lets it go.
    pub(super) fn place(&mut self, key: &LaneKey, now: Duration) {
        let linger = self.config.linger;
        let table = self.tables.get_mut(key.table);
        let Some(lane) = table.and_then(|table| table.lanes.get_mut(&key.start)) else { return };
        if lane.is_idle(now) {
            self.take_lane(key);
            return;
        }
        if lane.is_in_flight || lane.is_locating || lane.place == Place::Ripe {
            return;
        }
        if lane.not_before > now {
            lane.place = Place::Nowhere;
            let at = lane.not_before;
            self.wake_at(at, Wake::Lane(key.clone()));
            return;
        }
        let Some(home) = lane.home.as_ref() else {
            self.homeless.insert(key.clone());
            return;
        };
        let (id, is_busy) = (home.server, self.regions_in_flight.contains(&home.region.name));
        if lane.is_empty() || is_busy {
            return;
        }
        let is_ripe = lane.is_ripe(now, linger);
        let ripe_at = lane.since + linger;
        let was_nowhere = lane.place == Place::Nowhere;
        lane.place = if is_ripe { Place::Ripe } else { Place::Unripe };
        let server = self.server(id);
        if is_ripe {
            server.ripe.push_back(key.clone());
        } else if was_nowhere {
            server.unripe.push_back((ripe_at, key.clone()));
            self.wake_at(ripe_at, Wake::Server(id));
        }
        self.touch(id);
    }

    /// Takes a lane out of its table, and its sums off its server.
    pub(super) fn take_lane(&mut self, key: &LaneKey) -> Option<Lane> {
        self.homeless.remove(key);
        self.change(key, |lane| lane.home = None);
        self.table(key.table).lanes.remove(&key.start)
    }

    /// Puts a lane on the list of those that want credits, if it has rows without.
    pub(super) fn want_credits(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lane(key)
            && lane.first_uncredited().is_some()
            && !std::mem::replace(&mut lane.is_thirsty, true)
        {
            self.thirsty.push_back(key.clone());
        }
    }

    pub(super) fn touch(&mut self, id: ServerId) {
        let server = self.server(id);
        if !server.is_touched {
            server.is_touched = true;
            self.touched.push(id);
        }
    }

    pub(super) fn wake_at(&mut self, at: Duration, wake: Wake) {
        self.agenda.insert((at, wake));
    }

    pub(super) fn forget_wake(&mut self, at: Duration, wake: Wake) {
        self.agenda.remove(&(at, wake));
    }

    /// When [`State::wake`] has something to do next.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Does what was put off until now.
    pub(super) fn wake(&mut self, now: Duration) {
        while let Some((at, _)) = self.agenda.first()
            && *at <= now
            && let Some((_, wake)) = self.agenda.pop_first()
        {
            match wake {
                Wake::Ticket(id) => self.expire(id, now),
                Wake::Lane(key) => self.place(&key, now),
                Wake::Server(id) => self.touch(id),
            }
        }
    }

    /// What is to be done now. Must be asked after every change.
    pub(super) fn orders(&mut self, now: Duration) -> Vec<Order> {
        let mut orders = Vec::new();
        self.look_ups(&mut orders);
        for id in std::mem::take(&mut self.touched) {
            self.server(id).is_touched = false;
            while let Some(call) = self.next_call(id, now) {
                orders.push(Order::Call(call));
            }
            let server = self.server(id);
            if server.not_before > now && !(server.ripe.is_empty() && server.unripe.is_empty()) {
                let at = server.not_before;
                self.wake_at(at, Wake::Server(id));
            }
        }
        orders
    }

    fn look_ups(&mut self, orders: &mut Vec<Order>) {
        let has_room = |key: &&LaneKey| self.tables.get(key.table).is_some_and(|table| table.lookups < LOOKUPS_MAX);
        let waiting: Vec<LaneKey> = self.homeless.iter().filter(has_room).take(LOOKUPS_MAX).cloned().collect();
        for key in waiting {
            let table = self.table(key.table);
            if table.lookups >= LOOKUPS_MAX {
                continue;
            }
            let name = table.name.clone();
            let Some(lane) = table.lanes.get_mut(&key.start) else {
                self.homeless.remove(&key);
                continue;
            };
            if let Some(row) = lane.first_key() {
                lane.is_locating = true;
                table.lookups += 1;
                orders.push(Order::Locate(key.clone(), name, row));
            }
            self.homeless.remove(&key);
        }
    }

    /// The next Multi for a server, if it has room and rows: few regions with many rows each, spread over the room.
    fn next_call(&mut self, id: ServerId, now: Duration) -> Option<Call> {
        let server = self.server(id);
        let room = server.room(now);
        if room == 0 {
            return None;
        }
        server.ripen(now);
        let target = (server.queued / room).clamp(CALL_BYTES_MIN, CALL_BYTES_MAX);
        let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while rows < CALL_ACTIONS_MAX && bytes < target {
            let Some(key) = self.server(id).ripe.pop_front() else { break };
            let room = (CALL_ACTIONS_MAX - rows, CALL_BYTES_MAX - bytes);
            let Some(lane) = self.sendable(&key, id) else { continue };
            if !batches.is_empty() && (lane.bytes > room.1 || lane.rows > room.0) {
                self.server(id).ripe.push_front(key);
                break;
            }
            if let Some(batch) = self.take_batch(&key, room, now) {
                rows += batch.rows;
                bytes += batch.bytes;
                batches.push(batch);
            }
        }
        if batches.is_empty() {
            return None;
        }
        let timeout = self.carry(&batches, now);
        let server = self.server(id);
        server.in_flight += 1;
        let was_full = room == 1;
        let address = server.address.clone();
        Some(Call { server: id, address, batches, bytes, sent_at: now, timeout, was_full })
    }

    /// The lane, if this server may have its rows now. Lists of lanes may be out of date.
    fn sendable(&mut self, key: &LaneKey, id: ServerId) -> Option<&mut Lane> {
        let lane = self.tables.get_mut(key.table)?.lanes.get_mut(&key.start)?;
        let home = lane.home.as_ref().filter(|home| home.server == id)?;
        if lane.place == Place::Nowhere || lane.is_in_flight || lane.is_empty() {
            return None;
        }
        if self.regions_in_flight.contains(&home.region.name) {
            // Its turn comes with the answer.
            lane.place = Place::Nowhere;
            return None;
        }
        Some(lane)
    }

    fn take_batch(&mut self, key: &LaneKey, room: (usize, usize), now: Duration) -> Option<Batch> {
        let region = self.lane(key).and_then(|lane| lane.home.as_ref()).map(|home| Arc::clone(&home.region))?;
        let slices = self.change(key, |lane| {
            lane.place = Place::Nowhere;
            lane.is_in_flight = true;
            lane.take_batch(room, now)
        })?;
        self.regions_in_flight.insert(region.name.clone());
        let rows = slices.iter().map(Slice::len).sum();
        let bytes = slices.iter().map(Slice::bytes).sum();
        Some(Batch { lane: key.clone(), region, slices, rows, bytes })
    }

    /// Notes on the writes that a call carries their rows. Returns the time for it.
    fn carry(&mut self, batches: &[Batch], now: Duration) -> Duration {
        self.calls += 1;
        let mut latest = now;
        for slice in batches.iter().flat_map(|batch| &batch.slices) {
            let Some(ticket) = self.tickets.get_mut(&slice.ticket) else { continue };
            latest = latest.max(ticket.terms.deadline);
            if ticket.last_call != self.calls {
                ticket.last_call = self.calls;
                ticket.report.calls += 1;
            }
        }
        self.rpc_timeout.min(latest - now).max(Duration::from_millis(1))
    }

    /// Gives credits that have become free to rows that wait for them.
    pub(super) fn give_credits(&mut self) {
        for _ in 0..self.thirsty.len() {
            let Some(key) = self.thirsty.pop_front() else { break };
            if self.quench(&key) {
                self.thirsty.push_back(key);
            }
        }
    }

    /// Gives a lane what it may have. Returns whether it wants more.
    fn quench(&mut self, key: &LaneKey) -> bool {
        loop {
            let Some(lane) = self.lane(key) else { return false };
            let held = lane.credited;
            let server = lane.home.as_ref().map(|home| home.server);
            let Some(slice) = lane.first_uncredited() else {
                lane.is_thirsty = false;
                return false;
            };
            let (bytes, ticket) = (slice.bytes(), slice.ticket);
            let of_server = server.map_or(0, |server| self.server(server).credited);
            if !self.credits.take(bytes, (held, of_server)) {
                return true;
            }
            self.change(key, |lane| {
                if let Some(slice) = lane.first_uncredited() {
                    slice.is_credited = true;
                }
                lane.credited += bytes;
            });
            if let Some(ticket) = self.tickets.get_mut(&ticket) {
                ticket.credited(bytes);
            }
        }
    }

    /// The caller is gone: what waits is taken out, what flies is not sent again.
    pub(super) fn withdraw(&mut self, id: TicketId, now: Duration) {
        self.take_out(id, now);
        if let Some(ticket) = self.tickets.remove(&id) {
            self.forget_wake(ticket.terms.deadline, Wake::Ticket(id));
        }
    }

    fn expire(&mut self, id: TicketId, now: Duration) {
        if let Some(ticket) = self.tickets.get_mut(&id) {
            let error = ticket.time_is_over(now);
            self.fail(id, error, now);
        }
    }

    /// Gives a write up: what waits is taken out; its caller is told when what flies has come back.
    pub(super) fn fail(&mut self, id: TicketId, error: Error, now: Duration) {
        let Some(ticket) = self.tickets.get_mut(&id) else { return };
        ticket.failure.get_or_insert(error);
        self.take_out(id, now);
        self.finish_if_settled(id);
    }

    fn take_out(&mut self, id: TicketId, now: Duration) {
        let Some(table) = self.tickets.get(&id).and_then(|ticket| self.table_places.get(&ticket.table)).copied() else {
            return;
        };
        let starts: Vec<Bytes> = self.table(table).lanes.keys().cloned().collect();
        for start in starts {
            let key = LaneKey { table, start };
            let withdrawn = self.change(&key, |lane| lane.withdraw(id)).unwrap_or_default();
            if withdrawn.rows == 0 {
                continue;
            }
            self.credits.give_back(withdrawn.credited);
            if let Some(ticket) = self.tickets.get_mut(&id) {
                ticket.left -= withdrawn.rows;
                ticket.credited(withdrawn.bytes - withdrawn.credited);
            }
            self.place(&key, now);
        }
        self.give_credits();
    }

    pub(super) fn finish_if_settled(&mut self, id: TicketId) {
        if self.tickets.get(&id).is_some_and(|ticket| ticket.left == 0)
            && let Some(ticket) = self.tickets.remove(&id)
        {
            self.forget_wake(ticket.terms.deadline, Wake::Ticket(id));
            ticket.finish();
        }
    }
}

/// Whether a key lies before the end of a range; an empty end is the table's.
pub(super) fn is_before(key: &[u8], end: &[u8]) -> bool {
    end.is_empty() || key < end
}

/// The nearer of two ends.
pub(super) fn nearer_end(one: &Bytes, other: &Bytes) -> Bytes {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other.clone(),
        (_, true) => one.clone(),
        _ => one.min(other).clone(),
    }
}

#[cfg(test)]
mod tests;
