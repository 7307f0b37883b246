//! Scans a table forward in small answers, backward with a limit, and shows what a delete marker hides.
//!
//! `cargo run -p hbase --features server --example scan` (on a cluster in this process; for a real one, name its
//! registry instead).
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlockBuilder};
use hbase::scan::{Direction, Scan, Versions, Visibility};
use hbase::server::Cluster;
use hbase::table_name::TableName;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::start(2).await?;
    let client = Client::new(ClientConfig::new(cluster.registry()));
    let table = TableName::new("event");
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("e")] };
    client.admin().create_table(&descriptor, &[Bytes::from_static(b"e050")]).await?;
    let column = Column::new(b"e", b"n")?;
    let mut builder = RowBlockBuilder::default();
    for row in 0..100_u32 {
        builder.begin_row(MutationKind::Put, format!("e{row:03}").as_bytes())?;
        builder.cell(&column, 5, CellKind::Put, &row.to_be_bytes())?;
    }
    client.write(&table, &builder.finish(), Durability::SyncWal).await?;
    let mut builder = RowBlockBuilder::default();
    builder.begin_row(MutationKind::Delete, b"e042")?;
    builder.cell(&column, 5, CellKind::DeleteColumn, b"")?;
    client.write(&table, &builder.finish(), Durability::SyncWal).await?;

    // Over both regions, ten rows an answer: `e042` is not there.
    let live = rows(&client, &table, Scan { caching: 10, ..Scan::default() }).await?;
    println!("{} rows", live.len());
    assert_eq!(live.len(), 99);

    let backward = Scan { start: "e060".into(), direction: Direction::Reversed, limit: 3, ..Scan::default() };
    let backward = rows(&client, &table, backward).await?;
    println!("backward: {backward:?}");
    assert_eq!(backward, ["e060", "e059", "e058"]);

    // Until a major compaction, a raw scan sees the marker and what it hides.
    let raw = Scan {
        start: "e042".into(),
        limit: 1,
        visibility: Visibility::Raw,
        versions: Versions::all(),
        ..Scan::default()
    };
    let row = client.scan(&table, raw).next_row().await?.expect("a row");
    println!("raw: {row:?}");
    assert_eq!(row.cells().map(|cell| cell.kind).collect::<Vec<_>>(), [CellKind::DeleteColumn, CellKind::Put]);
    Ok(())
}

async fn rows(client: &Client, table: &TableName, scan: Scan) -> Result<Vec<String>, hbase::error::Error> {
    let mut scanner = client.scan(table, scan);
    let mut keys = Vec::new();
    while let Some(row) = scanner.next_row().await? {
        keys.push(String::from_utf8_lossy(row.key()).into_owned());
    }
    Ok(keys)
}
