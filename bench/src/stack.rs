//! The real servers of a benchmark: started for this run or by somebody else; what they have used so far.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use hbase::client::{Client, ClientConfig};
use hbase::registry::Registry;

use crate::usage;

/// The script that starts them.
pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/stack/stack");

/// Servers of `docker/stack/stack`; stopped when dropped, if they were started here.
#[derive(Debug)]
pub(crate) struct Stack {
    name: String,
    is_ours: bool,
    env: String,
}

impl Stack {
    /// Takes the running stack of that name, or starts one with these arguments of `stack up`.
    pub(crate) fn start(running: Option<&str>, arguments: &[&str]) -> anyhow::Result<Self> {
        let name = running.map_or_else(|| format!("bench-{}", std::process::id()), str::to_owned);
        let mut stack = Self { name, is_ours: running.is_none(), env: String::new() };
        if stack.is_ours {
            let up = Command::new(SCRIPT)
                .args(["up", "--name", &stack.name, "--free-ports", "--bench"])
                .args(arguments)
                .status()?;
            ensure!(up.success(), "the servers did not start");
        }
        stack.env = stack.run(&["env"]).context("the stack is not up")?;
        Ok(stack)
    }

    /// Runs a verb of the script on this stack; returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(SCRIPT).args(arguments).args(["--name", &self.name]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "stack {arguments:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A variable of the stack's environment.
    pub(crate) fn variable(&self, name: &str) -> anyhow::Result<String> {
        let words = self.env.split_whitespace();
        let found = words.filter_map(|word| word.split_once('=')).find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_owned()).with_context(|| format!("{name} is not in the stack's environment"))
    }

    /// `host:port` of green's ZooKeeper.
    pub(crate) fn green_quorum(&self) -> anyhow::Result<String> {
        self.variable("HALCYON_GREEN_ZK")
    }

    /// Processes of all servers by name, as the script lists them.
    pub(crate) fn processes(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let listed = self.run(&["status"])?;
        let process = |line: &str| {
            let (name, rest) = line.trim().split_once(" pid=")?;
            Some((name.to_owned(), rest.split_whitespace().next()?.parse().ok()?))
        };
        let found: Vec<(String, u32)> = listed.lines().filter_map(process).collect();
        ensure!(!found.is_empty(), "no server of stack {} is running", self.name);
        Ok(found)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = Command::new(SCRIPT).args(["down", "--name", &self.name]).stdout(Stdio::null()).status();
        }
    }
}

/// CPU seconds that these processes have used since they were started.
pub(crate) fn cpu_s(processes: &[(String, u32)]) -> f64 {
    processes.iter().map(|(_, pid)| usage::cpu_s(*pid)).sum()
}

/// A client of the cluster behind this ZooKeeper.
pub(crate) fn client_config(quorum: &str) -> ClientConfig {
    ClientConfig::new(Registry::ZooKeeper { quorum: vec![quorum.to_owned()], znode: "/hbase".to_owned() })
}

/// [`client_config`] with its defaults.
pub(crate) fn client(quorum: &str) -> Client {
    Client::new(client_config(quorum))
}
