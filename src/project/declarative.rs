//! The read models that a topology declares, as projections.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt8Array, UInt32Array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_select::take::take;
use hbase::cell::ROW_BYTES_MAX;

use crate::decode::events::{Events, FieldError, FieldSet};
use crate::decode::is_of_record;
use crate::model::each::Each;
use crate::model::key::KeyPart;
use crate::model::rows::Rows;
use crate::model::schema::{LayoutError, Op, RowLayout};
use crate::model::value::{TypedColumn, Value};
use crate::model::version::{self, VersionError, VersionRule};
use crate::project::computed::Computed;
use crate::project::condition::{Condition, TRUE};
use crate::project::explode::{Explode, Exploded};
use crate::project::{BindError, Projection, Report};
use crate::topology::Model;

/// A declared read model, bound to the fields of its topic.
#[derive(Debug)]
pub struct Declarative {
    name: String,
    layout: RowLayout,
    when: Option<Condition>,
    /// The same over the events before they are exploded, if it reads nothing of elements.
    event_when: Option<Condition>,
    /// Whether the condition is about the record itself, so that it applies to records without a payload too.
    when_is_of_record: bool,
    delete_when: Option<Condition>,
    key: Vec<BoundPart>,
    version: BoundVersion,
    /// The array of which each element is a row.
    each: Option<Explode>,
    /// What is made of fields; a model without expressions has none.
    computed: Option<Computed>,
    /// Slots of the columns, in the order of the layout.
    columns: Vec<usize>,
    scratch: Scratch,
}

/// Why a model is no projection.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// A field that it needs is not decoded.
    #[error("bind model `{model}`: field `{field}` is not decoded")]
    UnknownField {
        /// Id of the model.
        model: String,
        /// Path of the field.
        field: String,
    },
    /// Its expressions do not fit its fields.
    #[error("bind model `{model}`")]
    Fields {
        /// Id of the model.
        model: String,
        /// Why.
        #[source]
        source: FieldError,
    },
    /// Its columns are no layout.
    #[error("bind model `{model}`")]
    Layout {
        /// Id of the model.
        model: String,
        /// Why.
        #[source]
        source: LayoutError,
    },
}

#[derive(Debug)]
struct BoundPart {
    part: KeyPart,
    /// The field it is made of; a literal has none.
    slot: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum BoundVersion {
    Column(usize),
    TimeSequence { time: usize, sequence: usize },
    KafkaOffset,
    KafkaTimestamp,
}

/// Buffers that are reused for every batch.
#[derive(Debug, Default)]
struct Scratch {
    key: Vec<u8>,
}

/// Why an event has no row: the field and what is wrong with it.
struct Fault<'a> {
    field: &'a str,
    what: String,
    needed_by: &'static str,
}

impl Declarative {
    /// The model with this id, over these fields.
    ///
    /// # Errors
    /// [`ProjectionError`]
    pub fn new(name: &str, model: &Model, fields: &FieldSet) -> Result<Self, ProjectionError> {
        let unknown = |field: String| ProjectionError::UnknownField { model: name.to_owned(), field };
        let not_bound = |error| match error {
            BindError::Unknown(field) => unknown(field),
            BindError::Fields(source) => ProjectionError::Fields { model: name.to_owned(), source },
        };
        let each = model
            .each
            .as_ref()
            .map(|each| Explode::bind(each, &model.fields, fields))
            .transpose()
            .map_err(not_bound)?;
        let event_when = model.each.as_ref().zip(model.when.as_ref()).and_then(|(each, when)| {
            let of_event = when.fields().keys().all(|field| !Each::is_of_element(&each.path, field));
            of_event.then(|| Condition::bind(when, fields)).and_then(Result::ok)
        });
        let fields = each.as_ref().map_or(fields, Explode::fields);
        let computed = match model.computed.is_empty() {
            true => None,
            false => Some(Computed::bind(model.computed.iter(), fields).map_err(not_bound)?),
        };
        let fields = computed.as_ref().map_or(fields, Computed::fields);
        let slot = |path: &str| fields.slot(path).ok_or_else(|| unknown(path.to_owned()));
        let layout =
            RowLayout::of(model).map_err(|source| ProjectionError::Layout { model: name.to_owned(), source })?;
        let bind = |predicate| Condition::bind(predicate, fields).map_err(unknown);
        let mut key = Vec::with_capacity(model.key.parts.len());
        for part in &model.key.parts {
            let slot = part.field().map(|(path, _)| slot(path)).transpose()?;
            key.push(BoundPart { part: part.clone(), slot });
        }
        let version = match &model.version {
            VersionRule::Column { field } | VersionRule::Time { field } => BoundVersion::Column(slot(field)?),
            VersionRule::TimeSequence { time, sequence } => {
                BoundVersion::TimeSequence { time: slot(time)?, sequence: slot(sequence)? }
            }
            VersionRule::KafkaOffset => BoundVersion::KafkaOffset,
            VersionRule::KafkaTimestamp => BoundVersion::KafkaTimestamp,
        };
        let columns = layout.columns().iter().map(|column| slot(&column.from)).collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            when: model.when.as_ref().map(bind).transpose()?,
            when_is_of_record: model
                .when
                .as_ref()
                .is_some_and(|when| when.fields().iter().all(|(path, _)| is_of_record(path))),
            delete_when: model.delete.as_ref().map(|rule| bind(&rule.when)).transpose()?,
            layout,
            key,
            version,
            columns,
            event_when,
            each,
            computed,
            scratch: Scratch::default(),
        })
    }
}

