//! Several topics, several models of one topic and their tables in one process, into two sinks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use halcyon::clock::TestClock;
use halcyon::dead_letter::{Budget, DeadLetters};
use halcyon::engine::{Engine, EngineParts};
use halcyon::sink::Sink;
use halcyon::sink::memory::MemorySink;
use halcyon::topology::load;
use tokio::runtime::Runtime;

use super::groups::read;
use crate::support::mock_kafka::MockKafka;

const PATIENCE: Duration = Duration::from_secs(30);

/// A second model of the messages: the same events by account.
const BY_ACCOUNT: &str = r#"
[model.by_account]
topic   = "messages"
table   = "by_account"
key     = [{column = "account_id", as = "u64"}, {column = "message_id", as = "u64"}]
version = {column = "version"}
when    = "account_id between 0 and 9"

[model.by_account.columns]
"a:line" = {concat = [{from = "room_id", is = "u64"}, {value = ": "}, "body"], as = "utf8"}
"#;

#[test]
fn topics_models_and_tables_share_one_process() {
    let runtime = Runtime::new().expect("a runtime");
    let kafka = MockKafka::with_topic("chat.messages", 2);
    kafka.create_topic("chat.receipts", 1);
    let chat = include_str!("../../topology/chat.toml").replace("127.0.0.1:9092", &kafka.brokers().join(","));
    let text = format!("{chat}{BY_ACCOUNT}");
    let loaded = load::parse("chat.toml", &text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    for partition in 0..2 {
        let message = |id: u64| {
            let (id, account) = (id * 2 + partition, id % 20);
            format!(
                r#"{{"message_id":{id},"room_id":3,"account_id":{account},"type":"posted","body":"b","version":1,"sent_at":1}}"#
            )
        };
        kafka.send(("chat.messages", partition as i32), (0..100).map(message));
    }
    let receipt = |room: u64| {
        format!(
            r#"{{"room_id":{room},"account":{{"id":9,"name":"mia"}},"last_read":7,"read_at":"2026-11-01T09:30:00Z","seq":0,"left":false}}"#
        )
    };
    kafka.send(("chat.receipts", 0), (0..30).map(receipt));
    let sinks = [MemorySink::new("blue"), MemorySink::new("green")];
    let parts = EngineParts {
        sinks: sinks.iter().map(|sink| Arc::clone(sink) as Arc<dyn Sink>).collect(),
        dead_letters: DeadLetters::Halt,
        budget: Budget::new(loaded.topology.dead_letter.budget),
        memory_bytes: 64 << 20,
        read: read(),
        clock: Arc::new(TestClock::default()),
    };
    let engine = Engine::start(&loaded.topology, parts, runtime.handle().clone()).expect("starts");
    let ended = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, engine.caught_up()).await.expect("caught up in time");
        engine.stop().await
    });
    assert_eq!((ended.totals.events, ended.totals.bad), (230, 0));
    for sink in sinks {
        let tables = sink.tables();
        let rows = |table: &str| tables[table].keys().map(|(row, ..)| row.clone()).collect::<BTreeSet<_>>().len();
        assert_eq!((rows("message"), rows("by_account"), rows("receipt")), (200, 100, 30));
        let line = tables["by_account"].values().next().expect("a cell");
        assert_eq!(line.1, b"3: b");
    }
    assert_eq!(kafka.committed("chat.green", ("chat.receipts", 1))[&0].0, 30);
    assert_eq!(kafka.committed("chat.green", ("chat.messages", 2))[&1].0, 100);
}
