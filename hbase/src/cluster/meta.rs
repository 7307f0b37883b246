//! Rows of `hbase:meta` as regions.

use bytes::{Buf, Bytes};

use crate::cell::{Cell, ROW_BYTES_MAX};
use crate::table_name::TableName;
use crate::wire::message::{RegionInfoMessage, TableStateKind, TableStateMessage};
use crate::wire::{WireError, decode};

/// Name of meta's one region.
pub const META_REGION: &[u8] = b"hbase:meta,,1";
/// Meta's family for regions.
pub const CATALOG_FAMILY: &[u8] = b"info";
/// What protobuf values in meta and ZooKeeper begin with.
const PROTOBUF_MAGIC: &[u8] = b"PBUF";
/// Meta's family for tables (2.0+).
const STATE_FAMILY: &[u8] = b"table";
/// The state's qualifier.
const STATE_QUALIFIER: &[u8] = b"state";

/// A region and the server that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Full name: meta's row key.
    pub name: Bytes,
    /// First row; empty is the table's first region.
    pub start: Bytes,
    /// Behind the last row; empty is the table's last region.
    pub end: Bytes,
    /// `host:port` of its server.
    pub server: String,
    /// When that server process was started; tells two processes at one address apart.
    pub start_code: u64,
    /// Sequence number of its opening: grows with every move.
    pub sequence: i64,
}

impl Region {
    /// Whether a row belongs to the region.
    #[must_use]
    pub fn contains(&self, row: &[u8]) -> bool {
        self.start <= row && (self.end.is_empty() || row < self.end)
    }

    /// Whether the region's rows go on to right before `end`, or beyond it; an empty `end` is the table's end.
    #[must_use]
    pub fn reaches(&self, end: &[u8]) -> bool {
        match end {
            [] => self.end.is_empty(),
            end => self.start < end && (self.end.is_empty() || self.end >= end),
        }
    }

    /// The hash part of the name, by which masters know it; regions of old tables have a number instead.
    #[must_use]
    pub fn encoded_name(&self) -> &[u8] {
        let name = self.name.strip_suffix(b".").unwrap_or(&self.name);
        name.rsplit(|byte| *byte == b'.' || *byte == b',').next().unwrap_or(name)
    }
}

/// What a row of meta says.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaRow {
    /// A region that a server has.
    Online(Region, RegionInfoMessage),
    /// A region that no server has now.
    Offline(RegionInfoMessage),
    /// A split parent, a replica, or no region at all.
    NotARegion,
}

/// Reads one row of meta.
///
/// # Errors
/// [`WireError`] if a value is not what HBase writes.
pub fn parse(cells: &[Cell]) -> Result<MetaRow, WireError> {
    let value = |qualifier: &[u8]| {
        cells.iter().find(|cell| cell.family == CATALOG_FAMILY && cell.qualifier == qualifier).map(|cell| &cell.value)
    };
    let Some(info) = value(b"regioninfo").filter(|info| !info.is_empty()) else { return Ok(MetaRow::NotARegion) };
    let info = region_info(info)?;
    if info.split == Some(true) || info.offline == Some(true) || info.replica_id.unwrap_or(0) != 0 {
        return Ok(MetaRow::NotARegion);
    }
    let Some(name) = cells.first().map(|cell| cell.row.clone()) else { return Ok(MetaRow::NotARegion) };
    let Some(server) = value(b"server").filter(|server| !server.is_empty()) else { return Ok(MetaRow::Offline(info)) };
    let number =
        |qualifier: &[u8]| value(qualifier).filter(|value| value.len() == 8).map(|value| value.clone().get_u64());
    let region = Region {
        name,
        start: info.start_key.clone().unwrap_or_default(),
        end: info.end_key.clone().unwrap_or_default(),
        server: String::from_utf8_lossy(server).into_owned(),
        start_code: number(b"serverstartcode").unwrap_or(0),
        sequence: number(b"seqnumDuringOpen").unwrap_or(0) as i64,
    };
    Ok(MetaRow::Online(region, info))
}

/// The region info of a meta value: `PBUF`, then the message.
///
/// # Errors
/// [`WireError`] if it is not that.
pub fn region_info(value: &Bytes) -> Result<RegionInfoMessage, WireError> {
    if !value.starts_with(PROTOBUF_MAGIC) {
        return Err(WireError::Impossible { what: "region info", value: value.len() as u64 });
    }
    decode("RegionInfo", value.slice(PROTOBUF_MAGIC.len()..))
}

/// Meta's row key behind every region that could have `row`: the start of a backwards look-up.
///
/// The place of the region's id is taken by `:`, which sorts behind all digits. A meta key must be a legal row key, so a
/// long row is cut: no start key is as long as what is left, so the order against start keys stays.
#[must_use]
pub fn lookup_start(table: &TableName, row: &[u8]) -> Bytes {
    key_at(table, row, b",:")
}

/// Meta's row key behind every region that begins before `end`: the start of a backwards look-up of the region before
/// a key. An empty `end` is the table's end.
#[must_use]
pub fn lookup_before(table: &TableName, end: &[u8]) -> Bytes {
    if end.is_empty() { table_stop(table) } else { key_at(table, end, b",") }
}

fn key_at(table: &TableName, row: &[u8], tail: &[u8]) -> Bytes {
    let table = table.as_str().as_bytes();
    let room = ROW_BYTES_MAX.saturating_sub(table.len() + 1 + tail.len());
    let row = row.get(..room).unwrap_or(row);
    [table, b",", row, tail].concat().into()
}

/// The row of a table's state; it stands right before the table's regions (2.0+).
#[must_use]
pub fn state_row(table: &TableName) -> Bytes {
    Bytes::copy_from_slice(table.as_str().as_bytes())
}

/// The state of a table that cells of its state row tell; `None` if they do not.
///
/// # Errors
/// [`WireError`] if the value is not what HBase writes.
pub fn table_state(cells: &[Cell]) -> Result<Option<TableStateKind>, WireError> {
    let is_state = |cell: &&Cell| cell.family == STATE_FAMILY && cell.qualifier == STATE_QUALIFIER;
    let Some(cell) = cells.iter().find(is_state) else { return Ok(None) };
    let message: TableStateMessage = decode("TableState", cell.value.clone())?;
    Ok(TableStateKind::try_from(message.state).ok())
}

/// Where a table's rows in meta begin.
#[must_use]
pub fn table_start(table: &TableName) -> Bytes {
    format!("{table},,").into()
}

/// Where a table's rows in meta have ended. Meta compares table names first, and a name with a blank behind it is the
/// next name there could be.
#[must_use]
pub fn table_stop(table: &TableName) -> Bytes {
    format!("{table} ,,").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_up_keys_are_legal_row_keys_whatever_the_row() {
        let table = TableName::new("space:table");
        let long = vec![b'x'; 40_000];
        let key = lookup_start(&table, &long);
        assert_eq!(key.len(), ROW_BYTES_MAX);
        assert!(key.starts_with(b"space:table,xxx") && key.ends_with(b"x,:"));
        assert_eq!(lookup_before(&table, &long).len(), ROW_BYTES_MAX);
        assert_eq!(lookup_start(&table, b"row"), "space:table,row,:");
        assert_eq!(lookup_before(&table, b"row"), "space:table,row,");
        assert_eq!(lookup_before(&table, b""), "space:table ,,");
    }
}
