//! One simulated world: time, processes, a broker, clusters, and what befalls them. Every choice comes from the seed.
//!
//! The world goes on by steps. A step lets one thing happen: a turn of one poll thread, one batch of one worker, one commit,
//! one answer of one cluster, one heartbeat, one fault. Where the engine blocks, further steps are taken inside of that
//! step, so that acknowledgements, rebalances and kills fall into commits and drains too.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use halcyon::dead_letter::{Budget, DeadLetters};
use halcyon::halt::HaltKind;
use halcyon::memory::Memory;
use halcyon::pipeline::Pipeline;
use halcyon::progress::ledger::GroupCommit;
use halcyon::progress::offset::{Offset, TopicPartition};
use halcyon::project::Lane;
use halcyon::sink::{Sink, SinkError};
use halcyon::source::kafka::BatchLimits;
use halcyon::source::kafka::member::{Committer, Control, Member, MemberParts, Phase, Positions, Reader, Turn, Worker};
use halcyon::topology::{ErrorBudget, Start, Topology};
use tokio::runtime::{Builder, Runtime};

use super::broker::{Broker, Fate, Record, Refused, Wedge};
use super::client::{SimGroup, SimOffsets};
use super::cluster::{Cluster, Letters, Place, SimLetters, SimSink, Writer, number};
use super::plan::{Faults, Plan, STALL};
use super::random::Random;
use crate::support::guarantee::{Kept, NoLoss, NoRewind, OrderPerKey, Violation, converged};

/// Frames of blocked engine code that further steps may be taken inside of.
const DEPTH_MAX: usize = 3;
/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(1);
/// Rounds in which a calm world must have come to rest: many times what it needs.
const ROUNDS_MAX: usize = 1500;
/// Time of one of them.
const ROUND: Duration = Duration::from_millis(300);
/// Steps of one run at most: a world that does not come to an end is a failure too.
const STEPS_MAX: usize = 200_000;
/// Events that are shown of a failing run.
const TRACE_MAX: usize = 120;

/// One incarnation of one process, without its engine.
pub(super) struct Shell {
    slot: usize,
    incarnation: u64,
    is_running: Arc<AtomicBool>,
    paused_until: Cell<Duration>,
    is_waking: Cell<bool>,
    pub(super) client: Cell<usize>,
    pub(super) is_committing: Cell<bool>,
    pub(super) runtime: Runtime,
    clock: Cell<Duration>,
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}.{}", self.slot, self.incarnation)
    }
}

impl Shell {
    pub(super) fn is_alive(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }
}

/// One running process.
struct Process {
    shell: Rc<Shell>,
    pipeline: Arc<Pipeline>,
    reader: RefCell<Reader<SimGroup, SimOffsets>>,
    committer: Arc<Committer<SimGroup, SimOffsets>>,
    control: Arc<Control>,
    workers: Vec<RefCell<Worker>>,
    stop_by: Cell<Option<Duration>>,
}

/// The world.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) broker: RefCell<Broker>,
    topology: Rc<Topology>,
    random: RefCell<Random>,
    now: Cell<Duration>,
    depth: Cell<usize>,
    steps: Cell<usize>,
    is_calm: Cell<bool>,
    is_traced: bool,
    faults: RefCell<Faults>,
    sinks: Vec<Arc<str>>,
    clusters: Vec<Arc<Mutex<Cluster>>>,
    letters: Arc<Mutex<Letters>>,
    slots: RefCell<Vec<Option<Rc<Process>>>>,
    incarnations: Cell<u64>,
    history: RefCell<Vec<Rc<Record>>>,
    /// Events that may be missing: compacted, or removed by retention before they were read.
    removed: RefCell<BTreeSet<u64>>,
    /// Keys with events that were lost for good.
    broken_keys: RefCell<BTreeSet<u64>>,
    was_cut: Cell<bool>,
    no_loss: RefCell<NoLoss>,
    order: RefCell<OrderPerKey<Writer>>,
    no_rewind: RefCell<NoRewind>,
    failure: RefCell<Option<Violation>>,
    trace: RefCell<VecDeque<String>>,
    digest: Cell<u64>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) failure: Option<Violation>,
    /// Of all that was decided and all that came of it: two runs of one seed have the same.
    pub(super) digest: u64,
    pub(super) trace: Vec<String>,
}

/// Runs the world of a seed to its end.
pub(super) fn run(seed: u64, topology: &Rc<Topology>, is_traced: bool) -> Outcome {
    let world = World::new(seed, topology, is_traced);
    world.live();
    world.end()
}

