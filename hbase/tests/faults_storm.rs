//! Storms of splits, merges, moves and restarts under load, from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use hbase::mutation::Durability;
use hbase::scan::Scan;
use hbase::server::{Condition, Config, Reaction, Rule, Storm};

use crate::support::world::{World, all_at, key, puts, run, seed};

const REGIONS: u32 = 256;
const ROWS: u32 = REGIONS * 8;
const WRITERS: u32 = 4;

/// Writes its share of the rows, version after version, until the storm is over. Returns the last version acknowledged.
async fn write(world: Arc<World>, writer: u32, (storming, acks): (Arc<AtomicI64>, Arc<AtomicU64>)) -> i64 {
    let share = ROWS / WRITERS;
    let rows = writer * share..(writer + 1) * share;
    let mut version = 0;
    while storming.load(Ordering::Acquire) > 0 {
        version += 1;
        let report = world.client.write(&world.table, &puts(rows.clone(), version), Durability::SyncWal).await;
        assert_eq!(report.expect("written").rows, u64::from(share), "each row is acknowledged once");
        acks.fetch_add(u64::from(share), Ordering::Relaxed);
    }
    version
}

#[test]
fn a_storm_from_256_regions_to_32_and_back_loses_and_doubles_no_ack() {
    let seed = seed("a_storm_from_256_regions");
    run(async {
        let splits: Vec<String> = (1..REGIONS).map(|region| key(region * 8)).collect();
        let world = Arc::new(World::new(Config { region_servers: 3, ..Config::default() }, &splits).await);
        for (number, reaction) in (0..).zip([Reaction::LoseAnswer, Reaction::refuse_regions("RegionTooBusyException")])
        {
            let chance = Condition::method("Multi").and(Condition::chance(10, seed.wrapping_add(number)));
            world.cluster.inject(Rule::new(chance, reaction));
        }
        let (storming, acks) = (Arc::new(AtomicI64::new(1)), Arc::new(AtomicU64::new(0)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(Arc::clone(&world), writer, (Arc::clone(&storming), Arc::clone(&acks)))))
            .collect();
        let cuts: Vec<Bytes> = splits.iter().map(|split| split.clone().into()).collect();
        let mut storm = Storm::new(seed, &world.table, cuts);
        for wanted in [32, 256] {
            storm.drive_at(wanted);
            while world.cluster.region_count(&world.table) != wanted {
                let change = storm.next(&world.cluster.topology(&world.table)).expect("something to do");
                world.cluster.change(&change).await.expect("the storm looks before it blows");
                // The writers come to write between the changes, as fast or slow as this machine is.
                let goal = acks.load(Ordering::Relaxed) + u64::from(ROWS / WRITERS) / 8;
                while acks.load(Ordering::Relaxed) < goal && writers.iter().all(|writer| !writer.is_finished()) {
                    tokio::task::yield_now().await;
                }
            }
        }
        storming.store(0, Ordering::Release);
        let (mut expected, mut history) = (Vec::new(), Vec::new());
        for (writer, writing) in (0..).zip(writers) {
            let (share, last) = (ROWS / WRITERS, writing.await.expect("all is written"));
            let rows = writer * share..(writer + 1) * share;
            expected.extend(all_at(rows.clone(), last));
            history.extend(rows.flat_map(|row| (1..=last).rev().map(move |version| (key(row), version))));
        }
        assert!(world.versions() == history, "every version that is acknowledged is there, and none twice");
        assert_eq!(world.rows(), expected, "and the newest is what is seen");
        assert_eq!(world.scanned(Scan::default()).await, expected, "and the client finds it");
    });
}
