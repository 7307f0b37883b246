//! `halcyon run`: stream until told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;

use super::status_line::StatusLine;
use super::{Outcome, print};
use crate::cli::Run;
use crate::clock::SystemClock;
use crate::dead_letter::{Budget, DeadLetters};
use crate::engine::{Ended, Engine, EngineParts};
use crate::halt::{Halt, HaltKind};
use crate::http::{self, Sources};
use crate::project::{LaneError, Projections};
use crate::shutdown::Shutdown;
use crate::sink::Sink;
use crate::sink::hbase::HBaseSink;
use crate::source::kafka::{BatchLimits, ReadSettings, SourceError};
use crate::telemetry::LogFormat;
use crate::topology::Topology;

/// Bytes of keys and payloads of one batch at most: with the row limit this is about 8192 events of 256 bytes.
const BATCH_BYTES: usize = 2 << 20;

/// Why a run came to its end.
enum End {
    CaughtUp,
    Asked,
    Halted(Halt),
}

/// Runs until everything is caught up, a signal comes, or a cause stops it.
///
/// # Errors
/// A [`Halt`] with its exit code, or what could not be started.
pub fn run(args: &Run, projections: &Projections, log_format: LogFormat) -> anyhow::Result<Outcome> {
    let topology = super::topology(&args.topology)?;
    let parts = parts(&topology, args)?;
    let metrics = crate::metrics::install().map_err(anyhow::Error::msg)?;
    let runtime = super::runtime()?;
    let shutdown = runtime.block_on(async { Shutdown::on_signals() }).context("listen for signals")?;
    let listener = match args.listen {
        Some(address) => Some(runtime.block_on(http::bind(address, args.token().is_some()))?),
        None => None,
    };
    let engine = Engine::start_with(&topology, projections, parts, runtime.handle().clone()).map_err(halt_of)?;
    let served = listener.map(|listener| {
        let token = args.token().map(Arc::from);
        let _in_runtime = runtime.enter();
        http::serve(
            listener,
            Sources { status: engine.monitor(), governor: Arc::clone(engine.governor()), metrics, token },
        )
    });
    tracing::info!(name = topology.name, "running");
    let line = StatusLine::start(engine.monitor(), log_format, runtime.handle());
    let end = runtime.block_on(async {
        tokio::select! {
            halt = engine.halted() => End::Halted(halt),
            () = shutdown.asked() => End::Asked,
            () = engine.caught_up(), if args.until_caught_up => End::CaughtUp,
        }
    });
    drop(line);
    let ended = runtime.block_on(engine.stop());
    if let Some(served) = served {
        served.abort();
    }
    let printed = report(args, &ended);
    let outcome = finish(runtime, end, &ended)?;
    printed.map(|()| outcome)
}

fn parts(topology: &Topology, args: &Run) -> anyhow::Result<EngineParts> {
    let sinks = sinks(topology, &args.only_sinks)?;
    let dead_letters = DeadLetters::open(&topology.dead_letter.to, &topology.kafka)?;
    Ok(EngineParts {
        sinks,
        dead_letters,
        budget: Budget::new(topology.dead_letter.budget),
        memory_bytes: args.memory_mib << 20,
        read: read_settings(args),
        clock: Arc::new(SystemClock),
    })
}

/// How Kafka is read, as the flags say it. The prefetch is set from the memory budget.
#[must_use]
pub fn read_settings(args: &Run) -> ReadSettings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ReadSettings {
        workers: args.workers.map_or(cores, usize::from),
        limits: BatchLimits {
            rows: args.batch_rows as usize,
            bytes: BATCH_BYTES,
            linger: Duration::from_millis(args.batch_linger_ms),
        },
        drain_timeout: Duration::from_millis(args.drain_timeout_ms),
        commit_interval: Duration::from_millis(args.commit_interval_ms),
        instance_id: args.group_instance_id.clone(),
        prefetch_bytes: 0,
        connect_timeout: Duration::from_millis(args.connect_timeout_ms),
        accepted_losses: args.accept_losses.clone(),
        transaction_patience: Duration::from_millis(args.transaction_patience_ms),
        private_readers: usize::from(args.private_readers),
        private_prefetch_bytes: 0,
    }
}

/// The clusters of the topology as sinks, or only the named ones.
fn sinks(topology: &Topology, only: &[String]) -> anyhow::Result<Vec<Arc<dyn Sink>>> {
    for name in only {
        if !topology.clusters.contains_key(name) {
            let known: Vec<&str> = topology.clusters.keys().map(String::as_str).collect();
            let message = format!("--only-sink {name}: the topology has no such cluster; it has {}", known.join(", "));
            return Err(Halt::new(HaltKind::Topology, message).into());
        }
    }
    let wanted = topology.clusters.iter().filter(|(name, _)| only.is_empty() || only.contains(name));
    Ok(wanted.map(|(name, cluster)| Arc::new(HBaseSink::new(name, cluster)) as Arc<dyn Sink>).collect())
}

/// A topic that is missing is a mistake of the topology; everything else that hinders a start is a failure.
fn halt_of(error: SourceError) -> anyhow::Error {
    match &error {
        SourceError::TopicMissing { .. } => Halt::new(HaltKind::Topology, error.to_string()).into(),
        SourceError::Lane(
            source @ (LaneError::NoProjection { .. } | LaneError::NotNamed { .. } | LaneError::OtherTable { .. }),
        ) => Halt::new(HaltKind::Topology, source.to_string()).into(),
        _ => error.into(),
    }
}

fn report(args: &Run, ended: &Ended) -> anyhow::Result<()> {
    let totals = &ended.totals;
    if args.json {
        let line = serde_json::json!({
            "events": totals.events,
            "filtered": totals.filtered,
            "bad": totals.bad,
            "rows": totals.rows,
            "cells": totals.cells,
            "ties": totals.ties,
            "drained": ended.is_drained,
        });
        print::line(line)
    } else {
        print::line(format_args!(
            "{} events: {} rows, {} cells, {} filtered, {} bad",
            totals.events, totals.rows, totals.cells, totals.filtered, totals.bad
        ))
    }
}

fn finish(runtime: Runtime, end: End, ended: &Ended) -> anyhow::Result<Outcome> {
    // Tasks of a client that hangs must not hold the process.
    runtime.shutdown_background();
    if !ended.is_drained {
        tracing::warn!("not everything that was read is durable in every sink; the next start reads it again");
    }
    match end {
        End::CaughtUp => Ok(Outcome::Done),
        End::Asked => Ok(Outcome::Interrupted),
        End::Halted(halt) => Err(halt.into()),
    }
}
