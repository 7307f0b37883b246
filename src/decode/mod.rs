//! Records to typed Arrow columns. A bad record becomes a value, never a panic, and leaves no trace in the columns.
//!
//! ```text
//! record ─┬─ payload ─ format ─ envelope ─┐
//!         ├─ key ───── format ────────────┼─▶ a row of slots ─▶ columns, once nothing in it is wrong
//!         └─ headers, offset, timestamp ──┘
//! ```
//! A decoder reads only the fields that the models of its topic want (`layout`). What a schema is needed for is read
//! only once the schema is there: [`Decoder::missing_schemas`] names those that are not.

mod avro;
pub(crate) mod columns;
pub mod elements;
pub mod events;
mod frame;
mod json;
mod layout;
mod plan;
mod protobuf;
mod raw;
pub mod reading;
mod record;
mod row;
pub mod schemas;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::Int64Array;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use self::avro::AvroReader;
pub use self::avro::{AvroError, AvroSchema};
use self::columns::ColumnBuilder;
use self::events::{Events, FieldSet};
use self::json::{JsonReader, Wrapper};
use self::layout::Layout;
pub use self::layout::ReadingError;
use self::protobuf::ProtobufReader;
pub use self::protobuf::{Descriptors, ProtobufError};
use self::reading::{Envelope, Format, NullPayload, Reading};
use self::record::{Outcome, Record};
use self::row::{Row, Scratch};
use self::schemas::{Framed, SchemaId, Schemas};
use crate::model::batch::{BadRecord, RawBatch, Stage};
use crate::model::field::FieldType;

/// Checks that records that are read so have a field of this name and type.
///
/// # Errors
/// [`ReadingError`]
pub fn check_field(reading: &Reading, path: &str, data_type: FieldType) -> Result<(), ReadingError> {
    layout::check(reading, path, data_type)
}

/// Whether a field comes from the record itself and not from its payload: a record whose payload is null has it too.
#[must_use]
pub fn is_of_record(path: &str) -> bool {
    layout::is_of_record(path)
}

/// Decodes the records of one topic, batch by batch.
#[derive(Debug)]
pub struct Decoder {
    fields: FieldSet,
    layout: Layout,
    null_payload: NullPayload,
    framed: Framed,
    schemas: Arc<Schemas>,
    payload: Part,
    structured: Part,
    key: Part,
    record: Scratch,
}

/// One part of a record, and how it is read.
#[derive(Debug)]
struct Part {
    reader: Reader,
    scratch: Scratch,
}

#[derive(Debug)]
enum Reader {
    /// The part has no fields.
    Nothing,
    Json(JsonReader),
    Avro(Box<AvroReader>),
    Protobuf(Box<ProtobufReader>),
}

impl Decoder {
    /// A decoder for these fields of records that are read so, without a schema registry.
    ///
    /// # Errors
    /// [`ReadingError`]
    pub fn new(reading: impl Into<Reading>, fields: FieldSet) -> Result<Self, ReadingError> {
        Self::with_schemas(&reading.into(), fields, Arc::default())
    }

    /// A decoder for these fields of records that are read so, with these schemas.
    ///
    /// # Errors
    /// [`ReadingError`]
    pub fn with_schemas(reading: &Reading, fields: FieldSet, schemas: Arc<Schemas>) -> Result<Self, ReadingError> {
        let layout = Layout::new(reading, &fields)?;
        let wrapper = if reading.envelope == Envelope::Debezium { Wrapper::Connect } else { Wrapper::Never };
        let payload = match reading.format {
            Format::Raw => Reader::Nothing,
            Format::Json => Reader::Json(JsonReader::new(&layout.payload, wrapper)),
            Format::Avro => {
                Reader::Avro(Box::new(AvroReader::new(&layout.payload, &reading.schema, Arc::clone(&schemas))))
            }
            Format::Protobuf => {
                Reader::Protobuf(Box::new(ProtobufReader::new(&layout.payload, &reading.schema, Arc::clone(&schemas))))
            }
        };
        let key = match reading.key_format {
            Format::Json if !layout.key.all().is_empty() => Reader::Json(JsonReader::new(&layout.key, wrapper)),
            Format::Avro if !layout.key.all().is_empty() => {
                let schema = reading::PayloadSchema::Registry;
                Reader::Avro(Box::new(AvroReader::new(&layout.key, &schema, Arc::clone(&schemas))))
            }
            Format::Protobuf if !layout.key.all().is_empty() => {
                let schema = reading::PayloadSchema::Registry;
                Reader::Protobuf(Box::new(ProtobufReader::new(&layout.key, &schema, Arc::clone(&schemas))))
            }
            _ => Reader::Nothing,
        };
        let structured = match (reading.envelope, reading.format) {
            (Envelope::CloudEvents, Format::Json) => Reader::Json(JsonReader::new(&layout.structured, Wrapper::Never)),
            _ => Reader::Nothing,
        };
        let framed = Framed {
            payloads: reading.frames_payloads(),
            keys: reading.frames_keys() && !matches!(key, Reader::Nothing),
        };
        let part = |reader| Part { reader, scratch: Scratch::default() };
        Ok(Self {
            fields,
            null_payload: reading.null_payload,
            framed,
            schemas,
            payload: part(payload),
            structured: part(structured),
            key: part(key),
            record: Scratch::default(),
            layout,
        })
    }

