//! Reads and writes of one region server: `ClientService`.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use super::bulk;
use super::fault::{RegionVerdict, Verdict};
use super::refusal::Refusal;
use super::region::Region;
use super::state::{State, now_ms, refusal};
use super::store::{RowOrder, Store, View};
use crate::cell::{Cell, CellKind, LATEST_TIMESTAMP};
use crate::exception::Exception;
use crate::wire::cell_block::{self, CellReader};
use crate::wire::decode;
use crate::wire::frame::Request;
use crate::wire::message::{
    ColumnMessage, GetMessage, GetRequest, GetResponse, MultiRegionLoadStats, MultiRequest, MultiResponse,
    MutateRequest, MutateResponse, MutationProto, NameBytesPair, RegionAction, RegionActionResult, RegionLoadStats,
    RegionSpecifier, ResultMessage, ResultOrException, ScanMessage, ScanRequest, ScanResponse, TimeRangeMessage,
};

/// The lease that scanners are told.
const LEASE_MS: u32 = 60_000;
/// Bytes of one answer when a scan names no limit.
const ANSWER_BYTES: u64 = 2 << 20;

/// What a region server remembers between calls.
#[derive(Debug)]
pub(super) struct Data {
    state: Arc<State>,
    server: usize,
    scanners: Mutex<HashMap<u64, Scanner>>,
}

#[derive(Debug)]
struct Scanner {
    region: Arc<Region>,
    scan: ScanMessage,
    view: View,
    is_reversed: bool,
    /// The last row given out; the next one is behind it.
    last: Option<Bytes>,
    /// Cells of a row of which only a part was given out.
    rest: Vec<Cell>,
    next_call_seq: u64,
    left: Option<u32>,
}

impl Data {
    pub(super) fn new(state: Arc<State>, server: usize) -> Self {
        Self { state, server, scanners: Mutex::default() }
    }

    pub(super) fn server(&self) -> usize {
        self.server
    }

    /// Full name of the region that a scan's `next` goes on in.
    pub(super) fn scanned_region(&self, request: &Request) -> Option<Bytes> {
        if request.header.method_name.as_deref() != Some("Scan") {
            return None;
        }
        let scan: ScanRequest = decode("ScanRequest", request.message.clone()).ok()?;
        let scanners = self.scanners.lock().unwrap_or_else(PoisonError::into_inner);
        scanners.get(&scan.scanner_id?).map(|scanner| scanner.region.name.clone())
    }

    /// The region, if it is here and open.
    fn region(&self, specifier: &RegionSpecifier) -> Result<Arc<Region>, Exception> {
        let name = || String::from_utf8_lossy(&specifier.value);
        let not_here = || refusal("NotServingRegionException", format!("{} is not online", name()));
        let region = self.state.region(&specifier.value).ok_or_else(not_here)?;
        if self.state.is_enabled(&region.table) != Some(true) {
            return Err(not_here());
        }
        if region.server() != self.server {
            let Some(slot) = self.state.server(region.server()).filter(|slot| slot.is_up) else {
                return Err(not_here());
            };
            let text = format!(
                "Region moved to: hostname={} port={} startCode={}. As of locationSeqNum=1.",
                slot.host, slot.port, slot.start_code
            );
            let moved = refusal("exceptions.RegionMovedException", text);
            return Err(Exception { moved_to: Some((slot.host, slot.port)), ..moved });
        }
        Ok(region)
    }

    pub(super) fn get(&self, request: &GetRequest) -> Result<(GetResponse, Bytes), Exception> {
        let region = self.region(&request.region)?;
        let cells = read_row(&region, &request.get)?;
        if request.get.existence_only == Some(true) {
            let exists = ResultMessage { exists: Some(!cells.is_empty()), ..ResultMessage::default() };
            return Ok((GetResponse { result: Some(exists) }, Bytes::new()));
        }
        let count = ResultMessage { associated_cell_count: Some(cells.len() as i32), ..ResultMessage::default() };
        Ok((GetResponse { result: Some(count) }, block(&cells)))
    }

