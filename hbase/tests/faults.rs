//! The client and the sink while a cluster misbehaves: whatever happens, every acknowledged row is there once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig, WriterConfig};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::{Scan, Visibility};
use hbase::server::{Cluster, Condition, Reaction, Rule};
use hbase::table_name::TableName;
use tokio::runtime::Runtime;

const ROWS: u32 = 600;

fn block(version: i64) -> RowBlock {
    let column = Column::new(b"f", b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in 0..ROWS {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        builder.cell(&column, version, CellKind::Put, &version.to_be_bytes()).expect("room");
    }
    builder.finish()
}

/// A cluster of two region servers with a table of three regions, and a client with little patience for silence.
async fn world() -> (Cluster, Client, TableName) {
    let cluster = Cluster::start(2).await.expect("free ports");
    let config = ClientConfig { rpc_timeout: Duration::from_millis(500), ..ClientConfig::new(cluster.registry()) };
    let client = Client::new(config);
    let table = TableName::new("t");
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
    let splits = [Bytes::from_static(b"r00200"), Bytes::from_static(b"r00400")];
    client.admin().create_table(&descriptor, &splits).await.expect("created");
    (cluster, client, table)
}

fn every_row_has(cluster: &Cluster, table: &TableName, version: i64) {
    let cells = cluster.cells(table, Visibility::Live);
    assert_eq!(cells.len(), ROWS as usize);
    assert!(cells.iter().all(|cell| cell.timestamp == version), "all rows at version {version}");
}

#[test]
fn a_write_outlives_every_kind_of_fault() {
    let reactions = [
        Reaction::Disconnect,
        Reaction::LoseAnswer,
        Reaction::Silence,
        Reaction::Delay(Duration::from_millis(700)),
        Reaction::refuse("NotServingRegionException"),
        Reaction::refuse("RegionTooBusyException"),
        Reaction::refuse("CallQueueTooBigException"),
        Reaction::refuse("regionserver.RegionServerStoppedException"),
        Reaction::refuse("quotas.RpcThrottlingException"),
        Reaction::refuse("of.the.FutureException"),
    ];
    Runtime::new().expect("a runtime").block_on(async {
        let (cluster, client, table) = world().await;
        for (version, reaction) in (1..).zip(reactions) {
            for method in ["Multi", "Scan"] {
                cluster.inject(Rule::new(Condition::method(method).first(2), reaction.clone()));
            }
            let written = client.write(&table, &block(version), Durability::SyncWal).await;
            assert!(written.is_ok(), "{reaction:?}: {written:?}");
            every_row_has(&cluster, &table, version);
            let mut scanner = client.scan(&table, Scan { caching: 50, ..Scan::default() });
            let mut rows = 0;
            while let Some(row) = scanner.next_row().await.expect("a row") {
                let row = row.to_cells();
                assert_eq!(row[0].row, format!("r{rows:05}"), "{reaction:?}: no row is lost or comes twice");
                rows += 1;
            }
            assert_eq!(rows, ROWS, "{reaction:?}");
        }
    });
}

#[test]
fn writes_follow_regions_and_servers_that_come_and_go() {
    Runtime::new().expect("a runtime").block_on(async {
        let (cluster, client, table) = world().await;
        let mut version = 0;
        for step in 0..6 {
            match step {
                0 => cluster.split(&table, b"r00100").expect("split"),
                1 => (0..2).for_each(|server| cluster.move_region(&table, b"r00300", server)),
                2 => cluster.stop_server(1),
                3 => cluster.merge(&table, b"r00000").expect("merged"),
                4 => cluster.start_server(1).await.expect("its port"),
                _ => cluster.stop_server(0),
            }
            version += 1;
            let written = client.write(&table, &block(version), Durability::SyncWal).await;
            assert!(written.is_ok(), "step {step}: {written:?}");
            every_row_has(&cluster, &table, version);
        }
    });
}

#[test]
fn a_poison_row_is_named_and_its_neighbours_are_written() {
    Runtime::new().expect("a runtime").block_on(async {
        let (cluster, _, table) = world().await;
        // The client would name the cell before anything is sent; here the server has to.
        let writer = WriterConfig { cell_bytes_max: 0, ..WriterConfig::default() };
        let client = Client::new(ClientConfig { writer, ..ClientConfig::new(cluster.registry()) });
        let column = Column::new(b"f", b"q").expect("a legal column");
        let large = vec![0; 11 << 20];
        let mut builder = RowBlockBuilder::default();
        for row in 0..100 {
            builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
            let value: &[u8] = if row == 42 { &large } else { b"small" };
            builder.cell(&column, 1, CellKind::Put, value).expect("room");
        }
        let error = client.write(&table, &builder.finish(), Durability::SyncWal).await.expect_err("refused");
        let hbase::client::WriteError::Refused { rows, .. } = error else { panic!("{error:?}") };
        assert_eq!(rows, [42]);
        assert_eq!(cluster.cells(&table, Visibility::Live).len(), 99);
    });
}

#[test]
fn many_writers_share_one_client_while_regions_split() {
    Runtime::new().expect("a runtime").block_on(async {
        let (cluster, client, table) = world().await;
        let cluster = Arc::new(cluster);
        let writers: Vec<_> = (1..=8)
            .map(|version| {
                let (client, table) = (client.clone(), table.clone());
                tokio::spawn(async move { client.write(&table, &block(version), Durability::SyncWal).await })
            })
            .collect();
        for split in [&b"r00050"[..], b"r00250", b"r00450", b"r00550"] {
            cluster.split(&table, split).expect("split");
            tokio::task::yield_now().await;
        }
        for writer in writers {
            writer.await.expect("no panic").expect("written");
        }
        every_row_has(&cluster, &table, 8);
    });
}
