//! Parts of a cluster that are not there: sockets, regions, meta.

use std::time::Duration;

use hbase::client::{Client, ClientConfig};
use hbase::mutation::Durability;
use hbase::scan::Get;
use hbase::server::{Condition, Config, Reaction, Rule};

use crate::support::world::{World, all_at, key, puts, run};

const ROWS: u32 = 400;

#[test]
fn a_half_open_socket_is_left_by_constant_writes() {
    run(async {
        let world = World::new(Config { region_servers: 2, ..Config::default() }, &[key(200)]).await;
        let frozen = Rule::new(Condition::method("Multi").numbers(20..21), Reaction::HalfOpen);
        let frozen = world.cluster.inject_while(frozen);
        let writers: Vec<_> = (1..=8)
            .map(|writer: i64| {
                let (client, table) = (world.client.clone(), world.table.clone());
                tokio::spawn(async move {
                    for version in 0..30 {
                        let block = puts(0..ROWS, version * 8 + writer);
                        assert_eq!(client.write(&table, &block, Durability::SyncWal).await.expect("written").rows, 400);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("all is written, new requests or not");
        }
        assert_eq!((frozen.hits(), world.rows()), (1, all_at(0..ROWS, 29 * 8 + 8)));
    });
}

#[test]
fn while_half_the_regions_are_offline_the_other_half_is_written_and_nothing_is_lost() {
    run(async {
        let splits: Vec<String> = (1..8).map(|region| key(region * 50)).collect();
        let world = World::new(Config { region_servers: 2, ..Config::default() }, &splits).await;
        let offline = Condition::method("Multi").and(Condition::rows(key(200), ""));
        let offline =
            world.cluster.inject_while(Rule::new(offline, Reaction::refuse_regions("NotServingRegionException")));
        let before = world.cluster.counts();
        let waiting: Vec<_> = (1..=8)
            .map(|version| {
                let (client, table) = (world.client.clone(), world.table.clone());
                tokio::spawn(async move { client.write(&table, &puts(200..ROWS, version), Durability::SyncWal).await })
            })
            .collect();
        for version in 1..=50 {
            let report = world.client.write(&world.table, &puts(0..200, version), Durability::SyncWal).await;
            assert_eq!(report.expect("the half that is online").rows, 200);
        }
        assert_eq!(world.rows(), all_at(0..200, 50));
        assert!(waiting.iter().all(|write| !write.is_finished()), "nobody is told what is not so");
        let (hits, look_ups) = (offline.hits(), world.cluster.counts().meta_scans - before.meta_scans);
        assert!(look_ups <= hits + 1, "{look_ups} look-ups for {hits} refusals");
        drop(offline);
        for write in waiting {
            assert_eq!(write.await.expect("no panic").expect("written").rows, 200);
        }
        assert_eq!(world.rows()[200..], all_at(200..ROWS, 8));
    });
}

#[test]
fn a_slow_meta_is_not_asked_again_for_what_is_known() {
    run(async {
        let world = World::new(Config::default(), &[key(200)]).await;
        world.client.write(&world.table, &puts(0..ROWS, 1), Durability::SyncWal).await.expect("the places are known");
        let before = world.cluster.counts().meta_scans;
        let _slow = world.cluster.inject_while(Rule::new(Condition::meta(), Reaction::Delay(Duration::from_secs(5))));
        // Overload and timeouts say nothing about where the regions are (HBASE-27487).
        for reaction in [Reaction::refuse("CallQueueTooBigException"), Reaction::Late(Duration::from_millis(600))] {
            world.cluster.inject(Rule::new(Condition::method("Multi").first(2), reaction));
            let report = world.client.write(&world.table, &puts(0..ROWS, 2), Durability::SyncWal).await;
            assert_eq!(report.expect("written").rows, u64::from(ROWS));
        }
        assert_eq!(world.cluster.counts().meta_scans, before);
    });
}

/// Clients whose tries are paced as they are by default.
fn patient(config: ClientConfig) -> ClientConfig {
    ClientConfig { backoff: hbase::client::retry::Backoff::default(), ..config }
}

#[test]
fn while_meta_is_offline_many_callers_ask_for_it_a_few_times_a_second() {
    const CALLERS: u32 = 50;
    const SECONDS: u64 = 4;
    run(async {
        let world = World::with(Config::default(), &[key(200)], patient).await;
        world.client.write(&world.table, &puts(0..CALLERS, 1), Durability::SyncWal).await.expect("written");
        // Another client, which knows nothing yet.
        let client = Client::new(ClientConfig::new(world.cluster.registry()));
        let rule = Rule::new(Condition::meta(), Reaction::refuse("NotServingRegionException"));
        let offline = world.cluster.inject_while(rule);
        let gets: Vec<_> = (0..CALLERS)
            .map(|row| {
                let (client, table) = (client.clone(), world.table.clone());
                tokio::spawn(async move { client.get(&table, &Get::new(key(row))).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(SECONDS)).await;
        let asked = offline.hits();
        drop(offline);
        for (row, get) in (0..).zip(gets) {
            assert_eq!(get.await.expect("no panic").expect("a row")[0].row, key(row));
        }
        println!("{asked} look-ups by {CALLERS} callers in {SECONDS} s");
        assert!(asked <= 10 * SECONDS, "{asked} look-ups by {CALLERS} callers in {SECONDS} s");
    });
}
