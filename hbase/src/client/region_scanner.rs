//! A scan of many regions at once, in bounded memory.
//!
//! # Laws
//! 1. The range is cut once, at the region borders of that moment; each piece is a scan of its own that follows splits,
//!    merges and moves, so no row is lost or comes twice whatever the regions do meanwhile.
//! 2. At most [`RegionScan::concurrency`] pieces are read at a time, each within its share of
//!    [`RegionScan::bytes_max`]; a row larger than that comes alone.
//! 3. In order, the piece whose turn it is has a share of its own and never waits for those behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::Client;
use super::attempt::Attempts;
use super::row_call::misuse;
use crate::error::Error;
use crate::row::Row;
use crate::rpc::connection::{CallError, ConnectionError};
use crate::scan::{Direction, Scan};
use crate::table_name::TableName;

/// Answers that wait in one lane; their bytes are bounded by the lane's share.
const LANE_ANSWERS: usize = 8;
/// A lane has three answers in memory at most: delivered, being delivered, fetched ahead.
const ANSWERS_IN_MEMORY: usize = 3;
/// Answers are not asked for in smaller pieces than this.
const ANSWER_BYTES_MIN: usize = 4 << 10;

/// In which order rows are given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// In the scan's direction, as of one scan.
    #[default]
    Ordered,
    /// As they come; in order only within a region.
    Unordered,
}

/// How many regions are read at a time, and in how much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionScan {
    /// Pieces read at a time; one or two for each region server are usual. At least 1.
    pub concurrency: usize,
    /// Bytes of cells that are in memory at most, for all pieces.
    pub bytes_max: usize,
    /// Order.
    pub delivery: Delivery,
}

impl Default for RegionScan {
    /// Four pieces in 64 MiB, in order.
    fn default() -> Self {
        Self { concurrency: 4, bytes_max: 64 << 20, delivery: Delivery::Ordered }
    }
}

/// Rows of one answer, with the room that they take.
struct Answer {
    rows: VecDeque<Row>,
    _room: OwnedSemaphorePermit,
}

enum Message {
    Rows(Answer),
    Failed(Error),
    Done,
}

/// A scan of many regions under way. Dropping it ends all its pieces.
#[derive(Debug)]
pub struct RegionScanner {
    client: Client,
    table: TableName,
    scan: Scan,
    options: RegionScan,
    /// `None` until the first row is asked for.
    waiting: Option<VecDeque<Scan>>,
    lanes: VecDeque<mpsc::Receiver<Message>>,
    shared: Option<mpsc::Sender<Message>>,
    running: usize,
    tasks: JoinSet<()>,
    current: Option<Answer>,
    given: u64,
    is_done: bool,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({} rows)", self.rows.len())
    }
}

impl Client {
    /// Reads rows from many regions at once. Nothing is sent before the first row is asked for.
    ///
    /// A [`Scan::limit`] bounds all pieces together; cursors are not given out.
    #[must_use]
    pub fn scan_regions(&self, table: &TableName, scan: Scan, options: RegionScan) -> RegionScanner {
        RegionScanner {
            client: self.clone(),
            table: table.clone(),
            scan,
            options,
            waiting: None,
            lanes: VecDeque::new(),
            shared: None,
            running: 0,
            tasks: JoinSet::new(),
            current: None,
            given: 0,
            is_done: false,
        }
    }
}

