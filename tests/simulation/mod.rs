//! The engine in a world made of a seed: the real reader, ledger, pipeline, sink workers and committer in one to four
//! processes, against a simulated broker and simulated clusters, in one thread and in virtual time.
//!
//! After every step the guarantees of `support/guarantee.rs` are checked against what the clusters really hold; at the end
//! the world is left alone until it rests, and every cluster is compared with a naive fold of the log.
//!
//! All sinks stay attached to the shared read: private readers, the governor and the schema registry have tests of their own.
//!
//! `SIM_SEED=n` runs one seed and prints its last events; `SIM_SEEDS=n` runs that many (from `SIM_FIRST` on).

mod broker;
mod client;
mod cluster;
#[cfg(debug_assertions)]
mod mutants;
mod plan;
mod random;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use halcyon::topology::Topology;

use self::world::Outcome;
use crate::support::guarantee::Violation;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 2000;

fn topology() -> Rc<Topology> {
    let text = include_str!("topology.toml");
    let loaded = halcyon::topology::load::parse("topology.toml", text, &|_| None);
    Rc::new(loaded.expect("a legal topology").topology)
}

/// A panic of the engine is a failure like any other.
fn run(seed: u64, topology: &Rc<Topology>, is_traced: bool) -> Outcome {
    let ended = catch_unwind(AssertUnwindSafe(|| world::run(seed, topology, is_traced)));
    ended.unwrap_or_else(|panic| {
        let failure = Some(Violation(format!("panic: {}", said(&*panic))));
        Outcome { failure, digest: 0, trace: Vec::new() }
    })
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, but is {text}")))
}

fn report(seed: u64, outcome: &Outcome) -> String {
    let what = outcome.failure.as_ref().map_or("nothing", |violation| &violation.0);
    let replay = format!("SIM_SEED={seed} cargo test --locked --test tests simulation::seeds -- --nocapture");
    format!("seed {seed}: {what}\n{}\nreplay: {replay}", outcome.trace.join("\n"))
}

/// Runs seeds on all cores until one fails; returns the smallest that did.
fn first_failure(first: u64, count: u64) -> Option<u64> {
    let (next, is_over, found) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(None::<u64>));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let topology = topology();
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if (seed - first + 1).is_multiple_of(10_000) {
                        println!("{} seeds", seed - first + 1);
                    }
                    if run(seed, &topology, false).failure.is_some() {
                        is_over.store(true, Ordering::Relaxed);
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        *found = Some(found.map_or(seed, |other: u64| other.min(seed)));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn seeds_keep_every_guarantee() {
    if let Some(seed) = number("SIM_SEED") {
        let outcome = run(seed, &topology(), true);
        println!("{}", report(seed, &outcome));
        assert!(outcome.failure.is_none(), "seed {seed} failed");
        return;
    }
    let (first, count) = (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(SEEDS));
    if let Some(seed) = first_failure(first, count) {
        panic!("{}", report(seed, &run(seed, &topology(), true)));
    }
}

#[test]
fn a_seed_is_the_same_every_time() {
    let topology = topology();
    for seed in 0..40 {
        let digests = [run(seed, &topology, false).digest, run(seed, &topology, true).digest];
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}
