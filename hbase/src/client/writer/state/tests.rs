//! The state on a cluster of plain values and a clock of numbers: whatever fails, moves or splits, the laws hold.

use std::cell::RefCell;

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::super::slice::tests::block;
use super::super::ticket::Outcome;
use super::super::verdict::{Scope, Verdict};
use super::*;
use crate::client::writer::report::{WriteError, WriteReport};
use crate::exception::Exception;
use crate::mutation::Durability;
use crate::rpc::connection::CallError;
use crate::wire::multi_answer::RegionLoad;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn exception(class: &str, message: &str) -> Error {
    let class = format!("org.apache.hadoop.hbase.{class}");
    Error::Call(CallError::Exception(Exception {
        class,
        message: message.to_owned(),
        moved_to: None,
        do_not_retry: false,
    }))
}

fn region(start: &str, end: &str, (server, id): (&str, i64)) -> Arc<Region> {
    Arc::new(Region {
        name: format!("t,{start},{id}.").into(),
        start: start.to_owned().into(),
        end: end.to_owned().into(),
        server: server.to_owned(),
        start_code: 1,
        sequence: id,
    })
}

/// A cluster, what the client believes of it, and the state under test.
struct World {
    state: State,
    now: Duration,
    regions: Vec<Arc<Region>>,
    believed: RefCell<Vec<Arc<Region>>>,
    calls: Vec<Call>,
    look_ups: Vec<(LaneKey, Bytes)>,
    pending: Vec<Write>,
    /// What was applied: key and version, in the order of arrival.
    applied: Vec<(String, i64)>,
    next_id: i64,
}

struct Write {
    ticket: TicketId,
    keys: Vec<String>,
    version: i64,
    admitted: oneshot::Receiver<()>,
    done: oneshot::Receiver<Outcome>,
}

impl World {
    fn new(regions: &[Arc<Region>], config: WriterConfig) -> Self {
        Self {
            state: State::new(config, ms(1000), Backoff::default()),
            now: ms(1),
            regions: regions.to_vec(),
            believed: RefCell::new(regions.to_vec()),
            calls: Vec::new(),
            look_ups: Vec::new(),
            pending: Vec::new(),
            applied: Vec::new(),
            next_id: 100,
        }
    }

