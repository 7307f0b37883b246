//! A topology as text and as drawings: named nodes from source over decode and project to the sinks.
//!
//! The output is stable: the same topology gives the same bytes.

mod json;

use std::fmt::Write as _;

use hbase::registry::Registry;
use hbase::security::Authentication;

use crate::attachment::{Compacted, policy};
use crate::model::key::{Direction, Extent, KeyColumn, KeyPart, Order, RowKey};
use crate::model::schema::{DELETED_QUALIFIER, DeleteMode};
use crate::model::version::VersionRule;
use crate::topology::{
    Cluster, DeadLetter, DeadLetterStore, Envelope, Format, GroupProtocol, Model, NullPayload, Pace, PayloadSchema,
    Reading, Setting, Start, Table, TokenSource, Topic, Topology,
};

impl Topology {
    /// The topology as text for people, with every node that a run has.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let brokers = self.kafka.brokers.join(", ");
        line(&mut text, 0, &format!("topology {}", self.name));
        entry(&mut text, 1, "kafka", &brokers);
        for (name, value) in &self.kafka.properties {
            entry(&mut text, 1, name, &shown(value));
        }
        if let Some(token) = &self.kafka.oauth_token {
            entry(&mut text, 1, "oauth_token", &token_source(token));
        }
        let protocol = match self.kafka.group_protocol {
            GroupProtocol::Classic => "",
            GroupProtocol::Consumer => ", consumer protocol",
        };
        entry(&mut text, 1, "group", &format!("{} (membership{protocol})", self.name));
        for (id, topic) in &self.topics {
            self.describe_topic(&mut text, id, topic);
        }
        if let Some(registry) = &self.schema_registry {
            line(&mut text, 0, "\nschema registry");
            entry(&mut text, 1, "urls", &registry.urls.join(", "));
            if let Some(user) = &registry.user {
                entry(&mut text, 1, "user", &shown(user));
            }
        }
        for (name, cluster) in &self.clusters {
            line(&mut text, 0, &format!("\nsink {name}"));
            entry(&mut text, 1, "hbase", &registry(cluster));
            entry(&mut text, 1, "group", &self.sink_group(name));
            entry(&mut text, 1, "user", cluster.user.as_deref().unwrap_or("the process's own"));
            entry(&mut text, 1, "durability", durability(cluster));
            entry(&mut text, 1, "pace", &pace(cluster));
            if let Some(tls) = &cluster.security.tls {
                let shown = if tls.identity.is_some() { ", shows a certificate" } else { "" };
                let authorities = tls.authorities.iter().map(|path| path.display().to_string());
                let authorities = authorities.collect::<Vec<_>>().join(", ");
                entry(&mut text, 1, "tls", &format!("trusts {authorities}{shown}"));
            }
            if let Authentication::Kerberos(kerberos) = &cluster.security.authentication {
                let servers = kerberos.servers.join(", ");
                entry(&mut text, 1, "kerberos", &format!("servers {servers}, protection {}", kerberos.protection));
            }
        }
        line(&mut text, 0, "\ndead letters");
        entry(&mut text, 1, "to", &dead_letters(&self.dead_letter));
        let budget = &self.dead_letter.budget;
        let percent = budget.share * 100.0;
        let budget = format!("stops at {} bad events if they are more than {percent} % of all", budget.minimum);
        entry(&mut text, 1, "budget", &budget);
        text
    }

    /// The group that holds the offsets of a sink.
    #[must_use]
    pub fn sink_group(&self, cluster: &str) -> String {
        format!("{}.{cluster}", self.name)
    }

    fn describe_topic(&self, text: &mut String, id: &str, topic: &Topic) {
        line(text, 0, &format!("\nsource {id}"));
        entry(text, 1, "topic", &topic.name);
        entry(text, 1, "start", &start(topic));
        line(text, 0, &format!("  -> decode {id}"));
        entry(text, 2, "format", topic.format.name());
        if let Some(reading) = self.reading(id) {
            describe_reading(text, &reading);
        }
        let fields = self.fields(id).unwrap_or_default();
        let fields = fields.all().iter().map(|field| {
            let quoted = if field.quoted_number { " (or quoted)" } else { "" };
            format!("{} {}{quoted}", field.path, field.data_type)
        });
        entry(text, 2, "fields", &fields.collect::<Vec<_>>().join(", "));
        let models: Vec<_> = self.models.iter().filter(|(_, model)| model.topic == id).collect();
        let own: Vec<_> = self.projections.iter().filter(|(_, own)| own.topic == id).collect();
        if models.is_empty() && own.is_empty() {
            line(text, 2, "no model reads this topic");
        }
        for (name, own) in own {
            line(text, 0, &format!("     -> project {name}"));
            entry(text, 3, "table", &own.table);
            if let Some(table) = self.tables.get(&own.table) {
                describe_table(text, table);
            }
            entry(text, 3, "made by", "the program's own projection");
        }
        for (name, model) in models {
            self.describe_model(text, name, model);
        }
    }

    fn describe_model(&self, text: &mut String, name: &str, model: &Model) {
        line(text, 0, &format!("     -> project {name}"));
        entry(text, 3, "table", &model.table);
        if let Some(table) = self.tables.get(&model.table) {
            describe_table(text, table);
        }
        if let Some(each) = &model.each {
            let fields = each.fields.iter().map(|(path, data_type)| format!("{path} {data_type}"));
            let fields = fields.collect::<Vec<_>>().join(", ");
            entry(text, 3, "each", &format!("element of {} is a row: {fields}", each.path));
        }
        entry(text, 3, "key", &row_key(&model.key));
        entry(text, 3, "version", &version(&model.version));
        entry(text, 3, "when", &model.when.as_ref().map_or_else(|| "every event".to_owned(), ToString::to_string));
        entry(text, 3, "delete", &delete(model));
        for (index, column) in model.columns.iter().enumerate() {
            let label = if index == 0 { "columns" } else { "" };
            entry(text, 3, label, &format!("{} = {} {}", column.name(), column.from, column.data_type));
        }
        let sinks: Vec<&str> = self.clusters.keys().map(String::as_str).collect();
        line(text, 0, &format!("        -> sinks {}", sinks.join(", ")));
    }

    /// The topology as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for node in self.nodes() {
            // Mermaid takes no quotes within a label.
            let label = node.label.join("<br>").replace('"', "'");
            let _ = writeln!(text, "    {}[\"{label}\"]", node.id);
        }
        for (from, to) in self.edges() {
            let _ = writeln!(text, "    {from} --> {to}");
        }
        text
    }

    /// The topology in Graphviz's language.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = format!("digraph \"{}\" {{\n    rankdir=LR;\n    node [shape=box];\n", self.name);
        for node in self.nodes() {
            let label = node.label.join("\n").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = writeln!(text, "    {} [label=\"{label}\"];", node.id);
        }
        for (from, to) in self.edges() {
            let _ = writeln!(text, "    {from} -> {to};");
        }
        text.push_str("}\n");
        text
    }

    fn nodes(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (index, (id, topic)) in self.topics.iter().enumerate() {
            let source = vec![format!("source {id}"), topic.name.clone(), format!("group {}", self.name)];
            nodes.push(Node { id: format!("source_{index}"), label: source });
            nodes.push(Node { id: format!("decode_{index}"), label: vec![format!("decode {id}"), decoding(topic)] });
        }
        for (index, (name, model)) in self.models.iter().enumerate() {
            let label = vec![
                format!("project {name}"),
                format!("table {}", model.table),
                format!("key {}", row_key(&model.key)),
                format!("version {}", version(&model.version)),
            ];
            nodes.push(Node { id: format!("project_{index}"), label });
        }
        for (index, (name, cluster)) in self.clusters.iter().enumerate() {
            let label = vec![format!("sink {name}"), registry(cluster), format!("group {}", self.sink_group(name))];
            nodes.push(Node { id: format!("sink_{index}"), label });
        }
        let label = vec!["dead letters".to_owned(), dead_letters(&self.dead_letter)];
        nodes.push(Node { id: "dead_letters".to_owned(), label });
        nodes
    }

    fn edges(&self) -> Vec<(String, String)> {
        let mut edges = Vec::new();
        for (index, (id, _)) in self.topics.iter().enumerate() {
            edges.push((format!("source_{index}"), format!("decode_{index}")));
            edges.push((format!("decode_{index}"), "dead_letters".to_owned()));
            for (project, (_, model)) in self.models.iter().enumerate() {
                if model.topic == *id {
                    edges.push((format!("decode_{index}"), format!("project_{project}")));
                }
            }
        }
        for project in 0..self.models.len() {
            edges.extend((0..self.clusters.len()).map(|sink| (format!("project_{project}"), format!("sink_{sink}"))));
            edges.push((format!("project_{project}"), "dead_letters".to_owned()));
        }
        edges
    }
}

