//! One region server of three is frozen (SIGSTOP) under load: what do the others lose, and how much memory does it take?
//!
//! Every server has writers of its own, whose blocks hold rows of that server's regions only, at a steady rate; all share
//! one client. Rates are rows acknowledged a second. A frozen server is not dead: its session with ZooKeeper is made
//! longer than the freeze, so its regions stay where they are, and at the end every row must be there.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::Scan;
use hbase::table_name::TableName;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::case::{Amount, Case, Need};
use crate::measured::{Bound, Measured, Number, Sample, Wanted};
use crate::record::{self, Machine};
use crate::stack::{Stack, client_config};
use crate::usage::memory_kib;

const VERSION: &str = "2.6.4-hadoop3";
const SERVERS: &str = "3";
/// Longer than any freeze: the master must not take the regions away.
const SESSION: &str = "zookeeper.session.timeout=170000";
const REGIONS: u8 = 12;
const VALUE_BYTES: usize = 200;
/// What the other servers must keep of their rate.
const RATE_KEPT: f64 = 0.9;
/// Rates are not counted for so long after a change: connections are made, queues fill.
const SETTLE: Duration = Duration::from_secs(3);

/// Arguments of `frozen`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Frozen {
    /// Seconds of load before the freeze
    #[arg(long, default_value_t = FULL.0)]
    before_s: u64,
    /// Seconds of the freeze; below 170, the servers' session with ZooKeeper
    #[arg(long, default_value_t = FULL.1)]
    frozen_s: u64,
    /// Seconds of load after it
    #[arg(long, default_value_t = FULL.2)]
    after_s: u64,
    /// Rows a second for each server; 0 is as many as it takes
    #[arg(long, default_value_t = RATE)]
    rate: u64,
    /// Writers for each server, each with one block in flight
    #[arg(long, default_value_t = WRITERS)]
    writers: u64,
    /// Rows of a block
    #[arg(long, default_value_t = BLOCK_ROWS)]
    block_rows: u64,
    /// By how much the resident set may grow while the server is frozen
    #[arg(long, default_value_t = GROWTH_MIB)]
    growth_mib: u64,
    /// Use the running stack of this name instead of starting one
    #[arg(long)]
    stack: Option<String>,
    /// Keep what is printed in bench/record
    #[arg(long)]
    record: bool,
}

/// Seconds of load before the freeze, of the freeze, and after it.
type Phases = (u64, u64, u64);
const FULL: Phases = (20, 60, 10);
const QUICK: Phases = (8, 20, 5);
/// Rows a second that a server is offered.
const RATE: u64 = 5000;
const WRITERS: u64 = 4;
const BLOCK_ROWS: u64 = 250;
const GROWTH_MIB: u64 = 64;

const OTHERS: &str = "ours, the servers that are not frozen";
const BEFORE: &str = "rate before";
const DURING: &str = "rate during";
const AFTER: &str = "rate after";
const KEPT: &str = "part of the rate that is kept";
const GROWTH: &str = "growth of the resident set";

const fn number(name: &'static str, unit: &'static str) -> Number {
    Number::More { name, unit }
}

pub(crate) const CASE: Case = Case {
    name: "frozen",
    about: "one region server of three frozen under load: what the others keep, and what memory it takes",
    needs: &[Need::HBase],
    minutes: (4, 3),
    full: Amount { events: RATE * 3 * (FULL.0 + FULL.1 + FULL.2), rounds: 1 },
    quick: Amount { events: RATE * 3 * (QUICK.0 + QUICK.1 + QUICK.2), rounds: 1 },
    answer: "at the end every row that was acknowledged is read back with the value of its key",
    bias: &[
        "the rate is offered, not the highest possible: at the highest the frozen server's share of the CPU goes to the others",
        "each writer's blocks hold rows of one server only; a block that needs the frozen server waits for it",
        "the session with ZooKeeper is longer than the freeze, so that the master does not take the regions away",
    ],
    run: |options, amount| {
        let (before_s, frozen_s, after_s) = if options.quick { QUICK } else { FULL };
        let args = Frozen {
            before_s,
            frozen_s,
            after_s,
            // The events are those of all phases on three servers.
            rate: amount.events / 3 / (before_s + frozen_s + after_s),
            writers: WRITERS,
            block_rows: BLOCK_ROWS,
            growth_mib: GROWTH_MIB,
            stack: options.stack.clone(),
            record: false,
        };
        let mut all: Option<Measured> = None;
        for round in 1..=amount.rounds {
            let mut one = on_stack(&args)?.1;
            one.samples.iter_mut().for_each(|sample| sample.round = round);
            match &mut all {
                Some(all) => all.samples.append(&mut one.samples),
                None => all = Some(one),
            }
        }
        all.context("a round")
    },
};