    fn run(&mut self, act: impl FnOnce(&mut State, Duration, Known<'_>)) {
        let believed = &self.believed;
        let known = |_: &TableName, row: &[u8]| believed.borrow().iter().find(|region| region.contains(row)).cloned();
        act(&mut self.state, self.now, &known);
        for order in self.state.orders(self.now) {
            match order {
                Order::Call(call) => self.calls.push(call),
                Order::Locate(lane, _, row) => self.look_ups.push((lane, row)),
            }
        }
        self.check();
    }

    fn push(&mut self, keys: &[&str], version: i64, holder: Holder) -> TicketId {
        let (admitted_sender, admitted) = oneshot::channel();
        let (done_sender, done) = oneshot::channel();
        let waiters = Waiters { admitted: admitted_sender, done: done_sender };
        let deadline = self.now + ms(60_000);
        let terms = Terms { durability: Durability::SyncWal, began: self.now, deadline, holder };
        let block = block(keys, version);
        let mut ticket = 0;
        self.run(|state, now, known| {
            ticket = state.push((&TableName::new("t"), &block), (terms, waiters), (now, known));
        });
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.pending.push(Write { ticket, keys, version, admitted, done });
        ticket
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.run(|state, now, _| state.wake(now));
    }

    /// Lets every look-up find what is true now.
    fn answer_look_ups(&mut self) {
        while let Some((lane, row)) = self.look_ups.pop() {
            let truth = self.regions.iter().find(|region| region.contains(&row)).cloned().expect("a whole table");
            {
                let mut believed = self.believed.borrow_mut();
                let overlaps =
                    |known: &Arc<Region>| is_before(&known.start, &truth.end) && is_before(&truth.start, &known.end);
                believed.retain(|known| !overlaps(known));
                believed.push(truth);
            }
            self.run(|state, now, known| state.located(&lane, Ok(()), (now, known)));
        }
    }

    /// Answers a call: `fate` says for a batch what happens to it if its region is where the call went.
    fn answer(&mut self, call: usize, mut fate: impl FnMut(&Batch) -> Verdict) {
        let call = self.calls.remove(call);
        let mut verdicts = Vec::new();
        for batch in &call.batches {
            let is_there =
                self.regions.iter().any(|region| region.name == batch.region.name && region.server == call.address);
            let verdict = if is_there {
                fate(batch)
            } else {
                Verdict::Failed(exception("NotServingRegionException", ""), Scope::Region)
            };
            if !is_there {
                self.believed.borrow_mut().retain(|region| **region != *batch.region);
            }
            self.apply(batch, &verdict);
            verdicts.push(verdict);
        }
        self.run(|state, now, known| {
            state.settle(call, (verdicts, Vec::new()), (now, known));
        });
    }

    fn apply(&mut self, batch: &Batch, verdict: &Verdict) {
        let failed: Vec<usize> = match verdict {
            Verdict::Done => Vec::new(),
            Verdict::Rows(rows) => rows.iter().map(|(place, _)| *place).collect(),
            Verdict::Failed(..) => return,
        };
        let rows = batch.slices.iter().flat_map(|slice| (0..slice.len()).map(move |place| (slice, place)));
        for (at, (slice, place)) in rows.enumerate() {
            let key = String::from_utf8_lossy(slice.key(place)).into_owned();
            assert!(batch.region.contains(key.as_bytes()), "row {key} in region {:?}", batch.region);
            if !failed.contains(&at) {
                self.applied.push((key, self.version_of(slice.ticket)));
            }
        }
    }

    fn version_of(&self, ticket: TicketId) -> i64 {
        self.pending.iter().find(|write| write.ticket == ticket).map_or(i64::MIN, |write| write.version)
    }

    fn outcome(&mut self, ticket: TicketId) -> Option<Outcome> {
        let write = self.pending.iter_mut().find(|write| write.ticket == ticket)?;
        write.done.try_recv().ok()
    }

    fn is_admitted(&mut self, ticket: TicketId) -> bool {
        self.pending.iter_mut().any(|write| write.ticket == ticket && write.admitted.try_recv().is_ok())
    }

    /// The sums that must always be true.
    fn check(&self) {
        let state = &self.state;
        assert!(state.credits.used() <= state.config.credit_bytes);
        let mut regions = FxHashSet::default();
        for batch in self.calls.iter().flat_map(|call| &call.batches) {
            assert!(regions.insert(batch.region.name.clone()), "two batches of one region");
        }
        assert_eq!(regions, state.regions_in_flight);
        let (mut credited, mut queued) = (0, vec![(0, 0); state.servers.len()]);
        for table in &state.tables {
            let mut last_end: Option<Bytes> = None;
            for (start, lane) in &table.lanes {
                assert!(last_end.is_none_or(|end| !end.is_empty() && end <= start), "lanes overlap");
                last_end = Some(lane.end.clone());
                credited += lane.credited;
                if let Some(home) = &lane.home {
                    let sums = &mut queued[home.server.0];
                    *sums = (sums.0 + lane.bytes, sums.1 + lane.credited);
                    assert!(home.region.start <= start);
                }
            }
        }
        assert_eq!(credited, state.credits.used());
        for (server, sums) in state.servers.iter().zip(queued) {
            assert_eq!((server.queued, server.credited), sums);
        }
        for (at, server) in state.servers.iter().enumerate() {
            let flying = self.calls.iter().filter(|call| call.server.0 == at).count();
            assert_eq!(flying, server.in_flight);
            assert!(flying <= state.config.calls_per_server_max);
        }
    }

    /// Answers everything well until nothing is left.
    fn finish(&mut self) {
        for _ in 0..2000 {
            self.answer_look_ups();
            while !self.calls.is_empty() {
                self.answer(0, |_| Verdict::Done);
                self.answer_look_ups();
            }
            match self.state.next_wake() {
                Some(at) if !self.state.tickets.is_empty() => {
                    let wait = at.saturating_sub(self.now);
                    self.pass(wait);
                }
                _ => break,
            }
        }
        self.pass(ms(120_000));
        assert!(self.state.tickets.is_empty(), "{}", self.state.debug(self.now));
        assert_eq!(self.state.credits.used(), 0);
        assert!(self.state.tables.iter().all(|table| table.lanes.is_empty()));
        assert!(self.state.agenda.is_empty() && self.state.thirsty.iter().all(|key| key.table == 0));
    }
}

fn two_servers() -> Vec<Arc<Region>> {
    vec![region("", "g", ("a:1", 1)), region("g", "p", ("a:1", 2)), region("p", "", ("b:1", 3))]
}

fn no_linger() -> WriterConfig {
    WriterConfig { linger: Duration::ZERO, ..WriterConfig::default() }
}

#[test]
fn an_idle_server_gets_few_rows_at_once_and_a_busy_one_gets_them_together() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], WriterConfig::default());
    world.push(&["a"], 1, Holder::Caller);
    assert_eq!(world.calls.len(), 1, "nothing else is waiting");
    for version in 2..6 {
        world.push(&["a", "b"], version, Holder::Caller);
    }
    assert_eq!(world.calls.len(), 1, "one batch of a region is in flight");
    world.answer(0, |_| Verdict::Done);
    assert_eq!(world.calls[0].batches[0].rows, 8, "what came meanwhile goes as one batch");
    world.finish();
    assert_eq!(world.outcome(1).expect("done").expect("ok"), WriteReport { rows: 1, calls: 1, resent: 0 });
}

