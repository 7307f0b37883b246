//! One listening process: a master or a region server on a TCP port.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::connection::Connection;
use super::data::Data;
use super::handlers::Handlers;
use super::state::State;

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Master,
    RegionServer(Arc<Data>),
}

impl Role {
    /// The region server's index.
    pub(super) fn server(&self) -> Option<usize> {
        self.data().map(|data| data.server())
    }

    fn data(&self) -> Option<&Arc<Data>> {
        match self {
            Self::Master => None,
            Self::RegionServer(data) => Some(data),
        }
    }
}

/// A node that listens. It stops like a killed process when it is dropped: its connections break, and calls that have
/// not been carried out never are.
#[derive(Debug)]
pub(super) struct Node {
    accepting: JoinHandle<()>,
    pub(super) port: u16,
    /// What a region server remembers; nothing once it is stopped.
    data: Option<Arc<Data>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Node {
    /// Listens on a port; 0 is any. Must be called inside a runtime.
    pub(super) fn listen(port: u16, state: Arc<State>, role: Role) -> io::Result<Self> {
        let listener = bind(port)?;
        let port = listener.local_addr()?.port();
        let handlers = Arc::new(Handlers::new(state.config.handlers));
        let data = role.data().cloned();
        let accepting = tokio::spawn(async move {
            // Aborting this task drops the set, and that aborts every connection.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        let connection = Connection::new(Arc::clone(&state), role.clone(), Arc::clone(&handlers));
                        connections.spawn(connection.serve(stream));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { accepting, port, data })
    }
}

/// A port that was in use a moment ago (a server that is started again) may be taken at once.
fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(std::net::SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(1024)
}

/// The region servers by index. A stopped one stays in its place until its port is free again.
#[derive(Debug, Default)]
pub(super) struct Nodes(Mutex<Vec<Option<Node>>>);

impl Nodes {
    fn nodes(&self) -> MutexGuard<'_, Vec<Option<Node>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a server at its place.
    pub(super) fn put(&self, server: usize, node: Node) {
        let mut nodes = self.nodes();
        if nodes.len() <= server {
            nodes.resize_with(server + 1, || None);
        }
        if let Some(place) = nodes.get_mut(server) {
            *place = Some(node);
        }
    }

    /// Stops a server.
    pub(super) fn stop(&self, server: usize) {
        if let Some(Some(node)) = self.nodes().get_mut(server) {
            node.accepting.abort();
            node.data = None;
        }
    }

    /// Scanners that are open on those that run.
    pub(super) fn open_scanners(&self) -> usize {
        let nodes = self.nodes();
        let running = nodes.iter().flatten().filter_map(|node| node.data.as_ref());
        running.map(|data| data.open_scanners()).sum()
    }

    /// Waits until nothing of a server that was stopped is left.
    pub(super) async fn stopped(&self, server: usize) {
        let node = self.nodes().get_mut(server).and_then(Option::take);
        if let Some(mut node) = node {
            node.accepting.abort();
            // That it was aborted is what was wanted.
            let _ = (&mut node.accepting).await;
        }
    }
}
