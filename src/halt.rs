//! Why a run stops by itself: the first cause is kept and reported.

use std::fmt;

use tokio::sync::watch;

/// What the process says when it exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltKind {
    /// Something failed that trying again does not mend (exit 1).
    Failed,
    /// The topology or the tables do not fit (exit 2).
    Topology,
    /// A stated policy says stop: bad events over budget, a lost range of the log (exit 3).
    Policy,
}

/// A cause for stopping: one sentence that names the thing and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Halt {
    /// Decides the exit code.
    pub kind: HaltKind,
    /// For the operator.
    pub message: String,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Halt {
    /// A cause with its sentence.
    pub fn new(kind: HaltKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Where any part of a run leaves the cause for stopping. The first one wins.
#[derive(Debug)]
pub struct HaltCell {
    sender: watch::Sender<Option<Halt>>,
}

impl Default for HaltCell {
    fn default() -> Self {
        Self { sender: watch::Sender::new(None) }
    }
}

impl HaltCell {
    /// Asks the run to stop.
    pub fn set(&self, halt: Halt) {
        tracing::error!(cause = %halt, "run stops");
        self.sender.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(halt);
            }
            first
        });
    }

    /// The cause, if there is one.
    pub fn get(&self) -> Option<Halt> {
        self.sender.borrow().clone()
    }

    /// Waits for a cause. Cancel safe.
    pub async fn wait(&self) -> Halt {
        let mut receiver = self.sender.subscribe();
        loop {
            if let Some(halt) = receiver.borrow_and_update().clone() {
                return halt;
            }
            if receiver.changed().await.is_err() {
                // The sender lives in this cell, so this is not reached while anyone can wait.
                std::future::pending::<()>().await;
            }
        }
    }
}
