//! Reads `[cluster.*]`.

use hbase::registry::Registry;

use crate::topology::Cluster;
use crate::topology::grammar;
use crate::topology::kafka::addresses;
use crate::topology::load::Environment;
use crate::topology::source::Node;

/// `zookeeper.znode.parent` unless an HBase is configured otherwise.
const ZNODE: &str = "/hbase";

pub(super) fn cluster(node: &Node<'_>, environment: Environment<'_>) -> Option<Cluster> {
    let section = node.section(grammar::CLUSTER)?;
    let hint = "hbase = {zookeeper = [\"host:2181\"], znode = \"/hbase\"} or {registry = [\"host:16000\"]}";
    let registry = section.require("hbase", hint).and_then(|node| registry(&node, environment));
    let user = match section.get("user") {
        None => Some(None),
        Some(node) => node.string().map(|user| Some(user.to_owned())),
    };
    let durability = section.choice("durability", grammar::DURABILITIES);
    Some(Cluster { registry: registry?, user: user?, durability: durability? })
}

fn registry(node: &Node<'_>, environment: Environment<'_>) -> Option<Registry> {
    let keys: Vec<&str> = grammar::ZOOKEEPER.iter().chain(grammar::REGISTRY).copied().collect();
    let section = node.section(&keys)?;
    match (section.get("zookeeper"), section.get("registry")) {
        (Some(quorum), None) => {
            let quorum = addresses(&quorum, environment);
            let znode = match section.get("znode") {
                None => Some(ZNODE.to_owned()),
                Some(node) => znode(&node),
            };
            Some(Registry::ZooKeeper { quorum: quorum?, znode: znode? })
        }
        (None, Some(servers)) => {
            if let Some(znode) = section.get("znode") {
                znode.mistake_at_key("`znode` is only for `zookeeper`", None);
            }
            Some(Registry::Rpc { servers: addresses(&servers, environment)? })
        }
        (found, _) => {
            let count = if found.is_some() { "both" } else { "neither" };
            let what = format!("`{}` must say one of `zookeeper` and `registry`, but says {count}", node.path());
            let hint = "{zookeeper = [\"host:2181\"]} or {registry = [\"host:16000\"]}";
            node.mistake_at_key(what, Some(hint.to_owned()));
            None
        }
    }
}

fn znode(node: &Node<'_>) -> Option<String> {
    let path = node.string()?;
    if !path.starts_with('/') || (path.len() > 1 && path.ends_with('/')) {
        node.mistake_hint(format!("`{path}` is not the path of a znode"), "such as \"/hbase\"");
        return None;
    }
    Some(path.to_owned())
}
