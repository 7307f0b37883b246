//! One region server as the writer sees it: its window, its lanes that have rows to send, its pauses. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::lane::LaneKey;
use super::window::Window;

/// A server's place in the writer's list; servers are never taken out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ServerId(pub(super) usize);

/// One server. Times are since the writer began.
#[derive(Debug)]
pub(crate) struct Server {
    /// `host:port`.
    pub(super) address: String,
    pub(crate) window: Window,
    /// Calls in flight.
    pub(crate) in_flight: usize,
    /// No call begins before.
    pub(super) not_before: Duration,
    /// Refusals for overload since the last good answer.
    pub(super) overloads: u32,
    /// Lanes that go with the next calls, first come first served.
    pub(super) ripe: VecDeque<LaneKey>,
    /// Lanes that wait for more rows, in the order in which their linger ends. Entries may be out of date.
    pub(super) unripe: VecDeque<(Duration, LaneKey)>,
    /// Bytes that wait in its lanes.
    pub(crate) queued: usize,
    /// Bytes with credits of its lanes, those in flight included.
    pub(super) credited: usize,
    /// Whether it stands in the list of servers to look at.
    pub(super) is_touched: bool,
}

impl Server {
    pub(super) fn new(address: &str, calls_max: usize) -> Self {
        Self {
            address: address.to_owned(),
            window: Window::new(calls_max),
            in_flight: 0,
            not_before: Duration::ZERO,
            overloads: 0,
            ripe: VecDeque::new(),
            unripe: VecDeque::new(),
            queued: 0,
            credited: 0,
            is_touched: false,
        }
    }

    /// Calls that may begin now.
    pub(super) fn room(&self, now: Duration) -> usize {
        if now < self.not_before { 0 } else { self.window.size().saturating_sub(self.in_flight) }
    }

    /// Lanes whose linger is over by now, or all if nothing else keeps the server busy: waiting would only cost time.
    pub(super) fn ripen(&mut self, now: Duration) {
        while let Some((ripe_at, _)) = self.unripe.front()
            && (self.in_flight == 0 || *ripe_at <= now)
            && let Some((_, lane)) = self.unripe.pop_front()
        {
            self.ripe.push_back(lane);
        }
    }
}
