//! Avro data to rows.
//!
//! The schema of the writer is walked once for each id, and a plan is made of it: which values go to which slot, which
//! are skipped. Fields are found by name (evolution by resolution of names): one that a writer does not know is absent,
//! or has the default of the reader's schema if there is one; a reader's schema also knows the older names of a field
//! (`aliases`). The skipped values are checked too, so a datum that is not of its schema is bad as a whole.
//!
//! `arrow-avro` is not used: one bad datum costs it its whole batch, and a union cannot tell absent from null.

mod bound;
mod cursor;
mod render;
mod schema;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::bound::Bound;
pub(super) use self::bound::WHOLE;
pub use self::schema::{AvroError, AvroSchema};
use crate::decode::events::FieldSet;
use crate::decode::frame;
use crate::decode::plan::Node;
use crate::decode::reading::PayloadSchema;
use crate::decode::row::Row;
use crate::decode::schemas::{Registered, SchemaId, Schemas};

/// Reads Avro data of one kind.
#[derive(Debug)]
pub(super) struct AvroReader {
    root: Node,
    reader: Option<Arc<AvroSchema>>,
    schemas: Arc<Schemas>,
    /// The plan of data without ids.
    only: Option<Bound>,
    plans: FxHashMap<SchemaId, Result<Bound, String>>,
}

impl AvroReader {
    pub(super) fn new(fields: &FieldSet, schema: &PayloadSchema, schemas: Arc<Schemas>) -> Self {
        let root = Node::root(fields);
        let (reader, only) = match schema {
            PayloadSchema::Registry | PayloadSchema::Protobuf(..) => (None, None),
            PayloadSchema::RegistryAndReader(_, reader) => (Some(Arc::clone(reader)), None),
            PayloadSchema::Avro(_, schema) => (None, Some(Bound::new(Arc::clone(schema), &root, None))),
        };
        Self { root, reader, schemas, only, plans: FxHashMap::default() }
    }

    pub(super) fn read<'de>(&mut self, payload: &'de [u8], row: &mut Row<'de, '_>) -> Result<(), String> {
        if let Some(only) = &self.only {
            return only.read(payload, row).map_err(|cause| cause.of("the topic's Avro schema"));
        }
        let Some((id, datum)) = frame::split(payload) else { return Err(frame::fault(payload)) };
        let Self { root, reader, schemas, plans, .. } = self;
        let plan = plans.entry(id).or_insert_with(|| match schemas.get(id) {
            Some(Registered::Avro(schema)) => Ok(Bound::new(schema, root, reader.as_deref())),
            Some(other) => Err(format!("schema {id} of the registry cannot be used: {}", other.kind())),
            None => panic!("a batch was decoded before its schema {id} was there; ask missing_schemas first"),
        });
        match plan {
            Ok(plan) => plan.read(datum, row).map_err(|cause| cause.of(&format!("Avro schema {id}"))),
            Err(cause) => Err(cause.clone()),
        }
    }
}
