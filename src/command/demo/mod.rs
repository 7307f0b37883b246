//! `halcyon demo`: a database is replaced under a service that never stops writing, in one process.
//!
//! Blue is filled and kept current; green is restored from an export of blue, replays from before the export, catches
//! up; both are compared cell by cell, with each other and with an independent fold of the events.

mod story;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tokio::runtime::Handle;

use self::story::Story;
use self::world::{PARTITIONS, RATE, Service, TOPIC, World, Written};
use super::table::create_missing;
use super::{Outcome, print};
use crate::cli::Demo;
use crate::clock::SystemClock;
use crate::dead_letter::{Budget, DeadLetters};
use crate::engine::{Engine, EngineParts};
use crate::export::export;
use crate::memory::Memory;
use crate::model::batch::{Projected, RawBatch};
use crate::model::schema::RowLayout;
use crate::pipeline::Pipeline;
use crate::progress::ledger::{Epoch, SinkCommit, SinkStart};
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::project::encode_rows;
use crate::sink::Sink;
use crate::sink::hbase::{HBaseSink, client};
use crate::source::kafka::{BatchLimits, ReadSettings, offsets_of, sink_group};
use crate::source::parquet::ParquetRows;
use crate::status::StatusSource;
use crate::topology::Topology;
use crate::verify::compare::{Comparison, compare};
use crate::verify::rows::{Computed, of_table};

/// The read model's id and its table.
const MODEL: &str = "message";
/// Data in flight of one engine.
const MEMORY_BYTES: u64 = 64 << 20;
/// How long anything may take before the demo says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(50);
/// How long both clusters are fed side by side before the service is stopped.
const SIDE_BY_SIDE: Duration = Duration::from_secs(3);

/// The last line with `--json`.
#[derive(Debug, Serialize)]
struct Report {
    events: u64,
    rows: u64,
    cells: u64,
    clusters: u64,
    differences: u64,
    seconds: f64,
    backfilled_rows: u64,
    replayed_events: u64,
    catch_up_seconds: f64,
    lag_seconds_max: f64,
}

/// Tells the story.
///
/// # Errors
/// If a part of it does not come to its end.
pub fn run(args: &Demo) -> anyhow::Result<Outcome> {
    let runtime = super::runtime()?;
    let report = tell(args, runtime.handle())?;
    runtime.shutdown_background();
    if args.json {
        print::line(serde_json::to_string(&report)?)?;
    }
    Ok(if report.differences == 0 { Outcome::Done } else { Outcome::Different })
}

fn tell(args: &Demo, runtime: &Handle) -> anyhow::Result<Report> {
    let story = Story::begin();
    let world = runtime.block_on(World::start())?;
    let topology = &world.topology;
    story.say("a mock Kafka and two HBase clusters are up in this process: blue is in service, green is new");
    runtime.block_on(create_missing(topology))?;
    let service = Service::start(&world.brokers, args.events, args.seed)?;
    story.say(&format!("the chat service writes {} events at once, then {RATE} a second, all the while", args.events));

    let blue = start_engine(topology, &["blue"], runtime)?;
    wait(runtime, "blue is filled", story.watch(&blue, "filling blue", blue.caught_up()))?;
    story.say(&format!("blue is filled and follows the topic: {} events written so far", service.sent()));

    // Recorded before the export: what the export lacks lies behind these offsets.
    let recorded = durable_ends(&blue);
    let folder = tempfile::tempdir().context("make a folder for the export")?;
    let path = folder.path().join("blue.parquet");
    let layout = RowLayout::of(topology.models.get(MODEL).context("the demo's model")?)?;
    let blue_client = client(topology.clusters.get("blue").context("cluster blue")?);
    let exported = runtime.block_on(export(&mut of_table(&blue_client, layout.table()), &layout, &path))?;
    let size = std::fs::metadata(&path)?.len() as f64 / f64::from(1 << 20);
    story.say(&format!(
        "offsets noted, then blue exported: {} rows, {} cells, {size:.1} MiB of Parquet",
        exported.rows, exported.cells
    ));

    let began = Instant::now();
    runtime.block_on(backfill(topology, &layout, &path, &story))?;
    let rate = exported.rows as f64 / began.elapsed().as_secs_f64();
    story.say(&format!("green restored from the export, through the same pipeline: {rate:.0} rows/s"));

    hand_over(topology, &recorded)?;
    let behind = service.sent() - recorded.iter().map(|(_, offset)| offset.0 as u64).sum::<u64>();
    runtime.block_on(blue.stop());
    let both = start_engine(topology, &["blue", "green"], runtime)?;
    story.say(&format!(
        "both clusters are fed from one read; green replays from before the export, {behind} events back"
    ));
    let began = Instant::now();
    wait(runtime, "green catches up", story.watch(&both, "catching up", both.caught_up()))?;
    let catch_up_seconds = began.elapsed().as_secs_f64();
    story.say(&format!("green has caught up after {catch_up_seconds:.1} s (joining the group takes most of it)"));

    let lag_seconds_max = runtime.block_on(side_by_side(&both));
    let written = service.stop()?;
    story.say(&format!(
        "the service stops after {} events; largest lag seen side by side: {lag_seconds_max:.2} s",
        written.events
    ));
    wait(runtime, "both are drained", drained(&both, &written))?;
    runtime.block_on(both.stop());
    verdict(topology, runtime, (&story, written), |events, comparison, differences, seconds| Report {
        events,
        rows: comparison.rows,
        cells: comparison.cells,
        clusters: 2,
        differences,
        seconds,
        backfilled_rows: exported.rows,
        replayed_events: behind,
        catch_up_seconds,
        lag_seconds_max,
    })
}

