//! Everything that breaks around a consumer, on a real broker: at the end both clusters equal an independent fold.

use std::time::{Duration, Instant};

use hbase::server::{Condition, Reaction, Rule};

use super::world::{PARTITIONS, World, is_running, variable};
use crate::real::on_stack;
use crate::support::process::{Process, halcyon};
use crate::support::proxy::Proxy;

/// The bounded version; `make soak` takes ten minutes.
const SECONDS: u64 = 45;

fn through_proxy(text: String) -> String {
    text.replace(&format!("[\"{}\"]", variable("HALCYON_KAFKA")), &format!("[\"{}\"]", variable("HALCYON_KAFKA_PROXY")))
}

fn proxy() -> Proxy {
    Proxy::start(&variable("HALCYON_KAFKA_PROXY"), &variable("HALCYON_KAFKA_PROXIED"))
}

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn connections_cut_in_the_middle_cost_nothing() {
    if !is_running() {
        return;
    }
    const EVENTS: usize = 20_000;
    let proxy = proxy();
    let world = World::with("cut", through_proxy);
    let mut run = Process::run(&world.path(), &["--commit-interval-ms", "50"]);
    let mut cuts = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| world.send(0..EVENTS, EVENTS / 8));
        for wanted in [1000, 4000, 8000, 12_000, 16_000] {
            run.wait_status("some events", |status| status.events >= Some(wanted));
            cuts += proxy.cut();
        }
    });
    assert!(cuts >= 5, "{cuts} connections were cut");
    run.wait_status("all events, all committed", |status| {
        let lags = || status.partitions.iter().flat_map(|held| &held.sinks);
        status.events >= Some(EVENTS as u64) && lags().all(|lag| lag.lag_offsets == Some(0))
    });
    run.terminate();
    assert_eq!(run.end().status.code(), Some(130));
    world.assert_equal(EVENTS);
}

#[test]
fn retention_that_overtakes_a_slow_sink_stops_the_run_and_names_the_range() {
    if !is_running() {
        return;
    }
    const EVENTS: usize = 120_000;
    let world = World::new("overtaken");
    world.send(0..EVENTS, 1_000_000);
    let slow = || Rule::new(Condition::method("Multi"), Reaction::Delay(Duration::from_secs(2)));
    let held: Vec<_> = world.clusters.iter().map(|cluster| cluster.inject_while(slow())).collect();
    let mut run = Process::run(&world.path(), &["--memory-mib", "16", "--commit-interval-ms", "100"]);
    let status = run.wait_status("the window is full", |status| status.memory_used_bytes >= Some(8 << 20));
    assert!(status.events < Some(EVENTS as u64 / 2), "most of the log is not read yet: {:?}", status.events);
    let ends: Vec<i64> = (0..PARTITIONS).map(|partition| world.cut(partition)).collect();
    drop(held);
    let ended = run.end();
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(3), "{error}");
    let named = ends.iter().enumerate().any(|(partition, end)| {
        error.contains(&format!("{}[{partition}]: offsets ", world.topic))
            && error.contains(&format!("..{end} were removed by retention"))
    });
    assert!(named && error.contains("--accept-loss"), "{error}");
}

#[test]
fn the_group_protocol_of_kip_848_with_static_members_survives_a_kill() {
    if !is_running() {
        return;
    }
    const EVENTS: usize = 12_000;
    let world = World::with("kip848", |text| {
        text.replace("[kafka]\n", "[kafka]\ngroup_protocol = \"consumer\"\n")
            .replace("\"session.timeout.ms\" = \"6000\"", "")
    });
    let member = |name: &str| Process::run(&world.path(), &["--commit-interval-ms", "50", "--group-instance-id", name]);
    let mut one = member("one");
    let mut two = member("two");
    one.wait_status("half of the partitions", |status| status.partitions.len() == PARTITIONS as usize / 2);
    two.wait_status("the other half", |status| status.partitions.len() == PARTITIONS as usize / 2);
    let (_, out, _) = world.offsets(&["show"]);
    assert!(out.contains("consumer protocol, 2 members") && out.contains("one (halcyon at 127.0.0.1)"), "{out}");
    let mut two = std::thread::scope(|scope| {
        scope.spawn(|| world.send(0..EVENTS, EVENTS / 5));
        two.wait_status("some events", |status| status.events > Some(500));
        two.kill();
        // The broker keeps a killed member's place until its session is over, and refuses a second one of that name.
        let refused = member("two").end();
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{error}");
        assert!(error.contains("`two`") && error.contains("its session is over"), "{error}");
        one.wait_status("everything meanwhile", |status| status.partitions.len() == PARTITIONS as usize);
        let mut two = member("two");
        two.wait_status("its share again", |status| status.partitions.len() == PARTITIONS as usize / 2);
        two
    });
    for process in [&mut one, &mut two] {
        process.wait_status("all committed", |status| {
            let lags = || status.partitions.iter().flat_map(|held| &held.sinks);
            lags().count() == PARTITIONS as usize
                && lags().all(|lag| lag.lag_offsets == Some(0) && lag.committed == lag.durable)
        });
    }
    for process in [one, two] {
        process.terminate();
        assert_eq!(process.end().status.code(), Some(130));
    }
    world.assert_equal(EVENTS);
}

