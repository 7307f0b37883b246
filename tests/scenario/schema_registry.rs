//! A schema registry that does not know an id, is down, or asks for a password: what waits, what goes on, what is said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use halcyon::clock::TestClock;
use halcyon::dead_letter::{Budget, DeadLetters};
use halcyon::engine::{Ended, Engine, EngineParts};
use halcyon::sink::Sink;
use halcyon::sink::memory::MemorySink;
use halcyon::source::kafka::{BatchLimits, ReadSettings};
use halcyon::status::{Status, StatusSource};
use halcyon::topology::Topology;
use tokio::runtime::Runtime;

use crate::support::mock_kafka::MockKafka;

const TOPIC: &str = "chat.messages";
const PATIENCE: Duration = Duration::from_secs(60);

/// `{"event": long}` as an Avro schema.
const EVENT: &str = r#"{"type":"record","name":"Event","fields":[{"name":"event","type":"long"}]}"#;
/// The same with a field whose type stands in another subject.
const EVENT_2: &str =
    r#"{"type":"record","name":"Event","fields":[{"name":"kind","type":"shop.Kind"},{"name":"event","type":"long"}]}"#;
const KIND: &str = r#"{"type":"enum","name":"Kind","namespace":"shop","symbols":["A","B"]}"#;

/// What the registry knows, and who may ask.
#[derive(Debug, Default)]
struct Known {
    answers: Mutex<BTreeMap<String, String>>,
    asked: Mutex<Vec<String>>,
    authorization: Option<String>,
}

/// A registry on a real port.
struct Registry {
    known: Arc<Known>,
    url: String,
}

impl Registry {
    fn start(runtime: &Runtime, authorization: Option<&str>) -> Self {
        let known = Arc::new(Known { authorization: authorization.map(str::to_owned), ..Known::default() });
        let router = Router::new().route("/{*path}", get(answer)).with_state(Arc::clone(&known));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { known, url }
    }

    /// It knows this from now on.
    fn tell(&self, path: &str, answer: &serde_json::Value) {
        self.known.answers.lock().expect("no panic").insert(path.to_owned(), answer.to_string());
    }

    fn asked(&self, path: &str) -> usize {
        self.known.asked.lock().expect("no panic").iter().filter(|asked| *asked == path).count()
    }
}

async fn answer(State(known): State<Arc<Known>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    known.asked.lock().expect("no panic").push(path.clone());
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if known.authorization.is_some() && given != known.authorization.as_deref() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let found = known.answers.lock().expect("no panic").get(&path).cloned();
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

fn topology(kafka: &MockKafka, topic: &str, more: &str) -> Topology {
    let text = include_str!("topology.toml")
        .replace("BROKERS", &kafka.brokers().join(","))
        .replace("format = \"json\"", topic)
        + more;
    let loaded = halcyon::topology::load::parse("topology.toml", &text, &|_| None);
    loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).topology
}

fn start(topology: &Topology, sink: &Arc<MemorySink>, runtime: &Runtime) -> Engine {
    let parts = EngineParts {
        sinks: vec![Arc::clone(sink) as Arc<dyn Sink>],
        dead_letters: DeadLetters::Halt,
        budget: Budget::new(topology.dead_letter.budget),
        memory_bytes: 64 << 20,
        read: ReadSettings {
            private_readers: 2,
            private_prefetch_bytes: 0,
            accepted_losses: Vec::new(),
            transaction_patience: Duration::from_secs(60),
            workers: 1,
            limits: BatchLimits { rows: 64, bytes: 1 << 20, linger: Duration::from_millis(5) },
            drain_timeout: Duration::from_secs(20),
            commit_interval: Duration::from_millis(50),
            instance_id: None,
            prefetch_bytes: 0,
            connect_timeout: Duration::from_secs(10),
        },
        clock: Arc::new(TestClock::default()),
    };
    Engine::start(topology, parts, runtime.handle().clone()).expect("starts")
}