    /// The fields that it decodes.
    #[must_use]
    pub const fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// The names of the headers that batches must carry, by number.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        &self.layout.headers
    }

    /// Which parts of a record begin with the id of a schema that is needed to read it.
    #[must_use]
    pub const fn framed(&self) -> Framed {
        self.framed
    }

    /// The ids of schemas that a batch needs and that are not there yet. Mostly none: then the batch can be decoded.
    #[must_use]
    pub fn missing_schemas(&self, raw: &RawBatch) -> BTreeSet<SchemaId> {
        self.schemas.missing(self.framed, raw)
    }

    /// The events of a batch; records that are none are appended to `bad`.
    ///
    /// # Panics
    /// If a schema of [`Decoder::missing_schemas`] is needed: such a batch must wait, for its records are not bad.
    pub fn decode(&mut self, raw: &RawBatch, bad: &mut Vec<BadRecord>) -> Events {
        let Self { fields, layout, payload, structured, key, record: scratch, null_payload, .. } = self;
        let no_fields = FieldSet::default();
        let mut rows = Record {
            layout,
            null_payload: *null_payload,
            payload: payload.open(&layout.payload),
            structured: structured.open(&layout.structured),
            key: key.open(&layout.key),
            record: Row::with_len(&no_fields, layout.record.len(), scratch),
        };
        let mut building = Building::new(fields, raw.records.len());
        for index in 0..raw.records.len() {
            match rows.read(raw, index) {
                Ok(Outcome::Skipped) => {}
                Ok(Outcome::Event(image)) => {
                    for (slot, column) in building.columns.iter_mut().enumerate() {
                        rows.append(slot, image, column);
                    }
                    building.push(raw, index, image);
                }
                Err(cause) => bad.push(BadRecord { record: index, stage: Stage::Decode, cause }),
            }
        }
        building.finish(fields)
    }
}

/// A part being read.
struct Open<'de, 's> {
    reader: &'s mut Reader,
    row: Row<'de, 's>,
}

impl Part {
    fn open<'de, 's>(&'s mut self, fields: &'s FieldSet) -> Open<'de, 's> {
        Open { reader: &mut self.reader, row: Row::new(fields, &mut self.scratch) }
    }
}

impl<'de> Open<'de, '_> {
    fn read(&mut self, bytes: &'de [u8]) -> Result<(), String> {
        match &mut self.reader {
            Reader::Nothing => Ok(()),
            Reader::Json(json) => json.read(bytes, &mut self.row),
            Reader::Avro(avro) => avro.read(bytes, &mut self.row),
            Reader::Protobuf(protobuf) => protobuf.read(bytes, &mut self.row),
        }
    }
}

/// The events of a batch under construction.
struct Building {
    columns: Vec<ColumnBuilder>,
    records: Vec<u32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    /// One bit an event; only once there is a tombstone.
    tombstones: Option<BooleanBufferBuilder>,
}

impl Building {
    fn new(fields: &FieldSet, capacity: usize) -> Self {
        Self {
            columns: fields.all().iter().map(|field| ColumnBuilder::new(field.data_type, capacity)).collect(),
            records: Vec::with_capacity(capacity),
            offsets: Vec::with_capacity(capacity),
            timestamps: Vec::with_capacity(capacity),
            tombstones: None,
        }
    }

    fn push(&mut self, raw: &RawBatch, index: usize, image: record::Image) {
        let Some(record) = raw.records.get(index) else { return };
        let events = self.records.len();
        if image == record::Image::Tombstone {
            self.tombstones.get_or_insert_with(|| {
                let mut bits = BooleanBufferBuilder::new(raw.records.len());
                bits.append_n(events, false);
                bits
            });
        }
        if let Some(tombstones) = &mut self.tombstones {
            tombstones.append(image == record::Image::Tombstone);
        }
        self.records.push(index as u32);
        self.offsets.push(record.offset.0);
        self.timestamps.push(record.timestamp_ms);
    }

    fn finish(self, fields: &FieldSet) -> Events {
        let (columns, nulls) = self.columns.into_iter().map(ColumnBuilder::finish).unzip();
        Events {
            fields: fields.clone(),
            columns,
            nulls,
            records: self.records,
            offsets: Int64Array::from(self.offsets),
            timestamps: Int64Array::from(self.timestamps),
            tombstones: self.tombstones.map(|mut bits| -> BooleanBuffer { bits.finish() }),
        }
    }
}

#[cfg(test)]
mod tests;
