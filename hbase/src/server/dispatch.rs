//! Which method of which service does what.

use bytes::Bytes;
use prost::Message;

use super::admin;
use super::answer::Reply;
use super::data::Data;
use super::fault::Verdict;
use super::master;
use super::node::Role;
use super::state::{State, refusal};
use crate::exception::Exception;
use crate::wire::frame::Request;

/// Services that a node has, whatever it is (`ServerRpcConnection.processConnectionHeader` refuses the others).
pub(super) fn has_service(role: &Role, service: &str) -> bool {
    match role {
        Role::Master => matches!(service, "MasterService" | "ClientMetaService" | "AdminService"),
        Role::RegionServer(_) => matches!(service, "ClientService" | "ClientMetaService" | "AdminService"),
    }
}

/// Carries out a call.
pub(super) fn dispatch(
    (state, role): (&State, &Role),
    service: &str,
    (method, request): (&str, Request),
    verdict: &Verdict,
) -> Result<Reply, Exception> {
    let bare = |message: Vec<u8>| (message, Bytes::new());
    match (service, role) {
        ("ClientMetaService", _) => master::registry(state, method).map(bare),
        ("MasterService", Role::Master) => master::master(state, method, request.message).map(bare),
        ("AdminService", Role::RegionServer(data)) => admin::region_server(data, method, request.message).map(bare),
        ("ClientService", Role::RegionServer(data)) => client(data, method, request, verdict),
        (service, _) => {
            let text = format!("java.lang.UnsupportedOperationException: {service}.{method}");
            Err(refusal("DoNotRetryIOException", text))
        }
    }
}

fn client(data: &Data, method: &str, request: Request, verdict: &Verdict) -> Result<Reply, Exception> {
    let Request { message, cells, .. } = request;
    fn read<M: Message + Default>(message: Bytes) -> Result<M, Exception> {
        M::decode(message).map_err(|error| refusal("DoNotRetryIOException", error.to_string()))
    }
    Ok(match method {
        "Get" => {
            let (response, cells) = data.get(&read(message)?)?;
            (response.encode_to_vec(), cells)
        }
        "Mutate" => {
            let (response, cells) = data.mutate(&read(message)?, cells)?;
            (response.encode_to_vec(), cells)
        }
        "Multi" => {
            let (response, cells) = data.multi(read(message)?, cells, verdict);
            (response.encode_to_vec(), cells)
        }
        "Scan" => {
            let (response, cells) = data.scan(read(message)?)?;
            (response.encode_to_vec(), cells)
        }
        other => {
            let text = format!("java.lang.UnsupportedOperationException: {other}");
            return Err(refusal("DoNotRetryIOException", text));
        }
    })
}
