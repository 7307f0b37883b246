//! The long proof: rows are written to a real cluster while its region servers are killed and started and its regions are
//! split, merged and moved. Every row that was acknowledged is there, at the acknowledged version or a later one that was
//! sent, with the value of that version, and once.
//!
//! `make soak` writes 10,000,000 rows for ten minutes; `make test` 200,000 for one. `SOAK_ROWS`, `SOAK_SECONDS` and
//! `SOAK_SEED` say otherwise.

mod model;
mod trouble;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::mutation::Durability;
use hbase::registry::Registry;
use hbase::scan::{Scan, Versions, Visibility};
use hbase::table_name::TableName;
use tokio::task::JoinSet;

use self::model::{Model, SPANS, mix};
use self::trouble::Trouble;
use crate::support::stack;

/// Tasks that write, each with one block in flight.
const WRITERS: u64 = 8;
/// Rows of a range that is read while things break.
const RANGE: u64 = 3000;
/// Blocks that must have been acknowledged between two incidents.
const BLOCKS_BETWEEN_INCIDENTS: u64 = 12;
/// Time for one write with all its tries; after it the same block is written again.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// Time without any acknowledgement after which something is wrong for good.
const STALL: Duration = Duration::from_secs(180);

/// One run: the model, and what has happened so far.
pub(crate) struct Run {
    pub(crate) model: Model,
    pub(crate) is_over: AtomicBool,
    began: Instant,
    acked_blocks: AtomicU64,
    resent_rows: AtomicU64,
    timed_out: AtomicU64,
    slowest_ms: AtomicU64,
}

impl Run {
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Waits until more blocks were acknowledged, or the run is over.
    pub(crate) async fn progress(&self) {
        let wanted = self.acked_blocks.load(Ordering::SeqCst) + BLOCKS_BETWEEN_INCIDENTS;
        let mut look = tokio::time::interval(Duration::from_millis(50));
        let began = Instant::now();
        while self.acked_blocks.load(Ordering::SeqCst) < wanted && !self.is_over.load(Ordering::SeqCst) {
            assert!(began.elapsed() < STALL, "nothing was acknowledged for {} s", STALL.as_secs());
            look.tick().await;
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn no_acknowledged_row_is_lost_old_or_wrong_while_servers_die_and_regions_change() {
    if stack::running().is_none() {
        return;
    }
    let (rows, seconds) = (number("SOAK_ROWS", 200_000), number("SOAK_SECONDS", 60));
    let seed = number("SOAK_SEED", 7);
    println!("{rows} rows, {seconds} s, SOAK_SEED={seed}");
    let registry = stack::green();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(soak(registry, Model::new(rows, seed), (Duration::from_secs(seconds), seed)));
}

async fn soak(registry: Registry, model: Model, (time, seed): (Duration, u64)) {
    let client = Client::new(ClientConfig { operation_timeout: WRITE_PATIENCE, ..ClientConfig::new(registry.clone()) });
    let table = TableName::new(&format!("soak_{}", std::process::id()));
    let splits: Vec<Bytes> = (1..SPANS).map(|span| Model::key(span * model.rows() / SPANS).into()).collect();
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f").with("VERSIONS", "3")] };
    client.admin().create_table(&descriptor, &splits).await.expect("created");
    let run = Arc::new(Run {
        model,
        is_over: AtomicBool::new(false),
        began: Instant::now(),
        acked_blocks: AtomicU64::new(0),
        resent_rows: AtomicU64::new(0),
        timed_out: AtomicU64::new(0),
        slowest_ms: AtomicU64::new(0),
    });
    let trouble = tokio::spawn(Trouble::new(registry, table.clone(), seed).make(Arc::clone(&run)));
    let reader = tokio::spawn(read(Arc::clone(&run), (client.clone(), table.clone()), seed));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::clone(&run), (client.clone(), table.clone()), (writer, time)));
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer");
    }
    run.is_over.store(true, Ordering::SeqCst);
    let (written_s, done) = (run.seconds(), trouble.await.expect("trouble ends"));
    let (ranges, read_rows) = reader.await.expect("the reader ends");
    println!("{written_s:.1} s of writing: {done:?}");
    let counts =
        [&run.acked_blocks, &run.resent_rows, &run.timed_out, &run.slowest_ms].map(|it| it.load(Ordering::SeqCst));
    let [blocks, resent, timed_out, slowest_ms] = counts;
    println!(
        "acknowledged: {blocks} blocks, {} rows; {resent} rows sent again; {timed_out} blocks written again after {} s; \
         slowest acknowledgement {slowest_ms} ms",
        blocks * model::BLOCK_ROWS,
        WRITE_PATIENCE.as_secs()
    );
    println!("read meanwhile: {ranges} ranges, {read_rows} rows");
    let cells = check_all(&run.model, &client, &table).await;
    println!("checked at the end: {} rows, {cells} cells of all versions", run.model.rows());
    assert!(done.kills() > 0, "no region server was killed: the run was too short");
    client.admin().disable_table(&table).await.expect("disabled");
    client.admin().drop_table(&table).await.expect("dropped");
}

