//! JSON objects to columns.
//!
//! One plan is compiled for a topic: the union of the fields that its models need, as a tree of names. A record is
//! parsed once, into a row of slots that borrow from it; only a row without a fault is appended to the columns. So one
//! bad record costs itself only, whatever stands before and behind it in the batch.
//!
//! The parser is serde_json's, driven by our own visitors: on chat events it is as fast as `sonic-rs` without target flags,
//! without its unsafe code. `arrow-json` is not used: it cannot tell an absent field from a null, and it finds a bad record only after its
//! neighbours are on the same tape.
//!
//! # What is read how
//! 1. Only fields of the plan are kept; all others are checked for syntax and skipped.
//! 2. An absent field and a null are different. A null in place of an object is a null for every field within it.
//! 3. Integers are read from JSON integers in range; `1.0`, `1e3` and `"1"` are wrong types (`"1"` is accepted where
//!    the topology lists the field under `quoted_numbers`). `f64` is read from any number.
//! 4. Where a name stands twice in one object, the last one counts.
//! 5. A record is bad if it is null, is not UTF-8, is not one JSON object and nothing else, or has a field of a wrong
//!    type; its cause names the field or the place, and never quotes the value.

use std::fmt;
use std::ops::Range;

use arrow_array::Int64Array;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::columns::ColumnBuilder;
use crate::decode::events::{Events, FieldSet};
use crate::decode::plan::{Name, Node, Slot, Target};
use crate::model::batch::{BadRecord, RawBatch, Stage};
use crate::model::field::FieldType;
use crate::model::value::Value;

/// Decodes JSON payloads of one topic.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    fields: FieldSet,
    root: Node,
    scratch: Scratch,
}

/// What does not stand in a record as it is: unescaped texts, and bytes decoded from base64.
#[derive(Debug, Default)]
struct Scratch {
    text: String,
    bytes: Vec<u8>,
}

/// One record while it is parsed.
struct Row<'de, 's> {
    fields: &'s FieldSet,
    slots: Vec<Found<'de>>,
    scratch: &'s mut Scratch,
    fault: Option<String>,
}

/// What a record says about a field.
#[derive(Clone, Debug)]
enum Found<'de> {
    Absent,
    Null,
    Value(Value<'de>),
    /// Text in the scratch buffer.
    Text(Range<usize>),
    /// Bytes in the scratch buffer.
    Bytes(Range<usize>),
}

impl JsonDecoder {
    pub(super) fn new(fields: FieldSet) -> Self {
        let root = Node::root(&fields);
        Self { fields, root, scratch: Scratch::default() }
    }

    pub(super) const fn fields(&self) -> &FieldSet {
        &self.fields
    }

    pub(super) fn decode(&mut self, raw: &RawBatch, bad: &mut Vec<BadRecord>) -> Events {
        let capacity = raw.records.len();
        let mut columns: Vec<ColumnBuilder> =
            self.fields.all().iter().map(|field| ColumnBuilder::new(field.data_type, capacity)).collect();
        let mut records = Vec::with_capacity(capacity);
        let mut offsets = Vec::with_capacity(capacity);
        let mut timestamps = Vec::with_capacity(capacity);
        let slots = vec![Found::Absent; columns.len()];
        let mut row = Row { fields: &self.fields, slots, scratch: &mut self.scratch, fault: None };
        for (index, record) in raw.records.iter().enumerate() {
            match row.parse(&self.root, raw.payload(record)) {
                Ok(()) => {
                    row.append_to(&mut columns);
                    records.push(index as u32);
                    offsets.push(record.offset.0);
                    timestamps.push(record.timestamp_ms);
                }
                Err(cause) => bad.push(BadRecord { record: index, stage: Stage::Decode, cause }),
            }
        }
        let (columns, nulls) = columns.into_iter().map(ColumnBuilder::finish).unzip();
        Events {
            fields: self.fields.clone(),
            columns,
            nulls,
            records,
            offsets: Int64Array::from(offsets),
            timestamps: Int64Array::from(timestamps),
        }
    }
}

