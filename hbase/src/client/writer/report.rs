//! What a write did, and why it did not do all.

use crate::error::Error;
use crate::exception::Exception;

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteReport {
    /// Mutations acknowledged.
    pub rows: u64,
    /// Multi calls that carried rows of this write; they may have carried rows of others as well.
    pub calls: u64,
    /// Mutations sent again.
    pub resent: u64,
}

/// Why a block was not written. Some of its rows may have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// A cell is larger than the client's limit; nothing was sent.
    #[error(
        "cell {column} of row {key} of table {table} has {bytes} bytes, the limit is {limit}: make the value smaller, or \
         raise `cell_bytes_max` here and `hbase.server.keyvalue.maxsize` on the servers"
    )]
    CellTooLarge {
        /// The table.
        table: String,
        /// Index into [`RowBlock::rows`](crate::row_block::RowBlock::rows).
        row: usize,
        /// Its key, escaped.
        key: String,
        /// `family:qualifier`, escaped.
        column: String,
        /// Size as HBase measures it, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server refuses some rows for good; all others are written.
    #[error("{} rows of table {table} are refused for good, the first is {key}", rows.len())]
    Refused {
        /// The table.
        table: String,
        /// Indices into [`RowBlock::rows`](crate::row_block::RowBlock::rows), ascending.
        rows: Vec<usize>,
        /// Key of the first of them, escaped.
        key: String,
        /// The refusal of the one that was refused first.
        #[source]
        exception: Box<Exception>,
    },
    /// Not all rows were written in time, or trying again is useless.
    #[error("write to table {table}")]
    Failed {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: Error,
    },
}

impl WriteError {
    /// Whether the same write may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::CellTooLarge { .. } | Self::Refused { .. } => false,
            Self::Failed { source, .. } => source.is_transient(),
        }
    }
}
