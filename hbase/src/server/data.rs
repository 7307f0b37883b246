//! One region server: its regions, what it remembers between calls, gets and scans (`ClientService`).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::filter::{self, Sieve};
use super::mutate::{NonceMemory, counted};
use super::region::Region;
use super::scanner::{Scanner, Takes};
use super::state::{State, now_ms, refusal};
use super::store::View;
use crate::cell::Cell;
use crate::exception::Exception;
use crate::wire::cell_block;
use crate::wire::decode;
use crate::wire::frame::Request;
use crate::wire::message::{
    ColumnMessage, GetMessage, GetRequest, GetResponse, RegionSpecifier, ResultMessage, ScanRequest, ScanResponse,
    TimeRangeMessage,
};

/// What a region server remembers between calls.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) state: Arc<State>,
    server: usize,
    scanners: Mutex<HashMap<u64, Scanner>>,
    pub(super) nonces: Mutex<NonceMemory>,
}

impl Data {
    pub(super) fn new(state: Arc<State>, server: usize) -> Self {
        Self { state, server, scanners: Mutex::default(), nonces: Mutex::default() }
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
    pub(super) fn region(&self, specifier: &RegionSpecifier) -> Result<Arc<Region>, Exception> {
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
        Ok((GetResponse { result: Some(counted(&cells)) }, block(&cells)))
    }

    /// Whether the region may take more before it is flushed (`HRegion.checkResources`).
    pub(super) fn check_memstore(&self, region: &Region) -> Result<(), Exception> {
        let held = region.memstore_bytes();
        match self.state.config.memstore_bytes_max {
            Some(most) if held > most => {
                let text = format!("Over memstore limit={most}, regionName={}, memstoreSize={held}", region.encoded);
                Err(refusal("RegionTooBusyException", text))
            }
            _ => Ok(()),
        }
    }

    /// Scanners whose lease runs.
    pub(super) fn open_scanners(&self) -> usize {
        let lease = self.state.scanner_lease();
        let scanners = self.scanners.lock().unwrap_or_else(PoisonError::into_inner);
        scanners.values().filter(|scanner| scanner.touched.elapsed() < lease).count()
    }

    pub(super) fn scan(&self, request: ScanRequest) -> Result<(ScanResponse, Bytes), Exception> {
        let lease = self.state.scanner_lease();
        let mut scanners = self.scanners.lock().unwrap_or_else(PoisonError::into_inner);
        scanners.retain(|_, scanner| scanner.touched.elapsed() < lease);
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
        scanner.touched = Instant::now();
        let ttl = u32::try_from(lease.as_millis()).ok();
        let mut answer = ScanResponse { scanner_id: Some(id), ttl, ..ScanResponse::default() };
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
        let takes = Takes {
            partials: request.client_handles_partials == Some(true),
            heartbeats: request.client_handles_heartbeats == Some(true),
        };
        let found = scanner.read(rows, takes, &mut answer);
        if answer.more_results_in_region == Some(true) && !is_closing {
            scanners.insert(id, scanner);
        }
        Ok((answer, found))
    }
}

pub(super) fn block(cells: &[Cell]) -> Bytes {
    let mut block = BytesMut::new();
    cells.iter().for_each(|cell| cell_block::encode(cell, &mut block));
    block.freeze()
}

pub(super) fn view(
    columns: &[ColumnMessage],
    range: Option<TimeRangeMessage>,
    versions: Option<u32>,
    is_raw: bool,
) -> View {
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

/// The newest version of one column.
pub(super) fn row_view(family: &Bytes, qualifier: &Bytes) -> View {
    let column = ColumnMessage { family: family.clone(), qualifier: vec![qualifier.clone()] };
    view(&[column], None, Some(1), false)
}

pub(super) fn read_row(region: &Region, get: &GetMessage) -> Result<Vec<Cell>, Exception> {
    let view = view(&get.column, get.time_range, get.max_versions, false);
    let filter = get.filter.as_ref().map(filter::decode).transpose()?;
    check_families(region, &view)?;
    check_row(region, &get.row)?;
    let held = region.read();
    let closed = || refusal("NotServingRegionException", format!("{} is closing", region.encoded));
    let cells = held.as_ref().ok_or_else(closed)?.row(&get.row, &view, &region.rules_of());
    Ok(match filter {
        Some(filter) => Sieve::new(filter, false).row(cells),
        None => cells,
    })
}

/// Appends cells to an answer's block, and says how many.
pub(super) fn give_result(cells: &[Cell], found: &mut BytesMut) -> ResultMessage {
    cells.iter().for_each(|cell| cell_block::encode(cell, found));
    counted(cells)
}

pub(super) fn check_families(region: &Region, view: &View) -> Result<(), Exception> {
    match view.columns.keys().find(|family| !region.rules.contains_key(*family)) {
        None => Ok(()),
        Some(family) => Err(no_family(region, family)),
    }
}

pub(super) fn no_family(region: &Region, family: &Bytes) -> Exception {
    let family = String::from_utf8_lossy(family);
    let text =
        format!("Column family {family} does not exist in region {} in table '{}'", region.encoded, region.table);
    refusal("regionserver.NoSuchColumnFamilyException", text)
}

pub(super) fn check_row(region: &Region, row: &Bytes) -> Result<(), Exception> {
    if region.contains(row) {
        return Ok(());
    }
    let text = format!("Requested row out of range for {}", region.encoded);
    Err(refusal("exceptions.FailedSanityCheckException", text))
}
