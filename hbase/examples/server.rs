//! A cluster in memory on a port of its own, for trying any HBase client on it.
//!
//! `cargo run -p hbase --features server --example server -- [PORT] [REGION_SERVERS]`
#![expect(clippy::print_stdout, reason = "where to find the cluster is its output")]

use hbase::server::Cluster;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let servers = arguments.next().map_or(Ok(2), |servers| servers.parse())?;
    let cluster = Cluster::start_at(port, servers).await?;
    println!("hbase.client.bootstrap.servers: {:?}; stop with Ctrl-C", cluster.registry());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
