//! Many actions in one call: `ClientService.Multi`, region by region (`RSRpcServices.multi`).
//!
//! # Laws
//! 1. The regions of a call stand and fall on their own, and so do the actions of a region unless they are atomic or
//!    conditional: then one that is refused refuses them all.
//! 2. Whatever becomes of a region action, its cells are read past: those of the next one stand behind them.
//! 3. Puts and deletes are written together behind the gets; an increment or append is carried out in its place, and
//!    what came before it is written first (`RSRpcServices.doNonAtomicBatchOp`).

use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};

use super::bulk;
use super::data::{Data, give_result, read_row};
use super::fault::{RegionVerdict, Verdict};
use super::mutate::Change;
use super::region::Region;
use super::state::{now_ms, refusal};
use crate::cell::Cell;
use crate::exception::Exception;
use crate::wire::cell_block::CellReader;
use crate::wire::message::{
    ActionMessage, ConditionMessage, GetMessage, MultiRegionLoadStats, MultiRequest, MultiResponse, MutationProto,
    NameBytesPair, RegionAction, RegionActionResult, RegionLoadStats, RegionSpecifier, ResultMessage,
    ResultOrException,
};

/// Bytes of found cells in the answer of one Multi; gets beyond it are to be sent again
/// (`hbase.server.scanner.max.result.size`, there 100 MiB).
const MULTI_BYTES_MAX: usize = 8 << 20;

/// The cells of a call, and those of its answer.
struct Blocks {
    reader: CellReader,
    found: BytesMut,
}

impl Data {
    pub(super) fn multi(&self, request: MultiRequest, cells: Bytes, verdict: &Verdict) -> (MultiResponse, Bytes) {
        self.state.counters.multis.fetch_add(1, Relaxed);
        let mut blocks = Blocks { reader: CellReader::new(cells), found: BytesMut::new() };
        let mut answer = MultiResponse { processed: Some(true), ..MultiResponse::default() };
        let group = request.nonce_group.unwrap_or(0);
        let mut loads = MultiRegionLoadStats::default();
        for (place, action) in request.region_action.into_iter().enumerate() {
            let name = action.region.clone();
            let condition = action.condition.clone().or_else(|| request.condition.clone());
            let outcome = self.region_action(action, (condition, group), &mut blocks, verdict.region(place));
            let outcome = outcome.unwrap_or_else(|exception| RegionActionResult {
                exception: Some(pair(&exception)),
                ..RegionActionResult::default()
            });
            if request.condition.is_some() {
                answer.processed = outcome.processed;
            }
            answer.region_action_result.push(outcome);
            if self.state.config.reports_load {
                loads.stat.push(self.load(&name));
                loads.region.push(name);
            }
        }
        answer.region_statistics = self.state.config.reports_load.then_some(loads);
        (answer, blocks.found.freeze())
    }

    fn region_action(
        &self,
        action: RegionAction,
        (condition, group): (Option<ConditionMessage>, u64),
        blocks: &mut Blocks,
        on_command: Option<&RegionVerdict>,
    ) -> Result<RegionActionResult, Exception> {
        if let Some(change) = on_command.and_then(|region| region.change.as_ref()) {
            self.state.change_on_command(change);
        }
        let is_atomic = action.atomic == Some(true) || condition.is_some();
        let refused = on_command.and_then(|region| if is_atomic { region.any() } else { region.refused.as_ref() });
        let region = match refused {
            Some(refusal) => Err(refusal.exception()),
            None => self.region(&action.region),
        };
        let region = region.inspect_err(|_| skip_cells(&action, &mut blocks.reader))?;
        if is_atomic {
            return self.atomic(&region, &action, (condition.as_ref(), group), &mut blocks.reader);
        }
        if on_command.is_none()
            && let Some(result) = self.plain(&region, &action, &mut blocks.reader)
        {
            return Ok(result);
        }
        Ok(Actions::new(self, &region, group).carry_out(action.action, blocks, on_command))
    }

    /// Takes a region action of plain mutations at once; `None` if it is not of that sort.
    fn plain(&self, region: &Region, action: &RegionAction, reader: &mut CellReader) -> Option<RegionActionResult> {
        let plain = bulk::plain(region, action, &reader.rest(), self.state.config.cell_bytes_max)?;
        self.check_memstore(region).ok()?;
        {
            let mut held = region.write();
            let block = reader.rest().slice(..plain.bytes);
            plain.apply(held.as_mut()?, &block, now_ms(), |row| self.state.config.keeping.keeps(row));
        }
        reader.skip(plain.bytes);
        region.grow(plain.bytes);
        self.state.counters.mutations.fetch_add(action.action.len() as u64, Relaxed);
        self.state.counters.cells.fetch_add(plain.cells() as u64, Relaxed);
        let done = action.action.iter().map(|action| outcome_of(action.index, Ok(ResultMessage::default())));
        Some(RegionActionResult { result_or_exception: done.collect(), ..RegionActionResult::default() })
    }

    /// The load of a region, as push-back by clients goes by it.
    fn load(&self, name: &RegionSpecifier) -> RegionLoadStats {
        let held = self.state.region(&name.value).map_or(0, |region| region.memstore_bytes());
        let most = self.state.config.memstore_bytes_max.unwrap_or(u64::MAX).max(1);
        let percent = u128::from(held) * 100 / u128::from(most);
        let mem_store_load = Some(percent.min(100) as i32);
        RegionLoadStats { mem_store_load, heap_occupancy: Some(0), compaction_pressure: Some(0) }
    }
}

