//! Scans and nonces under faults, on the cluster in process: every row exactly once, every counter exactly right.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use hbase::cell::{Cell, CellKind};
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::region_scanner::{Delivery, RegionScan};
use hbase::client::scanner::Progress;
use hbase::client::{Client, ClientConfig};
use hbase::filter::Filter;
use hbase::mutation::{Append, Durability, Increment, Put, counter};
use hbase::row_block::{Column, MutationKind, RowBlockBuilder};
use hbase::scan::{Direction, Get, Scan};
use hbase::server::{Cluster, Condition, Reaction, Rule};
use hbase::table_name::TableName;
use hbase::wire::frame::Request;
use hbase::wire::message::ScanRequest;
use prost::Message;
use tokio::runtime::Runtime;

const ROWS: u32 = 600;
const PATIENCE: Duration = Duration::from_secs(60);

/// A reaction to calls of a method, by their number from now on.
fn fault(method: &'static str, calls: Range<u64>, reaction: Reaction) -> Rule {
    Rule::new(Condition::method(method).numbers(calls), reaction)
}

/// Two region servers, a table `t` of three regions with six hundred rows, and a client that is used to it.
async fn world() -> (Cluster, Client, TableName) {
    let cluster = Cluster::start(2).await.expect("free ports");
    let client = Client::new(ClientConfig::new(cluster.registry()));
    let table = TableName::new("t");
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
    let splits = [Bytes::from_static(b"r00200"), Bytes::from_static(b"r00400")];
    client.admin().create_table(&descriptor, &splits).await.expect("created");
    let column = Column::new(b"f", b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in 0..ROWS {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        builder.cell(&column, 1, CellKind::Put, &[7; 40]).expect("room");
    }
    client.write(&table, &builder.finish(), Durability::SyncWal).await.expect("written");
    (cluster, client, table)
}

fn expected(direction: Direction) -> Vec<String> {
    let rows = (0..ROWS).map(|row| format!("r{row:05}"));
    match direction {
        Direction::Forward => rows.collect(),
        Direction::Reversed => rows.rev().collect(),
    }
}

fn key(row: &[Cell]) -> String {
    String::from_utf8_lossy(&row[0].row).into_owned()
}

async fn all(client: &Client, table: &TableName, scan: Scan) -> Vec<String> {
    let mut scanner = client.scan(table, scan);
    let mut found = Vec::new();
    while let Some(row) = scanner.next_row().await.expect("a row") {
        let row = row.to_cells();
        found.push(key(&row));
    }
    found
}

fn in_world<F: Future<Output = ()>>(story: impl FnOnce(Cluster, Client, TableName) -> F) {
    Runtime::new().expect("a runtime").block_on(async {
        let (cluster, client, table) = world().await;
        story(cluster, client, table).await;
    });
}

/// Scans of the table as clients have sent them, openings with their region.
fn scans(cluster: &Cluster) -> Vec<ScanRequest> {
    let recorded = cluster.recorded().into_iter().filter(|it| it.service == "ClientService" && it.method == "Scan");
    recorded
        .map(|it| ScanRequest::decode(Request::decode(it.bytes).expect("a request").message).expect("a scan"))
        .collect()
}

fn is_of_meta(scan: &ScanRequest) -> bool {
    scan.region.as_ref().is_some_and(|region| region.value.starts_with(b"hbase:meta"))
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} does not come"));
}

#[test]
fn every_row_comes_once_whatever_becomes_of_the_scanner() {
    in_world(|cluster, client, table| async move {
        let reactions = [
            Reaction::refuse("UnknownScannerException"),
            Reaction::refuse("NotServingRegionException"),
            Reaction::refuse("regionserver.RegionServerStoppedException"),
            Reaction::refuse("exceptions.ScannerResetException"),
            Reaction::refuse("exceptions.OutOfOrderScannerNextException"),
            Reaction::LoseAnswer,
            Reaction::Disconnect,
        ];
        for reaction in reactions {
            for direction in [Direction::Forward, Direction::Reversed] {
                for after in [0, 1, 4, 9] {
                    cluster.inject(fault("Scan", after..after + 2, reaction.clone()));
                    let scan = Scan { caching: 50, direction, bytes_per_answer: 900, ..Scan::default() };
                    let found = all(&client, &table, scan).await;
                    assert_eq!(found, expected(direction), "{reaction:?} after {after} {direction:?}");
                }
            }
        }
    });
}

/// The answer to a `next` is lost with its connection; a client that sent no sequence would skip its rows.
#[test]
fn a_next_that_is_sent_again_loses_no_row() {
    in_world(|cluster, client, table| async move {
        for after in 0..12 {
            cluster.inject(fault("Scan", after..after + 1, Reaction::LoseAnswer));
            let scan = Scan { caching: 50, prefetch: after % 2 == 0, ..Scan::default() };
            assert_eq!(all(&client, &table, scan).await, expected(Direction::Forward), "after {after}");
        }
    });
}

