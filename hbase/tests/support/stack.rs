//! The servers that `make test` has started, as the environment names them.

use hbase::registry::Registry;

/// Addresses of the stack.
pub(crate) struct Stack {
    registries: Vec<(String, Registry)>,
}

/// The running stack; `None`, with the reason printed, if the tests on real servers are not asked for.
pub(crate) fn running() -> Option<Stack> {
    if std::env::var("REAL").is_ok_and(|value| value == "1") {
        return Some(Stack { registries: registries() });
    }
    println!("skipped: REAL=1 and a running stack are needed (`make test` starts one)");
    None
}

impl Stack {
    /// Every way to every cluster, with a name for messages.
    pub(crate) fn registries(&self) -> Vec<(String, Registry)> {
        self.registries.clone()
    }
}

fn registries() -> Vec<(String, Registry)> {
    let mut found = Vec::new();
    for cluster in ["BLUE", "GREEN"] {
        if let Ok(quorum) = std::env::var(format!("HALCYON_{cluster}_ZK")) {
            let registry = Registry::ZooKeeper { quorum: vec![quorum], znode: "/hbase".to_owned() };
            found.push((format!("{cluster} by ZooKeeper"), registry));
        }
        if let Ok(server) = std::env::var(format!("HALCYON_{cluster}_RPC")) {
            found.push((format!("{cluster} by RPC registry"), Registry::Rpc { servers: vec![server] }));
        }
    }
    assert!(!found.is_empty(), "REAL=1, but no HALCYON_BLUE_ZK, HALCYON_GREEN_ZK or …_RPC in the environment");
    found
}
