//! Whether a sink takes part in the shared read, and why not. Pure: facts in, decision out; no clock, no I/O.
//!
//! ```text
//!              ┌────────────────────── has what the shared read has ──────────────────────┐
//!              ▼                                                                          │
//! starting ─▶ healthy ⇄ degraded ──window or patience──▶ detached ──writes get through──▶ catching_up
//!                 │                                       ▲   ▲                           │
//!                 └──operator──▶ paused, draining ─▶ drained   └────────── stalls ─────────┘
//! ```
//!
//! A sink that holds the shared window while others could go on is *detached*: its queue is freed, and a private reader
//! replays the log for it alone, from its own durable offset, until it is where the shared read is. That costs a second
//! read and a second decode of what it missed, and nothing else; so it is done when it frees somebody, and only then.
//!
//! # Laws
//! 1. **Own pace.** A sink over its window, while another one on the shared read could go on, is detached within [`HOLD`].
//! 2. The last sink of the shared read is never detached by itself: nobody would gain.
//! 3. A sink comes back only after it proved itself: something became durable since it was detached, and lately.
//! 4. What the operator asked for is undone by the operator alone (or by a restart, which asks nobody).
//!
//! # Restart and rebalance
//! Nothing of this is stored. A sink's own group says where it is, and that is enough: where a partition is assigned, a
//! sink that is more than a window behind the foremost one starts with a private reader ([`start`]), so a restart in the
//! middle of a long catch-up costs the other sinks nothing.

pub mod headroom;
pub mod policy;
pub mod start;

use std::time::Duration;

pub use self::policy::{Compacted, Policy};
use crate::sink::worker::SinkState;

/// A sink must hold the window for this long before it is detached: the pause of a region server's garbage collection is
/// not worth a second read.
pub const HOLD: Duration = Duration::from_secs(1);

/// A detached sink that made nothing durable for this long is not catching up.
pub const STALL: Duration = Duration::from_secs(5);

/// What a sink is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// On the shared read; no write was tried yet.
    #[default]
    Starting,
    /// On the shared read; the last write succeeded.
    Healthy,
    /// On the shared read; writes fail for a passing reason and are tried again.
    Degraded,
    /// Nothing is written any more: a write was refused for good, or the log lost what the sink had not read.
    Failed,
    /// Off the shared read, with a private reader or waiting for one.
    Detached,
    /// Off the shared read; its private reader gets through.
    CatchingUp,
    /// The operator's: nothing is read or written for it, its offsets stay.
    Paused,
    /// The operator's: what is on its way is finished, nothing new is begun.
    Draining,
    /// The operator's: finished, and nothing is begun.
    Drained,
}

impl State {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Starting,
        Self::Healthy,
        Self::Degraded,
        Self::Failed,
        Self::Detached,
        Self::CatchingUp,
        Self::Paused,
        Self::Draining,
        Self::Drained,
    ];

    /// The name used in status and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Detached => "detached",
            Self::CatchingUp => "catching_up",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }

    /// Whether the sink takes part in the shared read.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Starting | Self::Healthy | Self::Degraded)
    }
}

/// Why a sink was taken off the shared read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It held the shared window while others could go on.
    Window,
    /// It finished nothing for longer than its patience.
    Stalled,
    /// It was far behind the others when its partitions were assigned.
    Behind,
    /// The operator asked for it.
    Operator,
}

impl Cause {
    /// The name used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Stalled => "stalled",
            Self::Behind => "behind",
            Self::Operator => "operator",
        }
    }
}

/// What the operator can ask of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Leave the shared read; follow with a private reader until told to attach.
    Detach,
    /// Come back to the shared read as soon as it has what that has.
    Attach,
    /// Read and write nothing; what is on its way is given up and read again later.
    Pause,
    /// Undo `Pause` and `Drain`.
    Resume,
    /// Finish what is on its way and begin nothing new.
    Drain,
}

impl Command {
    /// All commands.
    pub const ALL: [Self; 5] = [Self::Detach, Self::Attach, Self::Pause, Self::Resume, Self::Drain];

    /// The verb that is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detach => "detach",
            Self::Attach => "attach",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
        }
    }
}

/// Everything that decides about one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How its writes go.
    pub health: SinkState,
    /// Bytes of the shared budget that it has not finished.
    pub window_bytes: u64,
    /// Batches that it has finished since the start.
    pub finished: u64,
    /// Partitions held by this process.
    pub partitions: usize,
    /// Those in which the shared read feeds this sink.
    pub shared: usize,
    /// Whether nothing is on its way.
    pub is_idle: bool,
    /// The largest window among the other sinks of the shared read whose writes go well; `None` if there is none.
    pub others_window_bytes: Option<u64>,
    /// A topic that this process holds and that is compacted: what is read later may be less than what is read now.
    pub compacted: Option<String>,
    /// Why its private reader cannot go on for good: the log no longer has what the sink needs.
    pub lost: Option<String>,
    /// Whether it has a private reader; without one, all are in use.
    pub has_reader: bool,
}