#[test]
fn every_row_comes_once_while_regions_split_merge_and_move() {
    in_world(|cluster, client, table| async move {
        for direction in [Direction::Forward, Direction::Reversed] {
            let mut scanner = client.scan(&table, Scan { caching: 20, direction, ..Scan::default() });
            let mut found = Vec::new();
            while let Some(row) = scanner.next_row().await.expect("a row") {
                let row = row.to_cells();
                found.push(key(&row));
                match found.len() {
                    50 => cluster.split(&table, b"r00300").expect("split"),
                    150 => (0..2).for_each(|server| cluster.move_region(&table, b"r00300", server)),
                    250 => cluster.merge(&table, b"r00200").expect("merged"),
                    350 => cluster.merge(&table, b"r00000").expect("merged"),
                    450 => cluster.split(&table, b"r00200").expect("split"),
                    _ => {}
                }
            }
            assert_eq!(found, expected(direction), "{direction:?}");
        }
    });
}

#[test]
fn a_scan_of_many_regions_neither_loses_nor_repeats_rows_while_they_change() {
    in_world(|cluster, client, table| async move {
        for delivery in [Delivery::Ordered, Delivery::Unordered] {
            let options = RegionScan { concurrency: 2, bytes_max: 30 << 10, delivery };
            let mut scanner = client.scan_regions(&table, Scan { caching: 20, ..Scan::default() }, options);
            let mut found = Vec::new();
            while let Some(row) = scanner.next_row().await.expect("a row") {
                let row = row.to_cells();
                found.push(key(&row));
                match found.len() {
                    20 => cluster.split(&table, b"r00500").expect("split"),
                    40 => (0..2).for_each(|server| cluster.move_region(&table, b"r00100", server)),
                    60 => cluster.inject(fault("Scan", 0..3, Reaction::LoseAnswer)),
                    80 => cluster.merge(&table, b"r00400").expect("merged"),
                    _ => {}
                }
            }
            if delivery == Delivery::Unordered {
                found.sort();
            }
            assert_eq!(found, expected(Direction::Forward), "{delivery:?}");
        }
    });
}

#[test]
fn a_scan_that_ends_early_leaves_no_scanner_open() {
    in_world(|cluster, client, table| async move {
        for prefetch in [false, true] {
            let scan = || Scan { caching: 10, prefetch, ..Scan::default() };
            let mut dropped = client.scan(&table, scan());
            dropped.next_row().await.expect("a row").expect("a row");
            drop(dropped);
            until("the last scanner's end", || cluster.open_scanners() == 0).await;
            let mut closed = client.scan(&table, scan());
            closed.next_row().await.expect("a row").expect("a row");
            closed.close().await;
            assert_eq!(cluster.open_scanners(), 0);
            assert_eq!(all(&client, &table, Scan { limit: 15, ..scan() }).await.len(), 15);
            until("the last scanner's end", || cluster.open_scanners() == 0).await;
        }
    });
}

#[test]
fn a_small_scan_is_one_call() {
    in_world(|cluster, client, table| async move {
        cluster.record();
        let found = all(&client, &table, Scan { start: "r00100".into(), limit: 5, ..Scan::default() }).await;
        assert_eq!(found, expected(Direction::Forward)[100..105]);
        let calls = scans(&cluster);
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!((calls[0].limit_of_rows, calls[0].number_of_rows), (Some(5), Some(5)));
        assert_eq!(cluster.open_scanners(), 0);
    });
}

#[test]
fn a_scan_backwards_from_a_border_asks_meta_nothing() {
    in_world(|cluster, client, table| async move {
        cluster.record();
        let border =
            Scan { start: "r00200".into(), start_included: false, direction: Direction::Reversed, ..Scan::default() };
        let found = all(&client, &table, border).await;
        assert_eq!(found, expected(Direction::Reversed)[400..]);
        let whole = Scan { direction: Direction::Reversed, ..Scan::default() };
        assert_eq!(all(&client, &table, whole).await, expected(Direction::Reversed));
        assert!(!scans(&cluster).iter().any(is_of_meta));
    });
}

#[test]
fn a_scanner_whose_lease_ran_out_is_opened_anew_behind_the_last_row() {
    in_world(|cluster, client, table| async move {
        cluster.set_scanner_lease(Duration::ZERO);
        for direction in [Direction::Forward, Direction::Reversed] {
            let scan = Scan { caching: 30, direction, prefetch: false, ..Scan::default() };
            assert_eq!(all(&client, &table, scan).await, expected(direction));
        }
    });
}

