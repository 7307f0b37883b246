//! A region: a range of rows of one table, with its store, on one server.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::store::{FamilyRules, RowOrder, Store};
use crate::client::admin::Family;
use crate::table_name::TableName;
use crate::wire::message::RegionInfoMessage;

/// A region. It is closed by taking its store away.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) name: Bytes,
    pub(super) encoded: String,
    pub(super) table: TableName,
    pub(super) start: Bytes,
    pub(super) end: Bytes,
    pub(super) id: u64,
    pub(super) rules: BTreeMap<Bytes, FamilyRules>,
    server: AtomicUsize,
    memstore_bytes: AtomicU64,
    store: RwLock<Option<Store>>,
}

impl Region {
    pub(super) fn new(
        table: &TableName,
        (start, end): (Bytes, Bytes),
        (id, server): (u64, usize),
        (families, store): (&[Family], Store),
    ) -> Self {
        let mut name = Vec::new();
        name.extend_from_slice(table.as_str().as_bytes());
        name.push(b',');
        name.extend_from_slice(&start);
        name.extend_from_slice(format!(",{id}").as_bytes());
        let encoded = encoded_name(&name);
        name.extend_from_slice(format!(".{encoded}.").as_bytes());
        let rules = families.iter().map(|family| (Bytes::copy_from_slice(family.name.as_bytes()), rules(family)));
        Self {
            name: name.into(),
            encoded,
            table: table.clone(),
            start,
            end,
            id,
            rules: rules.collect(),
            server: AtomicUsize::new(server),
            memstore_bytes: AtomicU64::new(0),
            store: RwLock::new(Some(store)),
        }
    }

    /// Meta's one region, under its fixed name.
    pub(super) fn meta(families: &[Family]) -> Self {
        let made = Self::new(
            &TableName::new("hbase:meta"),
            (Bytes::new(), Bytes::new()),
            (1, 0),
            (families, Store::with_order(RowOrder::Meta)),
        );
        Self { name: Bytes::from_static(crate::cluster::meta::META_REGION), encoded: "1588230740".to_owned(), ..made }
    }

    pub(super) fn server(&self) -> usize {
        self.server.load(Ordering::Acquire)
    }

    pub(super) fn set_server(&self, server: usize) {
        self.server.store(server, Ordering::Release);
    }

    pub(super) fn contains(&self, row: &[u8]) -> bool {
        self.start <= row && (self.end.is_empty() || row < self.end)
    }

    /// For reading; `None` inside if the region is closed.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Option<Store>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For writing; `None` inside if the region is closed.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Option<Store>> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of cells written since the last flush.
    pub(super) fn memstore_bytes(&self) -> u64 {
        self.memstore_bytes.load(Ordering::Relaxed)
    }

    /// So many bytes of cells were written.
    pub(super) fn grow(&self, bytes: usize) {
        self.memstore_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Nothing is lost by it, for there are no files: only the account of the memstore begins anew.
    pub(super) fn flush(&self) {
        self.memstore_bytes.store(0, Ordering::Relaxed);
    }

    pub(super) fn rules_of(&self) -> impl Fn(&Bytes) -> Option<FamilyRules> + '_ {
        |family| self.rules.get(family).cloned()
    }

    pub(super) fn info(&self) -> RegionInfoMessage {
        RegionInfoMessage {
            region_id: self.id,
            table_name: self.table.message(),
            start_key: Some(self.start.clone()),
            end_key: Some(self.end.clone()),
            offline: Some(false),
            split: Some(false),
            replica_id: Some(0),
        }
    }
}

/// MD5 of the rest of the name, as clients compute it from a region's info (`RegionInfo.createRegionName`).
fn encoded_name(name: &[u8]) -> String {
    format!("{:x}", md5::compute(name))
}

fn rules(family: &Family) -> FamilyRules {
    let number = |name: &str| family.attribute(name).and_then(|value| value.parse::<i64>().ok());
    let ttl = number("TTL").filter(|seconds| (1..i64::from(i32::MAX)).contains(seconds));
    FamilyRules {
        versions: number("VERSIONS").and_then(|versions| usize::try_from(versions).ok()).unwrap_or(1),
        ttl_ms: ttl.map(|seconds| seconds * 1000),
    }
}
