//! What the counting sink was given, and whether it is right: rows, cells and digest of every batch against a fold of the
//! events at the same offsets.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;
use halcyon::chat::expect::Expected;
use halcyon::chat::{Event, Kind};
use hbase::wire::cell_block;
use serde::{Deserialize, Serialize};

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// An odd constant without a pattern (splitmix64's second).
const ODD: u64 = 0x94D0_49BB_1331_11EB;
/// Bytes of a cell's length, which does not count itself.
const LENGTH: usize = 4;

/// One batch as the sink got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wrote {
    pub(super) partition: i32,
    /// The first offset, and the one behind the last.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) rows: u64,
    pub(super) cells: u64,
    pub(super) digest: u64,
}

/// Everything that the sink got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) wrote: Vec<Wrote>,
    /// From the first batch to the last.
    pub(super) flowing_s: f64,
}

impl Answer {
    /// Events a second behind the first batch.
    pub(super) fn flowing(&self) -> f64 {
        let events: i64 = self.wrote.iter().skip(1).map(|wrote| wrote.end - wrote.start).sum();
        events as f64 / self.flowing_s
    }
}

/// Cells of a block, and the sum of a hash of each: the order of the cells does not matter, every byte of each does.
pub(super) fn digest(block: &[u8]) -> anyhow::Result<(u64, u64)> {
    let (mut rest, mut cells, mut sum) = (block, 0, 0_u64);
    while let Some((length, behind)) = rest.split_first_chunk::<LENGTH>() {
        let cell = behind.get(..u32::from_be_bytes(*length) as usize).context("a cell is cut off")?;
        sum = sum.wrapping_add(hash(cell));
        cells += 1;
        rest = behind.get(cell.len()..).unwrap_or_default();
    }
    ensure!(rest.is_empty(), "{} bytes behind the last cell", rest.len());
    Ok((cells, sum))
}

