//! The elements of arrays within events, as columns: the children of an Arrow list, with its offsets.
//!
//! The shape is that of every format. Formats that have lists of their own can fill it from them; where an array stands
//! as JSON text (a `json` field), [`ElementDecoder`] does.

use std::ops::Range;

use arrow_buffer::OffsetBuffer;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::Decoder;
use crate::decode::events::{Events, FieldSet};
use crate::model::batch::{BadRecord, RawBatch, RawRecord};
use crate::model::each::INDEX_FIELD;
use crate::model::value::TypedColumn;
use crate::progress::offset::{Offset, Span, TopicPartition};
use crate::topology::Format;

/// The elements of one array field over the events of a batch.
#[derive(Debug)]
pub struct Elements {
    /// Elements `offsets[i]..offsets[i + 1]` are those of event `i`.
    pub offsets: OffsetBuffer<i32>,
    /// The fields of the elements, one row an element.
    pub columns: Events,
    /// Events whose array or elements are not what they should be, with the cause, in the order of the events. Their
    /// good elements are among the columns.
    pub bad: Vec<(usize, String)>,
}

/// Decodes arrays that stand as JSON text.
#[derive(Debug)]
pub struct ElementDecoder {
    path: String,
    decoder: Decoder,
    /// What stands before and behind an element so that its fields have their full paths.
    before: String,
    behind: String,
}

impl ElementDecoder {
    /// A decoder of these fields of the elements of the array at `path`. The fields have their full paths; the array's own
    /// path is the element itself, [`INDEX_FIELD`] its place.
    #[must_use]
    pub fn new(path: &str, fields: FieldSet) -> Self {
        let mut before = String::new();
        let mut behind = String::from("}");
        for (depth, name) in path.split('.').enumerate() {
            if depth > 0 {
                before.push('{');
                behind.push('}');
            }
            before.push_str(&serde_json::Value::from(name).to_string());
            before.push(':');
        }
        let decoder =
            Decoder::new(Format::Json, fields).expect("elements have fields of their array's path and `$index`");
        Self { path: path.to_owned(), decoder, before, behind }
    }

    /// The fields of the elements.
    #[must_use]
    pub fn fields(&self) -> &FieldSet {
        self.decoder.fields()
    }

    /// The elements of the arrays in this column, one array an event; no array, a null and one that is not wanted are an
    /// empty one.
    ///
    /// # Panics
    /// If the texts of all elements have 2 GiB or more. Batches are far below that.
    pub fn decode(&mut self, arrays: TypedColumn<'_>, events: usize, is_wanted: &dyn Fn(usize) -> bool) -> Elements {
        let mut split = Split { before: &self.before, behind: &self.behind, arena: Vec::new(), records: Vec::new() };
        let mut bad = Vec::new();
        let mut owners = Vec::new();
        for event in (0..events).filter(|event| is_wanted(*event)) {
            let TypedColumn::Text(texts) = arrays else { break };
            let Some(text) = arrays.is_valid(event).then(|| texts.value(event)) else { continue };
            let start = split.records.len();
            if split.array(text).is_err() {
                split.records.truncate(start);
                bad.push((event, format!("field `{}` must be an array, but is {}", self.path, kind(text))));
                continue;
            }
            owners.resize(split.records.len(), event);
        }
        let Split { arena, records, .. } = split;
        let end = Offset(records.len().max(1) as i64);
        let partition = TopicPartition { topic: "".into(), partition: 0 };
        let span = Span::new(Offset(0), end).expect("the end is at least 1");
        let raw = RawBatch { partition, span, records, arena, headers: Vec::new() };
        let mut bad_elements = Vec::new();
        let columns = self.decoder.decode(&raw, &mut bad_elements);
        for BadRecord { record, cause, .. } in bad_elements {
            if let Some(event) = owners.get(record) {
                bad.push((*event, cause));
            }
        }
        bad.sort_by_key(|(event, _)| *event);
        bad.dedup_by_key(|(event, _)| *event);
        let offsets = offsets(&columns, &owners, events);
        Elements { offsets, columns, bad }
    }
}

/// How many elements each event has, of those that could be decoded.
fn offsets(columns: &Events, owners: &[usize], events: usize) -> OffsetBuffer<i32> {
    let mut lengths = vec![0_usize; events];
    for record in columns.records() {
        let owner = owners.get(*record as usize).copied();
        if let Some(length) = owner.and_then(|event| lengths.get_mut(event)) {
            *length += 1;
        }
    }
    OffsetBuffer::from_lengths(lengths)
}

/// What a JSON text is, for a cause.
fn kind(text: &str) -> &'static str {
    match text.trim_start().chars().next() {
        Some('{') => "an object",
        Some('"') => "a string",
        Some('t' | 'f') => "a truth value",
        _ => "a number",
    }
}

/// Cuts arrays into one record for each element.
struct Split<'a> {
    before: &'a str,
    behind: &'a str,
    arena: Vec<u8>,
    records: Vec<RawRecord>,
}

impl Split<'_> {
    fn array(&mut self, text: &str) -> Result<(), serde_json::Error> {
        serde_json::Deserializer::from_str(text).deserialize_seq(ArrayVisitor { split: self })
    }

    fn element(&mut self, index: usize, text: &str) {
        let start = self.arena.len();
        let named = format!("{{\"{INDEX_FIELD}\":{index},");
        for part in [named.as_str(), self.before, text, self.behind] {
            self.arena.extend_from_slice(part.as_bytes());
        }
        let payload: Option<Range<u32>> = Some(start as u32..self.arena.len() as u32);
        let offset = Offset(self.records.len() as i64);
        self.records.push(RawRecord { offset, timestamp_ms: -1, key: None, payload });
    }
}

struct ArrayVisitor<'s, 'a> {
    split: &'s mut Split<'a>,
}

impl<'de> Visitor<'de> for ArrayVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(element) = array.next_element::<&RawValue>()? {
            self.split.element(index, element.get());
            index += 1;
        }
        Ok(())
    }
}
