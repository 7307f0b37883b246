//! How the records of a topic are read, as values: formats of payload and key, the envelope, what a null payload means.

use std::path::PathBuf;
use std::sync::Arc;

use crate::decode::avro::AvroSchema;
use crate::decode::protobuf::Descriptors;

/// Formats of payloads and of record keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a record.
    #[default]
    Json,
    /// One Avro datum a record.
    Avro,
    /// One Protobuf message a record.
    Protobuf,
    /// Bytes that mean nothing to us but as a whole.
    Raw,
}

impl Format {
    /// The name used in topology files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
            Self::Raw => "raw",
        }
    }

    /// Whether its bytes cannot be read without a schema.
    #[must_use]
    pub const fn needs_schema(self) -> bool {
        matches!(self, Self::Avro | Self::Protobuf)
    }
}

/// What is around the row or the data of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing.
    #[default]
    None,
    /// Debezium's: `before`, `after`, `op`, `source`.
    Debezium,
    /// `CloudEvents` 1.0, in the binary or the structured mode of its Kafka binding.
    CloudEvents,
}

impl Envelope {
    /// The name used in topology files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Debezium => "debezium",
            Self::CloudEvents => "cloudevents",
        }
    }
}

/// What a record with a null payload (a log-compaction tombstone) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullPayload {
    /// The deletion of the row that the record's key names.
    Delete,
    /// Nothing: it is counted as filtered.
    Skip,
    /// A bad record.
    #[default]
    Bad,
}

impl NullPayload {
    /// The name used in topology files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Skip => "skip",
            Self::Bad => "bad",
        }
    }
}

/// Where the schemas of payloads come from.
#[derive(Clone, Debug, Default)]
pub enum PayloadSchema {
    /// Every payload begins with the id of its schema in the registry. For Avro, a reader's schema may say under which
    /// older names fields are found and what they are where a writer does not know them.
    #[default]
    Registry,
    /// As [`PayloadSchema::Registry`], with a reader's schema.
    RegistryAndReader(PathBuf, Arc<AvroSchema>),
    /// All payloads are data of this schema, without an id before them.
    Avro(PathBuf, Arc<AvroSchema>),
    /// All payloads are this message, without an id before them.
    Protobuf(PathBuf, Arc<Descriptors>, String),
}

impl PayloadSchema {
    /// Whether payloads begin with the id of their schema.
    #[must_use]
    pub const fn is_framed(&self) -> bool {
        matches!(self, Self::Registry | Self::RegistryAndReader(..))
    }
}

/// How the records of a topic are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Format of payloads.
    pub format: Format,
    /// Format of record keys.
    pub key_format: Format,
    /// What is around the data.
    pub envelope: Envelope,
    /// What a null payload means.
    pub null_payload: NullPayload,
    /// Where the schemas of payloads come from, if the format has any. Those of keys come from the registry.
    pub schema: PayloadSchema,
}

impl Reading {
    /// Whether payloads begin with the id of a schema in the registry.
    #[must_use]
    pub const fn frames_payloads(&self) -> bool {
        self.format.needs_schema() && self.schema.is_framed()
    }

    /// Whether keys begin with the id of a schema in the registry.
    #[must_use]
    pub const fn frames_keys(&self) -> bool {
        self.key_format.needs_schema()
    }
}

impl From<Format> for Reading {
    /// Payloads in this format, keys as they are, no envelope; null payloads are bad.
    fn from(format: Format) -> Self {
        Self {
            format,
            key_format: Format::Raw,
            envelope: Envelope::None,
            null_payload: NullPayload::Bad,
            schema: PayloadSchema::Registry,
        }
    }
}
