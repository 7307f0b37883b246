//! What a master answers to operators beyond tables and places, and `AdminService` of region servers.

use std::sync::PoisonError;

use bytes::Bytes;
use prost::Message;

use super::data::Data;
use super::schema::place_of;
use super::state::{State, now_ms, refusal};
use crate::client::admin::{Family, Namespace, family_of};
use crate::exception::Exception;
use crate::table_name::TableName;
use crate::wire::message::{
    ClusterStatusMessage, ColumnFamilyRequest, CompactRegionRequest, DeleteColumnRequest, Empty, FlushRegionRequest,
    FlushRegionResponse, GetClusterStatusResponse, GetCompletedSnapshotsResponse, GetRegionInfoRequest,
    GetRegionInfoResponse, GetSchemaAlterStatusResponse, HBaseVersionMessage, IsDoneResponse,
    IsSplitOrMergeEnabledRequest, ListNamespaceDescriptorsResponse, LiveServerInfo, MergeTableRegionsRequest,
    ModifyTableRequest, NamespaceHolder, NamespaceNameRequest, ProcedureRequest, ProcedureResponse, RegionLoadMessage,
    RegionSpecifier, ServerLoadMessage, SetBalancerRunningRequest, SetBalancerRunningResponse,
    SetSplitOrMergeEnabledRequest, SetSplitOrMergeEnabledResponse, SnapshotDescription, SnapshotRequest,
    SnapshotResponse, TruncateTableRequest, YesOrNo,
};

/// The version that the master tells.
const VERSION: &str = "2.6.4-in-process";
/// Procedures are done when they are answered; one number serves for all.
const DONE: ProcedureResponse = ProcedureResponse { proc_id: Some(1) };

fn read<M: Message + Default>(bytes: Bytes) -> Result<M, Exception> {
    M::decode(bytes).map_err(|error| refusal("DoNotRetryIOException", error.to_string()))
}

/// Answers a master's call, if it is one of these.
pub(super) fn master(state: &State, method: &str, message: Bytes) -> Result<Option<Vec<u8>>, Exception> {
    match method {
        "AddColumn" | "ModifyColumn" | "DeleteColumn" | "ModifyTable" | "truncateTable" | "GetSchemaAlterStatus" => {
            schema(state, method, message).map(Some)
        }
        "Snapshot" | "IsSnapshotDone" | "GetCompletedSnapshots" | "DeleteSnapshot" | "RestoreSnapshot" => {
            snapshots(state, method, message).map(Some)
        }
        "CreateNamespace" | "DeleteNamespace" | "ListNamespaceDescriptors" | "GetNamespaceDescriptor" => {
            namespaces(state, method, message).map(Some)
        }
        "ExecProcedure" | "IsProcedureDone" => flush_table(state, method, &read(message)?).map(Some),
        "MergeTableRegions" => {
            merge(state, &read(message)?)?;
            Ok(Some(DONE.encode_to_vec()))
        }
        "GetClusterStatus" => Ok(Some(GetClusterStatusResponse { cluster_status: status(state) }.encode_to_vec())),
        _ => switches(state, method, message),
    }
}

/// The Java client's way to flush a table: done when it is asked for.
fn flush_table(state: &State, method: &str, request: &ProcedureRequest) -> Result<Vec<u8>, Exception> {
    let procedure = request.procedure.clone().unwrap_or_default();
    if procedure.signature != "flush-table-proc" {
        return Err(refusal("DoNotRetryIOException", format!("procedure {} is not served here", procedure.signature)));
    }
    let table = TableName::new(procedure.instance.as_deref().unwrap_or_default());
    state.is_enabled(&table).ok_or_else(|| refusal("TableNotFoundException", table.as_str()))?;
    Ok(match method {
        "IsProcedureDone" => IsDoneResponse { done: Some(true) }.encode_to_vec(),
        _ => {
            state.regions(&table).iter().for_each(|region| region.flush());
            SnapshotResponse { expected_timeout: 60_000 }.encode_to_vec()
        }
    })
}

