//! Acks and versions: a row that is acknowledged is there once and never goes back to an older version.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hbase::cell::{CellKind, LATEST_TIMESTAMP};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::{Scan, Visibility};
use hbase::server::{Condition, Config, Reaction, Rule};

use crate::support::world::{World, all_at, block, key, puts, run, seed};

const ROWS: u32 = 120;
const VERSIONS: i64 = 25;

#[test]
fn versions_of_a_row_never_regress_while_writes_are_lost_doubled_and_late() {
    let seed = seed("versions_of_a_row_never_regress");
    run(async {
        let splits = [key(40), key(80)];
        let world = World::with(Config { region_servers: 2, ..Config::default() }, &splits, |config| {
            hbase::client::ClientConfig { rpc_timeout: Duration::from_millis(100), ..config }
        });
        let world = Arc::new(world.await);
        let reactions = [
            Reaction::LoseAnswer,
            Reaction::Disconnect,
            Reaction::Delay(Duration::from_millis(250)),
            Reaction::Late(Duration::from_millis(250)),
            Reaction::refuse_regions("NotServingRegionException"),
            Reaction::refuse_actions("RegionTooBusyException"),
        ];
        for (number, reaction) in (0..).zip(reactions) {
            let chance = Condition::method("Multi").and(Condition::chance(60, seed.wrapping_add(number)));
            world.cluster.inject(Rule::new(chance, reaction));
        }
        let reading = {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut seen: HashMap<String, i64> = HashMap::new();
                loop {
                    for (row, version) in world.scanned(Scan { caching: 50, ..Scan::default() }).await {
                        let before = seen.insert(row.clone(), version).unwrap_or(0);
                        assert!(before <= version, "{row} went from {before} to {version}");
                    }
                    if seen.len() == ROWS as usize && seen.values().all(|version| *version == VERSIONS) {
                        return;
                    }
                }
            })
        };
        for version in 1..=VERSIONS {
            let report = world.client.write(&world.table, &puts(0..ROWS, version), Durability::SyncWal).await;
            assert_eq!(report.expect("written").rows, u64::from(ROWS), "each row is acknowledged once");
            assert!(world.rows().iter().all(|(_, found)| *found == version), "what is acknowledged is there");
        }
        reading.await.expect("versions only grow");
        assert_eq!(world.rows(), all_at(0..ROWS, VERSIONS));
    });
}

/// A write of which the first try is carried out long after the client has given it up, made again, and gone on.
async fn overtaken(versions: [i64; 2]) -> Vec<u8> {
    let world = World::with(Config::default(), &[], |config| hbase::client::ClientConfig {
        rpc_timeout: Duration::from_millis(100),
        ..config
    })
    .await;
    let slow = Rule::new(Condition::method("Multi").first(1), Reaction::Delay(Duration::from_millis(400)));
    world.cluster.inject(slow);
    for (value, version) in [b"old", b"new"].into_iter().zip(versions) {
        let block = block([(key(0), version, value.to_vec())]);
        world.client.write(&world.table, &block, Durability::SyncWal).await.expect("written");
    }
    while world.cluster.counts().multis < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The handler counts the Multi before it applies it; the next write of the region comes behind it.
    world.client.write(&world.table, &puts(1..2, 1), Durability::SyncWal).await.expect("written");
    world.cluster.cells(&world.table, Visibility::Live)[0].value.to_vec()
}

#[test]
fn a_write_that_is_carried_out_late_hides_a_newer_one_only_if_the_server_stamps_it() {
    run(async {
        assert_eq!(overtaken([1, 2]).await, b"new");
        assert_eq!(overtaken([LATEST_TIMESTAMP; 2]).await, b"old", "why versions are never left to the server");
    });
}

#[test]
fn a_write_whose_answer_was_lost_is_acknowledged_once_and_stands_once() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let lost = Rule::new(Condition::method("Multi").first(1), Reaction::LoseAnswer);
        world.cluster.inject(lost);
        let report = world.client.write(&world.table, &puts(0..50, 7), Durability::SyncWal).await.expect("written");
        assert_eq!((report.rows, report.resent), (50, 50));
        assert_eq!(world.cluster.counts().mutations, 100, "the server has done it twice");
        assert_eq!(world.cluster.cells(&world.table, Visibility::Raw).len(), 50, "and it stands once");
    });
}

#[test]
fn a_partly_refused_write_sends_only_what_was_refused_again() {
    run(async {
        let world = World::new(Config::default(), &[key(25)]).await;
        let busy = Condition::rows(key(10), key(20)).first(10);
        world.cluster.inject(Rule::new(busy, Reaction::refuse_actions("RegionTooBusyException")));
        let report = world.client.write(&world.table, &puts(0..50, 1), Durability::SyncWal).await.expect("written");
        assert_eq!((report.rows, report.resent), (50, 10));
        assert_eq!(world.cluster.counts().mutations, 50, "no row is carried out twice");
    });
}

fn delete(version: i64) -> RowBlock {
    let family = Column::new(b"f", b"").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    builder.begin_row(MutationKind::Delete, key(0).as_bytes()).expect("a row");
    builder.cell(&family, version, CellKind::DeleteFamily, b"").expect("room");
    builder.finish()
}

#[test]
fn a_replayed_put_rises_from_the_dead_after_a_compaction_unless_the_delete_is_a_value() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let write = async |block: &RowBlock| {
            world.client.write(&world.table, block, Durability::SyncWal).await.expect("written");
        };
        let live = || world.cluster.cells(&world.table, Visibility::Live);
        write(&block([(key(0), 1, b"alive".to_vec())])).await;
        write(&delete(2)).await;
        write(&block([(key(0), 1, b"alive".to_vec())])).await;
        assert_eq!(live(), [], "the marker masks the replay");
        world.cluster.major_compact(&world.table);
        write(&block([(key(0), 1, b"alive".to_vec())])).await;
        assert_eq!(live()[0].value, "alive", "without the marker the row is back");

        write(&block([(key(0), 2, b"deleted".to_vec())])).await;
        world.cluster.major_compact(&world.table);
        write(&block([(key(0), 1, b"alive".to_vec())])).await;
        let [cell] = &live()[..] else { panic!("one cell") };
        assert_eq!((cell.timestamp, &cell.value[..]), (2, &b"deleted"[..]), "a value outlives compactions");
    });
}
