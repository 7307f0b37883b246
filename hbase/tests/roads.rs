//! Roads to the servers: registry, meta, the region cache and connections, on the in-process cluster and on small
//! servers that misbehave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{AbsentCodec, Client, ClientConfig, Compression, WriteError};
use hbase::error::Error;
use hbase::mutation::Durability;
use hbase::registry::Registry;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::{Direction, Get, Scan, Visibility};
use hbase::server::{Cluster, Condition, Reaction, Rule};
use hbase::table_name::TableName;
use hbase::wire::frame::{self, FATAL_CALL_ID, Request};
use hbase::wire::message::{ExceptionResponse, ScanRequest};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ROWS: u32 = 200;
/// Far longer than anything here takes; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn block(version: i64) -> RowBlock {
    let column = Column::new(b"f", b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in 0..ROWS {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        builder.cell(&column, version, CellKind::Put, format!("value of {row}").as_bytes()).expect("room");
    }
    builder.finish()
}

async fn create(client: &Client, table: &TableName, splits: &[Bytes]) {
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
    client.admin().create_table(&descriptor, splits).await.expect("created");
}

/// A cluster of two region servers with a table of four regions.
async fn world() -> (Cluster, TableName) {
    let cluster = Cluster::start(2).await.expect("free ports");
    let table = TableName::new("t");
    let splits = [&b"r00050"[..], b"r00100", b"r00150"].map(Bytes::from_static);
    create(&Client::new(config(&cluster)), &table, &splits).await;
    (cluster, table)
}

fn config(cluster: &Cluster) -> ClientConfig {
    ClientConfig { operation_timeout: PATIENCE, ..ClientConfig::new(cluster.registry()) }
}

/// Reads of meta since [`Cluster::record`]: scans that were opened on it.
fn meta_reads(cluster: &Cluster) -> usize {
    let is_meta = |bytes: &Bytes| {
        let request = Request::decode(bytes.clone()).expect("a request");
        let scan = ScanRequest::decode(request.message).expect("a scan");
        scan.region.is_some_and(|region| region.value == "hbase:meta,,1")
    };
    cluster.recorded().iter().filter(|it| it.method == "Scan" && is_meta(&it.bytes)).count()
}

fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") });
}

#[test]
fn cells_that_were_compressed_on_the_way_are_the_same_cells() {
    run(async {
        let (cluster, table) = world().await;
        for (version, compression) in (1..).zip([Compression::Snappy, Compression::Lz4, Compression::Gz]) {
            let client = Client::new(ClientConfig { compression, ..config(&cluster) });
            client.write(&table, &block(version), Durability::SyncWal).await.expect("written");
            let mut scanner = client.scan(&table, Scan::default());
            let mut read = Vec::new();
            while let Some(row) = scanner.next_row().await.expect("a row") {
                let row = row.to_cells();
                read.extend(row);
            }
            assert_eq!(read, cluster.cells(&table, Visibility::Live), "{compression:?}");
            assert_eq!(read.len(), ROWS as usize);
            assert!(read.iter().all(|cell| cell.timestamp == version));
            let roads = client.roads();
            let cells = roads.connections.iter().filter(|it| it.service == "ClientService");
            assert!(cells.clone().count() > 0 && cells.clone().all(|it| it.compression == compression), "{roads}");
        }
    });
}

#[test]
fn a_disabled_table_is_an_error_at_once_and_an_enabled_one_is_served_again() {
    run(async {
        let (cluster, table) = world().await;
        let knows = Client::new(config(&cluster));
        knows.write(&table, &block(1), Durability::SyncWal).await.expect("written");
        knows.admin().disable_table(&table).await.expect("disabled");
        for client in [knows.clone(), Client::new(config(&cluster))] {
            let error = client.write(&table, &block(2), Durability::SyncWal).await.expect_err("disabled");
            assert!(!error.is_transient());
            let WriteError::Failed { source: Error::TableDisabled { table }, .. } = &error else { panic!("{error:?}") };
            assert_eq!(table, "t");
            let error = client.get(&TableName::new("t"), &Get::new("r00000")).await.expect_err("disabled");
            assert!(matches!(error, Error::TableDisabled { .. }), "{error:?}");
        }
        knows.admin().enable_table(&table).await.expect("enabled");
        knows.write(&table, &block(3), Durability::SyncWal).await.expect("written");
        assert!(cluster.cells(&table, Visibility::Live).iter().all(|cell| cell.timestamp == 3));
    });
}

