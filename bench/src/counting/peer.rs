//! The child of the case: halcyon's engine as a library, with a sink that keeps what it was given in a few numbers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use halcyon::clock::SystemClock;
use halcyon::command::run::read_settings;
use halcyon::dead_letter::{Budget, DeadLetters};
use halcyon::engine::{Engine, EngineParts};
use halcyon::sink::{Batch, Sink, SinkError, SinkFuture};
use halcyon::topology::load::load;

use super::answer::{Answer, Wrote, digest};

/// Arguments of the child: those of `halcyon run`, and where the answer goes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Count {
    /// The answer
    out: PathBuf,
    #[command(flatten)]
    run: halcyon::cli::Run,
}

/// Takes every batch at once.
#[derive(Debug)]
struct CountingSink {
    name: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wrote: Vec<Wrote>,
    /// When the first batch and the last one came.
    flowed: Option<(Instant, Instant)>,
}

impl CountingSink {
    fn count(&self, batch: &Batch) -> Result<(), SinkError> {
        let (mut cells, mut sum) = (0, 0_u64);
        for table in &batch.tables {
            let (more, digest) = digest(table.block.bytes()).map_err(|error| SinkError::Refused(error.to_string()))?;
            (cells, sum) = (cells + more, sum.wrapping_add(digest));
        }
        let (ticket, now) = (&batch.ticket, Instant::now());
        let (start, end) = (ticket.span.start().0, ticket.span.end().0);
        let partition = ticket.partition.partition;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.wrote.push(Wrote { partition, start, end, rows: batch.rows(), cells, digest: sum });
        state.flowed = Some((state.flowed.map_or(now, |(first, _)| first), now));
        Ok(())
    }

    fn answer(&self) -> Answer {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let flowing_s = state.flowed.map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
        Answer { wrote: state.wrote.clone(), flowing_s }
    }
}

impl Sink for CountingSink {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> SinkFuture<'a> {
        Box::pin(async move { self.count(batch) })
    }
}

/// Reads until it has caught up, and writes the answer.
pub(crate) fn run(args: &Count) -> anyhow::Result<()> {
    let topology = load(&args.run.topology.files)?.topology;
    let name = topology.clusters.keys().next().context("a cluster's name")?;
    let sink = Arc::new(CountingSink { name: Arc::from(&**name), state: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let parts = EngineParts {
        sinks: vec![Arc::clone(&sink) as Arc<dyn Sink>],
        dead_letters: DeadLetters::open(&topology.dead_letter.to, &topology.kafka)?,
        budget: Budget::new(topology.dead_letter.budget),
        memory_bytes: args.run.memory_mib << 20,
        read: read_settings(&args.run),
        clock: Arc::new(SystemClock),
    };
    let engine = Engine::start(&topology, parts, runtime.handle().clone())?;
    let halted = runtime.block_on(async {
        tokio::select! {
            halt = engine.halted() => Some(halt),
            () = engine.caught_up() => None,
        }
    });
    let ended = runtime.block_on(engine.stop());
    if let Some(halt) = halted {
        bail!("halted: {halt}");
    }
    ensure!(ended.is_drained && ended.totals.bad == 0, "not everything was written: {ended:?}");
    std::fs::write(&args.out, serde_json::to_vec(&sink.answer())?)?;
    Ok(())
}
