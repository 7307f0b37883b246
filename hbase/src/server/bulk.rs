//! The fast path of region actions: puts and deletes whose cells all stand in the cell block and are all to be taken.
//!
//! It looks at the raw bytes twice, once to check and once to keep slices of them, and has no opinion of its own: whatever
//! is not plain (a refusal, a read, a cell in protobuf) is left to the path that can say why.

use bytes::Bytes;

use super::memstore::{KeyValue, Outline};
use super::region::Region;
use super::store::Store;
use crate::cell::{CellKind, LATEST_TIMESTAMP};
use crate::wire::message::{MutationProto, RegionAction};

/// Cells of a region action that may be taken as they are.
#[derive(Debug)]
pub(super) struct Plain {
    /// By mutation: number of cells.
    counts: Vec<u32>,
    outlines: Vec<Outline>,
    /// Bytes of all cells.
    pub(super) bytes: usize,
}

/// Looks at the mutations of a region action and their cells, which the block begins with. `None` if any is not plain.
pub(super) fn plain(region: &Region, action: &RegionAction, block: &[u8], cell_bytes_max: usize) -> Option<Plain> {
    let mut plain = Plain {
        counts: Vec::with_capacity(action.action.len()),
        outlines: Vec::with_capacity(action.action.len().saturating_mul(4).min(block.len() / 24)),
        bytes: 0,
    };
    let mut family: &[u8] = &[];
    for action in &action.action {
        let mutation = action.mutation.as_ref().filter(|_| action.get.is_none())?;
        let count = cells_of(mutation)?;
        let mut row: Option<&[u8]> = None;
        for _ in 0..count {
            let bytes = block.get(plain.bytes..)?;
            let outline = Outline::read(bytes)?;
            let (its_row, its_family) = (outline.row(bytes), outline.family(bytes));
            let is_known = family == its_family || region.rules.contains_key(its_family);
            let is_in_place = match row {
                Some(row) => row == its_row,
                None => region.contains(its_row),
            };
            let asks_for_the_newest = outline.kind == CellKind::Delete && outline.timestamp == LATEST_TIMESTAMP;
            if !is_known || !is_in_place || asks_for_the_newest || outline.len() > cell_bytes_max {
                return None;
            }
            (row, family) = (Some(its_row), its_family);
            plain.bytes += outline.len();
            plain.outlines.push(outline);
        }
        plain.counts.push(count);
    }
    Some(plain)
}

/// Number of cells of a mutation that has all of them in the block.
fn cells_of(mutation: &MutationProto) -> Option<u32> {
    let is_plain = matches!(mutation.mutate_type, Some(MutationProto::PUT | MutationProto::DELETE));
    let count = u32::try_from(mutation.associated_cell_count?).ok()?;
    (is_plain && count > 0 && mutation.column_value.is_empty()).then_some(count)
}

impl Plain {
    /// Number of cells.
    pub(super) fn cells(&self) -> usize {
        self.outlines.len()
    }

    /// Keeps slices of the block: the rows for which `keeps` says so.
    pub(super) fn apply(&self, store: &mut Store, block: &Bytes, now_ms: i64, keeps: impl Fn(&[u8]) -> bool) {
        let mut outlines = self.outlines.iter();
        let mut at = 0;
        for count in &self.counts {
            let row = outlines.as_slice().get(..*count as usize).unwrap_or_default();
            outlines = outlines.as_slice().get(*count as usize..).unwrap_or_default().iter();
            let is_kept = row.first().is_some_and(|first| keeps(first.row(block.get(at..).unwrap_or_default())));
            let mut start = at;
            at += row.iter().map(Outline::len).sum::<usize>();
            if !is_kept {
                continue;
            }
            let cells = row.iter().map(|outline| {
                let timestamp = if outline.timestamp == LATEST_TIMESTAMP { now_ms } else { outline.timestamp };
                let cell = KeyValue::new(outline.at(timestamp), block, start);
                start += outline.len();
                cell
            });
            store.apply_row(*count as usize, cells);
        }
    }
}