/// One region server's share of the load.
#[derive(Debug, Default)]
struct Lane {
    /// First key bytes of its regions.
    regions: Vec<u8>,
    /// Rows acknowledged.
    acked: AtomicU64,
    /// Longest time to an acknowledgement in milliseconds.
    slowest_ms: AtomicU64,
}

/// Rows that each server acknowledged a second, by server.
type Rates = BTreeMap<String, f64>;

/// Loads, freezes, thaws, checks.
pub(crate) fn run(args: &Frozen) -> anyhow::Result<()> {
    let machine = Machine::look();
    let (text, _) = on_stack(args)?;
    let text = format!("## One region server of {SERVERS} frozen\n\n{machine}{text}");
    println!("\n{text}");
    if args.record {
        record::keep(&record::folder(), "frozen", &[("md", text)])?;
    }
    Ok(())
}

fn on_stack(args: &Frozen) -> anyhow::Result<(String, Measured)> {
    let arguments = ["--only", "green", "--green", VERSION, "--green-servers", SERVERS, "--site", SESSION];
    let stack = Stack::start(args.stack.as_deref(), &arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(args, &stack))
}

async fn measure(args: &Frozen, stack: &Stack) -> anyhow::Result<(String, Measured)> {
    // Nothing that the frozen server holds may run out of time before it answers again.
    let patience = Duration::from_secs(args.frozen_s + 120);
    let config = ClientConfig { operation_timeout: patience, ..client_config(&stack.green_quorum()?) };
    let client = Client::new(config);
    let table = TableName::new(&format!("frozen_{}", std::process::id()));
    let splits: Vec<Bytes> = (1..REGIONS).map(|region| Bytes::copy_from_slice(&[region])).collect();
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
    client.admin().create_table(&descriptor, &splits).await?;
    let lanes = lanes(&client, &table).await?;
    let (frozen, pid) = victim(stack, &lanes)?;
    println!("{} servers have regions of the table; {frozen} will be frozen", lanes.len());

    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for lane in lanes.values() {
        for writer in 0..args.writers {
            let place = (client.clone(), table.clone());
            writers.spawn(write(args.clone(), place, Arc::clone(lane), writer, Arc::clone(&stop)));
        }
    }
    let (before, small) = observe(&lanes, args.before_s).await;
    signal(pid, "-STOP")?;
    let (during, large) = observe(&lanes, args.frozen_s).await;
    signal(pid, "-CONT")?;
    let (after, _) = observe(&lanes, args.after_s).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = writers.join_next().await {
        ended.context("a writer")??;
    }
    let acked: u64 = lanes.values().map(|lane| lane.acked.load(Ordering::Relaxed)).sum();
    let found = check(&client, &table).await?;
    ensure!(found == acked, "{acked} rows were acknowledged, {found} are there");
    Ok(report(args, &lanes, (&frozen, acked), [&before, &during, &after], (small, large)))
}

/// The servers with regions of the table.
async fn lanes(client: &Client, table: &TableName) -> anyhow::Result<BTreeMap<String, Arc<Lane>>> {
    let mut found: BTreeMap<String, Lane> = BTreeMap::new();
    for region in client.regions(table).await? {
        let first = region.start.first().copied().unwrap_or(0);
        found.entry(region.server.clone()).or_default().regions.push(first);
    }
    ensure!(found.len() > 1, "all regions are on one server");
    Ok(found.into_iter().map(|(server, lane)| (server, Arc::new(lane))).collect())
}

