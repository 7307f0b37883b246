use super::*;

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: Arc::from("chat.messages"), partition: number }
}

fn span(start: i64, end: i64) -> Span {
    Span::new(Offset(start), Offset(end)).expect("not empty")
}

fn ledger() -> Ledger {
    Ledger::new(vec![Arc::from("blue"), Arc::from("green")])
}

fn committed(offset: i64) -> SinkStart {
    SinkStart { durable: Offset(offset), committed: Some(Offset(offset)) }
}

const BLUE: usize = 0;
const GREEN: usize = 1;

#[test]
fn group_position_is_the_minimum_and_names_every_sink() {
    let ledger = ledger();
    let epoch = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    let first = ledger.begin(&partition(0), epoch, span(0, 10)).expect("held");
    let second = ledger.begin(&partition(0), epoch, span(10, 20)).expect("held");
    ledger.complete(&first, BLUE, Some(1));
    ledger.complete(&second, BLUE, Some(2));
    ledger.complete(&first, GREEN, Some(1));
    let plan = ledger.commit_plan(Duration::ZERO, None);
    assert_eq!(
        plan.group,
        [GroupCommit { partition: partition(0), epoch, offset: Offset(10), metadata: "blue=20,green=10".to_owned() }]
    );
    let offsets: Vec<Vec<i64>> =
        plan.sinks.iter().map(|commits| commits.iter().map(|commit| commit.offset.0).collect()).collect();
    assert_eq!(offsets, [[20], [10]]);
}

#[test]
fn a_start_that_was_never_committed_is_committed_before_anything_is_read() {
    // Otherwise a start at `latest` would be resolved anew after a crash, and leave a gap.
    let ledger = ledger();
    let fresh = SinkStart { durable: Offset(7), committed: None };
    ledger.assign(&partition(0), Offset(7), &[fresh, committed(7)]);
    let plan = ledger.commit_plan(Duration::ZERO, None);
    assert_eq!(plan.sinks.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn late_completions_of_a_revoked_partition_are_refused() {
    let ledger = ledger();
    let old = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    let late = ledger.begin(&partition(0), old, span(0, 10)).expect("held");
    ledger.revoke(&partition(0), old);
    let new = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    ledger.complete(&late, BLUE, None);
    ledger.complete(&late, GREEN, None);
    assert!(!ledger.holds(&partition(0), old));
    assert!(ledger.holds(&partition(0), new));
    assert_eq!(ledger.begin(&partition(0), old, span(10, 20)).expect_err("revoked"), BeginError::Revoked);
    assert!(ledger.view().iter().all(|view| view.sinks.iter().all(|sink| sink.durable == Offset(0))));
}

#[test]
fn a_revocation_of_an_old_tenure_does_not_end_the_new_one() {
    let ledger = ledger();
    let old = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    let new = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    ledger.revoke(&partition(0), old);
    assert!(ledger.holds(&partition(0), new));
}

#[test]
fn commits_are_noted_once_and_repeated_only_as_heartbeat() {
    let ledger = ledger();
    let epoch = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    let ticket = ledger.begin(&partition(0), epoch, span(0, 10)).expect("held");
    ledger.complete(&ticket, BLUE, None);
    ledger.complete(&ticket, GREEN, None);
    let now = Duration::from_secs(1);
    let plan = ledger.commit_plan(now, None);
    ledger.group_committed(&plan.group);
    ledger.sink_committed(BLUE, &plan.sinks[BLUE], now);
    ledger.sink_committed(GREEN, &plan.sinks[GREEN], now);
    assert!(ledger.commit_plan(now, None).is_empty());
    let later = ledger.commit_plan(now + HEARTBEAT_COMMIT, None);
    assert_eq!((later.group.len(), later.sinks[BLUE].len(), later.sinks[GREEN].len()), (1, 1, 1));
}

#[test]
fn a_sink_ahead_of_the_others_does_not_want_what_it_has() {
    let ledger = ledger();
    let epoch = ledger.assign(&partition(0), Offset(5), &[committed(20), committed(5)]);
    let ticket = ledger.begin(&partition(0), epoch, span(5, 15)).expect("held");
    assert!(!ticket.wanted.contains(BLUE));
    assert!(ticket.wanted.contains(GREEN));
    let across = ledger.begin(&partition(0), epoch, span(15, 25)).expect("held");
    assert!(across.wanted.contains(BLUE));
}

#[test]
fn dead_letters_hold_every_sink_back() {
    let ledger = ledger();
    let epoch = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    let ticket = ledger.begin(&partition(0), epoch, span(0, 10)).expect("held");
    ledger.add_part(&ticket);
    ledger.complete(&ticket, BLUE, None);
    assert_eq!(ledger.view()[0].sinks[BLUE].durable, Offset(0));
    ledger.complete(&ticket, BLUE, None);
    assert_eq!(ledger.view()[0].sinks[BLUE].durable, Offset(10));
}

#[test]
fn an_offset_is_reached_when_the_fastest_sink_has_everything_below() {
    let ledger = ledger();
    let epoch = ledger.assign(&partition(0), Offset(0), &[committed(0), committed(0)]);
    let first = ledger.begin(&partition(0), epoch, span(0, 10)).expect("held");
    let second = ledger.begin(&partition(0), epoch, span(10, 20)).expect("held");
    let reached = |offset| ledger.has_reached(&partition(0), epoch, Offset(offset));
    assert_eq!((reached(0), reached(10)), (true, false));
    ledger.complete(&second, GREEN, None);
    assert!(!reached(10));
    ledger.complete(&first, GREEN, None);
    assert_eq!((reached(10), reached(20), reached(21)), (true, true, false));
    ledger.revoke(&partition(0), epoch);
    assert!(!reached(0));
}
