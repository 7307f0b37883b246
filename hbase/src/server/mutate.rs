//! Changes of one region: puts, deletes, increments and appends, plain, atomic and conditional (`HRegion`).
//!
//! # Laws
//! 1. A condition and what it guards are one step: the region's lock is held over both.
//! 2. Of an atomic action either everything is checked and written, or nothing is.
//! 3. An increment or append whose nonce was carried out here is answered by a read, not carried out again
//!    (`ServerNonceManager`).

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;

use super::data::{Data, block, check_families, check_row, no_family, row_view, view};
use super::filter::{self, Sieve};
use super::multi::outcome_of;
use super::region::Region;
use super::state::{now_ms, refusal};
use super::store::Store;
use crate::cell::{Cell, CellKind, LATEST_TIMESTAMP};
use crate::exception::Exception;
use crate::filter::{CompareOperator, Filter};
use crate::wire::cell_block::{self, CellReader};
use crate::wire::message::{
    ConditionMessage, MutateRequest, MutateResponse, MutationProto, RegionAction, RegionActionResult, ResultMessage,
    TimeRangeMessage,
};

/// Nonces that are remembered.
const NONCES_MAX: usize = 100_000;

/// Nonces of the increments and appends carried out last.
#[derive(Debug, Default)]
pub(super) struct NonceMemory {
    known: HashSet<(u64, u64)>,
    order: VecDeque<(u64, u64)>,
}

impl NonceMemory {
    fn knows(&self, nonce: (u64, u64)) -> bool {
        self.known.contains(&nonce)
    }

