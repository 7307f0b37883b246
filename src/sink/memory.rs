//! A sink that keeps the newest version of every cell in memory: for tests of the pipeline and for counting benchmarks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use hbase::wire::cell_block;

use super::{Batch, PoisonRow, Sink, SinkError, SinkFuture};

/// Row, family, qualifier.
pub type Place = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Tables by name; of every cell the newest version with its timestamp.
pub type Tables = BTreeMap<Arc<str>, BTreeMap<Place, (i64, Vec<u8>)>>;

/// A sink in memory. Delete markers are not applied: use it with tombstones.
#[derive(Debug)]
pub struct MemorySink {
    name: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tables: Tables,
    writes: u64,
    faults: VecDeque<SinkError>,
    refused: BTreeSet<Vec<u8>>,
}

impl MemorySink {
    /// An empty sink.
    #[must_use]
    pub fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: Arc::from(name), state: Mutex::default() })
    }

    /// Makes the next write fail with `fault`; further calls queue up.
    pub fn fail_next(&self, fault: SinkError) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults.push_back(fault);
    }

    /// Refuses every row with this key from now on.
    pub fn refuse(&self, key: &[u8]) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).refused.insert(key.to_vec());
    }

    /// A copy of everything written.
    #[must_use]
    pub fn tables(&self) -> Tables {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).tables.clone()
    }

    /// Number of writes that succeeded.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).writes
    }

    fn apply(&self, batch: &Batch) -> Result<(), SinkError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = state.faults.pop_front() {
            return Err(fault);
        }
        let mut poison = Vec::new();
        for (index, rows) in batch.tables.iter().enumerate() {
            for (row, span) in rows.block.rows().iter().enumerate() {
                if state.refused.contains(rows.block.key(span)) {
                    poison.push(PoisonRow { table: index, row, cause: "the row is refused".to_owned() });
                }
            }
            let cells = cell_block::decode(rows.block.bytes())
                .map_err(|error| SinkError::Refused(format!("cells cannot be read back: {error}")))?;
            let State { tables, refused, .. } = &mut *state;
            let table = tables.entry(Arc::clone(&rows.table)).or_default();
            for cell in cells.into_iter().filter(|cell| !refused.contains(&cell.row[..])) {
                let place = (cell.row.to_vec(), cell.family.to_vec(), cell.qualifier.to_vec());
                let slot = table.entry(place).or_insert((i64::MIN, Vec::new()));
                if cell.timestamp >= slot.0 {
                    *slot = (cell.timestamp, cell.value.to_vec());
                }
            }
        }
        state.writes += 1;
        if poison.is_empty() { Ok(()) } else { Err(SinkError::Poison(poison)) }
    }
}

impl Sink for MemorySink {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> SinkFuture<'a> {
        Box::pin(async move { self.apply(batch) })
    }
}
