//! The keys of every section of a topology file. `topology/schema.json` and `topology/README.md` have the same ones.

use crate::attachment::Compacted;
use crate::model::expression::Unfit;
use crate::model::field::FieldType;
use crate::model::key::{Direction, Order};
use crate::model::schema::DeleteMode;
use crate::topology::{Bloom, Compression, Envelope, Format, GroupProtocol, NullPayload};
use hbase::mutation::Durability;
use hbase::security::Protection;

pub(super) const ROOT: &[&str] =
    &["name", "kafka", "topic", "model", "projection", "table", "cluster", "dead_letter", "schema_registry"];
pub(super) const KAFKA: &[&str] = &["brokers", "properties", "group_protocol", "oauth_token"];
pub(super) const TOPIC: &[&str] =
    &["name", "format", "key_format", "envelope", "null_payload", "schema", "start", "start_margin", "quoted_numbers"];
pub(super) const PAYLOAD_SCHEMA: &[&str] = &["file", "message", "reader"];
pub(super) const SCHEMA_REGISTRY: &[&str] = &["urls", "user", "password", "ca"];
pub(super) const MODEL: &[&str] = &["topic", "table", "each", "key", "version", "when", "delete", "columns"];
pub(super) const PROJECTION: &[&str] = &["topic", "table"];
pub(super) const SALT_PART: &[&str] = &["salt", "buckets", "as"];
pub(super) const HASH_PART: &[&str] = &["hash", "bytes", "as"];
pub(super) const COLUMN_PART: &[&str] =
    &["column", "is", "coalesce", "concat", "as", "order", "width", "delimiter", "reverse"];
pub(super) const LITERAL_PART: &[&str] = &["literal"];
pub(super) const COLUMN_VERSION: &[&str] = &["column", "is"];
pub(super) const COALESCE_VERSION: &[&str] = &["coalesce"];
pub(super) const TIME_VERSION: &[&str] = &["time", "sequence", "as"];
pub(super) const KAFKA_VERSION: &[&str] = &["kafka"];
pub(super) const DELETE: &[&str] = &["when", "as"];
pub(super) const COLUMN: &[&str] = &["from", "is", "value", "coalesce", "concat", "as", "unfit"];
pub(super) const ITEM: &[&str] = &["from", "is", "value", "coalesce", "concat"];
pub(super) const TABLE: &[&str] = &["regions", "splits", "family"];
pub(super) const FAMILY: &[&str] = &["versions", "compression", "bloom", "ttl"];
pub(super) const CLUSTER: &[&str] =
    &["hbase", "user", "durability", "tls", "kerberos", "window_bytes", "patience", "compacted", "headroom"];
pub(super) const TLS: &[&str] = &["ca", "certificate", "key", "server_name"];
pub(super) const KERBEROS: &[&str] = &["principals", "client", "protection"];
pub(super) const ZOOKEEPER: &[&str] = &["zookeeper", "znode"];
pub(super) const REGISTRY: &[&str] = &["registry"];
pub(super) const DEAD_LETTER: &[&str] = &["topic", "file", "halt", "budget"];
pub(super) const BUDGET: &[&str] = &["minimum", "share"];

pub(super) const GROUP_PROTOCOLS: &[(&str, GroupProtocol)] =
    &[("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)];
pub(super) const FORMATS: &[(&str, Format)] =
    &[("json", Format::Json), ("avro", Format::Avro), ("protobuf", Format::Protobuf), ("raw", Format::Raw)];
pub(super) const ENVELOPES: &[(&str, Envelope)] =
    &[("none", Envelope::None), ("debezium", Envelope::Debezium), ("cloudevents", Envelope::CloudEvents)];
pub(super) const NULL_PAYLOADS: &[(&str, NullPayload)] =
    &[("delete", NullPayload::Delete), ("skip", NullPayload::Skip), ("bad", NullPayload::Bad)];
pub(super) const ORDERS: &[(&str, Order)] = &[("ascending", Order::Ascending), ("descending", Order::Descending)];
pub(super) const DELETE_MODES: &[(&str, DeleteMode)] =
    &[("tombstone", DeleteMode::Tombstone), ("marker", DeleteMode::Marker)];
pub(super) const UNFITS: &[(&str, Unfit)] = &[("bad", Unfit::Bad), ("null", Unfit::Null)];
pub(super) const COMPRESSIONS: &[(&str, Compression)] = &[
    ("none", Compression::None),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
    ("gz", Compression::Gz),
];
pub(super) const BLOOMS: &[(&str, Bloom)] = &[("none", Bloom::None), ("row", Bloom::Row), ("row_col", Bloom::RowCol)];
pub(super) const DURABILITIES: &[(&str, Durability)] = &[
    ("use_default", Durability::UseDefault),
    ("skip_wal", Durability::SkipWal),
    ("async_wal", Durability::AsyncWal),
    ("sync_wal", Durability::SyncWal),
    ("fsync_wal", Durability::FsyncWal),
];
pub(super) const COMPACTED: &[(&str, Compacted)] = &[("detach", Compacted::Detach), ("wait", Compacted::Wait)];
pub(super) const PROTECTIONS: &[(&str, Protection)] = &[
    ("authentication", Protection::Authentication),
    ("integrity", Protection::Integrity),
    ("privacy", Protection::Privacy),
];
pub(super) const TYPES: &[(&str, FieldType)] = &[
    ("utf8", FieldType::Utf8),
    ("u64", FieldType::U64),
    ("i64", FieldType::I64),
    ("u32", FieldType::U32),
    ("i32", FieldType::I32),
    ("f64", FieldType::F64),
    ("bool", FieldType::Bool),
    ("bytes", FieldType::Bytes),
    ("json", FieldType::Json),
];

impl From<bool> for Direction {
    fn from(reverse: bool) -> Self {
        if reverse { Self::Reverse } else { Self::Forward }
    }
}
