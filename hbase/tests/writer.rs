//! Bulk writes on the cluster in process: what travels together, what waits, what is told to whom.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig, Pending, WriteError, WriteReport, WriterConfig};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::Visibility;
use hbase::server::{Cluster, Condition, Reaction, Refusal, Rule};
use hbase::table_name::TableName;
use hbase::wire::cell_block;
use hbase::wire::frame::Request;
use tokio::runtime::Runtime;

/// Rows `r00000…` with one cell at `version`, in family `family`.
fn block_of(rows: impl IntoIterator<Item = u32>, version: i64, family: &[u8]) -> RowBlock {
    let column = Column::new(family, b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in rows {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        builder.cell(&column, version, CellKind::Put, &[b'v'; 100]).expect("room");
    }
    builder.finish()
}

fn block(rows: impl IntoIterator<Item = u32>, version: i64) -> RowBlock {
    block_of(rows, version, b"f")
}

struct World {
    cluster: Cluster,
    client: Client,
    table: TableName,
}

/// Two region servers, a table of three regions (from the start, `r00200` and `r00400`), and a client whose look-ups
/// are done.
async fn world(change: impl FnOnce(&mut ClientConfig)) -> World {
    let cluster = Cluster::start(2).await.expect("free ports");
    let mut config = ClientConfig { rpc_timeout: Duration::from_millis(500), ..ClientConfig::new(cluster.registry()) };
    change(&mut config);
    let client = Client::new(config);
    let table = TableName::new("t");
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
    let splits = [Bytes::from_static(b"r00200"), Bytes::from_static(b"r00400")];
    client.admin().create_table(&descriptor, &splits).await.expect("created");
    client.write(&table, &block([0, 200, 400], 1), Durability::SyncWal).await.expect("written");
    World { cluster, client, table }
}

impl World {
    /// So many Multis meet this, after some that are let through.
    fn fault(&self, reaction: Reaction, (after, times): (u64, u64)) {
        self.cluster.inject(Rule::new(Condition::method("Multi").numbers(after..after + times), reaction));
    }

    async fn submit(&self, block: &RowBlock) -> Pending {
        self.client.submit(&self.table, block, Durability::SyncWal).await.expect("taken")
    }

    /// Waits until the writer holds nothing any more.
    async fn until_idle(&self) {
        loop {
            let state = self.client.debug_state();
            if state.writes == 0 && state.credits_used == 0 && state.lanes.is_empty() {
                assert!(state.servers.iter().all(|it| (it.in_flight, it.queued_bytes, it.credited_bytes) == (0, 0, 0)));
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn on_runtime(story: impl Future<Output = ()>) {
    let runtime = Runtime::new().expect("a runtime");
    let patience = Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(patience, story).await.expect("an end") });
}

#[test]
fn what_comes_while_a_batch_flies_goes_as_one_batch() {
    on_runtime(async {
        let world = world(|_| {}).await;
        let before = world.cluster.counts().multis;
        world.fault(Reaction::Delay(Duration::from_millis(200)), (0, 3));
        let mut writes = Vec::new();
        for version in 2..=100 {
            writes.push(world.submit(&block((0..600).step_by(50), version)).await);
        }
        for write in writes {
            assert_eq!(write.await.expect("written").rows, 12);
        }
        // Each of three regions: a first batch, and one with everything that came meanwhile.
        let calls = world.cluster.counts().multis - before;
        assert!(calls <= 12, "{calls} calls for 99 blocks over 3 regions");
        assert!(world.cluster.cells(&world.table, Visibility::Live).iter().all(|cell| cell.timestamp == 100));
        world.until_idle().await;
    });
}

#[test]
fn versions_of_a_row_never_go_back_whatever_fails() {
    on_runtime(async {
        let reactions = [
            Reaction::Disconnect,
            Reaction::LoseAnswer,
            Reaction::refuse("NotServingRegionException"),
            Reaction::refuse("RegionTooBusyException"),
            Reaction::refuse("CallQueueTooBigException"),
        ];
        let world = world(|_| {}).await;
        world.cluster.record();
        for reaction in &reactions {
            world.fault(reaction.clone(), (3, 2));
        }
        let mut writes = Vec::new();
        for version in 2..=80 {
            writes.push(world.submit(&block((0..600).step_by(37), version)).await);
            if version == 40 {
                world.cluster.split(&world.table, b"r00100").expect("split");
                world.cluster.move_region(&world.table, b"r00450", 0);
            }
            tokio::task::yield_now().await;
        }
        for write in writes {
            write.await.expect("written");
        }
        // By row, what each call carried of it: calls that failed come again from where they began.
        let mut arrived: BTreeMap<Bytes, Vec<Vec<i64>>> = BTreeMap::new();
        for call in world.cluster.recorded().iter().filter(|call| call.method == "Multi") {
            let request = Request::decode(call.bytes.clone()).expect("a request");
            let mut versions: BTreeMap<Bytes, Vec<i64>> = BTreeMap::new();
            for cell in cell_block::decode(&request.cells).expect("cells") {
                versions.entry(cell.row).or_default().push(cell.timestamp);
            }
            for (row, versions) in versions {
                arrived.entry(row).or_default().push(versions);
            }
        }
        assert_eq!(arrived.len(), 17);
        for (row, calls) in arrived {
            assert!(calls.iter().all(|versions| versions.is_sorted()), "{row:?}: {calls:?}");
            assert!(calls.is_sorted_by_key(|versions| versions[0]), "{row:?} goes back: {calls:?}");
            assert_eq!(calls.last().and_then(|versions| versions.last()), Some(&80), "{row:?}: {calls:?}");
        }
    });
}

#[test]
fn a_dropped_write_gives_everything_back() {
    on_runtime(async {
        let world = world(|_| {}).await;
        world.fault(Reaction::Silence, (0, 2));
        let flying = world.submit(&block(0..600, 2)).await;
        let waiting = world.submit(&block(0..600, 3)).await;
        assert_eq!((flying.rows_left(), waiting.rows_left()), (600, 600));
        assert!(world.client.debug_state().credits_used > 0);
        drop(waiting);
        drop(flying);
        {
            let block = block(0..600, 4);
            let written = world.client.write(&world.table, &block, Durability::SyncWal);
            tokio::pin!(written);
            // Begun and given up at once.
            tokio::select! { biased; _ = &mut written => panic!("too fast"), () = std::future::ready(()) => {} }
        }
        world.until_idle().await;
        let report = world.client.write(&world.table, &block(0..600, 5), Durability::SyncWal).await.expect("written");
        assert_eq!(report.rows, 600);
        let cells = world.cluster.cells(&world.table, Visibility::Live);
        assert!(cells.iter().all(|cell| cell.timestamp == 5), "nothing of the dropped writes comes later");
    });
}

#[test]
fn callers_wait_when_the_credits_are_used_up() {
    on_runtime(async {
        let pool = 200 << 10;
        let world = world(|config| {
            config.writer = WriterConfig { credit_bytes: pool, ..WriterConfig::default() };
            config.rpc_timeout = Duration::from_secs(1);
        })
        .await;
        world.fault(Reaction::Silence, (0, 1000));
        let rows = block(0..100, 2);
        let mut taken = Vec::new();
        loop {
            let submitted = world.client.submit(&world.table, &rows, Durability::SyncWal);
            tokio::pin!(submitted);
            // Whoever gets credits gets them at once.
            tokio::select! {
                biased;
                pending = &mut submitted => taken.push(pending.expect("taken")),
                () = std::future::ready(()) => break,
            }
            assert!(taken.len() * rows.bytes().len() <= pool, "the pool has an end");
        }
        let state = world.client.debug_state();
        assert_eq!(state.credits_used, taken.len() * rows.bytes().len());
        assert!(state.credits_used <= pool / 3, "one region cannot take all");
        // Another region still gets its credits.
        drop(world.submit(&block(500..510, 2)).await);
        taken.clear();
        world.until_idle().await;
    });
}

#[test]
fn every_block_on_its_way_is_told_its_own_outcome() {
    on_runtime(async {
        let world = world(|_| {}).await;
        world.fault(Reaction::Delay(Duration::from_millis(50)), (0, 1));
        let first = world.submit(&block(0..20, 2)).await;
        let good = world.submit(&block(20..40, 2)).await;
        let bad = world.submit(&block_of(30..33, 3, b"unknown")).await;
        let last = world.submit(&block(40..60, 2)).await;
        for write in [first, good, last] {
            let report = write.await.expect("written");
            assert_eq!((report.rows, report.resent), (20, 0));
        }
        let Err(WriteError::Refused { table, rows, key, exception }) = bad.await else { panic!("not refused") };
        assert_eq!((table.as_str(), rows, key.as_str()), ("t", vec![0, 1, 2], "r00030"));
        assert_eq!(exception.simple_class(), "NoSuchColumnFamilyException");
        world.until_idle().await;
    });
}

#[test]
fn an_over_size_cell_is_named_before_anything_is_sent() {
    on_runtime(async {
        let world = world(|config| config.writer.cell_bytes_max = 1000).await;
        let before = world.cluster.counts();
        let column = Column::new(b"f", b"\x00large").expect("a legal column");
        let mut builder = RowBlockBuilder::default();
        for row in 0..3 {
            builder.begin_row(MutationKind::Put, format!("r{row}\u{1}").as_bytes()).expect("in order");
            let value = if row == 1 { vec![0; 2000] } else { vec![0; 900] };
            builder.cell(&column, 1, CellKind::Put, &value).expect("room");
        }
        let block = builder.finish();
        let error = world.client.write(&world.table, &block, Durability::SyncWal).await.expect_err("too large");
        assert!(!error.is_transient());
        assert_eq!(
            error.to_string(),
            "cell f:\\x00large of row r1\\x01 of table t has 2030 bytes, the limit is 1000: make the value smaller, or \
             raise `cell_bytes_max` here and `hbase.server.keyvalue.maxsize` on the servers"
        );
        let WriteError::CellTooLarge { row, bytes, limit, .. } = error else { panic!("{error:?}") };
        assert_eq!((row, bytes, limit), (1, 2030, 1000));
        let submitted = world.client.submit(&world.table, &block, Durability::SyncWal).await;
        assert!(matches!(submitted, Err(WriteError::CellTooLarge { .. })));
        assert_eq!(world.cluster.counts(), before);
    });
}

#[test]
fn an_empty_block_is_written_at_once() {
    on_runtime(async {
        let world = world(|_| {}).await;
        let before = world.cluster.counts();
        let report = world.client.write(&world.table, &block([], 1), Durability::SyncWal).await;
        assert_eq!(report.expect("nothing to do"), WriteReport::default());
        assert_eq!(world.submit(&block([], 1)).await.await.expect("nothing to do"), WriteReport::default());
        assert_eq!(world.cluster.counts(), before);
    });
}

#[test]
fn an_overloaded_server_gets_fewer_calls_at_once() {
    on_runtime(async {
        let world = world(|_| {}).await;
        let windows = |world: &World| -> Vec<usize> {
            world.client.debug_state().servers.iter().map(|server| server.window).collect()
        };
        assert_eq!(windows(&world), [4, 4]);
        world.fault(Reaction::refuse("CallQueueTooBigException"), (0, 1));
        let report = world.client.write(&world.table, &block(0..10, 2), Durability::SyncWal).await.expect("written");
        assert_eq!(report, WriteReport { rows: 10, calls: 2, resent: 10 });
        let mut windows = windows(&world);
        windows.sort_unstable();
        assert_eq!(windows, [2, 4], "only the server that said so");
    });
}

#[test]
fn many_tasks_write_through_one_client_and_every_row_is_there() {
    on_runtime(async {
        let world = world(|_| {}).await;
        let tasks: Vec<_> = (0..8_u32)
            .map(|task| {
                let (client, table) = (world.client.clone(), world.table.clone());
                tokio::spawn(async move {
                    for step in 0..40 {
                        let rows = (0..15).map(|row| row * 40 + step);
                        let version = i64::from(task * 100 + step + 2);
                        client.write(&table, &block(rows, version), Durability::SyncWal).await.expect("written");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        let cells = world.cluster.cells(&world.table, Visibility::Live);
        assert_eq!(cells.len(), 600);
        assert!(cells.iter().all(|cell| cell.timestamp > 700), "every row has the newest version");
        let calls = world.cluster.counts().multis;
        assert!(calls < 8 * 40 * 2, "{calls} calls: writes at once travel together");
        world.until_idle().await;
    });
}

#[test]
fn a_client_outlives_the_runtime_of_a_write() {
    let runtime = Runtime::new().expect("a runtime");
    let world = runtime.block_on(world(|_| {}));
    let other = Runtime::new().expect("a runtime");
    world.fault(Reaction::Silence, (0, 3));
    let pending = other.block_on(world.submit(&block(0..600, 2)));
    other.shutdown_background();
    drop(pending);
    runtime.block_on(async {
        let rows = block(0..600, 3);
        let written = world.client.write(&world.table, &rows, Durability::SyncWal);
        let report = tokio::time::timeout(Duration::from_secs(30), written).await.expect("in time").expect("written");
        assert_eq!(report.rows, 600);
        world.until_idle().await;
    });
}

#[test]
fn a_frozen_server_does_not_hold_back_writes_to_others() {
    on_runtime(async {
        let world = world(|config| config.writer.credit_bytes = 512 << 10).await;
        world.cluster.move_region(&world.table, b"r00000", 0);
        world.cluster.move_region(&world.table, b"r00200", 1);
        world.cluster.move_region(&world.table, b"r00400", 1);
        for row in [0, 200, 400] {
            world.client.write(&world.table, &block([row], 2), Durability::SyncWal).await.expect("written");
        }
        let frozen = world
            .cluster
            .inject_while(Rule::new(Condition::server(0).and(Condition::method("Multi")), Reaction::Silence));
        let stuck = {
            let (client, table) = (world.client.clone(), world.table.clone());
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for version in 3..1000 {
                    taken.push(
                        client.submit(&table, &block(0..200, version), Durability::SyncWal).await.expect("taken"),
                    );
                }
                for write in taken {
                    write.await.expect("written");
                }
            })
        };
        for version in 3..300 {
            let report = world.client.write(&world.table, &block(200..600, version), Durability::SyncWal).await;
            assert_eq!(report.expect("written").rows, 400);
            assert!(world.client.debug_state().credits_used <= 512 << 10);
        }
        assert!(!stuck.is_finished());
        drop(frozen);
        stuck.abort();
        world.until_idle().await;
    });
}

#[test]
fn many_rows_that_poison_their_batch_are_found_and_their_neighbours_are_written() {
    on_runtime(async {
        let world = world(|_| {}).await;
        // Every seventh row refuses all that comes with it in one region action.
        let bad: Vec<u32> = (0..600).filter(|row| row % 7 == 3).collect();
        let keys = bad.iter().map(|row| (format!("r{row:05}"), format!("r{row:05}\0")));
        let poison = keys.map(|(from, to)| Condition::rows(from, to)).reduce(Condition::or).expect("some");
        let refusal = Reaction::Poison(Refusal::new("DoNotRetryIOException"));
        world.cluster.inject(Rule::new(Condition::method("Multi").and(poison), refusal));
        let written = world.client.write(&world.table, &block(0..600, 5), Durability::SyncWal).await;
        let Err(WriteError::Refused { rows, .. }) = written else { panic!("{written:?}") };
        assert_eq!(rows, bad.iter().map(|row| *row as usize).collect::<Vec<_>>());
        let taken = world.cluster.cells(&world.table, Visibility::Live);
        assert_eq!(taken.iter().filter(|cell| cell.timestamp == 5).count(), 600 - bad.len());
    });
}
