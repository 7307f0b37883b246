//! Every sink at its own pace: one frozen, detached, thawed, caught up and back, while the other notices nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use halcyon::attachment::{Command, State};
use halcyon::clock::TestClock;
use halcyon::dead_letter::{Budget, DeadLetters};
use halcyon::engine::{Engine, EngineParts};
use halcyon::sink::Sink;
use halcyon::sink::throttle::{Rate, Unit};
use halcyon::source::kafka::{BatchLimits, ReadSettings};
use halcyon::topology::Topology;
use tokio::runtime::Runtime;

use crate::support::gated_sink::GatedSink;
use crate::support::mock_kafka::MockKafka;

const TOPIC: &str = "chat.messages";
const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);
const BLUE: usize = 0;
const GREEN: usize = 1;
/// The budget of a run: the shared part of it holds about 640 batches.
const MEMORY_BYTES: u64 = 4 << 20;

/// A mock Kafka, two clusters that can be frozen, and what was sent.
struct World {
    kafka: MockKafka,
    topology: Topology,
    sinks: [Arc<GatedSink>; 2],
    sent: u64,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let kafka = MockKafka::with_topic(TOPIC, PARTITIONS);
        let text = include_str!("topology.toml").replace("BROKERS", &kafka.brokers().join(","));
        let green = "\n[cluster.green]\nhbase = {registry = [\"127.0.0.1:1\"]}\nwindow_bytes = 65536\n";
        let text = text + green;
        let topology = halcyon::topology::load::parse("topology.toml", &text, &|_| None).expect("legal").topology;
        let sinks = [GatedSink::new("blue"), GatedSink::new("green")];
        Self { kafka, topology, sinks, sent: 0, runtime: Runtime::new().expect("a runtime") }
    }

    fn start(&self) -> Engine {
        let parts = EngineParts {
            sinks: self.sinks.iter().map(|sink| Arc::clone(sink) as Arc<dyn Sink>).collect(),
            dead_letters: DeadLetters::Halt,
            budget: Budget::new(self.topology.dead_letter.budget),
            memory_bytes: MEMORY_BYTES,
            read: ReadSettings {
                accepted_losses: Vec::new(),
                transaction_patience: Duration::from_mins(1),
                workers: 2,
                limits: BatchLimits { rows: 64, bytes: 1 << 20, linger: Duration::from_millis(5) },
                drain_timeout: Duration::from_secs(3),
                commit_interval: Duration::from_millis(50),
                instance_id: None,
                prefetch_bytes: 0,
                connect_timeout: Duration::from_secs(10),
                private_readers: 2,
                private_prefetch_bytes: 0,
            },
            clock: Arc::new(TestClock::default()),
        };
        Engine::start(&self.topology, parts, self.runtime.handle().clone()).expect("starts")
    }

    /// Sends so many events to every partition.
    fn send(&mut self, count: u64) {
        for partition in 0..PARTITIONS {
            let events = self.sent..self.sent + count;
            self.kafka.send((TOPIC, partition), events.map(|event| format!("{{\"event\":{event}}}")));
        }
        self.sent += count;
    }

    fn durable(engine: &Engine, sink: usize) -> Vec<i64> {
        engine.pipeline().ledger().view().iter().map(|held| held.sinks[sink].durable.0).collect()
    }

    /// Whether a sink has everything that was sent, of all partitions.
    fn has_all(&self, engine: &Engine, sink: usize) -> bool {
        Self::durable(engine, sink) == [self.sent as i64; PARTITIONS as usize]
    }

    fn wait(&self, engine: &Engine, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let halt = engine.pipeline().halt().get();
            assert!(halt.is_none(), "{what}: {halt:?}");
            let (view, place) = (engine.governor().view(), [BLUE, GREEN].map(|sink| Self::durable(engine, sink)));
            assert!(began.elapsed() < PATIENCE, "not in time: {what}; {view:?} {place:?}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn stop(&self, engine: Engine) -> bool {
        self.runtime.block_on(engine.stop()).is_drained
    }

    /// Both clusters hold exactly what an independent fold of the events gives, and their groups say so.
    fn verdict(&self) {
        for sink in &self.sinks {
            let tables = sink.tables();
            let found: Vec<(u64, i64, u64)> = tables["event"]
                .iter()
                .map(|((row, _, _), (version, value))| {
                    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
                    (number(row), *version, number(value))
                })
                .collect();
            let expected: Vec<(u64, i64, u64)> = (0..self.sent).map(|event| (event, event as i64, event)).collect();
            assert!(found == expected, "{}: {} rows, not {}", sink.name(), found.len(), expected.len());
            assert_eq!(self.committed(&format!("chat.{}", sink.name())), [self.sent as i64; 4], "{}", sink.name());
        }
    }

    fn committed(&self, group: &str) -> Vec<i64> {
        let committed = self.kafka.committed(group, (TOPIC, PARTITIONS));
        committed.into_values().map(|(offset, _)| offset).collect()
    }
}