/// The actions of one region, each for itself.
struct Actions<'a> {
    data: &'a Data,
    region: &'a Region,
    nonce_group: u64,
    /// Puts and deletes that wait to be written together.
    writes: Vec<(Option<u32>, Change)>,
    /// Why none of those will be.
    poison: Option<Exception>,
    result: RegionActionResult,
}

impl<'a> Actions<'a> {
    fn new(data: &'a Data, region: &'a Region, nonce_group: u64) -> Self {
        Self { data, region, nonce_group, writes: Vec::new(), poison: None, result: RegionActionResult::default() }
    }

    fn carry_out(
        mut self,
        actions: Vec<ActionMessage>,
        blocks: &mut Blocks,
        on_command: Option<&RegionVerdict>,
    ) -> RegionActionResult {
        for (place, action) in actions.into_iter().enumerate() {
            let refused = on_command.and_then(|region| region.action(place)).map_or(Ok(()), |by| Err(by.exception()));
            let outcome = match (&action.mutation, &action.get) {
                (Some(mutation), _) => match self.mutation(action.index, mutation, (blocks, refused)) {
                    Some(outcome) => outcome,
                    None => continue,
                },
                (None, Some(get)) => refused.and_then(|()| self.get(get, &mut blocks.found)),
                (None, None) => Err(refusal("DoNotRetryIOException", "only mutations and gets are served here")),
            };
            self.result.result_or_exception.push(outcome_of(action.index, outcome));
        }
        self.write();
        self.result
    }

    /// Carries a mutation out; `None` if it waits to be written with others.
    fn mutation(
        &mut self,
        index: Option<u32>,
        mutation: &MutationProto,
        (blocks, refused): (&mut Blocks, Result<(), Exception>),
    ) -> Option<Result<ResultMessage, Exception>> {
        let change = match Change::read(mutation, &mut blocks.reader, self.region) {
            Ok(change) => change,
            Err(exception) => return Some(Err(exception)),
        };
        let sized = change.check_size(self.data.state.config.cell_bytes_max);
        let checked = refused.and_then(|()| change.check(self.region));
        if matches!(change, Change::Write(_)) {
            // The size is checked while the actions are unpacked: one cell that is too large refuses all that came
            // with it (`RSRpcServices.doNonAtomicBatchOp`, 2.4+).
            self.poison = self.poison.take().or(sized.err());
            return match checked {
                Ok(()) => {
                    self.writes.push((index, change));
                    None
                }
                Err(exception) => Some(Err(exception)),
            };
        }
        self.write();
        let made = checked.and(sized).and_then(|()| self.change(vec![change]));
        Some(made.map(|mut made| give_result(&made.pop().flatten().unwrap_or_default(), &mut blocks.found)))
    }

    fn get(&self, get: &GetMessage, found: &mut BytesMut) -> Result<ResultMessage, Exception> {
        if found.len() >= MULTI_BYTES_MAX {
            let text = format!("the answer has {} bytes already", found.len());
            return Err(refusal("MultiActionResultTooLarge", text));
        }
        let cells = read_row(self.region, get)?;
        if get.existence_only == Some(true) {
            return Ok(ResultMessage { exists: Some(!cells.is_empty()), ..ResultMessage::default() });
        }
        Ok(give_result(&cells, found))
    }

    /// Writes what waits.
    fn write(&mut self) {
        if self.writes.is_empty() {
            return;
        }
        let (indices, changes): (Vec<_>, Vec<_>) = self.writes.drain(..).unzip();
        let made = match self.poison.take() {
            Some(poison) => Err(poison),
            None => self.change(changes).map(|_| ()),
        };
        for index in indices {
            let outcome = made.clone().map(|()| ResultMessage::default());
            self.result.result_or_exception.push(outcome_of(index, outcome));
        }
    }

    fn change(&self, changes: Vec<Change>) -> Result<Vec<Option<Vec<Cell>>>, Exception> {
        self.data.change(self.region, changes, (None, self.nonce_group)).map(Option::unwrap_or_default)
    }
}

pub(super) fn outcome_of(index: Option<u32>, outcome: Result<ResultMessage, Exception>) -> ResultOrException {
    match outcome {
        Ok(result) => ResultOrException { index, result: Some(result), exception: None },
        Err(exception) => ResultOrException { index, result: None, exception: Some(pair(&exception)) },
    }
}

/// An exception as it stands inside results: class, and the text that Java prints.
fn pair(exception: &Exception) -> NameBytesPair {
    let text = format!("{}: {}\n", exception.class, exception.message);
    NameBytesPair { name: exception.class.clone(), value: Some(text.into()) }
}

fn skip_cells(action: &RegionAction, reader: &mut CellReader) {
    let mutations = action.action.iter().filter_map(|action| action.mutation.as_ref());
    let cells: i64 = mutations.map(|mutation| i64::from(mutation.associated_cell_count.unwrap_or(0))).sum();
    for _ in 0..cells {
        if !matches!(reader.next_cell(), Ok(Some(_))) {
            return;
        }
    }
}
