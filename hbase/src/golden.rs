//! Answers of real servers (`tests/fixtures/server-*`, see the README there), taken apart by what the client itself
//! uses: whole values, and an error at every length that is too short.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::cell::{Cell, CellKind, FAMILY_BYTES_MAX, LATEST_TIMESTAMP, ROW_BYTES_MAX};
use crate::client::scan_call::{self, RowPart};
use crate::cluster::{directory, meta, zookeeper};
use crate::exception::{Exception, Reaction};
use crate::fuzzing::{Outcome, outcomes};
use crate::wire::cell_block;
use crate::wire::compress::Compression;
use crate::wire::frame::{Answer, FATAL_CALL_ID, Request, Response};
use crate::wire::message::{
    ClusterIdMessage, GetActiveMasterResponse, GetBootstrapNodesResponse, GetClusterIdResponse, GetMastersResponse,
    GetMetaRegionLocationsResponse, GetResponse, GetTableDescriptorsResponse, GetTableNamesResponse,
    IsMasterRunningResponse, MasterMessage, MetaRegionServer, MultiRequest, MultiResponse, MutateResponse,
    ScanResponse,
};

/// Real servers that were recorded.
const SERVERS: [&str; 2] = ["1.7.2", "2.6.4-hadoop3"];

fn folder(server: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/server-{server}"))
}

/// The lines of a file: a request and its answer, or the bytes of a node.
fn lines(server: &str, name: &str) -> Vec<Bytes> {
    let file = folder(server).join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let unhex = |line: &str| {
        let pairs = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("text"));
        pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
    };
    text.lines().map(unhex).collect()
}

fn frame(server: &str, name: &str) -> Bytes {
    lines(server, name).pop().expect("an answer")
}

