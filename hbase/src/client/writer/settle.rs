//! What follows an answer: rows are settled or come back to the front of their lane, lanes pause or find a new home.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::attempt::Pause;
use super::super::retry::Overloaded;
use super::lane::{Batch, Home, Lane, LaneKey, Place};
use super::pushback;
use super::server::ServerId;
use super::slice::{Slice, places_of};
use super::state::{Call, Known, State, is_before, nearer_end};
use super::verdict::{Judged, Scope, Step, Verdict, step};
use crate::error::Error;
use crate::exception::{Exception, Reaction};
use crate::rpc::connection::CallError;
use crate::wire::multi_answer::RegionLoad;

/// What happened in a call, for the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Rows sent again, by the class of the failure.
    pub(crate) resent: Vec<(&'static str, u64)>,
    pub(crate) refused: u64,
}

/// What becomes of the rows of a batch that are not done.
#[derive(Debug, Default)]
struct Sorted {
    /// Slice by slice, in order.
    again: Vec<Slice>,
    /// Places in the batch.
    refused: Vec<(usize, Exception)>,
    /// Places in the batch, with what ends their whole write.
    failed: Vec<(usize, Error)>,
    pause: Option<Pause>,
    last: Option<Error>,
}

impl State {
    /// Takes an answer in: `verdicts` are by batch of the call.
    pub(super) fn settle(
        &mut self,
        call: Call,
        (verdicts, loads): Judged,
        (now, known): (Duration, Known<'_>),
    ) -> Settled {
        self.adjust_window(&call, &verdicts, now);
        let mut settled = Settled::default();
        let mut verdicts = verdicts.into_iter();
        for batch in &call.batches {
            let verdict = verdicts.next().unwrap_or(Verdict::Done);
            let load = loads.iter().find(|(region, _)| *region == batch.region.name).map(|(_, load)| *load);
            self.land(batch, load, now);
            let (was_done, scope) = match &verdict {
                Verdict::Done => (true, Scope::Region),
                Verdict::Rows(_) => (false, Scope::Region),
                Verdict::Failed(_, scope) => (false, *scope),
            };
            if was_done && let Some(lane) = self.lane(&batch.lane) {
                lane.rows_were_taken();
            }
            let sorted = self.sort_out(batch, verdict);
            self.close(batch, sorted, (call.server, scope), now, &mut settled);
            if !was_done {
                self.find_home(&batch.lane, (now, known));
            }
            self.place_lanes_of(batch, now);
        }
        self.give_credits();
        self.touch(call.server);
        settled
    }

    fn adjust_window(&mut self, call: &Call, verdicts: &[Verdict], now: Duration) {
        let failure = match verdicts.first() {
            Some(Verdict::Failed(error, Scope::Call)) => Some(error),
            _ => None,
        };
        let server = self.server(call.server);
        server.in_flight -= 1;
        match failure {
            None => {
                server.overloads = 0;
                server.window.answered(call.sent_at, now, (call.bytes, call.was_full));
            }
            Some(error) if is_overload(error) => {
                server.overloads += 1;
                server.window.overloaded(call.sent_at, now);
            }
            Some(_) => {}
        }
    }

    /// The batch is no longer in flight.
    fn land(&mut self, batch: &Batch, load: Option<RegionLoad>, now: Duration) {
        self.regions_in_flight.remove(&batch.region.name);
        let pause = load.map_or(Duration::ZERO, |load| pushback::pause(load, self.config.pushback_max));
        if let Some(lane) = self.lane(&batch.lane) {
            lane.is_in_flight = false;
            lane.not_before = lane.not_before.max(now + pause);
        }
    }

    fn sort_out(&mut self, batch: &Batch, verdict: Verdict) -> Sorted {
        let tries = self.lane(&batch.lane).map_or(0, |lane| lane.tries);
        match verdict {
            Verdict::Done => Sorted::default(),
            Verdict::Failed(error, _) => self.sort_whole(batch, error, tries),
            Verdict::Rows(rows) => {
                // One row can be the cause for all, in the same words.
                let are_refused = rows.iter().all(|(_, error)| matches!(step(error, tries), Step::Refuse(_)));
                match rows.first() {
                    Some((_, first)) if rows.len() == batch.rows && are_refused && is_uniform(&rows) => {
                        self.sort_whole(batch, first.clone(), tries)
                    }
                    _ => sort_rows(batch, rows, tries),
                }
            }
        }
    }

    /// All rows of a batch share one fate; or it is cut in halves to find the row that is to blame.
    fn sort_whole(&mut self, batch: &Batch, error: Error, tries: u32) -> Sorted {
        let mut sorted = Sorted { last: Some(error.clone()), ..Sorted::default() };
        match step(&error, tries) {
            Step::Again(pause) => {
                sorted.again.clone_from(&batch.slices);
                sorted.pause = Some(pause);
            }
            Step::Refuse(exception) => {
                let may_halve = exception.may_be_copied_from_a_neighbour()
                    && self.lane(&batch.lane).is_some_and(|lane| lane.may_halve(batch.rows));
                if may_halve {
                    sorted.again = batch.halves();
                    sorted.pause = Some(Pause::None);
                } else {
                    sorted.refused = (0..batch.rows).map(|place| (place, exception.clone())).collect();
                }
            }
            Step::Fail => sorted.failed = (0..batch.rows).map(|place| (place, error.clone())).collect(),
        }
        sorted
    }

    /// Settles the rows of a batch and puts those that are sent again at the front of their lane.
    fn close(
        &mut self,
        batch: &Batch,
        sorted: Sorted,
        (server, scope): (ServerId, Scope),
        now: Duration,
        settled: &mut Settled,
    ) {
        let failing = sorted.pause.is_some() || !sorted.refused.is_empty() || !sorted.failed.is_empty();
        let (ready_at, tries) = self.pause(&batch.lane, sorted.pause, (server, scope), now);
        let class = sorted.last.as_ref().map_or("none", class_of);
        let mut again = sorted.again.into_iter().peekable();
        let (mut refused, mut failed) = (sorted.refused.into_iter().peekable(), sorted.failed.into_iter().peekable());
        let mut back: Vec<Slice> = Vec::new();
        let (mut before, mut resent, mut freed) = (0, 0, 0);
        let mut over: Vec<(u64, Error)> = Vec::new();
        for slice in &batch.slices {
            let places = before..before + slice.len();
            before = places.end;
            let mut left = slice.len();
            let (mut back_rows, mut kept) = (0, 0);
            while let Some(part) = again.next_if(|part| part.is_of(slice)) {
                left -= part.len();
                if self.may_try_again(&part, ready_at) {
                    back_rows += part.len();
                    kept += part.bytes();
                    back.push(part);
                } else if let Some(ticket) = self.tickets.get_mut(&slice.ticket) {
                    ticket.left -= part.len();
                    ticket.tries = ticket.tries.max(tries);
                    ticket.last = ticket.last.take().or_else(|| sorted.last.clone());
                    let error = ticket.time_is_over(now);
                    over.push((slice.ticket, error));
                }
            }
            while let Some((place, exception)) = refused.next_if(|(place, _)| places.contains(place)) {
                left -= 1;
                settled.refused += 1;
                if let Some(ticket) = self.tickets.get_mut(&slice.ticket) {
                    let place = place - places.start;
                    ticket.refuse(slice.callers_row(place), slice.key(place), &exception);
                    ticket.left -= 1;
                }
            }
            while let Some((_, error)) = failed.next_if(|(place, _)| places.contains(place)) {
                left -= 1;
                if let Some(ticket) = self.tickets.get_mut(&slice.ticket) {
                    ticket.left -= 1;
                }
                over.push((slice.ticket, error));
            }
            settled.rows += left as u64;
            resent += back_rows as u64;
            let gone = slice.bytes() - kept;
            freed += if slice.is_credited { gone } else { 0 };
            if let Some(ticket) = self.tickets.get_mut(&slice.ticket) {
                ticket.left -= left;
                ticket.report.rows += left as u64;
                ticket.report.resent += back_rows as u64;
                if failing {
                    ticket.tries = ticket.tries.max(tries);
                    ticket.last.clone_from(&sorted.last);
                }
                if !slice.is_credited {
                    ticket.credited(gone);
                }
            }
        }
        settled.bytes += batch.bytes as u64;
        if resent > 0 {
            settled.resent.push((class, resent));
        }
        self.credits.give_back(freed);
        self.change(&batch.lane, |lane| {
            lane.credited -= freed;
            lane.push_front(back, now);
            lane.forget_halvings();
        });
        self.want_credits(&batch.lane);
        let mut tickets: Vec<u64> = batch.slices.iter().map(|slice| slice.ticket).collect();
        tickets.dedup();
        over.dedup_by_key(|(ticket, _)| *ticket);
        for (ticket, error) in over {
            self.fail(ticket, error, now);
        }
        for ticket in tickets {
            self.finish_if_settled(ticket);
        }
    }

    /// Whether the caller still waits and has time until the lane goes on.
    fn may_try_again(&self, part: &Slice, ready_at: Duration) -> bool {
        let ticket = self.tickets.get(&part.ticket);
        ticket.is_some_and(|ticket| ticket.failure.is_none() && ready_at < ticket.terms.deadline)
    }

    /// Pauses what a failure concerns: the lane, or for a call its server. Returns when the lane may go on, and how often
    /// it has failed.
    fn pause(
        &mut self,
        key: &LaneKey,
        pause: Option<Pause>,
        (server, scope): (ServerId, Scope),
        now: Duration,
    ) -> (Duration, u32) {
        let (backoff, overloads) = (self.backoff, self.server(server).overloads);
        let jitter = now.as_micros() as u64 ^ (key.start.len() as u64).wrapping_mul(0x9E37_79B9);
        let Some(lane) = self.lane(key) else { return (now, 0) };
        let Some(pause) = pause else {
            lane.tries = 0;
            return (now, 0);
        };
        lane.tries += 1;
        let tries = lane.tries;
        let (of_lane, of_server) = match (pause, scope) {
            (Pause::None, _) => (Duration::ZERO, Duration::ZERO),
            (Pause::Usual, _) => (backoff.after(tries, Overloaded::No, jitter), Duration::ZERO),
            (Pause::Long, Scope::Region) => (backoff.after(tries, Overloaded::Yes, jitter), Duration::ZERO),
            (Pause::Long, Scope::Call) => (Duration::ZERO, backoff.after(overloads.max(1), Overloaded::Yes, jitter)),
            (Pause::Named(wait), Scope::Region) => (wait, Duration::ZERO),
            (Pause::Named(wait), Scope::Call) => (Duration::ZERO, wait),
        };
        lane.not_before = lane.not_before.max(now + of_lane);
        let lane_at = lane.not_before;
        let server = self.server(server);
        if !of_server.is_zero() {
            server.not_before = server.not_before.max(now + of_server);
        }
        (lane_at.max(if of_server.is_zero() { now } else { server.not_before }), tries)
    }

    /// A look-up is done.
    pub(super) fn located(&mut self, key: &LaneKey, result: Result<(), Error>, (now, known): (Duration, Known<'_>)) {
        self.table(key.table).lookups -= 1;
        let backoff = self.backoff;
        let Some(lane) = self.lane(key) else { return };
        lane.is_locating = false;
        let Err(error) = result else {
            self.find_home(key, (now, known));
            self.place(key, now);
            return;
        };
        let tickets: BTreeSet<u64> = lane.slices().map(|slice| slice.ticket).collect();
        let wait = match step(&error, lane.tries) {
            Step::Again(Pause::Named(wait)) => wait,
            Step::Again(Pause::Long) => backoff.after(lane.tries + 1, Overloaded::Yes, now.as_micros() as u64),
            // A look-up is never repeated at once: meta is what everybody asks.
            Step::Again(Pause::None | Pause::Usual) => {
                backoff.after(lane.tries + 1, Overloaded::No, now.as_micros() as u64)
            }
            Step::Refuse(exception) => return self.fail_all(&tickets, &Error::Refused(exception), now),
            Step::Fail => return self.fail_all(&tickets, &error, now),
        };
        lane.tries += 1;
        lane.not_before = now + wait;
        let tries = lane.tries;
        for id in &tickets {
            let Some(ticket) = self.tickets.get_mut(id) else { continue };
            ticket.tries = ticket.tries.max(tries);
            ticket.last = Some(error.clone());
            if now + wait >= ticket.terms.deadline {
                let error = ticket.time_is_over(now);
                self.fail(*id, error, now);
            }
        }
        self.place(key, now);
    }

    fn fail_all(&mut self, tickets: &BTreeSet<u64>, error: &Error, now: Duration) {
        for id in tickets {
            self.fail(*id, error.clone(), now);
        }
    }

    /// After a failure: the lane goes where its rows are now, which may be several places or none that is known.
    fn find_home(&mut self, key: &LaneKey, (now, known): (Duration, Known<'_>)) {
        let name = self.table(key.table).name.clone();
        let Some(lane) = self.lane(key) else { return };
        let Some(first) = lane.first_key() else { return };
        let home = known(&name, &first);
        let covers =
            |region: &crate::cluster::meta::Region| region.start <= key.start && !lane_exceeds(&lane.end, &region.end);
        match home {
            Some(region) if covers(&region) => {
                let server = self.server_place(&region.server);
                self.change(key, |lane| {
                    lane.place = Place::Nowhere;
                    lane.home = Some(Home { region, server });
                });
            }
            None => {
                self.change(key, |lane| {
                    lane.place = Place::Nowhere;
                    lane.home = None;
                });
            }
            Some(_) => self.dissolve(key, (now, known)),
        }
    }

    /// Cuts a lane with nothing in flight into lanes of the regions that have its rows now.
    fn dissolve(&mut self, key: &LaneKey, (now, known): (Duration, Known<'_>)) {
        let name = self.table(key.table).name.clone();
        let Some(mut old) = self.take_lane(key) else { return };
        let mut rest: VecDeque<Slice> = old.drain();
        let mut start = key.start.clone();
        while let Some(first) = rest.iter().map(Slice::first_key).min().map(Bytes::copy_from_slice) {
            let (from, end, home) = match known(&name, &first) {
                Some(region) => {
                    let server = self.server_place(&region.server);
                    let (from, end) = (start.clone().max(region.start.clone()), nearer_end(&region.end, &old.end));
                    (from, end, Some(Home { region, server }))
                }
                None => (first.clone(), old.end.clone(), None),
            };
            let (mut inside, mut behind) = (VecDeque::new(), VecDeque::new());
            for mut slice in rest {
                inside.extend(slice.take(slice.rows_before(&end)));
                behind.extend((slice.len() > 0).then_some(slice));
            }
            rest = behind;
            let mut lane = Lane::new(end.clone(), old.not_before);
            lane.tries = old.tries;
            self.found(LaneKey { table: key.table, start: from }, lane, (inside, home), now);
            start = end;
        }
    }

    /// A new lane for rows of an old one.
    fn found(&mut self, key: LaneKey, lane: Lane, (rows, home): (VecDeque<Slice>, Option<Home>), now: Duration) {
        self.table(key.table).lanes.insert(key.start.clone(), lane);
        self.change(&key, |lane| {
            lane.home = home;
            for slice in rows {
                lane.push_back(slice, now);
            }
        });
        self.want_credits(&key);
        self.place(&key, now);
    }

    /// Lanes of the batch's region may go on; neighbours that have the same region become one.
    fn place_lanes_of(&mut self, batch: &Batch, now: Duration) {
        let (table, region) = (batch.lane.table, Arc::clone(&batch.region));
        self.place(&batch.lane, now);
        let Range { start, end } = region.start.clone()..region.end.clone();
        let lanes = &self.table(table).lanes;
        if lanes.get(&start).is_some_and(|lane| lane.end == end) {
            return;
        }
        let within = lanes.range(start..).map(|(start, _)| start.clone()).take_while(|start| is_before(start, &end));
        let within: Vec<LaneKey> = within.map(|start| LaneKey { table, start }).collect();
        let mut last: Option<LaneKey> = None;
        for key in within {
            match &last {
                Some(before) if self.join_neighbours(before, &key, now) => {}
                _ => last = Some(key),
            }
        }
        if let Some(last) = last {
            self.place(&last, now);
        }
    }

    /// Makes two lanes one if they touch, have one region, and nothing of either is in flight.
    fn join_neighbours(&mut self, before: &LaneKey, after: &LaneKey, now: Duration) -> bool {
        let region = |lane: &Lane| lane.home.as_ref().map(|home| home.region.name.clone());
        let lanes = &self.table(before.table).lanes;
        let (Some(left), Some(right)) = (lanes.get(&before.start), lanes.get(&after.start)) else { return false };
        let is_free = |lane: &Lane| !lane.is_in_flight && !lane.is_locating;
        let are_one = region(left).is_some() && region(left) == region(right);
        if !(are_one && left.end == after.start && is_free(left) && is_free(right)) {
            self.place(before, now);
            return false;
        }
        let Some(mut right) = self.take_lane(after) else { return false };
        let (end, not_before) = (right.end.clone(), right.not_before);
        let rows = right.drain();
        self.change(before, |lane| {
            lane.end = end;
            lane.not_before = lane.not_before.max(not_before);
            for slice in rows {
                lane.push_back(slice, now);
            }
        });
        self.want_credits(before);
        self.place(before, now);
        true
    }
}

/// Whether a lane that ends at `lane` goes beyond a region that ends at `region`.
fn lane_exceeds(lane: &[u8], region: &[u8]) -> bool {
    !region.is_empty() && (lane.is_empty() || lane > region)
}

/// Each row is done with as its own error says; rows that follow a row of the same key are sent again with it.
fn sort_rows(batch: &Batch, rows: Vec<(usize, Error)>, tries: u32) -> Sorted {
    let mut sorted = Sorted::default();
    let mut again: BTreeSet<usize> = BTreeSet::new();
    let mut settled: BTreeSet<usize> = BTreeSet::new();
    for (place, error) in rows {
        match step(&error, tries) {
            Step::Again(pause) => {
                again.insert(place);
                sorted.pause = Some(sorted.pause.map_or(pause, |before| before.max(pause)));
                sorted.last = Some(error);
            }
            Step::Refuse(exception) => {
                settled.insert(place);
                sorted.last.get_or_insert(error);
                sorted.refused.push((place, exception));
            }
            Step::Fail => {
                settled.insert(place);
                sorted.failed.push((place, error));
            }
        }
    }
    let followers: Vec<usize> = again.iter().flat_map(|place| followers(batch, *place)).collect();
    again.extend(followers.into_iter().filter(|place| !settled.contains(place)));
    let mut runs: Vec<Range<usize>> = Vec::new();
    for place in again {
        match runs.last_mut() {
            Some(run) if run.end == place => run.end += 1,
            _ => runs.push(place..place + 1),
        }
    }
    sorted.again = runs.into_iter().flat_map(|run| batch.parts(run).collect::<Vec<_>>()).collect();
    sorted
}

/// Places of rows behind this one that have its key: they must not stand before it.
fn followers(batch: &Batch, place: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut key: Option<&[u8]> = None;
    let mut before = 0;
    for slice in &batch.slices {
        let places = before..before + slice.len();
        if places.contains(&place) {
            key = Some(slice.key(place - before));
        }
        if let Some(key) = key {
            found.extend(places_of(slice, key).map(|own| before + own).filter(|other| *other > place));
        }
        before = places.end;
    }
    found
}

/// Whether all rows were refused in the same words.
fn is_uniform(rows: &[(usize, Error)]) -> bool {
    let words = |error: &Error| match error {
        Error::Call(CallError::Exception(exception)) => Some(exception.clone()),
        _ => None,
    };
    let mut all = rows.iter().map(|(_, error)| words(error));
    let first = all.next();
    all.all(|other| Some(other) == first)
}

/// Whether a call failed because its server has too much to do, or does nothing at all.
fn is_overload(error: &Error) -> bool {
    match error {
        Error::Call(CallError::TimedOut { .. }) => true,
        Error::Call(CallError::Exception(exception)) => exception.reaction() == Reaction::BackoffLong,
        _ => false,
    }
}

/// The name of a failure in counters: few and constant.
pub(super) fn class_of(error: &Error) -> &'static str {
    match error {
        Error::Call(CallError::Exception(exception)) => match exception.reaction() {
            Reaction::Relocate { .. } => "relocated",
            Reaction::Backoff => "busy",
            Reaction::BackoffLong => "overloaded",
            Reaction::Wait(_) => "throttled",
            Reaction::RetryNow => "partial",
            Reaction::ServerGone => "server_gone",
            Reaction::ResetScanner => "other",
            Reaction::GiveUp => "halved",
        },
        Error::Call(CallError::TimedOut { .. }) => "timed_out",
        Error::Connection(_) | Error::Call(CallError::Connection(_)) => "disconnected",
        Error::Wire(_) | Error::Call(CallError::Wire(_)) => "unreadable",
        _ => "other",
    }
}
