//! Records of one partition that a private reader has fetched and not announced yet. Pure.
//!
//! The shared reader closes a batch where its records end. A private one must be able to end *below* its last record,
//! exactly where the shared read goes on; what lies beyond stays here.

use std::ops::Range;

use crate::model::batch::{RawBatch, RawHeader, RawRecord};
use crate::progress::offset::{Offset, Span, TopicPartition};

/// Fetched records, from where the next span starts.
#[derive(Debug)]
pub(super) struct Buffer {
    partition: TopicPartition,
    /// Where the next span starts.
    start: Offset,
    /// Behind the last offset that is known: of a record, or one that holds none.
    next: Offset,
    records: Vec<RawRecord>,
    arena: Vec<u8>,
    headers: Vec<RawHeader>,
}

impl Buffer {
    pub(super) fn new(partition: TopicPartition, start: Offset) -> Self {
        Self { partition, start, next: start, records: Vec::new(), arena: Vec::new(), headers: Vec::new() }
    }

    /// Where the next span starts.
    pub(super) fn start(&self) -> Offset {
        self.start
    }

    /// The next offset to read.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// Records held.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes of keys and payloads held.
    pub(super) fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Adds a record; one that was read before is left out. Returns whether it was added.
    pub(super) fn push(
        &mut self,
        offset: Offset,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
    ) -> bool {
        if offset < self.next {
            return false;
        }
        let arena = &mut self.arena;
        let key = key.map(|bytes| append(arena, bytes));
        let payload = payload.map(|bytes| append(arena, bytes));
        self.records.push(RawRecord { offset, timestamp_ms, key, payload });
        self.next = Offset(offset.0 + 1);
        true
    }

    /// Adds a header of the record that was added last.
    pub(super) fn push_header(&mut self, number: u16, value: Option<&[u8]>) {
        let Some(record) = self.records.len().checked_sub(1) else { return };
        let value = value.map(|bytes| append(&mut self.arena, bytes));
        self.headers.push(RawHeader { record: record as u32, number, value });
    }

    /// Everything that is held, to look at.
    pub(super) fn all(&self) -> Option<RawBatch> {
        let span = Span::new(self.start, self.next)?;
        let (records, arena, headers) = (self.records.clone(), self.arena.clone(), self.headers.clone());
        Some(RawBatch { partition: self.partition.clone(), span, records, arena, headers })
    }

    /// Takes note that there is no record up to `position`.
    pub(super) fn skip_to(&mut self, position: Offset) {
        self.next = self.next.max(position);
    }

    /// Takes everything below `limit`, or everything. `None` if that is not a single offset.
    pub(super) fn take(&mut self, limit: Option<Offset>) -> Option<RawBatch> {
        let end = limit.map_or(self.next, |limit| limit.min(self.next));
        let span = Span::new(self.start, end)?;
        let kept = self.records.partition_point(|record| record.offset < end);
        let beyond = self.records.split_off(kept);
        let records = std::mem::take(&mut self.records);
        let arena = std::mem::take(&mut self.arena);
        let mut headers = std::mem::take(&mut self.headers);
        let later = headers.split_off(headers.partition_point(|header| (header.record as usize) < kept));
        self.start = end;
        for record in beyond {
            let slice = |range: Option<Range<u32>>| range.and_then(|at| arena.get(at.start as usize..at.end as usize));
            let (key, payload) = (slice(record.key), slice(record.payload));
            let key = key.map(|bytes| append(&mut self.arena, bytes));
            let payload = payload.map(|bytes| append(&mut self.arena, bytes));
            self.records.push(RawRecord { key, payload, ..record });
        }
        for RawHeader { record, number, value } in later {
            let value = value.and_then(|at| arena.get(at.start as usize..at.end as usize));
            let value = value.map(|bytes| append(&mut self.arena, bytes));
            self.headers.push(RawHeader { record: record - kept as u32, number, value });
        }
        Some(RawBatch { partition: self.partition.clone(), span, records, arena, headers })
    }
}

/// Appends bytes; a buffer is not filled beyond a few megabytes.
fn append(arena: &mut Vec<u8>, bytes: &[u8]) -> Range<u32> {
    let start = arena.len() as u32;
    arena.extend_from_slice(bytes);
    start..arena.len() as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn buffer(start: i64) -> Buffer {
        Buffer::new(TopicPartition { topic: Arc::from("t"), partition: 0 }, Offset(start))
    }

    #[test]
    fn headers_stay_with_their_records() {
        let mut buffer = buffer(0);
        for offset in 0..4_i64 {
            assert!(buffer.push(Offset(offset), 7, None, Some(b"x")));
            buffer.push_header(offset as u16, Some(offset.to_string().as_bytes()));
        }
        let values = |batch: &RawBatch| -> Vec<(u32, u16, Vec<u8>)> {
            let bytes = |at: &Range<u32>| batch.arena[at.start as usize..at.end as usize].to_vec();
            let one =
                |header: &RawHeader| (header.record, header.number, header.value.as_ref().map(bytes).expect("said"));
            batch.headers.iter().map(one).collect()
        };
        let first = buffer.take(Some(Offset(3))).expect("three");
        assert_eq!(values(&first), [(0, 0, b"0".to_vec()), (1, 1, b"1".to_vec()), (2, 2, b"2".to_vec())]);
        let second = buffer.take(None).expect("one");
        assert_eq!(values(&second), [(0, 3, b"3".to_vec())]);
    }

    #[test]
    fn offsets_without_records_are_part_of_the_span() {
        let mut buffer = buffer(5);
        assert!(buffer.take(None).is_none());
        buffer.skip_to(Offset(9));
        let batch = buffer.take(None).expect("four offsets");
        assert_eq!((batch.span, batch.records.len()), (Span::new(Offset(5), Offset(9)).expect("not empty"), 0));
    }

    proptest! {
        /// The naive model is the list of all records: spans follow each other, and every record is in the one that it
        /// belongs to, with its bytes.
        #[test]
        fn cuts_lose_nothing_and_repeat_nothing(
            gaps in prop::collection::vec(1_i64..4, 1..60),
            cuts in prop::collection::vec((0_usize..8, prop::option::of(0_i64..200)), 1..40),
        ) {
            let mut buffer = buffer(0);
            let mut all = Vec::new();
            let mut offset = -1;
            for gap in gaps {
                offset += gap;
                all.push(offset);
            }
            let (mut pushed, mut next, mut seen) = (0, Offset(0), Vec::new());
            for (more, limit) in cuts {
                for offset in all.iter().skip(pushed).take(more) {
                    buffer.push(Offset(*offset), 7, None, Some(offset.to_string().as_bytes()));
                    buffer.push(Offset(*offset), 7, None, Some(b"again"));
                }
                pushed = (pushed + more).min(all.len());
                let before = buffer.next();
                if let Some(batch) = buffer.take(limit.map(Offset)) {
                    prop_assert_eq!(batch.span.start(), next);
                    next = batch.span.end();
                    prop_assert_eq!(next, limit.map_or(before, |limit| Offset(limit).min(before)));
                    for record in &batch.records {
                        prop_assert!(record.offset >= batch.span.start() && record.offset < batch.span.end());
                        let payload = batch.payload(record).expect("a payload");
                        let expected = record.offset.0.to_string();
                        prop_assert_eq!(payload, expected.as_bytes());
                        seen.push(record.offset.0);
                    }
                }
                prop_assert_eq!(buffer.start(), next);
            }
            let expected: Vec<i64> = all.iter().take(pushed).copied().filter(|offset| *offset < next.0).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
