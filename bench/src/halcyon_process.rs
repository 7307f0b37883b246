//! The halcyon binary as a subject: its topology file, its tables, one bounded run, and the check of what it wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::load::Load;
use crate::measured::Sample;
use crate::process;
use crate::stack::Stack;
use crate::verify::{self, Verify};

/// The binary with the servers that it is measured on.
#[derive(Debug)]
pub(crate) struct Halcyon<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) memory_mib: u64,
    pub(crate) stack: &'a Stack,
}

/// A topology file of its own, with tables that were made from it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) table: String,
    file: PathBuf,
    _folder: TempDir,
}

impl Halcyon<'_> {
    /// Writes a topology of these clusters for the topic, and makes its table in each. Group and table have that name.
    pub(crate) fn prepare(&self, load: &Load, table: &str, clusters: &[&str]) -> anyhow::Result<Prepared> {
        let mut lines = String::new();
        for cluster in clusters {
            let quorum = self.stack.variable(&format!("HALCYON_{}_ZK", cluster.to_uppercase()))?;
            lines.push_str(&format!("[cluster.{cluster}]\nhbase = {{zookeeper = [\"{quorum}\"]}}\n"));
        }
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("topology.toml");
        std::fs::write(&file, topology_text(load, table, &lines)?)?;
        let made = Command::new(self.binary)
            .args(["table", "create", "--topology"])
            .arg(&file)
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("run {}", self.binary.display()))?;
        ensure!(made.success(), "the table {table} cannot be made");
        Ok(Prepared { table: table.to_owned(), file, _folder: folder })
    }

    /// One run from the topic's beginning until it has caught up, with these further arguments.
    pub(crate) fn measure(
        &self,
        (subject, arguments): (&str, &[&str]),
        round: u32,
        load: &Load,
        topology: &Prepared,
    ) -> anyhow::Result<Sample> {
        let mut command = Command::new(self.binary);
        command
            .args(["run", "--until-caught-up", "--memory-mib", &self.memory_mib.to_string(), "--topology"])
            .arg(&topology.file)
            .args(arguments)
            .env("HALCYON_LOG", "warn");
        let ran = process::run(subject, &mut command, &self.stack.processes()?)?;
        Ok(ran.sample(subject, round, load.events))
    }
}

impl Prepared {
    /// Compares every cell of every cluster with an independent fold; what was found, in words.
    pub(crate) fn check(&self, load: &Load) -> anyhow::Result<String> {
        let (files, table) = (vec![self.file.clone()], self.table.clone());
        let checked = verify::check(&Verify { files, clusters: Vec::new(), table, load: load.clone() })?;
        let mut said = Vec::new();
        for (cluster, found) in checked {
            let (rows, cells, wrong) = (found.rows, found.cells, found.differences);
            ensure!(wrong == 0, "{wrong} cells of {cluster} are wrong: {:?}", found.examples);
            ensure!(rows > 0, "{cluster} has no rows");
            said.push(format!("{cluster} {rows} rows, {cells} cells"));
        }
        Ok(format!("{}: none differs", said.join("; ")))
    }
}

/// The example topology for this topic, with a group and a table of that name, and these clusters.
pub(crate) fn topology_text(load: &Load, name: &str, clusters: &str) -> anyhow::Result<String> {
    let text = include_str!("../../topology/stack.toml");
    let (head, rest) = text.split_once("[cluster.blue]").context("the example's clusters")?;
    let (_, letters) = rest.split_once("[dead_letter]").context("the example's dead letters")?;
    let head = head
        .replace("127.0.0.1:29092", &load.brokers)
        .replace("name = \"chat\"", &format!("name = \"{name}\""))
        .replace("chat.messages", &load.topic)
        .replace("\"message\"", &format!("\"{name}\""))
        .replace("[table.message]", &format!("[table.{name}]"));
    let letters = letters.replace("chat.dead-letters.jsonl", "/dev/null");
    Ok(format!("{head}{clusters}[dead_letter]{letters}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topology_of_a_case_is_one_that_halcyon_takes() {
        let load = Load::new("127.0.0.1:1", "a.topic", 7);
        let clusters = "[cluster.one]\nhbase = {zookeeper = [\"127.0.0.1:2\"]}\n";
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("topology.toml");
        std::fs::write(&file, topology_text(&load, "a_table", clusters).expect("the example")).expect("written");
        let topology = halcyon::topology::load::load(&[file]).expect("legal").topology;
        assert_eq!(topology.name, "a_table");
        assert_eq!(topology.clusters.keys().collect::<Vec<_>>(), ["one"]);
        assert_eq!(topology.kafka.brokers, ["127.0.0.1:1"]);
        assert_eq!(topology.tables.keys().map(|table| &**table).collect::<Vec<_>>(), ["a_table"]);
    }
}
