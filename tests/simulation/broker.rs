//! A Kafka in memory, as far as a consumer group sees one: logs, a group coordinator, offsets, and the client's fetchers.
//!
//! Modelled on purpose, because the engine must survive it: offsets without records (control records, compaction),
//! prefetch that is purged and read again from the application's position on every incremental rebalance, batch calls
//! that move the position past error entries (librdkafka#4844), generations that fence commits, offsets of groups without
//! members that nobody fences, static members that come back to their assignment, members whose session expires.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use halcyon::progress::ledger::GroupCommit;
use halcyon::progress::offset::{Offset, TopicPartition};
use halcyon::source::kafka::group::Rebalance;
use rdkafka::error::RDKafkaErrorCode;

use super::plan::SESSION;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Rows,
    Noise,
    Bad,
}

/// One event.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Ascends over all partitions; also the event's version.
    pub(super) id: u64,
    pub(super) key: u64,
    pub(super) note: Option<u64>,
    pub(super) fate: Fate,
    pub(super) payload: Vec<u8>,
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) low: i64,
    pub(super) end: i64,
    pub(super) records: BTreeMap<i64, Rc<Record>>,
}

/// What makes a stuck fetcher go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wedge {
    None,
    UntilReassigned,
    UntilRenewed,
}

#[derive(Debug)]
pub(super) enum Fetched {
    Record(Rc<Record>),
    Error(RDKafkaErrorCode),
}

/// The fetcher and the queue of one assigned partition.
#[derive(Debug)]
pub(super) struct Fetch {
    serial: u64,
    /// Where it was assigned or sought last.
    base: i64,
    next: i64,
    /// The application's position, right or wrong.
    position: i64,
    is_known: bool,
    is_stopped: bool,
    wedge: Wedge,
    queue: VecDeque<Fetched>,
}

impl Fetch {
    fn new(serial: u64, at: i64) -> Self {
        let queue = VecDeque::new();
        let wedge = Wedge::None;
        Self { serial, base: at, next: at, position: at, is_known: false, is_stopped: false, wedge, queue }
    }

    /// Delivers nothing any more.
    pub(super) fn get_stuck(&mut self, wedge: Wedge) {
        self.wedge = wedge;
        self.next = self.position;
        self.queue.clear();
    }

    fn restart(&mut self, at: i64) {
        (self.base, self.next, self.position, self.is_known, self.is_stopped) = (at, at, at, false, false);
        self.queue.clear();
    }
}

/// The client of one process.
#[derive(Debug, Default)]
pub(super) struct Client {
    instance: Option<String>,
    member: Option<u64>,
    generation: u64,
    is_eager: bool,
    is_closed: bool,
    is_leaving: bool,
    is_lost: bool,
    was_assigned: bool,
    rebalances: VecDeque<Rebalance>,
    in_hand: Option<Rebalance>,
    granted: BTreeSet<i32>,
    splits: BTreeMap<i32, u64>,
    pub(super) fetches: BTreeMap<i32, Fetch>,
}

impl Client {
    fn is_busy(&self) -> bool {
        !self.rebalances.is_empty() || self.in_hand.is_some()
    }

    /// What an incremental rebalance does to partitions that stay: prefetch is purged, and read again from the position.
    fn announce(&mut self, change: Rebalance) {
        for fetch in self.fetches.values_mut().filter(|fetch| !fetch.is_stopped) {
            fetch.next = fetch.position;
            fetch.queue.clear();
        }
        self.rebalances.push_back(change);
    }
}

#[derive(Debug)]
struct Member {
    client: usize,
    instance: Option<String>,
    heard: Duration,
    has_joined: bool,
    assigned: BTreeSet<i32>,
}

/// Why a commit is refused.
pub(super) type Refused = RDKafkaErrorCode;

/// The cluster and all its clients.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) topic: Arc<str>,
    pub(super) logs: Vec<Log>,
    pub(super) clients: Vec<Client>,
    members: BTreeMap<u64, Member>,
    ids: u64,
    generation: u64,
    is_rebalancing: bool,
    pub(super) offsets: BTreeMap<(String, i32), i64>,
    /// What was committed beside them.
    pub(super) metadata: BTreeMap<(String, i32), String>,
}

impl Broker {
    pub(super) fn new(partitions: i32) -> Self {
        Self {
            topic: Arc::from("events"),
            logs: (0..partitions).map(|_| Log::default()).collect(),
            clients: Vec::new(),
            members: BTreeMap::new(),
            ids: 0,
            generation: 0,
            is_rebalancing: false,
            offsets: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }

    pub(super) fn place(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: Arc::clone(&self.topic), partition }
    }

