use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::progress::ledger::{Ledger, SinkStart};

const BLUE: usize = 0;
const GREEN: usize = 1;

fn partition() -> TopicPartition {
    TopicPartition { topic: Arc::from("chat.messages"), partition: 0 }
}

fn span(start: i64, end: i64) -> Span {
    Span::new(Offset(start), Offset(end)).expect("not empty")
}

fn start(offset: i64) -> SinkStart {
    SinkStart { durable: Offset(offset), committed: Some(Offset(offset)) }
}

fn ledger() -> (Ledger, Epoch) {
    let ledger = Ledger::new(vec![Arc::from("blue"), Arc::from("green")]);
    let epoch = ledger.assign(&partition(), Offset(0), &[start(0), start(0)]);
    (ledger, epoch)
}

fn durable(ledger: &Ledger, sink: usize) -> i64 {
    ledger.view()[0].sinks[sink].durable.0
}

#[test]
fn a_cut_sink_no_longer_holds_the_group_and_keeps_its_offset() {
    let (ledger, epoch) = ledger();
    let first = ledger.begin(&partition(), epoch, span(0, 10)).expect("held");
    ledger.complete(&first, BLUE, None);
    ledger.complete(&first, GREEN, None);
    let second = ledger.begin(&partition(), epoch, span(10, 20)).expect("held");
    ledger.complete(&second, BLUE, None);
    ledger.cut(GREEN);
    assert!(!ledger.wants(&second, GREEN));
    ledger.complete(&second, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 10, "what was announced before the cut does not count");
    let plan = ledger.commit_plan(Duration::ZERO, None);
    assert_eq!((plan.group[0].offset.0, plan.group[0].metadata.as_str()), (20, "blue=20,green=10"));
    let third = ledger.begin(&partition(), epoch, span(20, 30)).expect("held");
    assert!(!third.wanted.contains(GREEN));
}

#[test]
fn a_sink_that_comes_back_does_not_take_the_group_back() {
    let (ledger, epoch) = ledger();
    ledger.cut(GREEN);
    let shared = ledger.begin(&partition(), epoch, span(0, 100)).expect("held");
    ledger.complete(&shared, BLUE, None);
    let plan = ledger.commit_plan(Duration::ZERO, None);
    ledger.group_committed(&plan.group);
    let private = ledger.take_private(GREEN, |_, _| false).remove(0);
    assert_eq!(private.next, Offset(0));
    let (ticket, joined) =
        ledger.begin_private(GREEN, (&partition(), private.epoch), span(0, 100), true).expect("its feed");
    assert!(joined);
    assert_eq!(ledger.standing(GREEN), Standing { partitions: 1, shared: 1, is_idle: false, lag: 100 });
    assert!(ledger.commit_plan(Duration::ZERO, None).group.iter().all(|commit| commit.offset == Offset(100)));
    let next = ledger.begin(&partition(), epoch, span(100, 110)).expect("held");
    assert!(next.wanted.contains(GREEN), "the shared read goes on exactly where the private reader stopped");
    ledger.complete(&next, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 0, "the last private span is still on its way");
    ledger.complete(&ticket, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 110);
}

#[test]
fn late_completions_of_an_earlier_attachment_are_refused() {
    // An old ticket of the shared read starts where a span of the private reader does: the one must not stand for the other.
    let (ledger, epoch) = ledger();
    let old = ledger.begin(&partition(), epoch, span(0, 10)).expect("held");
    ledger.cut(GREEN);
    let private = ledger.take_private(GREEN, |_, _| false).remove(0);
    let begun = ledger.begin_private(GREEN, (&partition(), private.epoch), span(0, 10), true);
    let (ticket, joined) = begun.expect("its feed");
    assert!(joined && ticket.wanted.contains(GREEN));
    ledger.complete(&old, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 0);
    ledger.complete(&ticket, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 10);
}

#[test]
fn a_second_private_reader_ends_the_first_ones_feed() {
    let (ledger, _) = ledger();
    ledger.cut(GREEN);
    let first = ledger.take_private(GREEN, |_, _| false).remove(0);
    assert!(ledger.take_private(GREEN, |_, epoch| epoch == first.epoch).is_empty(), "it has it");
    let second = ledger.take_private(GREEN, |_, _| false).remove(0);
    let late = ledger.begin_private(GREEN, (&partition(), first.epoch), span(0, 5), false);
    assert_eq!(late.expect_err("its feed is over"), BeginError::Revoked);
    assert!(ledger.begin_private(GREEN, (&partition(), second.epoch), span(0, 5), false).is_ok());
}

