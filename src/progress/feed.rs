//! Whose tickets count for one sink in one partition.
//!
//! A sink is fed by the *shared* read of its partition (the tenure's own epoch), by a *private* reader (an epoch that only
//! this pair has), or by nobody. Which of them it is decides two things: whose spans are announced to the sink, and whose
//! completions are believed.
//!
//! # Laws
//! 1. Spans of one feeder only are announced at a time, and each feeder goes on where the one before stopped.
//! 2. After a cut, nothing that was announced before counts: those rows may be durable, but nobody will say so in order.
//! 3. At a handover to the shared read at `X`, the private reader's spans below `X` still count, and of the shared read
//!    only those from `X` on: late completions of an earlier attachment start below `X` and are refused.

use super::ledger::Epoch;
use super::offset::Offset;

/// One feeder: its epoch, and where its spans begin to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Feeder {
    epoch: Epoch,
    from: Offset,
}

/// The feeders of one sink in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The tenure: the epoch of the shared read.
    shared: Epoch,
    current: Option<Feeder>,
    /// The private reader that handed over: what it announced is still on its way.
    former: Option<Feeder>,
    /// Whether further spans are announced.
    is_open: bool,
}

impl Feed {
    /// Fed by the shared read from the start of the tenure.
    #[must_use]
    pub fn shared(shared: Epoch) -> Self {
        let feeder = Feeder { epoch: shared, from: Offset(i64::MIN) };
        Self { shared, current: Some(feeder), former: None, is_open: true }
    }

    /// Fed by nobody yet.
    #[must_use]
    pub fn nobody(shared: Epoch) -> Self {
        Self { shared, current: None, former: None, is_open: false }
    }

    /// Whether the shared read feeds the sink, or did until it was closed.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.current.is_some_and(|feeder| feeder.epoch == self.shared)
    }

    /// The epoch of the private reader that feeds the sink, if one does.
    #[must_use]
    pub fn private(&self) -> Option<Epoch> {
        self.current.map(|feeder| feeder.epoch).filter(|epoch| *epoch != self.shared)
    }

    /// Whether spans announced under `epoch` are for this sink.
    #[must_use]
    pub fn takes(&self, epoch: Epoch) -> bool {
        self.is_open && self.current.is_some_and(|feeder| feeder.epoch == epoch)
    }

    /// Whether what is done under `epoch`, for the span that starts at `start`, counts for this sink.
    #[must_use]
    pub fn counts(&self, epoch: Epoch, start: Offset) -> bool {
        let feeders = [self.current, self.former];
        feeders.iter().flatten().any(|feeder| feeder.epoch == epoch && start >= feeder.from)
    }

    /// Announces nothing more; what was announced still counts.
    pub fn close(&mut self) {
        self.is_open = false;
    }

    /// Nobody feeds the sink any more, and nothing announced before counts.
    pub fn cut(&mut self) {
        *self = Self::nobody(self.shared);
    }

    /// A private reader feeds the sink from `from` on.
    pub fn give(&mut self, private: Epoch, from: Offset) {
        let feeder = Feeder { epoch: private, from };
        *self = Self { current: Some(feeder), is_open: true, ..Self::nobody(self.shared) };
    }

    /// The shared read goes on at `at`, below where the private reader stopped with nothing on its way. So nothing of that
    /// one counts any more: a span of the shared read may start where one of its own did.
    pub fn fall_back(&mut self, at: Offset) {
        let feeder = Feeder { epoch: self.shared, from: at };
        *self = Self { current: Some(feeder), is_open: true, ..Self::nobody(self.shared) };
    }

    /// The private reader stops at `at`, and the shared read goes on there.
    pub fn hand_over(&mut self, at: Offset) {
        self.former = self.current;
        self.current = Some(Feeder { epoch: self.shared, from: at });
        self.is_open = true;
    }
}