#[test]
fn a_few_rows_wait_for_the_linger_while_their_server_is_busy() {
    let mut world = World::new(&two_servers(), WriterConfig::default());
    world.push(&["a"], 1, Holder::Caller);
    world.push(&["h"], 1, Holder::Caller);
    assert_eq!(world.calls.len(), 1);
    world.pass(ms(4));
    assert_eq!(world.calls.len(), 1);
    world.pass(ms(1));
    assert_eq!(world.calls.len(), 2, "the linger is over");
    let many: Vec<String> = (0..250).map(|row| format!("q{row:03}")).collect();
    world.push(&["q"], 1, Holder::Caller);
    world.push(&many.iter().map(String::as_str).collect::<Vec<_>>(), 2, Holder::Caller);
    world.answer(2, |_| Verdict::Done);
    assert_eq!(world.calls[2].batches[0].rows, 250, "many rows need not wait");
    world.finish();
}

#[test]
fn a_busy_region_pauses_alone() {
    let mut world = World::new(&two_servers(), no_linger());
    world.push(&["a", "h"], 1, Holder::Caller);
    assert_eq!(world.calls.len(), 1);
    let busy = exception("RegionTooBusyException", "over memstore limit");
    world.answer(0, |batch| match &batch.region.start[..] {
        b"" => Verdict::Failed(busy.clone(), Scope::Region),
        _ => Verdict::Done,
    });
    assert!(world.calls.is_empty());
    world.push(&["a", "h"], 2, Holder::Caller);
    let rows: Vec<_> =
        world.calls.iter().flat_map(|call| &call.batches).map(|batch| batch.region.start.clone()).collect();
    assert_eq!(rows, ["g"], "only the other region is written");
    world.pass(Backoff::default().pause * 2);
    assert_eq!(world.calls.len(), 2, "and the busy one after its pause");
    world.finish();
}

#[test]
fn an_overloaded_server_pauses_as_a_whole_and_its_window_is_halved() {
    let mut world = World::new(&two_servers(), no_linger());
    world.push(&["a"], 1, Holder::Caller);
    world.answer(0, |_| Verdict::Failed(exception("CallQueueTooBigException", ""), Scope::Call));
    world.push(&["h", "q"], 2, Holder::Caller);
    assert_eq!(world.calls.iter().map(|call| call.address.as_str()).collect::<Vec<_>>(), ["b:1"]);
    let server = &world.state.servers[0];
    assert_eq!((server.window.size(), server.overloads), (2, 1));
    world.pass(Backoff::default().pause_overloaded * 2);
    assert_eq!(world.calls.len(), 2);
    world.finish();
}

