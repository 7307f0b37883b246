//! A Confluent-compatible schema registry: fetches the schemas that records begin with the ids of.
//!
//! # Laws
//! 1. A batch whose schema is not there waits, and so does its partition; all others go on.
//! 2. A schema that cannot be had is asked for again, with growing pauses, for ever. Nothing is skipped and nothing is
//!    dead-lettered because the registry is down, or because it does not know an id yet.
//! 3. What an id means never changes: a schema is fetched once in the life of a process.

mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use self::client::Client;
pub use self::client::{ClientError, FetchError};
use crate::decode::schemas::{Framed, SchemaId, SchemaText, Schemas};
use crate::error_chain::chain;
use crate::meter::SchemaMeter;
use crate::model::batch::RawBatch;
use crate::progress::offset::TopicPartition;
use crate::topology;

/// Requests at one time.
const FETCHES_MAX: usize = 8;

/// Pause after the first failure; each further one doubles it, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The schemas of a run: those that are here, and who waits for those that are not.
#[derive(Debug, Default)]
pub struct SchemaRegistry {
    schemas: Arc<Schemas>,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    waits: BTreeMap<TopicPartition, BTreeSet<SchemaId>>,
    /// One for each id that some partition waits for.
    fetches: BTreeMap<SchemaId, Fetch>,
}

/// A schema that is not there.
#[derive(Clone, Debug)]
struct Fetch {
    failures: u32,
    /// When it is asked for again; `None` while it is being asked for.
    due: Option<Instant>,
    /// Why it is not there yet.
    reason: Option<String>,
}

/// The task that fetches; it ends with this.
#[derive(Debug)]
pub struct Fetching(JoinHandle<()>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SchemaRegistry {
    /// The schemas that are here.
    #[must_use]
    pub const fn schemas(&self) -> &Arc<Schemas> {
        &self.schemas
    }

    /// Fetches what is waited for from now on.
    ///
    /// # Errors
    /// [`ClientError`]: a secret or a certificate cannot be read.
    pub fn fetch_from(
        self: &Arc<Self>,
        registry: &topology::SchemaRegistry,
        runtime: &Handle,
    ) -> Result<Fetching, ClientError> {
        let client = Client::new(registry)?;
        Ok(Fetching(runtime.spawn(Arc::clone(self).run(client))))
    }

    /// Whether all schemas of a batch are there. Else they are fetched, and the partition is noted to wait for them.
    pub fn is_ready(&self, partition: &TopicPartition, framed: Framed, raw: &RawBatch) -> bool {
        if !framed.any() {
            return true;
        }
        let missing = self.schemas.missing(framed, raw);
        let mut state = self.lock();
        if missing.is_empty() {
            if state.waits.remove(partition).is_some() {
                state.forget_unwanted();
            }
            return true;
        }
        if state.waits.get(partition) != Some(&missing) {
            let now = Instant::now();
            for id in &missing {
                state.fetches.entry(*id).or_insert(Fetch { failures: 0, due: Some(now), reason: None });
            }
            state.waits.insert(partition.clone(), missing);
            state.forget_unwanted();
            drop(state);
            self.wake.notify_one();
        }
        false
    }

    /// The partition is no longer read.
    pub fn forget(&self, partition: &TopicPartition) {
        let mut state = self.lock();
        if state.waits.remove(partition).is_some() {
            state.forget_unwanted();
        }
    }

    /// Which partitions wait, and for what: one sentence each.
    #[must_use]
    pub fn waits(&self) -> Vec<String> {
        let state = self.lock();
        let waits = state.waits.iter().map(|(partition, ids)| {
            let first = ids.first().copied().unwrap_or(SchemaId(0));
            let more = if ids.len() > 1 { format!(" and {} more", ids.len() - 1) } else { String::new() };
            let reason = state.fetches.get(&first).and_then(|fetch| fetch.reason.as_deref());
            format!("{partition} waits for schema {first}{more}: {}", reason.unwrap_or("it is being fetched"))
        });
        waits.collect()
    }

    async fn run(self: Arc<Self>, client: Client) {
        let mut running = JoinSet::new();
        loop {
            let (due, next) = self.take_due(Instant::now(), FETCHES_MAX - running.len());
            for id in due {
                let client = client.clone();
                running.spawn(async move { (id, client.schema(id).await) });
            }
            let pause = next.map_or(PAUSE_MAX, |next| next.saturating_duration_since(Instant::now()));
            tokio::select! {
                // A permit is kept for a wake-up that comes before this.
                () = self.wake.notified() => {}
                Some(done) = running.join_next() => {
                    if let Ok((id, outcome)) = done {
                        self.finish(id, outcome);
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The schemas to ask for now, and when the next one is due.
    fn take_due(&self, now: Instant, room: usize) -> (Vec<SchemaId>, Option<Instant>) {
        let mut state = self.lock();
        let mut due = Vec::new();
        for (id, fetch) in &mut state.fetches {
            if due.len() < room && fetch.due.is_some_and(|at| at <= now) {
                fetch.due = None;
                due.push(*id);
            }
        }
        // When there is no room, the end of a request is the next thing to wait for.
        let next = if due.len() < room { state.fetches.values().filter_map(|fetch| fetch.due).min() } else { None };
        (due, next)
    }

    fn finish(&self, id: SchemaId, outcome: Result<SchemaText, FetchError>) {
        let kept = match outcome {
            Ok(text) => self.schemas.insert(id, &text).map_err(|error| error.to_string()),
            Err(error) => Err(chain(&error)),
        };
        SchemaMeter::fetched(kept.is_ok());
        let mut state = self.lock();
        match kept {
            Ok(()) => {
                if state.fetches.remove(&id).is_some_and(|fetch| fetch.failures > 0) {
                    tracing::info!(schema = %id, "the schema is there: its partitions go on");
                }
            }
            Err(reason) => {
                let Some(fetch) = state.fetches.get_mut(&id) else { return };
                fetch.failures = fetch.failures.saturating_add(1);
                fetch.due = Some(Instant::now() + pause(fetch.failures));
                if fetch.reason.as_ref() != Some(&reason) {
                    tracing::warn!(schema = %id, reason, "a schema cannot be had: its partitions wait, all others go on");
                }
                fetch.reason = Some(reason);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_unwanted(&mut self) {
        let Self { waits, fetches } = self;
        fetches.retain(|id, _| waits.values().any(|ids| ids.contains(id)));
        SchemaMeter::waiting(waits.len());
    }
}

/// How long to wait after this many failures in a row.
fn pause(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests;
