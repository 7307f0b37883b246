//! One process from its start to its end, beside the servers that it used.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::measured::Sample;
use crate::stack::cpu_s;
use crate::usage::{Usage, machine_cpu_s, of_child};

/// KiB of `/proc` in a MB as shown.
pub(crate) const KIB_PER_MB: f64 = 1024.0;

/// A process that has ended well.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) wall_s: f64,
    pub(crate) usage: Usage,
    /// Of all server processes, from the start of the process to its end.
    pub(crate) server_cpu_s: f64,
    /// Of everything else on the machine.
    pub(crate) other_cpu_s: f64,
    /// What it printed; must be little, nobody reads it before the end.
    pub(crate) said: String,
}

/// Runs it to its end; an error if it fails.
pub(crate) fn run(what: &str, command: &mut Command, servers: &[(String, u32)]) -> anyhow::Result<Ran> {
    let (before, machine, began) = (cpu_s(servers), machine_cpu_s(), Instant::now());
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {what}"))?;
    let out = child.stdout.take().context("the child's output")?;
    let usage = of_child(child).with_context(|| format!("wait for {what}"))?;
    let wall_s = began.elapsed().as_secs_f64();
    let server_cpu_s = cpu_s(servers) - before;
    let other_cpu_s = machine_cpu_s() - machine - server_cpu_s - usage.cpu_s;
    let said = std::io::read_to_string(out)?;
    ensure!(usage.is_success, "{what} failed");
    Ok(Ran { wall_s, usage, server_cpu_s, other_cpu_s, said })
}

impl Ran {
    /// As a sample without numbers of its own.
    pub(crate) fn sample(&self, subject: &str, round: u32, events: u64) -> Sample {
        Sample {
            subject: subject.to_owned(),
            round,
            events,
            wall_s: self.wall_s,
            cpu_s: self.usage.cpu_s,
            rss_mb: self.usage.rss_kib as f64 / KIB_PER_MB,
            more: [("server CPU", self.server_cpu_s), ("other CPU", self.other_cpu_s)].into(),
        }
    }
}
