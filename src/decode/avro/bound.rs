//! A writer's schema bound to the fields that are wanted: a plan of steps in the order of the bytes.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

use super::cursor::{Broken, Cursor, DEPTH_MAX};
use super::render;
use super::schema::{AvroSchema, Logical, RecordField, Shape, TypeId};
use crate::decode::plan::{Name, Node, Slot, Target};
use crate::decode::row::{Found, Row, from_i64, integer};
use crate::model::field::FieldType;
use crate::model::value::Value;

/// The name of a datum that is no record, among the fields of a key.
pub(in crate::decode) const WHOLE: &str = "$";

/// A plan.
#[derive(Debug)]
pub(super) struct Bound {
    schema: Arc<AvroSchema>,
    root: Step,
    /// Fields that the writer does not know, and what they are.
    defaults: Vec<(usize, Constant)>,
}

#[derive(Debug)]
enum Step {
    Skip(TypeId),
    Value(TypeId, Slot),
    Record(Box<[Step]>),
    Union(Box<[Step]>),
    Map(TypeId, Box<[(String, Step)]>),
    /// A null in place of a record: every field within it is null.
    Null(Range<usize>),
    /// A value in place of a record, before this slot.
    NoRecord(usize, &'static str),
}

#[derive(Clone, Debug)]
enum Constant {
    Null,
    Text(String),
    Bytes(Vec<u8>),
    Value(Value<'static>),
}

/// Why a datum is bad.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not of its schema.
    Broken(Broken),
    /// A field has another type than the one that is wanted.
    Field(String),
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Fault {
    pub(super) fn of(self, schema: &str) -> String {
        match self {
            Self::Broken(broken) => format!("the payload is not a datum of {schema}: {broken}"),
            Self::Field(cause) => cause,
        }
    }
}

impl Bound {
    pub(super) fn new(schema: Arc<AvroSchema>, wanted: &Node, reader: Option<&AvroSchema>) -> Self {
        let mut binder = Binder { writer: &schema, reader, defaults: Vec::new() };
        let root = binder.root(wanted);
        let defaults = binder.defaults;
        Self { schema, root, defaults }
    }

    /// Reads a datum into the slots of a row that was reset.
    pub(super) fn read<'de>(&self, datum: &'de [u8], row: &mut Row<'de, '_>) -> Result<(), Fault> {
        for (slot, default) in &self.defaults {
            default.set(*slot, row);
        }
        let mut cursor = Cursor::new(datum);
        self.step(&self.root, &mut cursor, row)?;
        if cursor.rest() > 0 {
            return Err(Fault::Broken("there are bytes behind it"));
        }
        Ok(())
    }

    fn step<'de>(&self, step: &Step, cursor: &mut Cursor<'de>, row: &mut Row<'de, '_>) -> Result<(), Fault> {
        match step {
            Step::Skip(id) => Ok(self.skip(*id, cursor, 0)?),
            Step::Value(id, slot) => self.value(*id, *slot, cursor, row),
            Step::Record(steps) => steps.iter().try_for_each(|step| self.step(step, cursor, row)),
            Step::Union(branches) => {
                let branch = cursor.index(branches.len())?;
                branches.get(branch).map_or(Ok(()), |step| self.step(step, cursor, row))
            }
            Step::Map(values, names) => self.map(*values, names, cursor, row),
            Step::Null(slots) => {
                row.fill(slots.clone(), &Found::Null);
                Ok(())
            }
            Step::NoRecord(slot, found) => Err(Fault::Field(format!(
                "what holds field `{}` must be a record or a map, but is {found}",
                row.path(*slot)
            ))),
        }
    }

