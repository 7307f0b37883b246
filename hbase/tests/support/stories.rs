//! Stories of the `hbase` client that are true on every cluster: real ones of any version, and the one in process.

mod changes;
mod operations;
mod scans;

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hbase::cell::{Cell, CellKind};
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig, WriteError};
use hbase::mutation::Durability;
use hbase::registry::Registry;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::{Direction, Get, Scan, Versions, Visibility};
use hbase::table_name::TableName;

pub(crate) use self::changes::*;
pub(crate) use self::operations::*;
pub(crate) use self::scans::*;

const OPERATION: Duration = Duration::from_secs(60);

fn column(qualifier: &str) -> Column {
    Column::new(b"f", qualifier.as_bytes()).expect("a legal column")
}

/// `rows` rows `r00000…` with cells `f:a` and `f:b` at `version`.
fn block(rows: std::ops::Range<u32>, version: i64) -> RowBlock {
    let (a, b) = (column("a"), column("b"));
    let mut builder = RowBlockBuilder::default();
    for row in rows {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        builder.cell(&a, version, CellKind::Put, format!("a{row}@{version}").as_bytes()).expect("room");
        builder.cell(&b, version, CellKind::Put, b"").expect("room");
    }
    builder.finish()
}

async fn rows(client: &Client, table: &TableName, scan: Scan) -> Vec<Vec<Cell>> {
    let mut scanner = client.scan(table, scan);
    let mut rows = Vec::new();
    while let Some(row) = scanner.next_row().await.expect("a row") {
        let row = row.to_cells();
        rows.push(row);
    }
    rows
}

fn keys(rows: &[Vec<Cell>]) -> Vec<String> {
    rows.iter().map(|row| String::from_utf8_lossy(&row[0].row).into_owned()).collect()
}

/// A story: a client and a table `f` (three versions) with regions from the start, `r00300` and `r00600`.
pub(crate) type Story = fn(Client, TableName) -> Pin<Box<dyn Future<Output = ()>>>;

/// Runs a story on a cluster, with a table of its own.
pub(crate) fn run(registry: Registry, (name, story): (&str, Story)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = client(registry);
        let table = TableName::new(&format!("{name}_{}", unique()));
        let family = Family::new("f").with("VERSIONS", "3").with("BLOOMFILTER", "ROW");
        let descriptor = TableDescriptor { name: table.clone(), families: vec![family] };
        let splits = [Bytes::from_static(b"r00300"), Bytes::from_static(b"r00600")];
        client.admin().create_table(&descriptor, &splits).await.expect("created");
        story(client.clone(), table.clone()).await;
        client.admin().disable_table(&table).await.expect("disabled");
        client.admin().drop_table(&table).await.expect("dropped");
    });
}

/// A number that no other table of this run has.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Makes one test of each story: `client_stories!(on)` with `fn on(name: &str, story: Story)`.
macro_rules! client_stories {
    ($on:ident) => {
        client_stories! { $on:
            a_block_is_written_over_all_regions_and_read_back
            scans_go_both_ways_with_bounds_limits_and_small_answers
            versions_and_markers_are_what_hbase_says
            writes_go_on_while_a_region_splits
            refusals_name_the_rows_and_spare_their_neighbours
            a_missing_table_is_named_at_once
            tables_are_listed_and_described
            filters_leave_out_the_rows_that_do_not_pass
            filters_leave_out_the_cells_that_do_not_pass
            scans_show_the_versions_and_columns_asked_for
            a_renewed_scanner_goes_on_where_it_was
            many_regions_are_scanned_at_once
            many_gets_are_answered_each_at_its_place
            gets_that_do_not_fit_one_answer_are_asked_again
            existence_is_told_without_cells
            every_shape_of_delete_deletes_what_it_says
            a_condition_decides_whether_a_row_changes
            a_filter_is_a_condition_or_is_refused_by_old_servers
            mutations_of_a_row_are_made_together_or_not_at_all
            counters_count_and_values_grow
            wrong_requests_name_table_region_row_and_remedy
            families_come_change_and_go
            a_truncated_table_is_empty_and_keeps_its_regions_or_not
            merged_regions_have_the_rows_of_both
            a_major_compaction_drops_markers_and_what_they_mask
            a_snapshot_is_kept_cloned_and_restored
            namespaces_hold_tables
            the_cluster_tells_its_state_and_obeys_its_switches
        }
    };
    ($on:ident: $($story:ident)*) => {
        $(#[test]
        fn $story() {
            let story: crate::support::stories::Story =
                |client, table| Box::pin(crate::support::stories::$story(client, table));
            $on(stringify!($story), story);
        })*
    };
}
pub(crate) use client_stories;

fn client(registry: Registry) -> Client {
    Client::new(ClientConfig { operation_timeout: OPERATION, ..ClientConfig::new(registry) })
}

pub(crate) async fn a_block_is_written_over_all_regions_and_read_back(client: Client, table: TableName) {
    let report = client.write(&table, &block(0..1000, 5), Durability::SyncWal).await.expect("written");
    assert_eq!(report.rows, 1000);
    let read = rows(&client, &table, Scan::default()).await;
    assert_eq!(keys(&read), (0..1000).map(|row| format!("r{row:05}")).collect::<Vec<_>>());
    assert!(read.iter().all(|row| row.len() == 2 && row.iter().all(|cell| cell.timestamp == 5)));
    let got = client.get(&table, &Get::new("r00700")).await.expect("a row");
    assert_eq!(got.iter().map(|cell| cell.value.clone()).collect::<Vec<_>>(), ["a700@5", ""]);
    assert!(client.get(&table, &Get::new("nothing")).await.expect("no row").is_empty());
}

