//! One run: sinks, pipeline and Kafka source put together, and its status for the outside.
//!
//! `command::run` and the demo hold an engine; it has no opinion about signals, flags or exit codes.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::attachment::Policy;
use crate::clock::Clock;
use crate::dead_letter::{Budget, DeadLetters};
use crate::governor::{Governor, PrivateReaders, ReaderSignal};
use crate::halt::Halt;
use crate::memory::Memory;
use crate::monitor::{Monitor, Watched};
use crate::pipeline::{Pipeline, TotalsView};
use crate::project::Projections;
use crate::sink::Sink;
use crate::source::kafka::{KafkaSource, ReadSettings, SourceError};
use crate::topology::Topology;

/// The share of the memory budget that librdkafka may fetch ahead; the rest is for batches and the sinks' windows.
const PREFETCH_SHARE: u64 = 4;

/// The share of the memory budget that is kept for private readers: half of it for what their clients fetch ahead.
const PRIVATE_SHARE: u64 = 8;

/// How long private readers may take to end.
const READERS_PATIENCE: Duration = Duration::from_secs(5);

/// What a run is made of.
#[derive(Debug)]
pub struct EngineParts {
    /// The sinks, one for each cluster.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// Where bad events go.
    pub dead_letters: DeadLetters,
    /// How many may be bad.
    pub budget: Budget,
    /// The memory budget in bytes: prefetch, batches, windows and private readers together.
    pub memory_bytes: u64,
    /// How Kafka is read. `prefetch_bytes` and `private_prefetch_bytes` are set from the memory budget.
    pub read: ReadSettings,
    /// For lag in seconds.
    pub clock: Arc<dyn Clock>,
}

/// A run.
#[derive(Debug)]
pub struct Engine {
    pipeline: Arc<Pipeline>,
    source: KafkaSource,
    governor: Arc<Governor>,
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
        let shares = Shares::of(memory_bytes, read.private_readers);
        (read.prefetch_bytes, read.private_prefetch_bytes) = (shares.prefetch, shares.private);
        let policies = policies(topology, &sinks, &shares);
        let pipeline = Pipeline::start(sinks, Memory::new(shares.shared), (dead_letters, budget), runtime.clone());
        for (worker, policy) in pipeline.sinks().iter().zip(&policies).filter(|(_, policy)| policy.can_detach) {
            worker.set_window_bytes_max(policy.window_bytes);
        }
        let drain_timeout = read.drain_timeout;
        let kafka = (runtime.clone(), Arc::clone(&clock));
        let mut source = match KafkaSource::start((topology, projections), Arc::clone(&pipeline), &read, kafka) {
            Ok(source) => source,
            Err(error) => {
                pipeline.stop();
                return Err(error);
            }
        };
        let places = (0..read.private_readers).map(|_| Memory::new(shares.private)).collect();
        let readers = source.private_readers().unwrap_or_else(|| Box::new(NoReaders));
        let governor = Governor::start(Arc::clone(&pipeline), policies, (readers, places), &runtime);
        let parts = Watched {
            pipeline: Arc::clone(&pipeline),
            governor: Arc::clone(&governor),
            retention: Arc::clone(source.retention()),
            stable: source.stable(),
            schemas: Arc::clone(source.schemas()),
        };
        let monitor = Monitor::new(topology.name.clone(), parts, clock);
        Ok(Self { pipeline, source, governor, drain_timeout, monitor })
    }

    /// Detaches, attaches, pauses, drains and limits sinks.
    #[must_use]
    pub fn governor(&self) -> &Arc<Governor> {
        &self.governor
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
        self.governor.stop();
        let is_drained = self.source.stop(self.drain_timeout).await;
        let ended = async {
            while !self.governor.has_ended() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(READERS_PATIENCE, ended).await.is_err() {
            tracing::warn!("a private reader did not end in time");
        }
        self.pipeline.stop();
        Ended { totals: self.pipeline.totals(), is_drained }
    }
}

/// How the memory budget is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    /// Fetched ahead for the shared read.
    prefetch: u64,
    /// Batches and windows of the shared read.
    shared: u64,
    /// The place of one private reader; its client may fetch ahead as much again.
    private: u64,
}

impl Shares {
    fn of(memory_bytes: u64, private_readers: usize) -> Self {
        let prefetch = memory_bytes / PREFETCH_SHARE;
        let readers = private_readers as u64;
        let private = (memory_bytes / PRIVATE_SHARE / 2).checked_div(readers).unwrap_or(0);
        Self { prefetch, shared: memory_bytes - prefetch - 2 * private * readers, private }
    }
}

/// The rules of every sink: the topology's, and the rest from the budget.
fn policies(topology: &Topology, sinks: &[Arc<dyn Sink>], shares: &Shares) -> Vec<Policy> {
    let rules = |sink: &Arc<dyn Sink>| {
        let pace = topology.clusters.get(&**sink.name()).map(|cluster| cluster.pace).unwrap_or_default();
        let default = Policy::within(shares.shared);
        Policy {
            window_bytes: pace.window_bytes.unwrap_or(default.window_bytes),
            patience: pace.patience.unwrap_or(default.patience),
            compacted: pace.compacted,
            headroom: pace.headroom,
            can_detach: shares.private > 0,
        }
    };
    sinks.iter().map(rules).collect()
}

/// Stands in once the source's have been taken.
#[derive(Debug)]
struct NoReaders;

impl PrivateReaders for NoReaders {
    fn start(&self, _: usize, _: Arc<ReaderSignal>) -> Result<(), String> {
        Err("this source has no private readers".to_owned())
    }

    fn compacted(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_the_budget() {
        for readers in 0..4 {
            let Shares { prefetch, shared, private } = Shares::of(96 << 20, readers);
            let all = prefetch + shared + 2 * private * readers as u64;
            assert_eq!(all, 96 << 20, "{readers} readers");
            assert_eq!(private == 0, readers == 0);
        }
    }
}