    pub(super) fn mutate(&self, request: &MutateRequest, cells: Bytes) -> Result<MutateResponse, Exception> {
        if request.condition.is_some() {
            return Err(refusal("DoNotRetryIOException", "conditions are not served here"));
        }
        let region = self.region(&request.region)?;
        let mut reader = CellReader::new(cells);
        let cells = mutation_cells(&request.mutation, &mut reader, &region)?;
        check(&region, &cells)?;
        self.check_size(&cells)?;
        self.apply(&region, vec![cells])?;
        Ok(MutateResponse { result: None, processed: Some(true) })
    }

    pub(super) fn multi(&self, request: MultiRequest, cells: Bytes, verdict: &Verdict) -> (MultiResponse, Bytes) {
        self.state.counters.multis.fetch_add(1, Relaxed);
        let mut reader = CellReader::new(cells);
        let mut answer = MultiResponse { processed: Some(true), ..MultiResponse::default() };
        let mut found = BytesMut::new();
        let has_condition = request.condition.is_some();
        let mut loads = MultiRegionLoadStats::default();
        for (place, action) in request.region_action.into_iter().enumerate() {
            let on_command = verdict.region(place);
            if let Some(change) = on_command.and_then(|region| region.change.as_ref()) {
                self.state.change_on_command(change);
            }
            let name = action.region.clone();
            let outcome = match self.region(&action.region) {
                _ if let Some(refusal) = on_command.and_then(|region| region.refused.as_ref()) => {
                    skip_cells(&action, &mut reader);
                    Err(refusal.exception())
                }
                Ok(_) if has_condition || action.condition.is_some() => {
                    skip_cells(&action, &mut reader);
                    Err(refusal("DoNotRetryIOException", "conditions are not served here"))
                }
                Ok(region) if action.atomic == Some(true) => self.atomic(&region, &action, &mut reader),
                Ok(region) => Ok(self.actions(&region, action, (&mut reader, &mut found), on_command)),
                Err(exception) => {
                    // The cells of a region that is not here still stand in the block.
                    skip_cells(&action, &mut reader);
                    Err(exception)
                }
            };
            answer.region_action_result.push(outcome.unwrap_or_else(|exception| RegionActionResult {
                exception: Some(pair(&exception)),
                ..RegionActionResult::default()
            }));
            if self.state.config.reports_load {
                loads.stat.push(self.load(&name));
                loads.region.push(name);
            }
        }
        answer.region_statistics = self.state.config.reports_load.then_some(loads);
        (answer, found.freeze())
    }

    /// All mutations of one row, or none.
    fn atomic(
        &self,
        region: &Arc<Region>,
        action: &RegionAction,
        reader: &mut CellReader,
    ) -> Result<RegionActionResult, Exception> {
        let mut rows = Vec::new();
        for mutation in action.action.iter().filter_map(|action| action.mutation.as_ref()) {
            rows.push(mutation_cells(mutation, reader, region)?);
        }
        for cells in &rows {
            check(region, cells)?;
            self.check_size(cells)?;
        }
        self.apply(region, rows)?;
        // Numbered by position, whatever the actions' own indices are (`RSRpcServices.doAtomicBatchOp`).
        let done = |index| outcome_of(Some(index), Ok(ResultMessage::default()));
        let results = (0..).zip(&action.action).map(|(index, _)| done(index)).collect();
        Ok(RegionActionResult { result_or_exception: results, exception: None, processed: Some(true) })
    }