fn schema(state: &State, method: &str, message: Bytes) -> Result<Vec<u8>, Exception> {
    match method {
        "AddColumn" => {
            let request: ColumnFamilyRequest = read(message)?;
            let (table, family) = (TableName::of_message(&request.table_name), family_of(&request.column_families));
            state.alter(&table, |families| {
                if families.iter().any(|known| known.name == family.name) {
                    let text = format!("Family '{}' already exists in {table}", family.name);
                    return Err(refusal("InvalidFamilyOperationException", text));
                }
                families.push(family);
                Ok(())
            })?;
        }
        "ModifyColumn" => {
            let request: ColumnFamilyRequest = read(message)?;
            let (table, family) = (TableName::of_message(&request.table_name), family_of(&request.column_families));
            state.alter(&table, |families| {
                let place = place_of(families, &family.name, &table)?;
                if let Some(known) = families.get_mut(place) {
                    *known = family;
                }
                Ok(())
            })?;
        }
        "DeleteColumn" => {
            let request: DeleteColumnRequest = read(message)?;
            let table = TableName::of_message(&request.table_name);
            let name = String::from_utf8_lossy(&request.column_name).into_owned();
            state.alter(&table, |families| {
                place_of(families, &name, &table).map(|place| drop(families.remove(place)))
            })?;
        }
        "ModifyTable" => {
            let request: ModifyTableRequest = read(message)?;
            let wanted: Vec<Family> = request.table_schema.column_families.iter().map(family_of).collect();
            state.alter(&TableName::of_message(&request.table_name), |families| {
                *families = wanted;
                Ok(())
            })?;
        }
        "truncateTable" => {
            let request: TruncateTableRequest = read(message)?;
            state.truncate(&TableName::of_message(&request.table_name), request.preserve_splits == Some(true))?;
        }
        // Whatever was asked for is done already.
        _ => return Ok(GetSchemaAlterStatusResponse::default().encode_to_vec()),
    }
    Ok(DONE.encode_to_vec())
}

fn snapshots(state: &State, method: &str, message: Bytes) -> Result<Vec<u8>, Exception> {
    if method == "GetCompletedSnapshots" {
        let catalog = state.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshots = catalog.snapshots.iter().map(|(name, snapshot)| SnapshotDescription {
            name: name.clone(),
            table: Some(snapshot.table.as_str().to_owned()),
            creation_time: Some(snapshot.created_ms),
            ..SnapshotDescription::default()
        });
        return Ok(GetCompletedSnapshotsResponse { snapshots: snapshots.collect() }.encode_to_vec());
    }
    let SnapshotRequest { snapshot } = read(message)?;
    let table = TableName::new(snapshot.table.as_deref().unwrap_or_default());
    Ok(match method {
        "Snapshot" => {
            state.take_snapshot(&snapshot.name, &table)?;
            SnapshotResponse { expected_timeout: 60_000 }.encode_to_vec()
        }
        "IsSnapshotDone" => {
            state.has_snapshot(&snapshot.name)?;
            IsDoneResponse { done: Some(true) }.encode_to_vec()
        }
        "DeleteSnapshot" => {
            state.delete_snapshot(&snapshot.name)?;
            Empty {}.encode_to_vec()
        }
        _ => {
            state.restore_snapshot(&snapshot.name, &table)?;
            DONE.encode_to_vec()
        }
    })
}

fn namespaces(state: &State, method: &str, message: Bytes) -> Result<Vec<u8>, Exception> {
    Ok(match method {
        "CreateNamespace" => {
            let request: NamespaceHolder = read(message)?;
            state.create_namespace(Namespace::of_message(&request.namespace_descriptor))?;
            DONE.encode_to_vec()
        }
        "DeleteNamespace" => {
            let request: NamespaceNameRequest = read(message)?;
            state.drop_namespace(&request.namespace_name)?;
            DONE.encode_to_vec()
        }
        "ListNamespaceDescriptors" => {
            let catalog = state.catalog.lock().unwrap_or_else(PoisonError::into_inner);
            let namespace_descriptor = catalog.namespaces.values().map(Namespace::message).collect();
            ListNamespaceDescriptorsResponse { namespace_descriptor }.encode_to_vec()
        }
        _ => {
            let request: NamespaceNameRequest = read(message)?;
            let catalog = state.catalog.lock().unwrap_or_else(PoisonError::into_inner);
            let missing = || refusal("NamespaceNotFoundException", request.namespace_name.clone());
            let found = catalog.namespaces.get(&request.namespace_name).ok_or_else(missing)?;
            NamespaceHolder { namespace_descriptor: found.message() }.encode_to_vec()
        }
    })
}

fn merge(state: &State, request: &MergeTableRegionsRequest) -> Result<(), Exception> {
    let region = |specifier: &RegionSpecifier| {
        let missing = || refusal("UnknownRegionException", String::from_utf8_lossy(&specifier.value).into_owned());
        state.region_by_hash(&specifier.value).ok_or_else(missing)
    };
    let mut regions = request.region.iter().map(region).collect::<Result<Vec<_>, _>>()?;
    regions.sort_by(|a, b| a.start.cmp(&b.start));
    match regions.as_slice() {
        [first, second] if !first.end.is_empty() && first.end == second.start && first.table == second.table => {
            state.merge(&first.table, &first.start)
        }
        _ => Err(refusal("exceptions.MergeRegionException", "only two regions side by side are merged here")),
    }
}

