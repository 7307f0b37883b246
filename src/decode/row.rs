//! One record while it is read: what it says about each field of a document, borrowed from its bytes.

use std::ops::Range;

use crate::decode::columns::ColumnBuilder;
use crate::decode::events::FieldSet;
use crate::model::field::FieldType;
use crate::model::value::Value;

/// What does not stand in a record as it is: unescaped texts, rendered values, bytes decoded from base64.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) text: String,
    pub(super) bytes: Vec<u8>,
}

/// What a record says about a field.
#[derive(Clone, Debug)]
pub(super) enum Found<'de> {
    Absent,
    Null,
    Value(Value<'de>),
    /// Text in the scratch buffer.
    Text(Range<usize>),
    /// Bytes in the scratch buffer.
    Bytes(Range<usize>),
}

/// One record while it is read.
pub(super) struct Row<'de, 's> {
    /// The fields of the document, by slot.
    pub(super) fields: &'s FieldSet,
    slots: Vec<Found<'de>>,
    pub(super) scratch: &'s mut Scratch,
    /// Why the record is bad, where a parser's own error cannot carry it.
    pub(super) fault: Option<String>,
}

impl<'de, 's> Row<'de, 's> {
    pub(super) fn new(fields: &'s FieldSet, scratch: &'s mut Scratch) -> Self {
        let slots = vec![Found::Absent; fields.all().len()];
        Self { fields, slots, scratch, fault: None }
    }

    /// A row without a document: its slots have no fields.
    pub(super) fn with_len(fields: &'s FieldSet, len: usize, scratch: &'s mut Scratch) -> Self {
        Self { fields, slots: vec![Found::Absent; len], scratch, fault: None }
    }

    /// Forgets the record before.
    pub(super) fn reset(&mut self) {
        self.slots.fill(Found::Absent);
        self.scratch.text.clear();
        self.scratch.bytes.clear();
        self.fault = None;
    }

    /// Number of fields.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn set(&mut self, slot: usize, found: Found<'de>) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = found;
        }
    }

    /// Whether nothing is known about the field yet.
    pub(super) fn is_absent(&self, slot: usize) -> bool {
        matches!(self.slots.get(slot), None | Some(Found::Absent))
    }

    pub(super) fn fill(&mut self, slots: Range<usize>, found: &Found<'de>) {
        self.slots.get_mut(slots).unwrap_or_default().fill(found.clone());
    }

    /// Copies a text to the scratch buffer.
    pub(super) fn copy(&mut self, text: &str) -> Found<'de> {
        let start = self.scratch.text.len();
        self.scratch.text.push_str(text);
        Found::Text(start..self.scratch.text.len())
    }

    /// The text of a field, if it is one.
    pub(super) fn text(&self, slot: usize) -> Option<&str> {
        match self.slots.get(slot)? {
            Found::Value(Value::Text(text)) => Some(text),
            Found::Text(range) => self.scratch.text.get(range.clone()),
            Found::Absent | Found::Null | Found::Value(_) | Found::Bytes(_) => None,
        }
    }

    /// Appends what is known about a field to its column.
    #[inline]
    pub(super) fn append(&self, slot: usize, column: &mut ColumnBuilder) {
        match self.slots.get(slot) {
            Some(Found::Value(value)) => column.push(*value),
            Some(Found::Text(range)) => {
                column.push(Value::Text(self.scratch.text.get(range.clone()).unwrap_or_default()));
            }
            Some(Found::Bytes(range)) => {
                column.push(Value::Bytes(self.scratch.bytes.get(range.clone()).unwrap_or_default()));
            }
            Some(Found::Null) => column.push_null(),
            Some(Found::Absent) | None => column.push_absent(),
        }
    }

    /// The path of a field.
    pub(super) fn path(&self, slot: usize) -> &'s str {
        self.fields.all().get(slot).map_or("", |field| &field.path)
    }
}

/// The value of an integer in a type of numbers; `None` if the type is none or does not hold it.
#[inline]
pub(super) fn from_i64<'de>(data_type: FieldType, number: i64) -> Option<Value<'de>> {
    match data_type {
        FieldType::U64 => u64::try_from(number).ok().map(Value::U64),
        FieldType::I64 => Some(Value::I64(number)),
        FieldType::U32 => u32::try_from(number).ok().map(Value::U32),
        FieldType::I32 => i32::try_from(number).ok().map(Value::I32),
        FieldType::F64 => Some(Value::F64(number as f64)),
        FieldType::Utf8 | FieldType::Bool | FieldType::Bytes | FieldType::Json => None,
    }
}

/// As [`from_i64`].
#[inline]
pub(super) fn from_u64<'de>(data_type: FieldType, number: u64) -> Option<Value<'de>> {
    match data_type {
        FieldType::U64 => Some(Value::U64(number)),
        FieldType::I64 => i64::try_from(number).ok().map(Value::I64),
        FieldType::U32 => u32::try_from(number).ok().map(Value::U32),
        FieldType::I32 => i32::try_from(number).ok().map(Value::I32),
        FieldType::F64 => Some(Value::F64(number as f64)),
        FieldType::Utf8 | FieldType::Bool | FieldType::Bytes | FieldType::Json => None,
    }
}

/// The integer that a text of decimal digits is. `parse` would also take a plus sign, which such numbers do not have.
pub(super) fn integer<'de>(data_type: FieldType, text: &str) -> Option<Value<'de>> {
    if text.starts_with('+') {
        return None;
    }
    match (text.parse::<u64>(), text.parse::<i64>()) {
        (Ok(number), _) => from_u64(data_type, number),
        (_, Ok(number)) => from_i64(data_type, number),
        _ => None,
    }
}
