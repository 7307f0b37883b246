//! What exists: topics, read models and clusters, as values.

mod cluster;
mod condition;
mod describe;
mod grammar;
mod kafka;
pub mod load;
pub mod mistake;
mod model;
mod pace;
mod row_key;
pub mod schema;
pub mod setting;
mod source;
mod suggest;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::attachment::Compacted;
use crate::decode::events::{FieldError, FieldSet};
use crate::model::field::{Field, FieldType};
use crate::model::key::RowKey;
use crate::model::predicate::Predicate;
use crate::model::schema::{DeleteMode, LayoutError, ModelColumn, RowLayout};
use crate::model::version::VersionRule;

pub use crate::topology::schema::schema;

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
    /// What the tables of the models must look like, by table name.
    pub tables: BTreeMap<String, Table>,
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
    /// Paths of integer fields that events may also write as JSON strings.
    pub quoted_numbers: BTreeSet<String>,
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

/// A read model: one table, fed from one topic.
#[derive(Clone, Debug)]
pub struct Model {
    /// Id of the topic in the file.
    pub topic: String,
    /// Table name.
    pub table: String,
    /// How row keys are made.
    pub key: RowKey,
    /// Where versions come from.
    pub version: VersionRule,
    /// Which events it takes; `None` is all.
    pub when: Option<Predicate>,
    /// Which events delete their row, and how; `None` is none.
    pub delete: Option<DeleteRule>,
    /// The columns, in (family, qualifier) order.
    pub columns: Vec<ModelColumn>,
    /// The fields that key, version, rules and columns read, each once, with their types.
    pub fields: BTreeMap<String, FieldType>,
}

/// Which events delete their row, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteRule {
    /// The events.
    pub when: Predicate,
    /// How.
    pub mode: DeleteMode,
}

/// What a table must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Column families by name.
    pub families: BTreeMap<String, Family>,
    /// First keys of all regions but the first, ascending.
    pub splits: Vec<Vec<u8>>,
}

/// A column family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// How many versions of a cell are kept.
    pub versions: u32,
    /// How blocks are compressed.
    pub compression: Compression,
    /// What the Bloom filters hold.
    pub bloom: Bloom,
    /// How long cells live after the time that their version names, in seconds; `None` is for ever.
    pub ttl_s: Option<u32>,
}

impl Default for Family {
    fn default() -> Self {
        Self { versions: 1, compression: Compression::None, bloom: Bloom::Row, ttl_s: None }
    }
}

/// Block compression, by the names that HBase has for it. A codec must be installed on every region server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gz,
}

impl Compression {
    /// HBase's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Snappy => "SNAPPY",
            Self::Lz4 => "LZ4",
            Self::Zstd => "ZSTD",
            Self::Gz => "GZ",
        }
    }
}

/// What Bloom filters hold, by the names that HBase has for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bloom {
    /// No Bloom filters.
    None,
    /// Row keys.
    #[default]
    Row,
    /// Row keys with columns.
    RowCol,
}

impl Bloom {
    /// HBase's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Row => "ROW",
            Self::RowCol => "ROWCOL",
        }
    }
}

impl Topology {
    /// The fields that are decoded from the events of a topic: those that its models read.
    ///
    /// # Errors
    /// [`FieldError`] if the models disagree about a field; those of a loaded topology do not.
    pub fn fields(&self, topic_id: &str) -> Result<FieldSet, FieldError> {
        let quoted = self.topics.get(topic_id).map(|topic| &topic.quoted_numbers);
        let models = self.models.values().filter(|model| model.topic == topic_id);
        let fields = models.flat_map(|model| &model.fields).map(|(path, data_type)| Field {
            path: path.clone(),
            data_type: *data_type,
            quoted_number: quoted.is_some_and(|quoted| quoted.contains(path)),
        });
        FieldSet::new(fields.collect())
    }
}

impl RowLayout {
    /// The layout of a declared model's rows.
    ///
    /// # Errors
    /// [`LayoutError`]; the models of a loaded topology have none.
    pub fn of(model: &Model) -> Result<Self, LayoutError> {
        let delete = model.delete.as_ref().map_or(DeleteMode::Tombstone, |rule| rule.mode);
        Self::new(&model.table, model.columns.clone(), delete)
    }
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
    /// TLS and authentication.
    pub security: hbase::security::Security,
    /// When the sink leaves the shared read.
    pub pace: Pace,
}

/// When a sink leaves the shared read; what is not said follows from the memory budget of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Bytes of the shared budget that it may hold while others could go on; `None` is half of it.
    pub window_bytes: Option<u64>,
    /// How long it may finish nothing; `None` is a minute.
    pub patience: Option<Duration>,
    /// What happens on compacted topics.
    pub compacted: Compacted,
    /// How much of retention must be left before an alarm; `None` is a quarter of it.
    pub headroom: Option<Duration>,
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

/// The condition that a text says, for tests elsewhere.
#[cfg(test)]
pub(crate) fn parse_condition(text: &str) -> Option<Predicate> {
    condition::parse(text).ok()
}
