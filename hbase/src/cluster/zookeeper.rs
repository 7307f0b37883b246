//! The ZooKeeper registry: nodes below the cluster's base node (`ZKConnectionRegistry`, `ZNodePaths`).
//!
//! # Laws
//! 1. One session at a time, kept between questions and given up after [`IDLE`] without one (`ReadOnlyZKClient` does
//!    the same): no session for each look-up, none held for ever.
//! 2. Every question ends within its time.
//! 3. Only meta's first replica counts: `meta-region-server`, not `meta-region-server-1`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Buf, Bytes};
use prost::Message;
use tokio::time::Instant;
use zookeeper_client::Client;

use crate::error::Error;
use crate::wire::{WireError, decode};

/// ZooKeeper's own session time.
const SESSION: Duration = Duration::from_secs(10);
/// A session without questions is given up after this (`zookeeper.keep-alive.time`, 60 s).
const IDLE: Duration = Duration::from_secs(60);

/// Reads nodes of one cluster.
#[derive(Debug)]
pub(crate) struct ZooKeeper {
    quorum: String,
    znode: String,
    session: tokio::sync::Mutex<Session>,
}

#[derive(Debug)]
struct Session {
    client: Option<Client>,
    used: Instant,
    is_watched: bool,
}

/// What a node has.
#[derive(Debug)]
pub(crate) enum Node<M> {
    /// This message.
    Found(M),
    /// The node does not exist.
    Missing(Error),
}

impl<M> Node<M> {
    /// The message, or that it is missing as an error.
    pub(crate) fn required(self) -> Result<M, Error> {
        match self {
            Self::Found(message) => Ok(message),
            Self::Missing(error) => Err(error),
        }
    }
}

impl ZooKeeper {
    /// `quorum` are `host:port` of the ensemble; the last may end with a chroot (`/path`).
    pub(crate) fn new(quorum: &[String], znode: &str) -> Self {
        let session = Session { client: None, used: Instant::now(), is_watched: false };
        let znode = znode.trim_end_matches('/').to_owned();
        Self { quorum: quorum.join(","), znode, session: tokio::sync::Mutex::new(session) }
    }

    /// Reads a node below the cluster's base node.
    ///
    /// Cancel safe.
    pub(crate) async fn read<M: Message + Default>(
        self: &Arc<Self>,
        name: &str,
        what: &'static str,
        timeout: Duration,
    ) -> Result<Node<M>, Error> {
        let path = format!("{}/{name}", self.znode);
        let read = self.read_path(&path, timeout);
        let read = tokio::time::timeout(timeout, read).await;
        match read.unwrap_or_else(|_| Err(Failure::Late)) {
            Ok(data) => Ok(Node::Found(decode(what, payload(data)?)?)),
            Err(Failure::ZooKeeper(zookeeper_client::Error::NoNode)) => {
                let reason = "there is no such node: is the base node right, and has the cluster ever started?";
                Ok(Node::Missing(self.failed(&path, reason.to_owned())))
            }
            Err(Failure::ZooKeeper(error)) => Err(self.failed(&path, error.to_string())),
            Err(Failure::Late) => {
                // A session that does not answer is not asked again.
                self.session.lock().await.client = None;
                Err(self.failed(&path, format!("no answer within {} ms", timeout.as_millis())))
            }
        }
    }

    fn failed(&self, path: &str, reason: String) -> Error {
        Error::ZooKeeper { quorum: self.quorum.clone(), path: path.to_owned(), reason }
    }

    async fn read_path(self: &Arc<Self>, path: &str, timeout: Duration) -> Result<Bytes, Failure> {
        let (client, is_kept) = self.client(timeout).await?;
        match client.get_data(path).await {
            Ok((data, _)) => Ok(data.into()),
            Err(error @ zookeeper_client::Error::NoNode) => Err(error.into()),
            // The session may have ended while nobody asked: once more with a new one.
            Err(_) if is_kept => {
                self.session.lock().await.client = None;
                let (client, _) = self.client(timeout).await?;
                Ok(client.get_data(path).await?.0.into())
            }
            Err(error) => {
                self.session.lock().await.client = None;
                Err(error.into())
            }
        }
    }

    /// The session, and whether it was there before.
    async fn client(self: &Arc<Self>, timeout: Duration) -> Result<(Client, bool), Failure> {
        let mut session = self.session.lock().await;
        session.used = Instant::now();
        if let Some(client) = &session.client {
            return Ok((client.clone(), true));
        }
        let connector = Client::connector()
            .with_session_timeout(SESSION)
            .with_connection_timeout(timeout.min(SESSION))
            .with_fail_eagerly();
        let client = connector.connect(&self.quorum).await?;
        session.client = Some(client.clone());
        if !session.is_watched {
            session.is_watched = true;
            tokio::spawn(give_up_when_idle(Arc::downgrade(self)));
        }
        Ok((client, false))
    }
}

/// Ends with the session it watches, or with the client.
async fn give_up_when_idle(zookeeper: Weak<ZooKeeper>) {
    let mut wait = IDLE;
    loop {
        tokio::time::sleep(wait).await;
        let Some(zookeeper) = zookeeper.upgrade() else { return };
        let mut session = zookeeper.session.lock().await;
        match IDLE.checked_sub(session.used.elapsed()).filter(|left| !left.is_zero()) {
            Some(left) => wait = left,
            None => {
                session.client = None;
                session.is_watched = false;
                return;
            }
        }
    }
}

enum Failure {
    ZooKeeper(zookeeper_client::Error),
    Late,
}

impl From<zookeeper_client::Error> for Failure {
    fn from(error: zookeeper_client::Error) -> Self {
        Self::ZooKeeper(error)
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
