//! The registries: ZooKeeper's nodes (`ZKConnectionRegistry`) or the RPC registry (`RpcConnectionRegistry`).

use std::time::Duration;

use bytes::{Buf, Bytes};
use prost::Message;

use crate::error::Error;
use crate::registry::Registry;
use crate::rpc::pool::{Pool, Service};
use crate::wire::message::{
    ClusterIdMessage, Empty, GetActiveMasterResponse, GetClusterIdResponse, GetMetaRegionLocationsResponse,
    MasterMessage, MetaRegionServer, ServerNameMessage,
};
use crate::wire::{WireError, decode};

/// ZooKeeper's own session time; a look-up holds its session only while it lasts.
const ZOOKEEPER_SESSION: Duration = Duration::from_secs(10);

/// `host:port` of a server name.
pub(crate) fn address(server: &ServerNameMessage) -> String {
    format!("{}:{}", server.host_name, server.port.unwrap_or(0))
}

/// Asks the registry for `host:port` of the server that has meta.
pub(crate) async fn meta_server(registry: &Registry, pool: &Pool, timeout: Duration) -> Result<String, Error> {
    match registry {
        Registry::ZooKeeper { quorum, znode } => {
            let node: MetaRegionServer = node((quorum, znode), "meta-region-server", timeout).await?;
            Ok(address(&node.server))
        }
        Registry::Rpc { servers } => {
            let call = ("GetMetaRegionLocations", "GetMetaRegionLocationsResponse");
            let answer: GetMetaRegionLocationsResponse = ask(servers, pool, call, timeout).await?;
            let locations = answer.meta_locations.iter();
            let primary = locations
                .filter(|location| location.region_info.replica_id.unwrap_or(0) == 0)
                .find_map(|location| location.server_name.as_ref());
            primary.map(address).ok_or_else(|| Error::RegionOffline { table: "hbase:meta".to_owned() })
        }
    }
}

/// Asks the registry for `host:port` of the active master.
pub(crate) async fn active_master(registry: &Registry, pool: &Pool, timeout: Duration) -> Result<String, Error> {
    match registry {
        Registry::ZooKeeper { quorum, znode } => {
            let node: MasterMessage = node((quorum, znode), "master", timeout).await?;
            Ok(address(&node.master))
        }
        Registry::Rpc { servers } => {
            let call = ("GetActiveMaster", "GetActiveMasterResponse");
            let answer: GetActiveMasterResponse = ask(servers, pool, call, timeout).await?;
            let none = || Error::Registry { servers: servers.join(", "), last: None };
            answer.server_name.as_ref().map(address).ok_or_else(none)
        }
    }
}

/// Asks the registry for the cluster's id.
pub(crate) async fn cluster_id(registry: &Registry, pool: &Pool, timeout: Duration) -> Result<String, Error> {
    match registry {
        Registry::ZooKeeper { quorum, znode } => {
            let node: ClusterIdMessage = node((quorum, znode), "hbaseid", timeout).await?;
            Ok(node.cluster_id)
        }
        Registry::Rpc { servers } => {
            let answer: GetClusterIdResponse =
                ask(servers, pool, ("GetClusterId", "GetClusterIdResponse"), timeout).await?;
            Ok(answer.cluster_id.unwrap_or_default())
        }
    }
}

/// Asks one registry server after the other.
async fn ask<A: Message + Default>(
    servers: &[String],
    pool: &Pool,
    call: (&str, &'static str),
    timeout: Duration,
) -> Result<A, Error> {
    let mut last = None;
    for server in servers {
        let asked = async {
            let connection = pool.get(server, Service::Registry).await?;
            Ok::<A, Error>(connection.call(call, &Empty {}, timeout).await?.0)
        };
        match asked.await {
            Ok(answer) => return Ok(answer),
            Err(error) => last = Some(Box::new(error)),
        }
    }
    Err(Error::Registry { servers: servers.join(", "), last })
}

/// Reads a node below the cluster's base node.
async fn node<M: Message + Default>(
    (quorum, znode): (&[String], &str),
    name: &'static str,
    timeout: Duration,
) -> Result<M, Error> {
    let path = format!("{}/{name}", znode.trim_end_matches('/'));
    let quorum = quorum.join(",");
    let failed = |reason: String| Error::ZooKeeper { quorum: quorum.clone(), path: path.clone(), reason };
    let read = async {
        let connector = zookeeper_client::Client::connector()
            .with_session_timeout(ZOOKEEPER_SESSION)
            .with_connection_timeout(timeout.min(ZOOKEEPER_SESSION))
            .with_fail_eagerly();
        let client = connector.connect(&quorum).await?;
        client.get_data(&path).await
    };
    match tokio::time::timeout(timeout, read).await {
        Ok(Ok((data, _))) => Ok(decode(name, payload(data.into())?)?),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} ms", timeout.as_millis()))),
    }
}

/// Node data: `0xFF`, the length of an id, the id, `PBUF`, the message (`RecoverableZooKeeper`).
pub(crate) fn payload(mut data: Bytes) -> Result<Bytes, WireError> {
    let broken = |data: &Bytes| WireError::Truncated { what: "a ZooKeeper node", at: data.len() };
    if data.first() == Some(&0xFF) {
        data.advance(1);
        let id = data.try_get_u32().map_err(|_| broken(&data))? as usize;
        if id > data.len() {
            return Err(broken(&data));
        }
        data.advance(id);
    }
    if !data.starts_with(b"PBUF") {
        return Err(broken(&data));
    }
    data.advance(4);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_data_is_found_behind_its_header_and_truncations_are_errors() {
        let data = Bytes::from_static(b"\xff\x00\x00\x00\x03id:PBUFmessage");
        assert_eq!(payload(data.clone()).expect("whole"), "message");
        assert_eq!(payload(Bytes::from_static(b"PBUFmessage")).expect("whole"), "message");
        for length in 0..12 {
            assert!(payload(data.slice(..length)).is_err(), "{length}");
        }
    }
}
