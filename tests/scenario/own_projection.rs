//! The example program: its own tests run here too, and then it runs on a mock Kafka as any topology does.
#![expect(dead_code, reason = "the example's `main` is the entry of its own binary")]

use std::sync::Arc;
use std::time::Duration;

use halcyon::clock::TestClock;
use halcyon::dead_letter::{Budget, DeadLetters};
use halcyon::engine::{Engine, EngineParts};
use halcyon::sink::Sink;
use halcyon::sink::memory::MemorySink;
use halcyon::topology::{Topology, load};
use tokio::runtime::Runtime;

use super::groups::read;
use crate::support::mock_kafka::MockKafka;
use crate::support::process::halcyon;

#[path = "../../examples/own_projection.rs"]
mod example;

const TOPOLOGY: &str = include_str!("../../examples/own_projection.toml");
const PATIENCE: Duration = Duration::from_secs(30);

fn topology(kafka: &MockKafka) -> Topology {
    let text = TOPOLOGY.replace("127.0.0.1:9092", &kafka.brokers().join(","));
    load::parse("own_projection.toml", &text, &|_| None).expect("a legal topology").topology
}

#[test]
fn a_projection_of_ones_own_runs_as_a_declared_model_does() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic("chat.messages", 2);
    let topology = topology(&kafka);
    let messages =
        (0..100).map(|id| format!(r#"{{"message_id":{id},"room_id":3,"body":"@mia and @n{id}","version":{id}}}"#));
    kafka.send(("chat.messages", 0), messages);
    let sink = MemorySink::new("blue");
    let parts = EngineParts {
        sinks: vec![Arc::clone(&sink) as Arc<dyn Sink>],
        dead_letters: DeadLetters::Halt,
        budget: Budget::new(topology.dead_letter.budget),
        memory_bytes: 64 << 20,
        read: read(),
        clock: Arc::new(TestClock::default()),
    };
    let projections = example::projections();
    let engine = Engine::start_with(&topology, &projections, parts, runtime.handle().clone()).expect("starts");
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, engine.caught_up()).await.expect("caught up in time");
        engine.stop().await
    });
    let tables = sink.tables();
    let rows: std::collections::BTreeSet<_> = tables["mention"].keys().map(|(row, ..)| row.clone()).collect();
    assert_eq!(rows.len(), 200, "two accounts a message");
    assert_eq!(kafka.committed("mentions.blue", ("chat.messages", 2))[&0].0, 100);
}

#[test]
fn a_program_without_the_projection_says_so_and_runs_nothing() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/own_projection.toml");
    assert_eq!(halcyon(&["check", "--topology", file]).0, 0, "the topology itself is right");
    let (code, _, error) = halcyon(&["run", "--topology", file, "--connect-timeout-ms", "100"]);
    assert!(code == 2 && error.contains("[projection.mentions]"), "{error}");
}
