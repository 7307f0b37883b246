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
use std::process::Stdio;
use std::time::Instant;

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
use crate::record::{self, Machine};
use crate::stack::{Stack, client, cpu_s};
use crate::usage::{machine_cpu_s, of_child};

pub(crate) use self::ours::{Peer, run as run_peer};

/// The server that all clients are measured with; its heap is that of `stack --bench`.
const VERSION: &str = "2.6.4-hadoop3";
/// The table that is scanned; the tables that are written are made anew for each run.
const SCANNED: &str = "scanned";
const WRITTEN: &str = "written";
/// Rows before the first round are written so often, that the servers have compiled what they run.
const WARM_UPS: u32 = 2;

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
    #[arg(long, default_value_t = 2500)]
    block_rows: u64,
    /// Blocks of ours in flight
    #[arg(long, default_value_t = 3)]
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

/// One measured process.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    case: String,
    who: Who,
    work: Work,
    round: u32,
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
    let cases = peers::cases(args)?;
    let expected = Rows::new()?.digest(0..args.rows);
    println!("expected: {expected}");
    let stack = Stack::start(args.stack.as_deref(), &["--only", "green", "--green", VERSION])?;
    let world = World { quorum: stack.green_quorum()?, runtime: Runtime::new()?, expected, stack };
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
    let report = Report { args, machine: &machine, expected, measured: &measured };
    println!("\n{report}");
    if args.record {
        record::keep("client.md", &report.to_string())?;
        let value = serde_json::json!({"machine": machine, "rows": args.rows, "runs": measured});
        record::keep("client.json", &serde_json::to_string_pretty(&value)?)?;
    }
    Ok(())
}

struct World {
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
        let processes = self.stack.processes()?;
        let (servers, machine, began) = (cpu_s(&processes), machine_cpu_s(), Instant::now());
        let mut child = case.command(&self.quorum, table).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("the child's output")?;
        let usage = of_child(child)?;
        let wall_s = began.elapsed().as_secs_f64();
        let server_cpu_s = cpu_s(&processes) - servers;
        let other_cpu_s = machine_cpu_s() - machine - server_cpu_s - usage.cpu_s;
        ensure!(usage.is_success, "{} failed", case.name);
        let said = std::io::read_to_string(out)?;
        match case.work {
            Work::Rows => {}
            Work::Write => self.check(table).with_context(|| format!("after {}", case.name))?,
            Work::Scan => {
                let found: Digest = said.trim().parse()?;
                ensure!(found == self.expected, "{} read {found}, not {}", case.name, self.expected);
            }
        }
        let rss_mb = usage.rss_kib as f64 / 1024.0;
        let (case, who, work) = (case.name.clone(), case.who, case.work);
        Ok(Measured { case, who, work, round, wall_s, cpu_s: usage.cpu_s, rss_mb, server_cpu_s, other_cpu_s })
    }
}
