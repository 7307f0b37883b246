//! Deliberate defects (`halcyon::mutant`): each must be caught by some seed, or the simulation proves nothing.

use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use halcyon::mutant::{Mutant, plant};
use halcyon::topology::Topology;

use super::{run, topology};

/// Seeds that a defect may survive.
const SEEDS_MAX: u64 = 10_000;

/// The first seed that catches the defect, and what it says.
fn caught(mutant: Mutant, topology: &Rc<Topology>) -> Option<(u64, String)> {
    plant(Some(mutant));
    let caught = (0..SEEDS_MAX).find_map(|seed| run(seed, topology, false).failure.map(|failure| (seed, failure.0)));
    plant(None);
    caught
}

#[test]
fn every_planted_defect_is_caught() {
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let topology = topology();
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match caught(*mutant, &topology) {
                        Some((seed, said)) => println!("{mutant:?}: seed {seed}: {said}"),
                        None => survivors.lock().expect("no panic").push(*mutant),
                    }
                }
            });
        }
    });
    let survivors = survivors.into_inner().expect("no panic");
    assert!(survivors.is_empty(), "not caught by {SEEDS_MAX} seeds: {survivors:?}");
}
