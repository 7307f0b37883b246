//! How a cluster is made.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// How a cluster is made. The defaults are HBase's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Port of the master; 0 is any.
    pub master_port: u16,
    /// Region servers; at least one is started.
    pub region_servers: usize,
    /// Calls that one server carries out at once (`hbase.regionserver.handler.count`): so many writes, and as many
    /// reads. Ten times as many may wait.
    pub handlers: usize,
    /// Longest cell taken, in bytes of its wire form (`hbase.server.keyvalue.maxsize`).
    pub cell_bytes_max: usize,
    /// Bytes written to a region since its last flush above which it refuses writes (`RegionTooBusyException`), as
    /// `hbase.hregion.memstore.block.multiplier` times the flush size; `None` is no limit.
    pub memstore_bytes_max: Option<u64>,
    /// What becomes of rows.
    pub keeping: Keeping,
    /// Whether answers to Multis carry the load of their regions (`hbase.client.backpressure.enabled`).
    pub reports_load: bool,
}

/// What becomes of rows that are written: a sink for benchmarks need not hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// They are kept.
    All,
    /// All are checked and counted; about one row in so many, chosen by its key, is kept.
    OneRowIn(u32),
}

impl Keeping {
    /// Whether a row with this key is kept.
    #[must_use]
    pub fn keeps(self, row: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::OneRowIn(rows) => {
                let mut hasher = FxHasher::default();
                hasher.write(row);
                hasher.finish().is_multiple_of(u64::from(rows.max(1)))
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            master_port: 0,
            region_servers: 1,
            handlers: 30,
            cell_bytes_max: 10 << 20,
            memstore_bytes_max: None,
            keeping: Keeping::All,
            reports_load: false,
        }
    }
}
