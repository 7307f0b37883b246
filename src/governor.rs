//! Carries out what [`crate::attachment`] decides: looks at every sink ten times a second, frees queues, starts and stops
//! private readers, and does what the operator asks.
//!
//! # Invariants
//! 1. Decisions are made by one holder of the lock at a time, and an order is carried out before the next look.
//! 2. A private reader has a place of its own in the memory budget. There are as many places as readers may run at once; a
//!    sink without one waits, in the order of the topology, and holds nothing meanwhile.
//! 3. A sink that may not be fed is taken out of [`Pipeline::eligible`] before it is cut, so no assignment feeds it again;
//!    one that slipped through in between is cut at the next look.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::attachment::{Attachment, Command, Facts, Order, Policy, State};
use crate::memory::Memory;
use crate::meter::AttachmentMeter;
use crate::pipeline::Pipeline;
use crate::progress::ledger::{SinkSet, Standing};
use crate::sink::throttle::Rate;
use crate::sink::worker::SinkState;

/// Time between two looks. A cause for detaching lasts a second at least.
const LOOK: Duration = Duration::from_millis(100);

/// What the governor and one private reader tell each other.
#[derive(Debug)]
pub struct ReaderSignal {
    /// The reader's place in the memory budget.
    pub memory: Arc<Memory>,
    stop: AtomicBool,
    may_join: AtomicBool,
    wants_attach: AtomicBool,
    ended: AtomicBool,
    bytes: AtomicU64,
    lost: Mutex<Option<String>>,
}

impl ReaderSignal {
    fn new(memory: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self {
            memory,
            stop: AtomicBool::new(false),
            may_join: AtomicBool::new(false),
            wants_attach: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            lost: Mutex::default(),
        })
    }

    /// Whether the reader has to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether a partition may be handed over to the shared read.
    #[must_use]
    pub fn may_join(&self) -> bool {
        self.may_join.load(Ordering::Acquire)
    }

    /// Whether the sink goes back in the end: then the reader does not pass the shared read.
    #[must_use]
    pub fn wants_attach(&self) -> bool {
        self.wants_attach.load(Ordering::Acquire)
    }

    /// Bytes of keys and payloads were read.
    pub fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The log does not have what the sink needs next. The reader ends.
    pub fn set_lost(&self, reason: String) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// The reader's thread is over.
    pub fn set_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts private readers: the source's part.
pub trait PrivateReaders: Send + Sync + std::fmt::Debug {
    /// Starts a reader for a sink. It calls [`ReaderSignal::set_ended`] when it is over, whatever the cause.
    ///
    /// # Errors
    /// A sentence; it is tried again.
    fn start(&self, sink: usize, signal: Arc<ReaderSignal>) -> Result<(), String>;

    /// A compacted topic among those that are read, if there is one.
    fn compacted(&self) -> Option<String>;
}

/// One sink as seen from outside.
#[derive(Clone, Debug)]
pub struct SinkView {
    /// What it does.
    pub state: State,
    /// Why, if there is anything to say.
    pub reason: Option<String>,
    /// For how long.
    pub since: Duration,
    /// Whether the shared budget is used up and it holds the most of it.
    pub holds_budget: bool,
    /// Its share of the window.
    pub window_bytes_max: u64,
    /// Bytes that its private reader has read since it was started, if it has one.
    pub private_bytes: Option<u64>,
    /// Bytes of the budget that its private reader holds, if it has one.
    pub private_memory_bytes: Option<u64>,
    /// How fast it may write.
    pub limit: Option<Rate>,
}

/// What a command did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The sink.
    pub sink: Arc<str>,
    /// Its state before.
    pub before: State,
    /// Its state afterwards.
    pub after: State,
    /// Why, if there is anything to say.
    pub reason: Option<String>,
}

/// Holds every sink to its rules.
#[derive(Debug)]
pub struct Governor {
    pipeline: Arc<Pipeline>,
    readers: Box<dyn PrivateReaders>,
    began: Instant,
    posts: Mutex<Posts>,
    looking: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Posts {
    sinks: Vec<Post>,
    /// Free places in the memory budget.
    places: Vec<Arc<Memory>>,
    /// All places, for the sum of what is charged.
    all_places: Vec<Arc<Memory>>,
    is_stopping: bool,
}

#[derive(Debug)]
struct Post {
    attachment: Attachment,
    reader: Option<Arc<ReaderSignal>>,
    lost: Option<String>,
    meter: AttachmentMeter,
    /// The last state that was logged.
    logged: State,
}

impl Governor {
    /// Begins to look. `policies` has one entry for each sink; `places` are the private readers' parts of the budget.
    #[must_use]
    pub fn start(
        pipeline: Arc<Pipeline>,
        policies: Vec<Policy>,
        (readers, places): (Box<dyn PrivateReaders>, Vec<Arc<Memory>>),
        runtime: &Handle,
    ) -> Arc<Self> {
        let posts = policies.into_iter().zip(pipeline.sinks()).map(|(policy, worker)| Post {
            attachment: Attachment::new(policy),
            reader: None,
            lost: None,
            meter: AttachmentMeter::new(worker.name()),
            logged: State::Starting,
        });
        let posts = Posts { sinks: posts.collect(), all_places: places.clone(), places, is_stopping: false };
        let governor = Arc::new(Self {
            pipeline,
            readers,
            began: Instant::now(),
            posts: Mutex::new(posts),
            looking: Mutex::default(),
        });
        let looking = Arc::downgrade(&governor);
        let task = runtime.spawn(async move {
            let mut ticks = tokio::time::interval(LOOK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(governor) = looking.upgrade() else { return };
                governor.look();
            }
        });
        *governor.looking.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        governor
    }

