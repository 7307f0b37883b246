//! One cell, and the one order of cells that requests, answers and files share.
//!
//! Wire codes and order are those of HBase's `KeyValue.Type` and `CellComparatorImpl`.

use std::cmp::Ordering;

use bytes::Bytes;

/// Longest row key that the wire format can carry (a signed 16-bit length), in bytes.
pub const ROW_BYTES_MAX: usize = i16::MAX as usize;

/// Longest family name that the wire format can carry (a signed 8-bit length), in bytes.
pub const FAMILY_BYTES_MAX: usize = i8::MAX as usize;

/// The timestamp that asks the server to stamp the cell on arrival.
pub const LATEST_TIMESTAMP: i64 = i64::MAX;

/// What a cell says about its coordinates. The discriminants are the wire codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum CellKind {
    /// A value.
    Put = 4,
    /// Masks the value with exactly this timestamp.
    Delete = 8,
    /// Masks all values of the family with exactly this timestamp.
    DeleteFamilyVersion = 10,
    /// Masks all values of the column at or below this timestamp.
    DeleteColumn = 12,
    /// Masks all values of the family at or below this timestamp.
    DeleteFamily = 14,
}

impl CellKind {
    /// The kind with this wire code, if there is one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            4 => Some(Self::Put),
            8 => Some(Self::Delete),
            10 => Some(Self::DeleteFamilyVersion),
            12 => Some(Self::DeleteColumn),
            14 => Some(Self::DeleteFamily),
            _ => None,
        }
    }

    /// The wire code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether the cell masks other cells instead of carrying a value.
    #[must_use]
    pub const fn is_delete(self) -> bool {
        !matches!(self, Self::Put)
    }
}

/// A cell as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Row key.
    pub row: Bytes,
    /// Column family.
    pub family: Bytes,
    /// Column qualifier; empty is legal.
    pub qualifier: Bytes,
    /// Version of the cell; milliseconds by convention only.
    pub timestamp: i64,
    /// Value or kind of delete marker.
    pub kind: CellKind,
    /// The value; empty for delete markers.
    pub value: Bytes,
}

impl Cell {
    /// What the cell takes in memory, near enough for bounds: its bytes and its own size.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.row.len() + self.family.len() + self.qualifier.len() + self.value.len()
    }
}

impl Ord for Cell {
    /// Row, family and qualifier ascending; then the newest timestamp first; then markers before values.
    fn cmp(&self, other: &Self) -> Ordering {
        self.row
            .cmp(&other.row)
            .then_with(|| self.family.cmp(&other.family))
            .then_with(|| self.qualifier.cmp(&other.qualifier))
            .then_with(|| other.timestamp.cmp(&self.timestamp))
            .then_with(|| other.kind.cmp(&self.kind))
            .then_with(|| self.value.cmp(&other.value))
    }
}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
