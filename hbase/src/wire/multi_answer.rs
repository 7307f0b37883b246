//! The answer of a Multi, read by hand for what a writer needs of it: which mutations failed, and how loaded the
//! regions are.
//!
//! A thousand puts are answered by a thousand empty results. They are counted as they are read, without a message for
//! each; only failures are kept.
//!
//! # Laws
//! 1. Regions are matched by position, actions by their index (numbered from 1, so a missing index is noticed).
//! 2. An action is done only if its own index stands in the answer without an exception; of two results for one index
//!    a refusal counts, so nothing refused is ever taken for done; an index that was not asked for is ignored.
//! 3. What is kept is bounded by what was asked for.

use bytes::Bytes;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::WireError;
use super::message::NameBytesPair;

const WHAT: &str = "MultiResponse";
const REGION_RESULT: u32 = 1;
const STATISTICS: u32 = 3;
const ACTION_RESULT: u32 = 1;
const REGION_EXCEPTION: u32 = 2;
const INDEX: u32 = 1;
const ACTION_EXCEPTION: u32 = 3;
const STATISTICS_REGION: u32 = 1;
const STATISTICS_LOAD: u32 = 2;
const SPECIFIER_VALUE: u32 = 2;

/// What became of the mutations of one region.
#[derive(Clone, Debug, PartialEq)]
pub enum RegionAnswer {
    /// The region refused all of them.
    Refused(NameBytesPair),
    /// They were answered one by one.
    Answered {
        /// Places (from 0) of those that were refused, ascending, with the reason.
        refused: Vec<(usize, NameBytesPair)>,
        /// Places (from 0) of those without an answer, ascending.
        missing: Vec<usize>,
    },
    /// The answer does not mention the region.
    Missing,
}

/// How loaded a region is, in percent (`RegionLoadStats`). Servers say it only with
/// `hbase.client.backpressure.enabled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionLoad {
    /// How full its memstore is.
    pub memstore: u32,
    /// How full the server's heap is.
    pub heap: u32,
    /// How far its compactions are behind.
    pub compaction: u32,
}

/// An answer, matched to its request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultiAnswer {
    /// By position of the region in the request.
    pub regions: Vec<RegionAnswer>,
    /// By full region name; empty from most servers.
    pub loads: Vec<(Bytes, RegionLoad)>,
}

impl MultiAnswer {
    /// Reads an answer. `rows` are the numbers of mutations by region, as they were asked for.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are no MultiResponse.
    pub fn read(message: &Bytes, rows: &[usize]) -> Result<Self, WireError> {
        let mut answer = Self::default();
        let mut rows = rows.iter();
        let mut seen = Vec::new();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field {
                Field { number: REGION_RESULT, bytes: Some(result), .. } => {
                    // Regions that nobody asked about are ignored.
                    if let Some(count) = rows.next() {
                        answer.regions.push(region(result, *count, &mut seen)?);
                    }
                }
                Field { number: STATISTICS, bytes: Some(statistics), .. } => loads(statistics, &mut answer.loads)?,
                _ => {}
            }
        }
        answer.regions.extend(rows.map(|_| RegionAnswer::Missing));
        Ok(answer)
    }
}

/// What was read of an action so far.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Nothing,
    Done,
    Refused,
}