fn state(engine: &Engine, sink: usize) -> State {
    engine.governor().view()[sink].state
}

/// Whether the shared read feeds the sink everywhere.
fn is_back(engine: &Engine, sink: usize) -> bool {
    let standing = engine.pipeline().ledger().standing(sink);
    state(engine, sink) == State::Healthy && standing.partitions > 0 && standing.shared == standing.partitions
}

#[test]
fn a_frozen_sink_is_detached_and_comes_back_while_the_other_keeps_its_pace() {
    let mut world = World::new();
    let engine = world.start();
    world.send(10);
    world.wait(&engine, "both are healthy", || is_back(&engine, BLUE) && is_back(&engine, GREEN));
    world.sinks[GREEN].freeze();
    // More than the whole shared budget holds: without a detachment, blue would stop half-way.
    world.send(30_000);
    world.wait(&engine, "blue has everything while green is frozen", || world.has_all(&engine, BLUE));
    assert_eq!(state(&engine, GREEN), State::Detached);
    let reason = engine.governor().view()[GREEN].reason.clone().expect("a reason");
    assert!(reason.contains("of the shared window"), "{reason}");
    let memory = Arc::clone(engine.pipeline().memory());
    world.wait(&engine, "the shared budget is free", || memory.used() == 0);
    assert!(memory.peak() <= memory.limit() + (512 << 10), "{} of {}", memory.peak(), memory.limit());
    let (used, limit) = engine.governor().private_memory();
    assert!(limit == MEMORY_BYTES / 8 / 2 && used <= limit + (128 << 10), "{used} of {limit}");
    world.wait(&engine, "the group follows blue", || world.committed("chat") == [30_010; 4]);
    assert!(world.committed("chat.green").iter().all(|offset| *offset < 30_010));

    world.sinks[GREEN].thaw();
    world.wait(&engine, "green is back", || is_back(&engine, GREEN) && world.has_all(&engine, GREEN));
    world.send(500);
    world.wait(&engine, "both follow", || world.has_all(&engine, GREEN) && world.has_all(&engine, BLUE));
    assert!(is_back(&engine, GREEN));
    assert_eq!(engine.governor().private_memory().0, 0, "the private reader holds nothing any more");
    assert!(world.stop(engine));
    world.verdict();
}

#[test]
fn a_sink_comes_back_under_a_stream_that_never_pauses() {
    let mut world = World::new();
    let engine = world.start();
    world.send(10);
    world.wait(&engine, "both are healthy", || is_back(&engine, BLUE) && is_back(&engine, GREEN));
    engine.governor().command("green", Command::Pause, false).expect("a sink");
    world.send(3_000);
    engine.governor().command("green", Command::Resume, false).expect("a sink");
    let began = Instant::now();
    // The producer waits for nobody: there is always more to read.
    while !is_back(&engine, GREEN) {
        world.send(20);
        assert!(began.elapsed() < PATIENCE, "{:?}", engine.governor().view());
    }
    world.wait(&engine, "both have all", || world.has_all(&engine, GREEN) && world.has_all(&engine, BLUE));
    assert!(world.stop(engine));
    world.verdict();
}

#[test]
fn partitions_that_move_while_a_sink_is_detached_leave_no_gap() {
    let mut world = World::new();
    let first = world.start();
    world.send(10);
    world.wait(&first, "both are healthy", || is_back(&first, BLUE) && is_back(&first, GREEN));
    world.sinks[GREEN].freeze();
    world.send(5_000);
    world.wait(&first, "green is detached", || state(&first, GREEN) == State::Detached && world.has_all(&first, BLUE));
    let second = world.start();
    let shares = |engine: &Engine| engine.pipeline().ledger().view().len();
    world.wait(&second, "the second has its share", || shares(&second) == 2 && shares(&first) == 2);
    // Green is far behind in what was moved: there too it reads for itself, and blue starts where it was.
    let blue = World::durable(&second, BLUE);
    assert_eq!(blue, [5_010; 2], "green did not take blue back");
    world.sinks[GREEN].thaw();
    world.send(100);
    world.wait(&second, "green is back in the second", || is_back(&second, GREEN));
    world.wait(&first, "green is back in the first", || is_back(&first, GREEN));
    world.stop(first);
    world.wait(&second, "the second has all partitions", || shares(&second) == PARTITIONS as usize);
    world.send(100);
    world.wait(&second, "both have all", || world.has_all(&second, GREEN) && world.has_all(&second, BLUE));
    assert!(world.stop(second));
    world.verdict();
}