#[test]
fn a_missing_table_is_named_and_not_remembered() {
    run(async {
        let (cluster, _) = world().await;
        let client = Client::new(config(&cluster));
        let error = client.get(&TableName::new("nowhere"), &Get::new("r")).await.expect_err("missing");
        assert!(matches!(&error, Error::TableMissing { table } if table == "nowhere"), "{error:?}");
        assert_eq!(client.roads().tables, []);
        let table = TableName::new("nowhere");
        create(&client, &table, &[]).await;
        client.get(&table, &Get::new("r")).await.expect("there now");
    });
}

#[test]
fn callers_that_come_at_once_cost_meta_one_read_of_the_table() {
    run(async {
        let (cluster, table) = world().await;
        let client = Client::new(config(&cluster));
        cluster.record();
        let callers: Vec<_> = (0..ROWS)
            .map(|row| {
                let (client, table) = (client.clone(), table.clone());
                tokio::spawn(async move { client.get(&table, &Get::new(format!("r{row:05}"))).await })
            })
            .collect();
        for caller in callers {
            caller.await.expect("no panic").expect("read");
        }
        assert_eq!(meta_reads(&cluster), 1);
        assert_eq!(client.roads().tables[0].regions, 4);
    });
}

#[test]
fn only_what_concerns_the_place_costs_a_look_up() {
    // The classes of `ClientExceptionsUtil.isMetaClearingException`, and what each costs in reads of meta.
    let cases = [
        (Reaction::refuse("RegionTooBusyException"), 0),
        (Reaction::refuse("quotas.RpcThrottlingException"), 0),
        (Reaction::refuse("MultiActionResultTooLarge"), 0),
        (Reaction::refuse("RetryImmediatelyException"), 0),
        (Reaction::refuse("CallQueueTooBigException"), 0),
        (Reaction::refuse("CallDroppedException"), 0),
        (Reaction::refuse("PleaseHoldException"), 0),
        (Reaction::refuse("exceptions.RegionOpeningException"), 0),
        (Reaction::Delay(Duration::from_millis(700)), 0),
        (Reaction::Silence, 0),
        (Reaction::refuse("NotServingRegionException"), 1),
        (Reaction::refuse("regionserver.RegionServerStoppedException"), 1),
        (Reaction::Disconnect, 1),
    ];
    run(async {
        let (cluster, table) = world().await;
        for (reaction, reads) in cases {
            let patience = ClientConfig { rpc_timeout: Duration::from_millis(400), ..config(&cluster) };
            let client = Client::new(patience);
            client.get(&table, &Get::new("r00000")).await.expect("read");
            cluster.record();
            cluster.inject(Rule::new(Condition::method("Get").first(1), reaction.clone()));
            client.get(&table, &Get::new("r00000")).await.expect("read");
            assert_eq!(meta_reads(&cluster), reads, "{reaction:?}");
        }
    });
}

#[test]
fn a_region_that_moved_is_found_by_the_hint_without_meta() {
    run(async {
        let (cluster, table) = world().await;
        let client = Client::new(config(&cluster));
        client.get(&table, &Get::new("r00000")).await.expect("read");
        cluster.record();
        for server in [0, 1, 0, 1] {
            cluster.move_region(&table, b"r00000", server);
            client.get(&table, &Get::new("r00000")).await.expect("read");
        }
        assert_eq!(meta_reads(&cluster), 0);
    });
}

#[test]
fn a_scan_backwards_needs_no_more_of_meta_than_one_forwards() {
    run(async {
        let (cluster, table) = world().await;
        let client = Client::new(config(&cluster));
        client.write(&table, &block(1), Durability::SyncWal).await.expect("written");
        cluster.record();
        let mut scanner = client.scan(&table, Scan { direction: Direction::Reversed, ..Scan::default() });
        let mut rows = 0;
        while scanner.next_row().await.expect("a row").is_some() {
            rows += 1;
        }
        assert_eq!((rows, meta_reads(&cluster)), (ROWS, 0));
    });
}