    fn map<'de>(
        &self,
        values: TypeId,
        names: &[(String, Step)],
        cursor: &mut Cursor<'de>,
        row: &mut Row<'de, '_>,
    ) -> Result<(), Fault> {
        loop {
            let count = cursor.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                cursor.burn()?;
                let key = cursor.text()?;
                match names.iter().find(|(name, _)| name == key) {
                    Some((_, step)) => self.step(step, cursor, row)?,
                    None => self.skip(values, cursor, 0)?,
                }
            }
        }
    }

    fn skip(&self, id: TypeId, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Broken> {
        if depth > DEPTH_MAX {
            return Err("its values nest too deeply");
        }
        match &self.schema.get(id).shape {
            Shape::Null => Ok(()),
            Shape::Boolean => cursor.boolean().map(drop),
            Shape::Int => cursor.int().map(drop),
            Shape::Long => cursor.long().map(drop),
            Shape::Float => cursor.float().map(drop),
            Shape::Double => cursor.double().map(drop),
            Shape::Bytes | Shape::Text => cursor.bytes().map(drop),
            Shape::Fixed(size) => cursor.take(*size).map(drop),
            Shape::Enum(symbols) => cursor.index(symbols.len()).map(drop),
            Shape::Union(branches) => {
                let branch = cursor.index(branches.len())?;
                branches.get(branch).map_or(Ok(()), |branch| self.skip(*branch, cursor, depth + 1))
            }
            Shape::Record(fields) => fields.iter().try_for_each(|field| self.skip(field.type_id, cursor, depth + 1)),
            Shape::Array(items) => self.skip_items(*items, None, cursor, depth),
            Shape::Map(values) => self.skip_items(*values, Some(()), cursor, depth),
        }
    }

    fn skip_items(&self, id: TypeId, keys: Option<()>, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Broken> {
        loop {
            let count = cursor.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                cursor.burn()?;
                if keys.is_some() {
                    cursor.bytes()?;
                }
                self.skip(id, cursor, depth + 1)?;
            }
        }
    }

    fn value<'de>(
        &self,
        id: TypeId,
        slot: Slot,
        cursor: &mut Cursor<'de>,
        row: &mut Row<'de, '_>,
    ) -> Result<(), Fault> {
        let kind = self.schema.get(id);
        if let Shape::Union(branches) = &kind.shape {
            let branch = cursor.index(branches.len())?;
            return branches.get(branch).map_or(Ok(()), |branch| self.value(*branch, slot, cursor, row));
        }
        if matches!(kind.shape, Shape::Null) {
            row.set(slot.index, Found::Null);
            return Ok(());
        }
        if slot.data_type == FieldType::Json {
            let start = row.scratch.text.len();
            render::json(&self.schema, id, cursor, &mut row.scratch.text, 0)?;
            let end = row.scratch.text.len();
            row.set(slot.index, Found::Text(start..end));
            return Ok(());
        }
        let wanted = slot.data_type;
        let found: Option<Found<'de>> = match &kind.shape {
            Shape::Boolean => {
                let truth = cursor.boolean()?;
                (wanted == FieldType::Bool).then_some(Found::Value(Value::Bool(truth)))
            }
            Shape::Int | Shape::Long => {
                let number = if matches!(kind.shape, Shape::Int) { i64::from(cursor.int()?) } else { cursor.long()? };
                match (wanted, kind.logical) {
                    (FieldType::Utf8, Some(logical)) => render::time(logical, number).map(|text| row.copy(&text)),
                    _ => from_i64(wanted, number).map(Found::Value),
                }
            }
            Shape::Float => float(wanted, f64::from(cursor.float()?)),
            Shape::Double => float(wanted, cursor.double()?),
            Shape::Text => {
                let text = cursor.text()?;
                match wanted {
                    FieldType::Utf8 => Some(Found::Value(Value::Text(text))),
                    FieldType::Bytes => Some(Found::Value(Value::Bytes(text.as_bytes()))),
                    _ if slot.quoted_number => integer(wanted, text).map(Found::Value),
                    _ => None,
                }
            }
            Shape::Bytes => bytes(cursor.bytes()?, kind.logical, wanted, row),
            Shape::Fixed(size) => bytes(cursor.take(*size)?, kind.logical, wanted, row),
            Shape::Enum(symbols) => {
                let symbol = cursor.index(symbols.len())?;
                match (wanted, symbols.get(symbol)) {
                    (FieldType::Utf8, Some(symbol)) => Some(row.copy(symbol)),
                    _ => None,
                }
            }
            Shape::Array(_) | Shape::Map(_) | Shape::Record(_) | Shape::Null | Shape::Union(_) => None,
        };
        match found {
            Some(found) => {
                row.set(slot.index, found);
                Ok(())
            }
            None => Err(Fault::Field(format!(
                "field `{}` must be {wanted}, but is {} that is none",
                row.path(slot.index),
                name(&kind.shape)
            ))),
        }
    }
}

