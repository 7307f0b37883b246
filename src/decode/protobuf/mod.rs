//! Protobuf messages to rows: the bytes are walked once, and only wanted fields are read. Descriptors come from the
//! registry as `.proto` text, or from a descriptor set in a file.
//!
//! # Absent fields
//! A field without presence (proto3 without `optional`, no member of a oneof) is its default when the bytes do not have
//! it, and a default is a value; so are the empty list and the empty map of a repeated field that is read as `json`. A
//! field with presence is absent. Nothing is ever null. Fields within a message that is absent are absent.

mod bound;
mod descriptors;
mod plain;
mod render;
mod wire;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::bound::Bound;
pub use self::descriptors::{Descriptors, ProtobufError};
use crate::decode::events::FieldSet;
use crate::decode::frame;
use crate::decode::plan::Node;
use crate::decode::reading::PayloadSchema;
use crate::decode::row::Row;
use crate::decode::schemas::{Registered, SchemaId, Schemas};

/// Reads Protobuf messages of one kind.
#[derive(Debug)]
pub(super) struct ProtobufReader {
    root: Node,
    schemas: Arc<Schemas>,
    /// The plan of messages without ids.
    only: Option<Result<Bound, String>>,
    /// Plans by id; a file has few messages that are sent.
    plans: FxHashMap<SchemaId, Plans>,
}

/// Plans by the place of their message within the file.
type Plans = Vec<(Box<[usize]>, Bound)>;

impl ProtobufReader {
    pub(super) fn new(fields: &FieldSet, schema: &PayloadSchema, schemas: Arc<Schemas>) -> Self {
        let root = Node::root(fields);
        let only = match schema {
            PayloadSchema::Protobuf(_, all, name) => Some(match all.named(name) {
                Some(id) => Ok(Bound::new(Arc::clone(all), id, &root)),
                None => Err(format!("the topic's descriptor set has no message {name}")),
            }),
            PayloadSchema::Registry | PayloadSchema::RegistryAndReader(..) | PayloadSchema::Avro(..) => None,
        };
        Self { root, schemas, only, plans: FxHashMap::default() }
    }

    pub(super) fn read<'de>(&mut self, payload: &'de [u8], row: &mut Row<'de, '_>) -> Result<(), String> {
        if let Some(only) = &self.only {
            let only = only.as_ref().map_err(Clone::clone)?;
            return only.read(payload, row).map_err(|fault| fault.of("the topic's descriptor set"));
        }
        let Some((id, framed)) = frame::split(payload) else { return Err(frame::fault(payload)) };
        let of = |what: &str| format!("the payload is not a message of Protobuf schema {id}: {what}");
        let (indexes, message) = wire::indexes(framed).map_err(of)?;
        let plans = self.plans.entry(id).or_default();
        let plan = match plans.iter().position(|(known, _)| **known == *indexes.as_slice()) {
            Some(at) => plans.get(at),
            None => {
                let bound = bind(&self.schemas, id, indexes.as_slice(), &self.root)?;
                plans.push((indexes.as_slice().into(), bound));
                plans.last()
            }
        };
        let Some((_, plan)) = plan else { return Ok(()) };
        plan.read(message, row).map_err(|fault| fault.of(&format!("Protobuf schema {id}")))
    }
}

fn bind(schemas: &Schemas, id: SchemaId, indexes: &[usize], root: &Node) -> Result<Bound, String> {
    match schemas.get(id) {
        Some(Registered::Protobuf(all)) => match all.at(indexes) {
            Some(message) => Ok(Bound::new(all, message, root)),
            None => Err(format!("the payload is of a message that schema {id} of the registry does not have")),
        },
        Some(other) => Err(format!("schema {id} of the registry cannot be used: {}", other.kind())),
        None => panic!("a batch was decoded before its schema {id} was there; ask missing_schemas first"),
    }
}
