//! The request of a Multi, written by hand for its one shape: region actions of mutations whose cells are in the cell
//! block. The row is left out of every mutation: the server takes it from the first cell (`ProtobufUtil.toPut`).
//!
//! A thousand puts cost about ten kilobytes of protobuf beside their cells, and no allocation each.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

use super::frame::request_with;
use super::message::{MutationProto, RegionSpecifier, RequestHeader};
use crate::mutation::Durability;
use crate::row_block::{MutationKind, RowSpan};

const MULTI_REGION_ACTION: u8 = (1 << 3) | 2;
const REGION_ACTION_REGION: u8 = (1 << 3) | 2;
const REGION_ACTION_ACTION: u8 = (3 << 3) | 2;
const REGION_KIND: u8 = 1 << 3;
const REGION_VALUE: u8 = (2 << 3) | 2;
const ACTION_INDEX: u8 = 1 << 3;
const ACTION_MUTATION: u8 = (2 << 3) | 2;
const MUTATION_TYPE: u8 = 2 << 3;
const MUTATION_DURABILITY: u8 = 6 << 3;
const MUTATION_CELLS: u8 = 8 << 3;

/// The mutations of one region in a Multi.
#[derive(Clone, Copy, Debug)]
pub struct RegionRows<'a> {
    /// Full region name.
    pub region: &'a [u8],
    /// Its mutations; the action's index is the place in this slice plus one.
    pub rows: &'a [RowSpan],
}

/// The mutations of one region in a Multi, gathered from several blocks.
#[derive(Clone, Debug)]
pub struct RegionParts<'a> {
    /// Full region name.
    pub region: &'a [u8],
    /// For all of them.
    pub durability: Durability,
    /// Its mutations, part behind part; the action's index is the place in all of them plus one.
    pub parts: Vec<&'a [RowSpan]>,
}

impl<'a> RegionParts<'a> {
    fn rows(&self) -> impl Iterator<Item = &'a RowSpan> + '_ {
        self.parts.iter().copied().flatten()
    }
}

