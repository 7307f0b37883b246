//! What every sink promises (see `halcyon::sink::Sink`), shown on the one in memory and on a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use halcyon::memory::Memory;
use halcyon::model::batch::TableRows;
use halcyon::progress::ledger::{Ledger, SinkStart};
use halcyon::progress::offset::{Offset, Span, TopicPartition};
use halcyon::sink::hbase::HBaseSink;
use halcyon::sink::memory::MemorySink;
use halcyon::sink::{Batch, Sink, SinkError};
use halcyon::topology::{Cluster as ClusterSettings, Pace};
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlockBuilder};
use hbase::scan::Visibility;
use hbase::security::Security;
use hbase::server::{Cluster, Condition, Config, Reaction, Rule};
use hbase::table_name::TableName;
use tokio::runtime::Runtime;

/// Row to version and value.
type Rows = BTreeMap<Vec<u8>, (i64, Vec<u8>)>;

/// A batch that sets these rows of table `t`, column `f:q`, at a version.
fn batch(rows: std::ops::Range<u32>, version: i64) -> Batch {
    batch_with(rows, version, &|_| version.to_be_bytes().to_vec())
}

/// The same with a value for each row.
fn batch_with(rows: std::ops::Range<u32>, version: i64, value: &dyn Fn(u32) -> Vec<u8>) -> Batch {
    let column = Column::new(b"f", b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in rows {
        builder.begin_row(MutationKind::Put, format!("r{row:03}").as_bytes()).expect("in order");
        builder.cell(&column, version, CellKind::Put, &value(row)).expect("room");
    }
    let ledger = Ledger::new(vec![Arc::from("sink")]);
    let partition = TopicPartition { topic: Arc::from("t"), partition: 0 };
    let epoch = ledger.assign(&partition, Offset(0), &[SinkStart { durable: Offset(0), committed: None }]);
    let span = Span::new(Offset(0), Offset(1)).expect("not empty");
    let ticket = ledger.begin(&partition, epoch, span).expect("held");
    let tables = vec![TableRows { table: Arc::from("t"), block: builder.finish() }];
    Batch { ticket, tables, last_ms: None, charge: Memory::new(1 << 20).charge(0) }
}

/// The promises, on any sink; `read` shows what is durable.
fn holds(runtime: &Runtime, sink: &dyn Sink, read: &dyn Fn() -> Rows) {
    let write = |batch: &Batch| runtime.block_on(sink.write(batch));
    let is_at = |rows: std::ops::Range<u32>, version: i64| {
        let found = read();
        for row in rows {
            let key = format!("r{row:03}").into_bytes();
            assert_eq!(found.get(&key), Some(&(version, version.to_be_bytes().to_vec())), "row {row}");
        }
    };
    write(&batch(0..50, 5)).expect("written");
    is_at(0..50, 5);
    write(&batch(0..50, 5)).expect("the same again changes nothing");
    is_at(0..50, 5);
    write(&batch(20..70, 7)).expect("newer");
    write(&batch(10..60, 6)).expect("older ones may come later");
    is_at(0..10, 5);
    is_at(10..20, 6);
    is_at(20..70, 7);
    assert_eq!(read().len(), 70);
}

#[test]
fn the_sink_in_memory_keeps_the_contract() {
    let runtime = Runtime::new().expect("a runtime");
    let sink = MemorySink::new("memory");
    holds(&runtime, &*sink, &|| {
        let tables = sink.tables();
        let cells = tables.get("t").into_iter().flatten();
        cells.map(|((row, _, _), cell)| (row.clone(), cell.clone())).collect()
    });
    sink.fail_next(SinkError::Transient("no route".to_owned()));
    assert!(runtime.block_on(sink.write(&batch(0..1, 9))).is_err());
    runtime.block_on(sink.write(&batch(0..1, 9))).expect("written at the second try");
}

/// Which rows a sink says it refuses for good, with the first cause.
fn poison(written: Result<(), SinkError>) -> (Vec<(usize, usize)>, String) {
    match written {
        Err(SinkError::Poison(rows)) => {
            let cause = rows.first().map(|row| row.cause.clone()).unwrap_or_default();
            (rows.iter().map(|row| (row.table, row.row)).collect(), cause)
        }
        other => panic!("no poison: {other:?}"),
    }
}

#[test]
fn a_row_that_memory_refuses_is_named_and_its_neighbours_are_durable() {
    let runtime = Runtime::new().expect("a runtime");
    let sink = MemorySink::new("memory");
    sink.refuse(b"r005");
    let (rows, _) = poison(runtime.block_on(sink.write(&batch(0..10, 9))));
    assert_eq!(rows, [(0, 5)]);
    let tables = sink.tables();
    assert_eq!((tables["t"].len(), tables["t"].keys().any(|(row, ..)| row == b"r005")), (9, false));
}

/// Both limits: the servers' own, which they tell row by row, and the client's, which it checks before it sends anything.
#[test]
fn rows_that_a_cluster_refuses_are_named_and_their_neighbours_are_durable() {
    let runtime = Runtime::new().expect("a runtime");
    let config = Config { region_servers: 1, cell_bytes_max: 500, ..Config::default() };
    let cluster = runtime.block_on(Cluster::start_with(config)).expect("free ports");
    let settings = ClusterSettings {
        pace: Pace::default(),
        registry: cluster.registry(),
        user: None,
        durability: Durability::UseDefault,
        security: Security::default(),
    };
    let sink = HBaseSink::new("blue", &settings);
    let descriptor = TableDescriptor { name: TableName::new("t"), families: vec![Family::new("f")] };
    let admin = Client::new(ClientConfig::new(cluster.registry())).admin();
    runtime.block_on(admin.create_table(&descriptor, &["r030".into()])).expect("created");
    let value = |row: u32| match row {
        7 | 40 => vec![1; 1000],
        0 | 20 | 21 | 49 => vec![1; 11 << 20],
        _ => vec![1],
    };
    let (rows, cause) = poison(runtime.block_on(sink.write(&batch_with(0..50, 9, &value))));
    assert_eq!(rows, [0, 7, 20, 21, 40, 49].map(|row| (0, row)));
    assert!(cause.contains("the limit is 10485760"), "{cause}");
    let cells = cluster.cells(&TableName::new("t"), Visibility::Live);
    assert_eq!(cells.len(), 44, "all others are durable");
    runtime
        .block_on(sink.write(&batch_with(0..50, 9, &|_| vec![1])))
        .expect("nothing is wrong with the rows themselves");
}

#[test]
fn a_refusal_that_no_row_is_to_blame_for_is_no_poison() {
    let runtime = Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Cluster::start(1)).expect("free ports");
    let settings = ClusterSettings {
        pace: Pace::default(),
        registry: cluster.registry(),
        user: None,
        durability: Durability::UseDefault,
        security: Security::default(),
    };
    let sink = HBaseSink::new("blue", &settings);
    let descriptor = TableDescriptor { name: TableName::new("t"), families: vec![Family::new("f")] };
    let admin = Client::new(ClientConfig::new(cluster.registry())).admin();
    runtime.block_on(admin.create_table(&descriptor, &[])).expect("created");
    let denied = Condition::table(&TableName::new("t"));
    cluster.inject(Rule::new(denied, Reaction::refuse_actions("security.AccessDeniedException")));
    let written = runtime.block_on(sink.write(&batch(0..5, 1)));
    assert!(matches!(&written, Err(SinkError::Refused(why)) if why.contains("AccessDenied")), "{written:?}");
}

#[test]
fn a_cluster_keeps_the_contract() {
    let runtime = Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Cluster::start(2)).expect("free ports");
    let settings = ClusterSettings {
        registry: cluster.registry(),
        user: None,
        durability: Durability::UseDefault,
        security: Security::default(),
        pace: Pace::default(),
    };
    let sink = HBaseSink::new("blue", &settings);
    let missing = runtime.block_on(sink.write(&batch(0..1, 1))).expect_err("no table yet");
    assert!(matches!(&missing, SinkError::Mismatch(text) if text.contains("halcyon table create")), "{missing:?}");
    let descriptor = TableDescriptor { name: TableName::new("t"), families: vec![Family::new("f")] };
    let admin = Client::new(ClientConfig::new(cluster.registry())).admin();
    runtime.block_on(admin.create_table(&descriptor, &["r030".into()])).expect("created");
    holds(&runtime, &sink, &|| {
        let cells = cluster.cells(&TableName::new("t"), Visibility::Live);
        cells.into_iter().map(|cell| (cell.row.to_vec(), (cell.timestamp, cell.value.to_vec()))).collect()
    });
}