fn start_engine(topology: &Topology, sinks: &[&str], runtime: &Handle) -> anyhow::Result<Engine> {
    let clusters = topology.clusters.iter().filter(|(name, _)| sinks.contains(&name.as_str()));
    let parts = EngineParts {
        sinks: clusters.map(|(name, cluster)| Arc::new(HBaseSink::new(name, cluster)) as Arc<dyn Sink>).collect(),
        dead_letters: DeadLetters::Halt,
        budget: Budget::new(topology.dead_letter.budget),
        memory_bytes: MEMORY_BYTES,
        read: ReadSettings {
            workers: 2,
            limits: BatchLimits { rows: 4096, bytes: 1 << 20, linger: Duration::from_millis(20) },
            drain_timeout: Duration::from_secs(5),
            commit_interval: Duration::from_millis(200),
            instance_id: None,
            prefetch_bytes: 0,
            connect_timeout: Duration::from_secs(10),
            accepted_losses: Vec::new(),
            transaction_patience: Duration::from_mins(1),
            private_readers: 2,
            private_prefetch_bytes: 0,
        },
        clock: Arc::new(SystemClock),
    };
    Ok(Engine::start(topology, parts, runtime.clone())?)
}

/// Waits for a part of the story, not for ever.
fn wait<T>(runtime: &Handle, part: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    let waited = runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await });
    waited.with_context(|| format!("waited {} s, but not: {part}", PATIENCE.as_secs()))
}

/// Where blue is durable in every partition.
fn durable_ends(engine: &Engine) -> Vec<(TopicPartition, Offset)> {
    let view = engine.pipeline().ledger().view();
    let end = |held: crate::progress::ledger::PartitionView| Some((held.partition, held.sinks.first()?.durable));
    view.into_iter().filter_map(end).collect()
}

