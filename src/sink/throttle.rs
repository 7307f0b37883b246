//! A limit on how fast one sink is written to, set while running.
//!
//! A balance that grows with time and is paid from by whole batches: a batch may go while the balance is not negative,
//! and then it may become so. The average is exact whatever the batches' sizes are; a batch larger than a second's worth
//! only makes the next one wait longer. Pure: the caller knows the time.

use std::time::Duration;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Mutations.
    Rows,
    /// Encoded bytes.
    Bytes,
}

impl Unit {
    /// The word used in status and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
        }
    }
}

/// So much a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What is counted.
    pub unit: Unit,
    /// How much a second; not 0.
    pub per_second: u64,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/s", self.per_second, self.unit.name())
    }
}

/// Longest time for which an idle sink saves up.
const BURST: Duration = Duration::from_millis(200);

/// The limit of one sink; none at first.
#[derive(Debug, Default)]
pub struct Throttle {
    rate: Option<Rate>,
    /// Rows or bytes that may be written now; negative is a debt.
    balance: f64,
    at: Duration,
}

impl Throttle {
    /// The limit.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Sets or removes the limit. Debts of the one before are forgotten.
    pub fn set(&mut self, now: Duration, rate: Option<Rate>) {
        *self = Self { rate, balance: 0.0, at: now };
    }

    /// Pays for a batch, or says how long to wait before asking again.
    ///
    /// # Errors
    /// The time to wait; nothing was paid.
    pub fn pay(&mut self, now: Duration, rows: u64, bytes: u64) -> Result<(), Duration> {
        let Some(rate) = self.rate else { return Ok(()) };
        let per_second = rate.per_second as f64;
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.balance = (self.balance + elapsed * per_second).min(per_second * BURST.as_secs_f64());
        if self.balance < 0.0 {
            return Err(Duration::from_secs_f64((-self.balance / per_second).clamp(0.001, 3600.0)));
        }
        self.balance -= match rate.unit {
            Unit::Rows => rows as f64,
            Unit::Bytes => bytes as f64,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_limit_nothing_waits() {
        assert_eq!(Throttle::default().pay(Duration::ZERO, u64::MAX, u64::MAX), Ok(()));
    }

    #[test]
    fn a_new_limit_forgets_old_debts() {
        let mut throttle = Throttle::default();
        throttle.set(Duration::ZERO, Some(Rate { unit: Unit::Rows, per_second: 10 }));
        assert_eq!(throttle.pay(Duration::ZERO, 100, 0), Ok(()));
        assert_eq!(throttle.pay(Duration::ZERO, 1, 0), Err(Duration::from_secs(10)));
        throttle.set(Duration::ZERO, None);
        assert_eq!(throttle.pay(Duration::ZERO, 1, 0), Ok(()));
    }

    proptest! {
        /// Over any time the amount is the rate's, one burst and one batch more at most, and not much less.
        #[test]
        fn the_average_is_the_limit(per_second in 1_u64..100_000, sizes in prop::collection::vec(1_u64..5_000, 1..200)) {
            let mut throttle = Throttle::default();
            let mut now = Duration::ZERO;
            throttle.set(now, Some(Rate { unit: Unit::Bytes, per_second }));
            let mut paid = 0;
            for size in &sizes {
                while let Err(wait) = throttle.pay(now, 1, *size) {
                    now += wait;
                }
                paid += size;
            }
            let last = sizes.last().copied().unwrap_or(0);
            let allowed = per_second as f64 * (now.as_secs_f64() + BURST.as_secs_f64()) + last as f64;
            prop_assert!(paid as f64 <= allowed + 1.0, "{paid} paid, {allowed} allowed");
            let needed = (paid - last) as f64 / per_second as f64;
            prop_assert!(now.as_secs_f64() <= needed + 0.001 * sizes.len() as f64 + 0.001);
        }
    }
}
