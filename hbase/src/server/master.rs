//! Tables and places: `MasterService`, `ClientMetaService`, and the few calls of `AdminService`.

use bytes::Bytes;
use prost::Message;

use super::admin;
use super::state::{State, refusal};
use crate::client::admin::{TableDescriptor, descriptor_of, schema_of};
use crate::exception::Exception;
use crate::table_name::TableName;
use crate::wire::message::{
    CreateTableRequest, Empty, GetActiveMasterResponse, GetBootstrapNodesResponse, GetClusterIdResponse,
    GetMastersResponse, GetMastersResponseEntry, GetMetaRegionLocationsResponse, GetProcedureResultResponse,
    GetTableDescriptorsRequest, GetTableDescriptorsResponse, GetTableNamesResponse, GetTableStateRequest,
    GetTableStateResponse, IsMasterRunningResponse, MoveRegionRequest, ProcedureResponse, RegionLocationMessage,
    SplitTableRegionRequest, TableRequest, TableStateKind, TableStateMessage,
};

/// `GetProcedureResultResponse.State.FINISHED`.
const FINISHED: i32 = 2;
/// Procedures are done when they are answered; one number serves for all.
const DONE: ProcedureResponse = ProcedureResponse { proc_id: Some(1) };

fn read<M: Message + Default>(bytes: Bytes) -> Result<M, Exception> {
    M::decode(bytes).map_err(|error| refusal("DoNotRetryIOException", error.to_string()))
}

/// Answers a call of the registry.
pub(super) fn registry(state: &State, method: &str) -> Result<Vec<u8>, Exception> {
    let master = state.master.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    Ok(match method {
        "GetClusterId" => GetClusterIdResponse { cluster_id: Some(state.cluster_id.clone()) }.encode_to_vec(),
        "GetActiveMaster" => GetActiveMasterResponse { server_name: master.map(|slot| slot.message()) }.encode_to_vec(),
        "GetMasters" => {
            let entry = |server_name| GetMastersResponseEntry { server_name, is_active: true };
            let masters = master.map(|slot| entry(slot.message()));
            GetMastersResponse { master_servers: masters.into_iter().collect() }.encode_to_vec()
        }
        "GetBootstrapNodes" => {
            let up = state.servers().iter().filter(|slot| slot.is_up).map(|slot| slot.message()).collect();
            GetBootstrapNodesResponse { server_name: up }.encode_to_vec()
        }
        "GetMetaRegionLocations" => {
            let location = RegionLocationMessage {
                region_info: state.meta_region().info(),
                server_name: state.meta_server().map(|slot| slot.message()),
                seq_num: 1,
            };
            GetMetaRegionLocationsResponse { meta_locations: vec![location] }.encode_to_vec()
        }
        other => return Err(unknown(other)),
    })
}

/// Answers a call of the master.
pub(super) fn master(state: &State, method: &str, message: Bytes) -> Result<Vec<u8>, Exception> {
    if let Some(answer) = admin::master(state, method, message.clone())? {
        return Ok(answer);
    }
    Ok(match method {
        "IsMasterRunning" => IsMasterRunningResponse { is_master_running: true }.encode_to_vec(),
        "CreateTable" => {
            let request: CreateTableRequest = read(message)?;
            state.create(descriptor_of(&request.table_schema), request.split_keys)?;
            DONE.encode_to_vec()
        }
        "DeleteTable" => {
            state.drop_table(&table(message)?)?;
            DONE.encode_to_vec()
        }
        "EnableTable" => {
            state.enable(&table(message)?, true)?;
            DONE.encode_to_vec()
        }
        "DisableTable" => {
            state.enable(&table(message)?, false)?;
            DONE.encode_to_vec()
        }
        "getProcedureResult" => {
            GetProcedureResultResponse { state: FINISHED, ..GetProcedureResultResponse::default() }.encode_to_vec()
        }
        "GetTableNames" => {
            let names = state.descriptors().iter().map(|found| found.name.message()).collect();
            GetTableNamesResponse { table_names: names }.encode_to_vec()
        }
        "GetTableDescriptors" => descriptors(state, &read(message)?).encode_to_vec(),
        "GetTableState" => {
            let request: GetTableStateRequest = read(message)?;
            let name = TableName::of_message(&request.table_name);
            let missing = || refusal("TableNotFoundException", name.as_str());
            let is_enabled = state.is_enabled(&name).ok_or_else(missing)?;
            let kind = if is_enabled { TableStateKind::Enabled } else { TableStateKind::Disabled };
            GetTableStateResponse { table_state: TableStateMessage { state: kind as i32 } }.encode_to_vec()
        }
        "MoveRegion" => move_region(state, &read(message)?)?.encode_to_vec(),
        "SplitRegion" => {
            let request: SplitTableRegionRequest = read(message)?;
            state.split(&TableName::of_message(&request.region_info.table_name), &request.split_row)?;
            DONE.encode_to_vec()
        }
        other => return Err(unknown(other)),
    })
}

fn unknown(method: &str) -> Exception {
    refusal("DoNotRetryIOException", format!("java.lang.UnsupportedOperationException: {method}"))
}

fn table(message: Bytes) -> Result<TableName, Exception> {
    let request: TableRequest = read(message)?;
    Ok(TableName::of_message(&request.table_name))
}

fn descriptors(state: &State, request: &GetTableDescriptorsRequest) -> GetTableDescriptorsResponse {
    let wanted: Vec<TableName> = request.table_names.iter().map(TableName::of_message).collect();
    let is_wanted = |found: &TableDescriptor| wanted.is_empty() || wanted.contains(&found.name);
    let found = state.descriptors().into_iter().filter(is_wanted);
    GetTableDescriptorsResponse { table_schema: found.map(|found| schema_of(&found)).collect() }
}

fn move_region(state: &State, request: &MoveRegionRequest) -> Result<Empty, Exception> {
    let name = String::from_utf8_lossy(&request.region.value).into_owned();
    let region = state.region_by_hash(&request.region.value);
    let region = region.ok_or_else(|| refusal("UnknownRegionException", name))?;
    let target = match &request.dest_server_name {
        Some(wanted) => {
            let found = state.servers().iter().position(|slot| {
                slot.is_up && u32::from(slot.port) == wanted.port.unwrap_or(0) && slot.host == wanted.host_name
            });
            found.ok_or_else(|| refusal("DoNotRetryIOException", format!("no server {}", wanted.host_name)))?
        }
        None => state.pick_server(),
    };
    state.move_region(&region, target);
    Ok(Empty {})
}
