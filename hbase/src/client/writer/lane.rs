//! A lane: the rows of one key range that wait for its region, in the order in which they came. Pure.
//!
//! # Laws
//! 1. At most one batch of a lane is in flight; what comes meanwhile makes the next one larger.
//! 2. Rows leave in the order in which they came; those of a failed batch come back to the front, in their order.
//! 3. A batch has one durability: in a server's mini-batch the strongest would hold for all.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::server::ServerId;
use super::slice::{Slice, TicketId};
use crate::cluster::meta::Region;

/// From this many rows on a batch is worth a sync of its own at the server, and need not wait for more.
const RIPE_ROWS: usize = 200;
/// From this many bytes on.
const RIPE_BYTES: usize = 256 << 10;
/// Uniformly refused parts of one batch, for each halving it takes to come down to one row, that are cut further before
/// any row was taken. Bad rows among good ones are found however many they are, for every part that is taken counts anew;
/// a refusal that concerns every row costs this many calls and not one for each row.
const HALVINGS_FACTOR: u32 = 8;
/// What is begun with anew: as for the largest batch, of 5000 rows.
const HALVINGS_ANEW: u32 = HALVINGS_FACTOR * 13;

/// A lane's place: its table, and where its range starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LaneKey {
    pub(super) table: usize,
    pub(super) start: Bytes,
}

/// Where the rows of a lane are sent.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) region: Arc<Region>,
    pub(super) server: ServerId,
}

/// Whether a server knows that the lane has rows for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// No: nothing to send, in flight, paused, or without a home.
    #[default]
    Nowhere,
    /// Waits for more rows or for the linger to pass.
    Unripe,
    /// Goes with the next call.
    Ripe,
}

/// The rows of one lane in one call.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) lane: LaneKey,
    pub(super) region: Arc<Region>,
    pub(super) slices: Vec<Slice>,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Batch {
    /// The rows at these places of the batch, by slice.
    pub(super) fn parts(&self, places: Range<usize>) -> impl Iterator<Item = Slice> {
        let mut before = 0;
        self.slices.iter().filter_map(move |slice| {
            let own = places.start.saturating_sub(before)..places.end.saturating_sub(before).min(slice.len());
            before += slice.len();
            slice.part(own)
        })
    }

    /// Both halves, each to be sent as a batch of its own.
    pub(super) fn halves(&self) -> Vec<Slice> {
        let mut slices = Vec::new();
        for half in [0..self.rows / 2, self.rows / 2..self.rows] {
            slices.extend(self.parts(half));
            if let Some(last) = slices.last_mut() {
                last.ends_batch = true;
            }
        }
        slices
    }
}

/// The rows of one key range. Times are since the writer began.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Behind the last key of the range; empty is the end of the table.
    pub(super) end: Bytes,
    /// Where the rows go; `None` while that is being looked up.
    pub(super) home: Option<Home>,
    queue: VecDeque<Slice>,
    /// Rows that wait.
    pub(super) rows: usize,
    /// Bytes that wait.
    pub(super) bytes: usize,
    /// Bytes with credits, those in flight included.
    pub(super) credited: usize,
    pub(super) is_in_flight: bool,
    pub(super) is_locating: bool,
    /// When the oldest rows that wait came.
    pub(super) since: Duration,
    /// Nothing is sent before.
    pub(super) not_before: Duration,
    /// Failures since the last success.
    pub(super) tries: u32,
    /// Parts of a refused batch that may still be cut.
    halvings: Option<u32>,
    pub(super) place: Place,
    /// Whether it stands in the list of lanes that want credits.
    pub(super) is_thirsty: bool,
}

impl Lane {
    /// An empty lane without a home that ends at `end`.
    pub(super) fn new(end: Bytes, not_before: Duration) -> Self {
        Self { end, not_before, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.queue.iter()
    }

    /// Whether it has neither rows nor a state worth keeping.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.queue.is_empty() && !self.is_in_flight && !self.is_locating && self.not_before <= now
    }

    /// Whether its rows have not moved for this long: what joins it now will wait.
    pub(super) fn is_stalled(&self, now: Duration, patience: Duration) -> bool {
        !self.queue.is_empty() && now.saturating_sub(self.since) > patience
    }

    /// Whether the waiting rows are worth a call.
    pub(super) fn is_ripe(&self, now: Duration, linger: Duration) -> bool {
        self.rows >= RIPE_ROWS
            || self.bytes >= RIPE_BYTES
            || self.tries > 0
            || self.halvings.is_some()
            || now >= self.since + linger
    }