/// A box of a drawing.
struct Node {
    id: String,
    label: Vec<String>,
}

fn line(text: &mut String, depth: usize, content: &str) {
    let _ = writeln!(text, "{}{content}", "   ".repeat(depth));
}

fn entry(text: &mut String, depth: usize, name: &str, content: &str) {
    line(text, depth, &format!("{name:<10} {content}"));
}

/// A setting without its secret.
fn shown(setting: &Setting) -> String {
    match setting {
        Setting::Plain(text) => text.clone(),
        Setting::Env(name) => format!("env:{name}"),
        Setting::File(path) => format!("file:{}", path.display()),
    }
}

fn token_source(token: &TokenSource) -> String {
    match token {
        TokenSource::Setting(setting) => shown(setting),
        // Its arguments may be secrets.
        TokenSource::Command(words) => format!("printed by {}", words.first().map_or("", String::as_str)),
    }
}

fn start(topic: &Topic) -> String {
    match &topic.start {
        None => "refuses without committed offsets".to_owned(),
        Some(Start::Earliest) => "earliest".to_owned(),
        Some(Start::Latest) => "latest".to_owned(),
        Some(Start::Time(ms)) => {
            let time =
                jiff::Timestamp::from_millisecond(*ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string());
            format!("{time} less a margin of {} s", topic.start_margin.as_secs())
        }
        Some(Start::Offsets(offsets)) => {
            let offsets = offsets.iter().map(|(partition, offset)| format!("{partition}: {offset}"));
            format!("offsets {}", offsets.collect::<Vec<_>>().join(", "))
        }
        Some(Start::Sink(sink)) => format!("the offsets of sink {sink}"),
    }
}

