//! Events into two real clusters of different versions while processes, servers and regions come and go: at the end no
//! cell may differ from an independent fold of the events.

use std::time::{Duration, Instant};

use bytes::Bytes;
use halcyon::sink::hbase::client;
use hbase::error::Error;
use hbase::table_name::TableName;

use super::world::{World, on_stack};
use super::{java, stack};
use crate::support::process::{Process, halcyon};

/// Events when nobody says otherwise; `make soak` sends a million.
const EVENTS: usize = 120_000;
/// Kills of halcyon.
const KILLS: usize = 5;
/// How long an incident may take to show its effect.
const PATIENCE: Duration = Duration::from_secs(120);

/// What happens between two kills.
#[derive(Clone, Copy, Debug)]
enum Incident {
    SplitBlue,
    KillRegionServer,
    StartRegionServer,
    MoveGreen,
    SplitGreen,
}

const INCIDENTS: [Incident; KILLS] = [
    Incident::SplitBlue,
    Incident::KillRegionServer,
    Incident::StartRegionServer,
    Incident::MoveGreen,
    Incident::SplitGreen,
];

#[test]
fn no_cell_differs_after_kills_splits_moves_and_a_region_server_restart() {
    if !stack::is_running() {
        return;
    }
    let events = std::env::var("SOAK_EVENTS").ok().and_then(|events| events.parse().ok()).unwrap_or(EVENTS);
    let world = World::new("kills");
    let began = Instant::now();
    // The log is complete before the end, but most of it arrives while things break.
    let mut read = 0;
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| world.send(0..events, events / 12));
        for (number, incident) in INCIDENTS.into_iter().enumerate() {
            let mut run = Process::run(&world.path(), &["--memory-mib", "32", "--commit-interval-ms", "200"]);
            run.wait_status("reading", |status| status.events > Some(0));
            cause(&world, incident);
            // A different point of progress each time, given by what was read and not by the clock.
            let wanted = 1000 * (1 + 7 * number as u64 % 5);
            let status = run.wait_status("some events", |status| {
                status.events >= Some(wanted) || status.sinks.iter().all(|sink| sink.rows > Some(0))
            });
            read += status.events.unwrap_or(0);
            println!(
                "{:5.1} s  {incident:?}, then kill -9 after {:?} events",
                began.elapsed().as_secs_f64(),
                status.events
            );
            run.kill();
        }
        sending.join().expect("all events sent");
    });
    let (code, out, error) = halcyon(&["run", "--topology", &world.path(), "--until-caught-up", "--json"]);
    assert_eq!(code, 0, "{error}");
    let report: serde_json::Value = serde_json::from_str(out.trim()).expect("one line of JSON");
    read += report["events"].as_u64().expect("a number");
    for (cluster, found) in world.check(events) {
        println!("{cluster}: {} rows, {} cells, {} differ", found.rows, found.cells, found.differences);
        assert_eq!((found.differences, &found.examples[..]), (0, &[][..]), "{cluster}");
    }
    let duplicates = read.saturating_sub(events as u64);
    println!(
        "{read} events read for {events}: {duplicates} read again after {KILLS} kills; {:.1} s",
        began.elapsed().as_secs_f64()
    );
    // What one kill can cost is what was in flight: bounded by the memory budget, here 32 MiB of events of 300 bytes.
    assert!(duplicates < KILLS as u64 * 110_000, "{duplicates} events were read again");
    java_reads_the_same_cells(&world);
}

fn cause(world: &World, incident: Incident) {
    let table = TableName::new(&world.table);
    let admin = |cluster: &str| client(&world.topology.clusters[cluster]).admin();
    let row = |first: u8| Bytes::from(vec![first, 0x80]);
    let began = Instant::now();
    loop {
        let done = match incident {
            Incident::SplitBlue => world.runtime.block_on(admin("blue").split(&table, &row(3))),
            Incident::SplitGreen => world.runtime.block_on(admin("green").split(&table, &row(5))),
            Incident::MoveGreen => world.runtime.block_on(admin("green").move_region(&table, &row(7), None)),
            Incident::KillRegionServer => {
                on_stack(&["kill", "green", "rs2"]);
                Ok(())
            }
            Incident::StartRegionServer => {
                on_stack(&["proc", "green", "rs2"]);
                Ok(())
            }
        };
        match done {
            Ok(()) => return,
            // The balancer is moving the region at this moment, so the master takes no other order for it.
            Err(Error::Refused(refusal)) if refusal.message.contains("is not OPEN") && began.elapsed() < PATIENCE => {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            Err(error) => panic!("{incident:?}: {}", error.chain()),
        }
    }
}

/// HBase's own client finds the same cells in both clusters.
fn java_reads_the_same_cells(world: &World) {
    let dumps: Vec<String> = ["blue", "green"].iter().map(|cluster| java::cell_dump(cluster, &world.table)).collect();
    println!("Java reads {}", dumps[0]);
    assert_eq!(dumps[0], dumps[1]);
    let began = Instant::now();
    assert!(dumps[0].starts_with("rows ") && began.elapsed() < PATIENCE);
}
