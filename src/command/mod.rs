//! The verbs: the only code that puts components together. Each tells its story from top to bottom.

mod ask;
pub mod check;
pub mod dead_letter;
pub mod demo;
pub mod describe;
pub mod offsets;
mod print;
pub mod run;
pub mod sink;
pub mod status;
mod status_line;
pub mod table;
pub mod test;

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::{Cli, DeadLetterVerb, TableVerb, TopologyArgs, Verb};
use crate::halt::{Halt, HaltKind};
use crate::project::Projections;
use crate::topology::Topology;
use crate::topology::load::load;
use crate::topology::mistake::Mistakes;

/// How a verb ended, beside failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done (0).
    Done,
    /// Done, and the answer is no: tables differ, cells differ (1).
    Different,
    /// Wrong topology (2).
    Wrong,
    /// Interrupted, after a clean drain (130).
    Interrupted,
}

/// Runs the verb that was typed.
///
/// # Errors
/// What the operator has to know; [`exit_code`] tells how the process ends.
pub fn run(cli: Cli) -> anyhow::Result<Outcome> {
    run_with(cli, &Projections::default())
}

/// The same in a program that brings projections of its own.
///
/// # Errors
/// As [`run()`].
pub fn run_with(cli: Cli, projections: &Projections) -> anyhow::Result<Outcome> {
    match cli.verb {
        Verb::Run(args) => run::run(&args, projections, cli.log_format),
        Verb::Check(args) => check::run(&args),
        Verb::Describe(args) => describe::run(&args),
        Verb::Table(TableVerb::Create(args)) => table::create(&args),
        Verb::Table(TableVerb::Diff(args)) => table::diff(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Offsets(verb) => offsets::run(&verb),
        Verb::DeadLetter(DeadLetterVerb::List(args)) => dead_letter::list::run(&args),
        Verb::DeadLetter(DeadLetterVerb::Show(args)) => dead_letter::show::run(&args),
        Verb::DeadLetter(DeadLetterVerb::Replay(args)) => dead_letter::replay::run(&args, projections),
        Verb::Test(args) => test::run(&args, projections),
        Verb::Sink(args) => sink::run(&args),
        Verb::Demo(args) => demo::run(&args),
    }
}

/// The exit code of an outcome: 0 done, 1 failed, 2 wrong use or topology, 3 stopped by policy, 130 interrupted.
#[must_use]
pub fn exit_code(outcome: &anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Different) => ExitCode::from(1),
        Ok(Outcome::Wrong) => ExitCode::from(2),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) if error.is::<Mistakes>() => ExitCode::from(2),
        Err(error) => match error.downcast_ref::<Halt>().map(|halt| halt.kind) {
            Some(HaltKind::Topology) => ExitCode::from(2),
            Some(HaltKind::Policy) => ExitCode::from(3),
            Some(HaltKind::Failed) | None => ExitCode::from(1),
        },
    }
}

/// Loads the topology and logs what is doubtful about it.
fn topology(args: &TopologyArgs) -> anyhow::Result<Topology> {
    let loaded = load(&args.files)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.topology)
}

/// The runtime for sockets and timers.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("net")
        .enable_all()
        .build()
        .context("start the runtime")
}
