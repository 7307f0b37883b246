//! What a server does instead of answering as it should.

use std::time::Duration;

use bytes::Bytes;

use super::change::Change;
use super::refusal::Refusal;

/// What happens where a rule applies.
///
/// The reaction decides what its rule is asked about: the connection's header, whole calls, the region actions of
/// calls, or single actions. A call of one row (`Get`, `Mutate`, `Scan`) is one region action of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reaction {
    /// The connection is refused at its header: a fatal answer (call id -1), then it closes.
    RefuseConnection(Refusal),

    /// The whole call is refused.
    Refuse(Refusal),
    /// The call is never answered nor carried out; the connection lives on. So ends a call that waited in the server's
    /// queue for longer than its own timeout (`CallRunner`).
    Silence,
    /// The connection closes without an answer; the call is not carried out.
    Disconnect,
    /// The connection stops reading and writing for good, and stays open.
    HalfOpen,
    /// A fatal answer to the connection (call id -1), then it closes; the call is not carried out.
    Fatal(Refusal),
    /// A slow handler: the call is carried out this much later; other calls of the connection go on meanwhile.
    Delay(Duration),
    /// The call is carried out at once, and its answer comes this much later.
    Late(Duration),
    /// The call is carried out, but its answer is lost with the connection.
    LoseAnswer,
    /// The call is carried out; only so many bytes of its answer arrive before the connection closes.
    Truncate(usize),
    /// The call is carried out; the answer's frame says this length.
    CorruptLength(u32),
    /// The call is carried out; these bytes arrive in place of its answer.
    Junk(Bytes),
    /// The call is carried out; its answer comes twice, the first time with a call id that nobody waits for.
    Stray,

    /// The region action is refused; the others of its Multi are carried out.
    RefuseRegions(Refusal),
    /// Every action of the region action is refused one by one: what the server's checks of one bad action do to its
    /// neighbours (`RSRpcServices.doBatchOp`, 2.4+). The rule applies if it holds for any of them.
    Poison(Refusal),
    /// The regions change right before the region action is carried out, in the middle of its call.
    Change(Change),

    /// The action is refused; its neighbours are carried out.
    RefuseActions(Refusal),
}

/// What a rule is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Connection,
    Call,
    Region,
    Action,
}

impl Reaction {
    /// [`Reaction::Refuse`] with this class; see [`Refusal::new`].
    #[must_use]
    pub fn refuse(class: &str) -> Self {
        Self::Refuse(Refusal::new(class))
    }

    /// [`Reaction::RefuseRegions`] with this class; see [`Refusal::new`].
    #[must_use]
    pub fn refuse_regions(class: &str) -> Self {
        Self::RefuseRegions(Refusal::new(class))
    }

    /// [`Reaction::RefuseActions`] with this class; see [`Refusal::new`].
    #[must_use]
    pub fn refuse_actions(class: &str) -> Self {
        Self::RefuseActions(Refusal::new(class))
    }

    pub(super) fn level(&self) -> Level {
        match self {
            Self::RefuseConnection(_) => Level::Connection,
            Self::Refuse(_)
            | Self::Silence
            | Self::Disconnect
            | Self::HalfOpen
            | Self::Fatal(_)
            | Self::Delay(_)
            | Self::Late(_)
            | Self::LoseAnswer
            | Self::Truncate(_)
            | Self::CorruptLength(_)
            | Self::Junk(_)
            | Self::Stray => Level::Call,
            Self::RefuseRegions(_) | Self::Poison(_) | Self::Change(_) => Level::Region,
            Self::RefuseActions(_) => Level::Action,
        }
    }

    /// Whether the call is carried out all the same, so that its region actions and actions may be hit too.
    pub(super) fn carries_out(&self) -> bool {
        match self {
            Self::RefuseConnection(_)
            | Self::Refuse(_)
            | Self::Silence
            | Self::Disconnect
            | Self::HalfOpen
            | Self::Fatal(_) => false,
            Self::Delay(_)
            | Self::Late(_)
            | Self::LoseAnswer
            | Self::Truncate(_)
            | Self::CorruptLength(_)
            | Self::Junk(_)
            | Self::Stray
            | Self::RefuseRegions(_)
            | Self::Poison(_)
            | Self::Change(_)
            | Self::RefuseActions(_) => true,
        }
    }
}
