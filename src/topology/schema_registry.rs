//! Reads `[schema_registry]`.

use std::path::PathBuf;

use crate::topology::load::Environment;
use crate::topology::source::Node;
use crate::topology::{SchemaRegistry, Setting, grammar};

pub(super) fn schema_registry(node: &Node<'_>, environment: Environment<'_>) -> Option<SchemaRegistry> {
    let section = node.section(grammar::SCHEMA_REGISTRY)?;
    let urls = section.require("urls", "urls = [\"https://host:8081\"] or [\"env:SCHEMA_REGISTRY\"]");
    let urls = urls.and_then(|node| addresses(&node, environment));
    let user = section.get("user").and_then(|node| node.string()).map(Setting::parse);
    let password = match section.get("password") {
        None => Some(None),
        Some(node) => match Setting::parse(node.string()?) {
            Setting::Plain(_) => {
                node.mistake_hint("the password is a secret", "keep it out of the file: \"env:NAME\" or \"file:PATH\"");
                None
            }
            reference => Some(Some(reference)),
        },
    };
    if section.has("user") != section.has("password") {
        section.node().mistake_at_key("`user` and `password` go together", None);
        return None;
    }
    let ca = section.get("ca").and_then(|node| node.string()).map(PathBuf::from);
    let (urls, password) = (urls?, password?);
    if ca.is_none() && urls.iter().any(|url| url.starts_with("https://")) {
        let hint = "ca = \"/etc/registry/ca.pem\"; public authorities are often in /etc/ssl/certs/ca-certificates.crt";
        section.node().mistake_at_key("`https` needs `ca`: whom to trust", Some(hint.to_owned()));
        return None;
    }
    Some(SchemaRegistry { urls, user, password, ca })
}

/// `http://` or `https://` and a host; `env:NAME` stands for one or, separated by commas, several.
fn addresses(node: &Node<'_>, environment: Environment<'_>) -> Option<Vec<String>> {
    let mut urls = Vec::new();
    let mut all_good = true;
    for element in node.list()? {
        let Some(text) = element.string() else {
            all_good = false;
            continue;
        };
        let text = match text.strip_prefix("env:").map(|name| (name, environment(name))) {
            None => text.to_owned(),
            Some((_, Some(value))) => value,
            Some((name, None)) => {
                element.mistake(format!("environment variable `{name}` is not set"));
                all_good = false;
                continue;
            }
        };
        for url in text.split(',').map(|url| url.trim().trim_end_matches('/')) {
            if is_url(url) {
                urls.push(url.to_owned());
            } else {
                // It may hold a password, which is not shown.
                element
                    .mistake_hint("this is not the address of a registry", "http://host:8081, without user or query");
                all_good = false;
            }
        }
    }
    if urls.is_empty() && all_good {
        node.mistake_hint(format!("`{}` is empty", node.path()), "name at least one http://host:8081");
        return None;
    }
    all_good.then_some(urls)
}

fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && !rest.contains(|c: char| c.is_whitespace() || matches!(c, '@' | '?' | '#'))
    })
}
