//! A scanner of one region, between its calls (`RSRpcServices.scan`, `RegionScannerImpl`).

use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::data::{check_families, view};
use super::filter::{self, Sieve};
use super::region::Region;
use super::state::refusal;
use super::store::{RowOrder, Store, View};
use crate::cell::Cell;
use crate::exception::Exception;
use crate::wire::cell_block;
use crate::wire::message::{CursorMessage, ScanMessage, ScanResponse};

/// Bytes of one answer when a scan names no limit.
const ANSWER_BYTES: u64 = 2 << 20;
/// Rows that one call looks at without finding any before it gives a sign of life. Real servers count time.
const ROWS_WITHOUT_RESULT_MAX: u32 = 1000;

/// What a call says of its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Takes {
    pub(super) partials: bool,
    pub(super) heartbeats: bool,
}

#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) region: Arc<Region>,
    pub(super) next_call_seq: u64,
    pub(super) touched: Instant,
    scan: ScanMessage,
    view: View,
    sieve: Option<Sieve>,
    is_reversed: bool,
    /// The last row looked at; the next one is behind it.
    last: Option<Bytes>,
    /// Cells of a row of which only a part was given out.
    rest: Vec<Cell>,
    left: Option<u32>,
}

/// The next row, or why there is none now.
enum Next {
    Row(Vec<Cell>),
    End,
    /// Many rows were looked at and none passed.
    NotYet,
}

impl Scanner {
    pub(super) fn open(region: Arc<Region>, scan: ScanMessage, left: Option<u32>) -> Result<Self, Exception> {
        if scan.batch_size.is_some_and(|cells| cells > 0) {
            return Err(refusal("DoNotRetryIOException", "scans in batches of cells are not served here"));
        }
        let is_raw = scan.attribute.iter().any(|attribute| {
            attribute.name == "_raw_"
                && attribute.value.as_deref().is_some_and(|value| value.iter().any(|byte| *byte != 0))
        });
        let view = view(&scan.column, scan.time_range, scan.max_versions, is_raw);
        check_families(&region, &view)?;
        let is_reversed = scan.reversed == Some(true);
        let filter = scan.filter.as_ref().map(filter::decode).transpose()?;
        Ok(Self {
            region,
            next_call_seq: 0,
            touched: Instant::now(),
            scan,
            view,
            sieve: filter.map(|filter| Sieve::new(filter, is_reversed)),
            is_reversed,
            last: None,
            rest: Vec::new(),
            left,
        })
    }

    /// Fills an answer up to its limits; says whether the region has more.
    pub(super) fn read(&mut self, rows: u32, takes: Takes, answer: &mut ScanResponse) -> Bytes {
        let bytes_max = self.scan.max_result_size.filter(|bytes| *bytes > 0).unwrap_or(ANSWER_BYTES) as usize;
        let region = Arc::clone(&self.region);
        let held = region.read();
        let mut found = BytesMut::new();
        let mut whole: u32 = 0;
        answer.more_results = Some(true);
        answer.more_results_in_region = Some(true);
        while whole < rows && found.len() < bytes_max {
            let cells = match std::mem::take(&mut self.rest) {
                rest if !rest.is_empty() => rest,
                _ => match held.as_ref().map_or(Next::End, |store| self.next_row(store, takes)) {
                    Next::Row(cells) => cells,
                    Next::End => {
                        self.end(answer);
                        break;
                    }
                    Next::NotYet => {
                        answer.heartbeat_message = Some(true);
                        answer.cursor = self.cursor();
                        break;
                    }
                },
            };
            let count = give(&cells, (&mut found, bytes_max), takes.partials);
            answer.cells_per_result.push(count as u32);
            let is_partial = count < cells.len();
            answer.partial_flag_per_result.push(is_partial);
            if is_partial {
                self.rest = cells.get(count..).unwrap_or_default().to_vec();
                break;
            }
            whole += 1;
            if let Some(left) = &mut self.left {
                *left -= 1;
                if *left == 0 {
                    answer.more_results = Some(false);
                    answer.more_results_in_region = Some(false);
                    break;
                }
            }
        }
        found.freeze()
    }

