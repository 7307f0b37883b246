//! HBase's own Java client: it reads what halcyon wrote, and it works on the cluster in process.

use std::path::{Path, PathBuf};
use std::process::Command;

use hbase::registry::Registry;
use hbase::server::Cluster;

use super::stack;
use super::world::on_stack;

/// What the class path of HBase's clients needs on JDK 17.
const OPENS: [&str; 4] = [
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
];

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not in the environment"))
}

/// Compiles and runs one of the programs in `java/` with the client of an HBase version; returns what it printed.
fn run(version: &str, class: &str, arguments: &[&str]) -> String {
    let class_path = on_stack(&["classpath", version]).trim().to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/real/java/{class}.java"));
    compile(&source, &class_path, folder.path());
    let output = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .args(OPENS)
        .args(["-cp", &format!("{}:{class_path}", folder.path().display()), class])
        .args(arguments)
        .output()
        .expect("java runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{class}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn compile(source: &Path, class_path: &str, to: &Path) {
    let output = Command::new("javac")
        .args(["--release", "8", "-nowarn", "-Xlint:none", "-cp", class_path, "-d"])
        .args([to, source])
        .output()
        .expect("javac runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Rows, cells and digest of a table of the stack, as HBase's client of that cluster's own version reads it.
pub(crate) fn cell_dump(cluster: &str, table: &str) -> String {
    let prefix = format!("HALCYON_{}", cluster.to_uppercase());
    let place = format!("zk={}", variable(&format!("{prefix}_ZK")));
    run(&variable(&format!("{prefix}_VERSION")), "CellDump", &[&place, table]).trim().to_owned()
}

#[test]
fn the_java_client_works_on_the_cluster_in_process() {
    if !stack::is_running() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Cluster::start(2)).expect("free ports");
    cluster.record();
    let Registry::Rpc { servers } = cluster.registry() else { panic!("clusters in process have an RPC registry") };
    let said = run(&variable("HALCYON_GREEN_VERSION"), "ClientProbe", &[&format!("rpc={}", servers[0]), "probe"]);
    assert!(said.contains("39 claims passed"), "{said}");
    keep_frames(&cluster);
}

/// With `UPDATE=1`, one frame of each method becomes a golden file (see `hbase/tests/fixtures/README.md`).
fn keep_frames(cluster: &Cluster) {
    if std::env::var("UPDATE").is_err() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("hbase/tests/fixtures/java-2.6.4");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut seen = std::collections::BTreeMap::new();
    for recorded in cluster.recorded() {
        let name = if recorded.method.is_empty() { format!("{}.header", recorded.service) } else { recorded.method };
        let number = seen.entry(name.clone()).or_insert(0);
        *number += 1;
        // Scans: the first opens, the second goes on or is another one; Multis: a put, a batch, a buffered write.
        if *number <= if matches!(name.as_str(), "Multi" | "Scan" | "Mutate") { 4 } else { 1 }
            && recorded.bytes.len() < 8192
        {
            let hex: String = recorded.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            std::fs::write(folder.join(format!("{name}.{number}.hex")), hex + "\n").expect("written");
        }
    }
}

/// What HBase's codec and Hadoop's compressors make of cells is what the golden files say; `UPDATE=1` writes them.
#[test]
fn cell_blocks_are_what_the_golden_files_say() {
    if !stack::is_running() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("hbase/tests/fixtures/java-cells");
    std::fs::create_dir_all(&folder).expect("a folder");
    let said = run(&variable("HALCYON_GREEN_VERSION"), "CellBlocks", &[]);
    let blocks: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(blocks.len(), 8, "four plain blocks and four compressed ones: {said}");
    for (name, hex) in blocks {
        let file = folder.join(format!("{name}.hex"));
        if std::env::var("UPDATE").is_ok() {
            std::fs::write(&file, format!("{}\n", hex.trim())).expect("written");
        }
        let known = std::fs::read_to_string(&file).expect("a golden file");
        assert_eq!(hex.trim(), known.trim(), "{name}");
    }
}

#[test]
fn the_same_claims_hold_on_the_real_cluster() {
    if !stack::is_running() {
        return;
    }
    let place = format!("rpc={}", variable("HALCYON_GREEN_RPC"));
    let table = format!("probe_{}", std::process::id());
    let said = run(&variable("HALCYON_GREEN_VERSION"), "ClientProbe", &[&place, &table]);
    assert!(said.contains("39 claims passed"), "{said}");
}
