//! Peers on the JVM: built by Maven into cargo's target directory, run by the JDK that the servers have.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::stack::SCRIPT;

/// A project of `bench/peers` that is built.
#[derive(Clone, Debug)]
pub(crate) struct Jvm {
    /// `java`.
    pub(crate) program: PathBuf,
    /// What `-cp` takes.
    pub(crate) classes: String,
}

impl Jvm {
    /// Builds the project in `bench/peers/PROJECT`.
    pub(crate) fn build(project: &str) -> anyhow::Result<Self> {
        let found = Command::new(SCRIPT).arg("which-java").output()?;
        ensure!(found.status.success(), "no JDK 17: {}", String::from_utf8_lossy(&found.stderr));
        let program = PathBuf::from(String::from_utf8(found.stdout)?.trim());
        let executable = std::env::current_exe()?;
        let target = executable.ancestors().nth(2).context("cargo's target directory")?;
        let output = target.join("peers").join(project);
        let sources = format!("{}/peers/{project}", env!("CARGO_MANIFEST_DIR"));
        println!("building {sources} (Maven) ...");
        let built = Command::new("mvn")
            .args(["-B", "-q", "-f", &format!("{sources}/pom.xml")])
            .args([&format!("-Dpeers.output={}", output.display()), "package"])
            .status()
            .context("run mvn")?;
        ensure!(built.success(), "Maven cannot build {sources}");
        Ok(Self { program, classes: format!("{}/lib/*", output.display()) })
    }
}
