//! Frames that HBase's own Java client made (see `tests/fixtures/README.md`): our decoders take every one of them apart, and
//! our encoder makes of the same mutations what the Java client made, but for the row that we leave out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use hbase::cell::Cell;
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlockBuilder};
use hbase::wire::frame::Request;
use hbase::wire::message::{ConnectionHeader, GetRequest, MultiRequest, MutateRequest, RequestHeader, ScanRequest};
use hbase::wire::multi::{self, RegionRows};
use hbase::wire::{cell_block, preamble};
use prost::Message;

/// Name without its number, and bytes.
fn frames() -> Vec<(String, Bytes)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/java-2.6.4");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the fixtures").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("text");
        let digits: Vec<char> = text.trim().chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let name = name.trim_end_matches(".hex").rsplit_once('.').expect("a number").0.to_owned();
        (name, digits.chunks(2).map(byte).collect())
    };
    files.iter().map(read).collect()
}

fn of(name: &str) -> Vec<Request> {
    let frames = frames().into_iter().filter(|(found, _)| found == name);
    let requests: Vec<Request> = frames.map(|(_, bytes)| Request::decode(bytes).expect("a request")).collect();
    assert!(!requests.is_empty(), "no {name} among the fixtures");
    requests
}

#[test]
fn every_request_is_taken_apart_and_every_truncation_is_an_error() {
    let mut counts = BTreeMap::new();
    for (name, bytes) in frames() {
        *counts.entry(name.clone()).or_insert(0) += 1;
        if name.ends_with(".header") {
            let header = ConnectionHeader::decode(bytes).expect("a connection header");
            assert_eq!(header.service_name.as_deref(), name.strip_suffix(".header"));
            continue;
        }
        let request = Request::decode(bytes.clone()).expect("a request");
        assert_eq!(request.header.method_name.as_deref(), Some(name.as_str()));
        cell_block::decode(&request.cells).expect("cells");
        for length in 0..bytes.len() {
            let cut = Request::decode(bytes.slice(..length));
            assert!(cut.is_err() || cut.is_ok_and(|cut| cut.message.len() <= length), "{name} cut at {length}");
        }
    }
    for wanted in ["ClientService.header", "MasterService.header", "Multi", "Scan", "Get", "Mutate", "CreateTable"] {
        assert!(counts.contains_key(wanted), "no {wanted} among {counts:?}");
    }
}

#[test]
fn java_announces_the_codec_that_we_announce() {
    let headers = frames().into_iter().filter(|(name, _)| name == "ClientService.header");
    for (_, bytes) in headers {
        let header = ConnectionHeader::decode(bytes).expect("a connection header");
        assert_eq!(header.cell_block_codec_class.as_deref(), Some(preamble::KEY_VALUE_CODEC));
        let version = header.version_info.expect("version info");
        assert_eq!((version.version_major, version.version_minor), (Some(2), Some(6)));
    }
}

#[test]
fn messages_say_what_the_java_program_did() {
    let scans: Vec<ScanRequest> =
        of("Scan").into_iter().map(|request| ScanRequest::decode(request.message).expect("a scan")).collect();
    assert!(scans.iter().any(|scan| scan.scan.is_some() && scan.region.is_some()), "one opens");
    let get = GetRequest::decode(of("Get").remove(0).message).expect("a get");
    assert!(!get.get.row.is_empty());
    // A single put of Java's carries its cells in protobuf and no cell block (`RequestConverter.buildMutateRequest`).
    let put = of("Mutate").remove(0);
    assert!(put.cells.is_empty());
    let mutation = MutateRequest::decode(put.message).expect("a put").mutation;
    let column = &mutation.column_value[0];
    let cell = &column.qualifier_value[0];
    assert_eq!((mutation.row.as_deref(), &column.family[..]), (Some(&b"a"[..]), &b"f"[..]));
    assert_eq!((cell.qualifier.as_deref(), cell.timestamp), (Some(&b"q"[..]), Some(5)));
}

/// Java's Multi, without the rows that it repeats beside the cells, is ours.
#[test]
fn our_multi_is_javas_without_the_repeated_rows() {
    let mut compared = 0;
    for java in of("Multi") {
        let mut wanted = MultiRequest::decode(java.message.clone()).expect("a multi");
        let puts_only =
            wanted.region_action.iter().flat_map(|region| &region.action).all(|action| action.mutation.is_some());
        if !puts_only || wanted.region_action.iter().any(|region| region.atomic == Some(true)) {
            continue;
        }
        let mut cells = cell_block::decode(&java.cells).expect("cells").into_iter();
        let blocks: Vec<_> = wanted
            .region_action
            .iter()
            .map(|region| {
                let mut builder = RowBlockBuilder::default();
                for action in &region.action {
                    let count = action.mutation.as_ref().and_then(|mutation| mutation.associated_cell_count);
                    let cells: Vec<Cell> = cells.by_ref().take(count.unwrap_or(0) as usize).collect();
                    builder.begin_row(MutationKind::Put, &cells[0].row).expect("in order");
                    for cell in &cells {
                        let column = Column::new(&cell.family, &cell.qualifier).expect("a legal column");
                        builder.cell(&column, cell.timestamp, cell.kind, &cell.value).expect("room");
                    }
                }
                builder.finish()
            })
            .collect();
        let regions: Vec<RegionRows<'_>> = wanted
            .region_action
            .iter()
            .zip(&blocks)
            .map(|(region, block)| RegionRows { region: &region.region.value, rows: block.rows() })
            .collect();
        let ours = multi::request(&mut RequestHeader::default(), &regions, Durability::UseDefault, java.cells.len());
        let ours = Request::decode([&ours[4..], &java.cells].concat().into()).expect("a request");
        let mut ours = MultiRequest::decode(ours.message).expect("a multi");
        let block: Vec<u8> = blocks.iter().flat_map(|block| block.bytes().to_vec()).collect();
        assert_eq!(block, java.cells, "the cells are the same bytes");
        // Left out by us: the row, the default durability, nonces. Numbered by us from 1.
        for (region, ours) in wanted.region_action.iter_mut().zip(&mut ours.region_action) {
            for ((place, action), ours) in (1..).zip(&mut region.action).zip(&mut ours.action) {
                assert_eq!(ours.index, Some(place));
                ours.index = action.index;
                let mutation = action.mutation.as_mut().expect("a put");
                (mutation.row, mutation.durability, mutation.timestamp) = (None, None, None);
            }
        }
        assert_eq!(ours.region_action, wanted.region_action);
        compared += 1;
    }
    assert!(compared > 0, "no Multi with puts only among the fixtures");
}
