//! What the run tells the reader, and what the reader tells the run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::progress::ledger::Ledger;
use crate::progress::offset::{Offset, TopicPartition};

/// What the reader is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Read.
    Running = 0,
    /// Hand over what was read, read nothing more, stay in the group.
    Draining = 1,
    /// Leave the group.
    Leaving = 2,
}

/// Shared between the reader's thread and the run.
#[derive(Debug, Default)]
pub struct Control {
    phase: AtomicU8,
    assigned: AtomicBool,
    flushed: AtomicBool,
    left: AtomicBool,
    /// For a bounded run: the end of every partition when it was assigned.
    targets: Mutex<BTreeMap<TopicPartition, Offset>>,
    changed: Notify,
}

impl Control {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Leaving,
        }
    }

    /// Tells the reader what to do from now on.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn set_assigned(&self) {
        self.assigned.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether the group has given this process its share, even if that is nothing.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.assigned.load(Ordering::Acquire)
    }

    pub(super) fn set_flushed(&self) {
        if !self.flushed.swap(true, Ordering::AcqRel) {
            self.changed.notify_waiters();
        }
    }

    /// Whether everything that was read has been handed over, since the reader drains.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.flushed.load(Ordering::Acquire)
    }

    pub(super) fn set_left(&self) {
        self.left.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether the reader has left the group.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Waits for a change after this call. Cancel safe; check the condition between the call and the await.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn set_target(&self, partition: &TopicPartition, end: Offset) {
        self.targets().insert(partition.clone(), end);
    }

    pub(super) fn forget_target(&self, partition: &TopicPartition) {
        self.targets().remove(partition);
    }

    /// Whether every partition of this process is durable in every sink up to the end it had when it was assigned.
    #[must_use]
    pub fn is_caught_up(&self, ledger: &Ledger) -> bool {
        self.is_assigned() && ledger.have_reached(&*self.targets())
    }

    fn targets(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Offset>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
