//! Scans: filters, versions, leases, many regions at once.

use bytes::Bytes;
use hbase::cell::CellKind;
use hbase::client::Client;
use hbase::client::region_scanner::{Delivery, RegionScan};
use hbase::filter::{CompareOperator, Filter, MissingColumn, QualifierBound, ValueLeft, VersionsCompared};
use hbase::mutation::Durability;
use hbase::row_block::{MutationKind, RowBlockBuilder};
use hbase::scan::{Direction, ReadType, Scan, Selection, Versions};
use hbase::table_name::TableName;

use super::{block, column, keys, rows};

/// Rows `r00000…` of cells `f:a` (`even` or `odd`), in every third row `f:b`, and `f:c`.
async fn write_mixed(client: &Client, table: &TableName, count: u32) {
    let mut builder = RowBlockBuilder::default();
    for row in 0..count {
        builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
        let parity: &[u8] = if row % 2 == 0 { b"even" } else { b"odd" };
        builder.cell(&column("a"), 5, CellKind::Put, parity).expect("room");
        if row % 3 == 0 {
            builder.cell(&column("b"), 5, CellKind::Put, b"third").expect("room");
        }
        builder.cell(&column("c"), 5, CellKind::Put, format!("{row:05}").as_bytes()).expect("room");
    }
    client.write(table, &builder.finish(), Durability::SyncWal).await.expect("written");
}

fn filtered(filter: Filter) -> Scan {
    Scan { filter: Some(filter), ..Scan::default() }
}

fn numbered(rows: impl Iterator<Item = u32>) -> Vec<String> {
    rows.map(|row| format!("r{row:05}")).collect()
}

pub(crate) async fn filters_leave_out_the_rows_that_do_not_pass(client: Client, table: TableName) {
    write_mixed(&client, &table, 900).await;
    let found = async |filter| keys(&rows(&client, &table, filtered(filter)).await);
    assert_eq!(found(Filter::Prefix("r0059".into())).await, numbered(590..600));
    let even = Filter::value("f", "a", CompareOperator::Equal, "even");
    assert_eq!(found(even.clone()).await, numbered((0..900).step_by(2)));
    let late = Filter::value("f", "c", CompareOperator::GreaterOrEqual, "00897");
    assert_eq!(found(late).await, numbered(897..900));
    let early = Filter::value("f", "c", CompareOperator::Less, "00003");
    assert_eq!(found(early).await, numbered(0..3));
    let third = Filter::value("f", "b", CompareOperator::NotEqual, "other");
    assert_eq!(found(third.clone()).await, numbered((0..900).step_by(3)), "rows without the column are left out");
    let or_missing = Filter::SingleColumnValue {
        family: "f".into(),
        qualifier: "b".into(),
        operator: CompareOperator::Equal,
        value: "other".into(),
        missing: MissingColumn::Passes,
        versions: VersionsCompared::Newest,
    };
    assert_eq!(found(or_missing).await, numbered((0..900).filter(|row| row % 3 != 0)));
    let both = Filter::All(vec![even.clone(), third.clone()]);
    assert_eq!(found(both).await, numbered((0..900).step_by(6)));
    let either = Filter::Any(vec![Filter::Prefix("r00001".into()), Filter::All(vec![even, third])]);
    assert_eq!(found(either).await, numbered((0..900).filter(|row| row % 6 == 0 || *row == 1)));
}

pub(crate) async fn filters_leave_out_the_cells_that_do_not_pass(client: Client, table: TableName) {
    write_mixed(&client, &table, 310).await;
    let cells = async |filter: Filter, row: &'static str| {
        let scan = Scan { start: row.into(), limit: 1, ..filtered(filter) };
        let found = rows(&client, &table, scan).await;
        let show = |cell: &hbase::cell::Cell| (cell.qualifier.clone(), cell.value.clone());
        found.iter().flatten().map(show).collect::<Vec<_>>()
    };
    let pair = |qualifier: &'static str, value: &'static str| (Bytes::from(qualifier), Bytes::from(value));
    assert_eq!(cells(Filter::FirstKeyOnly, "r00300").await, [pair("a", "even")]);
    assert_eq!(cells(Filter::ColumnPrefix("b".into()), "r00003").await, [pair("b", "third")]);
    let from_b = Filter::ColumnRange { from: QualifierBound::Excluded("a".into()), to: QualifierBound::Unbounded };
    assert_eq!(cells(from_b, "r00300").await, [pair("b", "third"), pair("c", "00300")]);
    let to_b =
        Filter::ColumnRange { from: QualifierBound::Included("a".into()), to: QualifierBound::Excluded("b".into()) };
    assert_eq!(cells(to_b, "r00300").await, [pair("a", "even")]);
    let nothing = cells(Filter::KeyOnly(ValueLeft::Nothing), "r00001").await;
    assert_eq!(nothing, [pair("a", ""), pair("c", "")]);
    let lengths = cells(Filter::KeyOnly(ValueLeft::Length), "r00001").await;
    assert_eq!(lengths, [pair("a", "\0\0\0\u{3}"), pair("c", "\0\0\0\u{5}")]);
    let counting = Filter::All(vec![Filter::FirstKeyOnly, Filter::KeyOnly(ValueLeft::Nothing)]);
    let counted = rows(&client, &table, filtered(counting)).await;
    assert_eq!(counted.iter().map(Vec::len).collect::<Vec<_>>(), vec![1; 310]);
    let page = Scan { start: "r00100".into(), stop: "r00200".into(), ..filtered(Filter::Page(7)) };
    assert_eq!(keys(&rows(&client, &table, page).await), numbered(100..107), "a page inside one region");
}