/// A server with regions of the table but without meta, and its process.
fn victim(stack: &Stack, lanes: &BTreeMap<String, Arc<Lane>>) -> anyhow::Result<(String, u32)> {
    let meta = stack.run(&["sh", "green", "regions hbase:meta"])?;
    let has_meta = |server: &str| meta.contains(&server.replace(':', ","));
    let server = lanes.keys().find(|server| !has_meta(server)).context("every server has meta")?;
    let port = server.rsplit_once(':').map_or("", |(_, port)| port);
    for (name, pid) in stack.processes()? {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
        if command.contains(&format!("hbase.regionserver.port={port}")) {
            return Ok((format!("{server} ({name})"), pid));
        }
    }
    anyhow::bail!("no process of the stack listens on {server}")
}

fn signal(pid: u32, signal: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status()?;
    ensure!(sent.success(), "kill {signal} {pid}");
    Ok(())
}

/// Blocks one after the other, at the writer's part of the rate, until it is told to stop.
async fn write(
    args: Frozen,
    (client, table): (Client, TableName),
    lane: Arc<Lane>,
    writer: u64,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let column = Column::new(b"f", b"q")?;
    let pace = args.block_rows.saturating_mul(args.writers).saturating_mul(1000).checked_div(args.rate).unwrap_or(0);
    let mut ticks = interval(Duration::from_millis(pace.max(1)));
    // What was not written while a server was frozen is not made up for.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if args.rate > 0 {
            ticks.tick().await;
        }
        let block = block(&args, &column, &lane.regions, writer << 40 | number)?;
        let began = Instant::now();
        client.write(&table, &block, Durability::SyncWal).await?;
        lane.slowest_ms.fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
        lane.acked.fetch_add(args.block_rows, Ordering::Relaxed);
    }
    Ok(())
}

/// Rows that no other block has, spread over the server's regions; the value repeats the key.
fn block(args: &Frozen, column: &Column, regions: &[u8], number: u64) -> anyhow::Result<RowBlock> {
    let mut keys: Vec<Vec<u8>> = Vec::with_capacity(args.block_rows as usize);
    for (row, region) in (0..args.block_rows).zip(regions.iter().cycle()) {
        let mut key = vec![*region];
        key.extend_from_slice(&number.to_be_bytes());
        key.extend_from_slice(&row.to_be_bytes());
        keys.push(key);
    }
    keys.sort_unstable();
    let mut builder = RowBlockBuilder::with_capacity(keys.len() * (VALUE_BYTES + 64), keys.len());
    for key in &keys {
        builder.begin_row(MutationKind::Put, key)?;
        builder.cell(column, 1, CellKind::Put, &value(key))?;
    }
    Ok(builder.finish())
}

fn value(key: &[u8]) -> Vec<u8> {
    key.iter().copied().cycle().take(VALUE_BYTES).collect()
}

