//! When to try again. Pure.

use std::time::Duration;

/// Multiples of the base pause, as HBase's clients use them (`HConstants.RETRY_BACKOFF`).
const STEPS: [u32; 10] = [1, 2, 3, 5, 10, 20, 40, 40, 100, 100];

/// Pauses between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Base pause (`hbase.client.pause`).
    pub pause: Duration,
    /// Base pause when the server says that it is overloaded (`hbase.client.pause.server.overloaded`).
    pub pause_overloaded: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(50),
            pause_overloaded: Duration::from_millis(250),
            pause_max: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// The pause before try `tries + 1`, with up to a quarter more by `jitter` (any number; only its spread matters).
    #[must_use]
    pub fn after(&self, tries: u32, overloaded: Overloaded, jitter: u64) -> Duration {
        let base = match overloaded {
            Overloaded::No => self.pause,
            Overloaded::Yes => self.pause_overloaded.max(self.pause),
        };
        let step = STEPS.get(tries.saturating_sub(1) as usize).copied().unwrap_or(100);
        let pause = base.saturating_mul(step).min(self.pause_max);
        pause + pause.mul_f64((jitter % 256) as f64 / 1024.0)
    }
}

/// Whether a pause is for an overloaded server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overloaded {
    /// It said so.
    Yes,
    /// It did not.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_differ_by_at_most_a_quarter() {
        let backoff = Backoff::default();
        let pauses: Vec<Duration> = (1..20).map(|tries| backoff.after(tries, Overloaded::No, 0)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&backoff.pause_max));
        assert!(backoff.after(3, Overloaded::Yes, 0) > backoff.after(3, Overloaded::No, 0));
        assert!(backoff.after(9, Overloaded::No, 255) < backoff.pause_max.mul_f64(1.25));
    }
}
