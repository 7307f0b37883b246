//! `halcyon test`: the cases that stand beside the topology. Asks nobody; needs no broker and no cluster.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::{Outcome, print};
use crate::cli::Test;
use crate::driver::case::{self, Verdict};
use crate::project::Projections;
use crate::topology::cases::{Case, cases};
use crate::topology::load::CASES_ENDING;
use crate::topology::mistake::{Mistake, Mistakes};

/// Runs the cases and prints how each went. Exit 1 if one failed, 2 if a file has mistakes or there is no case.
///
/// # Errors
/// If the topology has mistakes, or nobody takes the output.
pub fn run(args: &Test, projections: &Projections) -> anyhow::Result<Outcome> {
    let topology = super::topology(&args.topology)?;
    let mut found = Vec::new();
    let mut mistakes = Vec::new();
    for file in files(args) {
        let name = file.display().to_string();
        let read = std::fs::read_to_string(&file);
        let read = read.map_err(|error| Mistakes(vec![cannot_read(&name, &error.to_string())]));
        match read.and_then(|text| cases(&topology, &name, &text)) {
            Ok(cases) => found.extend(cases),
            Err(Mistakes(of_file)) => mistakes.extend(of_file),
        }
    }
    if !mistakes.is_empty() {
        return wrong(args, &mistakes);
    }
    if found.is_empty() {
        let what = "there are no cases beside the topology".to_owned();
        let hint = Some("write them to chat.test.toml beside chat.toml, or name files with --cases".to_owned());
        return wrong(args, &[Mistake { file: shown(&args.topology.files), place: None, what, hint }]);
    }
    let wanted = |case: &&Case| args.filter.as_ref().is_none_or(|text| case.name.contains(text.as_str()));
    let chosen: Vec<&Case> = found.iter().filter(wanted).collect();
    if args.list {
        for case in &chosen {
            list(args, case)?;
        }
        return Ok(Outcome::Done);
    }
    let mut failed = 0;
    for case in &chosen {
        let verdict = case::run((&topology, projections), case).context("prepare the read models")?;
        failed += usize::from(verdict.failed.is_some());
        say(args, case, &verdict)?;
    }
    summary(args, (chosen.len(), failed), found.len() - chosen.len())?;
    Ok(if failed == 0 { Outcome::Done } else { Outcome::Different })
}

/// The files named, or those beside the topology.
fn files(args: &Test) -> Vec<PathBuf> {
    if !args.cases.is_empty() {
        return args.cases.clone();
    }
    let mut files = Vec::new();
    for path in &args.topology.files {
        if path.is_dir() {
            files.extend(of_folder(path));
        } else {
            let beside = PathBuf::from(path.display().to_string().trim_end_matches(".toml").to_owned() + CASES_ENDING);
            files.extend(beside.is_file().then_some(beside));
        }
    }
    files
}

fn of_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(CASES_ENDING)).collect();
    files.sort();
    files
}

fn shown(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn cannot_read(file: &str, why: &str) -> Mistake {
    Mistake { file: file.to_owned(), place: None, what: format!("cannot be read: {why}"), hint: None }
}

fn wrong(args: &Test, mistakes: &[Mistake]) -> anyhow::Result<Outcome> {
    for mistake in mistakes {
        if args.json {
            print::line(json!({"mistake": mistake.to_string()}))?;
        } else {
            print::line(mistake)?;
        }
    }
    Ok(Outcome::Wrong)
}

fn list(args: &Test, case: &Case) -> anyhow::Result<()> {
    if args.json {
        return print::line(json!({"case": case.name, "at": case.place}));
    }
    print::line(format_args!("{}: {}", case.place, case.name))
}

fn say(args: &Test, case: &Case, verdict: &Verdict) -> anyhow::Result<()> {
    let differences = || verdict.differences.iter().map(ToString::to_string);
    if args.json {
        return print::line(json!({
            "case": case.name,
            "at": case.place,
            "passed": verdict.failed.is_none(),
            "events_came": verdict.failed.as_ref().map(ToString::to_string),
            "differences": differences().collect::<Vec<_>>(),
        }));
    }
    let Some(delivery) = &verdict.failed else { return print::line(format_args!("ok      {}", case.name)) };
    print::line(format_args!("FAILED  {} ({}), events {delivery}", case.name, case.place))?;
    differences().try_for_each(|difference| print::line(format_args!("        {difference}")))
}

fn summary(args: &Test, (run, failed): (usize, usize), left_out: usize) -> anyhow::Result<()> {
    if args.json {
        let summary = json!({"cases": run, "passed": run - failed, "failed": failed, "left_out": left_out});
        return print::line(json!({"summary": summary}));
    }
    let cases = if run == 1 { "case" } else { "cases" };
    let filtered = if left_out == 0 { String::new() } else { format!(", {left_out} left out") };
    print::line(format_args!("{run} {cases}: {} passed, {failed} failed{filtered}", run - failed))
}
