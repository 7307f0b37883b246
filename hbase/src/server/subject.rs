//! What a rule is asked about: a call, one region action of it, or one action.

use std::ops::Range;

use bytes::Bytes;

use crate::table_name::TableName;
use crate::wire::cell_block::CellReader;
use crate::wire::message::{GetRequest, MultiRequest, MutateRequest, MutationProto, RegionAction, ScanRequest};
use crate::wire::{decode, frame::Request};

/// One action of a call; a call of one row is one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Full name of the region.
    pub(super) region: Bytes,
    /// The row; a scan's first one.
    pub(super) row: Bytes,
    /// Place among the actions of its region, from 0.
    pub(super) place: usize,
}

/// A call that has arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) service: String,
    pub(super) method: String,
    /// The region server; `None` is the master.
    pub(super) server: Option<usize>,
    /// Bytes of the frame.
    pub(super) bytes: usize,
    pub(super) parts: Vec<Part>,
    /// The parts of each region action, in the order of the request.
    pub(super) regions: Vec<Range<usize>>,
}

/// A call, or the part of it that a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) call: &'a Call,
    pub(super) parts: &'a [Part],
}

impl Part {
    /// The table of the region: its name up to the first comma.
    pub(super) fn table(&self) -> &[u8] {
        self.region.split(|byte| *byte == b',').next().unwrap_or_default()
    }

    pub(super) fn is_of(&self, table: &TableName) -> bool {
        self.table() == table.as_str().as_bytes()
    }
}

impl Call {
    /// The call and what it is about. What cannot be read has no parts: the server will refuse it by itself.
    pub(super) fn of(service: &str, server: Option<usize>, request: &Request, scanned: Option<Bytes>) -> Self {
        let method = request.header.method_name.clone().unwrap_or_default();
        let mut call = Self {
            service: service.to_owned(),
            server,
            bytes: request.message.len() + request.cells.len(),
            ..Self::default()
        };
        let message = request.message.clone();
        match method.as_str() {
            "Multi" => {
                if let Ok(multi) = decode::<MultiRequest>("MultiRequest", message) {
                    call.add_multi(&multi, CellReader::new(request.cells.clone()));
                }
            }
            "Get" => {
                if let Ok(get) = decode::<GetRequest>("GetRequest", message) {
                    call.add(get.region.value, [get.get.row]);
                }
            }
            "Mutate" => {
                if let Ok(mutate) = decode::<MutateRequest>("MutateRequest", message) {
                    let mut cells = CellReader::new(request.cells.clone());
                    let row = row_of(&mutate.mutation, &mut cells);
                    call.add(mutate.region.value, [row]);
                }
            }
            "Scan" => {
                if let Ok(scan) = decode::<ScanRequest>("ScanRequest", message) {
                    let row = scan.scan.and_then(|scan| scan.start_row).unwrap_or_default();
                    if let Some(region) = scan.region.map(|region| region.value).or(scanned) {
                        call.add(region, [row]);
                    }
                }
            }
            _ => {}
        }
        Self { method, ..call }
    }

    pub(super) fn whole(&self) -> Subject<'_> {
        Subject { call: self, parts: &self.parts }
    }

    /// A region action.
    pub(super) fn region(&self, range: &Range<usize>) -> Subject<'_> {
        Subject { call: self, parts: self.parts.get(range.clone()).unwrap_or_default() }
    }

    fn add(&mut self, region: Bytes, rows: impl IntoIterator<Item = Bytes>) {
        let start = self.parts.len();
        let parts = rows.into_iter().enumerate();
        self.parts.extend(parts.map(|(place, row)| Part { region: region.clone(), row, place }));
        self.regions.push(start..self.parts.len());
    }

    fn add_multi(&mut self, multi: &MultiRequest, mut cells: CellReader) {
        for action in &multi.region_action {
            let rows = rows_of(action, &mut cells);
            self.add(action.region.value.clone(), rows);
        }
    }
}

fn rows_of(action: &RegionAction, cells: &mut CellReader) -> Vec<Bytes> {
    let row = |action: &crate::wire::message::ActionMessage| match (&action.mutation, &action.get) {
        (Some(mutation), _) => row_of(mutation, cells),
        (None, Some(get)) => get.row.clone(),
        (None, None) => Bytes::new(),
    };
    action.action.iter().map(row).collect()
}

/// The row of a mutation, from the message or from its first cell; its cells are read past.
fn row_of(mutation: &MutationProto, cells: &mut CellReader) -> Bytes {
    let mut row = mutation.row.clone();
    for _ in 0..mutation.associated_cell_count.unwrap_or(0) {
        let Ok(Some(cell)) = cells.next_cell() else { break };
        row.get_or_insert(cell.row);
    }
    row.unwrap_or_default()
}
