//! One row of columns for each element of an array, beside the fields of its event: how `each` makes many rows of one event.
//!
//! An event without elements (the array is absent, null or empty) makes none.
//!
//! # Invariant
//! What an event becomes is bounded by its own size: an element repeats the fields of its event, and a small event with
//! many elements and one large text would otherwise fill the memory.

use std::collections::BTreeMap;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_select::take::take;

use crate::decode::elements::{ElementDecoder, Elements};
use crate::decode::events::{Events, FieldSet};
use crate::model::each::Each;
use crate::model::field::{Field, FieldType};
use crate::model::value::TypedColumn;
use crate::project::BindError;
use crate::project::condition::{TRUE, Truth};

/// How many times its own size an event's repeated texts may have, and what every event may have whatever its size.
const REPEATED_TIMES_MAX: usize = 64;
const REPEATED_BYTES_MIN: usize = 4096;

/// Explodes the events of one topic for one model.
#[derive(Debug)]
pub(super) struct Explode {
    decoder: ElementDecoder,
    array: usize,
    /// Fields of events and elements together, but for the array itself.
    fields: FieldSet,
    sources: Vec<Source>,
    path: String,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Event(usize),
    Element(usize),
}

/// Elements with their events' fields.
pub(super) struct Exploded {
    pub(super) events: Events,
    /// For each element, its event.
    pub(super) origin: Vec<u32>,
    /// Events that are bad for their arrays, with the cause, in order.
    pub(super) bad: Vec<(usize, String)>,
}

impl Explode {
    /// Binds an array to the fields of its topic, of which the model needs some.
    pub(super) fn bind(
        each: &Each,
        needed: &BTreeMap<String, FieldType>,
        fields: &FieldSet,
    ) -> Result<Self, BindError> {
        let array = fields.slot(&each.path).ok_or_else(|| BindError::Unknown(each.path.clone()))?;
        let of_elements = each.fields.iter().map(|(path, data_type)| Field {
            path: path.clone(),
            data_type: *data_type,
            quoted_number: each.quoted_numbers.contains(path),
        });
        let of_elements = FieldSet::new(of_elements.collect()).map_err(BindError::Fields)?;
        let decoder = ElementDecoder::new(&each.path, of_elements);
        // What only other models of the topic read is not repeated.
        let is_needed = |field: &&Field| field.path != each.path && needed.contains_key(&field.path);
        let of_events = fields.all().iter().filter(is_needed);
        let both: Vec<Field> = of_events.chain(decoder.fields().all()).cloned().collect();
        let both = FieldSet::new(both).map_err(BindError::Fields)?;
        let source = |field: &Field| match decoder.fields().slot(&field.path) {
            Some(slot) => Some(Source::Element(slot)),
            None => fields.slot(&field.path).map(Source::Event),
        };
        let sources = both.all().iter().filter_map(source).collect();
        Ok(Self { decoder, array, fields: both, sources, path: each.path.clone() })
    }

    /// The fields of its rows.
    pub(super) const fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// The elements of these events, or of those for which `wanted` is true.
    pub(super) fn explode(&mut self, events: &Events, wanted: Option<&[Truth]>) -> Exploded {
        let is_wanted = |event: usize| wanted.is_none_or(|all| all.get(event) == Some(&TRUE));
        let arrays = events.typed(self.array).expect("the array was bound to these fields");
        let Elements { offsets, columns, mut bad } = self.decoder.decode(arrays, events.len(), &is_wanted);
        let texts = self.repeated_texts(events, arrays);
        // Rows that are taken: their element, and its event.
        let (mut elements, mut origin) = (Vec::new(), Vec::new());
        for (event, range) in offsets.windows(2).enumerate() {
            let &[start, end] = range else { continue };
            let count = (end - start) as usize;
            let (repeated, own) = texts.bytes(event);
            if count > 1 && count * repeated > REPEATED_BYTES_MIN + REPEATED_TIMES_MAX * (repeated + own) {
                let cause = format!(
                    "the {count} elements of `{}` would repeat {repeated} bytes of the event each, which is more than \
                     {REPEATED_TIMES_MAX} times its size",
                    self.path
                );
                bad.push((event, cause));
                continue;
            }
            elements.extend(start as u32..end as u32);
            origin.resize(elements.len(), event as u32);
        }
        bad.sort_by_key(|(event, _)| *event);
        bad.dedup_by_key(|(event, _)| *event);
        let events = self.rows(events, &columns, (elements, &origin));
        Exploded { events, origin, bad }
    }

    fn repeated_texts<'a>(&self, events: &'a Events, arrays: TypedColumn<'a>) -> Texts<'a> {
        let repeated = self.sources.iter().filter_map(|source| match source {
            Source::Event(slot) => events.typed(*slot),
            Source::Element(_) => None,
        });
        Texts { repeated: repeated.collect(), arrays }
    }

    fn rows(&self, events: &Events, columns: &Events, (elements, origin): (Vec<u32>, &[u32])) -> Events {
        let elements = UInt32Array::from(elements);
        let owners = UInt32Array::from(origin.to_vec());
        let mut made: Vec<ArrayRef> = Vec::with_capacity(self.sources.len());
        let mut nulls = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let (from, slot, rows) = match source {
                Source::Event(slot) => (events, slot, &owners),
                Source::Element(slot) => (columns, slot, &elements),
            };
            let column = from.column(*slot).expect("sources were bound to these fields");
            made.push(take(column, rows, None).expect("the rows taken exist"));
            nulls.push(from.explicit_nulls(*slot).map(|bits| pick(bits, rows)));
        }
        let pick_number = |numbers: &arrow_array::Int64Array| {
            rows_of(origin).map(|event| numbers.value(event)).collect::<Vec<i64>>().into()
        };
        Events {
            fields: self.fields.clone(),
            columns: made,
            nulls,
            records: rows_of(origin).filter_map(|event| events.records().get(event).copied()).collect(),
            offsets: pick_number(events.offsets()),
            timestamps: pick_number(events.timestamps()),
            // Without a payload there is no array: nothing explodes out of a tombstone.
            tombstones: None,
        }
    }
}

fn rows_of(origin: &[u32]) -> impl Iterator<Item = usize> + '_ {
    origin.iter().map(|event| *event as usize)
}

fn pick(bits: &BooleanBuffer, rows: &UInt32Array) -> BooleanBuffer {
    let mut picked = BooleanBufferBuilder::new(rows.len());
    for row in rows.values() {
        picked.append(bits.value(*row as usize));
    }
    picked.finish()
}

/// The texts of events that elements repeat.
struct Texts<'a> {
    repeated: Vec<TypedColumn<'a>>,
    arrays: TypedColumn<'a>,
}

impl Texts<'_> {
    /// Bytes that every element of an event repeats, and bytes of its array.
    fn bytes(&self, event: usize) -> (usize, usize) {
        let length = |column: &TypedColumn<'_>| match column {
            TypedColumn::Text(texts) => texts.value_length(event) as usize,
            TypedColumn::Bytes(bytes) => bytes.value_length(event) as usize,
            _ => 8,
        };
        (self.repeated.iter().map(length).sum(), length(&self.arrays))
    }
}

#[cfg(test)]
mod tests;
