//! Where a cluster is found.

use std::fmt;

/// How a client finds the meta region and the active master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registry {
    /// Nodes in ZooKeeper (`ZKConnectionRegistry`).
    ZooKeeper {
        /// `host:port` of the ensemble's servers.
        quorum: Vec<String>,
        /// `zookeeper.znode.parent`, `/hbase` by default.
        znode: String,
    },
    /// `ClientMetaService` of masters or, from 2.5 on, region servers (`RpcConnectionRegistry`).
    Rpc {
        /// `host:port` of the bootstrap servers.
        servers: Vec<String>,
    },
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZooKeeper { quorum, znode } => write!(f, "zookeeper {}{znode}", quorum.join(",")),
            Self::Rpc { servers } => write!(f, "rpc {}", servers.join(",")),
        }
    }
}