    fn places(&self, partitions: &BTreeSet<i32>) -> Vec<TopicPartition> {
        partitions.iter().map(|partition| self.place(*partition)).collect()
    }

    pub(super) fn connect(&mut self, instance: Option<String>, is_eager: bool) -> usize {
        self.clients.push(Client { instance, is_eager, ..Client::default() });
        self.clients.len() - 1
    }

    /// The client is gone without a word.
    pub(super) fn cut(&mut self, client: usize) {
        self.clients[client].is_closed = true;
    }

    /// The client closes: it leaves the group, unless it is a static member.
    pub(super) fn close(&mut self, client: usize) {
        self.clients[client].is_closed = true;
        if self.clients[client].instance.is_none() {
            self.remove(client);
        }
    }

    fn remove(&mut self, client: usize) {
        let Some(member) = self.clients[client].member.take() else { return };
        if self.members.remove(&member).is_some() {
            self.is_rebalancing = true;
            self.members.values_mut().for_each(|member| member.has_joined = false);
        }
    }

    fn rebalance(&mut self) {
        if !self.is_rebalancing {
            self.is_rebalancing = true;
            self.members.values_mut().for_each(|member| member.has_joined = false);
        }
    }

    /// The client's own thread: heartbeat, join, loss.
    pub(super) fn tick_client(&mut self, at: usize, now: Duration) {
        let client = &mut self.clients[at];
        if client.is_closed || client.is_leaving {
            return;
        }
        let member = client.member.and_then(|id| self.members.get_mut(&id)).filter(|member| member.client == at);
        let Some(member) = member else {
            if client.member.is_some() && client.in_hand.is_none() {
                // Expired or fenced.
                (client.member, client.is_lost) = (None, true);
                client.rebalances.clear();
                let granted = client.granted.clone();
                if !granted.is_empty() {
                    let change = Rebalance::Revoke(self.places(&granted));
                    self.clients[at].announce(change);
                    return;
                }
            }
            if !self.clients[at].is_busy() && self.clients[at].member.is_none() {
                self.join(at, now);
            }
            return;
        };
        member.heard = now;
        if self.is_rebalancing && !member.has_joined && !client.is_busy() {
            if client.is_eager && !client.granted.is_empty() {
                let granted = client.granted.clone();
                let change = Rebalance::Revoke(self.places(&granted));
                self.clients[at].announce(change);
            } else {
                member.has_joined = true;
            }
        }
    }

    fn join(&mut self, at: usize, now: Duration) {
        self.ids += 1;
        let id = self.ids;
        let client = &mut self.clients[at];
        (client.member, client.is_lost) = (Some(id), false);
        let instance = client.instance.clone();
        let known = instance.as_ref().and_then(|instance| {
            self.members.iter().find(|(_, member)| member.instance.as_ref() == Some(instance)).map(|(id, _)| *id)
        });
        let assigned = known.and_then(|known| self.members.remove(&known)).map(|member| member.assigned);
        // A member that was gone before it gave up what it was asked to would leave those partitions to nobody.
        let others = self.members.values().flat_map(|member| &member.assigned).count();
        let came_back = assigned.filter(|mine| !self.is_rebalancing && others + mine.len() == self.logs.len());
        let has_joined = self.is_rebalancing || came_back.is_some();
        let member = Member { client: at, instance, heard: now, has_joined, assigned: BTreeSet::new() };
        self.members.insert(id, member);
        match came_back {
            // A static member gets its assignment back, without a rebalance.
            Some(assigned) => {
                let change = Rebalance::Assign(self.places(&assigned));
                self.clients[at].generation = self.generation;
                self.clients[at].announce(change);
                self.members.get_mut(&id).expect("just joined").assigned = assigned;
            }
            None => {
                self.rebalance();
                self.members.get_mut(&id).expect("just joined").has_joined = true;
            }
        }
    }

    /// The coordinator: expired sessions, and the end of a rebalance once everybody has joined.
    pub(super) fn tick_coordinator(&mut self, now: Duration) {
        let before = self.members.len();
        self.members.retain(|_, member| now.saturating_sub(member.heard) < SESSION);
        if self.members.len() != before {
            self.rebalance();
        }
        if self.is_rebalancing && self.members.values().all(|member| member.has_joined) {
            self.is_rebalancing = false;
            self.generation += 1;
            self.hand_out();
        }
    }