#[test]
fn a_meta_that_refuses_is_asked_ever_more_rarely_however_many_wait() {
    run(async {
        let (cluster, table) = world().await;
        let impatient = ClientConfig { operation_timeout: Duration::from_secs(3), ..config(&cluster) };
        let client = Client::new(impatient);
        cluster.record();
        let refuse = Reaction::refuse("CallQueueTooBigException");
        cluster.inject(Rule::new(Condition::method("Scan"), refuse));
        let callers: Vec<_> = (0..100)
            .map(|row| {
                let (client, table) = (client.clone(), table.clone());
                tokio::spawn(async move { client.get(&table, &Get::new(format!("r{row:05}"))).await })
            })
            .collect();
        for caller in callers {
            let error = caller.await.expect("no panic").expect_err("meta is down");
            assert!(error.is_transient(), "{error:?}");
        }
        let reads = meta_reads(&cluster);
        assert!((2..=20).contains(&reads), "{reads} reads for 100 callers in 3 s");
    });
}

#[test]
fn a_server_that_stops_costs_meta_no_more_than_its_regions() {
    run(async {
        let (cluster, table) = world().await;
        let client = Client::new(config(&cluster));
        client.write(&table, &block(1), Durability::SyncWal).await.expect("written");
        cluster.record();
        cluster.stop_server(1);
        client.write(&table, &block(2), Durability::SyncWal).await.expect("written");
        let reads = meta_reads(&cluster);
        assert!((1..=8).contains(&reads), "{reads}");
        assert!(cluster.cells(&table, Visibility::Live).iter().all(|cell| cell.timestamp == 2));
    });
}

#[test]
fn the_registry_answers_although_some_of_its_servers_are_gone_or_frozen() {
    run(async {
        let (cluster, _) = world().await;
        let Registry::Rpc { servers } = cluster.registry() else { panic!("an RPC registry") };
        let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").to_string();
        let frozen = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut all = vec![gone, frozen.local_addr().expect("bound").to_string()];
        all.extend(servers);
        for _ in 0..8 {
            // Every client begins elsewhere.
            let registry = Registry::Rpc { servers: all.clone() };
            let client =
                Client::new(ClientConfig { rpc_timeout: Duration::from_secs(4), ..ClientConfig::new(registry) });
            client.cluster_id().await.expect("one of three answers");
        }
    });
}

#[test]
fn a_registry_that_never_answers_is_an_error_within_the_time_of_a_call() {
    run(async {
        let frozen = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = frozen.local_addr().expect("bound").to_string();
        let quick = Duration::from_millis(300);
        for registry in [
            Registry::Rpc { servers: vec![address.clone()] },
            Registry::ZooKeeper { quorum: vec![address.clone()], znode: "/hbase".to_owned() },
        ] {
            let client = Client::new(ClientConfig { rpc_timeout: quick, ..ClientConfig::new(registry.clone()) });
            let error = client.cluster_id().await.expect_err("nobody answers");
            assert!(error.is_transient(), "{error:?}");
            assert!(error.to_string().contains(&address), "{registry}: {error}");
        }
    });
}

/// A server that refuses every connection with this class.
async fn refusing(class: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let exception = ExceptionResponse {
                exception_class_name: Some(format!("org.apache.hadoop.hbase.{class}")),
                stack_trace: Some(format!("org.apache.hadoop.hbase.{class}: no")),
                do_not_retry: Some(true),
                ..ExceptionResponse::default()
            };
            let mut hello = [0; 6];
            let _ = stream.read_exact(&mut hello).await;
            let _ = stream.write_all(&frame::failure(FATAL_CALL_ID, exception)).await;
        }
    });
    address
}

#[test]
fn servers_that_do_not_know_the_registry_are_named_too_old() {
    run(async {
        let old = refusing("ipc.UnknownServiceException").await;
        let client = Client::new(ClientConfig::new(Registry::Rpc { servers: vec![old.clone()] }));
        let error = client.get(&TableName::new("t"), &Get::new("r")).await.expect_err("too old");
        let Error::VersionTooOld { servers, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*servers, old);
        assert!(error.to_string().contains("ZooKeeper"), "{error}");
    });
}

