//! Properties of the codecs, beside naive readings of what the protocol says.

use bytes::{Bytes, BytesMut};
use hbase::cell::{Cell, CellKind};
use hbase::cluster::meta::{self, MetaRow};
use hbase::table_name::TableName;
use hbase::wire::cell_block;
use hbase::wire::frame::{self, FATAL_CALL_ID, Request, Response};
use hbase::wire::message::{
    ExceptionResponse, NameBytesPair, RegionInfoMessage, RequestHeader, ServerNameMessage, TableNameMessage,
};
use proptest::prelude::*;
use prost::Message;

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

fn header() -> impl Strategy<Value = RequestHeader> {
    (any::<u32>(), "[A-Za-z]{0,20}", prop::option::of(any::<u32>()), prop::option::of(any::<u32>())).prop_map(
        |(call_id, method, priority, timeout)| RequestHeader {
            call_id: Some(call_id),
            method_name: Some(method),
            priority,
            timeout,
            ..RequestHeader::default()
        },
    )
}

fn exception() -> impl Strategy<Value = ExceptionResponse> {
    let text = || prop::option::of(".{0,60}");
    (text(), text(), text(), prop::option::of(any::<i32>()), prop::option::of(any::<bool>())).prop_map(
        |(class, trace, hostname, port, do_not_retry)| ExceptionResponse {
            exception_class_name: class,
            stack_trace: trace,
            hostname,
            port,
            do_not_retry,
            ..ExceptionResponse::default()
        },
    )
}

fn cell() -> impl Strategy<Value = Cell> {
    let kinds = [4, 8, 10, 12, 14].map(|code| CellKind::from_code(code).expect("a kind"));
    (bytes(40), bytes(10), bytes(20), any::<i64>(), prop::sample::select(kinds.to_vec()), bytes(60)).prop_map(
        |(row, family, qualifier, timestamp, kind, value)| Cell { row, family, qualifier, timestamp, kind, value },
    )
}