    /// The region has no more; a filter that lets nothing through any more ends the whole scan, once an answer is
    /// empty.
    fn end(&self, answer: &mut ScanResponse) {
        answer.more_results_in_region = Some(false);
        if self.is_filter_done() && answer.cells_per_result.is_empty() {
            answer.more_results = Some(false);
        }
    }

    fn is_filter_done(&self) -> bool {
        self.sieve.as_ref().is_some_and(Sieve::is_done)
    }

    fn cursor(&self) -> Option<CursorMessage> {
        (self.scan.need_cursor_result == Some(true)).then(|| CursorMessage { row: self.last.clone() })
    }

    fn next_row(&mut self, store: &Store, takes: Takes) -> Next {
        let mut looked_at = 0;
        while !self.is_filter_done() {
            if takes.heartbeats && looked_at >= ROWS_WITHOUT_RESULT_MAX {
                return Next::NotYet;
            }
            let key = if self.is_reversed { self.before(store) } else { self.after(store) };
            let Some(key) = key else { return Next::End };
            looked_at += 1;
            self.last = Some(key.clone());
            let cells = store.row(&key, &self.view, &self.region.rules_of());
            let cells = match &mut self.sieve {
                Some(sieve) => sieve.row(cells),
                None => cells,
            };
            if !cells.is_empty() {
                return Next::Row(cells);
            }
        }
        Next::End
    }

    fn after(&self, store: &Store) -> Option<Bytes> {
        let start = self.scan.start_row.as_ref().filter(|start| !start.is_empty());
        let is_included = self.scan.include_start_row != Some(false);
        let from = match (&self.last, start) {
            (Some(last), _) => Bound::Excluded(last),
            (None, Some(start)) if store.order().compare(start, &self.region.start).is_ge() => {
                if is_included {
                    Bound::Included(start)
                } else {
                    Bound::Excluded(start)
                }
            }
            (None, _) => Bound::Unbounded,
        };
        let key = store.next_key(from)?;
        self.is_before_stop(&key, store.order()).then_some(key)
    }

    fn before(&self, store: &Store) -> Option<Bytes> {
        let start = self.scan.start_row.as_ref().filter(|start| !start.is_empty());
        let is_included = self.scan.include_start_row != Some(false);
        let from = match (&self.last, start) {
            (Some(last), _) => Bound::Excluded(last),
            (None, Some(start)) => {
                if is_included {
                    Bound::Included(start)
                } else {
                    Bound::Excluded(start)
                }
            }
            (None, None) => Bound::Unbounded,
        };
        let key = store.previous_key(from)?;
        self.is_before_stop(&key, store.order()).then_some(key)
    }

    fn is_before_stop(&self, key: &Bytes, order: RowOrder) -> bool {
        let Some(stop) = self.scan.stop_row.as_ref().filter(|stop| !stop.is_empty()) else { return true };
        // Old clients ask for one row by a stop that equals the start.
        let is_single = self.scan.start_row.as_ref() == Some(stop) && self.scan.include_stop_row.is_none();
        let is_included = self.scan.include_stop_row == Some(true) || is_single;
        let order = if self.is_reversed { order.compare(stop, key) } else { order.compare(key, stop) };
        order.is_lt() || (is_included && order.is_eq())
    }
}

/// Appends cells to an answer: all of them, or as many as fit if the client can join parts. Returns how many.
fn give(cells: &[Cell], (found, bytes_max): (&mut BytesMut, usize), takes_partials: bool) -> usize {
    let mut count = 0;
    for cell in cells {
        if takes_partials && count > 0 && found.len() >= bytes_max {
            break;
        }
        cell_block::encode(cell, found);
        count += 1;
    }
    count
}
