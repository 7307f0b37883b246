//! The servers that `make test` has started, as the environment names them.

use std::path::Path;
use std::process::Command;

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

/// The green cluster, by ZooKeeper.
pub(crate) fn green() -> Registry {
    let quorum = std::env::var("HALCYON_GREEN_ZK").expect("HALCYON_GREEN_ZK in the environment");
    Registry::ZooKeeper { quorum: vec![quorum], znode: "/hbase".to_owned() }
}

/// A verb of the stack's script on the running stack.
pub(crate) fn script(arguments: &[&str]) -> Command {
    let name = std::env::var("HALCYON_STACK").expect("the stack's name in the environment");
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/stack/stack"));
    command.args(arguments).args(["--name", &name]);
    command
}

/// Runs a verb of the stack's script on the running stack; returns what it printed.
pub(crate) fn on_stack(arguments: &[&str]) -> String {
    let output = script(arguments).output().expect("the script runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "stack {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
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
