//! Reads `[kafka]`, `[topic.*]` and `[dead_letter]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::topology::format::{self, Said};
use crate::topology::kafka_security::{self, is_secret};
use crate::topology::load::Environment;
use crate::topology::source::{Node, Section};
use crate::topology::{DeadLetter, DeadLetterStore, ErrorBudget, Kafka, Setting, Start, TokenSource, Topic};
use crate::topology::{GroupProtocol, grammar};

/// A record's time is set when the producer takes it; it is appended at most `delivery.timeout.ms` (two minutes) later, and
/// clocks of producers differ. Records of topics with the broker's time come in order, but more is read twice, not lost.
const START_MARGIN: Duration = Duration::from_secs(150);

/// Few bad events are no reason to stop.
const BUDGET_MINIMUM: u64 = 100;
/// More than one bad event in a hundred is not noise but a change of the producer.
const BUDGET_SHARE: f64 = 0.01;

/// Properties that halcyon sets itself, and why they are not the topology's to set.
const OWNED: &[(&str, &str)] = &[
    ("auto.commit.interval.ms", "halcyon commits an offset once every event below it is durable, never by the clock"),
    ("auto.offset.reset", "a first start is said by `start` of the topic, and a lost range of the log is an error"),
    ("bootstrap.servers", "say it as `brokers`"),
    ("enable.auto.commit", "halcyon commits an offset once every event below it is durable, never by the clock"),
    ("enable.auto.offset.store", "halcyon commits an offset once every event below it is durable"),
    ("enable.partition.eof", "librdkafka moves its position at these entries, and events would be skipped"),
    ("fetch.max.bytes", "prefetching is part of the one memory budget"),
    ("fetch.message.max.bytes", "prefetching is part of the one memory budget"),
    ("group.id", "group ids are made from `name`, one for the process and one for each sink"),
    ("group.instance.id", "it is this process's, not the topology's: say it on the command line"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "say where the token is as `oauth_token`"),
    ("group.protocol", "say it as `group_protocol`"),
    ("group.protocol.type", "halcyon's groups are groups of consumers"),
    ("max.partition.fetch.bytes", "prefetching is part of the one memory budget"),
    ("metadata.broker.list", "say it as `brokers`"),
    (
        "sasl.oauthbearer.method",
        "say where the token is as `oauth_token`; a command can ask an identity provider for it",
    ),
    (
        "partition.assignment.strategy",
        "all members must be cooperative-sticky, so that rebalances drain only what moves",
    ),
    ("queued.max.messages.kbytes", "prefetching is part of the one memory budget"),
    ("queued.min.messages", "prefetching is part of the one memory budget"),
];

