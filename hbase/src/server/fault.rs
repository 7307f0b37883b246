//! Faults on command: what a server does instead of answering.

use std::time::Duration;

/// What happens to calls that a fault matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The call is refused with this Java class (package below `org.apache.hadoop.hbase.`).
    Refuse(&'static str),
    /// The connection closes without an answer.
    Disconnect,
    /// The call is never answered; the connection lives on.
    Silence,
    /// The call is carried out, but its answer is lost with the connection.
    LoseAnswer,
    /// The answer comes this much later.
    Delay(Duration),
}

/// A rule: so many calls of a method meet a reaction.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Method name; `None` is any.
    pub method: Option<&'static str>,
    /// Calls that are let through before.
    pub after: u32,
    /// Calls that are hit.
    pub times: u32,
    /// What happens to them.
    pub reaction: Reaction,
}

impl Fault {
    /// The reaction to this call, if the rule hits it. Counts.
    pub(super) fn hit(&mut self, method: &str) -> Option<Reaction> {
        if self.method.is_some_and(|wanted| wanted != method) || self.times == 0 {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.reaction.clone())
    }
}
