//! Where meta and the master are: the registry that the configuration names, asked.
//!
//! # Laws
//! 1. Every question ends within its time, whatever the servers do (HBASE-28428).
//! 2. The RPC registry asks [`FANOUT`] servers at once, in an order by chance, and takes the first answer; the next pair
//!    is asked when both failed or took too long.
//! 3. What the cluster names as servers to ask is learned beside the work ([`Endpoints`]), never before it.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::endpoints::Endpoints;
use super::zookeeper::ZooKeeper;
use crate::error::Error;
use crate::exception::Exception;
use crate::metrics;
use crate::registry::Registry;
use crate::rpc::connection::{CallError, ConnectionError};
use crate::rpc::pool::{Pool, Service};
use crate::table_name::TableName;
use crate::wire::message::{
    ClusterIdMessage, Empty, GetActiveMasterResponse, GetBootstrapNodesResponse, GetClusterIdResponse,
    GetMastersResponse, GetMetaRegionLocationsResponse, MasterMessage, MetaRegionServer, ServerNameMessage,
    TableStateKind, TableStateMessage,
};

/// Servers asked at once (`hbase.client.bootstrap.hedged.fanout`, 2).
const FANOUT: usize = 2;
/// The time of a question is enough for so many pairs at least.
const PAIRS_IN_TIME: u32 = 3;
/// `RegionState.State.OPEN` of the node that says where meta is.
const META_OPEN: i32 = 3;

/// Asks one cluster's registry.
#[derive(Debug)]
pub(crate) struct Directory {
    pool: Arc<Pool>,
    road: Road,
    began: Instant,
}

#[derive(Debug)]
enum Road {
    ZooKeeper(Arc<ZooKeeper>),
    Rpc(Arc<Mutex<Endpoints>>),
}

/// `host:port` of a server name.
pub(crate) fn address(server: &ServerNameMessage) -> String {
    format!("{}:{}", server.host_name, server.port.unwrap_or(0))
}

impl Directory {
    pub(crate) fn new(registry: &Registry, pool: Arc<Pool>) -> Self {
        let road = match registry {
            Registry::ZooKeeper { quorum, znode } => Road::ZooKeeper(Arc::new(ZooKeeper::new(quorum, znode))),
            Registry::Rpc { servers } => Road::Rpc(Arc::new(Mutex::new(Endpoints::new(servers.clone())))),
        };
        Self { pool, road, began: Instant::now() }
    }

    /// `host:port` of the server that has meta.
    pub(crate) async fn meta_server(&self, timeout: Duration) -> Result<String, Error> {
        let offline = || Error::RegionOffline { table: "hbase:meta".to_owned() };
        let asked = async {
            match &self.road {
                Road::ZooKeeper(zookeeper) => {
                    let node = zookeeper.read("meta-region-server", "MetaRegionServer", timeout).await?;
                    let node: MetaRegionServer = node.required()?;
                    let is_open = node.state.is_none_or(|state| state == META_OPEN);
                    is_open.then(|| address(&node.server)).ok_or_else(offline)
                }
                Road::Rpc(endpoints) => {
                    let call = ("GetMetaRegionLocations", "GetMetaRegionLocationsResponse");
                    let answer: GetMetaRegionLocationsResponse = self.ask(endpoints, call, timeout).await?;
                    let mut locations = answer.meta_locations.iter();
                    let primary = locations.find(|location| location.region_info.replica_id.unwrap_or(0) == 0);
                    primary.and_then(|location| location.server_name.as_ref()).map(address).ok_or_else(offline)
                }
            }
        };
        self.measured("meta_server", asked.await)
    }

    /// `host:port` of the active master.
    pub(crate) async fn active_master(&self, timeout: Duration) -> Result<String, Error> {
        let asked = async {
            match &self.road {
                Road::ZooKeeper(zookeeper) => {
                    let node: MasterMessage = zookeeper.read("master", "Master", timeout).await?.required()?;
                    Ok(address(&node.master))
                }
                Road::Rpc(endpoints) => {
                    let call = ("GetActiveMaster", "GetActiveMasterResponse");
                    let answer: GetActiveMasterResponse = self.ask(endpoints, call, timeout).await?;
                    let servers = || endpoints_of(endpoints).order(0).join(", ");
                    let none = || Error::Registry { servers: servers(), last: None };
                    answer.server_name.as_ref().map(address).ok_or_else(none)
                }
            }
        };
        self.measured("active_master", asked.await)
    }

    /// The cluster's id.
    pub(crate) async fn cluster_id(&self, timeout: Duration) -> Result<String, Error> {
        let asked = async {
            match &self.road {
                Road::ZooKeeper(zookeeper) => {
                    let node: ClusterIdMessage = zookeeper.read("hbaseid", "ClusterId", timeout).await?.required()?;
                    Ok(node.cluster_id)
                }
                Road::Rpc(endpoints) => {
                    let call = ("GetClusterId", "GetClusterIdResponse");
                    let answer: GetClusterIdResponse = self.ask(endpoints, call, timeout).await?;
                    Ok(answer.cluster_id.unwrap_or_default())
                }
            }
        };
        self.measured("cluster_id", asked.await)
    }

    /// A table's state where 1.x keeps it; `None` if it is not there.
    pub(crate) async fn table_state(
        &self,
        table: &TableName,
        timeout: Duration,
    ) -> Result<Option<TableStateKind>, Error> {
        let Road::ZooKeeper(zookeeper) = &self.road else { return Ok(None) };
        let node = zookeeper.read::<TableStateMessage>(&format!("table/{table}"), "Table", timeout).await?;
        Ok(node.required().ok().and_then(|message| TableStateKind::try_from(message.state).ok()))
    }

