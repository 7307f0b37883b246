//! JSON objects to columns.
//!
//! One plan is compiled for a topic: the union of the fields that its models need, as a tree of names. A record is
//! parsed once, into a row of slots that borrow from it; only a row without a fault is appended to the columns. So one
//! bad record costs itself only, whatever stands before and behind it in the batch (see [`super::Decoder`]).
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
//! 5. A record is bad if it is not UTF-8, is not one JSON object and nothing else, or has a field of a wrong
//!    type; its cause names the field or the place, and never quotes the value.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::events::FieldSet;
use crate::decode::plan::{Name, Node, Slot, Target};
use crate::decode::row::{Found, Row, from_i64, from_u64};
use crate::model::field::FieldType;
use crate::model::value::Value;

/// Reads JSON documents of one kind.
#[derive(Debug)]
pub(super) struct JsonReader {
    root: Node,
}

/// Whether the members of a document may also stand within one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapper {
    Never,
    /// Kafka Connect's converter with schemas: `{"schema": ..., "payload": DOCUMENT}`.
    Connect,
}

impl JsonReader {
    pub(super) fn new(fields: &FieldSet, wrapper: Wrapper) -> Self {
        let root = Node::root(fields);
        Self { root: if wrapper == Wrapper::Connect { root.or_within("payload") } else { root } }
    }

    /// Reads a document into the slots of a row that was reset.
    pub(super) fn read<'de>(&self, document: &'de [u8], row: &mut Row<'de, '_>) -> Result<(), String> {
        let text = std::str::from_utf8(document)
            .map_err(|error| format!("the payload is not UTF-8 from byte {} on", error.valid_up_to()))?;
        let mut parser = serde_json::Deserializer::from_str(text);
        let seed = ObjectSeed { node: &self.root, place: Place::Root, row };
        let parsed = seed.deserialize(&mut parser).and_then(|()| parser.end());
        parsed.map_err(|error| row.fault.take().unwrap_or_else(|| format!("the payload is not JSON: {error}")))
    }
}

/// Notes why the record is bad. The returned error only ends the parsing.
fn fail<E: Error>(row: &mut Row<'_, '_>, cause: String) -> E {
    row.fault = Some(cause);
    E::custom("")
}

fn wrong_type<E: Error>(row: &mut Row<'_, '_>, slot: Slot, found: &str) -> E {
    let cause = format!("field `{}` must be {}, but is {found}", row.path(slot.index), wanted(slot));
    fail(row, cause)
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Root,
    Within,
}

/// Reads an object of the plan.
struct ObjectSeed<'n, 'r, 'de, 's> {
    node: &'n Node,
    place: Place,
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
        let cause = match self.place {
            Place::Root => format!("the payload must be a JSON object, but is {found}"),
            Place::Within => {
                let path = self.row.path(self.node.slots.start);
                format!("what holds field `{path}` must be an object, but is {found}")
            }
        };
        fail(self.row, cause)
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
                    self.row.fill(node.slots.clone(), &Found::Absent);
                    map.next_value_seed(ObjectSeed { node, place: Place::Within, row: self.row })?;
                }
            }
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.place == Place::Root {
            return Err(self.not_an_object("null"));
        }
        self.row.fill(self.node.slots.clone(), &Found::Null);
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
        self.row.set(self.slot.index, found);
        Ok(())
    }
}

impl<'de> SlotSeed<'_, 'de, '_> {
    fn value<E>(self, value: Value<'de>) -> Result<(), E> {
        self.row.set(self.slot.index, Found::Value(value));
        Ok(())
    }

    fn quoted_or_wrong<E: Error>(self, text: &str) -> Result<(), E> {
        if !self.slot.data_type.is_integer() || !self.slot.quoted_number {
            return Err(wrong_type(self.row, self.slot, "a string"));
        }
        // `parse` would also take a plus sign, which JSON numbers do not have.
        if text.starts_with('+') {
            return Err(wrong_type(self.row, self.slot, "a string that is not an integer"));
        }
        match (text.parse::<u64>(), text.parse::<i64>()) {
            (Ok(number), _) => self.visit_u64(number),
            (_, Ok(number)) => self.visit_i64(number),
            _ => Err(wrong_type(self.row, self.slot, "a string that is not an integer")),
        }
    }

    fn base64<E: Error>(self, text: &str) -> Result<(), E> {
        let start = self.row.scratch.bytes.len();
        if STANDARD.decode_vec(text, &mut self.row.scratch.bytes).is_err() {
            return Err(wrong_type(self.row, self.slot, "a string that is not base64"));
        }
        let found = Found::Bytes(start..self.row.scratch.bytes.len());
        self.row.set(self.slot.index, found);
        Ok(())
    }
}

impl<'de> Visitor<'de> for SlotSeed<'_, 'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let value = from_u64(self.slot.data_type, number);
        match value {
            Some(value) => self.value(value),
            None if self.slot.data_type.is_integer() => {
                Err(wrong_type(self.row, self.slot, "an integer out of that range"))
            }
            None => Err(wrong_type(self.row, self.slot, "a number")),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        let value = from_i64(self.slot.data_type, number);
        match value {
            Some(value) => self.value(value),
            None if self.slot.data_type.is_integer() => {
                Err(wrong_type(self.row, self.slot, "an integer out of that range"))
            }
            None => Err(wrong_type(self.row, self.slot, "a number")),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.slot.data_type {
            FieldType::F64 if number.is_finite() => self.value(Value::F64(number)),
            _ => Err(wrong_type(self.row, self.slot, "a number that is no integer or is out of that range")),
        }
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        match self.slot.data_type {
            FieldType::Bool => self.value(Value::Bool(truth)),
            _ => Err(wrong_type(self.row, self.slot, "a truth value")),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.row.set(self.slot.index, Found::Null);
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
                let found = self.row.copy(text);
                self.row.set(self.slot.index, found);
                Ok(())
            }
            FieldType::Bytes => self.base64(text),
            _ => self.quoted_or_wrong(text),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(wrong_type(self.row, self.slot, "an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(wrong_type(self.row, self.slot, "an object"))
    }
}

#[cfg(test)]
mod tests;
