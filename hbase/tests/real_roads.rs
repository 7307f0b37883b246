//! Roads on every real cluster: codecs as the servers know them, and tables that are out of service.

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig, Compression, WriteError};
use hbase::error::Error;
use hbase::mutation::Durability;
use hbase::registry::Registry;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::{Get, Scan};
use hbase::table_name::TableName;

use crate::support::stack;

const ROWS: u32 = 3000;

/// Some 700 kB of cells: more than one chunk of every codec.
fn block(version: i64) -> RowBlock {
    let column = Column::new(b"f", b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in 0..ROWS {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        let value = format!("{row}@{version} ").repeat(25);
        builder.cell(&column, version, CellKind::Put, value.as_bytes()).expect("room");
    }
    builder.finish()
}

/// Runs a claim on every cluster, by every registry, with a table of its own.
fn on_real_clusters(name: &str, claim: impl AsyncFn(Registry, TableName)) {
    let Some(stack) = stack::running() else { return };
    for (at, (cluster, registry)) in stack.registries().into_iter().enumerate() {
        println!("{name} on {cluster}");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = Client::new(ClientConfig::new(registry.clone()));
            let table = TableName::new(&format!("{name}_{}_{at}", std::process::id()));
            // 1.x cannot read a family that does not say how many versions it keeps.
            let family = Family::new("f").with("VERSIONS", "1");
            let descriptor = TableDescriptor { name: table.clone(), families: vec![family] };
            let splits = [Bytes::from_static(b"r01000"), Bytes::from_static(b"r02000")];
            client.admin().create_table(&descriptor, &splits).await.expect("created");
            claim(registry, table.clone()).await;
            client.admin().disable_table(&table).await.expect("disabled");
            client.admin().drop_table(&table).await.expect("dropped");
        });
    }
}

async fn read(client: &Client, table: &TableName) -> Vec<Bytes> {
    let mut scanner = client.scan(table, Scan::default());
    let mut values = Vec::new();
    while let Some(row) = scanner.next_row().await.expect("a row") {
        let row = row.to_cells();
        values.extend(row.into_iter().map(|cell| cell.value));
    }
    values
}

/// Whether the stack says that this registry's cluster is of the 1.x line.
fn is_of_line_1(registry: &Registry) -> bool {
    let named = |name: &str| std::env::var(name).unwrap_or_default();
    let mut old = ["BLUE", "GREEN"].into_iter().filter(|it| named(&format!("HALCYON_{it}_VERSION")).starts_with("1."));
    old.any(
        |it| matches!(registry, Registry::ZooKeeper { quorum, .. } if quorum[0] == named(&format!("HALCYON_{it}_ZK"))),
    )
}

#[test]
fn a_real_server_reads_and_writes_cells_in_every_codec() {
    on_real_clusters("codecs", async |registry, table| {
        let plain = Client::new(ClientConfig::new(registry.clone()));
        let codecs: &[Compression] = match is_of_line_1(&registry) {
            false => &[Compression::Gz, Compression::Snappy, Compression::Lz4],
            // A 1.x server without Hadoop's native library loses a handler at each cell block, until it goes down.
            true => &[Compression::Gz],
        };
        for (version, compression) in (1..).zip(codecs.iter().copied()) {
            let client = Client::new(ClientConfig { compression, ..ClientConfig::new(registry.clone()) });
            match client.write(&table, &block(version), Durability::SyncWal).await {
                Ok(_) => {}
                // Servers of old lines may lack a codec; gzip is Java's own.
                Err(error) if compression != Compression::Gz => {
                    let said = format!("{error:?}");
                    assert!(said.contains("CodecMissing"), "{compression:?}: {said}");
                    println!("  no {compression:?} here");
                    continue;
                }
                Err(error) => panic!("{error:?}"),
            }
            let compressed = read(&client, &table).await;
            assert_eq!(compressed.len(), ROWS as usize, "{compression:?}");
            assert_eq!(compressed, read(&plain, &table).await, "{compression:?}: the same cells as without");
            assert!(compressed[7].starts_with(format!("7@{version} ").as_bytes()));
            let roads = client.roads();
            assert!(roads.connections.iter().any(|it| it.compression == compression), "{roads}");
        }
    });
}

#[test]
fn a_table_that_a_real_server_has_disabled_is_an_error_at_once() {
    on_real_clusters("disabled", async |registry, table| {
        let client = Client::new(ClientConfig::new(registry.clone()));
        client.write(&table, &block(1), Durability::SyncWal).await.expect("written");
        client.admin().disable_table(&table).await.expect("disabled");
        for asking in [client.clone(), Client::new(ClientConfig::new(registry))] {
            let error = asking.write(&table, &block(2), Durability::SyncWal).await.expect_err("disabled");
            let WriteError::Failed { source: Error::TableDisabled { .. }, .. } = &error else { panic!("{error:?}") };
            let error = asking.get(&table, &Get::new("r00000")).await.expect_err("disabled");
            assert!(matches!(error, Error::TableDisabled { .. }), "{error:?}");
        }
        client.admin().enable_table(&table).await.expect("enabled");
        client.write(&table, &block(3), Durability::SyncWal).await.expect("written");
    });
}
