//! The client benchmark: the same rows by our client, by HBase's Java client and by the Go client, each a process of its
//! own, on servers that are processes of their own.
//!
//! # Laws
//! 1. A number is shown only if the table was then read whole and had exactly the rows that were to be written, or if the
//!    scan gave exactly the rows that were there: counts and digest.
//! 2. Rounds are interleaved; ratios are taken inside a round, and their median is shown.
//! 3. The whole process is measured: start, runtime, building of the rows. What the rows alone cost is shown beside it.

mod digest;
mod ours;
mod peers;
mod report;
mod rows;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::table_name::TableName;
use serde::Serialize;
use tokio::runtime::Runtime;

use self::digest::Digest;
use self::peers::{Case, Who, Work};
use self::report::Report;
use self::rows::{Rows, SALTS};
use crate::case::{Amount, Need};
use crate::measured::{self, Bound, Number, Sample, Wanted};
use crate::process::{self, Ran};
use crate::record::{self, Machine};
use crate::stack::{Stack, client};

pub(crate) use self::ours::{Peer, run as run_peer};

/// The server that all clients are measured with; its heap is that of `stack --bench`.
const VERSION: &str = "2.6.4-hadoop3";
/// The table that is scanned; the tables that are written are made anew for each run.
const SCANNED: &str = "scanned";
const WRITTEN: &str = "written";
/// Rows before the first round are written so often, that the servers have compiled what they run.
const WARM_UPS: u32 = 2;
/// Rows of one of our blocks, and blocks in flight, if nothing else is said.
const BLOCK_ROWS: u64 = 2500;
const IN_FLIGHT: u32 = 3;
const SERVER_CPU: Number = Number::More { name: "server CPU", unit: "s" };

/// Arguments of `client`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Client {
    /// Rows
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Interleaved rounds
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Rows of one of our blocks
    #[arg(long, default_value_t = BLOCK_ROWS)]
    block_rows: u64,
    /// Blocks of ours in flight
    #[arg(long, default_value_t = IN_FLIGHT)]
    in_flight: u32,
    /// Only cases with this word in their name; repeated: with any of them
    #[arg(long)]
    only: Vec<String>,
    /// A checkout of gohbase, where Go's module proxy does not serve it
    #[arg(long)]
    gohbase: Option<PathBuf>,
    /// Use the running stack of this name (its green cluster) instead of starting one
    #[arg(long)]
    stack: Option<String>,
    /// Keep table and raw numbers in bench/record
    #[arg(long)]
    record: bool,
}

pub(crate) const CASE: crate::case::Case = crate::case::Case {
    name: "client",
    about: "the HBase client beside HBase's Java client and the Go client: rows written and read",
    needs: &[Need::HBase, Need::Java, Need::Go],
    minutes: (30, 6),
    full: Amount { events: 1_000_000, rounds: 3 },
    quick: Amount { events: 100_000, rounds: 1 },
    answer: "after each write the table is read whole, and each scan prints what it read: rows, cells and a digest over every \
             cell, computed from the row numbers and not from what was sent",
    bias: &[
        "client and server share the cores: wall time is mostly the server's; compare CPU first",
        "starting a JVM and compiling in it is part of Java's numbers: about half a second of CPU",
        "building the rows is part of all numbers and measured alone too; ours sorts each block by key, theirs need not",
        "Java's settings are those that were cheapest when they were tried; gohbase has its defaults",
        "one machine, loopback: the network costs nothing and the log is not synced to a disk",
    ],
    run: |options, amount| {
        let args = Client {
            rows: amount.events,
            rounds: amount.rounds,
            block_rows: BLOCK_ROWS,
            in_flight: IN_FLIGHT,
            only: Vec::new(),
            gohbase: None,
            stack: options.stack.clone(),
            record: false,
        };
        Ok(common(&measure_all(&args)?.1))
    },
};

/// One measured process.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    case: String,
    who: Who,
    work: Work,
    round: u32,
    rows: u64,
    wall_s: f64,
    cpu_s: f64,
    rss_mb: f64,
    /// Of all server processes, from the client's start to its end.
    server_cpu_s: f64,
    /// Of everything else on the machine.
    other_cpu_s: f64,
}

/// Runs the rounds and prints the table.
pub(crate) fn run(args: &Client) -> anyhow::Result<()> {
    let machine = Machine::look();
    let (expected, measured) = measure_all(args)?;
    let report = Report { args, machine: &machine, expected, measured: &measured };
    println!("\n{report}");
    if args.record {
        let value = serde_json::json!({"machine": machine, "rows": args.rows, "runs": measured});
        let files = [("md", report.to_string()), ("json", serde_json::to_string_pretty(&value)?)];
        record::keep(&record::folder(), "client", &files)?;
    }
    Ok(())
}