impl Projection for Declarative {
    fn layout(&self) -> &RowLayout {
        &self.layout
    }

    fn project(&mut self, events: &Events, report: &mut Report) -> Rows {
        let event_wanted = self.event_when.as_ref().map(|condition| condition.evaluate(events));
        let exploded = self.each.as_mut().map(|each| each.explode(events, event_wanted.as_deref()));
        let source = events;
        if let Some(Exploded { bad, .. }) = &exploded {
            for (event, cause) in bad {
                report.reject(source, *event, format!("model `{}`: {cause}", self.name));
            }
        }
        // The event that a row comes from: rows are the events themselves unless they were exploded.
        let origin = exploded.as_ref().map(|exploded| exploded.origin.as_slice());
        let origin = |row: usize| origin.map_or(row, |events| events.get(row).map_or(row, |event| *event as usize));
        let events = exploded.as_ref().map_or(events, |exploded| &exploded.events);
        let extended = self.computed.as_mut().map(|computed| computed.extend(events));
        let (events, faults) = extended.as_ref().map_or((events, &[][..]), |(events, faults)| (events, faults));
        let mut faults = faults.iter().peekable();
        let wanted = self.when.as_ref().map(|condition| condition.evaluate(events));
        let deleted = self.delete_when.as_ref().map(|condition| condition.evaluate(events));
        let applies =
            |truths: &Option<Vec<u8>>, event: usize| truths.as_ref().and_then(|all| all.get(event)) == Some(&TRUE);
        let key: Vec<KeyInput<'_>> = self.key.iter().map(|bound| KeyInput::new(bound, events)).collect();
        let version = VersionInput::new(self.version, events);
        let mut built = Built::with_capacity(events.len());
        for event in 0..events.len() {
            let fault = faults.next_if(|fault| fault.event == event);
            let is_tombstone = events.is_tombstone(event);
            let is_asked = wanted.is_some() && (self.when_is_of_record || !is_tombstone);
            if is_asked && !applies(&wanted, event) {
                continue;
            }
            report.want(origin(event));
            if let Some(fault) = fault {
                report.reject(source, origin(event), format!("model `{}`: {}", self.name, fault.cause));
                continue;
            }
            let made = version.of(event, events).and_then(|version| {
                self.scratch.key.clear();
                encode_key(&key, event, &mut self.scratch.key)?;
                Ok(version)
            });
            match made {
                Ok(version) => {
                    let op = if is_tombstone || applies(&deleted, event) { Op::Delete } else { Op::Put };
                    built.push(event, &self.scratch.key, version, op);
                }
                Err(fault) => report.reject(source, origin(event), format!("model `{}`: {fault}", self.name)),
            }
        }
        built.into_rows(&self.layout, &self.columns, events)
    }
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            return write!(f, "the {} {}", self.needed_by, self.what);
        }
        write!(f, "field `{}` {} (needed for the {})", self.field, self.what, self.needed_by)
    }
}

/// A part of the key with the column that it is made of.
struct KeyInput<'a> {
    part: &'a KeyPart,
    column: Option<TypedColumn<'a>>,
}

impl<'a> KeyInput<'a> {
    fn new(bound: &'a BoundPart, events: &'a Events) -> Self {
        Self { part: &bound.part, column: bound.slot.and_then(|slot| events.typed(slot)) }
    }
}

#[inline]
fn encode_key<'a>(key: &[KeyInput<'a>], event: usize, out: &mut Vec<u8>) -> Result<(), Fault<'a>> {
    let fault = |part: &'a KeyPart, what| {
        let field = part.field().map_or("", |(path, _)| path);
        Fault { field, what, needed_by: "row key" }
    };
    for input in key {
        // A literal reads no field; any value will do.
        let value = match input.column {
            None => Value::Bool(false),
            Some(column) => column.value(event).ok_or_else(|| fault(input.part, "is missing".to_owned()))?,
        };
        input.part.encode(value, out).map_err(|error| fault(input.part, error.to_string()))?;
    }
    if out.is_empty() || out.len() > ROW_BYTES_MAX {
        let what = format!("has {} bytes, it must have 1 to {ROW_BYTES_MAX}", out.len());
        return Err(Fault { field: "", what, needed_by: "row key" });
    }
    Ok(())
}