impl World {
    fn new(seed: u64, topology: &Rc<Topology>, is_traced: bool) -> Rc<Self> {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random);
        let sinks: Vec<Arc<str>> = ["blue", "green", "red"].into_iter().take(plan.sinks).map(Arc::from).collect();
        let world = Rc::new(Self {
            broker: RefCell::new(Broker::new(plan.partitions)),
            topology: Rc::clone(topology),
            random: RefCell::new(random),
            now: Cell::new(Duration::ZERO),
            depth: Cell::new(0),
            steps: Cell::new(0),
            is_calm: Cell::new(false),
            is_traced,
            faults: RefCell::new(plan.faults.clone()),
            clusters: sinks.iter().map(|_| Arc::default()).collect(),
            sinks,
            letters: Arc::default(),
            slots: RefCell::new((0..plan.processes).map(|_| None).collect()),
            incarnations: Cell::new(0),
            history: RefCell::default(),
            removed: RefCell::default(),
            broken_keys: RefCell::default(),
            was_cut: Cell::new(false),
            no_loss: RefCell::default(),
            order: RefCell::default(),
            no_rewind: RefCell::default(),
            failure: RefCell::default(),
            trace: RefCell::default(),
            digest: Cell::new(seed),
            plan,
        });
        world.trace(|| format!("{:?}", world.plan));
        world.prepare();
        world
    }

    /// The logs, and where the sinks stand before the first process starts.
    fn prepare(&self) {
        let floor = if self.plan.starts_latest { None } else { Some(Offset(0)) };
        for partition in 0..self.plan.partitions {
            let place = self.broker.borrow().place(partition);
            (0..self.plan.sinks).for_each(|sink| self.no_loss.borrow_mut().watch(sink, &place, floor));
        }
        (0..self.plan.records).for_each(|_| self.append());
        if !self.plan.is_staggered {
            return;
        }
        for (sink, name) in self.sinks.iter().enumerate() {
            for partition in 0..self.plan.partitions {
                let end = self.broker.borrow().logs[partition as usize].end;
                let at = self.below(end as usize + 1) as i64;
                let (group, place) = (format!("sim.{name}"), self.broker.borrow().place(partition));
                let mut no_loss = self.no_loss.borrow_mut();
                no_loss.begins(sink, &place, Offset(0));
                for record in self.history.borrow().iter() {
                    if record.partition == partition && record.offset < at {
                        no_loss.durable(sink, &place, Offset(record.offset)).expect("its start is known");
                        fold(record, &mut lock(&self.clusters[sink]).cells);
                    }
                }
                self.broker.borrow_mut().offsets.insert((group.clone(), partition), at);
                self.no_rewind.borrow_mut().reset(&group, &place, Offset(at));
            }
        }
    }

    // ---- choices, time, failures ----

    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }

    pub(super) fn faults(&self) -> std::cell::Ref<'_, Faults> {
        self.faults.borrow()
    }

    pub(super) fn below(&self, limit: usize) -> usize {
        self.random.borrow_mut().below(limit)
    }

    pub(super) fn between(&self, from: usize, to: usize) -> usize {
        self.random.borrow_mut().between(from, to)
    }

    pub(super) fn permille(&self, chance: u32) -> bool {
        chance > 0 && self.random.borrow_mut().permille(chance)
    }

    fn pass(&self, time: Duration) {
        self.now.set(self.now() + time);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    fn hold(&self, kept: Kept) {
        if let Err(violation) = kept {
            self.trace(|| format!("VIOLATION {}", violation.0));
            self.failure.borrow_mut().get_or_insert(violation);
        }
    }

    fn fail(&self, message: String) {
        self.hold(Err(Violation(message)));
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if !self.is_traced {
            return;
        }
        let mut trace = self.trace.borrow_mut();
        if trace.len() == TRACE_MAX {
            // The plan stays the first line.
            trace.remove(1);
        }
        trace.push_back(format!("{:9.3} {:>5} {}", self.now().as_secs_f64(), self.steps.get(), line()));
    }

    fn mark(&self, what: u64) {
        self.digest.set((self.digest.get() ^ what).wrapping_mul(0x0100_0000_01B3));
    }

    // ---- the course of things ----

    fn live(self: &Rc<Self>) {
        while self.steps.get() < self.plan.steps && !self.has_failed() {
            self.step();
        }
        self.trace(|| "calm".to_owned());
        self.is_calm.set(true);
        *self.faults.borrow_mut() = self.plan.calm();
        self.clusters.iter().for_each(|cluster| lock(cluster).is_frozen = false);
        for round in 0..ROUNDS_MAX {
            if self.has_failed() || self.is_at_rest() {
                break;
            }
            self.round();
            if round + 1 == ROUNDS_MAX {
                self.fail(format!("convergence: not at rest after {ROUNDS_MAX} calm rounds: {}", self.unrest()));
            }
        }
        if !self.has_failed() {
            self.compare();
        }
    }

    fn end(self: Rc<Self>) -> Outcome {
        self.depth.set(0);
        let processes: Vec<_> = self.slots.borrow_mut().iter_mut().filter_map(Option::take).collect();
        processes.iter().for_each(|process| self.end_process(process));
        drop(processes);
        let mut digest = self.digest.get();
        for (_, offset) in self.broker.borrow().offsets.iter() {
            digest = (digest ^ *offset as u64).wrapping_mul(0x0100_0000_01B3);
        }
        let failure = self.failure.borrow_mut().take();
        let trace = self.trace.borrow_mut().drain(..).collect();
        Outcome { failure, digest: digest ^ self.random.borrow_mut().next(), trace }
    }

    /// Something happens inside of something that blocks. Returns whether anything may still happen.
    pub(super) fn nested(self: &Rc<Self>) -> bool {
        if self.has_failed() {
            return false;
        }
        self.depth.set(self.depth.get() + 1);
        self.step();
        self.depth.set(self.depth.get() - 1);
        !self.has_failed()
    }

    /// A few things happen inside of something that blocks for a short time.
    pub(super) fn nested_some(self: &Rc<Self>) {
        for _ in 0..self.below(3) {
            self.nested();
        }
    }

    fn step(self: &Rc<Self>) {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX {
            return self.fail(format!("no end after {STEPS_MAX} steps"));
        }
        // Where something blocks, little else may happen until it is over: time goes faster.
        let time = match self.below(40) {
            0 => self.between(50, 400),
            1 => self.between(300, 2000),
            2..6 if self.depth.get() > 0 => self.between(200, 1500),
            _ => self.below(4),
        };
        self.pass(Duration::from_millis(time as u64));
        if !self.is_calm.get() {
            self.befall();
        }
        let choice = self.below(100);
        self.mark(choice as u64 ^ (self.now().as_micros() as u64) << 8);
        let is_deep = self.depth.get() >= DEPTH_MAX;
        match choice {
            0..30 if !is_deep => self.any(Self::turn),
            0..45 => self.any(Self::background),
            45..60 => self.any(Self::work),
            60..68 => self.any(|world, process| world.drive(&process.shell)),
            68..85 => self.serve(self.below(self.sinks.len())),
            85..89 => self.store_letters(),
            89..95 if !is_deep => self.any(Self::commit),
            89..97 => self.broker.borrow_mut().tick_coordinator(self.now()),
            _ if !self.is_calm.get() && self.history.borrow().len() < 3 * self.plan.records + 40 => self.append(),
            _ => {}
        }
    }

    /// Everybody does everything once, in order: what a calm world needs to come to rest.
    fn round(self: &Rc<Self>) {
        self.pass(ROUND);
        for slot in 0..self.plan.processes {
            if self.process(slot).is_none() {
                self.start(slot);
            }
            let Some(process) = self.process(slot) else { continue };
            process.shell.paused_until.set(Duration::ZERO);
            self.background(&process);
            for partition in 0..self.plan.partitions {
                self.broker.borrow_mut().fetch(process.shell.client.get(), partition, 8);
            }
            for _ in 0..4 {
                self.turn(&process);
                (0..process.workers.len()).for_each(|worker| self.work_at(&process, worker));
            }
            self.drive(&process.shell);
            self.check(&process);
        }
        for sink in 0..self.sinks.len() {
            while !self.has_failed() && !lock(&self.clusters[sink]).requests.is_empty() {
                self.serve(sink);
            }
        }
        while !lock(&self.letters).requests.is_empty() {
            self.store_letters();
        }
        for slot in 0..self.plan.processes {
            self.process(slot).iter().for_each(|process| self.commit(process));
        }
        self.broker.borrow_mut().tick_coordinator(self.now());
    }

    fn process(&self, slot: usize) -> Option<Rc<Process>> {
        self.slots.borrow().get(slot).and_then(Option::clone)
    }

    /// Something about one process that runs.
    fn any(self: &Rc<Self>, what: impl FnOnce(&Rc<Self>, &Rc<Process>)) {
        let slot = self.below(self.plan.processes);
        match self.process(slot) {
            Some(process) if self.is_paused(&process.shell) => {}
            Some(process) => {
                // Whoever is woken may go on anywhere: what was acknowledged meanwhile may be committed before the poll
                // thread learns what else has happened.
                if process.shell.is_waking.take() && self.depth.get() < DEPTH_MAX && self.below(2) == 0 {
                    self.drive(&process.shell);
                    self.commit(&process);
                }
                what(self, &process);
                self.check(&process);
            }
            None if self.below(3) == 0 => self.start(slot),
            None => {}
        }
    }

    // ---- what processes do ----

    fn start(self: &Rc<Self>, slot: usize) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        self.incarnations.set(self.incarnations.get() + 1);
        let instance = self.plan.is_static.then(|| format!("instance-{slot}"));
        let client = self.broker.borrow_mut().connect(instance, self.plan.is_eager);
        let shell = Rc::new(Shell {
            slot,
            incarnation: self.incarnations.get(),
            is_running: Arc::new(AtomicBool::new(true)),
            paused_until: Cell::default(),
            is_waking: Cell::default(),
            client: Cell::new(client),
            is_committing: Cell::new(false),
            clock: Cell::new(self.now()),
            runtime,
        });
        self.trace(|| format!("{shell}: starts"));
        let process = self.engine(&shell);
        self.slots.borrow_mut()[slot] = Some(Rc::new(process));
    }

    /// The real engine in a simulated process.
    fn engine(self: &Rc<Self>, shell: &Rc<Shell>) -> Process {
        let _in_runtime = shell.runtime.enter();
        let sinks: Vec<Arc<dyn Sink>> = self
            .sinks
            .iter()
            .zip(&self.clusters)
            .map(|(name, cluster)| {
                Arc::new(SimSink {
                    name: Arc::clone(name),
                    incarnation: shell.incarnation,
                    is_alive: Arc::clone(&shell.is_running),
                    cluster: Arc::clone(cluster),
                }) as Arc<dyn Sink>
            })
            .collect();
        let letters = SimLetters { is_alive: Arc::clone(&shell.is_running), letters: Arc::clone(&self.letters) };
        let budget = Budget::new(ErrorBudget { minimum: u64::MAX, share: 1.0 });
        let letters = (DeadLetters::Foreign(Arc::new(letters)), budget);
        let memory = Memory::new(self.plan.memory_bytes);
        let pipeline = Pipeline::start(sinks, memory, letters, shell.runtime.handle().clone());
        let offsets = |sink, group| SimOffsets { world: Rc::clone(self), shell: Rc::clone(shell), sink, group };
        let stores = self.sinks.iter().enumerate().map(|(sink, name)| offsets(Some(sink), format!("sim.{name}")));
        let mut topology = Topology::clone(&self.topology);
        let start = if self.plan.starts_latest { Start::Latest } else { Start::Earliest };
        topology.topics.values_mut().for_each(|topic| topic.start = Some(start.clone()));
        let lanes = || BTreeMap::from([("events".to_owned(), Lane::new(&topology, "events").expect("legal"))]);
        let lanes = (0..self.plan.workers).map(|_| lanes()).collect();
        #[expect(clippy::arc_with_non_send_sync, reason = "as below")]
        let membership = Arc::new(offsets(None, "sim".to_owned()));
        let parts = MemberParts {
            name: "sim".to_owned(),
            positions: Positions {
                read: Arc::default(),
                topology,
                sinks: self.sinks.clone(),
                others: BTreeMap::new(),
                membership,
                accepted: Vec::new(),
            },
            stores: stores.collect(),
            lanes,
            schemas: Arc::default(),
            instance_id: None,
            limits: BatchLimits { rows: self.plan.batch_rows, bytes: 4096, linger: Duration::from_millis(10) },
            drain_timeout: DRAIN,
            stall: STALL,
        };
        #[expect(
            clippy::arc_with_non_send_sync,
            reason = "the engine shares it between threads, the simulation has one"
        )]
        let group = Arc::new(SimGroup { world: Rc::clone(self), shell: Rc::clone(shell) });
        let Member { reader, committer, control, workers } = Member::new(group, &pipeline, parts);
        Process {
            shell: Rc::clone(shell),
            pipeline,
            reader: RefCell::new(reader),
            committer,
            control,
            workers: workers.into_iter().map(RefCell::new).collect(),
            stop_by: Cell::new(None),
        }
    }

    /// Brings the process's clock up to date and lets its tasks run.
    pub(super) fn drive(&self, shell: &Shell) {
        let late = self.now().saturating_sub(shell.clock.get());
        shell.clock.set(self.now());
        shell.runtime.block_on(async {
            if !late.is_zero() {
                tokio::time::advance(late).await;
            }
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn turn(self: &Rc<Self>, process: &Rc<Process>) {
        let Ok(mut reader) = process.reader.try_borrow_mut() else { return };
        // Blocked at the lock that a commit in flight holds, as soon as it wants to commit itself.
        if process.shell.is_committing.get() {
            return;
        }
        self.drive(&process.shell);
        let _in_runtime = process.shell.runtime.enter();
        let turn = reader.turn();
        drop(reader);
        self.go_on_stopping(process, turn);
    }

    fn go_on_stopping(self: &Rc<Self>, process: &Rc<Process>, turn: Turn) {
        let Some(by) = process.stop_by.get().filter(|_| process.shell.is_alive()) else { return };
        if turn == Turn::Left {
            self.trace(|| format!("{}: has stopped", process.shell));
            self.broker.borrow_mut().close(process.shell.client.get());
            return self.end_process(process);
        }
        let pipeline = &process.pipeline;
        let is_drained = process.control.is_flushed() && pipeline.ledger().is_idle(pipeline.all(), None);
        if process.control.has_left() || !(is_drained || self.now() > by) || process.shell.is_committing.get() {
            return;
        }
        process.committer.commit();
        process.control.set_phase(Phase::Leaving);
    }

    fn background(self: &Rc<Self>, process: &Rc<Process>) {
        let (client, mut broker) = (process.shell.client.get(), self.broker.borrow_mut());
        broker.tick_client(client, self.now());
        let partition = self.below(self.plan.partitions as usize) as i32;
        broker.fetch(client, partition, self.between(1, 5));
        if self.permille(self.faults().entry_error) {
            broker.upset(client, partition);
        }
    }

    fn work(self: &Rc<Self>, process: &Rc<Process>) {
        self.work_at(process, self.below(process.workers.len()));
    }

    fn work_at(self: &Rc<Self>, process: &Rc<Process>, worker: usize) {
        let _in_runtime = process.shell.runtime.enter();
        if let Ok(mut worker) = process.workers[worker].try_borrow_mut() {
            worker.step();
        }
    }

    fn commit(self: &Rc<Self>, process: &Rc<Process>) {
        if process.shell.is_committing.get() {
            return;
        }
        let _in_runtime = process.shell.runtime.enter();
        process.committer.commit();
    }

    pub(super) fn commit_member(&self, shell: &Shell, commits: &[GroupCommit]) -> Result<(), Refused> {
        let offsets: Vec<(i32, i64)> =
            commits.iter().map(|commit| (commit.partition.partition, commit.offset.0)).collect();
        let result = self.broker.borrow_mut().commit_member(shell.client.get(), commits, self.now());
        self.trace(|| format!("{shell}: commits {offsets:?} for the group: {result:?}"));
        if result.is_ok() {
            for commit in commits {
                (0..self.sinks.len()).for_each(|sink| self.claim(sink, &commit.partition, commit.offset));
            }
        }
        result
    }

    pub(super) fn commit_sink(
        &self,
        shell: &Shell,
        (sink, group): (usize, &str),
        (partition, offset): (&TopicPartition, Offset),
    ) {
        self.trace(|| format!("{shell}: commits {partition} at {offset} for {group}"));
        self.mark(offset.0 as u64);
        let kept = self.no_rewind.borrow_mut().committed(group, partition, offset);
        self.hold(kept);
        let kept = self.no_loss.borrow_mut().claimed(sink, partition, offset);
        self.hold(kept);
        self.broker.borrow_mut().offsets.insert((group.to_owned(), partition.partition), offset.0);
    }

    /// Nothing is claimed of a sink that was not even told yet where it starts.
    fn claim(&self, sink: usize, partition: &TopicPartition, end: Offset) {
        let mut no_loss = self.no_loss.borrow_mut();
        if no_loss.floor(sink, partition).is_some() {
            let kept = no_loss.claimed(sink, partition, end);
            drop(no_loss);
            self.hold(kept);
        }
    }

    /// What the process believes must be true, and it must not have given up.
    fn check(self: &Rc<Self>, process: &Rc<Process>) {
        if !process.shell.is_alive() {
            return;
        }
        if let Some(halt) = process.pipeline.halt().get() {
            if halt.kind == HaltKind::Policy && self.was_cut.get() {
                return self.accept_loss();
            }
            // One that was stopped for long may find the log cut behind the others before it learns that it lost its
            // partitions. Started again, it has nothing to complain about.
            if halt.kind == HaltKind::Policy && self.plan.faults.retention > 0 && !self.is_calm.get() {
                return self.kill(process);
            }
            // Brokers that fail, asked by a process that sleeps between its tries, use up its patience: it says so, and is
            // started again. Those that answer never do.
            let has_given_up = halt.message.starts_with("the sinks' offsets cannot be read");
            if has_given_up && self.plan.faults.broker_error > 0 && !self.is_calm.get() {
                return self.kill(process);
            }
            return self.fail(format!("{}: halted: {}", process.shell, halt.message));
        }
        for view in process.pipeline.ledger().view() {
            // A start that was not committed is nothing that anybody claims: the next owner may decide another.
            for (sink, progress) in view.sinks.iter().enumerate().filter(|(_, sink)| sink.committed.is_some()) {
                self.claim(sink, &view.partition, progress.durable);
            }
        }
    }

    // ---- clusters ----

    /// A cluster answers one of its requests.
    fn serve(self: &Rc<Self>, sink: usize) {
        let mut cluster = lock(&self.clusters[sink]);
        if cluster.is_frozen || cluster.requests.is_empty() {
            return;
        }
        let at = self.below(cluster.requests.len());
        let request = cluster.requests.remove(at);
        let is_gone = request.reply.is_abandoned();
        if is_gone && self.permille(300) {
            return;
        }
        let transient = |text: &str| Err(SinkError::Transient(text.to_owned()));
        let (limit, answer) = if self.permille(self.faults().sink_error) {
            (if self.below(2) == 0 { 0 } else { self.below(8) }, transient("refused"))
        } else if self.permille(self.faults().lost_answer) {
            (usize::MAX, transient("the answer was lost"))
        } else {
            (usize::MAX, Ok(()))
        };
        let applied = cluster.apply(&request.tables, limit);
        // What was acknowledged is in order; what failed is written again, and its first try may still come later.
        let writer = (answer.is_ok() && !is_gone).then_some(request.writer);
        let is_served_again = answer.is_err() && !is_gone && self.permille(200);
        request.reply.send(answer);
        if is_served_again {
            cluster.requests.push(request);
        }
        drop(cluster);
        self.note(sink, &applied, writer);
    }

    /// Each event has a row of its own in the journal, by which it is known to be durable.
    fn note(&self, sink: usize, applied: &[(Arc<str>, hbase::cell::Cell)], writer: Option<Writer>) {
        for (_, cell) in applied.iter().filter(|(table, _)| &**table == "journal") {
            let id = number(&cell.row);
            let record = Rc::clone(&self.history.borrow()[id as usize - 1]);
            let (place, offset) = (self.broker.borrow().place(record.partition), Offset(record.offset));
            let kept = self.no_loss.borrow_mut().durable(sink, &place, offset);
            self.hold(kept);
            if let Some(writer) = &writer {
                let kept = self.order.borrow_mut().wrote(writer, sink, (record.key, offset));
                self.hold(kept);
            }
        }
    }

    fn store_letters(&self) {
        let mut letters = lock(&self.letters);
        if letters.requests.is_empty() {
            return;
        }
        let at = self.below(letters.requests.len());
        let (places, reply) = letters.requests.remove(at);
        drop(letters);
        if self.permille(self.faults().letters_fail) {
            return reply.send(Err(()));
        }
        for (partition, offset) in places {
            let place = self.broker.borrow().place(partition);
            let kept = self.no_loss.borrow_mut().dead_lettered(&place, Offset(offset));
            self.hold(kept);
        }
        reply.send(Ok(()));
    }

    // ---- the log ----

    fn append(&self) {
        let (id, key) = (self.history.borrow().len() as u64 + 1, self.below(self.plan.keys as usize) as u64);
        let partition = (key % self.plan.partitions as u64) as i32;
        let faults = self.faults.borrow().clone();
        let fate = if self.permille(faults.bad_records) {
            Fate::Bad
        } else if self.permille(faults.noise_records) {
            Fate::Noise
        } else {
            Fate::Rows
        };
        let note = (self.below(4) == 0).then(|| self.below(1000) as u64);
        let kind = if fate == Fate::Noise { "noise" } else { "set" };
        let carried = note.map(|note| format!(",\"note\":{note}")).unwrap_or_default();
        let mut payload = format!("{{\"id\":{id},\"key\":{key},\"version\":{id},\"kind\":\"{kind}\"{carried}}}");
        if fate == Fate::Bad {
            payload.truncate(12);
        }
        let mut broker = self.broker.borrow_mut();
        let place = broker.place(partition);
        let log = &mut broker.logs[partition as usize];
        let offset = log.end;
        let record = Record { partition, offset, id, key, note, fate, payload: payload.into_bytes() };
        log.end = offset + 1;
        let record = Rc::new(record);
        log.records.insert(offset, Rc::clone(&record));
        if self.permille(faults.gaps) {
            log.end += self.between(1, 3) as i64;
        }
        self.history.borrow_mut().push(record);
        if fate != Fate::Noise {
            self.no_loss.borrow_mut().appended(&place, Offset(offset));
        }
    }

    /// Removes an event of which nothing is left to say: all it carries, a later event of its key says anew.
    fn compact(&self) {
        let mut broker = self.broker.borrow_mut();
        let partition = self.below(self.plan.partitions as usize);
        let place = broker.place(partition as i32);
        let log = &mut broker.logs[partition];
        let is_said_anew = |record: &Record| {
            let mut later = log.records.range(record.offset + 1..);
            record.note.is_none()
                && record.fate == Fate::Rows
                && later.any(|(_, later)| later.key == record.key && later.fate == Fate::Rows)
        };
        let superseded: Vec<Rc<Record>> =
            log.records.values().filter(|record| is_said_anew(record)).map(Rc::clone).collect();
        let Some(record) = superseded.get(self.below(superseded.len())) else { return };
        log.records.remove(&record.offset);
        self.removed.borrow_mut().insert(record.id);
        self.no_loss.borrow_mut().removed(&place, Offset(record.offset));
    }

    /// Retention removes the beginning of a log: what every sink has committed, or more.
    fn retain(&self, is_harmful: bool) {
        let mut broker = self.broker.borrow_mut();
        let partition = self.below(self.plan.partitions as usize);
        let committed: Option<Vec<i64>> = self
            .sinks
            .iter()
            .map(|sink| broker.offsets.get(&(format!("sim.{sink}"), partition as i32)).copied())
            .collect();
        let Some(least) = committed.and_then(|committed| committed.into_iter().min()) else { return };
        let log = &mut broker.logs[partition];
        let low = if is_harmful { log.end - self.below(3) as i64 } else { log.low.max(least) };
        if low <= log.low || low > log.end {
            return;
        }
        log.low = low;
        log.records = log.records.split_off(&low);
        if low > least {
            self.was_cut.set(true);
        }
        self.trace(|| format!("retention: {partition} begins at {low}"));
    }

    /// An operator reads why the run stopped, gives the lost range up, and starts again.
    fn accept_loss(self: &Rc<Self>) {
        self.trace(|| "the operator accepts the loss".to_owned());
        for slot in 0..self.plan.processes {
            self.process(slot).iter().for_each(|process| self.kill(process));
        }
        let mut broker = self.broker.borrow_mut();
        for partition in 0..self.plan.partitions {
            let (low, place) = (broker.logs[partition as usize].low, broker.place(partition));
            for sink in &self.sinks {
                let group = (format!("sim.{sink}"), partition);
                if broker.offsets.get(&group).is_some_and(|committed| *committed < low) {
                    self.no_rewind.borrow_mut().reset(&group.0, &place, Offset(low));
                    broker.offsets.insert(group, low);
                }
            }
            for record in self.history.borrow().iter() {
                if record.partition == partition && record.offset < low {
                    self.no_loss.borrow_mut().removed(&place, Offset(record.offset));
                    self.removed.borrow_mut().insert(record.id);
                    self.broken_keys.borrow_mut().insert(record.key);
                }
            }
        }
    }

    // ---- what befalls the world ----

    fn befall(self: &Rc<Self>) {
        let faults = self.faults.borrow().clone();
        if self.permille(faults.kill) {
            self.process(self.below(self.plan.processes)).iter().for_each(|process| self.kill(process));
        }
        if self.permille(faults.pause) {
            self.process(self.below(self.plan.processes)).iter().for_each(|process| self.pause(&process.shell));
        }
        if self.permille(faults.stop)
            && let Some(process) = self.process(self.below(self.plan.processes))
            && process.stop_by.get().is_none()
        {
            self.trace(|| format!("{}: is asked to stop", process.shell));
            process.stop_by.set(Some(self.now() + DRAIN));
            process.control.set_phase(Phase::Draining);
        }
        if self.permille(faults.freeze) {
            let mut cluster = lock(&self.clusters[self.below(self.sinks.len())]);
            cluster.is_frozen = !cluster.is_frozen;
        }
        if self.permille(faults.compaction) {
            self.compact();
        }
        if self.permille(faults.retention) {
            self.retain(false);
        }
        if self.permille(faults.harmful_cut) && !self.was_cut.get() {
            self.retain(true);
        }
        if self.permille(faults.clock_jump) {
            self.pass(Duration::from_secs(self.between(1, 30) as u64));
        }
        if self.permille(faults.wedge) {
            self.wedge();
        }
    }

    fn wedge(&self) {
        let Some(process) = self.process(self.below(self.plan.processes)) else { return };
        let partition = self.below(self.plan.partitions as usize) as i32;
        let wedge = if self.below(2) == 0 { Wedge::UntilReassigned } else { Wedge::UntilRenewed };
        let client = process.shell.client.get();
        if let Some(fetch) = self.broker.borrow_mut().clients[client].fetches.get_mut(&partition) {
            self.trace(|| format!("{}: {partition} is stuck {wedge:?}", process.shell));
            fetch.get_stuck(wedge);
        }
    }

    /// SIGKILL, or the power.
    fn kill(self: &Rc<Self>, process: &Rc<Process>) {
        self.trace(|| format!("{}: killed", process.shell));
        self.broker.borrow_mut().cut(process.shell.client.get());
        self.end_process(process);
    }

    fn end_process(&self, process: &Rc<Process>) {
        process.shell.is_running.store(false, Ordering::Relaxed);
        process.pipeline.stop();
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[process.shell.slot];
        if slot.as_ref().is_some_and(|current| Rc::ptr_eq(current, process)) {
            *slot = None;
        }
        drop(slots);
        // Dropped tasks give up what they wait for.
        process.shell.runtime.block_on(tokio::task::yield_now());
    }

    /// SIGSTOP: the process does nothing until it is woken, and does not know that it slept.
    pub(super) fn pause(&self, shell: &Shell) {
        if !self.is_calm.get() {
            self.trace(|| format!("{shell}: paused"));
            shell.is_waking.set(true);
            shell.paused_until.set(self.now() + Duration::from_millis(self.between(100, 25_000) as u64));
        }
    }

    pub(super) fn is_paused(&self, shell: &Shell) -> bool {
        !self.is_calm.get() && shell.is_alive() && self.now() < shell.paused_until.get()
    }

    pub(super) fn renew(&self, shell: &Shell) {
        let mut broker = self.broker.borrow_mut();
        let instance = self.plan.is_static.then(|| format!("instance-{}", shell.slot));
        let fresh = broker.connect(instance, self.plan.is_eager);
        broker.close(shell.client.replace(fresh));
    }

    // ---- the end ----

    /// Everything is durable and committed up to the end of every log.
    fn is_at_rest(&self) -> bool {
        let broker = self.broker.borrow();
        let is_committed = |sink: &Arc<str>, partition: i32| {
            let end = broker.logs[partition as usize].end;
            broker.offsets.get(&(format!("sim.{sink}"), partition)) == Some(&end)
        };
        self.no_loss.borrow().is_settled()
            && self.sinks.iter().all(|sink| (0..self.plan.partitions).all(|partition| is_committed(sink, partition)))
    }

    fn unrest(&self) -> String {
        let broker = self.broker.borrow();
        let ends: Vec<i64> = broker.logs.iter().map(|log| log.end).collect();
        format!("the logs end at {ends:?}, committed is {:?}", broker.offsets)
    }

    /// Every sink holds what a naive fold of the history says.
    fn compare(&self) {
        for (sink, cluster) in self.clusters.iter().enumerate() {
            // What a sink did not ask for may have come in a batch with what it did.
            let (mut expected, mut early) = (BTreeMap::new(), BTreeMap::new());
            for record in self.history.borrow().iter() {
                let place = self.broker.borrow().place(record.partition);
                let floor = self.no_loss.borrow().floor(sink, &place);
                let is_due = floor.is_some_and(|floor| record.offset >= floor.0);
                fold(record, if is_due { &mut expected } else { &mut early });
            }
            let found = &lock(cluster).cells;
            let kept = converged(sink, found, &expected, |place| {
                let is_lost = match &*place.0 {
                    "journal" => self.removed.borrow().contains(&place.1),
                    _ => self.broken_keys.borrow().contains(&place.1),
                };
                is_lost || early.contains_key(place) && !expected.contains_key(place)
            });
            self.hold(kept);
        }
    }
}

/// What an event says, without a line of the engine.
fn fold(record: &Record, rows: &mut BTreeMap<Place, (i64, Vec<u8>)>) {
    if record.fate != Fate::Rows {
        return;
    }
    let mut set = |table: &str, row: u64, column: &[u8], value: u64| {
        let cell = (record.id as i64, value.to_be_bytes().to_vec());
        rows.insert((Arc::from(table), row, column.to_vec()), cell);
    };
    set("journal", record.id, b"key", record.key);
    set("latest", record.key, b"id", record.id);
    if let Some(note) = record.note {
        set("latest", record.key, b"note", note);
    }
}

fn lock<T>(shared: &Arc<Mutex<T>>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
