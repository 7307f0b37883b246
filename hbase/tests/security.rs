//! TLS and delegation tokens without a real cluster: gates of the tests' own stand before the cluster in process.

mod secrets;
mod tls;
mod token;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hbase::client::{Client, ClientConfig};
use hbase::error::Error;
use hbase::registry::Registry;
use hbase::rpc::connection::{CallError, ConnectionError};
use hbase::security::{Security, SecurityError};
use hbase::server::Cluster;
use tokio::net::{TcpListener, TcpStream};

/// Where clients knock: every connection is handed to what keeps the gate.
async fn gate<K, F>(keep: K) -> String
where
    K: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let keep = Arc::new(keep);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(keep(socket));
        }
    });
    format!("localhost:{port}")
}

/// The address behind which the cluster listens.
fn behind(cluster: &Cluster) -> String {
    match cluster.registry() {
        Registry::Rpc { servers } => servers[0].clone(),
        Registry::ZooKeeper { .. } => unreachable!("the cluster in process has no ZooKeeper"),
    }
}

fn client(address: &str, security: Security) -> Client {
    let registry = Registry::Rpc { servers: vec![address.to_owned()] };
    Client::new(ClientConfig { security, rpc_timeout: Duration::from_secs(60), ..ClientConfig::new(registry) })
}

/// Why a connection could not be secured.
fn security_error(error: &Error) -> &SecurityError {
    match error {
        Error::Registry { last: Some(last), .. } => security_error(last),
        Error::Connection(cause) | Error::Call(CallError::Connection(cause)) => match &**cause {
            ConnectionError::Security(cause) => cause,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A refusal that nobody mends by waiting.
async fn refused(client: &Client) -> SecurityError {
    let error = client.cluster_id().await.expect_err("refused");
    assert!(!error.is_transient(), "{}", error.chain());
    security_error(&error).clone()
}
