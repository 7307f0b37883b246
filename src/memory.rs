//! The memory budget of data in flight: everything read and not yet durable everywhere is charged to it.
//!
//! A charge may overshoot by what was being worked on when the limit was reached (one batch a worker); nothing new is
//! read until the sum is below the limit again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Least charge for one batch, so that the count of tiny batches is bounded too. Covers the structs around a batch.
const CHARGE_BYTES_MIN: u64 = 4096;

/// A budget in bytes.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

impl Memory {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), peak: AtomicU64::new(0) })
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes charged now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever charged at once.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        self.peak.fetch_max(before + bytes, Ordering::Relaxed);
    }

    /// Whether more may be read.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.used() < self.limit
    }

    /// Charges `bytes` until the charge is dropped.
    #[must_use]
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        let bytes = bytes.max(CHARGE_BYTES_MIN);
        self.add(bytes);
        Charge { memory: Arc::clone(self), bytes }
    }
}

/// Bytes held; released on drop.
#[derive(Debug)]
pub struct Charge {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Charge {
    /// Bytes held by this charge.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Changes what is held, for example when records have become rows.
    pub fn resize(&mut self, bytes: u64) {
        let bytes = bytes.max(CHARGE_BYTES_MIN);
        if bytes >= self.bytes {
            self.memory.add(bytes - self.bytes);
        } else {
            self.memory.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_charged_is_given_back() {
        let memory = Memory::new(10_000);
        let mut first = memory.charge(8_000);
        let second = memory.charge(1);
        assert_eq!(memory.used(), 8_000 + CHARGE_BYTES_MIN);
        assert!(!memory.has_room());
        first.resize(5_000);
        assert_eq!(memory.used(), 5_000 + CHARGE_BYTES_MIN);
        first.resize(9_000);
        drop(second);
        assert_eq!(memory.used(), 9_000);
        drop(first);
        assert_eq!((memory.used(), memory.peak()), (0, 9_000 + CHARGE_BYTES_MIN));
    }
}