    fn actions(
        &self,
        region: &Arc<Region>,
        action: RegionAction,
        (reader, found): (&mut CellReader, &mut BytesMut),
        on_command: Option<&RegionVerdict>,
    ) -> RegionActionResult {
        if on_command.is_none()
            && let Some(result) = self.plain(region, &action, reader)
        {
            return result;
        }
        let mut result = RegionActionResult::default();
        let mut writes: Vec<(Option<u32>, Vec<Cell>)> = Vec::new();
        // The size is checked while the actions are unpacked: one cell that is too large refuses all that came with it
        // (`RSRpcServices.doNonAtomicBatchOp`, 2.4+).
        let mut poison = on_command.and_then(|region| region.poison.as_ref()).map(Refusal::exception);
        for (place, action) in action.action.into_iter().enumerate() {
            let refused = on_command.and_then(|region| region.actions.get(&place)).map(Refusal::exception);
            let outcome = if let Some(mutation) = &action.mutation {
                let cells = mutation_cells(mutation, reader, region);
                let checked = cells.and_then(|cells| {
                    poison = poison.take().or_else(|| self.check_size(&cells).err());
                    refused.map_or(Ok(()), Err).and_then(|()| check(region, &cells)).map(|()| cells)
                });
                match checked {
                    Ok(cells) => {
                        writes.push((action.index, cells));
                        continue;
                    }
                    Err(exception) => Err(exception),
                }
            } else if let Some(get) = &action.get {
                refused.map_or(Ok(()), Err).and_then(|()| read_row(region, get)).map(|cells| {
                    let count = Some(cells.len() as i32);
                    cells.iter().for_each(|cell| cell_block::encode(cell, found));
                    ResultMessage { associated_cell_count: count, ..ResultMessage::default() }
                })
            } else {
                Err(refusal("DoNotRetryIOException", "only mutations and gets are served here"))
            };
            result.result_or_exception.push(outcome_of(action.index, outcome));
        }
        let (indices, rows): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        let applied = poison.map_or_else(|| self.apply(region, rows), Err);
        for index in indices {
            let outcome = applied.clone().map(|()| ResultMessage::default());
            result.result_or_exception.push(outcome_of(index, outcome));
        }
        result
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

    /// Whether a mutation's cells are small enough (`RSRpcServices.checkCellSizeLimit`).
    fn check_size(&self, cells: &[Cell]) -> Result<(), Exception> {
        let most = self.state.config.cell_bytes_max;
        match cells.iter().map(cell_block::encoded_len).find(|bytes| *bytes > most) {
            None => Ok(()),
            Some(bytes) => {
                let text = format!("Cell with size {bytes} exceeds limit of {most} bytes");
                Err(refusal("DoNotRetryIOException", text))
            }
        }
    }

    /// Whether the region may take more before it is flushed (`HRegion.checkResources`).
    fn check_memstore(&self, region: &Region) -> Result<(), Exception> {
        let held = region.memstore_bytes();
        match self.state.config.memstore_bytes_max {
            Some(most) if held > most => {
                let text = format!("Over memstore limit={most}, regionName={}, memstoreSize={held}", region.encoded);
                Err(refusal("RegionTooBusyException", text))
            }
            _ => Ok(()),
        }
    }

    /// The load of a region, as push-back by clients goes by it.
    fn load(&self, name: &RegionSpecifier) -> RegionLoadStats {
        let held = self.state.region(&name.value).map_or(0, |region| region.memstore_bytes());
        let most = self.state.config.memstore_bytes_max.unwrap_or(u64::MAX).max(1);
        let percent = u128::from(held) * 100 / u128::from(most);
        let mem_store_load = Some(percent.min(100) as i32);
        RegionLoadStats { mem_store_load, heap_occupancy: Some(0), compaction_pressure: Some(0) }
    }

    /// Writes checked mutations under one lock; each of them is one row.
    fn apply(&self, region: &Region, rows: Vec<Vec<Cell>>) -> Result<(), Exception> {
        self.check_memstore(region)?;
        let now = now_ms();
        let mut held = region.write();
        let closed = || refusal("NotServingRegionException", format!("{} is closing", region.encoded));
        let store = held.as_mut().ok_or_else(closed)?;
        self.state.counters.mutations.fetch_add(rows.len() as u64, Relaxed);
        for cell in rows.into_iter().flatten() {
            self.state.counters.cells.fetch_add(1, Relaxed);
            region.grow(cell_block::encoded_len(&cell));
            if self.state.config.keeping.keeps(&cell.row) {
                store.apply(cell, now);
            }
        }
        Ok(())
    }

    pub(super) fn scan(&self, request: ScanRequest) -> Result<(ScanResponse, Bytes), Exception> {
        let mut scanners = self.scanners.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, mut scanner) = match (request.scanner_id, &request.scan) {
            (Some(id), _) => {
                let unknown = || refusal("UnknownScannerException", format!("unknown scanner {id}"));
                let mut scanner = scanners.remove(&id).ok_or_else(unknown)?;
                if let Some(sequence) = request.next_call_seq {
                    if sequence != scanner.next_call_seq {
                        let text = format!("expected nextCallSeq {}, got {sequence}", scanner.next_call_seq);
                        return Err(refusal("exceptions.OutOfOrderScannerNextException", text));
                    }
                    scanner.next_call_seq += 1;
                }
                (id, scanner)
            }
            (None, Some(scan)) => {
                let region = request.region.as_ref();
                let region = region.ok_or_else(|| refusal("DoNotRetryIOException", "a scan names its region"))?;
                let is_meta = region.value == self.state.meta_region().name;
                self.state.counters.meta_scans.fetch_add(u64::from(is_meta), Relaxed);
                let left = request.limit_of_rows.filter(|left| *left > 0);
                (self.state.next_id(), Scanner::open(self.region(region)?, scan.clone(), left)?)
            }
            (None, None) => return Err(refusal("DoNotRetryIOException", "neither a scan nor a scanner")),
        };
        if scanner.region.server() != self.server || scanner.region.read().is_none() {
            return Err(refusal("NotServingRegionException", format!("{} is not online", scanner.region.encoded)));
        }
        let mut answer = ScanResponse { scanner_id: Some(id), ttl: Some(LEASE_MS), ..ScanResponse::default() };
        let is_closing = request.close_scanner == Some(true);
        if request.renew == Some(true) || (is_closing && request.scan.is_none()) {
            answer.more_results = Some(!is_closing);
            answer.more_results_in_region = Some(!is_closing);
            if !is_closing {
                scanners.insert(id, scanner);
            }
            return Ok((answer, Bytes::new()));
        }
        let rows = request.number_of_rows.unwrap_or(1);
        let found = scanner.read(rows, request.client_handles_partials == Some(true), &mut answer);
        if answer.more_results_in_region == Some(true) && !is_closing {
            scanners.insert(id, scanner);
        }
        Ok((answer, found))
    }
}

