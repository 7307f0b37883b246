//! The clients that are compared, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::Client;
use crate::jvm::Jvm;

/// Where the sources of the peers are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
/// Heap of the Java clients; less makes the collector work harder, more raises the resident set.
const JAVA_HEAP: &str = "-Xmx512m";
const G1: &str = "-XX:+UseG1GC";
const PARALLEL: &str = "-XX:+UseParallelGC";

/// Whose client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Who {
    Ours,
    Java,
    Go,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Work {
    /// Building the rows alone: what is not the client's cost.
    Rows,
    /// All rows into a fresh table.
    Write,
    /// All rows of a flushed table.
    Scan,
}

/// One program with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) who: Who,
    pub(crate) work: Work,
    program: PathBuf,
    /// Before quorum and table.
    before: Vec<String>,
    /// After quorum and table.
    after: Vec<String>,
}

impl Case {
    /// The program on this table.
    pub(crate) fn command(&self, quorum: &str, table: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.before);
        if self.work != Work::Rows {
            command.args([quorum, table]);
        }
        command.args(&self.after);
        command
    }
}

/// All programs, built.
pub(crate) fn cases(args: &Client) -> anyhow::Result<Vec<Case>> {
    let folder = output_folder()?;
    let mut cases = ours(args)?;
    cases.extend(java(args)?);
    match go(args, &folder.join("go")) {
        Ok(more) => cases.extend(more),
        Err(error) => println!("the Go client is left out: {error:#}"),
    }
    cases.retain(|case| args.only.is_empty() || args.only.iter().any(|word| case.name.contains(word.as_str())));
    ensure!(!cases.is_empty(), "no case has {:?} in its name", args.only);
    Ok(cases)
}

/// `peers` in cargo's target directory.
fn output_folder() -> anyhow::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let target = executable.ancestors().nth(2).context("cargo's target directory")?;
    Ok(target.join("peers"))
}

fn ours(args: &Client) -> anyhow::Result<Vec<Case>> {
    let program = std::env::current_exe()?;
    let (rows, block, flying) = (args.rows.to_string(), args.block_rows.to_string(), args.in_flight.to_string());
    let case = |name: String, work, verb: &str, after: &[&String]| Case {
        name,
        who: Who::Ours,
        work,
        program: program.clone(),
        before: vec!["client-peer".to_owned(), verb.to_owned()],
        after: after.iter().map(|argument| (*argument).clone()).collect(),
    };
    Ok(vec![
        case("ours rows alone".to_owned(), Work::Rows, "rows", &[&rows, &block]),
        case(format!("ours write, {flying} × {block} rows in flight"), Work::Write, "write", &[&rows, &block, &flying]),
        case("ours scan".to_owned(), Work::Scan, "scan", &[]),
    ])
}

fn java(args: &Client) -> anyhow::Result<Vec<Case>> {
    let Jvm { program, classes } = Jvm::build("java")?;
    let rows = args.rows.to_string();
    let case = |name: &str, work, collector: &str, mode: &str, after: &[&str]| Case {
        name: format!("java {name}"),
        who: Who::Java,
        work,
        program: program.clone(),
        before: [JAVA_HEAP, collector, "-cp", &classes, "halcyon.peers.Peer", mode].map(str::to_owned).to_vec(),
        after: after.iter().map(|argument| (*argument).to_owned()).collect(),
    };
    Ok(vec![
        case("rows alone", Work::Rows, G1, "rows", &[&rows]),
        case("write, BufferedMutator, 1 thread, G1", Work::Write, G1, "write", &[&rows, "1"]),
        case("write, BufferedMutator, 1 thread, ParallelGC", Work::Write, PARALLEL, "write", &[&rows, "1"]),
        case("write, BufferedMutator, 2 threads, G1", Work::Write, G1, "write", &[&rows, "2"]),
        case(
            "write, AsyncBufferedMutator, 10k rows in flight, ParallelGC",
            Work::Write,
            PARALLEL,
            "async",
            &[&rows, "10000"],
        ),
        case("scan", Work::Scan, G1, "scan", &[]),
        case("scan, prefetch", Work::Scan, G1, "prefetch", &[]),
    ])
}

fn go(args: &Client, output: &Path) -> anyhow::Result<Vec<Case>> {
    std::fs::create_dir_all(output)?;
    // A copy of the module's file takes what `go` adds to it, and the place of a checkout.
    let module = output.join("go.mod");
    let mut text = std::fs::read_to_string(format!("{SOURCES}/go/go.mod"))?;
    if let Some(checkout) = &args.gohbase {
        let checkout = checkout.canonicalize().context("the checkout of gohbase")?;
        text.push_str(&format!("\nreplace github.com/tsuna/gohbase => {}\n", checkout.display()));
    }
    std::fs::write(&module, text)?;
    println!("building the Go client's side ...");
    let program = output.join("peer");
    let built = Command::new("go")
        .args(["build", "-mod=mod", &format!("-modfile={}", module.display()), "-o"])
        .args([program.as_path(), Path::new(".")])
        .current_dir(format!("{SOURCES}/go"))
        .output()
        .context("run go")?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "go cannot build it (--gohbase takes a checkout): {}", said.trim());
    let rows = args.rows.to_string();
    let case = |name: &str, work, mode: &str, after: &[&str]| Case {
        name: format!("go {name}"),
        who: Who::Go,
        work,
        program: program.clone(),
        before: vec![mode.to_owned()],
        after: after.iter().map(|argument| (*argument).to_owned()).collect(),
    };
    Ok(vec![
        case("rows alone", Work::Rows, "rows", &[&rows]),
        case("write, SendBatch, 4 × 5000 rows", Work::Write, "write", &[&rows, "4", "5000"]),
        case("write, SendBatch, 1 × 5000 rows", Work::Write, "write", &[&rows, "1", "5000"]),
        case("scan", Work::Scan, "scan", &[]),
        case("scan, ScannerV2", Work::Scan, "scan2", &[]),
    ])
}
