//! Sinks that are slow, frozen, failing, or that do what they are asked and do not say so; and a dead-letter store like that.
//!
//! A write is a request that waits in the cluster until the simulation serves it. The process may be gone by then: what a
//! server has received, it may still apply.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use halcyon::dead_letter::{DeadLetter, DeadLetterError, LetterFuture, LetterStore, Mark};
use halcyon::model::batch::TableRows;
use halcyon::progress::ledger::Epoch;
use halcyon::sink::{Batch, Sink, SinkError, SinkFuture};
use hbase::cell::Cell;
use hbase::wire::cell_block;

/// Table, row, qualifier.
pub(super) type Place = (Arc<str>, u64, Vec<u8>);

/// Who wrote: one incarnation of a process, and its tenure of the partition.
pub(super) type Writer = (u64, Epoch);

/// Where an answer is waited for.
#[derive(Debug)]
pub(super) struct Reply<E>(Mutex<Waiting<E>>);

#[derive(Debug)]
struct Waiting<E> {
    answer: Option<Result<(), E>>,
    waker: Option<Waker>,
    is_abandoned: bool,
}

impl<E: Clone> Reply<E> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Waiting { answer: None, waker: None, is_abandoned: false })))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send(&self, answer: Result<(), E>) {
        let mut state = self.lock();
        state.answer = Some(answer);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Whether nobody waits any more: answered, or gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().is_abandoned
    }

    async fn wait(self: Arc<Self>) -> Result<(), E> {
        let _abandon = Abandon(Arc::clone(&self));
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(answer) = state.answer.take() {
                return Poll::Ready(answer);
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

struct Abandon<E: Clone>(Arc<Reply<E>>);

impl<E: Clone> Drop for Abandon<E> {
    fn drop(&mut self) {
        self.0.lock().is_abandoned = true;
    }
}

/// A write that the cluster has received.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) writer: Writer,
    pub(super) tables: Vec<TableRows>,
    pub(super) reply: Arc<Reply<SinkError>>,
}

/// One cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) requests: Vec<Request>,
    pub(super) is_frozen: bool,
    pub(super) cells: BTreeMap<Place, (i64, Vec<u8>)>,
}

impl Cluster {
    /// Applies the first cells of a request, at most `limit`. Returns them.
    pub(super) fn apply(&mut self, tables: &[TableRows], limit: usize) -> Vec<(Arc<str>, Cell)> {
        let decoded = tables.iter().flat_map(|rows| {
            let cells = cell_block::decode(rows.block.bytes()).expect("our own cells");
            cells.into_iter().map(|cell| (Arc::clone(&rows.table), cell))
        });
        let applied: Vec<(Arc<str>, Cell)> = decoded.take(limit).collect();
        for (table, cell) in &applied {
            let place = (Arc::clone(table), number(&cell.row), cell.qualifier.to_vec());
            let slot = self.cells.entry(place).or_insert((i64::MIN, Vec::new()));
            if cell.timestamp >= slot.0 {
                *slot = (cell.timestamp, cell.value.to_vec());
            }
        }
        applied
    }
}

/// A big-endian number.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// One process's connection to a cluster.
#[derive(Debug)]
pub(super) struct SimSink {
    pub(super) name: Arc<str>,
    pub(super) incarnation: u64,
    pub(super) is_alive: Arc<AtomicBool>,
    pub(super) cluster: Arc<Mutex<Cluster>>,
}

impl Sink for SimSink {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> SinkFuture<'a> {
        Box::pin(async move {
            if !self.is_alive.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let reply = Reply::new();
            let request = Request {
                writer: (self.incarnation, batch.ticket.epoch),
                tables: batch.tables.clone(),
                reply: Arc::clone(&reply),
            };
            self.cluster.lock().unwrap_or_else(PoisonError::into_inner).requests.push(request);
            reply.wait().await
        })
    }
}

/// Letters on their way to the store: partition and offset of each, and who waits.
pub(super) type LetterRequest = (Vec<(i32, i64)>, Arc<Reply<()>>);

/// The dead-letter store.
#[derive(Debug, Default)]
pub(super) struct Letters {
    pub(super) requests: Vec<LetterRequest>,
}

/// One process's connection to the dead-letter store.
#[derive(Debug)]
pub(super) struct SimLetters {
    pub(super) is_alive: Arc<AtomicBool>,
    pub(super) letters: Arc<Mutex<Letters>>,
}

impl LetterStore for SimLetters {
    fn store<'a>(&'a self, letters: &'a [DeadLetter]) -> LetterFuture<'a> {
        Box::pin(async move {
            if !self.is_alive.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let reply = Reply::new();
            let places = letters.iter().map(|letter| (letter.partition.partition, letter.offset.0)).collect();
            self.letters.lock().unwrap_or_else(PoisonError::into_inner).requests.push((places, Arc::clone(&reply)));
            let failed = |()| DeadLetterError::File {
                path: PathBuf::from("letters"),
                source: io::Error::other("the simulation says so"),
            };
            reply.wait().await.map_err(failed)
        })
    }

    /// Nobody replays letters here.
    fn mark<'a>(&'a self, _: &'a [Mark]) -> LetterFuture<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}