/// The export into green: a bounded source of the same pipeline.
async fn backfill(topology: &Topology, layout: &RowLayout, path: &Path, story: &Story) -> anyhow::Result<()> {
    let green = topology.clusters.get("green").context("cluster green")?;
    let sink: Arc<dyn Sink> = Arc::new(HBaseSink::new("green", green));
    let letters = (DeadLetters::Halt, Budget::new(topology.dead_letter.budget));
    let pipeline = Pipeline::start(vec![sink], Memory::new(MEMORY_BYTES), letters, Handle::current());
    let split = TopicPartition { topic: Arc::from(path.display().to_string()), partition: 0 };
    let start = SinkStart { durable: Offset(0), committed: None };
    let epoch = pipeline.ledger().assign(&split, Offset(0), &[start]);
    let mut next = Offset(0);
    let rows = ParquetRows::open(path, layout)?;
    let bar = story.bar("restoring green", rows.records());
    for rows in rows {
        let rows = rows?;
        let end = Offset(next.0 + rows.batch().num_rows() as i64);
        let Some(span) = Span::new(next, end) else { continue };
        let raw =
            RawBatch { partition: split.clone(), span, records: Vec::new(), arena: Vec::new(), headers: Vec::new() };
        let ticket = pipeline.ledger().begin(&split, epoch, span)?;
        let encoded = encode_rows(&rows, layout)?;
        let charge = pipeline.memory().charge(encoded.rows.block.bytes().len() as u64);
        let projected = Projected { tables: vec![encoded.rows], ..Projected::default() };
        pipeline.deliver(ticket, &raw, (projected, charge));
        next = end;
        bar.set_position(next.0 as u64);
        while !pipeline.memory().has_room() {
            pipeline.ledger().moved().await;
        }
    }
    let drained = pipeline.drained(pipeline.all(), None, PATIENCE).await;
    bar.finish_and_clear();
    let halted = pipeline.halt().get();
    pipeline.stop();
    if let Some(halt) = halted {
        return Err(halt.into());
    }
    anyhow::ensure!(drained, "green was not restored within {} s", PATIENCE.as_secs());
    Ok(())
}

/// Green's offsets: where blue was durable before the export.
fn hand_over(topology: &Topology, recorded: &[(TopicPartition, Offset)]) -> anyhow::Result<()> {
    let store = offsets_of(topology, &sink_group(topology, "green"))?;
    let commit = |(partition, offset): &(TopicPartition, Offset)| SinkCommit {
        partition: partition.clone(),
        epoch: Epoch::default(),
        offset: *offset,
    };
    let commits: Vec<SinkCommit> = recorded.iter().map(commit).collect();
    store.commit(&commits).context("commit green's offsets")
}

/// Watches the lag while both clusters are fed.
async fn side_by_side(engine: &Engine) -> f64 {
    const LOOKS: u32 = 15;
    let monitor = engine.monitor();
    let mut worst: f64 = 0.0;
    for _ in 0..LOOKS {
        tokio::time::sleep(SIDE_BY_SIDE / LOOKS).await;
        let status = monitor.status();
        let lags = status.partitions.iter().flat_map(|held| &held.sinks);
        worst = lags.filter_map(|lag| lag.lag_seconds).fold(worst, f64::max);
    }
    worst
}

/// Waits until every event is durable in both clusters.
async fn drained(engine: &Engine, written: &Written) {
    let ledger = engine.pipeline().ledger();
    loop {
        let moved = ledger.moved();
        let view = ledger.view();
        let end = |held: &crate::progress::ledger::PartitionView| {
            written.ends.get(held.partition.partition.unsigned_abs() as usize).copied().unwrap_or(0)
        };
        let is_done = view.len() == PARTITIONS as usize
            && view.iter().all(|held| {
                *held.partition.topic == *TOPIC && held.sinks.iter().all(|sink| sink.durable.0 >= end(held))
            });
        if is_done {
            return;
        }
        moved.await;
    }
}

fn verdict(
    topology: &Topology,
    runtime: &Handle,
    (story, written): (&Story, Written),
    report: impl FnOnce(u64, &Comparison, u64, f64) -> Report,
) -> anyhow::Result<Report> {
    let table = |name: &str| -> anyhow::Result<_> {
        let cluster = topology.clusters.get(name).with_context(|| format!("cluster {name}"))?;
        Ok(of_table(&client(cluster), MODEL))
    };
    let read = |error: hbase::error::Error| anyhow::anyhow!(error.chain());
    let between = runtime.block_on(compare(&mut table("blue")?, &mut table("green")?)).map_err(read)?;
    let mut expected = Computed(written.expected.into_rows());
    let folded = runtime.block_on(compare(&mut expected, &mut table("green")?)).map_err(read)?;
    for difference in between.examples.iter().chain(&folded.examples) {
        story.say(&format!("  {difference}"));
    }
    let differences = between.differences + folded.differences;
    let seconds = story.seconds();
    story.say(&format!(
        "{}: blue and green hold {} rows and {} cells; {} differ between them, {} from an independent fold of the events",
        if differences == 0 { "EQUAL" } else { "DIFFERENT" },
        between.rows,
        between.cells,
        between.differences,
        folded.differences,
    ));
    Ok(report(written.events, &between, differences, seconds))
}