/// Reads one cell as the format says, byte by byte, with nothing of the reader's.
fn naive(block: &[u8]) -> Option<(Cell, &[u8])> {
    let number = |at: usize, count: usize| -> Option<u64> {
        Some(block.get(at..at + count)?.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    let (whole, key, value) = (number(0, 4)?, number(4, 4)?, number(8, 4)?);
    if whole != 8 + key + value || whole > i32::MAX as u64 {
        return None;
    }
    let row = number(12, 2)? as usize;
    let family = number(14 + row, 1)? as usize;
    let qualifier = (key as usize).checked_sub(12 + row + family)?;
    let at = 15 + row;
    let part = |at: usize, count: usize| block.get(at..at + count).map(Bytes::copy_from_slice);
    let tail = at + family + qualifier;
    let cell = Cell {
        row: part(14, row)?,
        family: part(at, family)?,
        qualifier: part(at + family, qualifier)?,
        timestamp: number(tail, 8)? as i64,
        kind: CellKind::from_code(*block.get(tail + 8)?)?,
        value: part(tail + 9, value as usize)?,
    };
    Some((cell, block.get(tail + 9 + value as usize..)?))
}

fn naive_all(mut block: &[u8]) -> Option<Vec<Cell>> {
    let mut cells = Vec::new();
    while !block.is_empty() {
        let (cell, rest) = naive(block)?;
        cells.push(cell);
        block = rest;
    }
    Some(cells)
}

proptest! {
    #[test]
    fn a_request_comes_back_as_it_went(mut header in header(), name in ".{0,30}", value in prop::option::of(bytes(200)), cells in bytes(200)) {
        let message = NameBytesPair { name, value };
        let frame = [&frame::request(&mut header, &message, cells.len()), &cells[..]].concat();
        prop_assert_eq!(u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize, frame.len() - 4);
        let read = Request::decode(Bytes::from(frame).slice(4..)).expect("a request");
        prop_assert_eq!(read.header, header);
        prop_assert_eq!(NameBytesPair::decode(read.message).expect("the message"), message);
        prop_assert_eq!(read.cells, cells);
    }

    #[test]
    fn an_answer_comes_back_as_it_went(id: u32, name in ".{0,30}", cells in bytes(200)) {
        let message = NameBytesPair { name, value: None };
        let frame = frame::response(id, &message, &cells);
        let read = Response::decode(frame.slice(4..)).expect("an answer");
        let answer = read.result.expect("success");
        prop_assert_eq!((read.call_id, &answer.cells), (id, &cells));
        prop_assert_eq!(NameBytesPair::decode(answer.message).expect("the message"), message);
    }

    #[test]
    fn a_refusal_comes_back_as_it_went(id: u32, exception in exception()) {
        let read = Response::decode(frame::failure(id, exception.clone()).slice(4..)).expect("an answer");
        prop_assert_eq!((read.call_id, *read.result.expect_err("a refusal")), (id, exception));
    }

    /// A frame whose parts promise more than there is, in any part, is an error.
    #[test]
    fn a_frame_cut_off_anywhere_is_an_error(id: u32, name in ".{1,30}", cells in bytes(60), exception in exception()) {
        let answer = frame::response(id, &NameBytesPair { name, value: None }, &cells).slice(4..);
        for frame in [answer, frame::failure(id, exception).slice(4..)] {
            for length in 0..frame.len() {
                prop_assert!(Response::decode(frame.slice(..length)).is_err(), "{}", length);
            }
        }
    }

    /// An answer without a call id belongs to the connection, as -1 does.
    #[test]
    fn any_bytes_are_an_answer_or_an_error(frame in bytes(120)) {
        if let Ok(Response { call_id, result: Ok(answer) }) = Response::decode(frame.clone()) {
            prop_assert!(answer.message.len() + answer.cells.len() < frame.len());
            prop_assert!(call_id == FATAL_CALL_ID || frame.len() > 1);
        }
    }

    #[test]
    fn cells_are_read_as_a_naive_reading_does(cells in prop::collection::vec(cell(), 0..5), at: prop::sample::Index, byte: u8) {
        let mut block = BytesMut::new();
        cells.iter().for_each(|cell| cell_block::encode(cell, &mut block));
        let whole = block.clone().freeze();
        prop_assert_eq!(cell_block::decode(&whole).ok(), naive_all(&whole));
        if !block.is_empty() {
            // One wrong byte: a length that does not fit, a kind that is none, or other cells.
            let at = at.index(block.len());
            block[at] = byte;
            let broken = block.freeze();
            prop_assert_eq!(cell_block::decode(&broken).ok(), naive_all(&broken));
        }
    }

    /// The order is that of the keys' parts, newest first, markers before values: as if all were one tuple.
    #[test]
    fn cells_are_ordered_as_tuples(a in cell(), b in cell(), same_row: bool, same_column: bool, same_time: bool) {
        let mut b = b;
        if same_row { b.row = a.row.clone(); }
        if same_column { (b.family, b.qualifier) = (a.family.clone(), a.qualifier.clone()); }
        if same_time { b.timestamp = a.timestamp; }
        let key = |cell: &Cell| {
            let Cell { row, family, qualifier, timestamp, kind, value } = cell.clone();
            (row, family, qualifier, std::cmp::Reverse(timestamp), std::cmp::Reverse(kind.code()), value)
        };
        prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
    }

    #[test]
    fn a_table_has_one_name_with_and_without_the_default_namespace(name in "[a-zA-Z_0-9][a-zA-Z_0-9.-]{0,20}", space in "[a-zA-Z_0-9]{1,10}") {
        prop_assert_eq!(TableName::new(&name), TableName::new(&format!("default:{name}")));
        let full = format!("{space}:{name}");
        let shown = TableName::new(&full).to_string();
        prop_assert_eq!(shown.as_str(), full.strip_prefix("default:").unwrap_or(&full));
    }

    /// A region that is written to meta is read from meta, with its encoded name and its borders.
    #[test]
    fn a_row_of_meta_is_the_region_that_was_written(
        table in "[a-z]{1,10}", start in bytes(20), end in bytes(20), id in 1_u64..2_000_000_000_000,
        port: u16, start_code: u64, sequence: i64, offline: bool, split: bool, replica in 0_i32..3, is_open: bool,
    ) {
        let encoded = format!("{id:032x}");
        let name: Bytes = [format!("{table},").as_bytes(), &start, format!(",{id}.{encoded}.").as_bytes()].concat().into();
        let info = RegionInfoMessage {
            region_id: id,
            table_name: TableNameMessage { namespace: "default".into(), qualifier: table.into() },
            start_key: Some(start.clone()),
            end_key: Some(end.clone()),
            offline: Some(offline),
            split: Some(split),
            replica_id: Some(replica),
        };
        let server = ServerNameMessage { host_name: "rs1.example".to_owned(), port: Some(u32::from(port)), start_code: Some(start_code) };
        let address = format!("{}:{port}", server.host_name);
        let put = |qualifier: &'static str, value: Vec<u8>| Cell {
            row: name.clone(), family: "info".into(), qualifier: qualifier.into(), timestamp: 1, kind: CellKind::Put, value: value.into(),
        };
        let mut cells = vec![put("regioninfo", [b"PBUF", &info.encode_to_vec()[..]].concat())];
        if is_open {
            cells.push(put("seqnumDuringOpen", sequence.to_be_bytes().to_vec()));
            cells.push(put("server", address.clone().into_bytes()));
            cells.push(put("serverstartcode", start_code.to_be_bytes().to_vec()));
        }
        let found = meta::parse(&cells).expect("a row of meta");
        if offline || split || replica != 0 {
            prop_assert_eq!(found, MetaRow::NotARegion);
        } else if !is_open {
            prop_assert_eq!(found, MetaRow::Offline(info));
        } else {
            let MetaRow::Online(region, read) = found else { panic!("{found:?}") };
            prop_assert_eq!(read, info);
            prop_assert_eq!(region.encoded_name(), encoded.as_bytes());
            prop_assert_eq!((region.name, region.start, region.end), (name, start, end));
            prop_assert_eq!((region.server, region.start_code, region.sequence), (address, start_code, sequence));
        }
    }

    /// The key that a look-up begins at, backwards: at or behind every region that can have the row, as meta orders its
    /// rows (table, then start row, then id), and before every region that begins behind the row.
    #[test]
    fn a_look_up_begins_behind_the_regions_that_can_have_the_row(row in bytes(30), start in bytes(30), id in 1_u64..u64::MAX) {
        let table = TableName::new("t");
        let key = meta::lookup_start(&table, &row);
        let region = [b"t,", &start[..], format!(",{id}.{id:032x}.").as_bytes()].concat();
        let parts = |key: &[u8]| -> (Vec<u8>, Vec<u8>) {
            let key = key.strip_prefix(b"t,").expect("the table");
            let comma = key.iter().rposition(|byte| *byte == b',').expect("an id");
            (key[..comma].to_vec(), key[comma + 1..].to_vec())
        };
        prop_assert_eq!(parts(&region) < parts(&key), start <= row);
    }
}
