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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::config::Config;
    use super::super::data::Data;
    use super::super::fault::{RegionVerdict, Verdict};
    use super::super::state::{HOST, ServerSlot, State};
    use super::super::store::View;
    use super::*;
    use crate::cell::Cell;
    use crate::client::admin::{Family, TableDescriptor};
    use crate::table_name::TableName;
    use crate::wire::cell_block;
    use crate::wire::message::{ActionMessage, MultiRequest, MultiResponse, RegionSpecifier};

    /// A region server of its own with table `t` of families `f` and `g`, cut at `m`.
    fn server() -> (Arc<State>, Data) {
        let config = Config { cell_bytes_max: 60, ..Config::default() };
        let state = Arc::new(State::new(config, Weak::new()));
        state.servers().push(ServerSlot { host: HOST.to_owned(), port: 1, start_code: 1, is_up: true });
        let families = vec![Family::new("f").with("VERSIONS", "9"), Family::new("g")];
        let descriptor = TableDescriptor { name: TableName::new("t"), families };
        state.create(descriptor, vec![Bytes::from_static(b"m")]).expect("created");
        let data = Data::new(Arc::clone(&state), 0);
        (state, data)
    }

    fn any_mutation() -> impl Strategy<Value = Vec<Cell>> {
        let row = prop::sample::select(vec!["a", "b", "k", "k", "k", "n"]);
        let family = prop::sample::select(vec!["f", "f", "f", "g", "h"]);
        let kind = prop::sample::select(vec![CellKind::Put, CellKind::Put, CellKind::Delete, CellKind::DeleteColumn]);
        let timestamp = prop::sample::select(vec![1, 2, 3, 3, LATEST_TIMESTAMP]);
        let value = prop::sample::select(vec![0_usize, 1, 1, 1, 1, 50]);
        let cell = (family, "[xy]", timestamp, value);
        (row, kind, prop::collection::vec(cell, 1..4)).prop_map(|(row, kind, cells)| {
            let cell = |(family, qualifier, timestamp, value): (&str, String, i64, usize)| Cell {
                row: Bytes::copy_from_slice(row.as_bytes()),
                family: Bytes::copy_from_slice(family.as_bytes()),
                qualifier: qualifier.into(),
                timestamp,
                kind,
                value: vec![b'v'; value].into(),
            };
            cells.into_iter().map(cell).collect()
        })
    }

    fn request(region: &[u8], mutations: &[Vec<Cell>]) -> (MultiRequest, Bytes) {
        let mut block = BytesMut::new();
        let mut actions = Vec::new();
        for (index, cells) in (1..).zip(mutations) {
            cells.iter().for_each(|cell| cell_block::encode(cell, &mut block));
            let is_delete = cells.iter().any(|cell| cell.kind.is_delete());
            let mutation = MutationProto {
                mutate_type: Some(if is_delete { MutationProto::DELETE } else { MutationProto::PUT }),
                associated_cell_count: Some(cells.len() as i32),
                ..MutationProto::default()
            };
            actions.push(ActionMessage { index: Some(index), mutation: Some(mutation), ..ActionMessage::default() });
        }
        let specifier = RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: Bytes::copy_from_slice(region) };
        let action = RegionAction { region: specifier, action: actions, ..RegionAction::default() };
        (MultiRequest { region_action: vec![action], ..MultiRequest::default() }, block.freeze())
    }

    /// What the answer says of each action, and what the region has then. Times of arrival are left out.
    fn outcome(mutations: &[Vec<Cell>], verdict: &Verdict) -> (Vec<(u32, Option<String>)>, Vec<Cell>) {
        let (state, data) = server();
        let region = state.regions(&TableName::new("t")).remove(0);
        let (request, block) = request(&region.name, mutations);
        let (MultiResponse { region_action_result, .. }, _) = data.multi(request, block, verdict);
        let results = region_action_result.iter().flat_map(|region| &region.result_or_exception);
        let class = |pair: &crate::wire::message::NameBytesPair| pair.name.clone();
        let mut results: Vec<_> =
            results.map(|result| (result.index.unwrap_or(0), result.exception.as_ref().map(class))).collect();
        results.sort();
        let view = View { columns: [].into(), versions: 9, from: 0, to: i64::MAX, is_raw: true, now_ms: 0 };
        let held = region.read();
        let store = held.as_ref().expect("open");
        let rows = ["a", "b", "k", "n"].map(|row| store.row(&Bytes::from_static(row.as_bytes()), &view, &|_| None));
        let arrived = |cell: Cell| if cell.timestamp > 3 { Cell { timestamp: 99, ..cell } } else { cell };
        (results, rows.into_iter().flatten().map(arrived).collect())
    }

    proptest! {
        /// The other path is taken when a rule looks at the region action, even if it does nothing to it.
        #[test]
        fn the_fast_path_does_what_the_other_one_does(mutations in prop::collection::vec(any_mutation(), 1..12)) {
            let slowly = Verdict { call: None, regions: vec![RegionVerdict::default()] };
            prop_assert_eq!(outcome(&mutations, &Verdict::default()), outcome(&mutations, &slowly));
        }
    }

    #[test]
    fn plain_puts_take_the_fast_path() {
        let (state, _) = server();
        let region = state.regions(&TableName::new("t")).remove(0);
        let cell = |row: &str| Cell {
            row: Bytes::copy_from_slice(row.as_bytes()),
            family: Bytes::from_static(b"f"),
            qualifier: Bytes::from_static(b"q"),
            timestamp: 1,
            kind: CellKind::Put,
            value: Bytes::new(),
        };
        let taken = |row| {
            let (request, block) = request(&region.name, &[vec![cell("a")], vec![cell(row)]]);
            plain(&region, &request.region_action[0], &block, 60).map(|plain| (plain.cells(), plain.bytes))
        };
        assert_eq!(taken("b"), Some((2, 54)));
        assert_eq!(taken("z"), None, "a row of another region");
    }
}