/// Looks until the status is as wanted.
fn wait(engine: &Engine, runtime: &Runtime, what: &str, is_wanted: impl Fn(&Status) -> bool) -> Status {
    let monitor = engine.monitor();
    let look = async {
        loop {
            let status = monitor.status();
            if is_wanted(&status) {
                return status;
            }
            // The ledger wakes for what becomes durable; what only waits wakes nobody.
            let moved = engine.pipeline().ledger().moved();
            let _ = tokio::time::timeout(Duration::from_millis(20), moved).await;
        }
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, look).await }).unwrap_or_else(|_| panic!("{what} in time"))
}

fn finish(engine: Engine, runtime: &Runtime) -> Ended {
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, engine.caught_up()).await.expect("caught up in time");
        engine.stop().await
    })
}

fn durable(status: &Status, partition: i32) -> Option<i64> {
    let held = status.partitions.iter().find(|held| held.partition == partition)?;
    held.sinks.first()?.durable
}

/// A small positive long of Avro.
fn long(number: u16) -> Vec<u8> {
    let zigzag = number * 2;
    if zigzag < 0x80 { vec![zigzag as u8] } else { vec![zigzag as u8 | 0x80, (zigzag >> 7) as u8] }
}

fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

#[test]
fn an_unknown_schema_stalls_its_partition_only_and_skips_nothing() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic(TOPIC, 2);
    let registry = Registry::start(&runtime, None);
    registry.tell("schemas/ids/1", &serde_json::json!({"schema": EVENT}));
    let more = format!("\n[schema_registry]\nurls = [{:?}]\n", registry.url);
    let topology = topology(&kafka, "format = \"avro\"", &more);
    // Partition 0: a known schema, an unknown one, a known one. Partition 1: known ones only.
    kafka.send((TOPIC, 0), [framed(1, &[2]), framed(2, &[0, 4]), framed(1, &[6])]);
    kafka.send((TOPIC, 1), (0..200).map(|event| framed(1, &long(event))));
    let sink = MemorySink::new("blue");
    let engine = start(&topology, &sink, &runtime);
    let status = wait(&engine, &runtime, "partition 1 done, partition 0 waiting", |status| {
        durable(status, 1) == Some(200) && status.waits.iter().any(|wait| wait.contains("has no schema 2"))
    });
    assert_eq!((durable(&status, 0), status.dead_letters), (Some(0), Some(0)));
    let wait_for = format!("{TOPIC}[0] waits for schema 2: {} has no schema 2", registry.url);
    assert!(status.waits[0].starts_with(&wait_for), "{:?}", status.waits);
    assert!(engine.monitor().ready().expect_err("a partition waits").starts_with(&wait_for));
    engine.monitor().healthy().expect("it goes on by itself");
    // The schema comes, with a type that stands in another subject.
    let reference = serde_json::json!({"name": "shop.Kind", "subject": "shop/kind", "version": 3});
    registry.tell("subjects/shop/kind/versions/3", &serde_json::json!({"subject": "shop/kind", "schema": KIND}));
    registry.tell(
        "schemas/ids/2",
        &serde_json::json!({"schema": EVENT_2, "schemaType": "AVRO", "references": [reference]}),
    );
    let ended = finish(engine, &runtime);
    assert!(ended.is_drained);
    assert_eq!((ended.totals.events, ended.totals.bad, ended.totals.rows), (203, 0, 203));
    let offsets = kafka.committed("chat.blue", (TOPIC, 2));
    assert_eq!([offsets[&0].0, offsets[&1].0], [3, 200]);
    assert_eq!(registry.asked("schemas/ids/1"), 1, "a schema is fetched once");
    assert!(registry.asked("schemas/ids/2") >= 2);
}

