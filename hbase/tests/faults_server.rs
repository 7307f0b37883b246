//! What the server in process does like HBase's beside answering: preambles, handlers, queues, memstores.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hbase::cell::{Cell, CellKind};
use hbase::mutation::Durability;
use hbase::scan::Scan;
use hbase::server::{Change, Condition, Config, Reaction, Refusal, Rule};
use hbase::wire::cell_block;
use hbase::wire::frame::{FATAL_CALL_ID, Response};
use hbase::wire::message::{
    ActionMessage, GetClusterIdResponse, MultiRequest, MultiResponse, MutationProto, RegionAction, RegionLoadStats,
    RegionSpecifier,
};

use crate::support::raw::Raw;
use crate::support::world::{World, all_at, key, puts, run};

fn class(response: &Response) -> String {
    let exception = response.result.as_ref().expect_err("a refusal");
    let class = exception.exception_class_name.clone().expect("a class");
    class.rsplit('.').next().expect("a name").to_owned()
}

/// A Multi of one put, and its cells.
fn put(region: &[u8], row: &str, value: usize) -> (MultiRequest, Bytes) {
    let cell = Cell {
        row: Bytes::copy_from_slice(row.as_bytes()),
        family: Bytes::from_static(b"f"),
        qualifier: Bytes::from_static(b"q"),
        timestamp: 1,
        kind: CellKind::Put,
        value: vec![0; value].into(),
    };
    let mut cells = BytesMut::new();
    cell_block::encode(&cell, &mut cells);
    let mutation = MutationProto {
        mutate_type: Some(MutationProto::PUT),
        associated_cell_count: Some(1),
        ..MutationProto::default()
    };
    let action = ActionMessage { index: Some(1), mutation: Some(mutation), ..ActionMessage::default() };
    let specifier = RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: Bytes::copy_from_slice(region) };
    let region = RegionAction { region: specifier, action: vec![action], ..RegionAction::default() };
    (MultiRequest { region_action: vec![region], ..MultiRequest::default() }, cells.freeze())
}

async fn first_region(world: &World) -> (String, Bytes) {
    let region = world.client.regions(&world.table).await.expect("regions").remove(0);
    (region.server, region.name)
}

#[test]
fn the_registry_preamble_is_answered_with_the_clusters_id_and_the_end() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let mut raw = Raw::connect(&world.address().await).await;
        raw.write(b"Regist").await;
        let id: GetClusterIdResponse = raw.message().await;
        assert_eq!(id.cluster_id, Some(world.client.cluster_id().await.expect("an id")));
        assert!(raw.answer().await.is_none(), "the server closes");
    });
}

#[test]
fn the_security_preamble_is_refused_and_the_same_socket_goes_on() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let (address, region) = first_region(&world).await;
        let mut raw = Raw::connect(&address).await;
        raw.write(b"Securi").await;
        let refused = raw.answer().await.expect("an answer");
        assert_eq!((refused.call_id, class(&refused)), (FATAL_CALL_ID, "SecurityNotEnabledException".to_owned()));
        raw.write(&hbase::wire::preamble::hello("raw", "ClientService", None)).await;
        let (multi, cells) = put(&region, "r", 1);
        raw.call("Multi", &multi, (&cells, 1000)).await;
        let answer: MultiResponse = raw.message().await;
        assert_eq!(answer.region_action_result[0].exception, None);
    });
}

#[test]
fn a_wrong_beginning_is_refused_by_name_and_closed() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let address = world.address().await;
        let beginnings: [(&[u8], &str); 4] = [
            (b"GET / ", "FatalConnectionException"),
            (b"HBas\x01\x50", "WrongVersionException"),
            (b"HBas\x00\x51", "BadAuthException"),
            (&hbase::wire::preamble::hello("raw", "NoService", None), "UnknownServiceException"),
        ];
        for (beginning, expected) in beginnings {
            let mut raw = Raw::connect(&address).await;
            raw.write(beginning).await;
            let refused = raw.answer().await.expect("an answer");
            assert_eq!((refused.call_id, class(&refused)), (FATAL_CALL_ID, expected.to_owned()));
            assert!(raw.answer().await.is_none(), "the server closes");
        }
        let refusal = Refusal::new("ipc.UnsupportedCellCodecException");
        world.cluster.inject(Rule::new(Condition::server(0).first(1), Reaction::RefuseConnection(refusal)));
        let refused = Raw::open(&address, "ClientService").await.answer().await.expect("an answer");
        assert_eq!((refused.call_id, class(&refused)), (FATAL_CALL_ID, "UnsupportedCellCodecException".to_owned()));
    });
}

