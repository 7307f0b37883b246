//! Offsets per sink on a mock Kafka: fenced group commit, the sinks' own groups, several members.

use std::sync::Arc;
use std::time::Duration;

use halcyon::clock::TestClock;
use halcyon::dead_letter::{Budget, DeadLetters};
use halcyon::engine::{Ended, Engine, EngineParts};
use halcyon::sink::Sink;
use halcyon::sink::memory::MemorySink;
use halcyon::source::kafka::{BatchLimits, ReadSettings};
use halcyon::topology::Topology;
use tokio::runtime::Runtime;

use crate::support::mock_kafka::MockKafka;

const TOPIC: &str = "chat.messages";
const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(30);

fn topology(kafka: &MockKafka) -> Topology {
    let text = include_str!("topology.toml").replace("BROKERS", &kafka.brokers().join(","));
    halcyon::topology::load::parse("topology.toml", &text, &|_| None).expect("a legal topology").topology
}

pub(super) fn read() -> ReadSettings {
    ReadSettings {
        workers: 2,
        limits: BatchLimits { rows: 64, bytes: 1 << 20, linger: Duration::from_millis(5) },
        drain_timeout: Duration::from_secs(5),
        commit_interval: Duration::from_millis(50),
        instance_id: None,
        prefetch_bytes: 0,
        connect_timeout: Duration::from_secs(10),
        accepted_losses: Vec::new(),
        transaction_patience: Duration::from_mins(1),
        private_readers: 2,
        private_prefetch_bytes: 0,
    }
}

fn start(topology: &Topology, sinks: &[Arc<MemorySink>], runtime: &Runtime) -> Engine {
    let parts = EngineParts {
        sinks: sinks.iter().map(|sink| Arc::clone(sink) as Arc<dyn Sink>).collect(),
        dead_letters: DeadLetters::Halt,
        budget: Budget::new(topology.dead_letter.budget),
        memory_bytes: 64 << 20,
        read: read(),
        clock: Arc::new(TestClock::default()),
    };
    Engine::start(topology, parts, runtime.handle().clone()).expect("starts")
}

fn finish(engine: Engine, runtime: &Runtime) -> Ended {
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, engine.caught_up()).await.expect("caught up in time");
        engine.stop().await
    })
}

fn send(kafka: &MockKafka, events: std::ops::Range<u64>) {
    for partition in 0..PARTITIONS {
        kafka.send((TOPIC, partition), events.clone().map(|event| format!("{{\"event\":{event}}}")));
    }
}

#[test]
fn a_bounded_run_commits_every_sinks_offsets_and_ends() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic(TOPIC, PARTITIONS);
    let topology = topology(&kafka);
    let sinks = [MemorySink::new("blue"), MemorySink::new("green")];
    send(&kafka, 0..500);
    let ended = finish(start(&topology, &sinks, &runtime), &runtime);
    assert!(ended.is_drained);
    for group in ["chat.blue", "chat.green"] {
        let offsets: Vec<i64> =
            kafka.committed(group, (TOPIC, PARTITIONS)).into_values().map(|(offset, _)| offset).collect();
        assert_eq!(offsets, [500; 4], "{group}");
    }
    let group: Vec<_> = kafka.committed("chat", (TOPIC, PARTITIONS)).into_values().collect();
    assert_eq!(group, vec![(500, "blue=500,green=500".to_owned()); 4]);
}

#[test]
fn a_second_run_reads_only_what_came_since() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic(TOPIC, PARTITIONS);
    let topology = topology(&kafka);
    send(&kafka, 0..300);
    finish(start(&topology, &[MemorySink::new("blue")], &runtime), &runtime);
    send(&kafka, 300..400);
    finish(start(&topology, &[MemorySink::new("blue")], &runtime), &runtime);
    let offsets: Vec<i64> =
        kafka.committed("chat.blue", (TOPIC, PARTITIONS)).into_values().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [400; 4]);
}

#[test]
fn a_partition_that_moves_to_a_new_member_leaves_no_gap() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic(TOPIC, PARTITIONS);
    let topology = topology(&kafka);
    send(&kafka, 0..300);
    let first = start(&topology, &[MemorySink::new("blue")], &runtime);
    runtime.block_on(async { tokio::time::timeout(PATIENCE, first.caught_up()).await.expect("caught up") });
    let second = start(&topology, &[MemorySink::new("blue")], &runtime);
    runtime.block_on(async { tokio::time::timeout(PATIENCE, second.caught_up()).await.expect("assigned") });
    send(&kafka, 300..600);
    let ended = runtime.block_on(async {
        let first = first.stop().await;
        // The second member takes over what the first gave up.
        let all = async {
            while second.pipeline().ledger().view().len() < PARTITIONS as usize {
                second.pipeline().ledger().moved().await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, all).await;
        tokio::time::timeout(PATIENCE, second.caught_up()).await.expect("caught up");
        (first, second.stop().await)
    });
    let offsets: Vec<i64> =
        kafka.committed("chat.blue", (TOPIC, PARTITIONS)).into_values().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [600; 4], "{ended:?}");
}