#[test]
fn a_registry_that_is_down_holds_no_drain_up() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic(TOPIC, 1);
    let port = crate::support::process::free_port();
    let more = format!("\n[schema_registry]\nurls = [\"http://127.0.0.1:{port}\"]\n");
    let topology = topology(&kafka, "format = \"avro\"", &more);
    kafka.send((TOPIC, 0), [framed(1, &[2])]);
    let engine = start(&topology, &MemorySink::new("blue"), &runtime);
    wait(&engine, &runtime, "waiting", |status| {
        status.waits.iter().any(|wait| wait.contains("connect to http://127.0.0.1"))
    });
    let began = std::time::Instant::now();
    let ended = runtime.block_on(engine.stop());
    assert!(began.elapsed() < Duration::from_secs(15), "the drain timeout is 20 s");
    assert_eq!((ended.totals.events, ended.totals.bad), (0, 0));
    assert_eq!(kafka.committed("chat.blue", (TOPIC, 1))[&0].0, 0, "nothing is skipped");
}

#[test]
fn a_password_is_sent_and_a_wrong_one_is_told_without_it() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic(TOPIC, 1);
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("password");
    std::fs::write(&secret, "wrong\n").expect("written");
    // u:right
    let registry = Registry::start(&runtime, Some("Basic dTpyaWdodA=="));
    registry.tell("schemas/ids/1", &serde_json::json!({"schema": EVENT}));
    let more = format!(
        "\n[schema_registry]\nurls = [{:?}]\nuser = \"u\"\npassword = \"file:{}\"\n",
        registry.url,
        secret.display()
    );
    let topology = topology(&kafka, "format = \"avro\"", &more);
    kafka.send((TOPIC, 0), [framed(1, &[2])]);
    let engine = start(&topology, &MemorySink::new("blue"), &runtime);
    let status = wait(&engine, &runtime, "refused", |status| status.waits.iter().any(|wait| wait.contains("refuses")));
    assert!(status.waits[0].contains("(401); check user and password") && !status.waits[0].contains("wrong"));
    std::fs::write(&secret, "right\n").expect("written");
    assert_eq!(finish(engine, &runtime).totals.rows, 1);
}

#[test]
fn keys_and_headers_come_through_librdkafka_and_null_payloads_delete() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic(TOPIC, 1);
    let text = include_str!("topology.toml")
        .replace("BROKERS", &kafka.brokers().join(","))
        .replace("format = \"json\"", "format = \"raw\"")
        .replace("{column = \"event\", as = \"u64\"}", "{column = \"$key\", as = \"utf8\"}")
        .replace(
            "version = {column = \"event\"}",
            "version = {column = \"$offset\"}\nwhen = \"$header.kind = 'wanted'\"",
        )
        .replace("{from = \"event\", as = \"u64\"}", "{from = \"$header.n\", as = \"i32\"}");
    let topology = halcyon::topology::load::parse("topology.toml", &text, &|_| None);
    let topology = topology.unwrap_or_else(|mistakes| panic!("{mistakes}")).topology;
    let seven = 7_i32.to_be_bytes();
    let wanted = [("kind", &b"wanted"[..]), ("n", &seven[..])];
    kafka.send_record((TOPIC, 0), (b"a", Some(b"1")), &wanted);
    kafka.send_record((TOPIC, 0), (b"b", Some(b"1")), &[("kind", b"other"), ("n", &seven)]);
    kafka.send_record((TOPIC, 0), (b"c", Some(b"1")), &[("kind", b"other"), ("kind", b"wanted"), ("n", &seven)]);
    kafka.send_record((TOPIC, 0), (b"a", None), &wanted);
    let sink = MemorySink::new("blue");
    let ended = finish(start(&topology, &sink, &runtime), &runtime);
    assert_eq!((ended.totals.events, ended.totals.filtered, ended.totals.bad), (4, 1, 0));
    let cell = |row: &str, qualifier: &str, version, value: &[u8]| {
        ((row.into(), b"e".to_vec(), qualifier.into()), (version, value.to_vec()))
    };
    let expected = [cell("a", "_deleted", 3, &[1]), cell("a", "id", 3, &[]), cell("c", "id", 2, &seven)];
    assert_eq!(sink.tables()["event"], expected.into_iter().collect());
}