/// Each word by its place, so that the multiplications do not wait for each other; mixed at the end.
fn hash(cell: &[u8]) -> u64 {
    let (words, last) = cell.as_chunks::<8>();
    let (mut sum, mut place) = (cell.len() as u64, GOLDEN);
    let mut add = |word: u64| {
        let mixed = (word ^ place).wrapping_mul(ODD);
        sum = sum.wrapping_add(mixed ^ mixed >> 29);
        place = place.wrapping_add(GOLDEN);
    };
    words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
    add(last.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    let mixed = (sum ^ sum >> 32).wrapping_mul(GOLDEN);
    mixed ^ mixed >> 29
}

/// Folds the events of each batch while the topic is read in order.
#[derive(Debug, Default)]
pub(super) struct Checker {
    partitions: BTreeMap<i32, Partition>,
    batches: u64,
    events: u64,
    rows: u64,
    cells: u64,
}

#[derive(Debug, Default)]
struct Partition {
    /// Batches that are not checked yet; the first one is being folded.
    batches: VecDeque<Wrote>,
    expected: Expected,
}

impl Checker {
    /// An error if the batches of a partition do not follow each other from its beginning.
    pub(super) fn new(answer: Answer) -> anyhow::Result<Self> {
        let mut wrote = answer.wrote;
        wrote.sort_unstable_by_key(|wrote| (wrote.partition, wrote.start));
        let mut checker = Self::default();
        for batch in wrote {
            let batches = &mut checker.partitions.entry(batch.partition).or_default().batches;
            let next = batches.back().map_or(0, |before| before.end);
            ensure!(
                batch.start == next,
                "partition {}: offsets from {next}, not from {}",
                batch.partition,
                batch.start
            );
            batches.push_back(batch);
        }
        Ok(checker)
    }

    /// The next event of a partition.
    pub(super) fn add(&mut self, (partition, offset): (i32, i64), event: &Event) -> anyhow::Result<()> {
        let lane = self.partitions.get_mut(&partition);
        let lane = lane.with_context(|| format!("partition {partition} was not written"))?;
        let batch = lane.batches.front().copied();
        let batch = batch.with_context(|| format!("partition {partition}: offset {offset} was not written"))?;
        ensure!((batch.start..batch.end).contains(&offset), "partition {partition}: {offset} is not in {batch:?}");
        lane.expected.add(event);
        self.events += 1;
        if offset + 1 < batch.end {
            return Ok(());
        }
        let (rows, cells, digest) = folded(std::mem::take(&mut lane.expected))?;
        let found = (batch.rows, batch.cells, batch.digest);
        if found != (rows, cells, digest) {
            bail!("{batch:?} should have {rows} rows, {cells} cells, digest {digest}");
        }
        lane.batches.pop_front();
        (self.batches, self.rows, self.cells) = (self.batches + 1, self.rows + rows, self.cells + cells);
        Ok(())
    }

    /// An error if a batch holds offsets that the topic does not have.
    pub(super) fn finish(self) -> anyhow::Result<String> {
        if let Some(batch) = self.partitions.values().find_map(|lane| lane.batches.front()) {
            bail!("{batch:?} has more than the topic");
        }
        let Self { batches, events, rows, cells, .. } = self;
        ensure!(events > 0, "no event was checked");
        Ok(format!("{events} events in {batches} batches, {rows} rows, {cells} cells: none differs"))
    }
}

fn folded(expected: Expected) -> anyhow::Result<(u64, u64, u64)> {
    let (rows, mut block) = (expected.len() as u64, BytesMut::new());
    expected.into_rows().flatten().for_each(|cell| cell_block::encode(&cell, &mut block));
    let (cells, digest) = digest(&block)?;
    Ok((rows, cells, digest))
}

/// An event as it was sent.
pub(super) fn event_of_json(payload: &[u8]) -> anyhow::Result<Event> {
    let json: serde_json::Value = serde_json::from_slice(payload)?;
    let number = |field: &str| json.get(field).and_then(serde_json::Value::as_u64);
    let text = |field: &str| json.get(field).and_then(serde_json::Value::as_str).context("a text");
    Ok(Event {
        message_id: number("message_id").context("message_id")?,
        room_id: number("room_id").context("room_id")?,
        account_id: number("account_id"),
        kind: kind(text("type")?)?,
        body: text("body")?.to_owned(),
        version: number("version").context("version")?,
        sent_at: number("sent_at"),
    })
}

pub(super) fn kind(name: &str) -> anyhow::Result<Kind> {
    let kinds = [Kind::Posted, Kind::Edited, Kind::Deleted];
    kinds.into_iter().find(|kind| kind.name() == name).with_context(|| format!("no event is of type {name}"))
}

#[cfg(test)]
mod tests {
    use halcyon::chat::{Edits, Events};

    use super::*;

    /// Makes an answer wrong.
    type Spoil = fn(&mut Vec<Wrote>);

    /// Ten events of one partition as two batches.
    fn right() -> (Vec<Event>, Answer) {
        let events: Vec<Event> = Events::new(7, Edits::Whole).take(10).collect();
        let wrote = [(0, 4), (4, 10)].map(|(start, end)| {
            let mut expected = Expected::default();
            events[start..end].iter().for_each(|event| expected.add(event));
            let (rows, cells, digest) = folded(expected).expect("cells");
            Wrote { partition: 3, start: start as i64, end: end as i64, rows, cells, digest }
        });
        (events, Answer { wrote: wrote.to_vec(), flowing_s: 2.0 })
    }

    fn check(events: &[Event], answer: Answer) -> anyhow::Result<String> {
        let mut checker = Checker::new(answer)?;
        events.iter().enumerate().try_for_each(|(offset, event)| checker.add((3, offset as i64), event))?;
        checker.finish()
    }

    #[test]
    fn a_right_answer_is_taken_in_any_order_of_its_batches() {
        let (events, mut answer) = right();
        assert_eq!(answer.flowing(), 3.0, "six events behind the first batch, in two seconds");
        assert!(check(&events, answer.clone()).expect("right").starts_with("10 events in 2 batches, "));
        answer.wrote.reverse();
        check(&events, answer).expect("right");
    }

    #[test]
    fn every_wrong_answer_is_refused() {
        let (events, answer) = right();
        let wrong: [(&str, Spoil); 8] = [
            ("a row too many", |wrote| wrote[0].rows += 1),
            ("a cell is missing", |wrote| wrote[1].cells -= 1),
            ("a byte differs", |wrote| wrote[1].digest ^= 1),
            ("a batch is missing", |wrote| {
                wrote.remove(0);
            }),
            ("the last batch is missing", |wrote| {
                wrote.pop();
            }),
            ("a batch came twice", |wrote| wrote.push(wrote[1])),
            ("more than the log", |wrote| wrote[1].end += 1),
            ("nothing was written", Vec::clear),
        ];
        for (what, spoil) in wrong {
            let mut spoilt = answer.clone();
            spoil(&mut spoilt.wrote);
            assert!(check(&events, spoilt).is_err(), "{what}");
        }
        let mut other = events.clone();
        other[9].body.push('!');
        assert!(check(&other, answer.clone()).is_err(), "a body differs");
        assert!(check(&events[..9], answer).is_err(), "an event less than was written");
    }

    #[test]
    fn the_digest_knows_every_byte_of_a_cell_and_not_the_order_of_cells() {
        let cell = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        let (a, b) = (cell(b"a cell of some length, more than a word"), cell(b"another"));
        let both = |a: &[u8], b: &[u8]| digest(&[a, b].concat()).expect("two cells");
        assert_eq!(both(&a, &b), both(&b, &a));
        for at in LENGTH..a.len() {
            let mut other = a.clone();
            other[at] ^= 0x20;
            assert_ne!(both(&a, &b), both(&other, &b), "byte {at}");
        }
        assert!(digest(&a[..a.len() - 1]).is_err());
        assert!(digest(&[&a[..], &[0, 0]].concat()).is_err());
    }

    #[test]
    fn events_are_read_back_as_they_were_sent() {
        for event in Events::new(7, Edits::Whole).take(300) {
            let mut json = Vec::new();
            event.write_json(&mut json);
            assert_eq!(event_of_json(&json).expect("its own JSON"), event);
        }
    }
}
