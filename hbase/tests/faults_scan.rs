//! Scans under faults: every row once, whatever is lost, doubled or killed.

use std::time::Duration;

use hbase::mutation::Durability;
use hbase::scan::{Direction, Scan};
use hbase::server::{Condition, Config, Reaction, Rule};

use crate::support::world::{World, all_at, key, puts, run, seed};

const ROWS: u32 = 500;

async fn world() -> World {
    let splits = [key(100), key(200), key(300), key(400)];
    let world = World::new(Config { region_servers: 2, ..Config::default() }, &splits).await;
    world.client.write(&world.table, &puts(0..ROWS, 1), Durability::SyncWal).await.expect("written");
    world
}

/// Small answers, so that a scan takes many calls.
fn scan() -> Scan {
    Scan { caching: 7, ..Scan::default() }
}

#[test]
fn a_scan_whose_answers_are_lost_skips_no_row_and_repeats_none() {
    let seed = seed("a_scan_whose_answers_are_lost");
    run(async {
        let world = world().await;
        let reactions = [
            Reaction::LoseAnswer,
            Reaction::Disconnect,
            Reaction::Truncate(60),
            Reaction::Late(Duration::from_millis(600)),
            Reaction::refuse("UnknownScannerException"),
            Reaction::refuse("exceptions.ScannerResetException"),
            Reaction::refuse("exceptions.OutOfOrderScannerNextException"),
            Reaction::refuse("regionserver.LeaseException"),
            Reaction::refuse("NotServingRegionException"),
            Reaction::refuse("regionserver.RegionServerStoppedException"),
        ];
        for (number, reaction) in (0..).zip(reactions) {
            let of_table = Condition::method("Scan").and(Condition::table(&world.table));
            let chance = of_table.and(Condition::chance(15, seed.wrapping_add(number)));
            world.cluster.inject(Rule::new(chance, reaction));
        }
        assert_eq!(world.scanned(scan()).await, all_at(0..ROWS, 1));
        let reversed = world.scanned(Scan { direction: Direction::Reversed, ..scan() }).await;
        assert_eq!(reversed, all_at(0..ROWS, 1).into_iter().rev().collect::<Vec<_>>());
    });
}

#[test]
fn every_single_answer_of_a_scan_may_be_lost() {
    run(async {
        let world = world().await;
        let of_table = || Condition::method("Scan").and(Condition::table(&world.table));
        let counted = world.cluster.inject_while(Rule::new(of_table(), Reaction::Stray));
        assert_eq!(world.scanned(Scan { caching: 40, ..Scan::default() }).await.len(), ROWS as usize);
        let calls = counted.hits();
        drop(counted);
        for call in 0..calls {
            let lost = world.cluster.inject_while(Rule::new(of_table().numbers(call..call + 1), Reaction::LoseAnswer));
            let rows = world.scanned(Scan { caching: 40, ..Scan::default() }).await;
            assert_eq!(rows, all_at(0..ROWS, 1), "call {call} of {calls}");
            assert_eq!(lost.hits(), 1);
        }
    });
}

#[test]
fn a_server_killed_in_the_middle_of_a_scan_costs_no_row() {
    run(async {
        let world = world().await;
        for direction in [Direction::Forward, Direction::Reversed] {
            let mut scanner = world.client.scan(&world.table, Scan { direction, ..scan() });
            let mut rows = Vec::new();
            while let Some(row) = scanner.next_row().await.expect("a row") {
                let row = row.to_cells();
                rows.push((String::from_utf8_lossy(&row[0].row).into_owned(), row[0].timestamp));
                // In the middle of a region, of an answer, and at a border.
                match rows.len() {
                    50 => world.cluster.stop_server(0),
                    203 => world.cluster.start_server(0).await.expect("its port"),
                    300 => world.cluster.stop_server(1),
                    351 => world.cluster.start_server(1).await.expect("its port"),
                    _ => {}
                }
            }
            let mut expected = all_at(0..ROWS, 1);
            if direction == Direction::Reversed {
                expected.reverse();
            }
            assert_eq!(rows, expected, "{direction:?}");
        }
    });
}

#[test]
fn regions_that_split_merge_and_move_under_a_scan_cost_no_row() {
    run(async {
        let world = world().await;
        for direction in [Direction::Forward, Direction::Reversed] {
            let mut scanner = world.client.scan(&world.table, Scan { direction, ..scan() });
            let mut rows = Vec::new();
            while let Some(row) = scanner.next_row().await.expect("a row") {
                let row = row.to_cells();
                rows.push((String::from_utf8_lossy(&row[0].row).into_owned(), row[0].timestamp));
                let at = &row[0].row;
                match rows.len() {
                    20 | 220 => world.cluster.split(&world.table, at).expect("split"),
                    60 | 260 => world.cluster.merge(&world.table, key(100).as_bytes()).expect("merged"),
                    130 | 330 => world.cluster.move_region(&world.table, at, rows.len() % 2),
                    _ => {}
                }
            }
            let mut expected = all_at(0..ROWS, 1);
            if direction == Direction::Reversed {
                expected.reverse();
            }
            assert_eq!(rows, expected, "{direction:?}");
        }
    });
}