/// What a topic says about its records beside their format.
fn describe_reading(text: &mut String, reading: &Reading) {
    if reading.envelope != Envelope::None {
        entry(text, 2, "envelope", reading.envelope.name());
    }
    if reading.key_format != Format::Raw {
        entry(text, 2, "keys", reading.key_format.name());
    }
    match &reading.schema {
        PayloadSchema::Registry if !reading.format.needs_schema() => {}
        schema => entry(text, 2, "schema", &schema_source(schema)),
    }
    match reading.null_payload {
        NullPayload::Delete => entry(text, 2, "nulls", "delete the row that the record's key names"),
        NullPayload::Skip => entry(text, 2, "nulls", "are skipped"),
        NullPayload::Bad => {}
    }
}

fn schema_source(schema: &PayloadSchema) -> String {
    match schema {
        PayloadSchema::Registry => "by id from the registry".to_owned(),
        PayloadSchema::RegistryAndReader(path, _) => {
            format!("by id from the registry, read with {}", path.display())
        }
        PayloadSchema::Avro(path, _) => format!("always {}", path.display()),
        PayloadSchema::Protobuf(path, _, message) => format!("always {message} of {}", path.display()),
    }
}

/// Format and envelope in a few words.
fn decoding(topic: &Topic) -> String {
    match topic.envelope {
        Envelope::None => topic.format.name().to_owned(),
        envelope => format!("{} in {}", topic.format.name(), envelope.name()),
    }
}

fn registry(cluster: &Cluster) -> String {
    match &cluster.registry {
        Registry::ZooKeeper { quorum, znode } => format!("zookeeper {} at {znode}", quorum.join(", ")),
        Registry::Rpc { servers } => format!("registry {}", servers.join(", ")),
    }
}

/// When the sink leaves the shared read.
fn pace(cluster: &Cluster) -> String {
    let Pace { window_bytes, patience, compacted, headroom } = &cluster.pace;
    let window = window_bytes.map_or_else(|| "half of the shared budget".to_owned(), |bytes| format!("{bytes} bytes"));
    let patience = patience.unwrap_or(policy::PATIENCE).as_secs();
    let compacted = match compacted {
        Compacted::Detach => "",
        Compacted::Wait => ", not on compacted topics",
    };
    let headroom = headroom.map_or_else(String::new, |time| format!(", alarm {} s before retention", time.as_secs()));
    format!("detached above {window}, or after {patience} s without progress{compacted}{headroom}")
}