#[test]
fn a_private_reader_ahead_of_the_shared_read_hands_over_when_nothing_is_on_its_way() {
    let (ledger, epoch) = ledger();
    ledger.cut(GREEN);
    let private = ledger.take_private(GREEN, |_, _| false).remove(0);
    let begun = ledger.begin_private(GREEN, (&partition(), private.epoch), span(0, 50), false);
    let (ticket, _) = begun.expect("its feed");
    assert!(!ledger.join(GREEN, &partition(), private.epoch), "its span is on its way");
    ledger.complete(&ticket, GREEN, None);
    assert!(ledger.join(GREEN, &partition(), private.epoch));
    let over = ledger.begin(&partition(), epoch, span(0, 60)).expect("held");
    ledger.complete(&ticket, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 50, "a span of the private reader does not stand for one of the shared read");
    ledger.complete(&over, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 60);
}

#[test]
fn a_sink_ahead_of_the_shared_read_wants_only_what_it_has_not() {
    let (ledger, epoch) = ledger();
    ledger.cut(GREEN);
    let private = ledger.take_private(GREEN, |_, _| false).remove(0);
    let begun = ledger.begin_private(GREEN, (&partition(), private.epoch), span(0, 50), false);
    ledger.complete(&begun.expect("its feed").0, GREEN, None);
    assert!(ledger.join(GREEN, &partition(), private.epoch));
    let behind = ledger.begin(&partition(), epoch, span(0, 40)).expect("held");
    assert!(!behind.wanted.contains(GREEN), "it has that already");
    let across = ledger.begin(&partition(), epoch, span(40, 60)).expect("held");
    assert!(across.wanted.contains(GREEN));
    ledger.complete(&across, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 60);
}

#[test]
fn a_revoked_partition_ends_private_feeds_too() {
    let (ledger, epoch) = ledger();
    ledger.cut(GREEN);
    let private = ledger.take_private(GREEN, |_, _| false).remove(0);
    let (ticket, _) = ledger.begin_private(GREEN, (&partition(), private.epoch), span(0, 5), false).expect("its feed");
    ledger.revoke(&partition(), epoch);
    assert!(!ledger.wants(&ticket, GREEN));
    assert_eq!(ledger.private_place(GREEN, &partition(), private.epoch), None);
    ledger.assign(&partition(), Offset(0), &[start(0), start(0)]);
    ledger.complete(&ticket, GREEN, None);
    assert_eq!(durable(&ledger, GREEN), 0);
}

#[test]
fn a_closed_sink_finishes_what_it_has_and_gets_nothing_new() {
    let (ledger, epoch) = ledger();
    let first = ledger.begin(&partition(), epoch, span(0, 10)).expect("held");
    ledger.close(GREEN);
    let second = ledger.begin(&partition(), epoch, span(10, 20)).expect("held");
    assert!(!second.wanted.contains(GREEN));
    assert!(!ledger.standing(GREEN).is_idle);
    ledger.complete(&first, GREEN, None);
    assert!(ledger.standing(GREEN).is_idle);
    assert_eq!(durable(&ledger, GREEN), 10);
}

#[derive(Clone, Debug)]
enum Step {
    Shared(i64),
    Private { sink: usize, length: i64, join: bool, cap: bool },
    Complete { ticket: prop::sample::Index, sink: usize },
    Cut(usize),
    Take(usize),
    Join(usize),
    Close(usize),
    Commit,
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    let sink = 0_usize..2;
    prop_oneof![
        6 => (1_i64..6).prop_map(Step::Shared),
        6 => (sink.clone(), 1_i64..9, any::<bool>(), any::<bool>())
            .prop_map(|(sink, length, join, cap)| Step::Private { sink, length, join, cap }),
        12 => (any::<prop::sample::Index>(), sink.clone()).prop_map(|(ticket, sink)| Step::Complete { ticket, sink }),
        2 => sink.clone().prop_map(Step::Cut),
        3 => sink.clone().prop_map(Step::Take),
        2 => sink.clone().prop_map(Step::Join),
        1 => sink.prop_map(Step::Close),
        3 => Just(Step::Commit),
        1 => Just(Step::Move),
    ]
}

