use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn partition() -> TopicPartition {
    TopicPartition { topic: Arc::from("chat.messages"), partition: 3 }
}

fn id(number: i64) -> Option<TopicId> {
    TopicId::new(0, number)
}

fn committed(offset: i64) -> Option<Committed> {
    Some(Committed { offset: Offset(offset), topic: id(1) })
}

fn facts<'a>(partition: &'a TopicPartition, start: Option<&'a Start>) -> StartFacts<'a> {
    StartFacts {
        partition,
        sink: "green",
        committed: None,
        has_history: false,
        remembered: None,
        start,
        log: LogRange { low: Offset(100), high: Offset(200) },
        topic: id(1),
        at_time: None,
        other: None,
        accepted: &[],
    }
}

fn decided(facts: &StartFacts<'_>) -> (i64, Why) {
    let decision = resolve(facts).expect("a start");
    (decision.start.durable.0, decision.why)
}

#[test]
fn a_committed_offset_wins_over_start_and_over_what_is_remembered() {
    let partition = partition();
    let facts = StartFacts {
        committed: committed(150),
        has_history: true,
        remembered: Some(Offset(120)),
        ..facts(&partition, Some(&Start::Earliest))
    };
    let start = SinkStart { durable: Offset(150), committed: Some(Offset(150)) };
    assert_eq!(resolve(&facts), Ok(Decision { start, why: Why::Committed }));
}

#[test]
fn every_form_of_start_is_obeyed() {
    let partition = partition();
    assert_eq!(decided(&facts(&partition, Some(&Start::Earliest))), (100, Why::Earliest));
    assert_eq!(decided(&facts(&partition, Some(&Start::Latest))), (200, Why::Latest));
    let time = Start::Time(0);
    let at = |offset| StartFacts { at_time: Some(Offset(offset)), ..facts(&partition, Some(&time)) };
    assert_eq!(decided(&at(130)), (130, Why::Time));
    assert_eq!(decided(&facts(&partition, Some(&time))), (200, Why::TimePassed));
    let named = Start::Offsets([(3, 120)].into());
    assert_eq!(decided(&facts(&partition, Some(&named))), (120, Why::Offsets));
    let other = Start::Offsets([(4, 120)].into());
    assert_eq!(decided(&facts(&partition, Some(&other))), (100, Why::OffsetsNotNamed));
    let sink = Start::Sink("blue".to_owned());
    assert_eq!(decided(&StartFacts { other: Some(Offset(170)), ..facts(&partition, Some(&sink)) }), (170, Why::Sink));
}

#[test]
fn a_partition_added_later_starts_at_its_beginning_whatever_start_says() {
    let partition = partition();
    for start in [None, Some(Start::Latest), Some(Start::Time(5)), Some(Start::Offsets([(3, 150)].into()))] {
        let facts = StartFacts { has_history: true, ..facts(&partition, start.as_ref()) };
        assert_eq!(decided(&facts), (100, Why::AddedLater), "{start:?}");
    }
}

#[test]
fn one_expired_offset_is_taken_from_what_the_membership_group_remembers() {
    let partition = partition();
    let facts =
        StartFacts { has_history: true, remembered: Some(Offset(160)), ..facts(&partition, Some(&Start::Latest)) };
    assert_eq!(decided(&facts), (160, Why::Remembered));
}

#[test]
fn a_group_that_is_gone_altogether_is_the_operators_to_decide() {
    let partition = partition();
    let facts = StartFacts { remembered: Some(Offset(160)), ..facts(&partition, Some(&Start::Earliest)) };
    let error = resolve(&facts).expect_err("expired or deleted");
    assert!(error.is_policy());
    assert!(error.to_string().contains("it stood at 160; go on there with `halcyon offsets set"), "{error}");
}

#[test]
fn a_first_start_without_start_is_refused() {
    let partition = partition();
    let error = resolve(&facts(&partition, None)).expect_err("no start");
    assert!(!error.is_policy());
    assert!(error.to_string().contains("chat.messages[3]"), "{error}");
}

