//! Where a run hands its letters in: they are counted against the budget and stored until they are durable.
//!
//! # Laws
//! 1. [`Office::keep`] returns [`Kept::Durable`] only when the letters are durable; whoever handed them in waits for it.
//! 2. A store that fails for a passing reason holds the offsets of its letters and nothing else; the trouble is shown.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Budget, DeadLetter, DeadLetters, Verdict};
use crate::error_chain::chain;
use crate::halt::{Halt, HaltCell, HaltKind};

/// Pause before a store that failed is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The store of a run with its budget.
#[derive(Debug)]
pub struct Office {
    store: DeadLetters,
    budget: Mutex<Budget>,
    /// Why letters cannot be stored now.
    trouble: Mutex<Option<String>>,
    halt: Arc<HaltCell>,
}

/// What became of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "letters that were not kept must not count as done"]
pub enum Kept {
    /// They are durable.
    Durable,
    /// They are not, and the run stops.
    Halted,
}

impl Office {
    /// An office over this store; `halt` learns when the run must stop.
    #[must_use]
    pub fn new(store: DeadLetters, budget: Budget, halt: Arc<HaltCell>) -> Self {
        Self { store, budget: Mutex::new(budget), trouble: Mutex::default(), halt }
    }

    /// Counts events and how many of them were bad. The run stops when the budget is exceeded.
    pub fn charge(&self, events: u64, bad: u64) {
        let verdict = self.budget.lock().unwrap_or_else(PoisonError::into_inner).charge(events, bad);
        match verdict {
            Verdict::Within => {}
            Verdict::Exceeded { bad, events } => {
                let message = format!(
                    "{bad} of {events} events were bad, more than the error budget allows; look at the dead letters \
                     (`halcyon dead-letter list`), mend the cause or raise [dead_letter] budget, then start again"
                );
                self.halt.set(Halt::new(HaltKind::Policy, message));
            }
        }
    }

    /// Stores letters, for as long as it takes. Not cancel safe in that some may be stored.
    pub async fn keep(&self, letters: &[DeadLetter]) -> Kept {
        while let Err(error) = self.store.store(letters).await {
            let error_chain = chain(&error);
            if error.is_final() {
                self.halt.set(Halt::new(HaltKind::Policy, error_chain));
                return Kept::Halted;
            }
            self.note(Some(error_chain));
            tokio::time::sleep(PAUSE).await;
        }
        self.note(None);
        Kept::Durable
    }

    /// Why letters cannot be stored now; their offsets are held meanwhile.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One line when the trouble begins, changes or ends.
    fn note(&self, trouble: Option<String>) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &trouble) {
            (before, Some(error)) if before.as_ref() != Some(error) => {
                tracing::warn!(error, "dead letters not stored: their offsets are held, and it is tried again");
            }
            (Some(_), None) => tracing::info!("dead letters are stored again"),
            _ => {}
        }
        *known = trouble;
    }
}
