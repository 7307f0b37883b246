//! What is kept of a benchmark: the machine it ran on, and the files in `bench/record`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::Serialize;

/// The machine and the commit of a run; `-dirty` behind the commit: files differed from it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    commit: String,
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    rustc: String,
    java: String,
    go: String,
    /// Runnable processes over the last minute, when the run began.
    load: String,
}

impl Machine {
    /// Looks at this machine now.
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim_start_matches([':', ' ', '\t']).trim().to_owned()
        };
        let memory_kib = field(&read("/proc/meminfo"), "MemTotal");
        let memory_kib: u64 = memory_kib.trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            commit: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--exclude=*"]),
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory_kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: said("rustc", &["--version"]),
            java: said("java", &["-version"]),
            go: said("go", &["version"]),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, cpu, cores, memory_mib, kernel, rustc, java, go, load } = self;
        writeln!(f, "- machine: {cpu}, {cores} cores, {memory_mib} MiB, Linux {kernel}; load {load} at the start")?;
        writeln!(f, "- commit {commit}; {rustc}; {java}; {go}")
    }
}

/// The first line that a program prints; empty if it cannot be run.
fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

/// Where the records of this repository are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("record")
}

/// Writes `FOLDER/SECONDS-NAME.EXTENSION` for each of the texts, and says so. All have the same seconds.
pub(crate) fn keep(folder: &Path, name: &str, files: &[(&str, String)]) -> anyhow::Result<()> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    for (extension, text) in files {
        let path = folder.join(format!("{seconds}-{name}.{extension}"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("record in {}", path.display());
    }
    Ok(())
}
