//! The schemas of a registry that are here, by id. An id means the same for ever, so they are never forgotten and
//! decoding stays a function of its input: a batch is decoded once all of its schemas are here, however long that takes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::decode::avro::AvroSchema;
use crate::decode::frame;
use crate::decode::protobuf::Descriptors;
use crate::model::batch::RawBatch;

/// Text of all schemas together. A registry that has more than this for one process is not one of schemas.
const BYTES_MAX: usize = 256 << 20;

/// What a schema holds beside its text, for the bound.
const ENTRY_BYTES: usize = 4096;

/// The id of a schema in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the registry has under an id.
#[derive(Clone, Debug)]
pub enum Registered {
    /// An Avro schema.
    Avro(Arc<AvroSchema>),
    /// A Protobuf file with all that it imports.
    Protobuf(Arc<Descriptors>),
    /// Nothing that can be read, and why: payloads with this id are bad.
    Unusable(String),
}

/// A schema as the registry tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaText {
    /// `AVRO`, `PROTOBUF`, `JSON`; Avro if it does not say.
    pub kind: Option<String>,
    /// The schema.
    pub text: String,
    /// The schemas that it refers to, each behind those that it refers to itself: the name by which it is known, and its
    /// text.
    pub references: Vec<(String, String)>,
}

impl Registered {
    /// What a schema's text says.
    #[must_use]
    pub fn parse(schema: &SchemaText) -> Self {
        match schema.kind.as_deref() {
            None | Some("AVRO") => {
                let references: Vec<&str> = schema.references.iter().map(|(_, text)| text.as_str()).collect();
                match AvroSchema::parse(&schema.text, &references) {
                    Ok(schema) => Self::Avro(Arc::new(schema)),
                    Err(error) => Self::Unusable(error.to_string()),
                }
            }
            Some("PROTOBUF") => match Descriptors::parse(&schema.text, &schema.references) {
                Ok(descriptors) => Self::Protobuf(Arc::new(descriptors)),
                Err(error) => Self::Unusable(error.to_string()),
            },
            Some(other) => Self::Unusable(format!("it is a schema of type {other}, which is not read")),
        }
    }

    /// What it is, for causes.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Avro(_) => "it is an Avro schema",
            Self::Protobuf(_) => "it is a Protobuf schema",
            Self::Unusable(why) => why,
        }
    }
}

/// Which parts of a record begin with the id of a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// Payloads.
    pub payloads: bool,
    /// Keys.
    pub keys: bool,
}

impl Framed {
    /// Whether any does.
    #[must_use]
    pub const fn any(self) -> bool {
        self.payloads || self.keys
    }
}

/// The schemas that are here.
#[derive(Debug, Default)]
pub struct Schemas {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: FxHashMap<SchemaId, Registered>,
    bytes: usize,
}

/// There is no room for one more schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keep a schema of {bytes} bytes: all of them together would have more than {BYTES_MAX}")]
pub struct SchemasFull {
    /// Its size.
    pub bytes: usize,
}

impl Schemas {
    /// The schema with this id.
    #[must_use]
    pub fn get(&self, id: SchemaId) -> Option<Registered> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// Keeps a schema. What an id means does not change: what was there first stays.
    ///
    /// # Errors
    /// [`SchemasFull`]
    pub fn insert(&self, id: SchemaId, schema: &SchemaText) -> Result<(), SchemasFull> {
        let references: usize = schema.references.iter().map(|(name, text)| name.len() + text.len()).sum();
        let bytes = ENTRY_BYTES + schema.text.len() + references;
        let parsed = Registered::parse(schema);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.by_id.contains_key(&id) {
            return Ok(());
        }
        if known.bytes + bytes > BYTES_MAX {
            return Err(SchemasFull { bytes });
        }
        known.bytes += bytes;
        known.by_id.insert(id, parsed);
        Ok(())
    }

    /// The ids that records of a batch begin with and that are not here.
    #[must_use]
    pub fn missing(&self, framed: Framed, raw: &RawBatch) -> BTreeSet<SchemaId> {
        let mut missing = BTreeSet::new();
        if !framed.any() {
            return missing;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // Records of one id come in runs.
        let mut last = None;
        let mut look = |bytes: Option<&[u8]>| {
            if let Some((id, _)) = bytes.and_then(frame::split)
                && last != Some(id)
            {
                last = Some(id);
                if !known.by_id.contains_key(&id) {
                    missing.insert(id);
                }
            }
        };
        for record in &raw.records {
            if framed.payloads {
                look(raw.payload(record));
            }
            if framed.keys {
                look(raw.key(record));
            }
        }
        missing
    }
}
