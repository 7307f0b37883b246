//! `halcyon sink`: tells a running process what to do with one of its sinks.

use anyhow::{Context, bail};
use serde::Deserialize;

use super::ask::{Method, ask};
use super::{Outcome, print};
use crate::cli::{SinkArgs, SinkVerb};

/// What the process says that it did, or would do.
#[derive(Debug, Deserialize)]
struct Done {
    sink: String,
    before: Option<String>,
    after: Option<String>,
    reason: Option<String>,
    limit: Option<String>,
}

/// Sends the verb and shows the answer.
///
/// # Errors
/// If the process does not answer, knows no such sink, or wants a token.
pub fn run(args: &SinkArgs) -> anyhow::Result<Outcome> {
    let (path, body) = request(args)?;
    let answer = ask(&args.to, Method::Post, &path, Some(&body))?;
    let body = answer.body_of_success()?;
    if args.json {
        print::line(body.trim())?;
        return Ok(Outcome::Done);
    }
    let done: Vec<Done> = serde_json::from_str(body).context("read the answer of the process")?;
    for done in done {
        print::line(sentence(args.dry_run, &done))?;
    }
    Ok(Outcome::Done)
}

fn request(args: &SinkArgs) -> anyhow::Result<(String, String)> {
    let is_all = args.name == "*";
    let legal = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_all && (args.name.is_empty() || !legal(&args.name)) {
        bail!("`{}` is not the name of a cluster", args.name);
    }
    let dry_run = if args.dry_run { "?dry_run=true" } else { "" };
    let rate = match (args.rows_per_second, args.bytes_per_second) {
        (Some(rows), None) => Some(serde_json::json!({"rows_per_second": rows})),
        (None, Some(bytes)) => Some(serde_json::json!({"bytes_per_second": bytes})),
        _ => None,
    };
    match (args.verb, rate) {
        (SinkVerb::Throttle, None) => bail!("say --rows-per-second N or --bytes-per-second N; 0 removes the limit"),
        (SinkVerb::Throttle, Some(rate)) if is_all => Ok((format!("/throttle{dry_run}"), rate.to_string())),
        (SinkVerb::Throttle, Some(rate)) => Ok((format!("/sinks/{}/throttle{dry_run}", args.name), rate.to_string())),
        (_, Some(_)) => bail!("a rate goes with `throttle` alone"),
        (_, None) if is_all => bail!("`*` goes with `throttle` alone; name one sink"),
        (verb, None) => Ok((format!("/sinks/{}/{}{dry_run}", args.name, verb.name()), String::new())),
    }
}

fn sentence(dry_run: bool, done: &Done) -> String {
    let would = if dry_run { " (not done: --dry-run)" } else { "" };
    let change = match (&done.before, &done.after, &done.limit) {
        (_, _, Some(limit)) => format!("limit {limit}"),
        (Some(before), Some(after), None) if before == after => format!("{after}, as before"),
        (Some(before), Some(after), None) => format!("{before} -> {after}"),
        _ => "done".to_owned(),
    };
    let reason = done.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{}: {change}{reason}{would}", done.sink)
}