/// The runs as samples of the case.
fn common(measured: &[Measured]) -> measured::Measured {
    let sample = |run: &Measured| Sample {
        subject: run.case.clone(),
        round: run.round,
        events: run.rows,
        wall_s: run.wall_s,
        cpu_s: run.cpu_s,
        rss_mb: run.rss_mb,
        more: [("server CPU", run.server_cpu_s), ("other CPU", run.other_cpu_s)].into(),
    };
    let samples: Vec<Sample> = measured.iter().map(sample).collect();
    let (mut pairs, mut wanted) = (Vec::new(), Vec::new());
    for work in [Work::Write, Work::Scan] {
        let of = |who| {
            let mut names: Vec<&str> = Vec::new();
            for run in measured.iter().filter(|run| run.work == work && run.who == who) {
                if !names.contains(&run.case.as_str()) {
                    names.push(&run.case);
                }
            }
            names
        };
        let Some(ours) = of(Who::Ours).first().copied() else { continue };
        for theirs in of(Who::Java).into_iter().chain(of(Who::Go)) {
            pairs.push((ours.to_owned(), theirs.to_owned()));
        }
        for theirs in of(Who::Java) {
            let (subject, beside) = (ours.to_owned(), Some(theirs.to_owned()));
            wanted.push(Wanted { number: Number::Cpu, subject, beside, bound: Bound::AtMost(report::PART_OF_JAVA) });
        }
    }
    let numbers = vec![Number::Cpu, Number::Rate, Number::Memory, SERVER_CPU];
    measured::Measured { noun: "rows", numbers, pairs, notes: Vec::new(), samples, wanted }
}

/// Runs the rounds: what every table had to hold, and what each process took.
fn measure_all(args: &Client) -> anyhow::Result<(Digest, Vec<Measured>)> {
    let cases = peers::cases(args)?;
    let expected = Rows::new()?.digest(0..args.rows);
    println!("expected: {expected}");
    let stack = Stack::start(args.stack.as_deref(), &["--only", "green", "--green", VERSION])?;
    let world = World { rows: args.rows, quorum: stack.green_quorum()?, runtime: Runtime::new()?, expected, stack };
    for _ in 0..WARM_UPS {
        world.fill(args, SCANNED)?;
    }
    world.stack.run(&["sh", "green", &format!("flush {SCANNED}")])?;
    let mut measured = Vec::new();
    for round in 1..=args.rounds {
        // Each round begins with another case: none always follows the same one.
        let turn = (round as usize - 1) * 2 % cases.len().max(1);
        let (late, early) = cases.split_at(turn);
        for case in early.iter().chain(late) {
            let one = world.measure(case, round)?;
            println!(
                "round {round}: {}: {:.2} CPU s, server {:.2}, {:.1} s, {:.0} MB",
                one.case, one.cpu_s, one.server_cpu_s, one.wall_s, one.rss_mb
            );
            measured.push(one);
        }
    }
    Ok((expected, measured))
}

struct World {
    rows: u64,
    quorum: String,
    runtime: Runtime,
    expected: Digest,
    stack: Stack,
}

impl World {
    /// A table with a region for each salt, new and empty.
    fn make_table(&self, name: &str) -> anyhow::Result<()> {
        let table = TableName::new(name);
        let splits: Vec<Bytes> = (1..SALTS).map(|salt| Bytes::copy_from_slice(&[salt])).collect();
        let family = Family::new("m").with("VERSIONS", "1");
        let descriptor = TableDescriptor { name: table.clone(), families: vec![family] };
        self.runtime.block_on(async {
            let admin = client(&self.quorum).admin();
            if admin.describe_table(&table).await?.is_some() {
                admin.disable_table(&table).await?;
                admin.drop_table(&table).await?;
            }
            admin.create_table(&descriptor, &splits).await?;
            Ok(())
        })
    }

    /// Reads a table whole and compares it with what must be there.
    fn check(&self, table: &str) -> anyhow::Result<()> {
        let found = self.runtime.block_on(ours::scan(&client(&self.quorum), table))?;
        ensure!(found == self.expected, "table {table} holds {found}, not {}", self.expected);
        Ok(())
    }

    /// All rows into a table, by our client; not measured.
    fn fill(&self, args: &Client, table: &str) -> anyhow::Result<()> {
        self.make_table(table)?;
        let (rows, block, flying) = (args.rows.to_string(), args.block_rows.to_string(), args.in_flight.to_string());
        let status = std::process::Command::new(std::env::current_exe()?)
            .args(["client-peer", "write", &self.quorum, table, &rows, &block, &flying])
            .status()?;
        ensure!(status.success(), "the first rows could not be written");
        self.check(table)
    }

    /// One process from start to end, and its answer checked.
    fn measure(&self, case: &Case, round: u32) -> anyhow::Result<Measured> {
        let table = if case.work == Work::Scan { SCANNED } else { WRITTEN };
        if case.work == Work::Write {
            self.make_table(table)?;
        }
        let ran = process::run(&case.name, &mut case.command(&self.quorum, table), &self.stack.processes()?)?;
        match case.work {
            Work::Rows => {}
            Work::Write => self.check(table).with_context(|| format!("after {}", case.name))?,
            Work::Scan => {
                let found: Digest = ran.said.trim().parse()?;
                ensure!(found == self.expected, "{} read {found}, not {}", case.name, self.expected);
            }
        }
        let (case, who, work) = (case.name.clone(), case.who, case.work);
        let (cpu_s, rss_mb) = (ran.usage.cpu_s, ran.usage.rss_kib as f64 / process::KIB_PER_MB);
        let Ran { wall_s, server_cpu_s, other_cpu_s, .. } = ran;
        Ok(Measured { case, who, work, round, rows: self.rows, wall_s, cpu_s, rss_mb, server_cpu_s, other_cpu_s })
    }
}