/// Processes join and leave, in order or by kill -9; connections are cut, the broker is killed, partitions are added, and
/// transactions are aborted, all at once and by a seed.
#[test]
fn four_processes_and_a_broker_that_come_and_go_end_with_equal_clusters() {
    if !is_running() {
        return;
    }
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (number("SOAK_KAFKA_SECONDS", SECONDS), number("SOAK_SEED", 7));
    println!("SOAK_KAFKA_SECONDS={seconds} SOAK_SEED={seed}");
    let proxy = proxy();
    let world = World::with("soak", through_proxy);
    let (events, mut dice) = (seconds as usize * 1000, Dice(seed));
    let (began, lasting) = (Instant::now(), Duration::from_secs(seconds));
    let mut members: Vec<Option<Process>> = (0..4).map(|_| None).collect();
    let mut counts = std::collections::BTreeMap::new();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| world.send(0..events, 1000));
        while began.elapsed() < lasting {
            let what = trouble(&world, &proxy, &mut members, &mut dice);
            *counts.entry(what).or_insert(0) += 1;
            std::thread::park_timeout(Duration::from_millis(300 + dice.below(1500)));
        }
        sending.join().expect("all events sent");
    });
    println!("{:.0} s: {counts:?}", began.elapsed().as_secs_f64());
    for process in members.into_iter().flatten() {
        process.terminate();
        process.end();
    }
    // Static and killed members leave by their sessions; the last run waits for them.
    let read = world.catch_up();
    println!("the last run read {read} of {events} events");
    world.assert_equal(events);
    for group in [format!("{}.blue", world.name), format!("{}.green", world.name)] {
        let sum: i64 = world.committed(&group).into_iter().flatten().sum();
        assert!(sum >= events as i64, "{group} has committed {sum}");
    }
}

fn trouble(world: &World, proxy: &Proxy, members: &mut [Option<Process>], dice: &mut Dice) -> &'static str {
    let at = dice.below(members.len() as u64) as usize;
    let id = format!("member-{at}");
    match (dice.below(10), members[at].take()) {
        (0, held) => {
            members[at] = held;
            proxy.cut();
            "connections cut"
        }
        (1, held) if dice.below(3) == 0 => {
            members[at] = held;
            on_stack(&["kill", "kafka"]);
            on_stack(&["proc", "kafka"]);
            "broker killed"
        }
        (2, held) => {
            members[at] = held;
            let count = world.partition_count();
            if count < 8 {
                world.add_partitions(count + 1);
            }
            "partition added"
        }
        (3..=5, Some(process)) => {
            process.kill();
            "process killed"
        }
        (_, Some(process)) => {
            process.terminate();
            process.end();
            "process stopped"
        }
        (dice, None) => {
            let mut arguments = vec!["--commit-interval-ms", "100", "--memory-mib", "32"];
            if dice % 2 == 0 {
                arguments.extend(["--group-instance-id", &id]);
            }
            members[at] = Some(Process::run_unheard(&world.path(), &arguments));
            "process started"
        }
    }
}

#[test]
fn a_coordinator_that_was_away_is_found_again() {
    if !is_running() {
        return;
    }
    // One broker coordinates everything: its restart is a coordinator that goes and comes, with another epoch.
    let world = World::new("coordinator");
    let mut run = Process::run(&world.path(), &["--commit-interval-ms", "50"]);
    world.send(0..1000, 100_000);
    run.wait_status("reading", |status| status.events >= Some(1000));
    on_stack(&["kill", "kafka"]);
    on_stack(&["proc", "kafka"]);
    world.send(1000..2000, 100_000);
    run.wait_status("all committed", |status| {
        let lags = || status.partitions.iter().flat_map(|held| &held.sinks);
        status.events >= Some(2000) && lags().all(|lag| lag.committed == lag.durable && lag.lag_offsets == Some(0))
    });
    run.terminate();
    assert_eq!(run.end().status.code(), Some(130));
    world.assert_equal(2000);
    let (code, _, error) = halcyon(&["run", "--topology", &world.path(), "--until-caught-up"]);
    assert_eq!(code, 0, "{error}");
}