#[test]
fn a_range_removed_by_retention_is_named_until_exactly_it_is_accepted() {
    let partition = partition();
    let lost = StartFacts { committed: committed(40), has_history: true, ..facts(&partition, None) };
    let error = resolve(&lost).expect_err("lost");
    assert!(error.is_policy());
    assert!(error.to_string().starts_with("chat.messages[3]: offsets 40..100 were removed"), "{error}");
    assert!(error.to_string().ends_with("--accept-loss chat.messages/3=40..100"), "{error}");
    let smaller = ["chat.messages/3=41..100".parse().expect("a range")];
    assert_eq!(resolve(&StartFacts { accepted: &smaller, ..lost.clone() }), Err(error));
    let whole = ["chat.messages/3=40..100".parse().expect("a range")];
    let start = SinkStart { durable: Offset(100), committed: Some(Offset(40)) };
    let decision = Decision { start, why: Why::Accepted { from: Offset(40) } };
    assert_eq!(resolve(&StartFacts { accepted: &whole, ..lost }), Ok(decision));
}

#[test]
fn an_offset_of_a_topic_that_was_made_anew_is_refused_even_where_the_new_log_has_it() {
    let partition = partition();
    let old = StartFacts { committed: committed(150), topic: id(2), ..facts(&partition, None) };
    let error = resolve(&old).expect_err("another topic");
    assert!(error.is_policy());
    assert!(error.to_string().contains("was deleted and made anew"), "{error}");
    let unknown = Some(Committed { offset: Offset(150), topic: None });
    assert_eq!(decided(&StartFacts { committed: unknown, ..old.clone() }), (150, Why::Committed));
    assert_eq!(decided(&StartFacts { topic: None, ..old }), (150, Why::Committed));
}

#[test]
fn a_log_that_became_shorter_is_refused() {
    let partition = partition();
    let error = resolve(&StartFacts { committed: committed(201), ..facts(&partition, None) }).expect_err("beyond");
    assert!(matches!(error, StartError::Beyond { .. }) && error.is_policy());
}

#[test]
fn a_start_behind_the_end_is_a_mistake_of_the_topology() {
    let partition = partition();
    let start = Start::Offsets([(3, 201)].into());
    let error = resolve(&facts(&partition, Some(&start))).expect_err("past the end");
    assert!(matches!(error, StartError::PastEnd { .. }) && !error.is_policy());
}

prop_compose! {
    fn any_start()(kind in 0..6_u8, offset in 0..300_i64) -> Option<Start> {
        match kind {
            0 => None,
            1 => Some(Start::Earliest),
            2 => Some(Start::Latest),
            3 => Some(Start::Time(offset)),
            4 => Some(Start::Offsets([(3, offset)].into())),
            _ => Some(Start::Sink("blue".to_owned())),
        }
    }
}

proptest! {
    /// Whatever the facts: a start lies within the log, and nothing between a commit and the start is jumped over unless it
    /// was removed and given up.
    #[test]
    fn no_fact_makes_a_gap(
        start in any_start(),
        offsets in [prop::option::of(0..300_i64), prop::option::of(0..300_i64), prop::option::of(0..300_i64), prop::option::of(0..300_i64)],
        (low, records) in (0..200_i64, 0..100_i64),
        flags in any::<[bool; 3]>(),
    ) {
        let partition = partition();
        let [commit, remembered, at_time, other] = offsets.map(|offset| offset.map(Offset));
        let [has_history, same_topic, accepts] = flags;
        let all = ["chat.messages/3=0..1000".parse().expect("a range")];
        let facts = StartFacts {
            committed: commit.map(|offset| Committed { offset, topic: id(1) }),
            has_history: has_history || commit.is_some(),
            remembered,
            log: LogRange { low: Offset(low), high: Offset(low + records) },
            topic: id(if same_topic { 1 } else { 2 }),
            at_time,
            other,
            accepted: if accepts { &all } else { &[] },
            ..facts(&partition, start.as_ref())
        };
        if let Ok(Decision { start, why }) = resolve(&facts) {
            prop_assert!(facts.log.low <= start.durable && start.durable <= facts.log.high);
            prop_assert_eq!(start.committed, commit);
            if let Some(commit) = commit {
                prop_assert!(same_topic);
                let jumped = start.durable != commit;
                prop_assert_eq!(jumped, matches!(why, Why::Accepted { .. }));
                prop_assert!(!jumped || (accepts && commit < facts.log.low && start.durable == facts.log.low));
            } else if facts.has_history && remembered.is_none() {
                prop_assert_eq!(start.durable, facts.log.low);
            }
        }
    }
}