pub(crate) async fn scans_go_both_ways_with_bounds_limits_and_small_answers(client: Client, table: TableName) {
    client.write(&table, &block(0..1000, 5), Durability::AsyncWal).await.expect("written");
    let all = keys(&rows(&client, &table, Scan::default()).await);
    let small = Scan { bytes_per_answer: 700, caching: 7, ..Scan::default() };
    assert_eq!(keys(&rows(&client, &table, small).await), all);
    let reversed = Scan { direction: Direction::Reversed, ..Scan::default() };
    assert_eq!(keys(&rows(&client, &table, reversed).await), all.iter().rev().cloned().collect::<Vec<_>>());
    let bounded = Scan {
        start: "r00298".into(),
        start_included: false,
        stop: "r00302".into(),
        stop_included: true,
        ..Scan::default()
    };
    assert_eq!(keys(&rows(&client, &table, bounded).await), ["r00299", "r00300", "r00301", "r00302"]);
    let backwards =
        Scan { start: "r00601".into(), stop: "r00598".into(), direction: Direction::Reversed, ..Scan::default() };
    assert_eq!(keys(&rows(&client, &table, backwards).await), ["r00601", "r00600", "r00599"]);
    let limited = Scan { start: "r00599".into(), limit: 3, ..Scan::default() };
    assert_eq!(keys(&rows(&client, &table, limited).await), ["r00599", "r00600", "r00601"]);
}

pub(crate) async fn versions_and_markers_are_what_hbase_says(client: Client, table: TableName) {
    for version in [5, 7, 6] {
        client.write(&table, &block(0..2, version), Durability::SyncWal).await.expect("written");
    }
    let newest = client.get(&table, &Get::new("r00000")).await.expect("a row");
    assert_eq!(newest[0].timestamp, 7);
    let all = Get { versions: Versions::all(), ..Get::new("r00000") };
    let timestamps: Vec<i64> =
        client.get(&table, &all).await.expect("a row").iter().map(|cell| cell.timestamp).collect();
    assert_eq!(timestamps, [7, 6, 5, 7, 6, 5]);
    let mut builder = RowBlockBuilder::default();
    builder.begin_row(MutationKind::Delete, b"r00000").expect("a row");
    builder.cell(&column(""), 6, CellKind::DeleteFamily, b"").expect("room");
    client.write(&table, &builder.finish(), Durability::SyncWal).await.expect("written");
    let left: Vec<i64> = client.get(&table, &all).await.expect("a row").iter().map(|cell| cell.timestamp).collect();
    assert_eq!(left, [7, 7]);
    let raw = Scan { stop: "r00001".into(), visibility: Visibility::Raw, versions: Versions::all(), ..Scan::default() };
    let kinds: Vec<CellKind> = rows(&client, &table, raw).await[0].iter().map(|cell| cell.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == CellKind::DeleteFamily).count(), 1);
}

pub(crate) async fn writes_go_on_while_a_region_splits(client: Client, table: TableName) {
    client.write(&table, &block(0..1000, 1), Durability::SyncWal).await.expect("written");
    let splitting = {
        let (client, table) = (client.clone(), table.clone());
        tokio::spawn(async move { client.admin().split(&table, &Bytes::from_static(b"r00450")).await })
    };
    let mut version = 1;
    while !splitting.is_finished() {
        version += 1;
        client.write(&table, &block(0..1000, version), Durability::SyncWal).await.expect("written");
    }
    splitting.await.expect("no panic").expect("split");
    client.write(&table, &block(0..1000, version + 1), Durability::SyncWal).await.expect("written");
    assert_eq!(client.regions(&table).await.expect("regions").len(), 4);
    let read = rows(&client, &table, Scan::default()).await;
    assert_eq!(read.len(), 1000);
    assert!(read.iter().flatten().all(|cell| cell.timestamp == version + 1));
}

pub(crate) async fn refusals_name_the_rows_and_spare_their_neighbours(client: Client, table: TableName) {
    let unknown = Column::new(b"g", b"a").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in 0..10 {
        builder.begin_row(MutationKind::Put, format!("r{row}").as_bytes()).expect("in order");
        let column = if row == 4 { &unknown } else { &column("a") };
        builder.cell(column, 1, CellKind::Put, b"x").expect("room");
    }
    let error = client.write(&table, &builder.finish(), Durability::SyncWal).await.expect_err("refused");
    assert!(!error.is_transient());
    let WriteError::Refused { rows: refused, exception, .. } = error else { panic!("{error:?}") };
    assert_eq!((refused, exception.simple_class()), (vec![4], "NoSuchColumnFamilyException"));
    assert_eq!(rows(&client, &table, Scan::default()).await.len(), 9);
}

pub(crate) async fn a_missing_table_is_named_at_once(client: Client, _: TableName) {
    let written = client.write(&TableName::new("nowhere"), &block(0..1, 1), Durability::SyncWal).await;
    let error = written.expect_err("no such table");
    assert!(format!("{error:?}").contains("TableMissing"), "{error:?}");
}

pub(crate) async fn tables_are_listed_and_described(client: Client, table: TableName) {
    assert!(client.admin().list_tables().await.expect("tables").contains(&table));
    let found = client.admin().describe_table(&table).await.expect("an answer").expect("the table");
    assert_eq!(found.families[0].attribute("VERSIONS"), Some("3"));
    assert_eq!(client.admin().describe_table(&TableName::new("nowhere")).await.expect("an answer"), None);
}
