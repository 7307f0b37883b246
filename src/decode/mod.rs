//! Payload bytes to typed Arrow columns. A bad record becomes a value, never a panic, and leaves no trace in the columns.

pub(crate) mod columns;
pub mod elements;
pub mod events;
mod json;
mod plan;

use crate::decode::events::{Events, FieldSet};
use crate::decode::json::JsonDecoder;
use crate::model::batch::{BadRecord, RawBatch};
use crate::topology::Format;

/// Decodes the payloads of one topic, batch by batch.
#[derive(Debug)]
pub struct Decoder {
    format: JsonDecoder,
}

impl Decoder {
    /// A decoder for these fields of payloads in this format.
    #[must_use]
    pub fn new(format: Format, fields: FieldSet) -> Self {
        match format {
            Format::Json => Self { format: JsonDecoder::new(fields) },
        }
    }

    /// The fields that it decodes.
    #[must_use]
    pub fn fields(&self) -> &FieldSet {
        self.format.fields()
    }

    /// The events of a batch; records that are none are appended to `bad`.
    pub fn decode(&mut self, raw: &RawBatch, bad: &mut Vec<BadRecord>) -> Events {
        self.format.decode(raw, bad)
    }
}