#[test]
fn the_lease_is_renewed_while_an_answer_waits() {
    in_world(|cluster, client, table| async move {
        cluster.set_scanner_lease(Duration::from_millis(400));
        cluster.record();
        let mut scanner = client.scan(&table, Scan { caching: 30, ..Scan::default() });
        let mut found = vec![key(&scanner.next_row().await.expect("a row").expect("a row").to_cells())];
        let renewals = || scans(&cluster).iter().filter(|scan| scan.renew == Some(true)).count();
        until("a third renewal", || renewals() >= 3).await;
        while let Some(row) = scanner.next_row().await.expect("a row") {
            let row = row.to_cells();
            found.push(key(&row));
        }
        assert_eq!(found, expected(Direction::Forward));
    });
}

#[test]
fn a_scan_that_finds_nothing_says_how_far_it_is() {
    in_world(|cluster, client, _| async move {
        let table = TableName::new("long");
        let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
        client.admin().create_table(&descriptor, &[]).await.expect("created");
        let column = Column::new(b"f", b"q").expect("a legal column");
        let mut builder = RowBlockBuilder::default();
        for row in 0..4500 {
            builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
            builder.cell(&column, 1, CellKind::Put, b"x").expect("room");
        }
        client.write(&table, &builder.finish(), Durability::SyncWal).await.expect("written");
        let none = Filter::ColumnPrefix("other".into());
        let scan = Scan { filter: Some(none), cursors: true, ..Scan::default() };
        // A failure in the middle goes on from the last cursor.
        cluster.inject(fault("Scan", 2..3, Reaction::refuse("UnknownScannerException")));
        let mut scanner = client.scan(&table, scan.clone());
        let mut cursors = Vec::new();
        while let Some(progress) = scanner.next_progress().await.expect("progress") {
            let Progress::Cursor(row) = progress else { panic!("{progress:?}") };
            cursors.push(row);
        }
        assert!(cursors.is_sorted(), "{cursors:?}");
        assert_eq!(cursors[..2], ["r00999", "r01999"]);
        assert!(cursors.len() >= 4, "{cursors:?}");
        let mut silent = client.scan(&table, Scan { cursors: false, ..scan });
        assert_eq!(silent.next_row().await.expect("an end"), None);
    });
}

#[test]
fn an_increment_or_append_that_is_sent_again_is_made_once() {
    in_world(|cluster, client, table| async move {
        let add = Increment::new("counter").add(("f", "n"), 1);
        let grow = Append::new("counter").add(("f", "text"), "x");
        for round in 1..=20_i64 {
            for after in [0, 1] {
                cluster.inject(fault("Mutate", after..after + 1, Reaction::LoseAnswer));
            }
            let cells = client.increment(&table, &add).await.expect("added");
            assert_eq!(cells.iter().map(counter).collect::<Vec<_>>(), [Some(round)]);
            let cells = client.append(&table, &grow).await.expect("appended");
            assert_eq!(cells[0].value, "x".repeat(round as usize));
        }
        let cells = client.get(&table, &Get::new("counter")).await.expect("a row");
        assert_eq!(counter(&cells[0]), Some(20));
    });
}

#[test]
fn gets_go_on_until_each_has_its_own_answer() {
    in_world(|cluster, client, table| async move {
        let reactions = [
            Reaction::refuse("NotServingRegionException"),
            Reaction::refuse("CallQueueTooBigException"),
            Reaction::refuse("MultiActionResultTooLarge"),
            Reaction::LoseAnswer,
            Reaction::Disconnect,
        ];
        let gets: Vec<Get> = expected(Direction::Forward).into_iter().map(Get::new).collect();
        for reaction in reactions {
            cluster.inject(fault("Multi", 1..4, reaction.clone()));
            cluster.split(&table, b"r00100").expect("split");
            cluster.move_region(&table, b"r00450", 1);
            let results = client.get_all(&table, &gets).await;
            let rows: Vec<String> = results.iter().map(|cells| key(cells.as_ref().expect("a row"))).collect();
            assert_eq!(rows, expected(Direction::Forward), "{reaction:?}");
            cluster.merge(&table, b"r00000").expect("merged");
        }
    });
}

#[test]
fn single_changes_outlive_lost_answers_and_moves() {
    in_world(|cluster, client, table| async move {
        for version in 2..12 {
            let reaction = if version % 2 == 0 { Reaction::LoseAnswer } else { Reaction::Disconnect };
            cluster.inject(fault("Mutate", 0..2, reaction));
            cluster.move_region(&table, b"r00000", version as usize % 2);
            let put = Put::new("r00000").cell(("f", "q"), version, format!("v{version}"));
            client.mutate(&table, &put.into()).await.expect("written");
            let cells = client.get(&table, &Get::new("r00000")).await.expect("a row");
            assert_eq!((cells[0].timestamp, &cells[0].value[..]), (version, format!("v{version}").as_bytes()));
        }
    });
}
