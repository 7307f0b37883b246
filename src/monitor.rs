//! A run as seen from outside: states, rates, lags, and when a sink will have caught up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::governor::{Governor, SinkView as PostView};
use crate::pipeline::Pipeline;
use crate::progress::ledger::{PartitionView, SinkView};
use crate::schema_registry::SchemaRegistry;
use crate::sink::worker::SinkWorker;
use crate::source::kafka::retention::Retention;
use crate::source::kafka::stable::{Hanging, StableEnds};
use crate::status::{LagStatus, LimitStatus, PartitionStatus, SinkStatus, Status, StatusSource};

/// What a run is looked at through.
#[derive(Debug)]
pub struct Watched {
    /// The part that sources share.
    pub pipeline: Arc<Pipeline>,
    /// The states of the sinks.
    pub governor: Arc<Governor>,
    /// What retention leaves to the sinks.
    pub retention: Arc<Retention>,
    /// Transactions that are open for too long.
    pub stable: Arc<StableEnds>,
    /// Who waits for which schema.
    pub schemas: Arc<SchemaRegistry>,
}

/// A run as seen from outside. Rates are those between two looks.
#[derive(Debug)]
pub struct Monitor {
    name: String,
    pipeline: Arc<Pipeline>,
    governor: Arc<Governor>,
    retention: Arc<Retention>,
    stable: Arc<StableEnds>,
    schemas: Arc<SchemaRegistry>,
    clock: Arc<dyn Clock>,
    began: Instant,
    last: Mutex<Look>,
}

/// What the last look saw, and the rates since the one before.
#[derive(Clone, Debug)]
struct Look {
    at: Instant,
    events: u64,
    rows: Vec<u64>,
    lags: Vec<u64>,
    events_per_second: f64,
    rows_per_second: Vec<f64>,
    /// How fast the lags shrink, in records a second; negative if they grow.
    gains: Vec<f64>,
}

/// Looks that follow each other faster show the rates of the one before.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

impl Monitor {
    /// Looks at this run.
    #[must_use]
    pub fn new(name: String, watched: Watched, clock: Arc<dyn Clock>) -> Arc<Self> {
        let Watched { pipeline, governor, retention, stable, schemas } = watched;
        let sinks = pipeline.sinks().len();
        let look = Look {
            at: Instant::now(),
            events: 0,
            rows: vec![0; sinks],
            lags: vec![0; sinks],
            events_per_second: 0.0,
            rows_per_second: vec![0.0; sinks],
            gains: vec![0.0; sinks],
        };
        let last = Mutex::new(look);
        Arc::new(Self { name, pipeline, governor, retention, stable, schemas, clock, began: Instant::now(), last })
    }

    fn look(&self) -> Look {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = last.at.elapsed();
        if elapsed >= LOOK_INTERVAL {
            let seconds = elapsed.as_secs_f64();
            let events = self.pipeline.totals().events;
            let rows: Vec<u64> = self.pipeline.sinks().iter().map(|sink| sink.meter().rows()).collect();
            let lags: Vec<u64> = (0..rows.len()).map(|sink| self.pipeline.ledger().standing(sink).lag).collect();
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            let gain = |now: u64, before: u64| (before as f64 - now as f64) / seconds;
            *last = Look {
                at: Instant::now(),
                events_per_second: rate(events, last.events),
                rows_per_second: rows.iter().zip(&last.rows).map(|(now, before)| rate(*now, *before)).collect(),
                gains: lags.iter().zip(&last.lags).map(|(now, before)| gain(*now, *before)).collect(),
                events,
                rows,
                lags,
            };
        }
        last.clone()
    }

    fn sink(sink: &SinkWorker, post: &PostView, (rows_per_second, lag, gain): (f64, u64, f64)) -> SinkStatus {
        SinkStatus {
            name: sink.name().to_string(),
            state: post.state.name().to_owned(),
            reason: post.reason.clone(),
            since_seconds: Some(post.since.as_secs_f64()),
            window_bytes: Some(sink.queue().bytes()),
            window_bytes_max: Some(post.window_bytes_max),
            holds_budget: Some(post.holds_budget),
            limit: post
                .limit
                .map(|rate| LimitStatus { unit: rate.unit.name().to_owned(), per_second: rate.per_second }),
            private_read_bytes: post.private_bytes,
            private_memory_bytes: post.private_memory_bytes,
            rows_per_second: Some(rows_per_second),
            rows: Some(sink.meter().rows()),
            // A lag of a second's work is no catching up.
            eta_seconds: (gain > 0.0 && lag as f64 > gain).then(|| lag as f64 / gain),
        }
    }

    fn partition(&self, view: &PartitionView, hanging: &[Hanging]) -> PartitionStatus {
        let now_ms = self.clock.now_ms();
        let left = self.retention.left();
        let sinks = self.pipeline.sinks().iter().zip(&view.sinks).enumerate();
        PartitionStatus {
            topic: view.partition.topic.to_string(),
            partition: view.partition.partition,
            end_offset: view.end.map(|end| end.0),
            trouble: hanging.iter().find(|one| one.partition == view.partition).map(ToString::to_string),
            sinks: sinks
                .map(|(index, (worker, sink))| {
                    let left = left.get(&(view.partition.clone(), index));
                    LagStatus {
                        headroom_offsets: left.map(|left| left.records),
                        headroom_seconds: left.and_then(|left| left.left).map(|left| left.as_secs_f64()),
                        headroom_short: left.map(|left| left.is_short),
                        ..lag(worker.name(), view, sink, now_ms)
                    }
                })
                .collect(),
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
        shared: Some(sink.is_shared),
        ..LagStatus::default()
    }
}

impl StatusSource for Monitor {
    fn status(&self) -> Status {
        let look = self.look();
        let hanging = self.stable.hanging();
        let totals = self.pipeline.totals();
        let memory = self.pipeline.memory();
        let (private_used, private_limit) = self.governor.private_memory();
        let rates = look.rows_per_second.iter().zip(&look.lags).zip(&look.gains);
        let sinks = self.pipeline.sinks().iter().zip(self.governor.view()).zip(rates);
        Status {
            name: self.name.clone(),
            state: if self.pipeline.halt().get().is_some() { "stopping" } else { "running" }.to_owned(),
            uptime_seconds: Some(self.began.elapsed().as_secs_f64()),
            events_per_second: Some(look.events_per_second),
            events: Some(totals.events),
            dead_letters: Some(totals.bad),
            memory_budget_bytes: Some(memory.limit() + private_limit),
            memory_used_bytes: Some(memory.used() + private_used),
            sinks: sinks
                .map(|((sink, post), ((rate, lag), gain))| Self::sink(sink, &post, (*rate, *lag, *gain)))
                .collect(),
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
        for (sink, post) in self.pipeline.sinks().iter().zip(self.governor.view()) {
            if let Some(reason) = post.reason {
                return Err(format!("sink {}: {}: {reason}", sink.name(), post.state.name()));
            }
        }
        Ok(())
    }

    fn healthy(&self) -> Result<(), String> {
        self.pipeline.halt().get().map_or(Ok(()), |halt| Err(halt.message))
    }
}