impl<'de> Row<'de, '_> {
    /// Reads a payload into the slots.
    fn parse(&mut self, root: &Node, payload: Option<&'de [u8]>) -> Result<(), String> {
        self.slots.fill(Found::Absent);
        self.scratch.text.clear();
        self.scratch.bytes.clear();
        self.fault = None;
        let Some(payload) = payload else {
            return Err("the payload is null (a log-compaction tombstone), and JSON events have none".to_owned());
        };
        let text = std::str::from_utf8(payload)
            .map_err(|error| format!("the payload is not UTF-8 from byte {} on", error.valid_up_to()))?;
        let mut parser = serde_json::Deserializer::from_str(text);
        let parsed = ObjectSeed { node: root, row: self }.deserialize(&mut parser).and_then(|()| parser.end());
        parsed.map_err(|error| self.fault.take().unwrap_or_else(|| format!("the payload is not JSON: {error}")))
    }

    fn append_to(&self, columns: &mut [ColumnBuilder]) {
        for (column, found) in columns.iter_mut().zip(&self.slots) {
            match found {
                Found::Value(value) => column.push(*value),
                Found::Text(range) => {
                    column.push(Value::Text(self.scratch.text.get(range.clone()).unwrap_or_default()))
                }
                Found::Bytes(range) => {
                    column.push(Value::Bytes(self.scratch.bytes.get(range.clone()).unwrap_or_default()));
                }
                Found::Absent => column.push_absent(),
                Found::Null => column.push_null(),
            }
        }
    }

    fn set(&mut self, slot: Slot, found: Found<'de>) {
        if let Some(place) = self.slots.get_mut(slot.index) {
            *place = found;
        }
    }

    fn fill(&mut self, node: &Node, found: &Found<'de>) {
        self.slots.get_mut(node.slots.clone()).unwrap_or_default().fill(found.clone());
    }

    fn copy(&mut self, text: &str) -> Range<usize> {
        let start = self.scratch.text.len();
        self.scratch.text.push_str(text);
        start..self.scratch.text.len()
    }

    /// Notes why the record is bad. The returned error only ends the parsing.
    fn fail<E: Error>(&mut self, cause: String) -> E {
        self.fault = Some(cause);
        E::custom("")
    }

    fn wrong_type<E: Error>(&mut self, slot: Slot, found: &str) -> E {
        let path = self.fields.all().get(slot.index).map_or("", |field| &field.path);
        let cause = format!("field `{path}` must be {}, but is {found}", wanted(slot));
        self.fail(cause)
    }
}

fn wanted(slot: Slot) -> String {
    match slot.data_type {
        FieldType::Bytes => "a base64 string (bytes)".to_owned(),
        FieldType::Utf8 => "a string (utf8)".to_owned(),
        FieldType::F64 => "a number (f64)".to_owned(),
        FieldType::Bool => "true or false (bool)".to_owned(),
        FieldType::Json => "any JSON value".to_owned(),
        FieldType::U64 | FieldType::I64 | FieldType::U32 | FieldType::I32 => {
            format!("an integer in the range of {}", slot.data_type)
        }
    }
}

