//! The `halcyon` binary: parse, log, one match over the verbs.

use std::process::ExitCode;

use clap::Parser;
use halcyon::cli::Cli;
use halcyon::{command, telemetry};

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::install(cli.log_format, cli.log_filter());
    let outcome = command::run(cli);
    if let Err(error) = &outcome {
        tracing::error!("{error:#}");
    }
    command::exit_code(&outcome)
}
