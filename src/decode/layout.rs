//! Where each field of a topic's events comes from: the payload, the record's key, its headers, the record itself.
//!
//! Names that begin with `$` stand for what is not the row or the data of an event; which there are depends on how the
//! topic is read ([`Reading`]). All other names are those of the row (Debezium), the data (`CloudEvents`), or the
//! payload.

use crate::decode::avro::WHOLE;
use crate::decode::events::{FieldError, FieldSet};
use crate::decode::raw::Written;
use crate::decode::reading::{Envelope, Format, Reading};
use crate::model::each::INDEX_FIELD;
use crate::model::field::{Field, FieldType};

/// The operation of a Debezium event.
const OP: &str = "op";
/// What every structured `CloudEvent` has.
const SPEC_VERSION: &str = "specversion";
/// Data of a structured `CloudEvent` that is no JSON.
const DATA_BASE64: &str = "data_base64";

/// Why fields cannot be read from the records of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    /// There is no such name.
    #[error("`{field}` is none of what records of this topic have")]
    Unknown {
        /// The field.
        field: String,
        /// What there is.
        known: String,
    },
    /// It has other types.
    #[error("`{field}` is read as {data_type}, but it is {allowed}")]
    Type {
        /// The field.
        field: String,
        /// The type asked for.
        data_type: FieldType,
        /// What it can be.
        allowed: &'static str,
    },
    /// Two fields cannot be read together.
    #[error(transparent)]
    Fields(#[from] FieldError),
}

/// Where the value of a field comes from; numbers are slots of the part named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Payload(usize),
    /// Of a Debezium event: the row after the change, or before it if the change deletes the row.
    Image {
        after: usize,
        before: usize,
    },
    Key(usize),
    Record(usize),
    /// Of a `CloudEvent`: its data.
    Data {
        binary: usize,
        structured: usize,
    },
    /// Of a `CloudEvent`: an attribute, in a header or in the payload.
    Attribute {
        record: usize,
        structured: usize,
    },
}

/// A value that a record has beside the fields of its payload and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordField {
    /// As the topology names it.
    pub(super) path: String,
    pub(super) data_type: FieldType,
    pub(super) source: RecordSource,
    pub(super) written: Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordSource {
    Key,
    Payload,
    /// By its place among the carried ones.
    Header(usize),
    Offset,
    Timestamp,
    Partition,
    Topic,
}

/// The fields of every part, and where each field of the events comes from.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// By slot of the events' fields.
    pub(super) origins: Vec<Origin>,
    /// Fields of the payload.
    pub(super) payload: FieldSet,
    /// Fields of a structured `CloudEvent`.
    pub(super) structured: FieldSet,
    /// Fields of the key.
    pub(super) key: FieldSet,
    pub(super) record: Vec<RecordField>,
    /// Names of the headers that must be carried.
    pub(super) headers: Vec<String>,
    pub(super) envelope: Envelope,
    /// The slot of `op` in the payload, for Debezium.
    pub(super) op: Option<usize>,
    /// Headers and slots that tell a `CloudEvent`.
    pub(super) cloud_event: Option<CloudEvent>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CloudEvent {
    pub(super) content_type: usize,
    pub(super) spec_version: usize,
    pub(super) structured_version: usize,
    pub(super) data_base64: usize,
}