#[test]
fn a_throttled_call_waits_exactly_as_long_as_the_server_says() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], no_linger());
    world.push(&["a"], 1, Holder::Caller);
    let throttled = exception("quotas.RpcThrottlingException", "write size limit exceeded - wait 2sec, 500ms");
    world.answer(0, |_| Verdict::Failed(throttled.clone(), Scope::Call));
    world.pass(ms(2499));
    assert!(world.calls.is_empty());
    world.pass(ms(1));
    assert_eq!(world.calls.len(), 1);
    world.finish();
    assert_eq!(world.outcome(1).expect("done").expect("ok").resent, 1);
}

#[test]
fn a_wait_beyond_the_time_that_is_left_ends_the_write_at_once() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], no_linger());
    world.push(&["a"], 1, Holder::Caller);
    let throttled = exception("quotas.RpcThrottlingException", "limit exceeded - wait 5mins, 0sec");
    world.answer(0, |_| Verdict::Failed(throttled.clone(), Scope::Call));
    let Some(Err(WriteError::Failed { source: Error::TimedOut { last: Some(last), .. }, .. })) = world.outcome(1)
    else {
        panic!("the write goes on")
    };
    assert!(last.chain().contains("RpcThrottling"), "{}", last.chain());
}

#[test]
fn a_loaded_region_pauses_and_others_do_not() {
    let config = WriterConfig { pushback_max: ms(1000), ..no_linger() };
    let mut world = World::new(&two_servers(), config);
    world.push(&["a", "h"], 1, Holder::Caller);
    let call = world.calls.remove(0);
    let full = RegionLoad { memstore: 100, heap: 0, compaction: 0 };
    let loads = vec![("t,,1.".into(), full), ("t,g,2.".into(), RegionLoad::default())];
    world.run(|state, now, known| {
        state.settle(call, (vec![Verdict::Done, Verdict::Done], loads), (now, known));
    });
    world.push(&["a", "h"], 2, Holder::Caller);
    let regions = |world: &World| -> Vec<Bytes> {
        world.calls.iter().flat_map(|call| &call.batches).map(|batch| batch.region.name.clone()).collect()
    };
    assert_eq!(regions(&world), ["t,g,2."]);
    world.pass(ms(999));
    assert_eq!(regions(&world), ["t,g,2."]);
    world.pass(ms(1));
    assert_eq!(regions(&world), ["t,g,2.", "t,,1."]);
    world.finish();
}

#[test]
fn what_failed_goes_before_what_came_later() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], no_linger());
    world.push(&["a"], 1, Holder::Caller);
    world.push(&["a"], 2, Holder::Caller);
    world.answer(0, |_| Verdict::Failed(exception("RegionTooBusyException", ""), Scope::Region));
    world.push(&["a"], 3, Holder::Caller);
    world.finish();
    assert_eq!(world.applied.iter().map(|row| row.1).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_row_that_fails_alone_takes_later_ones_of_its_key_along() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], no_linger());
    world.push(&["x"], 0, Holder::Caller);
    world.push(&["a", "b"], 1, Holder::Caller);
    world.push(&["a", "c"], 2, Holder::Caller);
    world.answer(0, |_| Verdict::Done);
    let busy = exception("RegionTooBusyException", "");
    world.answer(0, |_| Verdict::Rows(vec![(0, busy.clone())]));
    world.finish();
    let of_a: Vec<i64> = world.applied.iter().filter(|row| row.0 == "a").map(|row| row.1).collect();
    assert_eq!(of_a, [2, 1, 2], "the newer value is the last");
    let of_c: Vec<i64> = world.applied.iter().filter(|row| row.0 == "c").map(|row| row.1).collect();
    assert_eq!(of_c, [2], "and nothing else is sent again");
}