fn answer(server: &str, name: &str) -> Answer {
    Response::decode(frame(server, name)).expect("an answer").result.unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

fn refusal(server: &str, name: &str) -> Exception {
    let response = Response::decode(frame(server, name)).expect("an answer");
    Exception::of_call(*response.result.expect_err("a refusal"))
}

fn scan(server: &str, name: &str) -> (ScanResponse, Vec<RowPart>) {
    let Answer { message, cells } = answer(server, name);
    let mut answer = ScanResponse::decode(message).expect("a ScanResponse");
    let rows = scan_call::rows(&mut answer, cells).expect("rows");
    (answer, rows)
}

/// `row/family:qualifier/timestamp/kind=value`, a long value by its length.
fn show(cell: &Cell) -> String {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    let value = if cell.value.len() < 20 { text(&cell.value) } else { format!("{} bytes", cell.value.len()) };
    let Cell { row, family, qualifier, timestamp, kind, .. } = cell;
    format!("{}/{}:{}/{timestamp}/{kind:?}={value}", text(row), text(family), text(qualifier))
}

fn shown(cells: &[Cell]) -> Vec<String> {
    cells.iter().map(show).collect()
}

/// Rows of a scan as `part of CELLS`, or `row of CELLS`.
fn parts(rows: &[RowPart]) -> Vec<String> {
    let show = |row: &RowPart| {
        let what = if row.is_partial { "part" } else { "row" };
        format!("{what} of {}", shown(&cell_block::decode(&row.cells).expect("cells")).join(" "))
    };
    rows.iter().map(show).collect()
}

/// Cells `a`, `b`, `c` of a row, as they were put.
fn row(row: &str) -> String {
    let cells = ["a", "b", "c"].map(|name| format!("{row}/f:{name}/1/Put=40 bytes"));
    format!("row of {}", cells.join(" "))
}

/// What became of the actions of a recorded Multi, by region.
fn multi(server: &str, name: &str) -> Vec<Vec<Outcome>> {
    let request = Request::decode(lines(server, name).remove(0)).expect("a request");
    let request = MultiRequest::decode(request.message).expect("a MultiRequest");
    let actions: Vec<usize> = request.region_action.iter().map(|region| region.action.len()).collect();
    outcomes(&actions, &MultiResponse::decode(answer(server, name).message).expect("a MultiResponse"))
}

#[test]
fn a_multi_says_of_every_action_that_it_is_done() {
    for server in SERVERS {
        let done = |count| [vec![Outcome::Done; count]];
        assert_eq!(multi(server, "multi_success"), done(3), "{server}");
        assert_eq!(multi(server, "multi_four_rows"), done(4), "{server}");
    }
}

#[test]
fn a_multi_refuses_one_action_and_does_its_neighbours() {
    for server in SERVERS {
        let outcomes = multi(server, "multi_one_action_refused");
        let outcomes = outcomes.concat();
        let [Outcome::Done, Outcome::Refused(pair), Outcome::Done] = &outcomes[..] else {
            panic!("{server}: {outcomes:?}")
        };
        let exception = Exception::of_result(pair);
        assert_eq!(exception.simple_class(), "NoSuchColumnFamilyException");
        assert_eq!(exception.reaction(), Reaction::GiveUp);
        assert!(exception.message.starts_with("Column family g does not exist in region golden,,"), "{exception}");
    }
}

#[test]
fn a_multi_refuses_one_region_and_does_the_other() {
    for server in SERVERS {
        let outcomes = multi(server, "multi_one_region_refused");
        let outcomes = outcomes.concat();
        let [Outcome::Refused(pair), Outcome::Done] = &outcomes[..] else { panic!("{server}: {outcomes:?}") };
        let exception = Exception::of_result(pair);
        assert_eq!(exception.simple_class(), "NotServingRegionException");
        assert_eq!(exception.reaction(), Reaction::Relocate { hint: None });
    }
}

#[test]
fn a_multi_of_gets_has_its_cells_in_the_block() {
    let expected = ["a/f:/5/Put=empty qualifier", "a/f:q/7/Put=seven", "a/f:q/5/Put=five"];
    for server in SERVERS {
        let Answer { message, cells } = answer(server, "multi_of_gets");
        let message = MultiResponse::decode(message).expect("a MultiResponse");
        let results = message.region_action_result.iter().flat_map(|region| &region.result_or_exception);
        let counts: Vec<_> = results
            .map(|result| (result.index, result.result.as_ref().and_then(|result| result.associated_cell_count)))
            .collect();
        assert_eq!(counts, [(Some(1), Some(3)), (Some(2), Some(0))], "{server}");
        assert_eq!(shown(&cell_block::decode(&cells).expect("cells")), expected, "{server}");
    }
}

#[test]
fn a_get_has_its_cells_in_the_block_or_without_a_codec_in_the_message() {
    let expected = ["a/f:/5/Put=empty qualifier", "a/f:q/7/Put=seven", "a/f:q/5/Put=five"];
    for server in SERVERS {
        let Answer { message, cells } = answer(server, "get_three_cells");
        let result = GetResponse::decode(message).expect("a GetResponse").result.expect("a result");
        assert_eq!((result.associated_cell_count, result.cell.len()), (Some(3), 0), "{server}");
        assert_eq!(shown(&cell_block::decode(&cells).expect("cells")), expected, "{server}");

        let Answer { message, cells } = answer(server, "get_without_a_codec");
        assert!(cells.is_empty(), "{server}");
        let result = GetResponse::decode(message).expect("a GetResponse").result.expect("a result");
        let found: Vec<Cell> = result.cell.into_iter().map(|cell| scan_call::cell_of(cell).expect("a cell")).collect();
        assert_eq!(shown(&found), expected, "{server}");

        let Answer { message, cells } = answer(server, "get_nothing");
        let result = GetResponse::decode(message).expect("a GetResponse").result.expect("a result");
        assert_eq!((result.cell.len(), cells.len()), (0, 0), "{server}");
    }
}

#[test]
fn a_scan_says_whether_its_region_has_more() {
    for server in SERVERS {
        let (opened, rows) = scan(server, "scan_opens");
        assert_eq!(parts(&rows), [row("q0"), row("q1")], "{server}");
        assert_eq!((opened.more_results, opened.more_results_in_region), (Some(true), Some(true)), "{server}");
        assert!(opened.scanner_id.is_some() && opened.ttl.is_some_and(|ttl| ttl > 0), "{server}");
        let (_, rows) = scan(server, "scan_goes_on");
        assert_eq!(parts(&rows), [row("q2")], "{server}");
        let (ended, rows) = scan(server, "scan_ends");
        assert_eq!(parts(&rows), [row("q3")], "{server}");
        assert_eq!((ended.more_results, ended.more_results_in_region), (Some(true), Some(false)), "{server}");
    }
}

#[test]
fn a_scan_that_repeats_a_number_is_refused_and_not_answered_twice() {
    for server in SERVERS {
        let exception = refusal(server, "scan_repeats_a_number");
        assert_eq!(exception.simple_class(), "OutOfOrderScannerNextException", "{server}");
        assert_eq!(exception.reaction(), Reaction::ResetScanner, "{server}");
        let exception = refusal(server, "scan_of_an_unknown_scanner");
        assert_eq!(exception.simple_class(), "UnknownScannerException", "{server}");
        assert_eq!(exception.reaction(), Reaction::ResetScanner, "{server}");
    }
}

#[test]
fn a_row_larger_than_an_answer_comes_in_parts() {
    for server in SERVERS {
        let (begun, rows) = scan(server, "scan_begins_a_row");
        assert_eq!(parts(&rows), ["part of q0/f:a/1/Put=40 bytes"], "{server}");
        assert_eq!(begun.more_results_in_region, Some(true), "{server}");
        let (_, rows) = scan(server, "scan_goes_on_in_the_row");
        assert_eq!(parts(&rows), ["part of q0/f:b/1/Put=40 bytes"], "{server}");
    }
}

#[test]
fn a_scan_goes_backwards_and_one_without_a_codec_has_its_rows_in_the_message() {
    for server in SERVERS {
        let (_, rows) = scan(server, "scan_backwards_and_closes");
        assert_eq!(parts(&rows), [row("q3"), row("q2")], "{server}");
        let (_, rows) = scan(server, "scan_without_a_codec");
        let expected = "row of a/f:/5/Put=empty qualifier a/f:q/7/Put=seven";
        assert_eq!(parts(&rows), [expected], "{server}");
    }
}

#[test]
fn a_heartbeat_has_no_rows_and_the_scan_goes_on() {
    let (answer, rows) = scan("2.6.4-hadoop3", "scan_heartbeat");
    assert_eq!(parts(&rows), Vec::<String>::new());
    assert_eq!((answer.heartbeat_message, answer.more_results), (Some(true), Some(true)));
    assert!(answer.scanner_id.is_some());
}

#[test]
fn an_increment_answers_with_the_new_value() {
    for server in SERVERS {
        let Answer { message, cells } = answer(server, "mutate_increment");
        let result = MutateResponse::decode(message).expect("a MutateResponse").result.expect("a result");
        let mut found = cell_block::decode(&cells).expect("cells");
        found.extend(result.cell.into_iter().map(|cell| scan_call::cell_of(cell).expect("a cell")));
        let [cell] = &found[..] else { panic!("{server}: {found:?}") };
        assert_eq!((&cell.row[..], &cell.value[..]), (&b"e"[..], &5_i64.to_be_bytes()[..]), "{server}");
    }
}

#[test]
fn rows_of_meta_are_regions_in_order() {
    for server in SERVERS {
        let (_, rows) = scan(server, "scan_of_meta");
        let regions: Vec<meta::Region> = rows
            .iter()
            .map(|row| match meta::parse(&cell_block::decode(&row.cells).expect("cells")) {
                Ok(meta::MetaRow::Online(region, info)) => {
                    assert_eq!(info.table_name.qualifier, "golden", "{server}");
                    region
                }
                other => panic!("{server}: {other:?}"),
            })
            .collect();
        let borders: Vec<_> = regions.iter().map(|region| (&region.start[..], &region.end[..])).collect();
        assert_eq!(borders, [(&b""[..], &b"g"[..]), (b"g", b"p"), (b"p", b"")], "{server}");
        for region in &regions {
            assert!(region.server.starts_with("localhost:"), "{server}: {region:?}");
            assert!(region.start_code > 1_600_000_000_000 && region.sequence > 0, "{server}: {region:?}");
            // `golden,START,ID.ENCODED.`: the encoded name is the MD5 of what stands before it.
            let name = String::from_utf8(region.name.to_vec()).expect("text");
            let encoded = String::from_utf8(region.encoded_name().to_vec()).expect("text");
            assert!(name.ends_with(&format!(".{encoded}.")) && encoded.len() == 32, "{server}: {name}");
        }
        // The regions that the requests named are the ones that meta names.
        let request = Request::decode(lines(server, "multi_success").remove(0)).expect("a request");
        let request = MultiRequest::decode(request.message).expect("a MultiRequest");
        let named = request.region_action.first().map(|region| region.region.value.clone());
        assert_eq!(named, regions.first().map(|region| region.name.clone()), "{server}");
    }
}

#[test]
fn a_refusal_of_a_call_names_its_class_and_says_what_to_do() {
    let cases = [
        ("get_of_an_unknown_region", "NotServingRegionException", Reaction::Relocate { hint: None }),
        ("get_of_an_unknown_family", "NoSuchColumnFamilyException", Reaction::GiveUp),
        ("get_of_another_regions_row", "WrongRegionException", Reaction::Backoff),
        ("method_that_is_not_there", "DoNotRetryIOException", Reaction::GiveUp),
    ];
    for server in SERVERS {
        for (name, class, reaction) in &cases {
            let exception = refusal(server, name);
            assert_eq!(
                (exception.simple_class(), &exception.reaction()),
                (*class, reaction),
                "{server}: {exception:?}"
            );
            assert!(!exception.message.is_empty() && !exception.message.contains(class), "{server}: {exception}");
        }
    }
}

#[test]
fn a_moved_region_is_found_where_the_old_server_says() {
    for server in SERVERS {
        let exception = refusal(server, "get_of_a_moved_region");
        let Reaction::Relocate { hint: Some((host, port)) } = exception.reaction() else { panic!("{exception:?}") };
        let outcomes = multi(server, "multi_of_a_moved_region");
        let outcomes = outcomes.concat();
        let [Outcome::Refused(pair)] = &outcomes[..] else { panic!("{outcomes:?}") };
        let of_region = Exception::of_result(pair);
        assert_eq!(of_region.class, "org.apache.hadoop.hbase.exceptions.RegionMovedException");
        // In the call it stands in fields, in the Multi only in the text.
        assert_eq!(of_region.reaction(), Reaction::Relocate { hint: Some((host.clone(), port)) }, "{server}");
        assert_eq!(host, "localhost");
        let (_, rows) = scan(server, "scan_of_meta");
        let before =
            rows.first().map(|row| meta::parse(&cell_block::decode(&row.cells).expect("cells")).expect("a region"));
        let Some(meta::MetaRow::Online(before, _)) = before else { panic!("{before:?}") };
        assert_ne!(before.server, format!("{host}:{port}"), "{server}: it went to another server");
    }
}

#[test]
fn a_connection_that_is_not_wanted_is_told_why() {
    for server in SERVERS {
        for (name, class, words) in [
            ("fatal_no_magic", "FatalConnectionException", "Expected HEADER=HBas"),
            ("fatal_wrong_version", "WrongVersionException", "serverVersion=0, clientVersion=9"),
        ] {
            let response = Response::decode(frame(server, name)).expect("an answer");
            assert_eq!(response.call_id, FATAL_CALL_ID, "{server}: {name}");
            let exception = Exception::of_call(*response.result.expect_err("a refusal"));
            assert_eq!((exception.simple_class(), exception.reaction()), (class, Reaction::GiveUp), "{server}: {name}");
            assert!(exception.message.contains(words), "{server}: {exception}");
        }
    }
}

fn node<M: Message + Default>(server: &str, name: &str) -> M {
    M::decode(zookeeper::payload(frame(server, name)).expect("a payload")).expect("a message")
}

#[test]
fn nodes_of_zookeeper_say_where_the_cluster_is() {
    for server in SERVERS {
        let master = directory::address(&node::<MasterMessage>(server, "znode.master").master);
        let meta: MetaRegionServer = node(server, "znode.meta-region-server");
        let id: ClusterIdMessage = node(server, "znode.hbaseid");
        assert!(
            master.starts_with("localhost:") && directory::address(&meta.server).starts_with("localhost:"),
            "{server}"
        );
        assert_ne!(master, directory::address(&meta.server), "{server}: two processes");
        assert_eq!(meta.state, Some(3), "{server}: open");
        assert_eq!(id.cluster_id.len(), 36, "{server}: a UUID");
        for name in ["znode.master", "znode.meta-region-server", "znode.hbaseid"] {
            let bytes = frame(server, name);
            let empty = zookeeper::payload(bytes.clone()).expect("a payload").len();
            for length in 0..bytes.len() - empty {
                assert!(zookeeper::payload(bytes.slice(..length)).is_err(), "{server}: {name} cut at {length}");
            }
        }
    }
}

#[test]
fn the_rpc_registry_says_what_zookeeper_says() {
    let server = "2.6.4-hadoop3";
    let message = |method: &str| answer(server, &format!("registry.{method}")).message;
    let master = node::<MasterMessage>(server, "znode.master").master;
    let meta = node::<MetaRegionServer>(server, "znode.meta-region-server").server;
    let id = node::<ClusterIdMessage>(server, "znode.hbaseid").cluster_id;

    let found = GetClusterIdResponse::decode(message("GetClusterId")).expect("a cluster id");
    assert_eq!(found.cluster_id, Some(id.clone()));
    let found = GetActiveMasterResponse::decode(message("GetActiveMaster")).expect("a master");
    assert_eq!(found.server_name, Some(master.clone()));
    let found = GetMetaRegionLocationsResponse::decode(message("GetMetaRegionLocations")).expect("locations");
    let servers: Vec<_> = found.meta_locations.iter().map(|location| location.server_name.clone()).collect();
    assert_eq!(servers, [Some(meta.clone())]);
    let found = GetMastersResponse::decode(message("GetMasters")).expect("masters");
    let masters: Vec<_> =
        found.master_servers.iter().map(|entry| (entry.server_name.clone(), entry.is_active)).collect();
    assert_eq!(masters, [(master, true)]);
    let found = GetBootstrapNodesResponse::decode(message("GetBootstrapNodes")).expect("nodes");
    assert!(found.server_name.contains(&meta), "{found:?}");
    // The answer to the six bytes `Regist`: the cluster's id, for the connection itself.
    let response = Response::decode(frame(server, "preamble_registry")).expect("an answer");
    assert_eq!(response.call_id, FATAL_CALL_ID);
    let found = GetClusterIdResponse::decode(response.result.expect("success").message).expect("a cluster id");
    assert_eq!(found.cluster_id, Some(id));
}

#[test]
fn a_master_describes_the_table_that_was_made() {
    for server in SERVERS {
        let running = IsMasterRunningResponse::decode(answer(server, "is_master_running").message).expect("an answer");
        assert!(running.is_master_running, "{server}");
        let message = answer(server, "table_descriptors").message;
        let tables = GetTableDescriptorsResponse::decode(message).expect("descriptors").table_schema;
        let [table] = &tables[..] else { panic!("{server}: {tables:?}") };
        assert_eq!(table.table_name.as_ref().map(|name| &name.qualifier[..]), Some(&b"golden"[..]), "{server}");
        let [family] = &table.column_families[..] else { panic!("{server}: {table:?}") };
        let versions = family.attributes.iter().find(|pair| pair.first == "VERSIONS").map(|pair| &pair.second[..]);
        assert_eq!((&family.name[..], versions), (&b"f"[..], Some(&b"3"[..])), "{server}");
        let names = GetTableNamesResponse::decode(answer(server, "table_names").message).expect("names").table_names;
        assert!(names.iter().any(|name| name.qualifier == "golden"), "{server}: {names:?}");
    }
}

/// A block of `java-cells`: digits, and `XX*N` for a run of one byte.
fn java_block(name: &str) -> Bytes {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/java-cells/{name}.hex"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut block = Vec::new();
    for word in text.split_whitespace() {
        let (digits, times) =
            word.split_once('*').map_or((word, 1), |(byte, times)| (byte, times.parse().expect("a number")));
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("text"));
        let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect();
        block.extend(bytes.repeat(times));
    }
    block.into()
}