/// Reads an object of the plan.
struct ObjectSeed<'n, 'r, 'de, 's> {
    node: &'n Node,
    row: &'r mut Row<'de, 's>,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_, 'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ObjectSeed<'_, '_, '_, '_> {
    fn not_an_object<E: Error>(self, found: &str) -> E {
        let inside = self.node.slots.start;
        let path = self.row.fields.all().get(inside).map_or("", |field| &field.path);
        let cause = if self.node.slots.len() == self.row.slots.len() {
            format!("the payload must be a JSON object, but is {found}")
        } else {
            format!("what holds field `{path}` must be an object, but is {found}")
        };
        self.row.fail(cause)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_, 'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(name) = map.next_key_seed(NameSeed { node: self.node, position })? {
            position += 1;
            match name.map(|name| &name.target) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(Target::Slot(slot)) => map.next_value_seed(SlotSeed { slot: *slot, row: self.row })?,
                Some(Target::Object(node)) => {
                    self.row.fill(node, &Found::Absent);
                    map.next_value_seed(ObjectSeed { node, row: self.row })?;
                }
            }
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.node.slots.len() == self.row.slots.len() {
            return Err(self.not_an_object("null"));
        }
        self.row.fill(self.node, &Found::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(self.not_an_object("a truth value"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(self.not_an_object("a number"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(self.not_an_object("a number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(self.not_an_object("a number"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(self.not_an_object("a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.not_an_object("an array"))
    }
}

/// Reads a name and looks it up.
struct NameSeed<'n> {
    node: &'n Node,
    position: usize,
}

impl<'de, 'n> DeserializeSeed<'de> for NameSeed<'n> {
    type Value = Option<&'n Name>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for NameSeed<'n> {
    type Value = Option<&'n Name>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.node.find(self.position, text))
    }
}

/// Reads the value of a field.
struct SlotSeed<'r, 'de, 's> {
    slot: Slot,
    row: &'r mut Row<'de, 's>,
}

impl<'de> DeserializeSeed<'de> for SlotSeed<'_, 'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.slot.data_type != FieldType::Json {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let found = if raw == "null" { Found::Null } else { Found::Value(Value::Text(raw)) };
        self.row.set(self.slot, found);
        Ok(())
    }
}

impl<'de> SlotSeed<'_, 'de, '_> {
    fn value<E>(self, value: Value<'de>) -> Result<(), E> {
        self.row.set(self.slot, Found::Value(value));
        Ok(())
    }

    fn quoted_or_wrong<E: Error>(self, text: &str) -> Result<(), E> {
        if !self.slot.data_type.is_integer() || !self.slot.quoted_number {
            return Err(self.row.wrong_type(self.slot, "a string"));
        }
        // `parse` would also take a plus sign, which JSON numbers do not have.
        if text.starts_with('+') {
            return Err(self.row.wrong_type(self.slot, "a string that is not an integer"));
        }
        match (text.parse::<u64>(), text.parse::<i64>()) {
            (Ok(number), _) => self.visit_u64(number),
            (_, Ok(number)) => self.visit_i64(number),
            _ => Err(self.row.wrong_type(self.slot, "a string that is not an integer")),
        }
    }

    fn base64<E: Error>(self, text: &str) -> Result<(), E> {
        let start = self.row.scratch.bytes.len();
        if STANDARD.decode_vec(text, &mut self.row.scratch.bytes).is_err() {
            return Err(self.row.wrong_type(self.slot, "a string that is not base64"));
        }
        let found = Found::Bytes(start..self.row.scratch.bytes.len());
        self.row.set(self.slot, found);
        Ok(())
    }
}

impl<'de> Visitor<'de> for SlotSeed<'_, 'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let value = match self.slot.data_type {
            FieldType::U64 => Some(Value::U64(number)),
            FieldType::I64 => i64::try_from(number).ok().map(Value::I64),
            FieldType::U32 => u32::try_from(number).ok().map(Value::U32),
            FieldType::I32 => i32::try_from(number).ok().map(Value::I32),
            FieldType::F64 => Some(Value::F64(number as f64)),
            FieldType::Utf8 | FieldType::Bool | FieldType::Bytes | FieldType::Json => None,
        };
        match value {
            Some(value) => self.value(value),
            None if self.slot.data_type.is_integer() => {
                Err(self.row.wrong_type(self.slot, "an integer out of that range"))
            }
            None => Err(self.row.wrong_type(self.slot, "a number")),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        let value = match self.slot.data_type {
            FieldType::U64 => u64::try_from(number).ok().map(Value::U64),
            FieldType::I64 => Some(Value::I64(number)),
            FieldType::U32 => u32::try_from(number).ok().map(Value::U32),
            FieldType::I32 => i32::try_from(number).ok().map(Value::I32),
            FieldType::F64 => Some(Value::F64(number as f64)),
            FieldType::Utf8 | FieldType::Bool | FieldType::Bytes | FieldType::Json => None,
        };
        match value {
            Some(value) => self.value(value),
            None if self.slot.data_type.is_integer() => {
                Err(self.row.wrong_type(self.slot, "an integer out of that range"))
            }
            None => Err(self.row.wrong_type(self.slot, "a number")),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.slot.data_type {
            FieldType::F64 if number.is_finite() => self.value(Value::F64(number)),
            _ => Err(self.row.wrong_type(self.slot, "a number that is no integer or is out of that range")),
        }
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        match self.slot.data_type {
            FieldType::Bool => self.value(Value::Bool(truth)),
            _ => Err(self.row.wrong_type(self.slot, "a truth value")),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.row.set(self.slot, Found::Null);
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        match self.slot.data_type {
            FieldType::Utf8 => self.value(Value::Text(text)),
            FieldType::Bytes => self.base64(text),
            _ => self.quoted_or_wrong(text),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.slot.data_type {
            FieldType::Utf8 => {
                let found = Found::Text(self.row.copy(text));
                self.row.set(self.slot, found);
                Ok(())
            }
            FieldType::Bytes => self.base64(text),
            _ => self.quoted_or_wrong(text),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.row.wrong_type(self.slot, "an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.row.wrong_type(self.slot, "an object"))
    }
}

#[cfg(test)]
mod tests;