    /// Sticky: everybody keeps what it has up to its share; what is free goes to whom has least.
    fn hand_out(&mut self) {
        let (partitions, count) = (self.logs.len(), self.members.len().max(1));
        let (share, mut larger) = (partitions / count, partitions % count);
        let mut free: BTreeSet<i32> = (0..partitions as i32).collect();
        let mut wanted: BTreeMap<u64, BTreeSet<i32>> = BTreeMap::new();
        let mut owners: Vec<(u64, usize)> =
            self.members.iter().map(|(id, member)| (*id, self.clients[member.client].granted.len())).collect();
        owners.sort_by_key(|(id, owned)| (std::cmp::Reverse(*owned), *id));
        for (id, owned) in &owners {
            let quota = if *owned > share && larger > 0 { share + 1 } else { share };
            larger -= usize::from(quota > share);
            let granted = &self.clients[self.members[id].client].granted;
            let kept: BTreeSet<i32> =
                granted.iter().copied().filter(|partition| free.contains(partition)).take(quota).collect();
            kept.iter().for_each(|partition| {
                free.remove(partition);
            });
            wanted.insert(*id, kept);
        }
        for partition in free {
            let poorest = wanted.iter().min_by_key(|(id, has)| (has.len(), **id)).map(|(id, _)| *id);
            poorest.and_then(|id| wanted.get_mut(&id)).map(|has| has.insert(partition));
        }
        let held: BTreeMap<u64, BTreeSet<i32>> =
            self.members.iter().map(|(id, member)| (*id, self.clients[member.client].granted.clone())).collect();
        for (id, wanted) in wanted {
            let is_held_elsewhere =
                |partition: &i32| held.iter().any(|(other, held)| *other != id && held.contains(partition));
            let assigned: BTreeSet<i32> =
                wanted.into_iter().filter(|partition| !is_held_elsewhere(partition)).collect();
            let mine = &held[&id];
            let revoked: BTreeSet<i32> = mine.difference(&assigned).copied().collect();
            let added: BTreeSet<i32> = assigned.difference(mine).copied().collect();
            let (revoked, added) = (self.places(&revoked), self.places(&added));
            let member = self.members.get_mut(&id).expect("a member");
            member.assigned = assigned;
            let client = &mut self.clients[member.client];
            client.generation = self.generation;
            if !revoked.is_empty() {
                client.announce(Rebalance::Revoke(revoked));
            }
            if !added.is_empty() || !client.was_assigned {
                client.was_assigned = true;
                client.announce(Rebalance::Assign(added));
            }
        }
    }

    pub(super) fn take_rebalance(&mut self, at: usize) -> Option<Rebalance> {
        let client = &mut self.clients[at];
        if client.is_closed || client.in_hand.is_some() {
            return None;
        }
        client.in_hand = client.rebalances.pop_front();
        client.in_hand.clone()
    }

    pub(super) fn is_lost(&self, at: usize) -> bool {
        self.clients[at].is_lost
    }

    pub(super) fn split(&mut self, at: usize, partition: i32) -> u64 {
        self.ids += 1;
        self.clients[at].splits.insert(partition, self.ids);
        self.ids
    }

    pub(super) fn answer_assign(&mut self, at: usize, places: &[(TopicPartition, Offset)]) {
        let client = &mut self.clients[at];
        let Some(Rebalance::Assign(granted)) = client.in_hand.take() else { return };
        client.granted.extend(granted.iter().map(|place| place.partition));
        for (place, offset) in places {
            let serial = client.splits.get(&place.partition).copied().unwrap_or(0);
            client.fetches.insert(place.partition, Fetch::new(serial, offset.0));
        }
    }

    pub(super) fn answer_revoke(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let Some(Rebalance::Revoke(revoked)) = client.in_hand.take() else { return };
        for place in &revoked {
            client.granted.remove(&place.partition);
            client.fetches.remove(&place.partition);
        }
        if client.is_leaving {
            self.close(at);
        } else if !client.is_lost && !client.is_eager {
            self.rebalance();
        }
    }

    pub(super) fn leave(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.is_leaving = true;
        client.rebalances.clear();
        let granted = client.granted.clone();
        if granted.is_empty() {
            return self.close(at);
        }
        let change = Rebalance::Revoke(self.places(&granted));
        self.clients[at].announce(change);
    }

    pub(super) fn reassign(&mut self, at: usize, partition: i32, offset: i64) -> u64 {
        let serial = self.split(at, partition);
        let fetch = self.clients[at].fetches.entry(partition).or_insert_with(|| Fetch::new(serial, offset));
        fetch.restart(offset);
        fetch.serial = serial;
        if fetch.wedge == Wedge::UntilReassigned {
            fetch.wedge = Wedge::None;
        }
        serial
    }