    /// Looks at every sink once.
    pub fn look(&self) {
        let mut posts = self.lock();
        if posts.is_stopping {
            return;
        }
        let now = self.began.elapsed();
        for sink in 0..posts.sinks.len() {
            let facts = self.facts(&posts, sink);
            let Some(post) = posts.sinks.get_mut(sink) else { continue };
            let order = post.attachment.step(now, &facts);
            self.carry_out(&mut posts, sink, order);
        }
        self.serve_readers(&mut posts);
    }

    /// Does what the operator asks of a sink; with `dry_run` only says what would be.
    ///
    /// # Errors
    /// The names of the sinks that there are, if this one is not among them.
    pub fn command(&self, name: &str, command: Command, dry_run: bool) -> Result<Done, Vec<Arc<str>>> {
        let sink = self.index(name)?;
        let mut posts = self.lock();
        let facts = self.facts(&posts, sink);
        let names = || self.pipeline.sinks().iter().map(|sink| Arc::clone(sink.name())).collect();
        let Some(post) = posts.sinks.get_mut(sink) else { return Err(names()) };
        let before = post.attachment.state();
        let mut tried = post.attachment.clone();
        let order = tried.command(self.began.elapsed(), command, &facts);
        let done =
            Done { sink: Arc::from(name), before, after: tried.state(), reason: tried.reason().map(str::to_owned) };
        if !dry_run && !posts.is_stopping {
            tracing::info!(sink = name, command = command.name(), "asked by the operator");
            if let Some(post) = posts.sinks.get_mut(sink) {
                post.attachment = tried;
            }
            self.carry_out(&mut posts, sink, order);
            self.serve_readers(&mut posts);
        }
        Ok(done)
    }

    /// Limits a sink, or all of them, and returns their names; with `dry_run` only says which.
    ///
    /// # Errors
    /// The names of the sinks that there are, if this one is not among them.
    pub fn throttle(
        &self,
        name: Option<&str>,
        rate: Option<Rate>,
        dry_run: bool,
    ) -> Result<Vec<Arc<str>>, Vec<Arc<str>>> {
        let only = name.map(|name| self.index(name)).transpose()?;
        let sinks =
            self.pipeline.sinks().iter().enumerate().filter(|(index, _)| only.is_none_or(|only| only == *index));
        let mut limited = Vec::new();
        for (_, sink) in sinks {
            if !dry_run {
                let limit = rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
                tracing::info!(sink = %sink.name(), limit, "limited by the operator");
                sink.set_limit(rate);
            }
            limited.push(Arc::clone(sink.name()));
        }
        Ok(limited)
    }

    /// Every sink, by index.
    #[must_use]
    pub fn view(&self) -> Vec<SinkView> {
        let posts = self.lock();
        let now = self.began.elapsed();
        let holder = self.holder();
        let views = posts.sinks.iter().zip(self.pipeline.sinks()).enumerate();
        views
            .map(|(index, (post, worker))| SinkView {
                state: post.attachment.state(),
                reason: post.attachment.reason().map(str::to_owned),
                since: now.saturating_sub(post.attachment.since()),
                holds_budget: holder == Some(index),
                window_bytes_max: post.attachment.policy().window_bytes,
                private_bytes: post.reader.as_ref().map(|reader| reader.bytes.load(Ordering::Relaxed)),
                private_memory_bytes: post.reader.as_ref().map(|reader| reader.memory.used()),
                limit: worker.limit(),
            })
            .collect()
    }

    /// Bytes charged to private readers, and their limit.
    #[must_use]
    pub fn private_memory(&self) -> (u64, u64) {
        let posts = self.lock();
        let places = || posts.all_places.iter();
        (places().map(|place| place.used()).sum(), places().map(|place| place.limit()).sum())
    }

    /// The policy of a sink.
    #[must_use]
    pub fn policy(&self, sink: usize) -> Option<Policy> {
        self.lock().sinks.get(sink).map(|post| *post.attachment.policy())
    }

    /// Decides nothing more and asks the private readers to end.
    pub fn stop(&self) {
        let mut posts = self.lock();
        posts.is_stopping = true;
        for reader in posts.sinks.iter().filter_map(|post| post.reader.as_ref()) {
            reader.stop.store(true, Ordering::Release);
        }
        drop(posts);
        if let Some(task) = self.looking.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// Whether all private readers are over. For the end of a run.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.lock().sinks.iter().filter_map(|post| post.reader.as_ref()).all(|reader| reader.has_ended())
    }

