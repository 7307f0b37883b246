//! One run: sinks, pipeline and Kafka source put together, and its status for the outside.
//!
//! `command::run` and the demo hold an engine; it has no opinion about signals, flags or exit codes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::dead_letter::{Budget, DeadLetters};
use crate::halt::Halt;
use crate::memory::Memory;
use crate::pipeline::{Pipeline, TotalsView};
use crate::progress::ledger::{PartitionView, SinkView};
use crate::project::Projections;
use crate::schema_registry::SchemaRegistry;
use crate::sink::Sink;
use crate::sink::worker::SinkWorker;
use crate::source::kafka::stable::{Hanging, StableEnds};
use crate::source::kafka::{KafkaSource, ReadSettings, SourceError};
use crate::status::{LagStatus, PartitionStatus, SinkStatus, Status, StatusSource};
use crate::topology::Topology;

/// The share of the memory budget that librdkafka may fetch ahead; the rest is for batches and the sinks' windows.
const PREFETCH_SHARE: u64 = 4;

/// What a run is made of.
#[derive(Debug)]
pub struct EngineParts {
    /// The sinks, one for each cluster.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// Where bad events go.
    pub dead_letters: DeadLetters,
    /// How many may be bad.
    pub budget: Budget,
    /// The memory budget in bytes: prefetch, batches and windows together.
    pub memory_bytes: u64,
    /// How Kafka is read. `prefetch_bytes` is set from the memory budget.
    pub read: ReadSettings,
    /// For lag in seconds.
    pub clock: Arc<dyn Clock>,
}

/// A run.
#[derive(Debug)]
pub struct Engine {
    pipeline: Arc<Pipeline>,
    source: KafkaSource,
    drain_timeout: Duration,
    monitor: Arc<Monitor>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Sums since the start.
    pub totals: TotalsView,
    /// Whether everything that was read is durable in every sink. What is not is read again at the next start.
    pub is_drained: bool,
}

impl Engine {
    /// Starts the sinks' workers and joins the group. Blocks until a broker has answered.
    ///
    /// # Errors
    /// [`SourceError`]; nothing runs then.
    pub fn start(topology: &Topology, parts: EngineParts, runtime: Handle) -> Result<Self, SourceError> {
        Self::start_with(topology, &Projections::default(), parts, runtime)
    }

    /// The same with projections of one's own beside the models of the topology.
    ///
    /// # Errors
    /// [`SourceError`]; nothing runs then.
    pub fn start_with(
        topology: &Topology,
        projections: &Projections,
        parts: EngineParts,
        runtime: Handle,
    ) -> Result<Self, SourceError> {
        let EngineParts { sinks, dead_letters, budget, memory_bytes, mut read, clock } = parts;
        read.prefetch_bytes = memory_bytes / PREFETCH_SHARE;
        let memory = Memory::new(memory_bytes - read.prefetch_bytes);
        let pipeline = Pipeline::start(sinks, memory, (dead_letters, budget), runtime.clone());
        let drain_timeout = read.drain_timeout;
        match KafkaSource::start((topology, projections), Arc::clone(&pipeline), &read, runtime) {
            Ok(source) => {
                let watched = (source.stable(), Arc::clone(source.schemas()));
                let monitor = Monitor::new(topology.name.clone(), Arc::clone(&pipeline), watched, clock);
                Ok(Self { pipeline, source, drain_timeout, monitor })
            }
            Err(error) => {
                pipeline.stop();
                Err(error)
            }
        }
    }

    /// The part that sources share.
    #[must_use]
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// The run as seen from outside.
    #[must_use]
    pub fn monitor(&self) -> Arc<Monitor> {
        Arc::clone(&self.monitor)
    }

    /// Waits until everything that was in the log at the start is durable in every sink. Cancel safe.
    pub async fn caught_up(&self) {
        self.source.caught_up().await;
    }

    /// Waits for a cause to stop. Cancel safe.
    pub async fn halted(&self) -> Halt {
        self.pipeline.halt().wait().await
    }

    /// Drains in the order of the data, commits once, leaves the group.
    pub async fn stop(self) -> Ended {
        let is_drained = self.source.stop(self.drain_timeout).await;
        self.pipeline.stop();
        Ended { totals: self.pipeline.totals(), is_drained }
    }
}

/// A run as seen from outside. Rates are those between two looks.
#[derive(Debug)]
pub struct Monitor {
    name: String,
    pipeline: Arc<Pipeline>,
    schemas: Arc<SchemaRegistry>,
    clock: Arc<dyn Clock>,
    stable: Arc<StableEnds>,
    began: Instant,
    last: Mutex<Look>,
}

/// What the last look saw, and the rates since the one before.
#[derive(Clone, Debug)]
struct Look {
    at: Instant,
    events: u64,
    rows: Vec<u64>,
    events_per_second: f64,
    rows_per_second: Vec<f64>,
}

