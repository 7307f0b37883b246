//! A real broker that goes away, and a log that retention cuts.

use super::stack;
use super::world::{World, on_stack};
use crate::support::process::{Process, halcyon};

const EVENTS: usize = 40_000;

/// The process stays, waits and goes on by itself; at the end no cell differs.
#[test]
fn a_broker_that_is_killed_and_restarted_under_load_costs_nothing() {
    if !stack::is_running() {
        return;
    }
    let world = World::new("broker");
    let mut run = Process::run(&world.path(), &["--commit-interval-ms", "100"]);
    let before = std::thread::scope(|scope| {
        let sending = scope.spawn(|| world.send(0..EVENTS, EVENTS / 10));
        run.wait_status("reading", |status| status.events > Some(1000));
        on_stack(&["kill", "kafka"]);
        let before = run.status().and_then(|status| status.events);
        on_stack(&["proc", "kafka"]);
        sending.join().expect("all events sent");
        before
    });
    run.wait_status("all events, all committed", |status| {
        let sinks = || status.partitions.iter().flat_map(|held| &held.sinks);
        status.events >= Some(EVENTS as u64) && sinks().count() > 0 && sinks().all(|lag| lag.lag_offsets == Some(0))
    });
    println!("{before:?} of {EVENTS} events were read before the kill");
    run.terminate();
    assert_eq!(run.end().status.code(), Some(130));
    for (cluster, found) in world.check(EVENTS) {
        assert_eq!((found.differences, &found.examples[..]), (0, &[][..]), "{cluster}");
    }
}

/// Between two runs, retention removes what no sink has read: the second run names the range and writes nothing.
#[test]
fn a_range_that_retention_removed_is_named_and_never_jumped() {
    if !stack::is_running() {
        return;
    }
    let world = World::new("retention");
    world.send(0..1000, 10_000);
    let (code, _, error) = halcyon(&["run", "--topology", &world.path(), "--until-caught-up"]);
    assert_eq!(code, 0, "{error}");
    world.send(1000..3000, 10_000);
    let (from, to) = world.cut(0);
    let (code, _, error) = halcyon(&["run", "--topology", &world.path(), "--until-caught-up"]);
    assert_eq!(code, 3, "stopped by policy: {error}");
    let range = format!("{}[0]: offsets {from}..{to} were removed by retention", world.topic);
    assert!(error.contains(&range), "{range} is not in: {error}");
    let (code, _, error) = halcyon(&["run", "--topology", &world.path(), "--until-caught-up"]);
    assert_eq!(code, 3, "and it stays so until somebody decides: {error}");
    assert!(!error.contains("did not close in time"), "what was granted is given back: {error}");
}
