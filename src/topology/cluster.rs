//! Reads `[cluster.*]`.

use std::path::PathBuf;

use hbase::registry::Registry;
use hbase::security::{Authentication, Identity, Kerberos, Security, SimpleFallback, Tls};

use crate::topology::Cluster;
use crate::topology::grammar;
use crate::topology::kafka::addresses;
use crate::topology::load::Environment;
use crate::topology::pace::pace;
use crate::topology::source::{Node, Section};

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
    let security = security(&section, environment);
    let pace = pace(&section);
    Some(Cluster { registry: registry?, user: user?, durability: durability?, security: security?, pace: pace? })
}

fn security(section: &Section<'_>, environment: Environment<'_>) -> Option<Security> {
    let tls = match section.get("tls") {
        None => Some(None),
        Some(node) => tls(&node, environment).map(Some),
    };
    let authentication = match section.get("kerberos") {
        None => Some(Authentication::Simple),
        Some(node) => kerberos(&node).map(Authentication::Kerberos),
    };
    Some(Security { tls: tls?, authentication: authentication?, simple_fallback: SimpleFallback::Refuse })
}

fn tls(node: &Node<'_>, environment: Environment<'_>) -> Option<Tls> {
    let section = node.section(grammar::TLS)?;
    let ca = section.require("ca", "ca = \"/etc/hbase/ca.pem\": the authority of the servers' certificates");
    let ca = ca.and_then(|node| path(&node, environment));
    let file = |key| match section.get(key) {
        None => Some(None),
        Some(node) => path(&node, environment).map(Some),
    };
    let identity = match (file("certificate"), file("key")) {
        (Some(Some(certificate)), Some(Some(key))) => Some(Some(Identity { certificate, key })),
        (Some(None), Some(None)) => Some(None),
        (Some(certificate), Some(_)) => {
            let (has, lacks) = if certificate.is_some() { ("certificate", "key") } else { ("key", "certificate") };
            let hint = "certificate = \"/etc/hbase/client.crt\", key = \"/etc/hbase/client.key\"".to_owned();
            node.mistake_at_key(format!("`{}` has `{has}` but lacks `{lacks}`", node.path()), Some(hint));
            None
        }
        _ => None,
    };
    let server_name = match section.get("server_name") {
        None => Some(None),
        Some(node) => node.string().map(|name| Some(name.to_owned())),
    };
    Some(Tls { authorities: vec![ca?], identity: identity?, server_name: server_name? })
}

/// The path of a file; `env:NAME` is the variable's value, and `file:PATH` says the same as `PATH`: files are read by the
/// client, each time they change.
fn path(node: &Node<'_>, environment: Environment<'_>) -> Option<PathBuf> {
    let text = node.string()?;
    let path = match text.strip_prefix("env:") {
        None => text.strip_prefix("file:").unwrap_or(text).to_owned(),
        Some(name) => match environment(name) {
            Some(value) => value,
            None => {
                node.mistake(format!("environment variable `{name}` is not set"));
                return None;
            }
        },
    };
    if path.is_empty() || path.contains("-----BEGIN") {
        node.mistake_hint(
            format!("`{}` is not the path of a file", node.path()),
            "\"/etc/hbase/ca.pem\" or \"env:NAME\"",
        );
        return None;
    }
    Some(PathBuf::from(path))
}

fn kerberos(node: &Node<'_>) -> Option<Kerberos> {
    let section = node.section(grammar::KERBEROS)?;
    let servers = section.require("principals", "principals = [\"hbase/_HOST@EXAMPLE.COM\"]: those of the servers");
    let servers = servers.and_then(|node| principals(&node));
    let client = match section.get("client") {
        None => Some(None),
        Some(node) => node.string().map(|client| Some(client.to_owned())),
    };
    let protection = section.choice("protection", grammar::PROTECTIONS);
    Some(Kerberos { servers: servers?, client: client?, protection: protection? })
}

fn principals(node: &Node<'_>) -> Option<Vec<String>> {
    let mut principals = Vec::new();
    let mut all_good = true;
    for element in node.list()? {
        match element.string() {
            Some(text)
                if text.split_once('/').is_some_and(|(service, host)| !service.is_empty() && !host.is_empty()) =>
            {
                principals.push(text.to_owned());
            }
            Some(text) => {
                element.mistake_hint(
                    format!("`{text}` is not the principal of a server"),
                    "such as \"hbase/_HOST@EXAMPLE.COM\"",
                );
                all_good = false;
            }
            None => all_good = false,
        }
    }
    if principals.is_empty() && all_good {
        node.mistake_hint(
            format!("`{}` is empty", node.path()),
            "name at least one, such as \"hbase/_HOST@EXAMPLE.COM\"",
        );
        return None;
    }
    all_good.then_some(principals)
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
