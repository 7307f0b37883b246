//! What a seed decides before the first step: the shape of the world and which faults it knows.
//!
//! Most faults are absent from most seeds: a run that suffers from everything at once gets nowhere interesting.

use std::time::Duration;

use super::random::Random;

/// The shape of one simulated world. Chances are in a thousand.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) processes: usize,
    pub(super) partitions: i32,
    pub(super) sinks: usize,
    pub(super) workers: usize,
    pub(super) steps: usize,
    /// Records that are there before anything starts; more come while it runs.
    pub(super) records: usize,
    pub(super) keys: u64,
    pub(super) batch_rows: usize,
    pub(super) memory_bytes: u64,
    pub(super) is_eager: bool,
    pub(super) is_static: bool,
    pub(super) starts_latest: bool,
    /// Sinks stand at different places when the first process starts.
    pub(super) is_staggered: bool,
    pub(super) faults: Faults,
}

/// How often what goes wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) kill: u32,
    pub(super) pause: u32,
    pub(super) stop: u32,
    pub(super) broker_error: u32,
    pub(super) commit_pause: u32,
    pub(super) entry_error: u32,
    pub(super) stray: u32,
    pub(super) sink_error: u32,
    pub(super) lost_answer: u32,
    pub(super) freeze: u32,
    pub(super) letters_fail: u32,
    pub(super) bad_records: u32,
    pub(super) noise_records: u32,
    pub(super) gaps: u32,
    pub(super) compaction: u32,
    pub(super) retention: u32,
    /// Retention removes what was not read: at most once a run.
    pub(super) harmful_cut: u32,
    pub(super) clock_jump: u32,
    /// A partition's fetcher stops for no reason; what helps is decided then.
    pub(super) wedge: u32,
}

/// How long a partition may stand still in the simulation.
pub(super) const STALL: Duration = Duration::from_secs(20);
/// `session.timeout.ms`.
pub(super) const SESSION: Duration = Duration::from_secs(10);

impl Plan {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut some = |chance: u32, rate: u32| if random.permille(chance) { rate } else { 0 };
        let faults = Faults {
            kill: some(500, 8),
            pause: some(500, 16),
            stop: some(300, 6),
            broker_error: some(400, 150),
            commit_pause: some(300, 100),
            entry_error: some(300, 60),
            stray: some(250, 40),
            sink_error: some(500, 200),
            lost_answer: some(500, 150),
            freeze: some(300, 8),
            letters_fail: some(300, 300),
            bad_records: some(400, 120),
            noise_records: some(500, 250),
            gaps: some(500, 150),
            compaction: some(200, 15),
            retention: some(300, 15),
            harmful_cut: some(60, 10),
            clock_jump: some(250, 6),
            wedge: some(150, 8),
        };
        Self {
            processes: random.between(1, 4),
            partitions: random.between(1, 4) as i32,
            sinks: random.between(1, 3),
            workers: random.between(1, 2),
            steps: random.between(200, 600),
            records: random.between(10, 80),
            keys: random.between(1, 6) as u64,
            batch_rows: random.between(1, 6),
            memory_bytes: 4096 * random.between(6, 40) as u64,
            is_eager: random.permille(200),
            is_static: random.permille(300),
            starts_latest: random.permille(200),
            is_staggered: random.permille(300),
            faults,
        }
    }

    /// The same world in which nothing goes wrong any more.
    pub(super) fn calm(&self) -> Faults {
        Faults::default()
    }
}