/// What has to be done now, beyond what the state says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    Keep,
    /// Free its queue and let nobody feed it; for the last value, count it as a detachment.
    Cut(Option<Cause>),
    /// Announce nothing more to it.
    Close,
}

/// What the operator holds a sink to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    None,
    Detached,
    Paused,
    Drained,
}

/// One sink's part in the shared read.
#[derive(Clone, Debug)]
pub struct Attachment {
    policy: Policy,
    state: State,
    reason: Option<String>,
    since: Duration,
    hold: Hold,
    cause: Option<Cause>,
    /// Why it was detached, for as long as it is.
    detail: String,
    /// Since when it holds the window alone.
    holds_since: Option<Duration>,
    /// Batches finished when it was detached, if it has to prove itself.
    to_beat: Option<u64>,
    finished: u64,
    /// When it finished something last, or had nothing to do.
    moved_at: Duration,
}

impl Attachment {
    /// A sink that takes part from the start. Times are since the start of the process.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            state: State::Starting,
            reason: None,
            since: Duration::ZERO,
            hold: Hold::None,
            cause: None,
            detail: String::new(),
            holds_since: None,
            to_beat: None,
            finished: 0,
            moved_at: Duration::ZERO,
        }
    }

    /// What the sink is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Why, if there is anything to say.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// When it began.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Its rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a partition that is assigned now may be read for it by the shared read.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        self.hold == Hold::None && self.state.is_shared()
    }

    /// Whether a private reader has to read for it.
    #[must_use]
    pub fn wants_reader(&self) -> bool {
        matches!(self.hold, Hold::None | Hold::Detached) && matches!(self.state, State::Detached | State::CatchingUp)
    }

    /// Whether the shared read may take it back when it has what that has.
    #[must_use]
    pub fn may_join(&self) -> bool {
        self.hold == Hold::None && self.state == State::CatchingUp
    }

    /// Whether the sink goes back to the shared read in the end.
    #[must_use]
    pub fn wants_attach(&self) -> bool {
        self.hold == Hold::None
    }

    /// Looks at the facts. The order must be carried out before the next look.
    pub fn step(&mut self, now: Duration, facts: &Facts) -> Order {
        self.note_progress(now, facts);
        match self.hold {
            Hold::Detached => {
                self.set(now, State::Detached, Some(self.detached_reason(facts)));
                if facts.shared > 0 { Order::Cut(None) } else { Order::Keep }
            }
            Hold::Paused => {
                if facts.shared > 0 {
                    Order::Cut(None)
                } else {
                    Order::Keep
                }
            }
            Hold::Drained => self.drain(now, facts),
            Hold::None => self.follow(now, facts),
        }
    }

    /// Does what the operator asks. The order must be carried out before the next look.
    pub fn command(&mut self, now: Duration, command: Command, facts: &Facts) -> Order {
        self.note_progress(now, facts);
        match (command, self.hold) {
            (Command::Detach, Hold::Detached)
            | (Command::Pause, Hold::Paused)
            | (Command::Drain, Hold::Drained)
            | (Command::Resume, Hold::None | Hold::Detached)
            | (Command::Attach, Hold::None) => Order::Keep,
            (Command::Detach, before) => {
                let was_shared = before == Hold::None && self.state.is_shared();
                self.hold = Hold::Detached;
                self.leave(now, Cause::Operator, "detached by the operator until `attach`".to_owned(), facts);
                Order::Cut(was_shared.then_some(Cause::Operator))
            }
            (Command::Pause, _) => {
                self.hold = Hold::Paused;
                self.set(now, State::Paused, Some("paused by the operator until `resume`".to_owned()));
                Order::Cut(None)
            }
            (Command::Drain, _) => {
                let in_flight = self.hold != Hold::Paused;
                self.hold = Hold::Drained;
                self.set(now, State::Draining, Some("draining for the operator".to_owned()));
                if in_flight { Order::Close } else { Order::Keep }
            }
            (Command::Attach, Hold::Detached) => {
                self.hold = Hold::None;
                self.cause = Some(Cause::Operator);
                "coming back to the shared read, as the operator asked".clone_into(&mut self.detail);
                self.to_beat = None;
                self.moved_at = now;
                Order::Keep
            }
            (Command::Attach | Command::Resume, Hold::Paused | Hold::Drained) => {
                self.hold = Hold::None;
                let detail = "coming back after the operator held it".to_owned();
                self.leave(now, Cause::Operator, detail, facts);
                self.to_beat = None;
                Order::Cut(None)
            }
        }
    }

    fn note_progress(&mut self, now: Duration, facts: &Facts) {
        if facts.finished != self.finished || facts.is_idle {
            self.finished = facts.finished;
            self.moved_at = now;
        }
    }

    fn drain(&mut self, now: Duration, facts: &Facts) -> Order {
        if facts.is_idle && self.state != State::Drained {
            self.set(now, State::Drained, Some("drained by the operator until `resume`".to_owned()));
            return Order::Cut(None);
        }
        if self.state == State::Draining {
            let left = format!("draining for the operator: {} left", mebibytes(facts.window_bytes));
            self.set(now, State::Draining, Some(left));
        } else if facts.shared > 0 {
            return Order::Cut(None);
        }
        Order::Keep
    }

    /// Nothing is asked by the operator: health and window decide.
    fn follow(&mut self, now: Duration, facts: &Facts) -> Order {
        if let Some(lost) = &facts.lost {
            self.holds_since = None;
            self.set(now, State::Failed, Some(lost.clone()));
            return if facts.shared > 0 { Order::Cut(None) } else { Order::Keep };
        }
        let is_out = facts.shared < facts.partitions;
        if facts.shared == 0 {
            // What a private reader has for it is in nobody's way.
            self.holds_since = None;
        }
        if facts.shared > 0
            && let Some((cause, detail)) = self.must_leave(now, facts)
        {
            self.leave(now, cause, detail, facts);
            return Order::Cut(Some(cause));
        }
        if !is_out {
            self.attached(now, facts);
        } else if self.state.is_shared() || self.state == State::Failed {
            let detail = "it starts far behind the other sinks and reads for itself until it has caught up".to_owned();
            self.leave(now, Cause::Behind, detail, facts);
            self.to_beat = None;
        } else {
            self.detached(now, facts);
        }
        Order::Keep
    }

    fn attached(&mut self, now: Duration, facts: &Facts) {
        self.cause = None;
        self.to_beat = None;
        let (state, reason) = match &facts.health {
            SinkState::Starting => (State::Starting, None),
            SinkState::Healthy => (State::Healthy, None),
            SinkState::Degraded { reason } => (State::Degraded, Some(reason.clone())),
            SinkState::Failed { reason } => (State::Failed, Some(reason.clone())),
        };
        let waits = (state != State::Failed).then(|| self.waits_for_compaction(facts)).flatten();
        self.set(now, state, reason.or(waits));
    }

    fn detached(&mut self, now: Duration, facts: &Facts) {
        let proved = self.to_beat.is_none_or(|to_beat| facts.finished > to_beat);
        let moves = facts.has_reader && now.saturating_sub(self.moved_at) < STALL;
        let state = if proved && moves { State::CatchingUp } else { State::Detached };
        self.set(now, state, Some(self.detached_reason(facts)));
    }

    fn detached_reason(&self, facts: &Facts) -> String {
        match &facts.health {
            SinkState::Degraded { reason } | SinkState::Failed { reason } => format!("{}; {reason}", self.detail),
            SinkState::Starting | SinkState::Healthy if !facts.has_reader => {
                format!("{}; it waits for a private reader (--private-readers)", self.detail)
            }
            SinkState::Starting | SinkState::Healthy => self.detail.clone(),
        }
    }

    /// Whether the sink has to leave the shared read, and why.
    fn must_leave(&mut self, now: Duration, facts: &Facts) -> Option<(Cause, String)> {
        let Some(others) = facts.others_window_bytes.filter(|_| self.policy.can_detach) else {
            self.holds_since = None;
            return None;
        };
        let holds = facts.window_bytes > self.policy.window_bytes && others <= facts.window_bytes / 2;
        self.holds_since = if holds { self.holds_since.or(Some(now)) } else { None };
        if facts.compacted.is_some() && self.policy.compacted == Compacted::Wait {
            return None;
        }
        let found = if self.holds_since.is_some_and(|since| now.saturating_sub(since) >= HOLD) {
            let (held, window) = (mebibytes(facts.window_bytes), mebibytes(self.policy.window_bytes));
            (
                Cause::Window,
                format!("it held {held} of the shared window (its share is {window}) while others could go on"),
            )
        } else if !facts.is_idle && now.saturating_sub(self.moved_at) >= self.policy.patience {
            (Cause::Stalled, format!("it finished nothing for {} s", self.policy.patience.as_secs()))
        } else {
            return None;
        };
        let (cause, mut detail) = found;
        if let Some(topic) = &facts.compacted {
            detail = format!(
                "{detail}; topic {topic} is compacted: what it reads later may lack records that are replaced by then"
            );
        }
        Some((cause, detail))
    }

    fn waits_for_compaction(&self, facts: &Facts) -> Option<String> {
        let topic = facts.compacted.as_ref().filter(|_| self.holds_since.is_some())?;
        (self.policy.compacted == Compacted::Wait).then(|| {
            format!(
                "it holds the shared window and is not detached: topic {topic} is compacted and `compacted` is \"wait\""
            )
        })
    }

    fn leave(&mut self, now: Duration, cause: Cause, detail: String, facts: &Facts) {
        self.cause = Some(cause);
        self.detail = detail;
        self.holds_since = None;
        self.to_beat = Some(facts.finished);
        self.moved_at = now;
        self.set(now, State::Detached, Some(self.detached_reason(facts)));
    }

    fn set(&mut self, now: Duration, state: State, reason: Option<String>) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
        self.reason = reason;
    }
}

/// For people.
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests;
