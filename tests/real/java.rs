//! HBase's own Java client: it reads what halcyon wrote, and it works on the cluster in process.

use std::path::{Path, PathBuf};
use std::process::Command;

use hbase::registry::Registry;
use hbase::server::Cluster;

use super::stack as addresses;
use super::world::stack;

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
    let class_path = stack(&["classpath", version]).trim().to_owned();
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
    if addresses::running().is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Cluster::start(2)).expect("free ports");
    let Registry::Rpc { servers } = cluster.registry() else { panic!("clusters in process have an RPC registry") };
    let said = run(&variable("HALCYON_GREEN_VERSION"), "ClientProbe", &[&format!("rpc={}", servers[0]), "probe"]);
    assert!(said.contains("26 claims passed"), "{said}");
}

#[test]
fn the_same_claims_hold_on_the_real_cluster() {
    if addresses::running().is_none() {
        return;
    }
    let place = format!("rpc={}", variable("HALCYON_GREEN_RPC"));
    let table = format!("probe_{}", std::process::id());
    let said = run(&variable("HALCYON_GREEN_VERSION"), "ClientProbe", &[&place, &table]);
    assert!(said.contains("26 claims passed"), "{said}");
}
