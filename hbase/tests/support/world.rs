//! Worlds of faults: a cluster in process, an impatient client, a table `t` with family `f`.

use std::time::Duration;

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::retry::Backoff;
use hbase::client::{Client, ClientConfig};
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::{Scan, Visibility};
use hbase::server::{Cluster, Config};
use hbase::table_name::TableName;

/// A cluster, a client of it, and a table.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) table: TableName,
}

impl World {
    /// A world whose table has regions from the start and from these rows on.
    pub(crate) async fn new(config: Config, splits: &[String]) -> Self {
        Self::with(config, splits, |config| config).await
    }

    /// The same with another client.
    pub(crate) async fn with(
        config: Config,
        splits: &[String],
        change: impl FnOnce(ClientConfig) -> ClientConfig,
    ) -> Self {
        let cluster = Cluster::start_with(config).await.expect("free ports");
        let client = Client::new(change(impatient(&cluster)));
        let table = TableName::new("t");
        let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
        let splits: Vec<Bytes> = splits.iter().map(|split| split.clone().into()).collect();
        client.admin().create_table(&descriptor, &splits).await.expect("created");
        Self { cluster, client, table }
    }

    /// `host:port` of the server that has the table's first region.
    pub(crate) async fn address(&self) -> String {
        self.client.regions(&self.table).await.expect("regions")[0].server.clone()
    }

    /// Row and version of what is seen, read past the wire.
    pub(crate) fn rows(&self) -> Vec<(String, i64)> {
        self.cells(Visibility::Live)
    }

    /// Row and version of all that was ever written and not compacted, read past the wire.
    pub(crate) fn versions(&self) -> Vec<(String, i64)> {
        self.cells(Visibility::Raw)
    }

    fn cells(&self, visibility: Visibility) -> Vec<(String, i64)> {
        let cells = self.cluster.cells(&self.table, visibility);
        cells.iter().map(|cell| (String::from_utf8_lossy(&cell.row).into_owned(), cell.timestamp)).collect()
    }

    /// Row and version of every cell, as a client scans them.
    pub(crate) async fn scanned(&self, scan: Scan) -> Vec<(String, i64)> {
        let mut scanner = self.client.scan(&self.table, scan);
        let mut rows = Vec::new();
        while let Some(row) = scanner.next_row().await.expect("a row") {
            let row = row.to_cells();
            rows.extend(row.iter().map(|cell| (String::from_utf8_lossy(&cell.row).into_owned(), cell.timestamp)));
        }
        rows
    }
}

/// A client that waits for little: half a second for a call, milliseconds between tries.
pub(crate) fn impatient(cluster: &Cluster) -> ClientConfig {
    let backoff = Backoff {
        pause: Duration::from_millis(2),
        pause_overloaded: Duration::from_millis(5),
        pause_max: Duration::from_millis(100),
    };
    ClientConfig { rpc_timeout: Duration::from_millis(500), backoff, ..ClientConfig::new(cluster.registry()) }
}

/// The key of a row.
pub(crate) fn key(row: u32) -> String {
    format!("r{row:05}")
}

/// What [`World::rows`] shows when all rows have this version.
pub(crate) fn all_at(rows: std::ops::Range<u32>, version: i64) -> Vec<(String, i64)> {
    rows.map(|row| (key(row), version)).collect()
}

/// Puts of one cell `f:q` for each row.
pub(crate) fn puts(rows: std::ops::Range<u32>, version: i64) -> RowBlock {
    block(rows.map(|row| (key(row), version, version.to_be_bytes().to_vec())))
}

/// Puts of one cell `f:q`: key, version, value.
pub(crate) fn block(rows: impl IntoIterator<Item = (String, i64, Vec<u8>)>) -> RowBlock {
    let column = Column::new(b"f", b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for (key, version, value) in rows {
        builder.begin_row(MutationKind::Put, key.as_bytes()).expect("in order");
        builder.cell(&column, version, CellKind::Put, &value).expect("room");
    }
    builder.finish()
}

/// Runs a test on threads of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
}

/// The seed of a random test: a new one each time, or the one that the environment asks for. It is printed, so that a
/// failure shows how to see it again.
pub(crate) fn seed(test: &str) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let seed = std::env::var("HBASE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(now.as_nanos() as u64);
    println!("again: HBASE_SEED={seed} cargo test -p hbase --features server --test tests {test}");
    seed
}
