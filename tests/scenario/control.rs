//! The operator's control of sinks: the real binary, a mock Kafka, clusters in process, over HTTP and the command line.

use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::registry::Registry;
use hbase::scan::Visibility;
use hbase::server::{Cluster, Condition, Reaction, Rule};
use hbase::table_name::TableName;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::mock_kafka::MockKafka;
use crate::support::process::{Process, halcyon, halcyon_with};

const TOPIC: &str = "chat.messages";
const PARTITIONS: i32 = 2;
const QUICK: &[&str] = &["--commit-interval-ms", "50", "--drain-timeout-ms", "2000", "--batch-linger-ms", "5"];

/// A mock Kafka, two clusters in process with the table, and a topology that names them.
struct World {
    kafka: MockKafka,
    blue: Cluster,
    green: Cluster,
    topology: String,
    _folder: TempDir,
    _runtime: Runtime,
}

fn servers(cluster: &Cluster) -> String {
    match cluster.registry() {
        Registry::Rpc { servers } => servers.join(","),
        Registry::ZooKeeper { .. } => unreachable!("clusters in process have an RPC registry"),
    }
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let start = || runtime.block_on(Cluster::start(1)).expect("free ports");
        let (blue, green) = (start(), start());
        for cluster in [&blue, &green] {
            let admin = Client::new(ClientConfig::new(cluster.registry())).admin();
            let table = TableDescriptor { name: TableName::new("event"), families: vec![Family::new("e")] };
            runtime.block_on(admin.create_table(&table, &[])).expect("created");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let kafka = MockKafka::with_topic(TOPIC, PARTITIONS);
        let text = include_str!("topology.toml")
            .replace("BROKERS", &kafka.brokers().join(","))
            .replace("127.0.0.1:1", &servers(&blue));
        let green_section =
            format!("\n[cluster.green]\nhbase = {{registry = [\"{}\"]}}\nwindow_bytes = 65536\n", servers(&green));
        let path = folder.path().join("topology.toml");
        std::fs::write(&path, text + &green_section).expect("written");
        let topology = path.display().to_string();
        Self { kafka, blue, green, topology, _folder: folder, _runtime: runtime }
    }

    fn send(&self, events: std::ops::Range<u64>) {
        for partition in 0..PARTITIONS {
            self.kafka.send((TOPIC, partition), events.clone().map(|event| format!("{{\"event\":{event}}}")));
        }
    }

    fn cells(cluster: &Cluster) -> Vec<(Vec<u8>, i64, Vec<u8>)> {
        let cells = cluster.cells(&TableName::new("event"), Visibility::Live);
        cells.into_iter().map(|cell| (cell.row.to_vec(), cell.timestamp, cell.value.to_vec())).collect()
    }

    /// Both clusters hold what an independent fold of the events gives.
    fn verdict(&self, events: u64) {
        let expected: Vec<_> = (0..events)
            .map(|event| (event.to_be_bytes().to_vec(), event as i64, event.to_be_bytes().to_vec()))
            .collect();
        for (name, cluster) in [("blue", &self.blue), ("green", &self.green)] {
            let found = Self::cells(cluster);
            assert!(found == expected, "{name}: {} cells, not {}", found.len(), expected.len());
        }
    }
}

fn state_of<'a>(status: &'a halcyon::status::Status, name: &str) -> &'a str {
    status.sinks.iter().find(|sink| sink.name == name).map_or("", |sink| sink.state.as_str())
}

/// Whether a sink has committed this offset in all partitions.
fn is_at(status: &halcyon::status::Status, name: &str, offset: i64) -> bool {
    let lags: Vec<_> = status.partitions.iter().flat_map(|held| &held.sinks).filter(|lag| lag.sink == name).collect();
    lags.len() == PARTITIONS as usize && lags.iter().all(|lag| lag.committed == Some(offset))
}

#[test]
fn a_run_killed_while_a_sink_is_detached_loses_nothing_and_does_not_take_the_other_back() {
    let world = World::new();
    world.send(0..10);
    let mut run = Process::run(&world.topology, QUICK);
    run.wait_status("both are there", |status| is_at(status, "blue", 10) && is_at(status, "green", 10));
    let frozen = world.green.inject_while(Rule::new(Condition::method("Multi"), Reaction::Silence));
    world.send(10..6_000);
    let status = run.wait_status("blue goes on alone", |status| {
        is_at(status, "blue", 6_000) && state_of(status, "green") == "detached"
    });
    let green = status.sinks.iter().find(|sink| sink.name == "green").expect("green");
    assert!(green.reason.as_ref().is_some_and(|reason| reason.contains("shared window")), "{green:?}");
    let metrics = run.get("/metrics").expect("listening");
    assert!(metrics.contains("halcyon_sink_detaches_total{sink=\"green\",cause=\"window\"} 1"), "{metrics}");
    assert!(metrics.contains("halcyon_sink_state{sink=\"green\",state=\"detached\"} 1"), "{metrics}");
    assert!(run.get("/ready").expect("listening").contains("sink green: detached: "));
    run.kill();
    drop(frozen);

    let mut again = Process::run(&world.topology, QUICK);
    let status = again
        .wait_status("green is back", |status| is_at(status, "green", 6_000) && state_of(status, "green") == "healthy");
    assert_eq!(status.events, Some(0), "the shared read started where blue was; green read for itself");
    assert!(again.get("/metrics").expect("listening").contains("halcyon_private_reader_records_total{sink=\"green\"}"));
    world.send(6_000..6_100);
    again.wait_status("both follow", |status| is_at(status, "blue", 6_100) && is_at(status, "green", 6_100));
    again.terminate();
    assert_eq!(again.end().status.code(), Some(130));
    world.verdict(6_100);
}

