//! One record in all its parts: what its envelope says, and from which part each field is taken.

use super::Open;
use super::columns::ColumnBuilder;
use super::layout::{CloudEvent, Layout, Origin, RecordField, RecordSource};
use super::reading::{Envelope, NullPayload};
use super::row::{Found, Row, from_i64};
use super::{Reader, raw};
use crate::model::batch::{RawBatch, RawRecord};
use crate::model::value::Value;

/// What a good record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// One event, with its row or data in this place.
    Event(Image),
    /// Nothing that a model could want.
    Skipped,
}

/// Where the row or the data of an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// In the payload; of a Debezium event, after the change.
    Payload,
    /// Of a Debezium event: before the change.
    Before,
    /// In the `data` of a structured `CloudEvent`.
    Structured,
    /// Nowhere: the payload is null.
    Tombstone,
}

/// Reads the records of a batch one after the other.
pub(super) struct Record<'de, 's> {
    pub(super) layout: &'s Layout,
    pub(super) null_payload: NullPayload,
    pub(super) payload: Open<'de, 's>,
    pub(super) structured: Open<'de, 's>,
    pub(super) key: Open<'de, 's>,
    pub(super) record: Row<'de, 's>,
}

impl<'de> Record<'de, '_> {
    /// Reads a record into the slots of all parts. After an error nothing in them counts.
    pub(super) fn read(&mut self, batch: &'de RawBatch, index: usize) -> Result<Outcome, String> {
        let Some(record) = batch.records.get(index) else { return Ok(Outcome::Skipped) };
        self.payload.row.reset();
        let payload = batch.payload(record);
        let outcome = match payload {
            Some(payload) => self.read_payload(batch, index, payload)?,
            None => match self.null_payload {
                NullPayload::Delete => Outcome::Event(Image::Tombstone),
                NullPayload::Skip => Outcome::Skipped,
                NullPayload::Bad => {
                    return Err("the payload is null (a log-compaction tombstone), and the topic's events have none; \
                                null_payload = \"delete\" or \"skip\" of the topic would take it"
                        .to_owned());
                }
            },
        };
        if outcome == Outcome::Skipped {
            return Ok(outcome);
        }
        self.read_key(batch.key(record))?;
        if !self.layout.record.is_empty() {
            self.read_record(batch, index, record)?;
        }
        Ok(outcome)
    }

    fn read_payload(&mut self, batch: &'de RawBatch, index: usize, payload: &'de [u8]) -> Result<Outcome, String> {
        match (self.layout.envelope, self.layout.cloud_event) {
            (Envelope::None, _) | (Envelope::CloudEvents, None) => {
                self.payload.read(payload)?;
                Ok(Outcome::Event(Image::Payload))
            }
            (Envelope::Debezium, _) => {
                self.payload.read(payload)?;
                self.debezium()
            }
            (Envelope::CloudEvents, Some(marks)) => self.cloud_event(batch, (index, payload), marks),
        }
    }

    /// Which image of the row counts, by the operation.
    fn debezium(&self) -> Result<Outcome, String> {
        match self.layout.op.and_then(|op| self.payload.row.text(op)) {
            Some("c" | "r" | "u") => Ok(Outcome::Event(Image::Payload)),
            Some("d") => Ok(Outcome::Event(Image::Before)),
            // A message of the database's log is about no row.
            Some("m") => Ok(Outcome::Skipped),
            Some("t") => Err("the event truncates its table (op t), which cannot be told row by row; \
                              delete the read model's rows, and load them again"
                .to_owned()),
            Some(_) => Err("field `op` must be c, r, u, d, m or t of Debezium, but is something else".to_owned()),
            None => Err("the payload is no Debezium event: it has no `op`".to_owned()),
        }
    }

    fn cloud_event(
        &mut self,
        batch: &'de RawBatch,
        (index, payload): (usize, &'de [u8]),
        marks: CloudEvent,
    ) -> Result<Outcome, String> {
        let header = |number| batch.header(index, number).flatten();
        let content_type = header(marks.content_type).unwrap_or_default();
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if media_type.eq_ignore_ascii_case(b"application/cloudevents+json") {
            return self.structured_event(payload, marks);
        }
        if media_type.to_ascii_lowercase().starts_with(b"application/cloudevents") {
            return Err("the event is a CloudEvent in a structured mode other than application/cloudevents+json; \
                        this one or the binary mode can be read"
                .to_owned());
        }
        if header(marks.spec_version).is_none() {
            return Err("the record is no CloudEvent: it has neither a header `ce_specversion` (binary mode) nor the \
                        content type application/cloudevents+json (structured mode)"
                .to_owned());
        }
        self.payload.read(payload)?;
        Ok(Outcome::Event(Image::Payload))
    }

    fn structured_event(&mut self, payload: &'de [u8], marks: CloudEvent) -> Result<Outcome, String> {
        if matches!(self.structured.reader, Reader::Nothing) {
            return Err("the event is a CloudEvent in structured mode, whose data is JSON, and the topic's format is \
                        another one"
                .to_owned());
        }
        self.structured.row.reset();
        self.structured.read(payload)?;
        if self.structured.row.text(marks.structured_version).is_none() {
            return Err("the payload is no CloudEvent: it has no `specversion`".to_owned());
        }
        if !self.structured.row.is_absent(marks.data_base64) && self.payload.row.len() > 0 {
            return Err(
                "the data of the CloudEvent is base64 (`data_base64`), and the topic's format is JSON".to_owned()
            );
        }
        Ok(Outcome::Event(Image::Structured))
    }

    fn read_key(&mut self, key: Option<&'de [u8]>) -> Result<(), String> {
        if matches!(self.key.reader, Reader::Nothing) {
            return Ok(());
        }
        self.key.row.reset();
        match key {
            Some(key) => self.key.read(key).map_err(|cause| format!("in the record's key: {cause}")),
            None => {
                self.key.row.fill(0..self.key.row.len(), &Found::Null);
                Ok(())
            }
        }
    }

    fn read_record(&mut self, batch: &'de RawBatch, index: usize, record: &RawRecord) -> Result<(), String> {
        self.record.reset();
        for (slot, field) in self.layout.record.iter().enumerate() {
            let found = match field.source {
                RecordSource::Key => self.bytes(field, Some(batch.key(record)))?,
                RecordSource::Payload => self.bytes(field, Some(batch.payload(record)))?,
                RecordSource::Header(number) => self.bytes(field, batch.header(index, number))?,
                RecordSource::Offset => number(field, record.offset.0),
                RecordSource::Timestamp if record.timestamp_ms < 0 => Found::Absent,
                RecordSource::Timestamp => number(field, record.timestamp_ms),
                RecordSource::Partition => number(field, i64::from(batch.partition.partition)),
                RecordSource::Topic => Found::Value(Value::Text(&batch.partition.topic)),
            };
            self.record.set(slot, found);
        }
        Ok(())
    }

    fn bytes(&mut self, field: &RecordField, bytes: Option<Option<&'de [u8]>>) -> Result<Found<'de>, String> {
        let Some(bytes) = bytes else { return Ok(Found::Absent) };
        let Some(bytes) = bytes else { return Ok(Found::Null) };
        raw::value(bytes, (field.data_type, field.written), self.record.scratch)
            .map_err(|wanted| format!("field `{}` must be {wanted}, but is {} other bytes", field.path, bytes.len()))
    }

    /// Appends what the record says about a field of the events to its column.
    #[inline]
    pub(super) fn append(&self, slot: usize, image: Image, column: &mut ColumnBuilder) {
        match (self.layout.origins.get(slot), image) {
            (Some(Origin::Payload(slot)), _) => self.payload.row.append(*slot, column),
            (Some(Origin::Image { before, .. }), Image::Before) => self.payload.row.append(*before, column),
            (Some(Origin::Image { after, .. }), _) => self.payload.row.append(*after, column),
            (Some(Origin::Key(slot)), _) => self.key.row.append(*slot, column),
            (Some(Origin::Record(slot)), _) => self.record.append(*slot, column),
            (Some(Origin::Data { structured, .. } | Origin::Attribute { structured, .. }), Image::Structured) => {
                self.structured.row.append(*structured, column)
            }
            (Some(Origin::Data { binary, .. }), _) => self.payload.row.append(*binary, column),
            (Some(Origin::Attribute { record, .. }), _) => self.record.append(*record, column),
            (None, _) => column.push_absent(),
        }
    }
}

/// The layout allows only types that hold it.
fn number<'de>(field: &RecordField, number: i64) -> Found<'de> {
    from_i64(field.data_type, number).map_or(Found::Absent, Found::Value)
}
