//! The rules of one sink, from the topology and the budget of the process.

use std::time::Duration;

/// What happens to a slow sink of a compacted topic.
///
/// A private reader reads later what the shared read had now; compaction may have removed records in between. A read model
/// of whole rows ends the same; one of partial events, or of a history, may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compacted {
    /// It is detached as any other, and the log and the sink's reason say so.
    #[default]
    Detach,
    /// It is never detached by itself: the others wait for it.
    Wait,
}

/// When a sink leaves the shared read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bytes of the shared budget that it may hold while others could go on.
    pub window_bytes: u64,
    /// How long it may finish nothing.
    pub patience: Duration,
    /// What happens on compacted topics.
    pub compacted: Compacted,
    /// How much of retention must be left before an alarm; `None` is a quarter of it.
    pub headroom: Option<Duration>,
    /// Whether there are private readers at all.
    pub can_detach: bool,
}

/// Patience unless the topology says otherwise: longer than a region server takes to come back.
pub const PATIENCE: Duration = Duration::from_mins(1);

impl Policy {
    /// The default rules within a shared budget: half of it may be held.
    #[must_use]
    pub fn within(shared_bytes: u64) -> Self {
        Self {
            window_bytes: shared_bytes / 2,
            patience: PATIENCE,
            compacted: Compacted::Detach,
            headroom: None,
            can_detach: true,
        }
    }
}
