//! Makes a table, lists and describes it, splits a region, and drops it again.
//!
//! `cargo run -p hbase --features server --example admin` (on a cluster in this process; for a real one, name its
//! registry instead).
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use bytes::Bytes;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::server::Cluster;
use hbase::table_name::TableName;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::start(2).await?;
    let client = Client::new(ClientConfig::new(cluster.registry()));
    let admin = client.admin();
    let table = TableName::new("order");
    let family = Family::new("o").with("VERSIONS", "5").with("COMPRESSION", "SNAPPY");
    admin
        .create_table(&TableDescriptor { name: table.clone(), families: vec![family] }, &[Bytes::from_static(b"m")])
        .await?;

    let tables = admin.list_tables().await?;
    println!("tables: {tables:?}");
    assert!(tables.contains(&table));
    let described = admin.describe_table(&table).await?.ok_or("the table that was just made is not there")?;
    println!("families: {:?}", described.families);

    // Cancel safe in that the master goes on by itself; this waits until both halves are open.
    admin.split(&table, &Bytes::from_static(b"f")).await?;
    for region in client.regions(&table).await? {
        println!("{:?} to {:?} on {}", region.start, region.end, region.server);
    }
    assert_eq!(client.regions(&table).await?.len(), 3);

    admin.disable_table(&table).await?;
    admin.drop_table(&table).await?;
    assert_eq!(admin.describe_table(&table).await?, None);
    Ok(())
}
