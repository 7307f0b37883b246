//! What the operator sees when something is wrong: the real binary, a mock Kafka, clusters in process.

use std::path::PathBuf;

use hbase::registry::Registry;
use hbase::scan::Visibility;
use hbase::server::{Cluster, Config};
use hbase::table_name::TableName;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::mock_kafka::MockKafka;
use crate::support::process::{Process, free_port, halcyon, halcyon_into};

pub(super) const TOPIC: &str = "chat.messages";

/// A mock Kafka, one cluster in process, a topology that names both, and a folder for files.
pub(super) struct World {
    pub(super) kafka: MockKafka,
    pub(super) cluster: Cluster,
    folder: TempDir,
    _runtime: Runtime,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Config { region_servers: 2, ..Config::default() })
    }

    pub(super) fn with(config: Config) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let cluster = runtime.block_on(Cluster::start_with(config)).expect("free ports");
        let folder = tempfile::tempdir().expect("a folder");
        Self { kafka: MockKafka::with_topic(TOPIC, 2), cluster, folder, _runtime: runtime }
    }

    fn registry(&self) -> String {
        match self.cluster.registry() {
            Registry::Rpc { servers } => servers.join(","),
            Registry::ZooKeeper { .. } => unreachable!("clusters in process have an RPC registry"),
        }
    }

    pub(super) fn dead_letters(&self) -> PathBuf {
        self.folder.path().join("dead.jsonl")
    }

    /// The scenario's topology with real addresses and a file for dead letters; `more` is appended.
    pub(super) fn topology(&self, more: &str) -> String {
        let text = include_str!("topology.toml")
            .replace("BROKERS", &self.kafka.brokers().join(","))
            .replace("127.0.0.1:1", &self.registry())
            .replace("halt = true", &format!("file = {:?}\n{more}", self.dead_letters()));
        let path = self.folder.path().join("topology.toml");
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    pub(super) fn create_tables(&self, topology: &str) {
        let (code, out, error) = halcyon(&["table", "create", "--topology", topology]);
        assert_eq!(code, 0, "{out}{error}");
    }

    pub(super) fn rows(&self) -> usize {
        self.cluster.cells(&TableName::new("event"), Visibility::Live).len()
    }
}

