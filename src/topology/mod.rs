//! What exists: topics, read models and clusters, as values.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything a topology file declares, checked.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Prefix of all group ids: `NAME` is the membership group, `NAME.CLUSTER` holds the offsets of one sink.
    pub name: String,
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Topics by their id in the file.
    pub topics: BTreeMap<String, Topic>,
    /// Read models by their id in the file.
    pub models: BTreeMap<String, Model>,
    /// Clusters by name; each is one sink.
    pub clusters: BTreeMap<String, Cluster>,
    /// Where bad events go.
    pub dead_letter: DeadLetter,
}

/// How to reach Kafka.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `host:port` of the bootstrap brokers.
    pub brokers: Vec<String>,
    /// Further librdkafka properties; secrets stay references until a client is made.
    pub properties: BTreeMap<String, Setting>,
}

/// A property value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// As written in the file.
    Plain(String),
    /// `env:NAME`: the value of an environment variable.
    Env(String),
    /// `file:PATH`: the content of a file without its trailing line break.
    File(PathBuf),
}

/// A Kafka topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Name in Kafka.
    pub name: String,
    /// How payloads are read.
    pub format: Format,
    /// Where a sink without committed offsets starts; `None` means it refuses to start.
    pub start: Option<Start>,
}

/// Payload formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a record.
    Json,
}

/// Where a sink without committed offsets starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first offset that retention has left.
    Earliest,
    /// The end offset at the moment of the first assignment.
    Latest,
    /// The first record at or after this time, in milliseconds since 1970.
    Time(i64),
    /// An offset for each partition; a partition not named starts at its first offset.
    Offsets(BTreeMap<i32, i64>),
    /// The committed offsets of another sink.
    Sink(String),
}

/// A read model: one table, fed from one topic. (Key, version, columns and rules: see `model`.)
#[derive(Clone, Debug)]
pub struct Model {
    /// Id of the topic in the file.
    pub topic: String,
    /// Table name.
    pub table: String,
}

/// An HBase cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Where the cluster's meta is found.
    pub registry: hbase::registry::Registry,
    /// The user announced to the cluster; `None` is the process's own.
    pub user: Option<String>,
    /// When a write counts as durable.
    pub durability: hbase::mutation::Durability,
}

/// Where bad events go, and how many are too many.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The store.
    pub to: DeadLetterStore,
    /// When the run stops.
    pub budget: ErrorBudget,
}

/// A store for bad events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterStore {
    /// A Kafka topic.
    Topic(String),
    /// A file of JSON lines.
    File(PathBuf),
    /// None: the first bad event stops the run.
    Halt,
}

/// The run stops (exit 3) once at least `minimum` events were bad and they are more than `share` of all events read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorBudget {
    /// Bad events below this number never stop the run.
    pub minimum: u64,
    /// Share of all events read by this process, 0 to 1.
    pub share: f64,
}