    /// The sink that holds the most of the shared budget while there is no room in it.
    fn holder(&self) -> Option<usize> {
        if self.pipeline.memory().has_room() {
            return None;
        }
        let bytes = |(index, worker): (usize, &Arc<crate::sink::worker::SinkWorker>)| (worker.queue().bytes(), index);
        self.pipeline.sinks().iter().enumerate().map(bytes).max().map(|(_, index)| index)
    }

    fn index(&self, name: &str) -> Result<usize, Vec<Arc<str>>> {
        let sinks = self.pipeline.sinks();
        let found = sinks.iter().position(|sink| **sink.name() == *name);
        found.ok_or_else(|| sinks.iter().map(|sink| Arc::clone(sink.name())).collect())
    }

    fn facts(&self, posts: &Posts, sink: usize) -> Facts {
        let Some((post, worker)) = posts.sinks.get(sink).zip(self.pipeline.sinks().get(sink)) else {
            return Facts::default();
        };
        let Standing { partitions, shared, is_idle, .. } = self.pipeline.ledger().standing(sink);
        Facts {
            health: worker.state(),
            window_bytes: worker.queue().bytes(),
            finished: worker.finished(),
            partitions,
            shared,
            is_idle,
            others_window_bytes: self.others_window_bytes(posts, sink),
            compacted: self.readers.compacted(),
            lost: post.lost.clone(),
            has_reader: post.reader.is_some(),
        }
    }

    /// The largest window of the other sinks that the shared read feeds and whose writes go well.
    fn others_window_bytes(&self, posts: &Posts, sink: usize) -> Option<u64> {
        let others = posts.sinks.iter().zip(self.pipeline.sinks()).enumerate();
        let going = others.filter(|(index, (post, worker))| {
            *index != sink
                && post.attachment.is_eligible()
                && matches!(worker.state(), SinkState::Starting | SinkState::Healthy)
        });
        going.map(|(_, (_, worker))| worker.queue().bytes()).max()
    }

    fn carry_out(&self, posts: &mut Posts, sink: usize, order: Order) {
        let mut eligible = SinkSet::default();
        for (index, post) in posts.sinks.iter().enumerate() {
            if post.attachment.is_eligible() {
                eligible.insert(index);
            }
        }
        self.pipeline.set_eligible(eligible);
        let Some(post) = posts.sinks.get_mut(sink) else { return };
        match order {
            Order::Keep => {}
            Order::Cut(cause) => {
                if let Some(cause) = cause {
                    post.meter.detached(cause.name());
                }
                self.pipeline.cut(sink);
            }
            Order::Close => self.pipeline.ledger().close(sink),
        }
        if !post.attachment.wants_reader()
            && let Some(reader) = &post.reader
        {
            reader.stop.store(true, Ordering::Release);
        }
        self.log(sink, post);
    }

    fn log(&self, sink: usize, post: &mut Post) {
        let (before, after) = (post.logged, post.attachment.state());
        if before == after {
            return;
        }
        post.logged = after;
        post.meter.state(before.name(), after.name());
        let Some(worker) = self.pipeline.sinks().get(sink) else { return };
        let (name, reason) = (worker.name(), post.attachment.reason().unwrap_or_default());
        match after {
            // The worker has said so.
            State::Starting | State::Healthy | State::Degraded if before.is_shared() => {}
            State::Starting | State::Healthy | State::Degraded => {
                tracing::info!(sink = %name, state = after.name(), "sink is on the shared read again");
            }
            State::CatchingUp => tracing::info!(sink = %name, reason, "sink catches up with a private reader"),
            State::Paused | State::Draining | State::Drained => {
                tracing::info!(sink = %name, state = after.name(), reason, "sink held by the operator");
            }
            State::Detached => {
                tracing::warn!(sink = %name, reason, "sink detached: the others go on, it is replayed from its own offset");
            }
            State::Failed => tracing::error!(sink = %name, reason, "sink failed; its offsets stay where they are"),
        }
    }

    /// Takes back the places of readers that are over, gives places to sinks that wait, and tells readers what they may do.
    fn serve_readers(&self, posts: &mut Posts) {
        let Posts { sinks, places, .. } = posts;
        for post in sinks.iter_mut() {
            if let Some(reader) = post.reader.take_if(|reader| reader.has_ended()) {
                post.lost = post.lost.take().or_else(|| reader.lost());
                places.push(Arc::clone(&reader.memory));
            }
        }
        for (sink, post) in sinks.iter_mut().enumerate() {
            if post.reader.is_none()
                && post.attachment.wants_reader()
                && let Some(memory) = places.pop()
            {
                let signal = ReaderSignal::new(memory);
                match self.readers.start(sink, Arc::clone(&signal)) {
                    Ok(()) => post.reader = Some(signal),
                    Err(error) => {
                        tracing::error!(error, "a private reader could not be started; it is tried again");
                        places.push(Arc::clone(&signal.memory));
                    }
                }
            }
            if let Some(reader) = &post.reader {
                reader.may_join.store(post.attachment.may_join(), Ordering::Release);
                reader.wants_attach.store(post.attachment.wants_attach(), Ordering::Release);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posts> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