fn durability(cluster: &Cluster) -> &'static str {
    let names = super::grammar::DURABILITIES;
    names.iter().find(|(_, one)| *one == cluster.durability).map_or("", |(name, _)| name)
}

fn dead_letters(dead_letter: &DeadLetter) -> String {
    match &dead_letter.to {
        DeadLetterStore::Topic(topic) => format!("topic {topic}"),
        DeadLetterStore::File(path) => format!("file {}", path.display()),
        DeadLetterStore::Halt => "nowhere: the first bad event stops the run".to_owned(),
    }
}

fn describe_table(text: &mut String, table: &Table) {
    for (name, family) in &table.families {
        let ttl = family.ttl_s.map_or_else(String::new, |seconds| format!(", ttl {seconds} s"));
        let (compression, bloom) = (family.compression.name(), family.bloom.name());
        let content = format!("{name}: versions {}, compression {compression}, bloom {bloom}{ttl}", family.versions);
        entry(text, 3, "family", &content);
    }
    entry(text, 3, "regions", &(table.splits.len() + 1).to_string());
}

/// A row key as one line: `salt(room_id, 16) + room_id u64 + message_id u64 descending`.
fn row_key(key: &RowKey) -> String {
    let parts = key.parts.iter().map(|part| match part {
        KeyPart::Salt { field, buckets, .. } => format!("salt({field}, {buckets})"),
        KeyPart::Hash { field, bytes, .. } => format!("hash({field}, {bytes})"),
        KeyPart::Literal(literal) => format!("'{}'", literal.escape_ascii()),
        KeyPart::Column(column) => key_column(column),
    });
    parts.collect::<Vec<_>>().join(" + ")
}

fn key_column(column: &KeyColumn) -> String {
    let mut text = format!("{} {}", column.field, column.data_type);
    match column.extent {
        Extent::Padded(width) => {
            let _ = write!(text, " width {width}");
        }
        Extent::Delimited(byte) => {
            let _ = write!(text, " delimiter 0x{byte:02x}");
        }
        Extent::Fixed | Extent::Rest => {}
    }
    if column.order == Order::Descending {
        text.push_str(" descending");
    }
    if column.direction == Direction::Reverse {
        text.push_str(" reverse");
    }
    text
}

fn version(rule: &VersionRule) -> String {
    match rule {
        VersionRule::Column { field } => field.clone(),
        VersionRule::Time { field } => format!("time {field}"),
        VersionRule::TimeSequence { time, sequence } => format!("time {time} and sequence {sequence}"),
        VersionRule::KafkaOffset => "the record's offset".to_owned(),
        VersionRule::KafkaTimestamp => "the record's timestamp".to_owned(),
    }
}

fn delete(model: &Model) -> String {
    let Some(rule) = &model.delete else { return "never".to_owned() };
    match rule.mode {
        DeleteMode::Tombstone => {
            let family = model.columns.first().map_or("", |column| &column.family);
            format!("if {}: tombstone {family}:{DELETED_QUALIFIER}", rule.when)
        }
        DeleteMode::Marker => format!("if {}: DeleteFamily marker", rule.when),
    }
}

#[cfg(test)]
mod tests {
    use crate::topology::load;

    const CHAT: &str = include_str!("../../topology/chat.toml");

    /// The text of a file in `fixtures/expected`, rewritten with `UPDATE=1`.
    fn assert_expected(name: &str, found: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/expected").join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
            std::fs::write(&path, found).expect("write the fixture");
        }
        let expected = std::fs::read_to_string(&path).expect("read the fixture; UPDATE=1 writes it");
        assert_eq!(found, expected, "run again with UPDATE=1 if this is what it should be");
    }

    #[test]
    fn the_chat_example_is_described_as_recorded() {
        let topology = load::parse("chat.toml", CHAT, &|_| None).expect("the example has no mistake").topology;
        assert_expected("describe-chat.txt", &topology.describe());
        assert_expected("describe-chat.mmd", &topology.mermaid());
        assert_expected("describe-chat.dot", &topology.dot());
        let json = serde_json::to_string_pretty(&topology.json()).expect("values that JSON has");
        assert_expected("describe-chat.json", &(json + "\n"));
    }
}