fn float<'de>(wanted: FieldType, number: f64) -> Option<Found<'de>> {
    (wanted == FieldType::F64 && number.is_finite()).then_some(Found::Value(Value::F64(number)))
}

fn bytes<'de>(
    bytes: &'de [u8],
    logical: Option<Logical>,
    wanted: FieldType,
    row: &mut Row<'de, '_>,
) -> Option<Found<'de>> {
    match (wanted, logical) {
        (FieldType::Bytes, _) => Some(Found::Value(Value::Bytes(bytes))),
        (FieldType::Utf8, Some(Logical::Uuid)) => Some(row.copy(&render::uuid(bytes))),
        (FieldType::Utf8, Some(Logical::Decimal { scale })) => {
            render::decimal(bytes, scale).map(|text| row.copy(&text))
        }
        (FieldType::F64, Some(Logical::Decimal { scale })) => {
            let number = render::decimal(bytes, scale)?.parse().ok()?;
            Some(Found::Value(Value::F64(number)))
        }
        (_, Some(Logical::Decimal { scale: 0 })) => integer(wanted, &render::decimal(bytes, 0)?).map(Found::Value),
        (FieldType::Utf8, _) => std::str::from_utf8(bytes).ok().map(|text| Found::Value(Value::Text(text))),
        _ => None,
    }
}

/// What values of a shape are called in causes.
const fn name(shape: &Shape) -> &'static str {
    match shape {
        Shape::Null => "null",
        Shape::Boolean => "a boolean",
        Shape::Int => "an int",
        Shape::Long => "a long",
        Shape::Float => "a float",
        Shape::Double => "a double",
        Shape::Bytes => "bytes",
        Shape::Text => "a string",
        Shape::Fixed(_) => "a fixed",
        Shape::Enum(_) => "an enum",
        Shape::Array(_) => "an array",
        Shape::Map(_) => "a map",
        Shape::Union(_) => "a union",
        Shape::Record(_) => "a record",
    }
}

impl Constant {
    fn set(&self, slot: usize, row: &mut Row<'_, '_>) {
        let found = match self {
            Self::Null => Found::Null,
            Self::Text(text) => row.copy(text),
            Self::Bytes(bytes) => {
                let start = row.scratch.bytes.len();
                row.scratch.bytes.extend_from_slice(bytes);
                Found::Bytes(start..row.scratch.bytes.len())
            }
            Self::Value(value) => Found::Value(*value),
        };
        row.set(slot, found);
    }
}

/// Makes the steps.
struct Binder<'a> {
    writer: &'a AvroSchema,
    reader: Option<&'a AvroSchema>,
    defaults: Vec<(usize, Constant)>,
}

