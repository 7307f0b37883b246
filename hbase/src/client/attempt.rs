//! The tries of one operation: how long they may take, and when to give up.

use std::time::Duration;

use tokio::time::Instant;

use super::ClientConfig;
use super::retry::{Backoff, Overloaded};
use crate::error::Error;
use crate::exception::{Exception, Reaction};
use crate::rpc::connection::CallError;

/// Tries of one operation.
#[derive(Debug)]
pub(super) struct Attempts {
    began: Instant,
    deadline: Instant,
    rpc_timeout: Duration,
    backoff: Backoff,
    tries: u32,
}

/// What comes before the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pause {
    /// Nothing.
    None,
    /// The usual pause.
    Usual,
    /// The pause for an overloaded server.
    Long,
    /// A time that the server named.
    Named(Duration),
}

/// What to do after a refusal by a server; `None` is giving up.
pub(super) fn pause_after(exception: &Exception, tries: u32) -> Option<Pause> {
    match exception.reaction() {
        // The first time at once: the hint or a look-up most often mends it.
        Reaction::Relocate { .. } | Reaction::ServerGone => Some(if tries < 1 { Pause::None } else { Pause::Usual }),
        Reaction::RetryNow | Reaction::ResetScanner => Some(Pause::None),
        Reaction::Backoff => Some(Pause::Usual),
        Reaction::BackoffLong => Some(Pause::Long),
        Reaction::Wait(wait) => Some(Pause::Named(wait)),
        Reaction::GiveUp => None,
    }
}

impl Attempts {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let began = Instant::now();
        Self {
            began,
            deadline: began + config.operation_timeout,
            rpc_timeout: config.rpc_timeout,
            backoff: config.backoff,
            tries: 0,
        }
    }

    /// Tries that failed.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Progress was made: the operation's time begins anew (scans).
    pub(super) fn restart(&mut self) {
        let whole = self.deadline - self.began;
        self.began = Instant::now();
        self.deadline = self.began + whole;
        self.tries = 0;
    }

    /// The time for the next call.
    pub(super) fn call_timeout(&self) -> Duration {
        self.rpc_timeout.min(self.deadline.saturating_duration_since(Instant::now())).max(Duration::from_millis(1))
    }

    /// A try failed: waits before the next one, or gives up.
    pub(super) async fn failed(&mut self, error: Error) -> Result<(), Error> {
        let pause = match &error {
            Error::Call(CallError::Exception(exception)) => pause_after(exception, self.tries),
            other if other.is_transient() => Some(Pause::Usual),
            _ => None,
        };
        match pause {
            Some(pause) => self.wait(pause, error).await,
            None => match error {
                Error::Call(CallError::Exception(exception)) => Err(Error::Refused(exception)),
                other => Err(other),
            },
        }
    }

    /// Waits before the next try, or says that the time is over.
    pub(super) async fn wait(&mut self, pause: Pause, last: Error) -> Result<(), Error> {
        self.tries += 1;
        let jitter = u64::from(self.began.elapsed().subsec_nanos()).wrapping_mul(0x9E37_79B9) >> 7;
        let pause = match pause {
            Pause::None => Duration::ZERO,
            Pause::Usual => self.backoff.after(self.tries, Overloaded::No, jitter),
            Pause::Long => self.backoff.after(self.tries, Overloaded::Yes, jitter),
            Pause::Named(wait) => wait,
        };
        if Instant::now() + pause >= self.deadline {
            let (elapsed, tries) = (self.began.elapsed(), self.tries);
            return Err(Error::TimedOut { elapsed, tries, last: Some(Box::new(last)) });
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}