impl RegionScanner {
    /// The next row; `None` at the end. Cancel safe: no row is lost or given out twice.
    ///
    /// # Errors
    /// [`Error`] of the first piece that fails for good; the scan is over then.
    pub async fn next_row(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if let Some(row) = self.current.as_mut().and_then(|answer| answer.rows.pop_front()) {
                self.given += 1;
                if self.scan.limit != 0 && self.given >= self.scan.limit {
                    self.current = None;
                    self.end();
                }
                return Ok(Some(row));
            }
            self.current = None;
            if self.is_done {
                return Ok(None);
            }
            self.start().await?;
            let Some(lane) = self.lanes.front_mut() else {
                self.end();
                continue;
            };
            match lane.recv().await {
                Some(Message::Rows(answer)) => self.current = Some(answer),
                Some(Message::Done) => self.piece_done(),
                Some(Message::Failed(error)) => {
                    self.end();
                    return Err(error);
                }
                None => {
                    // A piece's task does not panic; it is only ended early with its runtime.
                    self.end();
                    return Err(Error::Call(CallError::Connection(Arc::new(ConnectionError::Closed))));
                }
            }
        }
    }

    fn end(&mut self) {
        self.is_done = true;
        self.tasks.abort_all();
        self.lanes.clear();
        self.shared = None;
    }

    fn piece_done(&mut self) {
        self.running = self.running.saturating_sub(1);
        let is_last = self.running == 0 && self.waiting.as_ref().is_none_or(VecDeque::is_empty);
        if self.options.delivery == Delivery::Ordered || is_last {
            self.lanes.pop_front();
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Cuts the range if that was not done yet, and starts pieces while there may be more.
    async fn start(&mut self) -> Result<(), Error> {
        if self.waiting.is_none() {
            self.scan.check().map_err(misuse(&self.table, &self.scan.start))?;
            let borders = self.borders().await?;
            let share = self.options.bytes_max / self.options.concurrency.max(1) / ANSWERS_IN_MEMORY;
            let bytes_per_answer = self.scan.bytes_per_answer.min(share.max(ANSWER_BYTES_MIN) as u64);
            let scan = Scan { bytes_per_answer, cursors: false, ..self.scan.clone() };
            self.waiting = Some(pieces(&scan, &borders).into());
        }
        while self.running < self.options.concurrency.max(1)
            && let Some(piece) = self.waiting.as_mut().and_then(VecDeque::pop_front)
        {
            self.running += 1;
            let lane = self.lane();
            self.tasks.spawn(read(self.client.clone(), self.table.clone(), piece, lane));
        }
        Ok(())
    }

    fn lane(&mut self) -> mpsc::Sender<Message> {
        if let Some(shared) = &self.shared {
            return shared.clone();
        }
        let (sender, receiver) = mpsc::channel(LANE_ANSWERS);
        self.lanes.push_back(receiver);
        if self.options.delivery == Delivery::Unordered {
            self.shared = Some(sender.clone());
        }
        sender
    }

    /// First rows of the table's regions. Regions that are in transition just now leave no gap: only the cuts follow
    /// the regions, the pieces cover everything.
    async fn borders(&self) -> Result<Vec<Bytes>, Error> {
        let mut attempts = Attempts::new(&self.client.inner().config);
        loop {
            match self.client.regions(&self.table).await {
                Ok(regions) => return Ok(regions.into_iter().map(|region| region.start).collect()),
                Err(error) => attempts.failed(error).await?,
            }
        }
    }
}

/// Reads one piece into its lane; ends early when nobody takes the rows any more.
async fn read(client: Client, table: TableName, piece: Scan, lane: mpsc::Sender<Message>) {
    let share = u32::try_from(piece.bytes_per_answer).unwrap_or(u32::MAX).max(1);
    let room = Arc::new(Semaphore::new(share as usize));
    let mut scanner = client.scan(&table, piece);
    loop {
        let rows = match scanner.next_rows().await {
            Ok(rows) => rows,
            Err(error) => {
                let _ = lane.send(Message::Failed(error)).await;
                return;
            }
        };
        if rows.is_empty() {
            let _ = lane.send(Message::Done).await;
            return;
        }
        let bytes: usize = rows.iter().map(|row| size_of::<Row>() + row.bytes().len()).sum();
        let taken = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, share);
        // The semaphore is never closed.
        let Ok(room) = Arc::clone(&room).acquire_many_owned(taken).await else { return };
        if lane.send(Message::Rows(Answer { rows: rows.into(), _room: room })).await.is_err() {
            return;
        }
    }
}

/// Cuts a scan at borders. Pure.
fn pieces(scan: &Scan, borders: &[Bytes]) -> Vec<Scan> {
    let is_inside = |border: &&Bytes| match scan.direction {
        Direction::Forward => **border > scan.start && (scan.stop.is_empty() || **border < scan.stop),
        Direction::Reversed => (scan.start.is_empty() || **border <= scan.start) && **border > scan.stop,
    };
    let mut cuts: Vec<&Bytes> = borders.iter().filter(|border| !border.is_empty()).filter(is_inside).collect();
    cuts.sort();
    cuts.dedup();
    let mut rest = scan.clone();
    let mut pieces = Vec::with_capacity(cuts.len() + 1);
    let is_forward = scan.direction == Direction::Forward;
    if !is_forward {
        cuts.reverse();
    }
    for cut in cuts {
        // The border row belongs to the upper piece.
        pieces.push(Scan { stop: cut.clone(), stop_included: !is_forward, ..rest.clone() });
        rest = Scan { start: cut.clone(), start_included: is_forward, ..rest };
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(scan: &Scan, row: &[u8]) -> bool {
        let (low, low_included, high, high_included) = match scan.direction {
            Direction::Forward => (&scan.start, scan.start_included, &scan.stop, scan.stop_included),
            Direction::Reversed => (&scan.stop, scan.stop_included, &scan.start, scan.start_included),
        };
        let above = low.is_empty() || row > &low[..] || (low_included && row == &low[..]);
        let below = high.is_empty() || row < &high[..] || (high_included && row == &high[..]);
        above && below
    }

    fn key(number: u8) -> Bytes {
        if number == 0 { Bytes::new() } else { Bytes::copy_from_slice(&[number]) }
    }

    proptest! {
        /// The naive model asks of every row how many pieces have it.
        #[test]
        fn every_row_of_the_range_is_in_one_piece_and_pieces_stand_in_order(
            (start, stop) in (0_u8..12, 0_u8..12),
            included in any::<(bool, bool)>(),
            is_reversed in any::<bool>(),
            borders in prop::collection::vec(0_u8..12, 0..6),
        ) {
            let direction = if is_reversed { Direction::Reversed } else { Direction::Forward };
            let scan = Scan {
                start: key(start), start_included: included.0, stop: key(stop), stop_included: included.1, direction,
                ..Scan::default()
            };
            let borders: Vec<Bytes> = borders.into_iter().map(key).collect();
            let pieces = pieces(&scan, &borders);
            let mut rows: Vec<Vec<u8>> = (1..12).flat_map(|row| [vec![row], vec![row, 0]]).collect();
            if is_reversed {
                rows.reverse();
            }
            let mut last = 0;
            for row in rows {
                let found: Vec<usize> = (0..pieces.len()).filter(|piece| covers(&pieces[*piece], &row)).collect();
                prop_assert_eq!(found.len(), usize::from(covers(&scan, &row)), "{:?} in {:?}", row, pieces);
                if let Some(piece) = found.first() {
                    prop_assert!(*piece >= last);
                    last = *piece;
                }
            }
        }
    }
}