    fn remember(&mut self, nonce: (u64, u64)) {
        if !self.known.insert(nonce) {
            return;
        }
        self.order.push_back(nonce);
        if self.order.len() > NONCES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// A mutation, taken apart.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Cells as they are.
    Write(Vec<Cell>),
    /// Values made from those that are there.
    Derive { derivation: Derivation, operands: Vec<Cell>, nonce: Option<u64>, wants_result: bool },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Derivation {
    Increment,
    Append,
}

impl Change {
    /// Reads a mutation: from the cell block, from the message, or a whole row's markers.
    pub(super) fn read(mutation: &MutationProto, reader: &mut CellReader, region: &Region) -> Result<Self, Exception> {
        let cells = cells_of(mutation, reader)?;
        let derivation = match mutation.mutate_type {
            Some(MutationProto::PUT) => return Ok(Self::Write(cells)),
            Some(MutationProto::DELETE) if cells.is_empty() => return Ok(Self::Write(row_markers(mutation, region))),
            Some(MutationProto::DELETE) => return Ok(Self::Write(cells)),
            Some(MutationProto::INCREMENT) => Derivation::Increment,
            Some(MutationProto::APPEND) => Derivation::Append,
            _ => return Err(refusal("DoNotRetryIOException", "a mutation without a known type")),
        };
        // `Mutation.setReturnResults(false)`.
        let is_unwanted = mutation
            .attribute
            .iter()
            .any(|attribute| attribute.name == "_rr_" && attribute.value.as_deref() == Some(&[0]));
        let nonce = mutation.nonce.filter(|nonce| *nonce != 0);
        Ok(Self::Derive { derivation, operands: cells, nonce, wants_result: !is_unwanted })
    }

    fn nonce(&self) -> Option<u64> {
        match self {
            Self::Write(_) => None,
            Self::Derive { nonce, .. } => *nonce,
        }
    }

    fn cells(&self) -> &[Cell] {
        match self {
            Self::Write(cells) => cells,
            Self::Derive { operands, .. } => operands,
        }
    }

    /// What a region checks before it writes.
    pub(super) fn check(&self, region: &Region) -> Result<(), Exception> {
        for cell in self.cells() {
            check_row(region, &cell.row)?;
            if !region.rules.contains_key(&cell.family) {
                return Err(no_family(region, &cell.family));
            }
        }
        Ok(())
    }

    /// Whether the cells are small enough (`RSRpcServices.checkCellSizeLimit`).
    pub(super) fn check_size(&self, cell_bytes_max: usize) -> Result<(), Exception> {
        self.cells().iter().try_for_each(|cell| check_size(cell, cell_bytes_max))
    }
}

fn check_size(cell: &Cell, most: usize) -> Result<(), Exception> {
    let bytes = cell_block::encoded_len(cell);
    if bytes > most {
        return Err(refusal("DoNotRetryIOException", format!("Cell with size {bytes} exceeds limit of {most} bytes")));
    }
    Ok(())
}

impl Data {
    pub(super) fn mutate(&self, request: &MutateRequest, cells: Bytes) -> Result<(MutateResponse, Bytes), Exception> {
        let region = self.region(&request.region)?;
        let change = Change::read(&request.mutation, &mut CellReader::new(cells), &region)?;
        change.check(&region)?;
        change.check_size(self.state.config.cell_bytes_max)?;
        let condition = request.condition.as_ref().map(|message| Guard::read(message, &region)).transpose()?;
        let group = request.nonce_group.unwrap_or(0);
        let Some(mut results) = self.change(&region, vec![change], (condition.as_ref(), group))? else {
            return Ok((MutateResponse { result: None, processed: Some(false) }, Bytes::new()));
        };
        let cells = results.pop().flatten();
        let result = cells.as_ref().map(|cells| counted(cells));
        Ok((MutateResponse { result, processed: Some(true) }, block(&cells.unwrap_or_default())))
    }

    /// All mutations of one row, or none.
    pub(super) fn atomic(
        &self,
        region: &Arc<Region>,
        action: &RegionAction,
        (condition, group): (Option<&ConditionMessage>, u64),
        reader: &mut CellReader,
    ) -> Result<RegionActionResult, Exception> {
        // All are read before any is judged: cells of the next region stand behind them.
        let mutations = action.action.iter().filter_map(|action| action.mutation.as_ref());
        let changes: Vec<Result<Change, Exception>> =
            mutations.map(|mutation| Change::read(mutation, reader, region)).collect();
        let changes = changes.into_iter().collect::<Result<Vec<Change>, Exception>>()?;
        let most = self.state.config.cell_bytes_max;
        changes.iter().try_for_each(|change| change.check(region).and_then(|()| change.check_size(most)))?;
        let condition = condition.map(|message| Guard::read(message, region)).transpose()?;
        let processed = self.change(region, changes, (condition.as_ref(), group))?.is_some();
        // Numbered by position, whatever the actions' own indices are (`RSRpcServices.doAtomicBatchOp`).
        let done = |index| outcome_of(Some(index), Ok(ResultMessage::default()));
        let results = (0..).zip(&action.action).map(|(index, _)| done(index)).collect();
        Ok(RegionActionResult { result_or_exception: results, exception: None, processed: Some(processed) })
    }

    /// Makes checked changes under one lock, if the condition holds; `None` if it does not. A change that derives
    /// values has them as its result.
    pub(super) fn change(
        &self,
        region: &Region,
        changes: Vec<Change>,
        (condition, group): (Option<&Guard>, u64),
    ) -> Result<Option<Vec<Option<Vec<Cell>>>>, Exception> {
        self.check_memstore(region)?;
        let now = now_ms();
        let mut held = region.write();
        let closed = || refusal("NotServingRegionException", format!("{} is closing", region.encoded));
        let store = held.as_mut().ok_or_else(closed)?;
        if condition.is_some_and(|condition| !condition.holds(store, region)) {
            return Ok(None);
        }
        // Nothing is written or remembered before everything that can fail has not.
        let nonces: Vec<u64> = changes.iter().filter_map(Change::nonce).collect();
        let mut made = Vec::with_capacity(changes.len());
        for change in changes {
            made.push(self.derive(store, region, change, (group, now))?);
        }
        nonces.into_iter().for_each(|nonce| self.nonces().remember((group, nonce)));
        let counters = &self.state.counters;
        counters.mutations.fetch_add(made.len() as u64, Relaxed);
        let mut results = Vec::with_capacity(made.len());
        for (cells, result) in made {
            counters.cells.fetch_add(cells.len() as u64, Relaxed);
            for cell in cells {
                region.grow(cell_block::encoded_len(&cell));
                if self.state.config.keeping.keeps(&cell.row) {
                    store.apply(cell, now);
                }
            }
            results.push(result);
        }
        Ok(Some(results))
    }

    fn nonces(&self) -> MutexGuard<'_, NonceMemory> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cells to write, and those to answer.
    fn derive(
        &self,
        store: &Store,
        region: &Region,
        change: Change,
        (group, now): (u64, i64),
    ) -> Result<(Vec<Cell>, Option<Vec<Cell>>), Exception> {
        let (derivation, operands, nonce, wants_result) = match change {
            Change::Write(cells) => return Ok((cells, None)),
            Change::Derive { derivation, operands, nonce, wants_result } => (derivation, operands, nonce, wants_result),
        };
        let current = |operand: &Cell| {
            let view = row_view(&operand.family, &operand.qualifier);
            store.row(&operand.row, &view, &region.rules_of()).into_iter().next()
        };
        let answer = |cells: Vec<Cell>| Some(if wants_result { cells } else { Vec::new() });
        if nonce.is_some_and(|nonce| self.nonces().knows((group, nonce))) {
            return Ok((Vec::new(), answer(operands.iter().filter_map(current).collect())));
        }
        let mut made = Vec::with_capacity(operands.len());
        for operand in &operands {
            let cell = derived(derivation, operand, current(operand), now)?;
            // A value may outgrow the limit by what is appended to it (`HRegion.reckonDeltasByStore`).
            check_size(&cell, self.state.config.cell_bytes_max)?;
            made.push(cell);
        }
        Ok((made.clone(), answer(made)))
    }
}

/// The new value of a column. Its time never goes back, so that it is the newest (`HRegion.reckonDelta`).
fn derived(derivation: Derivation, operand: &Cell, current: Option<Cell>, now: i64) -> Result<Cell, Exception> {
    let timestamp = current.as_ref().map_or(now, |current| now.max(current.timestamp));
    let value = match derivation {
        Derivation::Increment => {
            let before = current.map_or(Ok(0), |current| number(&current.value))?;
            Bytes::copy_from_slice(&before.wrapping_add(number(&operand.value)?).to_be_bytes())
        }
        Derivation::Append => {
            let mut value = current.map(|current| current.value.to_vec()).unwrap_or_default();
            value.extend_from_slice(&operand.value);
            value.into()
        }
    };
    Ok(Cell { timestamp, kind: CellKind::Put, value, ..operand.clone() })
}

fn number(value: &[u8]) -> Result<i64, Exception> {
    let wrong = |_| refusal("DoNotRetryIOException", format!("Field is not a long, it's {} bytes wide", value.len()));
    value.try_into().map(i64::from_be_bytes).map_err(wrong)
}

pub(super) fn counted(cells: &[Cell]) -> ResultMessage {
    ResultMessage { associated_cell_count: Some(cells.len() as i32), ..ResultMessage::default() }
}

/// A condition, taken apart.
#[derive(Debug)]
pub(super) struct Guard {
    row: Bytes,
    time_range: Option<TimeRangeMessage>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    /// `stored OPERATOR value`; an empty value asks for absence.
    Column {
        family: Bytes,
        qualifier: Bytes,
        operator: CompareOperator,
        value: Bytes,
    },
    Filter(Filter),
}

impl Guard {
    fn read(message: &ConditionMessage, region: &Region) -> Result<Self, Exception> {
        let incomplete = || refusal("DoNotRetryIOException", "a condition that lacks a part");
        check_row(region, &message.row)?;
        let test = match (&message.filter, &message.family, &message.comparator) {
            (Some(filter), ..) => Test::Filter(filter::decode(filter)?),
            (None, Some(family), Some(comparator)) => Test::Column {
                family: family.clone(),
                qualifier: message.qualifier.clone().unwrap_or_default(),
                // On the wire it says how the given value is to the stored one.
                operator: message
                    .compare_type
                    .and_then(CompareOperator::from_code)
                    .map(CompareOperator::turned)
                    .ok_or_else(incomplete)?,
                value: filter::comparator(comparator)?,
            },
            _ => return Err(incomplete()),
        };
        if let Test::Column { family, qualifier, .. } = &test {
            check_families(region, &row_view(family, qualifier))?;
        }
        Ok(Self { row: message.row.clone(), time_range: message.time_range, test })
    }

    /// As `HRegion.checkAndMutateInternal` decides.
    fn holds(&self, store: &Store, region: &Region) -> bool {
        match &self.test {
            Test::Filter(filter) => {
                let cells = store.row(&self.row, &view(&[], self.time_range, Some(1), false), &region.rules_of());
                !Sieve::new(filter.clone(), false).row(cells).is_empty()
            }
            Test::Column { family, qualifier, operator, value } => {
                let whole = view(&[], self.time_range, Some(1), false);
                let view = super::store::View { columns: row_view(family, qualifier).columns, ..whole };
                let found = store.row(&self.row, &view, &region.rules_of()).into_iter().next();
                let is_negated = *operator == CompareOperator::NotEqual;
                match found {
                    None => value.is_empty() && !is_negated,
                    Some(cell) if value.is_empty() => cell.value.is_empty() != is_negated,
                    Some(cell) => operator.holds(&cell.value, value),
                }
            }
        }
    }
}

fn cells_of(mutation: &MutationProto, reader: &mut CellReader) -> Result<Vec<Cell>, Exception> {
    let is_delete = mutation.mutate_type == Some(MutationProto::DELETE);
    let mut cells = Vec::new();
    for _ in 0..mutation.associated_cell_count.unwrap_or(0) {
        let broken = |text: String| refusal("DoNotRetryIOException", text);
        let cell = reader.next_cell().map_err(|error| broken(error.to_string()))?;
        cells.push(cell.ok_or_else(|| broken("the cell block ends too early".to_owned()))?);
    }
    let row = mutation.row.clone().unwrap_or_default();
    let default_at = mutation.timestamp.map_or(LATEST_TIMESTAMP, |at| at as i64);
    for column in &mutation.column_value {
        for value in &column.qualifier_value {
            let kind = match (is_delete, value.delete_type) {
                (false, _) => CellKind::Put,
                (true, Some(1)) => CellKind::DeleteColumn,
                (true, Some(2)) => CellKind::DeleteFamily,
                (true, Some(3)) => CellKind::DeleteFamilyVersion,
                (true, _) => CellKind::Delete,
            };
            cells.push(Cell {
                row: row.clone(),
                family: column.family.clone(),
                qualifier: value.qualifier.clone().unwrap_or_default(),
                timestamp: value.timestamp.map_or(default_at, |at| at as i64),
                kind,
                value: value.value.clone().unwrap_or_default(),
            });
        }
    }
    Ok(cells)
}

/// A delete without cells deletes every family of its row.
fn row_markers(mutation: &MutationProto, region: &Region) -> Vec<Cell> {
    let marker = |family: &Bytes| Cell {
        row: mutation.row.clone().unwrap_or_default(),
        family: family.clone(),
        qualifier: Bytes::new(),
        timestamp: mutation.timestamp.map_or(LATEST_TIMESTAMP, |at| at as i64),
        kind: CellKind::DeleteFamily,
        value: Bytes::new(),
    };
    region.rules.keys().map(marker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_remembered_until_many_newer_ones_have_come() {
        let mut memory = NonceMemory::default();
        memory.remember((1, 0));
        memory.remember((1, 0));
        assert!(memory.knows((1, 0)));
        assert!(!memory.knows((2, 0)), "another group's nonces are its own");
        (1..NONCES_MAX as u64).for_each(|nonce| memory.remember((1, nonce)));
        assert!(memory.knows((1, 0)));
        memory.remember((1, NONCES_MAX as u64));
        assert!(!memory.knows((1, 0)), "forgotten");
        assert_eq!((memory.known.len(), memory.order.len()), (NONCES_MAX, NONCES_MAX));
    }

    fn operand(value: &'static [u8]) -> Cell {
        Cell {
            row: "r".into(),
            family: "f".into(),
            qualifier: "q".into(),
            timestamp: LATEST_TIMESTAMP,
            kind: CellKind::Put,
            value: value.into(),
        }
    }

    #[test]
    fn counters_wrap_and_their_time_never_goes_back() {
        let one = operand(b"\0\0\0\0\0\0\0\x01");
        let first = derived(Derivation::Increment, &one, None, 7).expect("a counter");
        assert_eq!((first.timestamp, &first.value), (7, &one.value));
        let largest = Cell { timestamp: 99, value: Bytes::copy_from_slice(&i64::MAX.to_be_bytes()), ..one.clone() };
        let next = derived(Derivation::Increment, &one, Some(largest), 7).expect("a counter");
        assert_eq!((next.timestamp, &next.value[..]), (99, &i64::MIN.to_be_bytes()[..]));
        let short = Cell { value: "short".into(), ..one.clone() };
        let error = derived(Derivation::Increment, &one, Some(short), 7).expect_err("no counter");
        assert_eq!(error.message, "Field is not a long, it's 5 bytes wide");
    }
}