#[test]
fn sinks_are_controlled_from_the_command_line() {
    let world = World::new();
    world.send(0..100);
    let mut run = Process::run(&world.topology, QUICK);
    run.wait_status("both are there", |status| {
        is_at(status, "blue", 100) && is_at(status, "green", 100) && state_of(status, "green") == "healthy"
    });
    let url = run.url();
    let ask = |arguments: &[&str]| halcyon(&[&["sink"], arguments, &["--to", &url]].concat());

    let (code, out, error) = ask(&["green", "pause", "--dry-run"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "green: healthy -> paused: paused by the operator until `resume` (not done: --dry-run)\n"),
        "{error}"
    );
    assert_eq!(state_of(&run.status().expect("listening"), "green"), "healthy");
    let (code, out, _) = ask(&["green", "pause", "--json"]);
    let done: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &done[0]["before"], &done[0]["after"]), (0, &"healthy".into(), &"paused".into()));
    world.send(100..200);
    let status = run.wait_status("blue goes on", |status| is_at(status, "blue", 200));
    assert!(is_at(&status, "green", 100) && state_of(&status, "green") == "paused");
    assert_eq!(ask(&["green", "resume"]).0, 0);
    run.wait_status("green is back", |status| is_at(status, "green", 200) && state_of(status, "green") == "healthy");

    assert_eq!(
        ask(&["*", "throttle", "--rows-per-second", "5000"]).1,
        "blue: limit 5000 rows/s\ngreen: limit 5000 rows/s\n"
    );
    let status = run.status().expect("listening");
    assert!(status.table().contains("5000 rows/s"), "{}", status.table());
    assert_eq!(ask(&["*", "throttle", "--rows-per-second", "0"]).1, "blue: limit none\ngreen: limit none\n");

    assert_eq!(ask(&["green", "drain"]).0, 0);
    run.wait_status("green is drained", |status| state_of(status, "green") == "drained");
    assert_eq!(ask(&["green", "attach"]).0, 0);
    run.wait_status("green is back again", |status| state_of(status, "green") == "healthy");

    let (code, _, error) = ask(&["red", "pause"]);
    assert!(code == 1 && error.contains("no sink `red`; there are blue, green"), "{error}");
    let (code, _, error) = ask(&["green", "throttle"]);
    assert!(code == 1 && error.contains("--rows-per-second"), "{error}");
    assert_eq!(ask(&["green", "explode"]).0, 2);
    let page = run.post("/sinks/green/pause", "Origin: http://elsewhere\r\n").expect("listening");
    assert!(page.starts_with("HTTP/1.1 403"), "a web page may not: {page}");
    let wrong = run.post("/sinks/green/explode", "").expect("listening");
    assert!(wrong.starts_with("HTTP/1.1 404") && wrong.contains("there are detach"), "{wrong}");
    run.terminate();
    assert_eq!(run.end().status.code(), Some(130));
    world.verdict(200);
}

#[test]
fn with_a_token_only_who_knows_it_controls_sinks() {
    let world = World::new();
    world.send(0..10);
    let token = ("HALCYON_LISTEN_TOKEN", "correct-horse");
    let run = Process::run_with(&world.topology, QUICK, token);
    run.wait_for("/status", "HTTP/1.1 401");
    let url = run.url();
    let pause = ["sink", "green", "pause", "--to", &url];
    let (code, _, error) = halcyon(&pause);
    assert!(code == 1 && error.contains("HALCYON_LISTEN_TOKEN"), "{error}");
    let (code, _, error) = halcyon_with(&pause, ("HALCYON_LISTEN_TOKEN", "wrong-horse"));
    assert_eq!(code, 1, "{error}");
    let (code, out, error) = halcyon_with(&pause, token);
    assert!(code == 0 && out.contains("-> paused"), "{out}{error}");
    run.terminate();
    let output = run.end();
    assert_eq!(output.status.code(), Some(130));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("asked by the operator") && !log.contains("horse"), "no secret in the log: {log}");
}
