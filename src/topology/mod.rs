//! What exists: topics, read models and clusters, as values.

pub mod cases;
mod cluster;
mod condition;
mod describe;
mod expression;
mod fit;
mod format;
mod grammar;
mod kafka;
mod kafka_security;
pub mod load;
pub mod mistake;
mod model;
mod pace;
mod row_key;
pub mod schema;
mod schema_registry;
pub mod setting;
mod source;
mod suggest;
mod table;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::attachment::Compacted;
use crate::decode::events::{FieldError, FieldSet};
use crate::model::each::Each;
use crate::model::expression::Expression;
use crate::model::field::{Field, FieldType};
use crate::model::key::RowKey;
use crate::model::predicate::Predicate;
use crate::model::schema::{DeleteMode, LayoutError, ModelColumn, RowLayout};
use crate::model::version::VersionRule;

pub use crate::decode::reading::{Envelope, Format, NullPayload, PayloadSchema, Reading};
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
    /// Read models that a program's own projections make, by the name that the program has for them.
    pub projections: BTreeMap<String, OwnProjection>,
    /// Clusters by name; each is one sink.
    pub clusters: BTreeMap<String, Cluster>,
    /// What the tables of the models must look like, by table name.
    pub tables: BTreeMap<String, Table>,
    /// Where bad events go.
    pub dead_letter: DeadLetter,
    /// Where schemas are found, if a topic needs any.
    pub schema_registry: Option<SchemaRegistry>,
}

/// How to reach Kafka.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `host:port` of the bootstrap brokers.
    pub brokers: Vec<String>,
    /// Further librdkafka properties; secrets stay references until a client is made.
    pub properties: BTreeMap<String, Setting>,
    /// How members of the group agree on their shares.
    pub group_protocol: GroupProtocol,
    /// Where tokens for SASL OAUTHBEARER come from.
    pub oauth_token: Option<TokenSource>,
}

/// How members of a group agree on who reads what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members assign, cooperatively and stickily; every broker knows it.
    #[default]
    Classic,
    /// KIP-848: the broker assigns; Kafka 4.0 and later.
    Consumer,
}

impl GroupProtocol {
    /// librdkafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// Where a token comes from; read anew whenever one is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `file:PATH` or `env:NAME`.
    Setting(Setting),
    /// A program with its arguments that prints a token.
    Command(Vec<String>),
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
    /// How record keys are read.
    pub key_format: Format,
    /// What is around the data of an event.
    pub envelope: Envelope,
    /// What a null payload means; `None` follows from the rest, see [`Topology::reading`].
    pub null_payload: Option<NullPayload>,
    /// Where the schemas of payloads come from.
    pub schema: PayloadSchema,
    /// Where a sink without committed offsets starts; `None` means it refuses to start.
    pub start: Option<Start>,
    /// How much earlier than a time of `start` is read, because records do not come in the order of their times.
    pub start_margin: Duration,
    /// Paths of integer fields that events may also write as JSON strings.
    pub quoted_numbers: BTreeSet<String>,
}

/// A Confluent-compatible schema registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRegistry {
    /// Its addresses, `http://` or `https://`; each is asked until one answers.
    pub urls: Vec<String>,
    /// The user of basic authentication.
    pub user: Option<Setting>,
    /// The user's password.
    pub password: Option<Setting>,
    /// Certificates of the authorities that its certificate must lead to.
    pub ca: Option<PathBuf>,
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
    /// The array of which each element is a row; `None` is one row an event.
    pub each: Option<Each>,
    /// The columns, in (family, qualifier) order.
    pub columns: Vec<ModelColumn>,
    /// What is made of fields, by the name that key, version and columns have for it.
    pub computed: BTreeMap<String, Expression>,
    /// The fields that key, version, rules and columns read, each once, with their types.
    pub fields: BTreeMap<String, FieldType>,
}

/// A read model that a program's own projection makes (see [`crate::project::Projections`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnProjection {
    /// Id of the topic in the file.
    pub topic: String,
    /// Table name.
    pub table: String,
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
    /// How the records of a topic are read. If the topic does not say what a null payload means, it is the deletion of
    /// the row that the record's key names if the rows of all of the topic's models can be found by it; with Debezium,
    /// whose deletions have an event of their own, it means nothing; else it is a bad record.
    #[must_use]
    pub fn reading(&self, topic_id: &str) -> Option<Reading> {
        let topic = self.topics.get(topic_id)?;
        let mut models = self.models.values().filter(|model| model.topic == topic_id).peekable();
        let implied = match topic.envelope {
            Envelope::Debezium => NullPayload::Skip,
            Envelope::None | Envelope::CloudEvents => {
                let has_models = models.peek().is_some();
                let by_record = has_models && models.all(|model| format::field_of_payload(model).is_none());
                if by_record { NullPayload::Delete } else { NullPayload::Bad }
            }
        };
        Some(topic.reading(topic.null_payload.unwrap_or(implied)))
    }

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