    /// Learns which servers can be asked, beside the work, if it is time to.
    pub(crate) fn refresh_if_due(&self) {
        let Road::Rpc(endpoints) = &self.road else { return };
        let order = {
            let mut endpoints = endpoints_of(endpoints);
            if !endpoints.begin_refresh(self.began.elapsed()) {
                return;
            }
            endpoints.order(RandomState::new().hash_one(()))
        };
        let (pool, endpoints) = (Arc::clone(&self.pool), Arc::clone(endpoints));
        // Ends by itself: every call in it has its time.
        tokio::spawn(async move {
            match servers_to_ask(&pool, &order, REFRESH_TIMEOUT).await {
                Ok(servers) => endpoints_of(&endpoints).learn(servers),
                Err(error) => tracing::debug!(error = error.chain(), "registry servers not refreshed"),
            }
        });
    }

    fn measured<T>(&self, question: &'static str, result: Result<T, Error>) -> Result<T, Error> {
        metrics::registry_call(self.pool.cluster(), question, result.is_ok());
        result
    }

    async fn ask<A: Message + Default + 'static>(
        &self,
        endpoints: &Mutex<Endpoints>,
        call: (&'static str, &'static str),
        timeout: Duration,
    ) -> Result<A, Error> {
        let order = endpoints_of(endpoints).order(RandomState::new().hash_one(()));
        let result = hedged(&self.pool, &order, call, timeout).await;
        match &result {
            Ok(_) => self.refresh_if_due(),
            Err(_) => endpoints_of(endpoints).failed(self.began.elapsed()),
        }
        result
    }
}

/// For all calls of one refresh.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

fn endpoints_of(endpoints: &Mutex<Endpoints>) -> MutexGuard<'_, Endpoints> {
    endpoints.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Region servers that can be asked (2.5+), or the masters of older lines (`MasterRegistry`).
async fn servers_to_ask(pool: &Arc<Pool>, order: &[String], timeout: Duration) -> Result<Vec<String>, Error> {
    let call = ("GetBootstrapNodes", "GetBootstrapNodesResponse");
    match hedged::<GetBootstrapNodesResponse>(pool, order, call, timeout).await {
        Ok(answer) => Ok(answer.server_name.iter().map(address).collect()),
        Err(error) if is_unknown_method(&error) => {
            let call = ("GetMasters", "GetMastersResponse");
            let answer: GetMastersResponse = hedged(pool, order, call, timeout).await?;
            Ok(answer.master_servers.iter().map(|entry| address(&entry.server_name)).collect())
        }
        Err(error) => Err(error),
    }
}

/// Asks pairs of servers until one answers.
async fn hedged<A: Message + Default + 'static>(
    pool: &Arc<Pool>,
    order: &[String],
    call: (&'static str, &'static str),
    timeout: Duration,
) -> Result<A, Error> {
    let mut last = None;
    let asking = async {
        let pairs = order.len().div_ceil(FANOUT).max(1) as u32;
        let patience = timeout / pairs.min(PAIRS_IN_TIME);
        for pair in order.chunks(FANOUT) {
            let mut asked = JoinSet::new();
            for server in pair {
                let (pool, server) = (Arc::clone(pool), server.clone());
                asked.spawn(async move {
                    let call = ask_one(&pool, &server, (call, patience));
                    tokio::time::timeout(patience, call)
                        .await
                        .unwrap_or_else(|_| Err(Error::Call(CallError::TimedOut { waited: patience })))
                });
            }
            // Dropping the set ends the slower question.
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok(Ok(answer)) => return Some(answer),
                    Ok(Err(error)) => last = Some(Box::new(error)),
                    Err(_) => {}
                }
            }
        }
        None
    };
    let answer: Option<A> = tokio::time::timeout(timeout, asking).await.unwrap_or(None);
    answer.ok_or_else(|| nobody(order, last))
}

async fn ask_one<A: Message + Default>(
    pool: &Pool,
    server: &str,
    (call, timeout): ((&'static str, &'static str), Duration),
) -> Result<A, Error> {
    let connection = pool.get(server, Service::Registry).await?;
    Ok(connection.call(call, &Empty {}, timeout).await?.0)
}

/// No server has answered: because they cannot, or because they do not serve the registry.
fn nobody(order: &[String], last: Option<Box<Error>>) -> Error {
    let servers = order.join(", ");
    match last.as_deref().and_then(refusal) {
        Some(exception) if exception.is("ipc.UnknownServiceException") => Error::VersionTooOld {
            servers,
            what: "the RPC registry",
            instead: "it came with HBase 2.3 on masters and 2.5 on region servers; name the ZooKeeper quorum instead",
            source: last,
        },
        _ => Error::Registry { servers, last },
    }
}

/// What a server said, wherever in the error it stands.
fn refusal(error: &Error) -> Option<&Exception> {
    match error {
        Error::Call(CallError::Exception(exception)) | Error::Refused(exception) => Some(exception),
        Error::Call(CallError::Connection(cause)) | Error::Connection(cause) => match &**cause {
            ConnectionError::Refused(exception) => Some(exception),
            _ => None,
        },
        Error::Registry { last: Some(last), .. } => refusal(last),
        _ => None,
    }
}

fn is_unknown_method(error: &Error) -> bool {
    refusal(error).is_some_and(|exception| {
        exception.is("exceptions.UnknownProtocolException")
            || exception.class.ends_with("UnsupportedOperationException")
            || exception.message.contains("UnsupportedOperationException")
    })
}
