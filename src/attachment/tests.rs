use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn policy() -> Policy {
    Policy { patience: Duration::from_secs(60), ..Policy::within(64 * MIB) }
}

/// A sink on the shared read of four partitions, beside another one that waits for more.
fn facts() -> Facts {
    Facts {
        health: SinkState::Healthy,
        window_bytes: MIB,
        finished: 1,
        partitions: 4,
        shared: 4,
        is_idle: false,
        others_window_bytes: Some(MIB),
        compacted: None,
        lost: None,
        has_reader: false,
    }
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn detached() -> Attachment {
    let mut sink = Attachment::new(policy());
    let full = Facts { window_bytes: 40 * MIB, ..facts() };
    assert_eq!(sink.step(at(0.0), &full), Order::Keep);
    assert_eq!(sink.step(at(1.0), &full), Order::Cut(Some(Cause::Window)));
    sink
}

#[test]
fn a_sink_that_holds_the_window_for_a_moment_stays() {
    let mut sink = Attachment::new(policy());
    let full = Facts { window_bytes: 40 * MIB, ..facts() };
    assert_eq!(sink.step(at(0.0), &full), Order::Keep);
    assert_eq!(sink.step(at(0.9), &full), Order::Keep);
    assert_eq!(sink.step(at(1.0), &facts()), Order::Keep);
    assert_eq!(sink.step(at(1.5), &full), Order::Keep);
    assert_eq!(sink.state(), State::Healthy);
}

#[test]
fn a_sink_that_holds_the_window_is_detached_and_says_why() {
    let sink = detached();
    assert_eq!(sink.state(), State::Detached);
    let reason = sink.reason().expect("a reason");
    assert!(reason.starts_with("it held 40.0 MiB of the shared window (its share is 32.0 MiB)"), "{reason}");
    assert!(sink.wants_reader() && !sink.may_join() && !sink.is_eligible());
}

#[test]
fn a_sink_comes_back_only_after_it_proved_itself() {
    let mut sink = detached();
    let out = Facts { shared: 0, window_bytes: 0, has_reader: true, ..facts() };
    sink.step(at(1.1), &out);
    assert_eq!(sink.state(), State::Detached, "it is idle, but nothing got through yet");
    assert!(!sink.may_join());
    let proved = Facts { finished: 2, ..out.clone() };
    sink.step(at(2.0), &proved);
    assert!(sink.state() == State::CatchingUp && sink.may_join());
    sink.step(at(7.0), &proved);
    assert_eq!(sink.state(), State::Detached, "it stalls again");
    sink.step(at(7.1), &Facts { finished: 3, ..out });
    sink.step(at(7.2), &Facts { finished: 3, ..facts() });
    assert_eq!((sink.state(), sink.reason(), sink.since()), (State::Healthy, None, at(7.2)));
}

#[test]
fn a_sink_that_finishes_nothing_for_its_patience_is_detached() {
    let mut sink = Attachment::new(policy());
    let down = Facts { health: SinkState::Degraded { reason: "no route".to_owned() }, ..facts() };
    sink.step(at(0.0), &down);
    assert_eq!(sink.step(at(59.9), &down), Order::Keep);
    assert_eq!(sink.state(), State::Degraded);
    assert_eq!(sink.step(at(60.0), &down), Order::Cut(Some(Cause::Stalled)));
    assert_eq!(sink.reason(), Some("it finished nothing for 60 s; no route"));
}

#[test]
fn the_last_sink_of_the_shared_read_is_never_detached_by_itself() {
    let mut sink = Attachment::new(policy());
    let alone = Facts { window_bytes: 64 * MIB, others_window_bytes: None, ..facts() };
    for second in 0..600 {
        assert_eq!(sink.step(at(f64::from(second)), &alone), Order::Keep);
    }
}

#[test]
fn on_a_compacted_topic_a_sink_is_detached_loudly_or_not_at_all() {
    let compacted = Facts { window_bytes: 40 * MIB, compacted: Some("chat.rooms".to_owned()), ..facts() };
    let mut loud = Attachment::new(policy());
    loud.step(at(0.0), &compacted);
    loud.step(at(1.0), &compacted);
    assert!(loud.reason().is_some_and(|reason| reason.contains("topic chat.rooms is compacted")));
    let mut waits = Attachment::new(Policy { compacted: Compacted::Wait, ..policy() });
    for second in 0..600 {
        assert_eq!(waits.step(at(f64::from(second)), &compacted), Order::Keep);
    }
    assert!(waits.reason().is_some_and(|reason| reason.contains("`compacted` is \"wait\"")));
}

#[test]
fn a_lost_range_fails_the_sink_and_nothing_else() {
    let mut sink = detached();
    sink.step(at(2.0), &Facts { shared: 0, lost: Some("offsets 5..9 were removed".to_owned()), ..facts() });
    assert_eq!((sink.state(), sink.reason()), (State::Failed, Some("offsets 5..9 were removed")));
    assert!(!sink.wants_reader() && !sink.may_join());
}

#[test]
fn what_the_operator_asks_for_lasts_until_the_operator_undoes_it() {
    let mut sink = Attachment::new(policy());
    sink.step(at(0.0), &facts());
    let out = Facts { shared: 0, window_bytes: 0, is_idle: true, finished: 9, has_reader: true, ..facts() };
    assert_eq!(sink.command(at(1.0), Command::Detach, &facts()), Order::Cut(Some(Cause::Operator)));
    sink.step(at(2.0), &out);
    assert!(sink.wants_reader() && !sink.may_join() && !sink.wants_attach());
    assert_eq!(sink.command(at(3.0), Command::Pause, &out), Order::Cut(None));
    sink.step(at(4.0), &out);
    assert!(sink.state() == State::Paused && !sink.wants_reader());
    assert_eq!(sink.command(at(5.0), Command::Attach, &out), Order::Cut(None));
    sink.step(at(5.1), &out);
    assert!(sink.state() == State::CatchingUp && sink.may_join());
    assert_eq!(sink.command(at(6.0), Command::Drain, &facts()), Order::Close);
    sink.step(at(6.1), &facts());
    assert_eq!(sink.reason(), Some("draining for the operator: 1.0 MiB left"));
    assert_eq!(sink.step(at(6.2), &Facts { window_bytes: 0, is_idle: true, ..facts() }), Order::Cut(None));
    assert_eq!(sink.state(), State::Drained);
    assert_eq!(sink.command(at(7.0), Command::Resume, &out), Order::Cut(None));
    sink.step(at(7.1), &out);
    assert!(sink.may_join());
}

#[test]
fn a_sink_far_behind_at_the_start_reads_for_itself() {
    let mut sink = Attachment::new(policy());
    let behind = Facts { shared: 0, has_reader: true, is_idle: true, health: SinkState::Starting, ..facts() };
    assert_eq!(sink.step(at(0.0), &behind), Order::Keep);
    sink.step(at(0.1), &behind);
    assert_eq!(sink.state(), State::CatchingUp, "it has nothing to prove");
}

#[derive(Clone, Debug)]
enum Event {
    Look(Facts),
    Ask(Command),
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let health = prop_oneof![
        1 => Just(SinkState::Starting),
        4 => Just(SinkState::Healthy),
        1 => Just(SinkState::Degraded { reason: "no route".to_owned() }),
    ];
    let others = prop::option::weighted(0.8, 0_u64..40);
    let shape =
        (0_usize..3, 0_usize..3, any::<bool>(), any::<bool>(), prop::option::weighted(0.05, Just("lost".to_owned())));
    (health, 0_u64..60, 0_u64..4, others, shape).prop_map(|(health, window, finished, others, shape)| {
        let (partitions, shared, is_idle, has_reader, lost) = shape;
        Facts {
            health,
            window_bytes: window * MIB,
            finished,
            partitions,
            shared: shared.min(partitions),
            is_idle,
            others_window_bytes: others.map(|bytes| bytes * MIB),
            compacted: None,
            lost,
            has_reader,
        }
    })
}

fn any_event() -> impl Strategy<Value = (u64, Event)> {
    let ask = prop::sample::select(&Command::ALL[..]).prop_map(Event::Ask);
    (0_u64..3_000, prop_oneof![8 => any_facts().prop_map(Event::Look), 1 => ask])
}

/// The naive model: everything that was seen, looked through from the start each time.
#[derive(Default)]
struct Seen {
    /// Since the sink left last.
    looks: Vec<(Duration, Facts)>,
    /// The same, with the look at which it left.
    quiet: Vec<(Duration, Facts)>,
    hold: Option<Command>,
}

impl Seen {
    /// Whether the window was held at every look of the last second.
    fn holds_window(&self, now: Duration, window_bytes: u64) -> bool {
        let holds = |facts: &Facts| {
            facts.window_bytes > window_bytes
                && facts.shared > 0
                && facts.lost.is_none()
                && facts.others_window_bytes.is_some_and(|others| others <= facts.window_bytes / 2)
        };
        let run: Vec<_> = self.looks.iter().rev().take_while(|(_, facts)| holds(facts)).collect();
        run.last().is_some_and(|(since, _)| now - *since >= HOLD)
    }

    /// Whether there is something to finish, and nothing was for this long.
    fn stalls(&self, now: Duration, patience: Duration) -> bool {
        let Some(((began, _), (_, last))) = self.quiet.first().zip(self.quiet.last()) else { return false };
        let moves = |pair: &&[(Duration, Facts)]| pair[1].1.is_idle || pair[1].1.finished != pair[0].1.finished;
        let moved = self.quiet.windows(2).rev().find(moves).map_or(*began, |pair| pair[1].0);
        !last.is_idle && now - moved >= patience
    }
}

proptest! {
    #[test]
    fn a_sink_leaves_for_a_stated_cause_only(events in prop::collection::vec(any_event(), 1..80)) {
        let policy = Policy { patience: Duration::from_secs(5), ..policy() };
        let mut sink = Attachment::new(policy);
        let mut seen = Seen::default();
        seen.quiet.push((Duration::ZERO, Facts::default()));
        let mut now = Duration::ZERO;
        let mut last = facts();
        for (wait, event) in events {
            now += Duration::from_millis(wait);
            match event {
                Event::Ask(command) => {
                    sink.command(now, command, &last);
                    seen.quiet.push((now, last.clone()));
                    let before = seen.hold;
                    seen.hold = match (command, seen.hold) {
                        (Command::Detach | Command::Pause | Command::Drain, _) => Some(command),
                        (Command::Attach, _) => None,
                        (Command::Resume, Some(Command::Detach)) => seen.hold,
                        (Command::Resume, _) => None,
                    };
                    if seen.hold != before {
                        seen.looks.clear();
                    }
                }
                Event::Look(facts) => {
                    let before = sink.state();
                    seen.looks.push((now, facts.clone()));
                    seen.quiet.push((now, facts.clone()));
                    let order = sink.step(now, &facts);
                    if let Order::Cut(Some(cause)) = order {
                        prop_assert!(seen.hold.is_none() && facts.shared > 0 && facts.others_window_bytes.is_some());
                        match cause {
                            Cause::Window => prop_assert!(seen.holds_window(now, policy.window_bytes)),
                            Cause::Stalled => prop_assert!(seen.stalls(now, policy.patience)),
                            Cause::Behind | Cause::Operator => prop_assert!(false, "not by a look"),
                        }
                    } else if seen.hold.is_none() && facts.lost.is_none() && facts.shared > 0 && before.is_shared() {
                        prop_assert!(!seen.holds_window(now, policy.window_bytes), "it had to leave");
                    }
                    let left = matches!(order, Order::Cut(Some(_)));
                    if left || !matches!(before, State::Detached | State::CatchingUp) && sink.state() == State::Detached {
                        seen.looks.clear();
                        seen.quiet = vec![(now, facts.clone())];
                    }
                    last = facts;
                }
            }
            match seen.hold {
                Some(Command::Pause | Command::Drain) => prop_assert!(!sink.wants_reader() && !sink.may_join()),
                Some(_) => prop_assert!(sink.wants_reader() && !sink.may_join()),
                None => {}
            }
            prop_assert!(!(sink.is_eligible() && sink.wants_reader()));
            prop_assert!(!sink.may_join() || sink.wants_reader());
            let explains = sink.state().is_shared() || sink.reason().is_some();
            prop_assert!(explains, "{:?} without a reason", sink.state());
        }
    }
}