fn region(result: &[u8], count: usize, seen: &mut Vec<Seen>) -> Result<RegionAnswer, WireError> {
    seen.clear();
    seen.resize(count, Seen::Nothing);
    let mut left = count;
    let mut refused = Vec::new();
    let mut fields = Fields::new(result);
    while let Some(field) = fields.next()? {
        match field {
            Field { number: REGION_EXCEPTION, bytes: Some(pair), .. } => {
                return Ok(RegionAnswer::Refused(pair_of(pair)?));
            }
            Field { number: ACTION_RESULT, bytes: Some(action), .. } => {
                let (place, exception) = outcome(action)?;
                let Some((place, seen)) = place.and_then(|place| Some((place, seen.get_mut(place)?))) else { continue };
                left -= usize::from(*seen == Seen::Nothing);
                match exception {
                    Some(exception) if *seen != Seen::Refused => {
                        *seen = Seen::Refused;
                        refused.push((place, pair_of(exception)?));
                    }
                    None if *seen == Seen::Nothing => *seen = Seen::Done,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    refused.sort_unstable_by_key(|(place, _)| *place);
    let mut missing = Vec::new();
    if left > 0 {
        missing.extend(seen.iter().enumerate().filter(|(_, seen)| **seen == Seen::Nothing).map(|(place, _)| place));
    }
    Ok(RegionAnswer::Answered { refused, missing })
}

/// The place of an action (from 0), and its exception.
fn outcome(action: &[u8]) -> Result<(Option<usize>, Option<&[u8]>), WireError> {
    let (mut place, mut exception) = (None, None);
    let mut fields = Fields::new(action);
    while let Some(field) = fields.next()? {
        match field {
            // Of a number that is too long the low bits count, as in every protobuf reader.
            Field { number: INDEX, bytes: None, value } => place = (value as u32 as usize).checked_sub(1),
            Field { number: ACTION_EXCEPTION, bytes, .. } => exception = bytes,
            _ => {}
        }
    }
    Ok((place, exception))
}

fn loads(statistics: &[u8], loads: &mut Vec<(Bytes, RegionLoad)>) -> Result<(), WireError> {
    let (mut names, mut stats) = (Vec::new(), Vec::new());
    let mut fields = Fields::new(statistics);
    while let Some(field) = fields.next()? {
        match field {
            Field { number: STATISTICS_REGION, bytes: Some(specifier), .. } => {
                let mut name = Bytes::new();
                let mut fields = Fields::new(specifier);
                while let Some(field) = fields.next()? {
                    if let Field { number: SPECIFIER_VALUE, bytes: Some(value), .. } = field {
                        name = Bytes::copy_from_slice(value);
                    }
                }
                names.push(name);
            }
            Field { number: STATISTICS_LOAD, bytes: Some(stat), .. } => {
                let mut load = RegionLoad::default();
                let mut fields = Fields::new(stat);
                while let Some(Field { number, value, .. }) = fields.next()? {
                    // Percentages; anything above is as good as full.
                    let percent = value.min(100) as u32;
                    match number {
                        1 => load.memstore = percent,
                        2 => load.heap = percent,
                        3 => load.compaction = percent,
                        _ => {}
                    }
                }
                stats.push(load);
            }
            _ => {}
        }
    }
    loads.extend(names.into_iter().zip(stats));
    Ok(())
}

fn pair_of(bytes: &[u8]) -> Result<NameBytesPair, WireError> {
    NameBytesPair::decode(bytes).map_err(broken)
}

fn broken(error: prost::DecodeError) -> WireError {
    WireError::Message { what: WHAT, reason: error.to_string() }
}

/// One field of a message: its bytes if it is length-delimited, else its value (0 for fixed-width fields).
struct Field<'a> {
    number: u32,
    value: u64,
    bytes: Option<&'a [u8]>,
}

/// The fields of a message, one behind the other.
struct Fields<'a> {
    length: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(message: &'a [u8]) -> Self {
        Self { length: message.len(), rest: message }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, kind) = decode_key(&mut self.rest).map_err(broken)?;
        let mut field = Field { number, value: 0, bytes: None };
        match kind {
            WireType::Varint => field.value = decode_varint(&mut self.rest).map_err(broken)?,
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.rest).map_err(broken)?;
                let cut = || WireError::Truncated { what: WHAT, at: self.length };
                let whole = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
                let (bytes, rest) = whole.ok_or_else(cut)?;
                self.rest = rest;
                field.bytes = Some(bytes);
            }
            WireType::SixtyFourBit | WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup => {
                skip_field(kind, number, &mut self.rest, DecodeContext::default()).map_err(broken)?;
            }
        }
        Ok(Some(field))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::{RegionActionResult, ResultMessage, ResultOrException};
    use super::*;

    fn pair(name: &str) -> NameBytesPair {
        NameBytesPair { name: name.to_owned(), value: Some(Bytes::from_static(b"why")) }
    }

    fn action(index: Option<u32>, exception: Option<&str>) -> ResultOrException {
        let result = exception.is_none().then(ResultMessage::default);
        ResultOrException { index, result, exception: exception.map(pair) }
    }

    fn message(regions: Vec<RegionActionResult>) -> Bytes {
        let mut message = Vec::new();
        regions.iter().for_each(|region| prost::encoding::message::encode(REGION_RESULT, region, &mut message));
        message.into()
    }

    fn region_of(actions: Vec<ResultOrException>) -> RegionActionResult {
        RegionActionResult { result_or_exception: actions, ..RegionActionResult::default() }
    }

    #[test]
    fn results_in_any_order_find_their_actions_by_index() {
        let actions = vec![action(Some(3), None), action(Some(1), Some("x")), action(Some(2), None)];
        let answer = MultiAnswer::read(&message(vec![region_of(actions)]), &[3]).expect("an answer");
        assert_eq!(answer.regions, [RegionAnswer::Answered { refused: vec![(0, pair("x"))], missing: vec![] }]);
    }

    #[test]
    fn what_has_no_index_of_its_own_is_missing() {
        let actions = vec![action(None, None), action(Some(0), None), action(Some(9), None), action(Some(2), None)];
        let answer = MultiAnswer::read(&message(vec![region_of(actions)]), &[3]).expect("an answer");
        assert_eq!(answer.regions, [RegionAnswer::Answered { refused: vec![], missing: vec![0, 2] }]);
    }

    #[test]
    fn of_two_results_for_one_action_a_refusal_counts() {
        let refusal = || action(Some(1), Some("x"));
        let done = || action(Some(1), None);
        for actions in [vec![refusal(), done()], vec![done(), refusal()], vec![refusal(), action(Some(1), Some("y"))]] {
            let answer = MultiAnswer::read(&message(vec![region_of(actions)]), &[1]).expect("an answer");
            assert_eq!(answer.regions, [RegionAnswer::Answered { refused: vec![(0, pair("x"))], missing: vec![] }]);
        }
    }

    #[test]
    fn a_region_may_be_refused_or_missing_and_a_spare_one_is_ignored() {
        let refused = RegionActionResult { exception: Some(pair("gone")), ..RegionActionResult::default() };
        let answer = MultiAnswer::read(&message(vec![refused.clone()]), &[2, 1]).expect("an answer");
        assert_eq!(answer.regions, [RegionAnswer::Refused(pair("gone")), RegionAnswer::Missing]);
        let answer = MultiAnswer::read(&message(vec![refused.clone(), refused]), &[2]).expect("an answer");
        assert_eq!(answer.regions, [RegionAnswer::Refused(pair("gone"))]);
    }

    #[test]
    fn load_statistics_are_read() {
        // {3: {1: {1: 1, 2: "r"}, 2: {1: 50, 2: 96, 3: 7}}}
        let bytes = b"\x1a\x0f\x0a\x05\x08\x01\x12\x01r\x12\x06\x08\x32\x10\x60\x18\x07";
        let answer = MultiAnswer::read(&Bytes::from_static(bytes), &[]).expect("an answer");
        assert_eq!(answer.loads, [("r".into(), RegionLoad { memstore: 50, heap: 96, compaction: 7 })]);
    }

    proptest! {
        #[test]
        fn says_what_prost_and_a_naive_match_say(
            regions in prop::collection::vec(prop::collection::vec((0_u32..9, any::<bool>()), 0..9), 0..4),
            counts in prop::collection::vec(0_usize..8, 0..5),
        ) {
            let results: Vec<RegionActionResult> = regions
                .iter()
                .map(|actions| region_of(
                    actions.iter().map(|(index, fails)| action(Some(*index), fails.then_some("x"))).collect()
                ))
                .collect();
            let answer = MultiAnswer::read(&message(results.clone()), &counts).expect("an answer");
            prop_assert_eq!(answer.regions.len(), counts.len());
            for (at, count) in counts.iter().enumerate() {
                let expected = match results.get(at) {
                    None => RegionAnswer::Missing,
                    Some(result) => {
                        let of = |place: usize| result.result_or_exception.iter()
                            .filter(move |it| it.index == Some(place as u32 + 1));
                        let refused = (0..*count)
                            .filter_map(|place| Some((place, of(place).find_map(|it| it.exception.clone())?)))
                            .collect();
                        let missing = (0..*count).filter(|place| of(*place).next().is_none()).collect();
                        RegionAnswer::Answered { refused, missing }
                    }
                };
                prop_assert_eq!(&answer.regions[at], &expected);
            }
        }

        #[test]
        fn junk_is_an_error_or_an_answer_but_never_a_panic(
            junk in prop::collection::vec(any::<u8>(), 0..200), counts in prop::collection::vec(0_usize..5, 0..5),
        ) {
            let _ = MultiAnswer::read(&junk.into(), &counts);
        }
    }

    #[test]
    fn an_answer_cut_off_anywhere_is_no_panic() {
        let whole = message(vec![region_of(vec![action(Some(1), None), action(Some(2), Some("x"))])]);
        for length in 0..whole.len() {
            let _ = MultiAnswer::read(&whole.slice(..length), &[2]);
        }
    }
}