impl Scanner {
    fn open(region: Arc<Region>, scan: ScanMessage, left: Option<u32>) -> Result<Self, Exception> {
        if let Some(filter) = &scan.filter {
            return Err(refusal("DoNotRetryIOException", format!("filter {} is not served here", filter.name)));
        }
        let is_raw = scan.attribute.iter().any(|attribute| {
            attribute.name == "_raw_"
                && attribute.value.as_deref().is_some_and(|value| value.iter().any(|byte| *byte != 0))
        });
        let view = view(&scan.column, scan.time_range, scan.max_versions, is_raw);
        check_families(&region, &view)?;
        let is_reversed = scan.reversed == Some(true);
        Ok(Self { region, scan, view, is_reversed, last: None, rest: Vec::new(), next_call_seq: 0, left })
    }

    /// Fills an answer up to its limits; says whether the region has more.
    fn read(&mut self, rows: u32, takes_partials: bool, answer: &mut ScanResponse) -> Bytes {
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
                _ => match held.as_ref().and_then(|store| self.next_row(store)) {
                    Some(cells) => cells,
                    None => {
                        answer.more_results_in_region = Some(false);
                        break;
                    }
                },
            };
            let count = give(&cells, (&mut found, bytes_max), takes_partials);
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

    fn next_row(&mut self, store: &Store) -> Option<Vec<Cell>> {
        loop {
            let key = if self.is_reversed { self.before(store) } else { self.after(store) }?;
            self.last = Some(key.clone());
            let cells = store.row(&key, &self.view, &self.region.rules_of());
            if !cells.is_empty() {
                return Some(cells);
            }
        }
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

fn outcome_of(index: Option<u32>, outcome: Result<ResultMessage, Exception>) -> ResultOrException {
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

fn block(cells: &[Cell]) -> Bytes {
    let mut block = BytesMut::new();
    cells.iter().for_each(|cell| cell_block::encode(cell, &mut block));
    block.freeze()
}

fn view(columns: &[ColumnMessage], range: Option<TimeRangeMessage>, versions: Option<u32>, is_raw: bool) -> View {
    let columns: BTreeMap<_, _> =
        columns.iter().map(|column| (column.family.clone(), column.qualifier.iter().cloned().collect())).collect();
    View {
        columns,
        versions: versions.unwrap_or(1).max(1) as usize,
        from: range.and_then(|range| range.from).unwrap_or(0) as i64,
        to: range.and_then(|range| range.to).map_or(i64::MAX, |to| i64::try_from(to).unwrap_or(i64::MAX)),
        is_raw,
        now_ms: now_ms(),
    }
}

fn read_row(region: &Region, get: &GetMessage) -> Result<Vec<Cell>, Exception> {
    if let Some(filter) = &get.filter {
        return Err(refusal("DoNotRetryIOException", format!("filter {} is not served here", filter.name)));
    }
    let view = view(&get.column, get.time_range, get.max_versions, false);
    check_families(region, &view)?;
    check_row(region, &get.row)?;
    let held = region.read();
    let closed = || refusal("NotServingRegionException", format!("{} is closing", region.encoded));
    Ok(held.as_ref().ok_or_else(closed)?.row(&get.row, &view, &region.rules_of()))
}

fn check_families(region: &Region, view: &View) -> Result<(), Exception> {
    match view.columns.keys().find(|family| !region.rules.contains_key(*family)) {
        None => Ok(()),
        Some(family) => Err(no_family(region, family)),
    }
}

fn no_family(region: &Region, family: &Bytes) -> Exception {
    let family = String::from_utf8_lossy(family);
    let text =
        format!("Column family {family} does not exist in region {} in table '{}'", region.encoded, region.table);
    refusal("regionserver.NoSuchColumnFamilyException", text)
}

fn check_row(region: &Region, row: &Bytes) -> Result<(), Exception> {
    if region.contains(row) {
        return Ok(());
    }
    let text = format!("Requested row out of range for {}", region.encoded);
    Err(refusal("exceptions.FailedSanityCheckException", text))
}

fn check(region: &Region, cells: &[Cell]) -> Result<(), Exception> {
    for cell in cells {
        check_row(region, &cell.row)?;
        if !region.rules.contains_key(&cell.family) {
            return Err(no_family(region, &cell.family));
        }
    }
    Ok(())
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

/// The cells of a mutation: from the cell block, from the message, or a whole row's markers.
fn mutation_cells(mutation: &MutationProto, reader: &mut CellReader, region: &Region) -> Result<Vec<Cell>, Exception> {
    let is_delete = match mutation.mutate_type {
        Some(MutationProto::PUT) => false,
        Some(MutationProto::DELETE) => true,
        _ => return Err(refusal("DoNotRetryIOException", "increments and appends are not served here")),
    };
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
    if cells.is_empty() && is_delete {
        let marker = |family: &Bytes| Cell {
            row: row.clone(),
            family: family.clone(),
            qualifier: Bytes::new(),
            timestamp: default_at,
            kind: CellKind::DeleteFamily,
            value: Bytes::new(),
        };
        cells.extend(region.rules.keys().map(marker));
    }
    Ok(cells)
}