    pub(super) fn seek(&mut self, at: usize, partition: i32, offset: i64) {
        if let Some(fetch) = self.clients[at].fetches.get_mut(&partition) {
            fetch.restart(offset);
        }
    }

    /// Fetches at most `count` records of a partition.
    pub(super) fn fetch(&mut self, at: usize, partition: i32, count: usize) {
        let client = &mut self.clients[at];
        if client.is_closed || client.is_busy() {
            return;
        }
        let Some(fetch) = client.fetches.get_mut(&partition) else { return };
        if fetch.is_stopped || fetch.wedge != Wedge::None {
            return;
        }
        let log = &self.logs[partition as usize];
        if fetch.next < log.low || fetch.next > log.end {
            fetch.is_stopped = true;
            fetch.queue.push_back(Fetched::Error(RDKafkaErrorCode::AutoOffsetReset));
            return;
        }
        let found = log.records.range(fetch.next..).take(count).map(|(_, record)| Rc::clone(record));
        let is_last = log.records.range(fetch.next..).nth(count).is_none();
        let mut next = fetch.next;
        for record in found {
            next = record.offset + 1;
            fetch.queue.push_back(Fetched::Record(record));
        }
        fetch.next = if is_last { log.end } else { next };
    }

    /// Gives an error to the partition's queue.
    pub(super) fn upset(&mut self, at: usize, partition: i32) {
        if let Some(fetch) = self.clients[at].fetches.get_mut(&partition).filter(|fetch| !fetch.is_stopped) {
            fetch.queue.push_back(Fetched::Error(RDKafkaErrorCode::BrokerTransportFailure));
        }
    }

    /// What a batch call takes from the queue.
    pub(super) fn consume(&mut self, at: usize, (partition, serial): (i32, u64), count: usize) -> Vec<Fetched> {
        let client = &mut self.clients[at];
        let is_held = client.is_busy() || client.is_closed;
        let fetch = client.fetches.get_mut(&partition).filter(|fetch| fetch.serial == serial && !is_held);
        let Some(fetch) = fetch else { return Vec::new() };
        let taken: Vec<Fetched> = fetch.queue.drain(..count.min(fetch.queue.len())).collect();
        for entry in &taken {
            fetch.position = match entry {
                Fetched::Record(record) => record.offset + 1,
                Fetched::Error(_) => fetch.position + 1,
            };
            fetch.is_known = true;
        }
        taken
    }

    /// A record comes out of the client's own queue instead of its partition's.
    pub(super) fn stray(&mut self, at: usize, partition: i32) -> Option<TopicPartition> {
        let client = &mut self.clients[at];
        if client.is_busy() || client.is_closed {
            return None;
        }
        let fetch = client.fetches.get_mut(&partition)?;
        let Some(Fetched::Record(record)) = fetch.queue.front() else { return None };
        fetch.position = record.offset + 1;
        fetch.queue.pop_front();
        Some(self.place(partition))
    }

    pub(super) fn positions(&self, at: usize) -> Vec<(TopicPartition, Offset)> {
        let fetches = self.clients[at].fetches.iter();
        let known = fetches.filter_map(|(partition, fetch)| {
            let behind = if fetch.queue.is_empty() && !fetch.is_stopped { fetch.next } else { fetch.position };
            let position = behind.max(fetch.position);
            (fetch.is_known || position > fetch.base).then(|| (self.place(*partition), Offset(position)))
        });
        known.collect()
    }

    /// The membership group's commit: fenced by member and generation, not by who owns what.
    pub(super) fn commit_member(&mut self, at: usize, commits: &[GroupCommit], now: Duration) -> Result<(), Refused> {
        let client = &self.clients[at];
        if client.is_closed {
            return Err(RDKafkaErrorCode::BrokerTransportFailure);
        }
        let member = client.member.and_then(|id| self.members.get_mut(&id)).filter(|member| member.client == at);
        let member = member.ok_or(RDKafkaErrorCode::UnknownMemberId)?;
        if client.generation != self.generation {
            return Err(RDKafkaErrorCode::IllegalGeneration);
        }
        member.heard = now;
        for GroupCommit { partition, offset, metadata, .. } in commits {
            let of = ("sim".to_owned(), partition.partition);
            self.offsets.insert(of.clone(), offset.0);
            self.metadata.insert(of, metadata.clone());
        }
        Ok(())
    }
}
