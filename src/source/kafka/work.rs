//! The CPU pool: decode, project, fold and encode, one thread for each worker, in order within a partition.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::time::Instant;

use crate::decode::schemas::Framed;
use crate::halt::{Halt, HaltKind};
use crate::memory::Charge;
use crate::meter::TopicMeter;
use crate::model::batch::RawBatch;
use crate::pipeline::Pipeline;
use crate::progress::ledger::Ticket;
use crate::project::Lane;

/// Closed batches that may wait for one worker. What they hold is charged to the memory budget; a short queue keeps the
/// worker busy while the reader serves other partitions.
const QUEUE_BATCHES: usize = 4;

/// A batch on its way through the pool.
pub(super) struct Work {
    pub(super) ticket: Ticket,
    pub(super) raw: RawBatch,
    pub(super) charge: Charge,
}

/// What the records of a topic need beside their keys and payloads.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// Names of headers, by number.
    pub(super) headers: Arc<[CString]>,
    /// Which parts begin with the id of a schema.
    pub(super) framed: Framed,
}

/// What the lanes need, by Kafka's topic name.
pub(super) fn needs(lanes: &BTreeMap<String, Lane>) -> BTreeMap<String, Needs> {
    let of = |lane: &Lane| {
        // Names with a NUL are refused when the topology is loaded.
        let headers = lane.headers().iter().filter_map(|name| CString::new(name.as_str()).ok());
        Needs { headers: headers.collect(), framed: lane.framed() }
    };
    lanes.iter().map(|(topic, lane)| (topic.clone(), of(lane))).collect()
}

/// The way to each worker, and the workers.
pub(super) type Pool = (Vec<Sender<Work>>, Vec<Worker>);

/// One worker for each of these sets of lanes. A worker ends when its sender is dropped.
pub(super) fn pool(lanes: Vec<BTreeMap<String, Lane>>, pipeline: &Arc<Pipeline>) -> Pool {
    let worker = |lanes| {
        let (sender, receiver) = bounded(QUEUE_BATCHES);
        (sender, Worker { receiver, lanes, pipeline: Arc::clone(pipeline) })
    };
    lanes.into_iter().map(worker).unzip()
}

/// One thread of the CPU pool.
pub struct Worker {
    receiver: Receiver<Work>,
    lanes: BTreeMap<String, Lane>,
    pipeline: Arc<Pipeline>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("waiting", &self.receiver.len()).finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts a thread that works until the worker's sender is dropped.
    pub(super) fn spawn(mut self, index: usize) -> std::io::Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name(format!("project-{index}"));
        thread.spawn(move || {
            let _watch = PanicWatch(Arc::clone(&self.pipeline));
            while let Ok(work) = self.receiver.recv() {
                self.finish(work);
            }
        })
    }

    /// Does what waits longest, if anything does. Returns whether it did.
    pub fn step(&mut self) -> bool {
        let Ok(work) = self.receiver.try_recv() else { return false };
        self.finish(work);
        true
    }

    fn finish(&mut self, Work { ticket, raw, charge }: Work) {
        if !self.pipeline.ledger().holds(&ticket.partition, ticket.epoch) {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&*raw.partition.topic) else { return };
        let began = Instant::now();
        let projected = lane.project(&raw);
        TopicMeter::of(&raw.partition.topic).projected(&projected.counts, began.elapsed());
        self.pipeline.deliver(ticket, &raw, (projected, charge));
    }
}

/// Stops the run when a worker panics: its batch would never be done.
struct PanicWatch(Arc<Pipeline>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = "a worker thread ended by a defect of halcyon; see the message above it";
            self.0.halt().set(Halt::new(HaltKind::Failed, message));
        }
    }
}
