//! Writes a block of rows, twice, and shows that the second time changes nothing: every cell carries its own timestamp.
//!
//! `cargo run -p hbase --features server --example write` (on a cluster in this process; for a real one, name its
//! registry instead).
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::{Get, Versions};
use hbase::server::Cluster;
use hbase::table_name::TableName;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::start(2).await?;
    let client = Client::new(ClientConfig::new(cluster.registry()));
    let table = TableName::new("message");
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("m").with("VERSIONS", "3")] };
    client.admin().create_table(&descriptor, &[Bytes::from_static(b"user00500")]).await?;

    let block = block(1000)?;
    for _ in 0..2 {
        let report = client.write(&table, &block, Durability::SyncWal).await?;
        println!("{} rows in {} calls", report.rows, report.calls);
    }
    let versions = Versions::all();
    let cells = client.get(&table, &Get { versions, ..Get::new("user00007") }).await?;
    for cell in &cells {
        println!("{:?} = {:?} at {}", cell.qualifier, cell.value, cell.timestamp);
    }
    assert_eq!(cells.len(), 2, "one version of each column");
    Ok(())
}

/// Rows in key order, encoded once: the same block can be written to any number of clusters.
fn block(rows: u32) -> Result<RowBlock, Box<dyn std::error::Error>> {
    let (name, seen) = (Column::new(b"m", b"name")?, Column::new(b"m", b"seen")?);
    let mut builder = RowBlockBuilder::default();
    for row in 0..rows {
        builder.begin_row(MutationKind::Put, format!("user{row:05}").as_bytes())?;
        builder.cell(&name, 1_760_000_000_000, CellKind::Put, format!("name of {row}").as_bytes())?;
        builder.cell(&seen, 1_760_000_000_000, CellKind::Put, b"yes")?;
    }
    Ok(builder.finish())
}