fn write(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("topology.toml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn every_mistake_of_a_topology_is_reported_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = include_str!("topology.toml")
        .replace("format = \"json\"", "formt = \"json\"")
        .replace("version = {column = \"event\"}\n", "")
        .replace("as = \"u64\"}\n", "as = \"u65\"}\n");
    let topology = write(&folder, &text);
    for verb in [&["check"][..], &["run"], &["table", "create"]] {
        let (code, out, error) = halcyon(&[verb, &["--topology", &topology]].concat());
        let said = format!("{out}{error}");
        assert_eq!(code, 2, "{said}");
        for part in ["formt", "version", "u65", "topology.toml:"] {
            assert!(said.contains(part), "{verb:?} does not mention {part}: {said}");
        }
    }
}

#[test]
fn brokers_that_do_not_answer_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let brokers = format!("127.0.0.1:{}", free_port());
    let topology = write(&folder, &include_str!("topology.toml").replace("BROKERS", &brokers));
    let (code, _, error) = halcyon(&["run", "--topology", &topology, "--connect-timeout-ms", "500"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(&brokers) && error.contains("check the addresses"), "{error}");
}

#[test]
fn a_missing_topic_and_a_missing_table_are_mistakes_of_the_topology() {
    let world = World::new();
    let topology = world.topology("");
    world.kafka.send((TOPIC, 0), [r#"{"event":1}"#]);
    let (code, _, error) = halcyon(&["run", "--topology", &topology, "--until-caught-up"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("table event does not exist in cluster blue; run `halcyon table create`"), "{error}");
    let text = std::fs::read_to_string(&topology).expect("readable").replace("chat.messages", "chat.nowhere");
    std::fs::write(&topology, text).expect("written");
    let (code, out, error) = halcyon(&["check", "--live", "--topology", &topology]);
    assert_eq!(code, 2, "{out}{error}");
    assert!(out.contains("chat.nowhere") && out.contains("table event is missing"), "both findings: {out}");
}

#[test]
fn bad_events_are_kept_with_their_place_and_cause_and_the_rest_is_written() {
    let world = World::new();
    let topology = world.topology("");
    world.create_tables(&topology);
    let bad = ["{not json", r#"{"other":1}"#, r#"{"event":"text"}"#, r#"{"event":-1}"#, r#"{"event":1}{"event":2}"#];
    for (event, bad) in (10..).zip(bad) {
        world.kafka.send((TOPIC, 1), [format!(r#"{{"event":{event}}}"#), bad.to_owned()]);
    }
    let (code, out, error) = halcyon(&["run", "--topology", &topology, "--until-caught-up", "--json"]);
    assert_eq!(code, 0, "{error}");
    let report: serde_json::Value = serde_json::from_str(out.trim()).expect("one line of JSON");
    assert_eq!((&report["events"], &report["bad"], &report["rows"]), (&10.into(), &5.into(), &5.into()));
    assert_eq!(world.rows(), 5);
    let letters = std::fs::read_to_string(world.dead_letters()).expect("dead letters");
    let letters: Vec<serde_json::Value> =
        letters.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let payloads: Vec<&str> = letters.iter().map(|letter| letter["payload_text"].as_str().expect("text")).collect();
    assert_eq!(payloads, bad);
    for (letter, offset) in letters.iter().zip([1, 3, 5, 7, 9]) {
        assert_eq!(
            (&letter["topic"], &letter["partition"], &letter["offset"]),
            (&TOPIC.into(), &1.into(), &offset.into())
        );
        assert!(!letter["cause"].as_str().expect("a cause").is_empty());
    }
    assert_eq!(world.kafka.committed("chat.blue", (TOPIC, 2))[&1].0, 10, "bad events are done once they are kept");
}

#[test]
fn too_many_bad_events_stop_the_run_by_policy() {
    let world = World::new();
    let topology = world.topology("budget = {minimum = 3, share = 0.1}");
    world.create_tables(&topology);
    world.kafka.send((TOPIC, 0), ["{", "{", "{", r#"{"event":1}"#]);
    let (code, _, error) = halcyon(&["run", "--topology", &topology]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("3 of 4 events were bad"), "{error}");
}

#[test]
fn a_cluster_that_is_down_at_the_start_holds_only_itself_back() {
    let world = World::new();
    let topology = world.topology("");
    world.create_tables(&topology);
    let down = format!("\n[cluster.green]\nhbase = {{registry = [\"127.0.0.1:{}\"]}}\n", free_port());
    let text = std::fs::read_to_string(&topology).expect("readable") + &down;
    std::fs::write(&topology, text).expect("written");
    world.kafka.send((TOPIC, 0), (0..100).map(|event| format!(r#"{{"event":{event}}}"#)));
    let mut run = Process::run(&topology, &["--commit-interval-ms", "50", "--drain-timeout-ms", "1000"]);
    let status = run.wait_status("blue has everything, green is degraded", |status| {
        let sink = |name: &str| status.sinks.iter().find(|sink| sink.name == name);
        let blue = status.partitions.iter().flat_map(|held| &held.sinks).find(|lag| lag.sink == "blue");
        blue.is_some_and(|blue| blue.committed == Some(100))
            && sink("green").is_some_and(|green| green.state == "degraded")
    });
    assert!(status.sinks.iter().any(|sink| sink.name == "green" && sink.reason.is_some()));
    assert!(run.get("/metrics").expect("listening").contains("halcyon_sink_rows_total{sink=\"blue\"} 100"));
    assert!(run.get("/health").expect("listening").starts_with("HTTP/1.1 200"));
    assert!(run.get("/ready").expect("listening").starts_with("HTTP/1.1 503"));
    run.terminate();
    let output = run.end();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(world.kafka.committed("chat.blue", (TOPIC, 2))[&0].0, 100);
    assert_eq!(world.kafka.committed("chat.green", (TOPIC, 2))[&0].0, 0);
    assert_eq!(world.kafka.committed("chat", (TOPIC, 2))[&0], (0, "blue=100,green=0".to_owned()));
    assert_eq!(world.rows(), 100);
}

#[test]
fn status_without_a_process_tells_the_lag_of_every_sink() {
    let world = World::new();
    let topology = world.topology("");
    world.create_tables(&topology);
    world.kafka.send((TOPIC, 0), [r#"{"event":1}"#, r#"{"event":2}"#]);
    assert_eq!(halcyon(&["run", "--topology", &topology, "--until-caught-up"]).0, 0);
    world.kafka.send((TOPIC, 0), [r#"{"event":3}"#]);
    let (code, out, error) = halcyon(&["status", "--topology", &topology, "--json"]);
    assert_eq!(code, 0, "{error}");
    let status: halcyon::status::Status = serde_json::from_str(&out).expect("JSON");
    let lag = &status.partitions[0].sinks[0];
    assert_eq!((lag.sink.as_str(), lag.committed, lag.lag_offsets), ("blue", Some(2), Some(1)));
    assert!(lag.lag_seconds.is_some_and(|seconds| seconds < 60.0), "{lag:?}");
    assert_eq!(status.partitions[1].sinks[0].lag_offsets, Some(0));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is_one() {
    let topology = concat!(env!("CARGO_MANIFEST_DIR"), "/topology/chat.toml");
    for verb in [&["check", "--topology", topology][..], &["describe", "--topology", topology], &["check", "--schema"]]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, error) = halcyon_into(verb, writer.into());
        assert_eq!((code, error.as_str()), (0, ""), "{verb:?}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let (code, error) = halcyon_into(verb, full.into());
        assert_eq!(code, 1, "{verb:?}: {error}");
        assert!(error.contains("write the answer to standard output"), "{verb:?}: {error}");
    }
}

#[test]
fn dead_letters_that_cannot_be_stored_hold_their_offsets_and_say_why() {
    let world = World::new();
    let topology = world.topology("");
    let text = std::fs::read_to_string(&topology).expect("readable");
    let dead = format!("{:?}", world.dead_letters());
    std::fs::write(&topology, text.replace(&dead, "\"/dev/full\"")).expect("written");
    world.create_tables(&topology);
    world.kafka.send((TOPIC, 0), [r#"{"event":1}"#]);
    world.kafka.send((TOPIC, 1), ["{"]);
    let mut run = Process::run(&topology, &["--commit-interval-ms", "50", "--drain-timeout-ms", "500"]);
    run.wait_status("the good partition is committed", |status| {
        status.partitions.iter().flat_map(|held| &held.sinks).any(|lag| lag.committed == Some(1))
    });
    let ready = run.wait_for("/ready", "dead letters: ");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("/dev/full: No space left on device"), "{ready}");
    run.terminate();
    let output = run.end();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(world.kafka.committed("chat.blue", (TOPIC, 2)).get(&1).map(|(offset, _)| *offset), Some(0));
}