fn cell(row: &[u8], family: &[u8], qualifier: &[u8], (timestamp, kind): (i64, CellKind), value: &[u8]) -> Cell {
    let bytes = Bytes::copy_from_slice;
    let (row, family, qualifier, value) = (bytes(row), bytes(family), bytes(qualifier), bytes(value));
    Cell { row, family, qualifier, timestamp, kind, value }
}

/// The cells are read as Java wrote them, and written as Java wrote them; every truncation is an error, or ends behind a
/// whole cell.
fn is_what_java_wrote(name: &str, expected: &[Cell]) {
    let block = java_block(name);
    assert_eq!(cell_block::decode(&block).expect("cells"), expected, "{name}");
    let mut ours = BytesMut::new();
    let mut ends = vec![0];
    for cell in expected {
        cell_block::encode(cell, &mut ours);
        ends.push(ours.len());
    }
    assert_eq!(ours, block, "{name}");
    for length in 0..block.len() {
        assert_eq!(
            cell_block::decode(&block.slice(..length)).is_ok(),
            ends.contains(&length),
            "{name} cut at {length}"
        );
    }
}

#[test]
fn cells_of_every_kind_and_size_are_what_java_writes() {
    use CellKind::{Delete, DeleteColumn, DeleteFamily, DeleteFamilyVersion, Put};
    is_what_java_wrote("nothing", &[]);
    let kinds = [
        cell(b"r", b"f", b"q", (1, Put), b"v"),
        cell(b"r", b"f", b"q", (2, Delete), b""),
        cell(b"r", b"f", b"", (3, DeleteFamilyVersion), b""),
        cell(b"r", b"f", b"q", (4, DeleteColumn), b""),
        cell(b"r", b"f", b"", (5, DeleteFamily), b""),
    ];
    is_what_java_wrote("all_kinds", &kinds);
    let edges = [
        cell(b"r", b"f", b"", (0, Put), b""),
        cell(b"r", b"f", b"q", (LATEST_TIMESTAMP, Put), b"latest"),
        cell(b"\x00\xff\n", b"f", b"\x00\xff", (1, Put), b"\x00\xff\n"),
        cell(b"r", &[b'f'; FAMILY_BYTES_MAX], b"q", (1, Put), b"longest family"),
        cell(b"r", b"f", &[b'q'; 300], (1, Put), b"qualifier of more than a byte's length"),
    ];
    is_what_java_wrote("edges", &edges);
    is_what_java_wrote("longest_row", &[cell(&[b'r'; ROW_BYTES_MAX], b"f", b"q", (1, Put), b"v")]);
}