/// Looks that follow each other faster show the rates of the one before.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

impl Monitor {
    fn new(
        name: String,
        pipeline: Arc<Pipeline>,
        (stable, schemas): (Arc<StableEnds>, Arc<SchemaRegistry>),
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let sinks = pipeline.sinks().len();
        let look = Look {
            at: Instant::now(),
            events: 0,
            rows: vec![0; sinks],
            events_per_second: 0.0,
            rows_per_second: vec![0.0; sinks],
        };
        Arc::new(Self { name, pipeline, schemas, clock, stable, began: Instant::now(), last: Mutex::new(look) })
    }

    fn look(&self) -> Look {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = last.at.elapsed();
        if elapsed >= LOOK_INTERVAL {
            let events = self.pipeline.totals().events;
            let rows: Vec<u64> = self.pipeline.sinks().iter().map(|sink| sink.meter().rows()).collect();
            let rate = |now: u64, before: u64| (now - before) as f64 / elapsed.as_secs_f64();
            *last = Look {
                at: Instant::now(),
                events_per_second: rate(events, last.events),
                rows_per_second: rows.iter().zip(&last.rows).map(|(now, before)| rate(*now, *before)).collect(),
                events,
                rows,
            };
        }
        last.clone()
    }

    fn sink(sink: &SinkWorker, rows_per_second: f64) -> SinkStatus {
        let state = sink.state();
        SinkStatus {
            name: sink.name().to_string(),
            state: state.name().to_owned(),
            reason: state.reason().map(str::to_owned),
            window_bytes: Some(sink.queue().bytes()),
            rows_per_second: Some(rows_per_second),
            rows: Some(sink.meter().rows()),
        }
    }

    fn partition(&self, view: &PartitionView, hanging: &[Hanging]) -> PartitionStatus {
        let now_ms = self.clock.now_ms();
        let sinks = self.pipeline.sinks().iter().zip(&view.sinks);
        PartitionStatus {
            topic: view.partition.topic.to_string(),
            partition: view.partition.partition,
            end_offset: view.end.map(|end| end.0),
            trouble: hanging.iter().find(|one| one.partition == view.partition).map(ToString::to_string),
            sinks: sinks.map(|(worker, sink)| lag(worker.name(), view, sink, now_ms)).collect(),
        }
    }
}

fn lag(name: &str, view: &PartitionView, sink: &SinkView, now_ms: i64) -> LagStatus {
    let lag_offsets = view.end.map(|end| (end.0 - sink.durable.0).max(0));
    let age = |ms: i64| (now_ms - ms).max(0) as f64 / 1000.0;
    LagStatus {
        sink: name.to_owned(),
        committed: sink.committed.map(|offset| offset.0),
        durable: Some(sink.durable.0),
        lag_offsets,
        lag_seconds: if lag_offsets == Some(0) { Some(0.0) } else { sink.durable_ms.map(age) },
    }
}

impl StatusSource for Monitor {
    fn status(&self) -> Status {
        let look = self.look();
        let hanging = self.stable.hanging();
        let totals = self.pipeline.totals();
        let memory = self.pipeline.memory();
        let sinks = self.pipeline.sinks().iter().zip(&look.rows_per_second);
        Status {
            name: self.name.clone(),
            state: if self.pipeline.halt().get().is_some() { "stopping" } else { "running" }.to_owned(),
            uptime_seconds: Some(self.began.elapsed().as_secs_f64()),
            events_per_second: Some(look.events_per_second),
            events: Some(totals.events),
            dead_letters: Some(totals.bad),
            memory_budget_bytes: Some(memory.limit()),
            memory_used_bytes: Some(memory.used()),
            sinks: sinks.map(|(sink, rate)| Self::sink(sink, *rate)).collect(),
            waits: self.schemas.waits(),
            partitions: self.pipeline.ledger().view().iter().map(|view| self.partition(view, &hanging)).collect(),
        }
    }

    fn ready(&self) -> Result<(), String> {
        self.healthy()?;
        if self.pipeline.ledger().view().is_empty() {
            return Err("no partition is assigned yet".to_owned());
        }
        if let Some(reason) = self.pipeline.dead_letter_trouble() {
            return Err(format!("dead letters: {reason}"));
        }
        if let Some(wait) = self.schemas.waits().into_iter().next() {
            return Err(wait);
        }
        for sink in self.pipeline.sinks() {
            if let Some(reason) = sink.state().reason() {
                return Err(format!("sink {}: {reason}", sink.name()));
            }
        }
        Ok(())
    }

    fn healthy(&self) -> Result<(), String> {
        self.pipeline.halt().get().map_or(Ok(()), |halt| Err(halt.message))
    }
}
