//! The CPU pool: decode, project, fold and encode, one thread for each worker, in order within a partition.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

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

/// The workers, and the way to each of them.
pub(super) struct Pool {
    pub(super) senders: Vec<Sender<Work>>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

/// Starts the workers; they end when their senders are dropped.
pub(super) fn start(workers: Vec<BTreeMap<String, Lane>>, pipeline: &Arc<Pipeline>) -> std::io::Result<Pool> {
    let mut senders = Vec::new();
    let mut threads = Vec::new();
    for (index, lanes) in workers.into_iter().enumerate() {
        let (sender, receiver) = bounded(QUEUE_BATCHES);
        let pipeline = Arc::clone(pipeline);
        let thread = std::thread::Builder::new().name(format!("project-{index}"));
        threads.push(thread.spawn(move || {
            let _watch = PanicWatch(Arc::clone(&pipeline));
            run(&receiver, lanes, &pipeline);
        })?);
        senders.push(sender);
    }
    Ok(Pool { senders, threads })
}

fn run(receiver: &Receiver<Work>, mut lanes: BTreeMap<String, Lane>, pipeline: &Arc<Pipeline>) {
    for Work { ticket, raw, charge } in receiver {
        if !pipeline.ledger().holds(&ticket.partition, ticket.epoch) {
            continue;
        }
        let Some(lane) = lanes.get_mut(&*raw.partition.topic) else { continue };
        let began = std::time::Instant::now();
        let projected = lane.project(&raw);
        TopicMeter::of(&raw.partition.topic).projected(&projected.counts, began.elapsed());
        pipeline.deliver(ticket, &raw, (projected, charge));
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