/// The columns that versions are made of.
struct VersionInput<'a> {
    rule: BoundVersion,
    first: Option<TypedColumn<'a>>,
    second: Option<TypedColumn<'a>>,
}

impl<'a> VersionInput<'a> {
    fn new(rule: BoundVersion, events: &'a Events) -> Self {
        let (first, second) = match rule {
            BoundVersion::Column(slot) => (events.typed(slot), None),
            BoundVersion::TimeSequence { time, sequence } => (events.typed(time), events.typed(sequence)),
            BoundVersion::KafkaOffset | BoundVersion::KafkaTimestamp => (None, None),
        };
        Self { rule, first, second }
    }

    #[inline]
    fn of<'e>(&self, event: usize, events: &'e Events) -> Result<i64, Fault<'e>> {
        let fault = |slot: usize, error: VersionError| {
            let field = events.fields().all().get(slot).map_or("", |field| field.path.as_str());
            Fault { field, what: error.to_string(), needed_by: "version" }
        };
        let kafka = |error: VersionError| Fault { field: "", what: error.to_string(), needed_by: "record's timestamp" };
        match self.rule {
            BoundVersion::Column(slot) => number(self.first, event).map_err(|error| fault(slot, error)),
            BoundVersion::TimeSequence { time, sequence } => {
                let ms = number(self.first, event).map_err(|error| fault(time, error))?;
                let count = number(self.second, event).map_err(|error| fault(sequence, error))?;
                version::pack(ms, count).map_err(|error| match error {
                    VersionError::SequenceRange(_) => fault(sequence, error),
                    _ => fault(time, error),
                })
            }
            BoundVersion::KafkaOffset => version::from_i64(events.offsets().value(event)).map_err(kafka),
            BoundVersion::KafkaTimestamp => version::from_i64(events.timestamps().value(event)).map_err(kafka),
        }
    }
}

/// A version or a part of one: an integer, or a time as RFC 3339 text.
#[inline]
fn number(column: Option<TypedColumn<'_>>, event: usize) -> Result<i64, VersionError> {
    match column.and_then(|column| column.value(event)) {
        Some(Value::U64(number)) => version::from_u64(number),
        Some(Value::I64(number)) => version::from_i64(number),
        Some(Value::U32(number)) => Ok(i64::from(number)),
        Some(Value::I32(number)) => version::from_i64(i64::from(number)),
        Some(Value::Text(text)) => version::time_ms(text),
        Some(Value::F64(_) | Value::Bool(_) | Value::Bytes(_)) | None => Err(VersionError::Missing),
    }
}

/// The columns that a projection adds to those of the events.
struct Built {
    events: Vec<u32>,
    keys: BinaryBuilder,
    versions: Vec<i64>,
    ops: Vec<u8>,
}

impl Built {
    fn with_capacity(rows: usize) -> Self {
        // Keys are short; 24 bytes hold a salt and two numbers.
        let keys = BinaryBuilder::with_capacity(rows, rows * 24);
        Self {
            events: Vec::with_capacity(rows),
            keys,
            versions: Vec::with_capacity(rows),
            ops: Vec::with_capacity(rows),
        }
    }

    #[inline]
    fn push(&mut self, event: usize, key: &[u8], version: i64, op: Op) {
        self.events.push(event as u32);
        self.keys.append_value(key);
        self.versions.push(version);
        self.ops.push(op as u8);
    }

    fn into_rows(mut self, layout: &RowLayout, slots: &[usize], events: &Events) -> Rows {
        // Mostly every event becomes a row; then the columns are shared and nothing is copied.
        let taken = (self.events.len() != events.len()).then(|| UInt32Array::from(self.events));
        let offsets = pick(&(Arc::new(events.offsets().clone()) as ArrayRef), taken.as_ref());
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(Int64Array::from(self.versions)),
            Arc::new(UInt8Array::from(self.ops)),
            offsets,
        ];
        let mut cleared = Vec::with_capacity(slots.len());
        for slot in slots {
            let column = events.column(*slot).expect("slots were bound to these fields");
            columns.push(pick(column, taken.as_ref()));
            cleared.push(events.explicit_nulls(*slot).map(|bits| pick_bits(bits, taken.as_ref())));
        }
        let batch = RecordBatch::try_new(Arc::clone(layout.schema()), columns)
            .expect("the columns have the types and the length that the layout says");
        Rows::new(layout, batch, cleared).expect("keys, versions and operations were checked one by one")
    }
}

fn pick(column: &ArrayRef, taken: Option<&UInt32Array>) -> ArrayRef {
    match taken {
        None => Arc::clone(column),
        Some(taken) => take(column, taken, None).expect("the rows taken exist"),
    }
}

fn pick_bits(bits: &BooleanBuffer, taken: Option<&UInt32Array>) -> BooleanBuffer {
    let Some(taken) = taken else { return bits.clone() };
    let mut picked = BooleanBufferBuilder::new(taken.len());
    for row in taken.values() {
        picked.append(bits.value(*row as usize));
    }
    picked.finish()
}