    pub(super) fn push_back(&mut self, slice: Slice, now: Duration) {
        if self.queue.is_empty() {
            self.since = now;
        }
        self.count(&slice);
        self.credited += if slice.is_credited { slice.bytes() } else { 0 };
        self.queue.push_back(slice);
    }

    /// Rows of a batch come back. Their credits are still counted.
    pub(super) fn push_front(&mut self, slices: Vec<Slice>, now: Duration) {
        if self.queue.is_empty() {
            self.since = now;
        }
        for slice in slices.into_iter().rev() {
            self.count(&slice);
            self.queue.push_front(slice);
        }
    }

    fn count(&mut self, slice: &Slice) {
        self.rows += slice.len();
        self.bytes += slice.bytes();
    }

    /// The next batch: at most `rows_max` rows and, but for a first row, `bytes_max` bytes.
    pub(super) fn take_batch(&mut self, (rows_max, bytes_max): (usize, usize), now: Duration) -> Vec<Slice> {
        let mut batch: Vec<Slice> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        while let Some(next) = self.queue.front_mut() {
            let ends = batch.last().is_some_and(|last| last.ends_batch || last.durability != next.durability);
            if ends || rows >= rows_max || (bytes >= bytes_max && !batch.is_empty()) {
                break;
            }
            let left = bytes_max - bytes.min(bytes_max);
            let mut count = next.len().min(rows_max - rows);
            if next.bytes() > left {
                count = count.min(next.rows_within(left));
                if !batch.is_empty() && next.part(0..count).is_some_and(|part| part.bytes() > left) {
                    break;
                }
            }
            let slice = if count == next.len() { self.queue.pop_front() } else { next.take(count) };
            let Some(slice) = slice else { break };
            rows += slice.len();
            bytes += slice.bytes();
            batch.push(slice);
        }
        self.rows -= rows;
        self.bytes -= bytes;
        self.since = now;
        batch
    }

    /// Takes everything out that waits.
    pub(super) fn drain(&mut self) -> VecDeque<Slice> {
        (self.rows, self.bytes) = (0, 0);
        std::mem::take(&mut self.queue)
    }

    /// Takes out what waits and belongs to a write. Returns its rows, its bytes, and how many of them have credits.
    pub(super) fn withdraw(&mut self, ticket: TicketId) -> Withdrawn {
        let mut withdrawn = Withdrawn::default();
        self.queue.retain(|slice| {
            if slice.ticket == ticket {
                withdrawn.add(slice);
            }
            slice.ticket != ticket
        });
        self.rows -= withdrawn.rows;
        self.bytes -= withdrawn.bytes;
        self.credited -= withdrawn.credited;
        withdrawn
    }

    /// The oldest rows without credits, if there are any.
    pub(super) fn first_uncredited(&mut self) -> Option<&mut Slice> {
        self.queue.iter_mut().find(|slice| !slice.is_credited)
    }

    /// The smallest key that waits.
    pub(super) fn first_key(&self) -> Option<Bytes> {
        self.queue.iter().map(Slice::first_key).min().map(Bytes::copy_from_slice)
    }

    /// Whether a batch of `rows` that was refused as a whole may be cut in halves once more. Counts.
    pub(super) fn may_halve(&mut self, rows: usize) -> bool {
        let left = self.halvings.get_or_insert_with(|| HALVINGS_FACTOR * (rows.max(1).ilog2() + 1));
        *left = left.saturating_sub(1);
        *left > 0 && rows > 1
    }

    /// Rows of a batch were taken. If it is a part of a refused one, the refusal is about some rows and not about all:
    /// they are worth looking for.
    pub(super) fn rows_were_taken(&mut self) {
        if let Some(left) = &mut self.halvings {
            *left = HALVINGS_ANEW.max(*left);
        }
    }

    /// No part of a refused batch waits any more: the next refusal is a new story.
    pub(super) fn forget_halvings(&mut self) {
        if !self.queue.iter().any(|slice| slice.ends_batch) {
            self.halvings = None;
        }
    }
}

/// What was taken out of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Withdrawn {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) credited: usize,
}

impl Withdrawn {
    fn add(&mut self, slice: &Slice) {
        self.rows += slice.len();
        self.bytes += slice.bytes();
        self.credited += if slice.is_credited { slice.bytes() } else { 0 };
    }
}

#[cfg(test)]
mod tests;