/// Where a name leads.
enum Place<'a> {
    Payload(&'a str),
    Image(&'a str),
    Data(&'a str),
    Key(&'a str),
    Attribute(&'a str),
    Header(&'a str),
    Record(RecordSource),
}

impl Layout {
    /// The layout for these fields.
    pub(super) fn new(reading: &Reading, fields: &FieldSet) -> Result<Self, ReadingError> {
        let mut draft = Draft::default();
        for field in fields.all() {
            draft.add(place(reading, &field.path)?, field)?;
        }
        match reading.envelope {
            Envelope::None => {}
            Envelope::Debezium => draft.payload.push(named(OP, FieldType::Utf8)),
            Envelope::CloudEvents => {
                draft.structured.push(named(SPEC_VERSION, FieldType::Utf8));
                draft.structured.push(named(DATA_BASE64, FieldType::Json));
            }
        }
        draft.finish(reading, fields)
    }
}

fn named(path: &str, data_type: FieldType) -> Field {
    Field { path: path.to_owned(), data_type, quoted_number: false }
}

/// Checks one field by itself.
pub(super) fn check(reading: &Reading, path: &str, data_type: FieldType) -> Result<(), ReadingError> {
    let field = Field { path: path.to_owned(), data_type, quoted_number: false };
    Draft::default().add(place(reading, path)?, &field)
}

/// Whether a field comes from the record itself, so that a record without a payload has it too.
pub(super) fn is_of_record(path: &str) -> bool {
    let name = path.strip_prefix('$').map(|special| special.split_once('.').map_or(special, |(name, _)| name));
    matches!(name, Some("key" | "header" | "offset" | "timestamp" | "partition" | "topic"))
}

fn place<'a>(reading: &Reading, path: &'a str) -> Result<Place<'a>, ReadingError> {
    // Elements of arrays are decoded as JSON objects that carry their number.
    let special = path.strip_prefix('$').filter(|_| path != INDEX_FIELD);
    let Some(special) = special else {
        return match (reading.envelope, reading.format) {
            (_, Format::Raw) => Err(unknown(reading, path)),
            (Envelope::None, _) => Ok(Place::Payload(path)),
            (Envelope::Debezium, _) => Ok(Place::Image(path)),
            (Envelope::CloudEvents, _) => Ok(Place::Data(path)),
        };
    };
    let (name, rest) = special.split_once('.').map_or((special, None), |(name, rest)| (name, Some(rest)));
    let raw_key = reading.key_format == Format::Raw;
    Ok(match (name, rest, reading.envelope) {
        ("key", None, _) if raw_key => Place::Record(RecordSource::Key),
        ("key", Some(within), _) if !raw_key => Place::Key(within),
        // An Avro key is often no record but a text or a number.
        ("key", None, _) if reading.key_format == Format::Avro => Place::Key(WHOLE),
        ("value", None, _) => Place::Record(RecordSource::Payload),
        ("header", Some(header), _) if !header.contains('\0') => Place::Header(header),
        ("offset", None, _) => Place::Record(RecordSource::Offset),
        ("timestamp", None, _) => Place::Record(RecordSource::Timestamp),
        ("partition", None, _) => Place::Record(RecordSource::Partition),
        ("topic", None, _) => Place::Record(RecordSource::Topic),
        ("op" | "ts_ms" | "ts_us" | "ts_ns", None, Envelope::Debezium)
        | ("before" | "after" | "source" | "transaction", Some(_), Envelope::Debezium) => Place::Payload(special),
        ("ce", Some(attribute), Envelope::CloudEvents) if !attribute.contains('\0') => Place::Attribute(attribute),
        _ => return Err(unknown(reading, path)),
    })
}

fn unknown(reading: &Reading, field: &str) -> ReadingError {
    let key = match reading.key_format {
        Format::Raw => "`$key`",
        Format::Avro => "`$key` or `$key.NAME`",
        Format::Json | Format::Protobuf => "`$key.NAME`",
    };
    let envelope = match reading.envelope {
        Envelope::None => "",
        Envelope::Debezium => {
            ", `$op`, `$before.NAME`, `$after.NAME`, `$source.NAME`, `$transaction.NAME`, `$ts_ms`, `$ts_us`, `$ts_ns`"
        }
        Envelope::CloudEvents => ", `$ce.NAME`",
    };
    let fields = if reading.format == Format::Raw { "" } else { " and the fields of the payload" };
    let known = format!(
        "there are {key}, `$value`, `$header.NAME`, `$offset`, `$timestamp`, `$partition`, `$topic`{envelope}{fields}"
    );
    ReadingError::Unknown { field: field.to_owned(), known }
}

/// The fields of every part, before they have slots.
#[derive(Default)]
struct Draft {
    payload: Vec<Field>,
    structured: Vec<Field>,
    key: Vec<Field>,
    record: Vec<RecordField>,
    headers: Vec<String>,
}

impl Draft {
    fn add(&mut self, place: Place<'_>, field: &Field) -> Result<(), ReadingError> {
        let within = |path: String| Field { path, ..field.clone() };
        match place {
            Place::Payload(path) => self.payload.push(within(path.to_owned())),
            Place::Image(path) => {
                self.payload.extend([within(format!("after.{path}")), within(format!("before.{path}"))]);
            }
            Place::Data(path) => {
                self.payload.push(within(path.to_owned()));
                self.structured.push(within(format!("data.{path}")));
            }
            Place::Key(path) => self.key.push(within(path.to_owned())),
            Place::Attribute(name) => {
                self.structured.push(within(name.to_owned()));
                let header = self.header(&format!("ce_{name}"));
                self.record_field(field, RecordSource::Header(header), Written::Text);
            }
            Place::Header(name) => {
                let header = self.header(name);
                self.record_field(field, RecordSource::Header(header), written(field));
            }
            Place::Record(source) => {
                check_type(source, field)?;
                self.record_field(field, source, written(field));
            }
        }
        Ok(())
    }

    fn record_field(&mut self, field: &Field, source: RecordSource, written: Written) {
        self.record.push(RecordField { path: field.path.clone(), data_type: field.data_type, source, written });
    }

    fn header(&mut self, name: &str) -> usize {
        let known = self.headers.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.headers.push(name.to_owned());
            self.headers.len() - 1
        })
    }

    fn finish(mut self, reading: &Reading, fields: &FieldSet) -> Result<Layout, ReadingError> {
        let cloud_headers = match reading.envelope {
            Envelope::CloudEvents => Some((self.header("content-type"), self.header("ce_specversion"))),
            Envelope::None | Envelope::Debezium => None,
        };
        let payload = FieldSet::new(self.payload)?;
        let structured = FieldSet::new(self.structured)?;
        let key = FieldSet::new(self.key)?;
        let slot = |set: &FieldSet, path: &str| set.slot(path).unwrap_or(usize::MAX);
        let mut origins = Vec::with_capacity(fields.all().len());
        for field in fields.all() {
            let record = || self.record.iter().position(|one| one.path == field.path).unwrap_or(usize::MAX);
            origins.push(match place(reading, &field.path)? {
                Place::Payload(path) => Origin::Payload(slot(&payload, path)),
                Place::Image(path) => Origin::Image {
                    after: slot(&payload, &format!("after.{path}")),
                    before: slot(&payload, &format!("before.{path}")),
                },
                Place::Data(path) => Origin::Data {
                    binary: slot(&payload, path),
                    structured: slot(&structured, &format!("data.{path}")),
                },
                Place::Key(path) => Origin::Key(slot(&key, path)),
                Place::Attribute(name) => Origin::Attribute { record: record(), structured: slot(&structured, name) },
                Place::Header(_) | Place::Record(_) => Origin::Record(record()),
            });
        }
        let cloud_event = cloud_headers.map(|(content_type, spec_version)| CloudEvent {
            content_type,
            spec_version,
            structured_version: slot(&structured, SPEC_VERSION),
            data_base64: slot(&structured, DATA_BASE64),
        });
        Ok(Layout {
            origins,
            op: (reading.envelope == Envelope::Debezium).then(|| slot(&payload, OP)),
            payload,
            structured,
            key,
            record: self.record,
            headers: self.headers,
            envelope: reading.envelope,
            cloud_event,
        })
    }
}

/// `quoted_numbers` of a topic makes numbers of keys and headers texts.
const fn written(field: &Field) -> Written {
    if field.quoted_number { Written::Text } else { Written::Binary }
}

fn check_type(source: RecordSource, field: &Field) -> Result<(), ReadingError> {
    let (fits, allowed) = match source {
        RecordSource::Key | RecordSource::Payload | RecordSource::Header(_) => (true, ""),
        RecordSource::Offset | RecordSource::Timestamp => {
            (matches!(field.data_type, FieldType::U64 | FieldType::I64), "i64 or u64")
        }
        RecordSource::Partition => (field.data_type.is_integer(), "i32, u32, i64 or u64"),
        RecordSource::Topic => (field.data_type == FieldType::Utf8, "utf8"),
    };
    if fits {
        return Ok(());
    }
    Err(ReadingError::Type { field: field.path.clone(), data_type: field.data_type, allowed })
}