impl Binder<'_> {
    fn root(&mut self, wanted: &Node) -> Step {
        let whole = wanted.names.iter().find(|name| name.text == WHOLE).map(|name| &name.target);
        let is_record = |id: &TypeId| matches!(self.writer.get(*id).shape, Shape::Record(_));
        let root = self.writer.root();
        let has_fields = match &self.writer.get(root).shape {
            Shape::Union(branches) => branches.iter().any(is_record),
            _ => is_record(&root),
        };
        match whole {
            Some(Target::Slot(slot)) if !has_fields => Step::Value(root, *slot),
            _ => self.object(root, wanted, self.reader.map(AvroSchema::root)),
        }
    }

    fn target(&mut self, id: TypeId, target: &Target, reader: Option<TypeId>) -> Step {
        match target {
            Target::Slot(slot) => Step::Value(id, *slot),
            Target::Object(node) => self.object(id, node, reader),
        }
    }

    fn object(&mut self, id: TypeId, wanted: &Node, reader: Option<TypeId>) -> Step {
        let writer = self.writer;
        match &writer.get(id).shape {
            Shape::Record(fields) => self.record(fields, wanted, reader),
            Shape::Union(branches) => {
                Step::Union(branches.iter().map(|branch| self.object(*branch, wanted, reader)).collect())
            }
            Shape::Map(values) => {
                let named = |name: &Name| (name.text.clone(), self.target(*values, &name.target, None));
                Step::Map(*values, wanted.names.iter().map(named).collect())
            }
            Shape::Null => Step::Null(wanted.slots.clone()),
            other => Step::NoRecord(wanted.slots.start, name(other)),
        }
    }

    /// The fields of the reader's record at this place.
    fn known(&self, reader: Option<TypeId>) -> &[RecordField] {
        let (Some(schema), Some(id)) = (self.reader, reader) else { return &[] };
        let fields = |id: &TypeId| match &schema.get(*id).shape {
            Shape::Record(fields) => Some(fields.as_slice()),
            _ => None,
        };
        match &schema.get(id).shape {
            Shape::Union(branches) => branches.iter().find_map(fields).unwrap_or_default(),
            _ => fields(&id).unwrap_or_default(),
        }
    }

    fn record(&mut self, fields: &[RecordField], wanted: &Node, reader: Option<TypeId>) -> Step {
        let mut found: Vec<Option<(&Target, Option<TypeId>)>> = vec![None; fields.len()];
        let mut missing = Vec::new();
        for name in &wanted.names {
            let known = self.known(reader).iter().find(|field| field.name == name.text);
            let is_called = |field: &RecordField| known.is_some_and(|known| known.aliases.contains(&field.name));
            let at = fields.iter().position(|field| field.name == name.text);
            match at.or_else(|| fields.iter().position(is_called)).and_then(|at| found.get_mut(at)) {
                Some(place) => *place = Some((&name.target, known.map(|known| known.type_id))),
                None => missing.extend(known.and_then(|known| known.default.clone()).map(|json| (&name.target, json))),
            }
        }
        for (target, json) in missing {
            self.default(target, &json);
        }
        let steps = fields.iter().zip(found).map(|(field, found)| match found {
            Some((target, reader)) => self.target(field.type_id, target, reader),
            None => Step::Skip(field.type_id),
        });
        Step::Record(steps.collect())
    }

    /// A default of the reader's schema, as JSON; one that does not fit the field leaves it absent.
    fn default(&mut self, target: &Target, json: &Json) {
        match target {
            Target::Slot(slot) => self.defaults.extend(default_of(*slot, json).map(|default| (slot.index, default))),
            Target::Object(node) => {
                for name in &node.names {
                    match json {
                        Json::Null => self.default(&name.target, json),
                        _ => {
                            if let Some(within) = json.get(&name.text) {
                                self.default(&name.target, within);
                            }
                        }
                    }
                }
            }
        }
    }
}

fn default_of(slot: Slot, json: &Json) -> Option<Constant> {
    Some(match (json, slot.data_type) {
        (Json::Null, _) => Constant::Null,
        (_, FieldType::Json) => Constant::Text(json.to_string()),
        (Json::String(text), FieldType::Utf8) => Constant::Text(text.clone()),
        // Avro writes the bytes of a default as characters of these numbers.
        (Json::String(text), FieldType::Bytes) => {
            Constant::Bytes(text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect::<Option<_>>()?)
        }
        (Json::Bool(truth), FieldType::Bool) => Constant::Value(Value::Bool(*truth)),
        (Json::Number(number), FieldType::F64) => Constant::Value(Value::F64(number.as_f64()?)),
        (Json::Number(number), data_type) => Constant::Value(integer(data_type, &number.to_string())?),
        _ => return None,
    })
}
