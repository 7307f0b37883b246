//! `bench list` and `bench run`: the one entry to all cases.

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::case::{CASES, Case, Options};
use crate::record::{self, Machine};
use crate::report::Report;

/// Arguments of `list`.
#[derive(Clone, Debug, Args)]
pub(crate) struct List {
    /// Everything that is known of each case, as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// Cases; `bench list` names them
    #[arg(value_name = "CASE", required_unless_present = "all", conflicts_with = "all")]
    cases: Vec<String>,
    /// All cases, one after the other
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    options: Options,
}

/// Names every case with what it needs and how long it takes.
pub(crate) fn list(args: &List) -> anyhow::Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(CASES)?);
        return Ok(());
    }
    let width = |text: fn(&Case) -> String| CASES.iter().map(|case| text(case).len()).max().unwrap_or(0);
    let (names, needs) = (width(|case| case.name.to_owned()), width(Case::needed));
    println!("{:names$}  {:needs$}  {:>12}  measures", "case", "needs", "min (quick)");
    for case in CASES {
        let minutes = format!("{} ({})", case.minutes.0, case.minutes.1);
        println!("{:names$}  {:needs$}  {minutes:>12}  {}", case.name, case.needed(), case.about);
    }
    Ok(())
}

/// Runs the cases. One that fails does not hold up the others; the end names it.
pub(crate) fn run(args: &Run) -> anyhow::Result<()> {
    let cases = chosen(args)?;
    let mut failed = Vec::new();
    for case in &cases {
        if let Err(error) = run_one(case, &args.options) {
            println!("{}: failed: {error:#}", case.name);
            failed.push(case.name);
        }
    }
    ensure!(failed.is_empty(), "{} of {} cases failed: {}", failed.len(), cases.len(), failed.join(", "));
    Ok(())
}

fn chosen(args: &Run) -> anyhow::Result<Vec<&'static Case>> {
    if args.all {
        return Ok(CASES.iter().collect());
    }
    let find = |name: &String| match CASES.iter().find(|case| case.name == name) {
        Some(case) => Ok(case),
        None => {
            let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
            bail!("there is no case {name}; there are {}", known.join(", "))
        }
    };
    args.cases.iter().map(find).collect()
}

fn run_one(case: &Case, options: &Options) -> anyhow::Result<()> {
    let (machine, amount) = (Machine::look(), case.amount(options));
    println!("{}: {} events, {} rounds; about {} min", case.name, amount.events, amount.rounds, {
        if options.quick { case.minutes.1 } else { case.minutes.0 }
    });
    let measured = (case.run)(options, amount)?;
    let report = Report { case, amount, machine: &machine, measured: &measured };
    println!("\n{report}");
    if let Some(folder) = &options.record {
        let json = serde_json::to_string_pretty(&report.json())?;
        let files = [("json", json), ("md", report.to_string()), ("svg", report.chart())];
        record::keep(folder, case.name, &files).context("keep the record")?;
    }
    Ok(())
}
