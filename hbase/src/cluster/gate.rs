//! How often a meta that fails is asked.
//!
//! # Laws
//! 1. While meta answers, nobody waits.
//! 2. While it does not, one look-up at a time is made, for all tables together, with growing pauses between them:
//!    meta that is offline for a minute sees some twenty look-ups from a client, not one from each of its writers
//!    (HBASE-27487, HBASE-29265).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::retry::{Backoff, Overloaded};

/// Guards reads of meta.
#[derive(Debug)]
pub(crate) struct Gate {
    backoff: Backoff,
    health: Mutex<Health>,
    single_file: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    failures: u32,
    not_before: Option<Instant>,
}

/// The right to read now. In bad times there is only one.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _alone: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl Gate {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, health: Mutex::default(), single_file: tokio::sync::Mutex::default() }
    }

    /// Waits until it is right to ask. Cancel safe.
    pub(crate) async fn pass(&self) -> Turn<'_> {
        if self.health().not_before.is_none() {
            return Turn { _alone: None };
        }
        let alone = self.single_file.lock().await;
        let not_before = self.health().not_before;
        match not_before {
            // It has recovered meanwhile.
            None => Turn { _alone: None },
            Some(at) => {
                tokio::time::sleep_until(at).await;
                Turn { _alone: Some(alone) }
            }
        }
    }

    /// How a read ended. Returns the failures in a row.
    pub(crate) fn report(&self, is_ok: bool) -> u32 {
        let mut health = self.health();
        if is_ok {
            *health = Health::default();
            return 0;
        }
        // Reads that were under way together when meta failed count once.
        if health.not_before.is_none_or(|at| at <= Instant::now()) {
            health.failures += 1;
            let pause = self.backoff.after(health.failures, Overloaded::No, 0);
            health.not_before = Some(Instant::now() + pause.max(Duration::from_millis(1)));
        }
        health.failures
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_meta_that_is_offline_for_a_minute_sees_some_twenty_look_ups() {
        let gate = Arc::new(Gate::new(Backoff::default()));
        let asked = Arc::new(AtomicU32::new(0));
        let began = Instant::now();
        let writers = (0..100).map(|_| {
            let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
            tokio::spawn(async move {
                while began.elapsed() < Duration::from_secs(60) {
                    let _turn = gate.pass().await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    gate.report(false);
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        tokio::time::sleep(Duration::from_secs(60)).await;
        // The first hundred were under way before anything was known to be wrong.
        let later = asked.load(Ordering::Relaxed) - 100;
        assert!((10..=25).contains(&later), "{later}");
        writers.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_meta_that_has_recovered() {
        let gate = Gate::new(Backoff::default());
        (0..10).for_each(|_| {
            gate.report(false);
        });
        assert_eq!(gate.report(true), 0);
        let began = Instant::now();
        drop((gate.pass().await, gate.pass().await));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
