//! Changes of tables beyond making and dropping: families, truncation, snapshots, namespaces.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::region::Region;
use super::state::{State, Table, now_ms, refusal};
use super::store::Store;
use crate::cell::Cell;
use crate::client::admin::{Family, Namespace, TableDescriptor};
use crate::exception::Exception;
use crate::table_name::TableName;

/// Namespaces that are always there.
const ALWAYS: [&str; 2] = ["default", "hbase"];

/// A copy of a table, under a name.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) table: TableName,
    pub(super) created_ms: i64,
    families: Vec<Family>,
    regions: Vec<(Bytes, Vec<Cell>)>,
}

/// What a cluster keeps beside its tables.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    pub(super) namespaces: BTreeMap<String, Namespace>,
    pub(super) is_balancer_on: bool,
    /// By switch: split, merge.
    pub(super) switches: [bool; 2],
}

impl Default for Catalog {
    fn default() -> Self {
        let namespaces = ALWAYS.iter().map(|name| ((*name).to_owned(), Namespace::new(name)));
        Self {
            snapshots: BTreeMap::new(),
            namespaces: namespaces.collect(),
            is_balancer_on: true,
            switches: [true, true],
        }
    }
}

fn namespace_of(table: &TableName) -> &str {
    table.as_str().split_once(':').map_or("default", |(namespace, _)| namespace)
}

impl State {
    fn catalog(&self) -> std::sync::MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_namespace(&self, table: &TableName) -> Result<(), Exception> {
        let namespace = namespace_of(table);
        if self.catalog().namespaces.contains_key(namespace) {
            return Ok(());
        }
        Err(refusal("NamespaceNotFoundException", namespace))
    }

    /// Gives a table other families: its regions are opened anew with them, and lose the cells of those that are gone.
    pub(super) fn alter(
        &self,
        name: &TableName,
        change: impl FnOnce(&mut Vec<Family>) -> Result<(), Exception>,
    ) -> Result<(), Exception> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get_mut(name).ok_or_else(|| refusal("TableNotFoundException", name.as_str()))?;
        let mut families = table.descriptor.families.clone();
        change(&mut families)?;
        if families.is_empty() {
            return Err(refusal("DoNotRetryIOException", "Table should have at least one column family."));
        }
        table.descriptor.families = families;
        let families = &table.descriptor.families;
        for region in table.regions.values_mut() {
            let Some(mut store) = region.write().take() else { continue };
            store.retain_families(|family| families.iter().any(|kept| kept.name.as_bytes() == family));
            let range = (region.start.clone(), region.end.clone());
            let place = (region.id, region.server());
            *region = Arc::new(Region::new(name, range, place, (families.as_slice(), store)));
        }
        Ok(())
    }

    pub(super) fn truncate(&self, name: &TableName, keeps_regions: bool) -> Result<(), Exception> {
        let (descriptor, starts) = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            let table = tables.get(name).ok_or_else(|| refusal("TableNotFoundException", name.as_str()))?;
            (table.descriptor.clone(), table.regions.keys().skip(1).cloned().collect::<Vec<_>>())
        };
        // Refuses if the table is in service.
        self.drop_table(name)?;
        self.create(descriptor, if keeps_regions { starts } else { Vec::new() })
    }

    pub(super) fn take_snapshot(&self, snapshot: &str, name: &TableName) -> Result<(), Exception> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get(name).ok_or_else(|| refusal("snapshot.SnapshotCreationException", name.as_str()))?;
        let mut catalog = self.catalog();
        if catalog.snapshots.contains_key(snapshot) {
            return Err(refusal("snapshot.SnapshotExistsException", snapshot));
        }
        let cells = |region: &Arc<Region>| region.read().as_ref().map(Store::all).unwrap_or_default();
        let regions = table.regions.values().map(|region| (region.start.clone(), cells(region))).collect();
        let families = table.descriptor.families.clone();
        let copy = Snapshot { table: name.clone(), created_ms: now_ms(), families, regions };
        catalog.snapshots.insert(snapshot.to_owned(), copy);
        Ok(())
    }

    pub(super) fn delete_snapshot(&self, snapshot: &str) -> Result<(), Exception> {
        let missing = || refusal("snapshot.SnapshotDoesNotExistException", snapshot);
        self.catalog().snapshots.remove(snapshot).map(|_| ()).ok_or_else(missing)
    }

    pub(super) fn has_snapshot(&self, snapshot: &str) -> Result<(), Exception> {
        let missing = || refusal("snapshot.UnknownSnapshotException", snapshot);
        self.catalog().snapshots.get(snapshot).map(|_| ()).ok_or_else(missing)
    }

    /// Makes the table of the snapshot, or sets a disabled table back to it.
    pub(super) fn restore_snapshot(&self, snapshot: &str, name: &TableName) -> Result<(), Exception> {
        let (families, regions) = {
            let catalog = self.catalog();
            let missing = || refusal("snapshot.SnapshotDoesNotExistException", snapshot);
            let found = catalog.snapshots.get(snapshot).ok_or_else(missing)?;
            (found.families.clone(), found.regions.clone())
        };
        let was_there = match self.is_enabled(name) {
            Some(true) => {
                let text = format!("Table '{name}' must be disabled in order to perform a restore operation");
                return Err(refusal("snapshot.RestoreSnapshotException", text));
            }
            Some(false) => {
                self.drop_table(name)?;
                true
            }
            None => false,
        };
        let starts = regions.iter().skip(1).map(|(start, _)| start.clone()).collect();
        self.create(TableDescriptor { name: name.clone(), families }, starts)?;
        for (region, (_, cells)) in self.regions(name).iter().zip(regions) {
            if let Some(store) = region.write().as_mut() {
                cells.into_iter().for_each(|cell| store.apply(cell, 0));
            }
        }
        if was_there { self.enable(name, false) } else { Ok(()) }
    }

    pub(super) fn create_namespace(&self, namespace: Namespace) -> Result<(), Exception> {
        let mut catalog = self.catalog();
        if catalog.namespaces.contains_key(&namespace.name) {
            return Err(refusal("NamespaceExistException", namespace.name));
        }
        catalog.namespaces.insert(namespace.name.clone(), namespace);
        Ok(())
    }

    pub(super) fn drop_namespace(&self, name: &str) -> Result<(), Exception> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let has_tables = tables.keys().any(|table| namespace_of(table) == name);
        if ALWAYS.contains(&name) {
            return Err(refusal(
                "constraint.ConstraintException",
                format!("Reserved namespace {name} cannot be removed."),
            ));
        }
        if has_tables {
            let text = format!("Only empty namespaces can be removed. Namespace {name} has tables");
            return Err(refusal("constraint.ConstraintException", text));
        }
        let missing = || refusal("NamespaceNotFoundException", name);
        self.catalog().namespaces.remove(name).map(|_| ()).ok_or_else(missing)
    }

    /// Tables with the number of their cells, by region: for the load that a master tells.
    pub(super) fn open_regions(&self, server: usize) -> Vec<Arc<Region>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let enabled = tables.values().filter(|table: &&Table| table.is_enabled);
        enabled.flat_map(|table| table.regions.values()).filter(|region| region.server() == server).cloned().collect()
    }
}

/// The place of a family in a list, or the refusal of a master that does not find it.
pub(super) fn place_of(families: &[Family], name: &str, table: &TableName) -> Result<usize, Exception> {
    let missing = || {
        let text = format!("Family '{name}' does not exist, so it cannot be modified or deleted in {table}");
        refusal("InvalidFamilyOperationException", text)
    };
    families.iter().position(|family| family.name == name).ok_or_else(missing)
}
