//! One call of `Scan`, with its results taken apart.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::cell::{Cell, CellKind};
use crate::rpc::connection::{CallError, Connection};
use crate::wire::WireError;
use crate::wire::cell_block::{self, CellReader};
use crate::wire::message::{CellMessage, ScanRequest, ScanResponse};

/// Some cells of one row.
#[derive(Debug)]
pub(crate) struct RowPart {
    /// A slice of the answer; every cell was measured.
    pub(crate) cells: Bytes,
    /// Whether more cells of the row follow in the next part.
    pub(crate) is_partial: bool,
}

/// Calls `Scan` and returns the answer with its rows, in order.
pub(crate) async fn scan(
    connection: &Connection,
    request: &ScanRequest,
    timeout: Duration,
) -> Result<(ScanResponse, Vec<RowPart>), CallError> {
    let (mut answer, cells): (ScanResponse, Bytes) =
        connection.call(("Scan", "ScanResponse"), request, timeout).await?;
    let rows = rows(&mut answer, cells).map_err(CallError::Wire)?;
    Ok((answer, rows))
}

/// Takes an answer's results apart: those in the cell block first, then those in protobuf form.
pub(crate) fn rows(answer: &mut ScanResponse, block: Bytes) -> Result<Vec<RowPart>, WireError> {
    let mut reader = CellReader::new(block);
    let mut rows = Vec::with_capacity(answer.cells_per_result.len() + answer.results.len());
    let partial = |at: usize| answer.partial_flag_per_result.get(at).copied().unwrap_or(false);
    for (at, count) in answer.cells_per_result.iter().enumerate() {
        rows.push(RowPart { cells: reader.next_cells(*count)?, is_partial: partial(at) });
    }
    for result in std::mem::take(&mut answer.results) {
        let mut cells = BytesMut::new();
        for cell in result.cell {
            cell_block::encode(&cell_of(cell)?, &mut cells);
        }
        // The lengths of foreign parts need not fit a cell's.
        let cells = CellReader::new(cells.freeze()).all()?;
        rows.push(RowPart { cells, is_partial: result.partial == Some(true) });
    }
    Ok(rows)
}

/// A cell that came as protobuf (servers do that for clients without a cell codec, and in `Get` answers of old ones).
pub(crate) fn cell_of(message: CellMessage) -> Result<Cell, WireError> {
    let code = message.cell_type.unwrap_or(i32::from(CellKind::Put.code()));
    let impossible = || WireError::Impossible { what: "cell type", value: code as u64 };
    let kind = u8::try_from(code).ok().and_then(CellKind::from_code).ok_or_else(impossible)?;
    Ok(Cell {
        row: message.row.unwrap_or_default(),
        family: message.family.unwrap_or_default(),
        qualifier: message.qualifier.unwrap_or_default(),
        timestamp: message.timestamp.unwrap_or(0) as i64,
        kind,
        value: message.value.unwrap_or_default(),
    })
}