/// The naive model knows only what really became durable: the set of offsets of every ticket that a sink completed,
/// however late. The ledger may claim less, never more.
#[derive(Default)]
struct World {
    really: [BTreeSet<i64>; 2],
    claimed: [i64; 2],
    group: i64,
    tickets: Vec<Ticket>,
    private: [Option<Epoch>; 2],
    shared_next: i64,
}

impl World {
    fn check(&mut self, ledger: &Ledger) {
        for sink in [BLUE, GREEN] {
            let claim = durable(ledger, sink);
            assert!(claim >= self.claimed[sink], "sink {sink} went back from {} to {claim}", self.claimed[sink]);
            let truth = (0..).find(|offset| !self.really[sink].contains(offset)).expect("endless");
            assert!(claim <= truth, "sink {sink} claims {claim}, but {truth} is not there");
            self.claimed[sink] = claim;
        }
    }

    fn complete(&mut self, ledger: &Ledger, ticket: &Ticket, sink: usize) {
        self.really[sink].extend(ticket.span.start().0..ticket.span.end().0);
        ledger.complete(ticket, sink, None);
    }

    fn act(&mut self, ledger: &Ledger, epoch: &mut Epoch, step: Step) {
        match step {
            Step::Shared(length) => {
                let next = span(self.shared_next, self.shared_next + length);
                self.tickets.push(ledger.begin(&partition(), *epoch, next).expect("no gap"));
                self.shared_next += length;
            }
            Step::Private { sink, length, join, cap } => {
                let Some(private) = self.private[sink] else { return };
                let Some(place) = ledger.private_place(sink, &partition(), private) else { return };
                let end = place.next.0 + length;
                let end = if cap { end.min(place.shared_next.0) } else { end };
                if end > place.next.0 {
                    let begun = ledger.begin_private(sink, (&partition(), private), span(place.next.0, end), join);
                    let (ticket, joined) = begun.expect("its feed");
                    assert_eq!(joined, join && end == self.shared_next);
                    self.tickets.push(ticket);
                }
            }
            Step::Complete { ticket, sink } if !self.tickets.is_empty() => {
                let ticket = self.tickets[ticket.index(self.tickets.len())].clone();
                if ticket.wanted.contains(sink) {
                    self.complete(ledger, &ticket, sink);
                }
            }
            Step::Complete { .. } => {}
            Step::Cut(sink) => ledger.cut(sink),
            Step::Take(sink) => {
                for start in ledger.take_private(sink, |_, epoch| self.private[sink] == Some(epoch)) {
                    self.private[sink] = Some(start.epoch);
                }
            }
            Step::Join(sink) => {
                if let Some(private) = self.private[sink] {
                    ledger.join(sink, &partition(), private);
                }
            }
            Step::Close(sink) => ledger.close(sink),
            Step::Commit => {
                let plan = ledger.commit_plan(Duration::ZERO, None);
                for commit in &plan.group {
                    assert!(commit.offset.0 >= self.group, "the group went back");
                    self.group = commit.offset.0;
                }
                ledger.group_committed(&plan.group);
                for (sink, commits) in plan.sinks.iter().enumerate() {
                    ledger.sink_committed(sink, commits, Duration::ZERO);
                }
            }
            Step::Move => {
                // Revoked and assigned again: what was durable is where the sinks' groups are.
                let starts = self.claimed.map(start);
                ledger.revoke(&partition(), *epoch);
                self.shared_next = *self.claimed.iter().min().expect("two sinks");
                *epoch = ledger.assign(&partition(), Offset(self.shared_next), &starts);
                self.group = 0;
            }
        }
    }
}

proptest! {
    #[test]
    fn no_interleaving_of_feeds_leaves_a_gap_or_goes_back(steps in prop::collection::vec(step(), 1..120)) {
        let (ledger, mut epoch) = ledger();
        let mut world = World::default();
        for step in steps {
            world.act(&ledger, &mut epoch, step);
            world.check(&ledger);
        }
        // Whatever happened: once all that the ledger wants is done, every sink has all that was announced to it.
        for ticket in std::mem::take(&mut world.tickets) {
            for sink in [BLUE, GREEN] {
                if ledger.wants(&ticket, sink) {
                    world.complete(&ledger, &ticket, sink);
                    world.check(&ledger);
                }
            }
        }
        for sink in [BLUE, GREEN] {
            prop_assert!(ledger.standing(sink).is_idle);
            let place = world.private[sink].and_then(|epoch| ledger.private_place(sink, &partition(), epoch));
            if let Some(place) = place {
                prop_assert_eq!(durable(&ledger, sink), place.next.0);
            }
        }
    }
}