#[test]
fn a_poison_row_is_found_with_few_calls_and_its_neighbours_are_written_once() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], no_linger());
    let keys: Vec<String> = (0..1000).map(|row| format!("k{row:04}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ticket = world.push(&keys, 1, Holder::Caller);
    let mut calls = 0;
    while !world.calls.is_empty() {
        calls += 1;
        world.answer(0, |batch| {
            let has_poison = batch.slices.iter().any(|slice| (0..slice.len()).any(|row| slice.key(row) == b"k0617"));
            let refused = exception("DoNotRetryIOException", "Cell size 11534364 exceeds limit");
            if has_poison {
                Verdict::Rows((0..batch.rows).map(|place| (place, refused.clone())).collect())
            } else {
                Verdict::Done
            }
        });
    }
    assert!(calls <= 2 * 10 + 1, "{calls} calls");
    assert_eq!(world.applied.len(), 999, "what is acknowledged is not sent again");
    let Some(Err(WriteError::Refused { rows, key, .. })) = world.outcome(ticket) else { panic!("not refused") };
    assert_eq!((rows, key.as_str()), (vec![617], "k0617"));
    world.finish();
}

#[test]
fn a_refusal_of_everything_ends_after_few_calls() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], no_linger());
    let keys: Vec<String> = (0..4000).map(|row| format!("k{row:04}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ticket = world.push(&keys, 1, Holder::Caller);
    let mut calls = 0;
    while !world.calls.is_empty() {
        calls += 1;
        world.answer(0, |_| Verdict::Failed(exception("DoNotRetryIOException", "no"), Scope::Region));
    }
    assert!(calls < 200, "{calls} calls");
    let Some(Err(WriteError::Refused { rows, .. })) = world.outcome(ticket) else { panic!("not refused") };
    assert_eq!(rows.len(), 4000);
    world.finish();
}

#[test]
fn a_silent_server_does_not_hold_back_callers_of_others() {
    let config = WriterConfig { credit_bytes: 64 << 10, linger: Duration::ZERO, ..WriterConfig::default() };
    let mut world = World::new(&two_servers(), config);
    let keys = |first: char| -> Vec<String> { (0..20).map(|row| format!("{first}{row:02}")).collect() };
    let (silent, healthy) = (keys('a'), keys('q'));
    let silent: Vec<&str> = silent.iter().map(String::as_str).collect();
    let healthy: Vec<&str> = healthy.iter().map(String::as_str).collect();
    // Callers of the silent server go on until one of them has to wait.
    let mut submitted = 0;
    loop {
        let ticket = world.push(&silent, submitted, Holder::Writer);
        submitted += 1;
        if !world.is_admitted(ticket) {
            break;
        }
    }
    let held = world.state.credits.used();
    assert!(held <= (64 << 10) / 3, "one lane holds a third of the pool at most, here {held}");
    for version in 0..200 {
        let ticket = world.push(&healthy, version, Holder::Writer);
        assert!(world.is_admitted(ticket), "callers of the other server never wait");
        let call = world.calls.iter().position(|call| call.address == "b:1").expect("a call");
        world.answer(call, |_| Verdict::Done);
        assert_eq!(world.outcome(ticket).expect("done").expect("ok").rows, 20);
    }
    assert_eq!(world.state.credits.used(), held);
    world.finish();
}

#[test]
fn rows_that_join_a_lane_that_stands_still_let_their_block_go() {
    let mut world = World::new(&two_servers(), no_linger());
    world.push(&["a"], 1, Holder::Writer);
    world.push(&["b"], 1, Holder::Writer);
    world.pass(ms(500));
    world.push(&["b", "q"], 2, Holder::Writer);
    world.push(&["c", "q"], 3, Holder::Caller);
    let lane = world.state.tables[0].lanes.get(&b""[..]).expect("a lane");
    let whole = block(&["b", "q"], 2).bytes().len();
    let kept: Vec<usize> = lane.slices().map(Slice::kept_bytes).collect();
    assert_eq!(kept, [whole / 2, whole / 2, whole], "only a block that its caller keeps is kept");
    world.finish();
}

#[test]
fn a_cold_table_is_looked_up_once_and_cut_at_its_regions() {
    let mut world = World::new(&two_servers(), no_linger());
    world.believed.borrow_mut().clear();
    world.push(&["a", "h", "q"], 1, Holder::Caller);
    assert_eq!((world.calls.len(), world.look_ups.len()), (0, 1));
    world.believed.borrow_mut().extend(two_servers());
    world.answer_look_ups();
    let mut batches: Vec<_> =
        world.calls.iter().flat_map(|call| &call.batches).map(|batch| batch.region.name.clone()).collect();
    batches.sort();
    assert_eq!(batches, ["t,,1.", "t,g,2.", "t,p,3."]);
    world.finish();
}

#[test]
fn a_missing_table_fails_its_writes_at_once_and_leaves_nothing() {
    let mut world = World::new(&[], no_linger());
    let ticket = world.push(&["a"], 1, Holder::Caller);
    let (lane, _) = world.look_ups.pop().expect("a look-up");
    let missing = Error::TableMissing { table: "t".to_owned() };
    world.run(|state, now, known| state.located(&lane, Err(missing), (now, known)));
    let outcome = world.outcome(ticket).expect("done").expect_err("missing");
    assert!(matches!(outcome, WriteError::Failed { source: Error::TableMissing { .. }, .. }));
    world.finish();
}

#[test]
fn a_time_that_is_over_is_told_with_what_failed_last() {
    let mut world = World::new(&[region("", "", ("a:1", 1))], no_linger());
    let ticket = world.push(&["a"], 1, Holder::Caller);
    for _ in 0..200 {
        if world.calls.is_empty() {
            let at = world.state.next_wake().expect("something to wait for");
            world.pass(at.saturating_sub(world.now));
        } else {
            world.answer(0, |_| Verdict::Failed(exception("RegionTooBusyException", "full"), Scope::Region));
        }
        if world.state.tickets.is_empty() {
            break;
        }
    }
    let Some(Err(WriteError::Failed { source: Error::TimedOut { elapsed, tries, last }, .. })) = world.outcome(ticket)
    else {
        panic!("the write goes on")
    };
    assert!(elapsed <= ms(60_000) && tries > 10, "{elapsed:?} {tries}");
    assert!(last.expect("a cause").chain().contains("full"));
    world.finish();
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Event {
    Push(Vec<u8>, bool),
    Withdraw(usize),
    Answer(usize, u8, u64),
    LookUps,
    Pass(u64),
    Split(u8),
    Merge(usize),
    Move(usize, u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (prop::collection::btree_set(0_u8..26, 1..12), any::<bool>())
            .prop_map(|keys, | Event::Push(keys.0.into_iter().collect(), keys.1)),
        1 => (0_usize..8).prop_map(Event::Withdraw),
        8 => (0_usize..8, 0_u8..8, any::<u64>()).prop_map(|(call, fate, bits)| Event::Answer(call, fate, bits)),
        3 => Just(Event::LookUps),
        4 => (0_u64..400).prop_map(Event::Pass),
        1 => (0_u8..26).prop_map(Event::Split),
        1 => (0_usize..6).prop_map(Event::Merge),
        1 => (0_usize..6, 0_u8..3).prop_map(|(region, server)| Event::Move(region, server)),
    ]
}

fn key(letter: u8) -> String {
    char::from(b'a' + letter).to_string()
}

impl World {
    fn step(&mut self, event: Event, version: i64) -> Option<TicketId> {
        match event {
            Event::Push(keys, keeps) => {
                let keys: Vec<String> = keys.into_iter().map(key).collect();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                self.push(&keys, version, if keeps { Holder::Caller } else { Holder::Writer });
            }
            Event::Withdraw(write) => {
                let open = self.pending.iter().filter(|write| self.state.tickets.contains_key(&write.ticket));
                if let Some(ticket) = open.map(|write| write.ticket).nth(write) {
                    self.run(|state, now, _| state.withdraw(ticket, now));
                    return Some(ticket);
                }
            }
            Event::Answer(call, fate, bits) if !self.calls.is_empty() => {
                let call = call % self.calls.len();
                self.now += ms(bits % 50);
                self.answer(call, |batch| random_fate(batch, fate, bits));
            }
            Event::Answer(..) => {}
            Event::LookUps => self.answer_look_ups(),
            Event::Pass(time) => self.pass(ms(time)),
            Event::Split(letter) => self.split(&key(letter)),
            Event::Merge(at) => self.merge(at),
            Event::Move(at, server) => {
                self.next_id += 1;
                let count = self.regions.len();
                let region = &mut self.regions[at % count];
                *region = Arc::new(Region { server: format!("{server}:1"), ..(**region).clone() });
            }
        }
        None
    }

    fn split(&mut self, at: &str) {
        let Some(place) = self.regions.iter().position(|region| region.contains(at.as_bytes())) else { return };
        if &self.regions[place].start[..] == at.as_bytes() {
            return;
        }
        let parent = self.regions.remove(place);
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.next_id += 2;
        // No id is ever given twice, as in HBase.
        self.regions.push(region(&text(&parent.start), at, (&parent.server, self.next_id - 1)));
        self.regions.push(region(at, &text(&parent.end), ("c:1", self.next_id)));
    }

    fn merge(&mut self, at: usize) {
        self.regions.sort_by(|one, other| one.start.cmp(&other.start));
        if self.regions.len() < 2 {
            return;
        }
        let at = at % (self.regions.len() - 1);
        let (left, right) = (self.regions.remove(at), self.regions.remove(at));
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.next_id += 1;
        self.regions.push(region(&text(&left.start), &text(&right.end), (&left.server, self.next_id)));
    }
}

fn random_fate(batch: &Batch, fate: u8, bits: u64) -> Verdict {
    match fate {
        0 => Verdict::Failed(exception("CallQueueTooBigException", ""), Scope::Call),
        1 => Verdict::Failed(exception("RegionTooBusyException", ""), Scope::Region),
        2 => Verdict::Failed(Error::Call(CallError::TimedOut { waited: ms(9) }), Scope::Call),
        3 => {
            let fails = |place: &usize| bits >> (place % 64) & 1 == 1;
            let rows: Vec<_> = (0..batch.rows).filter(fails).collect();
            let rows: Vec<_> = rows.into_iter().map(|place| (place, exception("RegionTooBusyException", ""))).collect();
            if rows.is_empty() { Verdict::Done } else { Verdict::Rows(rows) }
        }
        4 => Verdict::Failed(exception("quotas.RpcThrottlingException", "x - wait 70ms"), Scope::Region),
        _ => Verdict::Done,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Random histories of writes, failures, splits, merges and moves: the sums hold after every step (`check`), in the
    /// end every write that was not withdrawn is whole, the newest version of every row was the last to arrive, and
    /// nothing is left behind.
    #[test]
    fn whatever_happens_rows_arrive_in_order_and_nothing_leaks(
        events in prop::collection::vec(event(), 1..120), pool in 100_usize..3000,
    ) {
        let config = WriterConfig { credit_bytes: pool, ..WriterConfig::default() };
        let mut world = World::new(&two_servers(), config);
        let mut withdrawn = Vec::new();
        for (version, event) in (1..).zip(events) {
            withdrawn.extend(world.step(event, version));
        }
        world.finish();
        let mut newest: BTreeMap<String, i64> = BTreeMap::new();
        for write in &mut world.pending {
            if withdrawn.contains(&write.ticket) {
                continue;
            }
            let outcome = write.done.try_recv();
            // A write may run out of time while the cluster is kept from answering; it says so.
            let Ok(Ok(report)) = outcome else {
                prop_assert!(matches!(outcome, Ok(Err(WriteError::Failed { .. }))), "{:?}", outcome);
                continue;
            };
            prop_assert_eq!(report.rows, write.keys.len() as u64);
            for key in &write.keys {
                let newest = newest.entry(key.clone()).or_insert(write.version);
                *newest = (*newest).max(write.version);
            }
        }
        for (key, version) in newest {
            let arrived: Vec<i64> = world.applied.iter().filter(|row| row.0 == key).map(|row| row.1).collect();
            let last = arrived.last().copied();
            prop_assert!(last >= Some(version), "row {}: {:?}, wanted {}", key, arrived, version);
        }
    }
}