#[test]
fn a_server_that_refuses_the_user_says_so_at_once() {
    run(async {
        let wall = refusing("security.AccessDeniedException").await;
        let client = Client::new(ClientConfig::new(Registry::Rpc { servers: vec![wall] }));
        let error = client.cluster_id().await.expect_err("refused");
        assert!(error.chain().contains("AccessDeniedException"), "{}", error.chain());
    });
}

#[test]
fn a_dump_shows_connections_and_what_is_known() {
    run(async {
        let (cluster, table) = world().await;
        let named = ClientConfig { name: Some("blue".to_owned()), ..config(&cluster) };
        let client = Client::new(ClientConfig { compression_absent: AbsentCodec::SendPlain, ..named });
        client.get(&table, &Get::new("r00000")).await.expect("read");
        // What the look-up left behind (its scanner is closed by the way) has gone out at some time.
        let said = loop {
            let said = client.roads().to_string();
            if said.contains("ClientService: 0 calls, 0 bytes queued, None") {
                break said;
            }
            tokio::task::yield_now().await;
        };
        assert!(said.starts_with("cluster blue: meta at 127.0.0.1:"), "{said}");
        assert!(said.contains("table t: 4 regions, 0 holes, 0 waiting, 0 look-ups"), "{said}");
    });
}

/// Counters by name and the values of their labels.
#[derive(Default)]
struct Counters(Mutex<BTreeMap<String, Arc<metrics::atomics::AtomicU64>>>);

impl Counters {
    fn sum(&self, parts: &[&str]) -> u64 {
        let counters = self.0.lock().expect("no panic");
        let wanted = counters.iter().filter(|(key, _)| parts.iter().all(|part| key.contains(part)));
        wanted.map(|(_, value)| value.load(std::sync::atomic::Ordering::Relaxed)).sum()
    }
}

impl metrics::Recorder for &Counters {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        let name = key.labels().fold(key.name().to_owned(), |name, label| format!("{name} {}", label.value()));
        let mut counters = self.0.lock().expect("no panic");
        metrics::Counter::from_arc(Arc::clone(counters.entry(name).or_default()))
    }
    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }
    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[test]
fn metrics_tell_calls_connects_look_ups_and_why_places_were_forgotten() {
    let counters = Counters::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    metrics::with_local_recorder(&&counters, || {
        runtime.block_on(async {
            let (cluster, table) = world().await;
            let client = Client::new(ClientConfig { name: Some("blue".to_owned()), ..config(&cluster) });
            for reaction in [Reaction::refuse("NotServingRegionException"), Reaction::Disconnect] {
                client.get(&table, &Get::new("r00000")).await.expect("read");
                cluster.inject(Rule::new(Condition::method("Get").first(1), reaction));
                client.get(&table, &Get::new("r00000")).await.expect("read");
            }
        });
    });
    use hbase::metrics as name;
    assert_eq!(counters.sum(&[name::CALLS, "blue", " Get ", " ok"]), 4 + 1, "and one for the table's state");
    assert_eq!(counters.sum(&[name::CALLS, "blue", " Get ", " refused"]), 1);
    assert_eq!(counters.sum(&[name::CALLS, "blue", " Get ", " disconnected"]), 1);
    assert_eq!(counters.sum(&[name::CACHE_INVALIDATIONS, "blue", "not_serving"]), 1);
    assert!(counters.sum(&[name::CACHE_INVALIDATIONS, "blue", "server_gone"]) >= 1);
    assert_eq!(counters.sum(&[name::META_LOOKUPS, "blue", " table ", " ok"]), 1);
    assert!(counters.sum(&[name::META_LOOKUPS, "blue", " region ", " ok"]) >= 2);
    assert_eq!(counters.sum(&[name::CONNECTIONS_ENDED, "blue", "closed"]), 1);
    assert!(counters.sum(&[name::CONNECTS, "blue", " ok"]) >= 2);
    assert!(counters.sum(&[name::SENT_BYTES, "blue"]) > 0 && counters.sum(&[name::RECEIVED_BYTES, "blue"]) > 0);
    assert!(counters.sum(&[name::REGISTRY_CALLS, "blue", "meta_server", " ok"]) >= 1);
}