fn switches(state: &State, method: &str, message: Bytes) -> Result<Option<Vec<u8>>, Exception> {
    let mut catalog = state.catalog.lock().unwrap_or_else(PoisonError::into_inner);
    let unknown = || refusal("DoNotRetryIOException", "no switch of that number");
    let place = |number: i32| usize::try_from(number).map_err(|_| unknown());
    Ok(Some(match method {
        "Balance" => YesOrNo { is: catalog.is_balancer_on }.encode_to_vec(),
        "IsBalancerEnabled" => YesOrNo { is: catalog.is_balancer_on }.encode_to_vec(),
        "SetBalancerRunning" => {
            let request: SetBalancerRunningRequest = read(message)?;
            let before = std::mem::replace(&mut catalog.is_balancer_on, request.on);
            SetBalancerRunningResponse { prev_balance_value: Some(before) }.encode_to_vec()
        }
        "SetSplitOrMergeEnabled" => {
            let request: SetSplitOrMergeEnabledRequest = read(message)?;
            let mut prev_value = Vec::new();
            for number in request.switch_types {
                let switch = catalog.switches.get_mut(place(number)?).ok_or_else(unknown)?;
                prev_value.push(std::mem::replace(switch, request.enabled));
            }
            SetSplitOrMergeEnabledResponse { prev_value }.encode_to_vec()
        }
        "IsSplitOrMergeEnabled" => {
            let request: IsSplitOrMergeEnabledRequest = read(message)?;
            let is = *catalog.switches.get(place(request.switch_type)?).ok_or_else(unknown)?;
            YesOrNo { is }.encode_to_vec()
        }
        _ => return Ok(None),
    }))
}

fn status(state: &State) -> ClusterStatusMessage {
    let slots = state.servers().clone();
    let live = slots.iter().enumerate().filter(|(_, slot)| slot.is_up).map(|(index, slot)| {
        let load = |region: &std::sync::Arc<super::region::Region>| RegionLoadMessage {
            region_specifier: RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: region.name.clone() },
            stores: Some(region.rules.len() as u32),
            storefiles: Some(0),
            ..RegionLoadMessage::default()
        };
        LiveServerInfo {
            server: slot.message(),
            server_load: ServerLoadMessage {
                region_loads: state.open_regions(index).iter().map(load).collect(),
                ..ServerLoadMessage::default()
            },
        }
    });
    let live_servers = live.collect();
    let master = state.master.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|slot| slot.message());
    let is_balancer_on = state.catalog.lock().unwrap_or_else(PoisonError::into_inner).is_balancer_on;
    ClusterStatusMessage {
        hbase_version: Some(HBaseVersionMessage { version: VERSION.to_owned() }),
        live_servers,
        dead_servers: slots.iter().filter(|slot| !slot.is_up).map(|slot| slot.message()).collect(),
        master,
        balancer_on: Some(is_balancer_on),
        ..ClusterStatusMessage::default()
    }
}

/// Answers a call of a region server's `AdminService`. There are no files: a flush only begins the account of the
/// memstore anew, and a compaction is over when it is answered.
pub(super) fn region_server(data: &Data, method: &str, message: Bytes) -> Result<Vec<u8>, Exception> {
    Ok(match method {
        "FlushRegion" => {
            let request: FlushRegionRequest = read(message)?;
            data.region(&request.region)?.flush();
            FlushRegionResponse { last_flush_time: now_ms() as u64, flushed: Some(true) }.encode_to_vec()
        }
        "CompactRegion" => {
            let request: CompactRegionRequest = read(message)?;
            let region = data.region(&request.region)?;
            if request.major == Some(true)
                && let Some(store) = region.write().as_mut()
            {
                store.major_compact(&region.rules_of(), now_ms());
            }
            Empty {}.encode_to_vec()
        }
        "GetRegionInfo" => {
            let request: GetRegionInfoRequest = read(message)?;
            let region = data.region(&request.region)?;
            let compaction_state = (request.compaction_state == Some(true)).then_some(0);
            GetRegionInfoResponse { region_info: region.info(), compaction_state }.encode_to_vec()
        }
        other => {
            let text = format!("java.lang.UnsupportedOperationException: {other}");
            return Err(refusal("DoNotRetryIOException", text));
        }
    })
}