pub(crate) async fn scans_show_the_versions_and_columns_asked_for(client: Client, table: TableName) {
    for version in [3, 9, 6] {
        client.write(&table, &block(299..301, version), Durability::SyncWal).await.expect("written");
    }
    let seen = async |versions: Versions| {
        let only_a = Selection { family: "f".into(), qualifier: Some("a".into()) };
        let scan = Scan { versions, columns: vec![only_a], ..Scan::default() };
        let found = rows(&client, &table, scan).await;
        found.iter().map(|row| row.iter().map(|cell| cell.timestamp).collect()).collect::<Vec<Vec<i64>>>()
    };
    assert_eq!(seen(Versions::default()).await, [[9], [9]]);
    assert_eq!(seen(Versions::all()).await, [[9, 6, 3], [9, 6, 3]]);
    assert_eq!(seen(Versions { most: 2, ..Versions::default() }).await, [[9, 6], [9, 6]]);
    assert_eq!(seen(Versions::between(3, 9)).await, [[6], [6]], "the upper end is not part");
    assert_eq!(seen(Versions { most: 9, from: 4, to: 10 }).await, [[9, 6], [9, 6]]);
    assert_eq!(seen(Versions::between(10, 20)).await, Vec::<Vec<i64>>::new());
}

pub(crate) async fn a_renewed_scanner_goes_on_where_it_was(client: Client, table: TableName) {
    client.write(&table, &block(0..500, 1), Durability::SyncWal).await.expect("written");
    for prefetch in [false, true] {
        let read_type = if prefetch { ReadType::Stream } else { ReadType::Positional };
        let mut scanner = client.scan(&table, Scan { caching: 20, prefetch, read_type, ..Scan::default() });
        let mut found = Vec::new();
        let mut renewed = 0;
        while let Some(row) = scanner.next_row().await.expect("a row") {
            let row = row.to_cells();
            found.push(row);
            if found.len() % 50 == 7 {
                renewed += u32::from(scanner.renew().await.expect("a scanner"));
            }
        }
        assert_eq!(keys(&found), numbered(0..500));
        assert!(renewed >= 5, "renewed {renewed} times");
    }
}

pub(crate) async fn many_regions_are_scanned_at_once(client: Client, table: TableName) {
    client.write(&table, &block(0..1000, 1), Durability::SyncWal).await.expect("written");
    let read = async |scan: Scan, options: RegionScan| {
        let mut scanner = client.scan_regions(&table, scan, options);
        let mut found = Vec::new();
        while let Some(row) = scanner.next_row().await.expect("a row") {
            let row = row.to_cells();
            found.push(row);
        }
        keys(&found)
    };
    let small = RegionScan { concurrency: 2, bytes_max: 40 << 10, delivery: Delivery::Ordered };
    assert_eq!(read(Scan::default(), RegionScan::default()).await, numbered(0..1000));
    assert_eq!(read(Scan::default(), small).await, numbered(0..1000));
    let mut unordered = read(Scan::default(), RegionScan { delivery: Delivery::Unordered, ..small }).await;
    unordered.sort();
    assert_eq!(unordered, numbered(0..1000));
    let backwards = Scan { direction: Direction::Reversed, start: "r00700".into(), ..Scan::default() };
    assert_eq!(read(backwards, small).await, numbered((0..=700).rev()));
    let limited = Scan { start: "r00250".into(), limit: 100, ..Scan::default() };
    assert_eq!(read(limited, small).await, numbered(250..350));
}
