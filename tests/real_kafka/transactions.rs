//! Topics that are written in transactions.

use std::time::Duration;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::world::{World, is_running};
use crate::support::process::Process;

const PATIENCE: Duration = Duration::from_secs(30);

fn send(world: &World, producer: &ThreadedProducer<DefaultProducerContext>, range: std::ops::Range<usize>) {
    for event in World::events(range) {
        let mut json = Vec::new();
        event.write_json(&mut json);
        let key = event.key();
        let record = BaseRecord::to(&world.topic).partition(world.partition(&event)).key(&key[..]).payload(&json[..]);
        producer.send(record).map_err(|(error, _)| error).expect("room in the producer");
    }
    producer.flush(PATIENCE).expect("delivered");
}

#[test]
fn aborted_records_never_appear_and_control_records_are_no_lag() {
    if !is_running() {
        return;
    }
    let world = World::new("aborted");
    let producer = world.transactional();
    let transaction = |range: std::ops::Range<usize>, commits: bool| {
        producer.begin_transaction().expect("begun");
        send(&world, &producer, range);
        let ended = if commits { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
        ended.expect("ended");
    };
    transaction(0..300, true);
    // Events of the future: were one of them written, the fold would differ.
    transaction(2000..2400, false);
    transaction(300..600, true);
    transaction(2400..2500, false);
    assert_eq!(world.catch_up(), 600);
    world.assert_equal(600);
    let mut run = Process::run(&world.path(), &["--commit-interval-ms", "100"]);
    run.wait_status("no lag although control records end every log", |status| {
        let lags = || status.partitions.iter().flat_map(|held| &held.sinks);
        lags().count() == 8 && lags().all(|lag| lag.lag_offsets == Some(0) && lag.committed == lag.durable)
    });
    run.terminate();
    assert_eq!(run.end().status.code(), Some(130));
    let (_, out, _) = world.offsets(&["show", "--json"]);
    assert!(super::world::lines(&out).iter().all(|line| line["lag"] == 0), "{out}");
}

#[test]
fn a_hanging_transaction_is_told_and_so_is_its_end() {
    if !is_running() {
        return;
    }
    let world = World::new("hanging");
    world.send(0..200, 100_000);
    let producer = world.transactional();
    producer.begin_transaction().expect("begun");
    send(&world, &producer, 200..400);
    let arguments = ["--commit-interval-ms", "100", "--transaction-patience-ms", "2000"];
    let mut run = Process::run(&world.path(), &arguments);
    let told = run
        .wait_status("the transaction is told", |status| status.partitions.iter().any(|held| held.trouble.is_some()));
    let trouble = told.partitions.iter().find_map(|held| held.trouble.clone()).expect("a trouble");
    assert!(trouble.starts_with("a transaction is open at offset"), "{trouble}");
    assert_eq!(told.events, Some(200), "nothing of it is read");
    let metrics = run.wait_for("/metrics", "halcyon_transaction_open_seconds");
    let open = |line: &&str| line.starts_with("halcyon_transaction_open_seconds") && !line.ends_with(" 0");
    assert!(metrics.lines().any(|line| open(&line)), "{metrics}");
    producer.commit_transaction(PATIENCE).expect("committed");
    run.wait_status("all events, no trouble", |status| {
        status.events >= Some(400) && status.partitions.iter().all(|held| held.trouble.is_none())
    });
    run.terminate();
    let ended = run.end();
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    let told = log.lines().filter(|line| line.contains("a transaction is open for too long")).count();
    assert!((1..=4).contains(&told), "once for each partition of it, not once a look: {told}");
    assert!(log.contains("the open transaction has ended"), "{log}");
    world.assert_equal(400);
}