#[test]
fn an_answer_that_is_cut_off_is_noticed() {
    for server in SERVERS {
        for file in std::fs::read_dir(folder(server)).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            if name.starts_with("znode") {
                continue;
            }
            let whole = frame(server, &name);
            for length in 0..whole.len() {
                let cut = Response::decode(whole.slice(..length));
                assert!(cut.is_err(), "{server}: {name} cut at {length} of {}: {cut:?}", whole.len());
            }
        }
    }
}

/// Hadoop's codecs made these; ours read them whole, and a cut one is an error or a beginning.
#[test]
fn blocks_that_hadoops_codecs_compressed_are_read() {
    let mut cells: Vec<Cell> = (0..20_i64)
        .map(|n| cell(format!("r{n:05}").as_bytes(), b"f", b"q", (n, CellKind::Put), format!("value {n}").as_bytes()))
        .collect();
    cells.push(cell(b"s", b"f", b"q", (1, CellKind::Put), &[b'v'; 300_000]));
    for (name, codec) in [("snappy", Compression::Snappy), ("lz4", Compression::Lz4), ("gzip", Compression::Gz)] {
        let block = java_block(&format!("compressed_{name}"));
        let plain = codec.decompress(block.clone(), 1 << 20).expect("a block");
        assert_eq!(cell_block::decode(&plain).expect("cells"), cells, "{name}");
        for length in 1..block.len() {
            let cut = codec.decompress(block.slice(..length), 1 << 20);
            assert!(cut.is_err() || cut.is_ok_and(|cut| plain.starts_with(&cut)), "{name} cut at {length}");
        }
    }
}
