//! One run: sinks, pipeline and Kafka source put together, and its status for the outside.
//!
//! `command::run` and the demo hold an engine; it has no opinion about signals, flags or exit codes.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::dead_letter::{Budget, DeadLetters};
use crate::halt::Halt;
use crate::memory::Memory;
use crate::pipeline::{Pipeline, TotalsView};
use crate::sink::Sink;
use crate::source::kafka::{KafkaSource, ReadSettings, SourceError};
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
        let EngineParts { sinks, dead_letters, budget, memory_bytes, mut read, .. } = parts;
        read.prefetch_bytes = memory_bytes / PREFETCH_SHARE;
        let memory = Memory::new(memory_bytes - read.prefetch_bytes);
        let pipeline = Pipeline::start(sinks, memory, (dead_letters, budget), runtime.clone());
        let drain_timeout = read.drain_timeout;
        match KafkaSource::start(topology, Arc::clone(&pipeline), &read, runtime) {
            Ok(source) => Ok(Self { pipeline, source, drain_timeout }),
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