/// With KIP-848 these are the broker's, for all members of the group; librdkafka refuses them.
const BROKER_SIDE: &[(&str, &str)] = &[
    ("heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
    ("session.timeout.ms", "group.consumer.session.timeout.ms"),
];

pub(super) fn kafka(node: &Node<'_>, environment: Environment<'_>) -> Option<Kafka> {
    let section = node.section(grammar::KAFKA)?;
    let brokers = section.require("brokers", "brokers = [\"host:9092\"] or [\"env:KAFKA_BROKERS\"]");
    let brokers = brokers.and_then(|node| addresses(&node, environment));
    let group_protocol = section.choice("group_protocol", grammar::GROUP_PROTOCOLS);
    let oauth_token = match section.get("oauth_token") {
        None => Some(None),
        Some(node) => token(&node).map(Some),
    };
    let entries = section.get("properties").and_then(|node| node.entries()).unwrap_or_default();
    let mut properties = BTreeMap::new();
    for (name, node) in &entries {
        if let Some(setting) = property(name, node) {
            properties.insert((*name).to_owned(), setting);
        }
    }
    let placed: kafka_security::Properties<'_, '_> =
        entries.iter().filter_map(|(name, node)| Some((*name, (properties.get(*name)?, node)))).collect();
    check_protocol(group_protocol.unwrap_or_default(), &placed);
    let token = oauth_token.as_ref().and_then(Option::as_ref);
    kafka_security::check(section.node(), &placed, token);
    Some(Kafka { brokers: brokers?, properties, group_protocol: group_protocol?, oauth_token: oauth_token? })
}

fn check_protocol(protocol: GroupProtocol, properties: &kafka_security::Properties<'_, '_>) {
    match protocol {
        GroupProtocol::Classic => {
            if let Some((_, node)) = properties.get("group.remote.assignor") {
                let hint = "group_protocol = \"consumer\"".to_owned();
                node.mistake_at_key("the broker assigns only by KIP-848".to_owned(), Some(hint));
            }
        }
        GroupProtocol::Consumer => {
            for (name, broker) in BROKER_SIDE {
                let Some((_, node)) = properties.get(name) else { continue };
                let hint =
                    format!("set the broker's `{broker}`, or the group's by `kafka-configs --entity-type groups`");
                node.mistake_at_key(format!("with KIP-848 `{name}` is the broker's to set"), Some(hint));
            }
        }
    }
}

/// `"file:PATH"`, `"env:NAME"` or `["program", "argument"]`.
fn token(node: &Node<'_>) -> Option<TokenSource> {
    const HINT: &str = "\"file:PATH\", \"env:NAME\", or a command [\"program\", \"argument\"]";
    let Some(text) = node.as_string() else {
        let words = node.list()?.iter().map(|word| word.string().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        if words.is_empty() {
            node.mistake_hint(format!("`{}` is empty", node.path()), HINT);
            return None;
        }
        return Some(TokenSource::Command(words));
    };
    match Setting::parse(text) {
        Setting::Plain(_) => {
            node.mistake_hint(format!("`{}` is a secret", node.path()), format!("keep it out of the file: {HINT}"));
            None
        }
        reference => Some(TokenSource::Setting(reference)),
    }
}

fn property(name: &str, node: &Node<'_>) -> Option<Setting> {
    if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        node.mistake_at_key(format!("property `{name}` is halcyon's own"), Some((*why).to_owned()));
        return None;
    }
    let Some(text) = node.as_string() else {
        node.mistake_hint(
            format!("`{}` must be a string", node.path()),
            "librdkafka takes all properties as strings: \"true\", \"30000\"; quote names with dots",
        );
        return None;
    };
    let setting = Setting::parse(text);
    if is_secret(name) && matches!(setting, Setting::Plain(_)) {
        node.mistake_hint(
            format!("property `{name}` is a secret"),
            "keep it out of the file: \"env:NAME\" or \"file:PATH\"",
        );
        return None;
    }
    Some(setting)
}

/// `host:port` texts; `env:NAME` stands for one or, separated by commas, several.
pub(super) fn addresses(node: &Node<'_>, environment: Environment<'_>) -> Option<Vec<String>> {
    let mut addresses = Vec::new();
    let mut all_good = true;
    for element in node.list()? {
        let Some(text) = element.string() else {
            all_good = false;
            continue;
        };
        let text = match text.strip_prefix("env:") {
            None => text.to_owned(),
            Some(name) => match environment(name) {
                Some(value) => value,
                None => {
                    element.mistake(format!("environment variable `{name}` is not set"));
                    all_good = false;
                    continue;
                }
            },
        };
        for address in text.split(',').map(str::trim) {
            if is_address(address) {
                addresses.push(address.to_owned());
            } else {
                element.mistake_hint(format!("`{address}` is not an address"), "write host:port");
                all_good = false;
            }
        }
    }
    if addresses.is_empty() && all_good {
        node.mistake_hint(format!("`{}` is empty", node.path()), "name at least one host:port");
        return None;
    }
    all_good.then_some(addresses)
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// A topic, and the sink that its `start` refers to, to be checked once all clusters are known.
pub(super) fn topic(node: &Node<'_>) -> Option<Topic> {
    let section = node.section(grammar::TOPIC)?;
    let name = section.require("name", "the topic's name in Kafka").and_then(|node| kafka_name(&node));
    let format = format::read(&section);
    let start = match section.get("start") {
        None => Some(None),
        Some(node) => start(&node).map(Some),
    };
    let start_margin = match section.get("start_margin") {
        None => Some(START_MARGIN),
        Some(node) => margin(&node),
    };
    let mut quoted_numbers = BTreeSet::new();
    for element in section.get("quoted_numbers").and_then(|node| node.list()).unwrap_or_default() {
        quoted_numbers.extend(element.string().map(str::to_owned));
    }
    let Said { format, key_format, envelope, null_payload, schema } = format?;
    Some(Topic {
        name: name?,
        format,
        key_format,
        envelope,
        null_payload,
        schema,
        start: start?,
        start_margin: start_margin?,
        quoted_numbers,
    })
}

/// `0s`, `90s`, `30m`, `12h`, `30d`.
fn margin(node: &Node<'_>) -> Option<Duration> {
    const YEAR_S: u64 = 366 * 86_400;
    let text = node.string()?;
    let unit = |letter| match letter {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let seconds = text.char_indices().last().and_then(|(at, letter)| {
        let count: u64 = text.get(..at)?.parse().ok()?;
        count.checked_mul(unit(letter)?).filter(|seconds| *seconds <= YEAR_S)
    });
    if seconds.is_none() {
        node.mistake_hint(format!("`{text}` is no margin"), "such as \"150s\", \"10m\" or \"0s\"");
    }
    seconds.map(Duration::from_secs)
}

fn kafka_name(node: &Node<'_>) -> Option<String> {
    let name = node.string()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        let hint = "1 to 249 of the characters a-z, A-Z, 0-9, `.`, `_`, `-`";
        node.mistake_hint(format!("`{name}` is not a name that Kafka takes for a topic"), hint);
        return None;
    }
    Some(name.to_owned())
}

fn start(node: &Node<'_>) -> Option<Start> {
    const HINT: &str =
        "\"earliest\", \"latest\", a time such as 2026-11-01T00:00:00Z, offsets {\"0\" = 1200}, or \"sink:NAME\"";
    if node.is_table() {
        return offsets(node).map(Start::Offsets);
    }
    let text = node.as_datetime().or_else(|| node.as_string().map(str::to_owned));
    let Some(text) = text else {
        node.mistake_hint(format!("`{}` is no place to start", node.path()), HINT);
        return None;
    };
    match text.as_str() {
        "earliest" => return Some(Start::Earliest),
        "latest" => return Some(Start::Latest),
        _ => {}
    }
    if let Some(sink) = text.strip_prefix("sink:") {
        return Some(Start::Sink(sink.to_owned()));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Some(Start::Time(time.as_millisecond())),
        Err(_) => {
            node.mistake_hint(format!("`{text}` is no place to start"), HINT);
            None
        }
    }
}

fn offsets(node: &Node<'_>) -> Option<BTreeMap<i32, i64>> {
    let mut offsets = BTreeMap::new();
    for (partition, node) in node.entries()? {
        let Ok(partition) = partition.parse::<i32>() else {
            node.mistake_at_key(format!("`{partition}` is no partition"), Some("write \"0\" = 1200".to_owned()));
            continue;
        };
        offsets.insert(partition, node.integer(0..=i64::MAX)?);
    }
    Some(offsets)
}

pub(super) fn dead_letter(node: &Node<'_>) -> Option<DeadLetter> {
    let section = node.section(grammar::DEAD_LETTER)?;
    let budget = match section.get("budget") {
        None => Some(ErrorBudget { minimum: BUDGET_MINIMUM, share: BUDGET_SHARE }),
        Some(node) => budget(&node),
    };
    let to = store(&section);
    Some(DeadLetter { to: to?, budget: budget? })
}

fn store(section: &Section<'_>) -> Option<DeadLetterStore> {
    let named: Vec<&str> = ["topic", "file", "halt"].into_iter().filter(|key| section.has(key)).collect();
    let (key, node) = match named.as_slice() {
        [key] => (*key, section.get(key)?),
        _ => {
            let what = format!("`dead_letter` must say one of `topic`, `file` and `halt`, but says {}", named.len());
            section
                .node()
                .mistake_at_key(what, Some("file = \"dead-letters.jsonl\", topic = \"NAME\" or halt = true".into()));
            return None;
        }
    };
    match key {
        "topic" => kafka_name(&node).map(DeadLetterStore::Topic),
        "file" => node.string().map(|path| DeadLetterStore::File(PathBuf::from(path))),
        _ if node.boolean()? => Some(DeadLetterStore::Halt),
        _ => {
            node.mistake_hint("`halt = false` says nothing", "say where bad events go instead: `file` or `topic`");
            None
        }
    }
}

fn budget(node: &Node<'_>) -> Option<ErrorBudget> {
    let section = node.section(grammar::BUDGET)?;
    let minimum = match section.get("minimum") {
        None => Some(BUDGET_MINIMUM),
        Some(node) => node.integer(0..=i64::MAX).map(i64::cast_unsigned),
    };
    let share = match section.get("share") {
        None => Some(BUDGET_SHARE),
        Some(node) => node.number().and_then(|share| {
            let legal = (0.0..=1.0).contains(&share);
            if !legal {
                node.mistake(format!("`{}` must be 0 to 1, but is {share}", node.path()));
            }
            legal.then_some(share)
        }),
    };
    Some(ErrorBudget { minimum: minimum?, share: share? })
}