#[test]
fn an_operator_detaches_pauses_drains_and_attaches_a_sink() {
    let mut world = World::new();
    let engine = world.start();
    let ask = |command| engine.governor().command("green", command, false).expect("a sink").after;
    world.send(100);
    world.wait(&engine, "both are healthy", || is_back(&engine, BLUE) && is_back(&engine, GREEN));
    world.wait(&engine, "both have all", || world.has_all(&engine, GREEN) && world.has_all(&engine, BLUE));
    assert!(engine.governor().command("red", Command::Pause, false).is_err());
    let tried = engine.governor().command("green", Command::Pause, true).expect("a sink");
    assert_eq!((tried.before, tried.after), (State::Healthy, State::Paused));
    assert_eq!(state(&engine, GREEN), State::Healthy, "a dry run changes nothing");

    assert_eq!(ask(Command::Pause), State::Paused);
    world.send(100);
    world.wait(&engine, "blue goes on", || world.has_all(&engine, BLUE));
    assert_eq!(World::durable(&engine, GREEN), [100; 4]);
    assert_eq!(ask(Command::Resume), State::Detached);
    world.wait(&engine, "green is back", || is_back(&engine, GREEN) && world.has_all(&engine, GREEN));

    assert_eq!(ask(Command::Detach), State::Detached);
    world.send(100);
    world.wait(&engine, "a detached sink follows by itself", || world.has_all(&engine, GREEN));
    assert_eq!(engine.pipeline().ledger().standing(GREEN).shared, 0, "and stays off the shared read");
    ask(Command::Attach);
    world.wait(&engine, "green is back again", || is_back(&engine, GREEN));

    assert_eq!(ask(Command::Drain), State::Draining);
    world.wait(&engine, "green is drained", || state(&engine, GREEN) == State::Drained);
    world.send(100);
    world.wait(&engine, "blue goes on", || world.has_all(&engine, BLUE));
    assert_eq!(World::durable(&engine, GREEN), [300; 4]);
    ask(Command::Attach);
    world.wait(&engine, "green is back at last", || is_back(&engine, GREEN) && world.has_all(&engine, GREEN));
    assert!(world.stop(engine));
    world.verdict();
}

#[test]
fn all_sinks_may_be_paused_and_resumed() {
    let mut world = World::new();
    let engine = world.start();
    world.send(100);
    world.wait(&engine, "both are healthy", || is_back(&engine, BLUE) && is_back(&engine, GREEN));
    for sink in ["blue", "green"] {
        engine.governor().command(sink, Command::Pause, false).expect("a sink");
    }
    world.send(2_000);
    for sink in ["green", "blue"] {
        engine.governor().command(sink, Command::Resume, false).expect("a sink");
    }
    world.wait(&engine, "both are back", || is_back(&engine, BLUE) && is_back(&engine, GREEN));
    world.wait(&engine, "both have all", || world.has_all(&engine, GREEN) && world.has_all(&engine, BLUE));
    assert!(world.stop(engine));
    world.verdict();
}

#[test]
fn a_limited_sink_is_not_faster_than_its_limit_and_holds_nobody() {
    const PER_SECOND: u64 = 400;
    let mut world = World::new();
    let engine = world.start();
    world.send(1);
    world.wait(&engine, "both are healthy", || is_back(&engine, BLUE) && is_back(&engine, GREEN));
    let limit = Some(Rate { unit: Unit::Rows, per_second: PER_SECOND });
    assert_eq!(engine.governor().throttle(Some("green"), limit, true), Ok(vec![Arc::from("green")]));
    assert_eq!(engine.governor().view()[GREEN].limit, None, "a dry run changes nothing");
    engine.governor().throttle(Some("green"), limit, false).expect("a sink");
    let began = Instant::now();
    world.send(200);
    world.wait(&engine, "blue has all", || world.has_all(&engine, BLUE));
    world.wait(&engine, "green has all", || world.has_all(&engine, GREEN));
    // 800 rows, of which one burst (0.2 s) and the last batches (4 of 64) are not waited for.
    let least = Duration::from_secs_f64((800.0 - 4.0 * 64.0) / PER_SECOND as f64 - 0.2);
    assert!(began.elapsed() >= least, "{:?} is too fast", began.elapsed());
    engine.governor().throttle(None, None, false).expect("all sinks");
    assert!(world.stop(engine));
    world.verdict();
}