/// Watches for so many seconds: rates by server, and the largest resident set of this process in KiB.
async fn observe(lanes: &BTreeMap<String, Arc<Lane>>, seconds: u64) -> (Rates, u64) {
    let acked = || lanes.values().map(|lane| lane.acked.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut look = interval(Duration::from_millis(200));
    let mut rss_kib = 0;
    let settled = Instant::now() + SETTLE.min(Duration::from_secs(seconds) / 2);
    let mut first = None;
    while Instant::now() < end {
        look.tick().await;
        rss_kib = rss_kib.max(memory_kib(std::process::id(), "VmRSS").unwrap_or(0));
        if first.is_none() && Instant::now() >= settled {
            first = Some((Instant::now(), acked()));
        }
    }
    let (since, first) = first.unwrap_or_else(|| (settled, acked()));
    let elapsed = since.elapsed().as_secs_f64();
    let rates = lanes.keys().zip(acked()).zip(first);
    (rates.map(|((server, last), first)| (server.clone(), (last - first) as f64 / elapsed)).collect(), rss_kib)
}

/// Reads all rows; each must have the value of its key.
async fn check(client: &Client, table: &TableName) -> anyhow::Result<u64> {
    let mut scanner = client.scan(table, Scan::default());
    let mut rows = 0;
    while let Some(row) = scanner.next_row().await? {
        let row = row.to_cells();
        let [cell] = &row[..] else { anyhow::bail!("a row of {} cells", row.len()) };
        ensure!(cell.value == value(&cell.row), "row {} has another value", cell.row.escape_ascii());
        rows += 1;
    }
    Ok(rows)
}

fn report(
    args: &Frozen,
    lanes: &BTreeMap<String, Arc<Lane>>,
    (frozen, acked): (&str, u64),
    [before, during, after]: [&Rates; 3],
    (small, large): (u64, u64),
) -> (String, Measured) {
    let offered = if args.rate == 0 { "as fast as it goes".to_owned() } else { format!("{} rows/s", args.rate) };
    let mut text = format!(
        "- HBase {VERSION}, {REGIONS} regions, {} writers a server, blocks of {} rows, offered a server: {offered}\n\
         - frozen for {} s: {frozen}; {acked} rows acknowledged, all of them read back\n\n\
         | server | rows/s before | rows/s during | rows/s after | slowest ack ms |\n|---|---|---|---|---|\n",
        args.writers, args.block_rows, args.frozen_s
    );
    let rate = |rates: &Rates, server: &str| rates.get(server).copied().unwrap_or(0.0);
    let (mut others_before, mut others_during, mut others_after) = (0.0, 0.0, 0.0);
    for (server, lane) in lanes {
        let [a, b, c] = [before, during, after].map(|rates| rate(rates, server));
        let slowest = lane.slowest_ms.load(Ordering::Relaxed);
        text.push_str(&format!("| {server} | {a:.0} | {b:.0} | {c:.0} | {slowest} |\n"));
        if !frozen.starts_with(server.as_str()) {
            others_before += a;
            others_during += b;
            others_after += c;
        }
    }
    let kept = others_during / f64::max(others_before, 1.0);
    let growth_mib = large.saturating_sub(small) as f64 / 1024.0;
    let verdict = |is_reached: bool| if is_reached { "reached" } else { "**MISSED**" };
    text.push_str(&format!(
        "\n- rate that the other servers keep: {kept:.3}; at least {RATE_KEPT} wanted: {}\n\
         - resident set {:.0} MB before, {:.0} MB while frozen: {growth_mib:.0} MB more; at most {} wanted: {}\n",
        verdict(kept >= RATE_KEPT),
        small as f64 / 1024.0,
        large as f64 / 1024.0,
        args.growth_mib,
        verdict(growth_mib <= args.growth_mib as f64)
    ));
    let wanted = |number, bound| Wanted { number, subject: OTHERS.to_owned(), beside: None, bound };
    let measured = Measured {
        noun: "rows",
        numbers: vec![
            number(BEFORE, "rows/s"),
            number(DURING, "rows/s"),
            number(AFTER, "rows/s"),
            number(KEPT, ""),
            number(GROWTH, "MB"),
        ],
        pairs: Vec::new(),
        notes: vec![format!("frozen for {} s: {frozen}; {acked} rows acknowledged and read back", args.frozen_s)],
        samples: vec![Sample {
            subject: OTHERS.to_owned(),
            round: 1,
            events: acked,
            more: [
                (BEFORE, others_before),
                (DURING, others_during),
                (AFTER, others_after),
                (KEPT, kept),
                (GROWTH, growth_mib),
            ]
            .into(),
            ..Sample::default()
        }],
        wanted: vec![
            wanted(number(KEPT, ""), Bound::AtLeast(RATE_KEPT)),
            wanted(number(GROWTH, "MB"), Bound::AtMost(args.growth_mib as f64)),
        ],
    };
    (text, measured)
}