/// Writes this writer's blocks, all of them at least once, and again with the next version while there is time.
async fn write(run: Arc<Run>, (client, table): (Client, TableName), (writer, time): (u64, Duration)) {
    for version in 1.. {
        for block in (writer..run.model.blocks()).step_by(WRITERS as usize) {
            if version > 1 && run.began.elapsed() > time {
                return;
            }
            let rows = run.model.send(block, version);
            let began = Instant::now();
            loop {
                match client.write(&table, &rows, Durability::SyncWal).await {
                    Ok(report) => {
                        run.resent_rows.fetch_add(report.resent, Ordering::SeqCst);
                        break;
                    }
                    Err(error) if error.is_transient() => {
                        println!("{:6.1} s  block {block} again: {error:?}", run.seconds());
                        run.timed_out.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(error) => panic!("block {block}: {error:?}"),
                }
            }
            run.model.acked(block, version);
            run.acked_blocks.fetch_add(1, Ordering::SeqCst);
            run.slowest_ms.fetch_max(began.elapsed().as_millis() as u64, Ordering::SeqCst);
        }
    }
}

/// Reads ranges while things break: each acknowledged row is there once, in order, and not older than acknowledged.
async fn read(run: Arc<Run>, (client, table): (Client, TableName), seed: u64) -> (u64, u64) {
    let (mut random, mut ranges, mut count) = (seed, 0, 0);
    while !run.is_over.load(Ordering::SeqCst) {
        random = mix(random);
        let start = random % run.model.rows();
        let rows = start..run.model.rows().min(start + RANGE);
        let floor = run.model.floor(rows.clone());
        match check_range(&run.model, (&client, &table), rows, &floor).await {
            Ok(found) => (ranges, count) = (ranges + 1, count + found),
            Err(error) => {
                // Beyond the client's own patience nobody could read it; that is an outage and no wrong answer.
                assert!(error.is_transient(), "{}", error.chain());
                println!("{:6.1} s  a range could not be read: {}", run.seconds(), error.chain());
            }
        }
    }
    (ranges, count)
}

async fn check_range(
    model: &Model,
    (client, table): (&Client, &TableName),
    rows: Range<u64>,
    floor: &[u32],
) -> Result<u64, hbase::error::Error> {
    let bounds = Scan { start: Model::key(rows.start).into(), stop: Model::key(rows.end).into(), ..Scan::default() };
    let scan = Scan { bytes_per_answer: 32 << 10, ..bounds };
    let mut scanner = client.scan(table, scan);
    let (mut expected, mut count) = (rows.clone().zip(floor), 0);
    while let Some(found) = scanner.next_row().await? {
        let cells = found.to_cells();
        let key = &cells[0].row;
        // Rows that were not acknowledged when the read began may be there or not.
        let found = expected.find(|(row, floor)| {
            let is_it = key == Model::key(*row).as_bytes();
            assert!(is_it || **floor == 0, "row {} is missing before {}", Model::key(*row), key.escape_ascii());
            is_it
        });
        let Some((row, floor)) = found else { panic!("row {} is out of order or repeated", key.escape_ascii()) };
        model.check(row, &cells, *floor).unwrap_or_else(|what| panic!("{what}"));
        count += 1;
    }
    let missing = expected.find(|(_, floor)| **floor > 0).map(|(row, _)| Model::key(row));
    assert_eq!(missing, None, "acknowledged and missing at the end of a range");
    Ok(count)
}

/// Reads everything, all versions, as it lies in the table: each row once, the newest version the acknowledged one.
async fn check_all(model: &Model, client: &Client, table: &TableName) -> u64 {
    let all = Scan { visibility: Visibility::Raw, versions: Versions::all(), ..Scan::default() };
    let mut scanner = client.scan(table, all);
    let mut cells = 0;
    for row in 0..model.rows() {
        let found = scanner.next_row().await.unwrap_or_else(|error| panic!("{}", error.chain()));
        let found = found.unwrap_or_else(|| panic!("row {} and all after it are missing", Model::key(row))).to_cells();
        assert_eq!(found[0].row, Model::key(row), "a row is missing or repeated");
        model.check(row, &found, model.acked_of(row)).unwrap_or_else(|what| panic!("{what}"));
        cells += found.len() as u64;
    }
    assert_eq!(scanner.next_row().await.expect("the end"), None, "more rows than were written");
    cells
}