#[test]
fn calls_of_one_connection_are_answered_as_they_end() {
    run(async {
        let world = World::new(Config::default(), &[]).await;
        let (address, region) = first_region(&world).await;
        let slow = Rule::new(Condition::rows("slow", "slow~"), Reaction::Delay(Duration::from_millis(200)));
        world.cluster.inject(slow);
        let mut raw = Raw::open(&address, "ClientService").await;
        for row in ["slow", "a", "b"] {
            let (multi, cells) = put(&region, row, 1);
            raw.call("Multi", &multi, (&cells, 5000)).await;
        }
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(raw.answer().await.expect("an answer").call_id);
        }
        assert_eq!(ids[2], 1, "the slow one is last: {ids:?}");
    });
}

#[test]
fn a_call_that_waits_past_its_time_is_dropped_and_a_full_queue_takes_no_more() {
    run(async {
        let world = World::new(Config { handlers: 1, ..Config::default() }, &[]).await;
        let (address, region) = first_region(&world).await;
        let slow = Rule::new(Condition::method("Multi").first(1), Reaction::Delay(Duration::from_millis(400)));
        world.cluster.inject(slow);
        let mut raw = Raw::open(&address, "ClientService").await;
        let (multi, cells) = put(&region, "r", 1);
        raw.call("Multi", &multi, (&cells, 10_000)).await;
        // The first holds the handler, nine short ones and a patient one wait, one more finds no place.
        for timeout in [50; 9].into_iter().chain([10_000, 10_000]) {
            raw.call("Multi", &multi, (&cells, timeout)).await;
        }
        let full = raw.answer().await.expect("an answer");
        let refusal = full.result.as_ref().expect_err("a refusal");
        assert_eq!((class(&full), refusal.server_overloaded), ("CallQueueTooBigException".to_owned(), Some(true)));
        for _ in 0..2 {
            assert!(raw.answer().await.expect("an answer").result.is_ok());
        }
        assert_eq!(world.cluster.counts().dropped, 9);
        assert_eq!(world.cluster.counts().multis, 2);
    });
}

#[test]
fn a_full_memstore_refuses_until_it_is_flushed_and_its_load_is_told() {
    run(async {
        let config = Config { memstore_bytes_max: Some(1000), reports_load: true, ..Config::default() };
        let world = World::new(config, &[]).await;
        let (address, region) = first_region(&world).await;
        let mut raw = Raw::open(&address, "ClientService").await;
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            let (multi, cells) = put(&region, "r", 373);
            assert_eq!(cells.len(), 400);
            raw.call("Multi", &multi, (&cells, 1000)).await;
            let answer: MultiResponse = raw.message().await;
            let loads = answer.region_statistics.expect("loads");
            let [RegionLoadStats { mem_store_load, .. }] = loads.stat[..] else { panic!("one region: {loads:?}") };
            let exception = answer.region_action_result[0].result_or_exception[0].exception.clone();
            outcomes.push((exception.map(|pair| pair.name), mem_store_load));
        }
        let busy = || Some("org.apache.hadoop.hbase.RegionTooBusyException".to_owned());
        assert_eq!(outcomes, [(None, Some(40)), (None, Some(80)), (None, Some(100)), (busy(), Some(100))]);
        let written = {
            let (client, table) = (world.client.clone(), world.table.clone());
            tokio::spawn(async move { client.write(&table, &puts(0..1, 2), Durability::SyncWal).await })
        };
        while world.cluster.counts().multis < 7 {
            tokio::task::yield_now().await;
        }
        assert!(!written.is_finished(), "the client goes on asking");
        world.cluster.flush(&world.table);
        assert_eq!(written.await.expect("no panic").expect("written").rows, 1);
    });
}

#[test]
fn a_multi_whose_regions_change_under_it_is_carried_out_in_part_and_mended_by_the_client() {
    run(async {
        let splits = [key(100), key(200)];
        let table = hbase::table_name::TableName::new("t");
        let row = |row| Bytes::from(key(row));
        let changes = [
            Change::Split { table: table.clone(), row: row(150) },
            Change::Move { table: table.clone(), row: row(120), server: 1 },
            Change::Merge { table: table.clone(), row: row(0) },
            Change::Stop { server: 0 },
        ];
        for change in changes {
            let world = World::new(Config { region_servers: 2, ..Config::default() }, &splits).await;
            for region in [0, 100, 200] {
                world.cluster.move_region(&world.table, key(region).as_bytes(), 0);
            }
            let of_second = Condition::rows(key(100), key(200)).and(Condition::method("Multi"));
            let rule = world.cluster.inject_while(Rule::new(of_second.first(1), Reaction::Change(change.clone())));
            let report = world.client.write(&world.table, &puts(0..300, 1), Durability::SyncWal).await;
            assert_eq!(report.expect("written").rows, 300, "{change:?}");
            assert_eq!((rule.hits(), world.rows()), (1, all_at(0..300, 1)), "{change:?}");
            assert_eq!(world.scanned(Scan::default()).await, all_at(0..300, 1));
        }
    });
}