/// The frame of a Multi up to its cell block of `cell_bytes` bytes.
#[must_use]
pub fn request(
    header: &mut RequestHeader,
    regions: &[RegionRows<'_>],
    durability: Durability,
    cell_bytes: usize,
) -> Bytes {
    let regions: Vec<RegionParts<'_>> =
        regions.iter().map(|rows| RegionParts { region: rows.region, durability, parts: vec![rows.rows] }).collect();
    request_of_parts(header, &regions, cell_bytes)
}

/// As [`request`], of mutations that stand in several blocks.
#[must_use]
pub fn request_of_parts(header: &mut RequestHeader, regions: &[RegionParts<'_>], cell_bytes: usize) -> Bytes {
    let sizes: Vec<usize> = regions.iter().map(region_action_len).collect();
    let total = sizes.iter().map(|size| 1 + encoded_len_varint(*size as u64) + size).sum();
    request_with(header, cell_bytes, total, |frame| {
        for (region, size) in regions.iter().zip(&sizes) {
            put_length(frame, MULTI_REGION_ACTION, *size);
            put_region_action(frame, region);
        }
    })
}

fn put_region_action(frame: &mut BytesMut, region: &RegionParts<'_>) {
    put_length(frame, REGION_ACTION_REGION, specifier_len(region.region));
    put_number(frame, REGION_KIND, RegionSpecifier::REGION_NAME as u64);
    put_length(frame, REGION_VALUE, region.region.len());
    frame.put_slice(region.region);
    let durability = code(region.durability);
    for (index, row) in (1..).zip(region.rows()) {
        let mutation = mutation_len(row, durability);
        put_length(frame, REGION_ACTION_ACTION, action_len(index, mutation));
        put_number(frame, ACTION_INDEX, index);
        put_length(frame, ACTION_MUTATION, mutation);
        put_number(frame, MUTATION_TYPE, mutate_type(row.kind()));
        if let Some(code) = durability {
            put_number(frame, MUTATION_DURABILITY, code);
        }
        put_number(frame, MUTATION_CELLS, u64::from(row.cells()));
    }
}

fn region_action_len(region: &RegionParts<'_>) -> usize {
    let specifier = specifier_len(region.region);
    let durability = code(region.durability);
    let actions: usize = (1..)
        .zip(region.rows())
        .map(|(index, row)| {
            let action = action_len(index, mutation_len(row, durability));
            1 + encoded_len_varint(action as u64) + action
        })
        .sum();
    1 + encoded_len_varint(specifier as u64) + specifier + actions
}

fn specifier_len(name: &[u8]) -> usize {
    2 + 1 + encoded_len_varint(name.len() as u64) + name.len()
}

fn action_len(index: u64, mutation: usize) -> usize {
    1 + encoded_len_varint(index) + 1 + encoded_len_varint(mutation as u64) + mutation
}

fn mutation_len(row: &RowSpan, durability: Option<u64>) -> usize {
    let durability = if durability.is_some() { 2 } else { 0 };
    2 + durability + 1 + encoded_len_varint(u64::from(row.cells()))
}

fn mutate_type(kind: MutationKind) -> u64 {
    match kind {
        MutationKind::Put => MutationProto::PUT as u64,
        MutationKind::Delete => MutationProto::DELETE as u64,
    }
}

/// The wire code; nothing is sent for the table's own durability.
fn code(durability: Durability) -> Option<u64> {
    match durability {
        Durability::UseDefault => None,
        Durability::SkipWal => Some(1),
        Durability::AsyncWal => Some(2),
        Durability::SyncWal => Some(3),
        Durability::FsyncWal => Some(4),
    }
}

fn put_length(frame: &mut BytesMut, tag: u8, length: usize) {
    frame.put_u8(tag);
    encode_varint(length as u64, frame);
}

fn put_number(frame: &mut BytesMut, tag: u8, number: u64) {
    frame.put_u8(tag);
    encode_varint(number, frame);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode;
    use super::super::frame::Request;
    use super::super::message::MultiRequest;
    use super::*;
    use crate::cell::CellKind;
    use crate::row_block::{Column, RowBlock, RowBlockBuilder};

    fn block(cells_of_rows: &[usize]) -> RowBlock {
        let column = Column::new(b"d", b"q").expect("legal");
        let mut builder = RowBlockBuilder::default();
        for (row, cells) in cells_of_rows.iter().enumerate() {
            builder.begin_row(MutationKind::Put, format!("r{row:05}").as_bytes()).expect("in order");
            for _ in 0..*cells {
                builder.cell(&column, 1, CellKind::Put, b"v").expect("room");
            }
        }
        builder.finish()
    }

    #[test]
    fn a_request_has_the_known_bytes() {
        let block = block(&[1]);
        let name = b"t,,1.0123456789abcdef0123456789abcdef.";
        let mut header = RequestHeader {
            call_id: Some(1),
            method_name: Some("Multi".to_owned()),
            timeout: Some(60_000),
            ..RequestHeader::default()
        };
        let regions = [RegionRows { region: name, rows: block.rows() }];
        let frame = request(&mut header, &regions, Durability::UseDefault, 29);
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let known = "0000006a1308011a054d756c746920012a02081d38e0d403380a360a2a08011226742c2c312e303132333435363738396162\
                     63646566303132333435363738396162636465662e1a080801120410024001";
        assert_eq!(hex, known);
    }

    proptest! {
        #[test]
        fn what_is_written_by_hand_is_what_prost_reads(
            rows in prop::collection::vec(prop::collection::vec(1_usize..200, 1..40), 1..4),
            durable in prop::sample::select(vec![Durability::UseDefault, Durability::SkipWal, Durability::SyncWal]),
        ) {
            let blocks: Vec<RowBlock> = rows.iter().map(|cells| block(cells)).collect();
            let names: Vec<String> = (0..blocks.len()).map(|n| format!("table,{n},1.{}.", "x".repeat(n * 60))).collect();
            let regions: Vec<RegionRows<'_>> = names
                .iter()
                .zip(&blocks)
                .map(|(name, block)| RegionRows { region: name.as_bytes(), rows: block.rows() })
                .collect();
            let mut header = RequestHeader { call_id: Some(9), ..RequestHeader::default() };
            let frame = request(&mut header, &regions, durable, 0);
            let read = Request::decode(frame.slice(4..)).expect("a request");
            let multi: MultiRequest = decode("MultiRequest", read.message).expect("a message");
            prop_assert_eq!(multi.region_action.len(), regions.len());
            for ((action, name), block) in multi.region_action.iter().zip(&names).zip(&blocks) {
                prop_assert_eq!(&action.region.value[..], name.as_bytes());
                let counts: Vec<_> = action.action.iter().map(|action| {
                    let mutation = action.mutation.as_ref().expect("a mutation");
                    (action.index, mutation.associated_cell_count, mutation.durability)
                }).collect();
                let code = code(durable).map(|code| code as i32);
                let expected: Vec<_> = (1..).zip(block.rows())
                    .map(|(index, row)| (Some(index), Some(row.cells() as i32), code))
                    .collect();
                prop_assert_eq!(counts, expected);
            }
        }
    }
}
