//! Every decoder of foreign bytes as a plain function of bytes: for coverage-guided runs (`fuzz/`, which builds the
//! package with `--cfg fuzzing`), and for the replay of the kept corpus and of the golden frames among the unit tests.
//!
//! # Laws
//! 1. A target is given any bytes and does not panic, whatever a peer sends. It does with them what the client or the
//!    in-process server would do, up to the point where the network or the store begins.
//! 2. What it holds at a time is bounded by a small multiple of the bytes given; `fuzz/src/main.rs` counts.
//! 3. Where bytes have one form only, what was decoded is encoded again and must be the same bytes.
//!
//! A new decoder of foreign bytes gets an entry in [`TARGETS`] and a file below `tests/corpus/` with an input a line, in
//! hexadecimal digits (`fuzz/run minimise` fills it).

use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::cell::Cell;
use crate::client::scan_call;
use crate::cluster::{directory, meta, zookeeper};
use crate::exception::{Exception, Reaction};
use crate::row::Row;
use crate::table_name::TableName;
use crate::wire::cell_block::{self, CellReader};
use crate::wire::compress::Compression;
use crate::wire::frame::{self, Request, Response};
use crate::wire::message::{
    ClusterIdMessage, ConnectionHeader, CreateTableRequest, ExceptionResponse, GetActiveMasterResponse,
    GetBootstrapNodesResponse, GetClusterIdResponse, GetMastersResponse, GetMetaRegionLocationsResponse,
    GetProcedureResultResponse, GetRequest, GetResponse, GetTableDescriptorsResponse, GetTableNamesResponse,
    GetTableStateResponse, MasterMessage, MetaRegionServer, MultiRequest, MultiResponse, MutateRequest, MutateResponse,
    NameBytesPair, ProcedureResponse, RegionActionResult, ResultOrException, ScanRequest, ScanResponse,
};
use crate::wire::multi_answer::{MultiAnswer, RegionAnswer};
use crate::wire::sasl;

/// A decoder of foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its file below `tests/corpus/`.
    pub name: &'static str,
    /// Decodes; panics only if a law is broken.
    pub run: fn(&[u8]),
}

/// All decoders of foreign bytes.
pub const TARGETS: &[Target] = &[
    Target { name: "admin_answer", run: admin_answer },
    Target { name: "cell_block", run: cell_blocks },
    Target { name: "compressed_block", run: compressed_block },
    Target { name: "exception_of_call", run: exception_of_call },
    Target { name: "exception_of_result", run: exception_of_result },
    Target { name: "exception_text", run: exception_text },
    Target { name: "get_answer", run: get_answer },
    Target { name: "hello", run: hello },
    Target { name: "meta_row", run: meta_row },
    Target { name: "multi_answer", run: multi_answer },
    Target { name: "registry_answer", run: registry_answer },
    Target { name: "request", run: request },
    Target { name: "response", run: response },
    Target { name: "sasl", run: sasl },
    Target { name: "scan_answer", run: scan_answer },
    Target { name: "znode", run: znode },
];

/// What a compressed block may hold here.
const BLOCK_BYTES_MAX: usize = 1 << 20;

/// Numbers of actions by region, of requests that an answer is matched to.
const REQUESTS: [&[usize]; 4] = [&[], &[1], &[3, 1], &[2, 0, 50]];

fn bytes_of(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The message and the cells of a successful answer.
fn answer(bytes: &[u8]) -> Option<(Bytes, Bytes)> {
    let answer = Response::decode(bytes_of(bytes)).ok()?.result.ok()?;
    Some((answer.message, answer.cells))
}

fn cells_of(block: Bytes) -> Vec<Cell> {
    let mut reader = CellReader::new(block);
    let mut cells = Vec::new();
    while let Ok(Some(cell)) = reader.next_cell() {
        cells.push(cell);
    }
    cells
}

fn encoded(cells: &[Cell]) -> BytesMut {
    let mut block = BytesMut::new();
    for cell in cells {
        cell_block::encode(cell, &mut block);
    }
    block
}

fn judge(exception: &Exception) {
    let _ = exception.reaction();
    assert!(exception.to_string().ends_with(&exception.message));
    assert!(exception.class.ends_with(exception.simple_class()));
    assert!(!exception.message.contains('\n'));
}

/// A frame from a server; an exception in it is judged, and is the same after it was encoded again.
fn response(bytes: &[u8]) {
    let Ok(Response { call_id, result }) = Response::decode(bytes_of(bytes)) else { return };
    match result {
        Ok(answer) => assert!(answer.message.len() + answer.cells.len() <= bytes.len()),
        Err(exception) => {
            let again = frame::failure(call_id, (*exception).clone()).slice(4..);
            let again = Response::decode(again).map(|again| again.result);
            assert!(matches!(again, Ok(Err(again)) if again == exception));
            judge(&Exception::of_call(*exception));
        }
    }
}

/// A frame from a client, as the in-process server reads it.
fn request(bytes: &[u8]) {
    let Ok(Request { header, message, cells }) = Request::decode(bytes_of(bytes)) else { return };
    assert!(message.len() + cells.len() <= bytes.len());
    let _ = cells_of(cells);
    let _ = match header.method_name.as_deref().unwrap_or_default() {
        "Get" => GetRequest::decode(message).map(drop),
        "Mutate" => MutateRequest::decode(message).map(drop),
        "Scan" => ScanRequest::decode(message).map(drop),
        "CreateTable" => CreateTableRequest::decode(message).map(drop),
        _ => MultiRequest::decode(message).map(drop),
    };
}

/// A connection header, as the in-process server reads it.
fn hello(bytes: &[u8]) {
    let _ = ConnectionHeader::decode(bytes);
}

/// Cells; those in front of what is broken are the same bytes after they were encoded again.
fn cell_blocks(bytes: &[u8]) {
    let cells = cells_of(bytes_of(bytes));
    let again = encoded(&cells);
    assert!(bytes.starts_with(&again));
    assert_eq!(cell_block::decode(&bytes_of(bytes)).is_ok(), again.len() == bytes.len());
    for pair in cells.windows(2) {
        if let [first, second] = pair {
            assert_eq!(first.cmp(second), second.cmp(first).reverse());
        }
    }
}

fn get_answer(bytes: &[u8]) {
    let Some((message, block)) = answer(bytes) else { return };
    let _ = cells_of(block);
    let Ok(GetResponse { result: Some(result) }) = GetResponse::decode(message) else { return };
    for cell in result.cell {
        let _ = scan_call::cell_of(cell);
    }
}

fn scan_answer(bytes: &[u8]) {
    let Some((message, block)) = answer(bytes) else { return };
    let Ok(mut answer) = ScanResponse::decode(message) else { return };
    let counts = answer.cells_per_result.clone();
    let Ok(rows) = scan_call::rows(&mut answer, block) else { return };
    for (count, row) in counts.iter().zip(&rows) {
        let row = Row::of_measured(row.cells.clone());
        let (borrowed, owned) = row.map_or((0, 0), |row| (row.cells().count(), row.to_cells().len()));
        assert_eq!((borrowed, owned), (*count as usize, *count as usize));
    }
}

fn multi_answer(bytes: &[u8]) {
    let Some((message, block)) = answer(bytes) else { return };
    let _ = cells_of(block);
    let Ok(answer) = MultiResponse::decode(message.clone()) else { return };
    for actions in REQUESTS {
        if let Ok(read) = MultiAnswer::read(&message, actions) {
            let found: Vec<Vec<Outcome>> =
                read.regions.iter().zip(actions).map(|(region, count)| by_action(region, *count)).collect();
            // The words of a refusal may differ: protobuf joins a field that stands twice.
            let kinds = |outcomes: &[Vec<Outcome>]| -> Vec<Vec<std::mem::Discriminant<Outcome>>> {
                outcomes.iter().map(|region| region.iter().map(std::mem::discriminant).collect()).collect()
            };
            assert_eq!(kinds(&found), kinds(&outcomes(actions, &answer)), "the reader by hand and the naive one");
        }
        for outcome in outcomes(actions, &answer).iter().flatten() {
            if let Outcome::Refused(pair) = outcome {
                judge(&Exception::of_result(pair));
            }
        }
    }
}

/// What became of one action of a Multi.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Done,
    Refused(NameBytesPair),
    Missing,
}

/// What the hand-written reader says, action by action.
fn by_action(region: &RegionAnswer, count: usize) -> Vec<Outcome> {
    match region {
        RegionAnswer::Missing => vec![Outcome::Missing; count],
        RegionAnswer::Refused(pair) => vec![Outcome::Refused(pair.clone()); count],
        RegionAnswer::Answered { refused, missing } => {
            let mut found = vec![Outcome::Done; count];
            let refused = refused.iter().map(|(place, pair)| (*place, Outcome::Refused(pair.clone())));
            for (place, outcome) in refused.chain(missing.iter().map(|place| (*place, Outcome::Missing))) {
                found.get_mut(place).map(|slot| *slot = outcome).expect("a place that was asked for");
            }
            found
        }
    }
}

/// A naive reading of the answer to a Multi whose regions had `actions` actions each: regions by position, actions by
/// their index from 1, of several results of an action a refusal counts, and a refused region is one of each action.
pub(crate) fn outcomes(actions: &[usize], answer: &MultiResponse) -> Vec<Vec<Outcome>> {
    let region = |(place, count): (usize, &usize)| match answer.region_action_result.get(place) {
        None => vec![Outcome::Missing; *count],
        Some(RegionActionResult { exception: Some(pair), .. }) => vec![Outcome::Refused(pair.clone()); *count],
        Some(result) => (1..=*count)
            .map(|index| {
                let is_its = |result: &&ResultOrException| result.index.map(|index| index as usize) == Some(index);
                let mut results = result.result_or_exception.iter().filter(is_its).peekable();
                if results.peek().is_none() {
                    return Outcome::Missing;
                }
                results.find_map(|result| result.exception.clone()).map_or(Outcome::Done, Outcome::Refused)
            })
            .collect(),
    };
    actions.iter().enumerate().map(region).collect()
}

/// A compressed cell block, of each codec; what was read is compressed and read again.
fn compressed_block(bytes: &[u8]) {
    for codec in [Compression::Snappy, Compression::Lz4, Compression::Gz] {
        let Ok(block) = codec.decompress(bytes_of(bytes), BLOCK_BYTES_MAX) else { continue };
        assert!(block.len() <= BLOCK_BYTES_MAX);
        let again = codec.decompress(codec.compress(std::slice::from_ref(&block)), BLOCK_BYTES_MAX);
        assert_eq!(again.as_ref(), Ok(&block));
    }
}

/// What a server sends while a connection is authenticated.
fn sasl(bytes: &[u8]) {
    let _ = sasl::Reply::decode(bytes);
    let _ = sasl::LayerOffer::decode(bytes);
    if let Some(prefix) = bytes.first_chunk::<4>() {
        let _ = sasl::sealed_length(*prefix);
    }
}

fn registry_answer(bytes: &[u8]) {
    let Some((message, _)) = answer(bytes) else { return };
    let _ = GetClusterIdResponse::decode(message.clone());
    let _ = GetMastersResponse::decode(message.clone());
    let _ = GetBootstrapNodesResponse::decode(message.clone());
    if let Ok(GetActiveMasterResponse { server_name: Some(server) }) = GetActiveMasterResponse::decode(message.clone())
    {
        assert!(directory::address(&server).starts_with(&server.host_name));
    }
    let _ = GetMetaRegionLocationsResponse::decode(message);
}

fn admin_answer(bytes: &[u8]) {
    let Some((message, _)) = answer(bytes) else { return };
    let _ = ProcedureResponse::decode(message.clone());
    let _ = GetProcedureResultResponse::decode(message.clone());
    let _ = GetTableStateResponse::decode(message.clone());
    let _ = MutateResponse::decode(message.clone());
    let _ = GetTableDescriptorsResponse::decode(message.clone());
    if let Ok(answer) = GetTableNamesResponse::decode(message) {
        for name in &answer.table_names {
            let name = TableName::of_message(name);
            assert_eq!(TableName::of_message(&name.message()), name);
        }
    }
}

/// Cells of one row of `hbase:meta`.
fn meta_row(bytes: &[u8]) {
    let Ok(cells) = cell_block::decode(&bytes_of(bytes)) else { return };
    let Ok(meta::MetaRow::Online(region, info)) = meta::parse(&cells) else { return };
    let table = TableName::of_message(&info.table_name);
    assert!(region.name.len() >= region.encoded_name().len());
    assert!(region.end.is_empty() || !region.contains(&region.end));
    let _ = (meta::table_start(&table), meta::lookup_start(&table, &region.start), meta::table_stop(&table));
}

/// A node of ZooKeeper, as each of the three that are read.
fn znode(bytes: &[u8]) {
    let Ok(payload) = zookeeper::payload(bytes_of(bytes)) else { return };
    assert!(bytes.ends_with(&payload));
    let _ = MasterMessage::decode(payload.clone());
    let _ = ClusterIdMessage::decode(payload.clone());
    if let Ok(node) = MetaRegionServer::decode(payload) {
        let _ = directory::address(&node.server);
    }
}

fn exception_of_call(bytes: &[u8]) {
    if let Ok(response) = ExceptionResponse::decode(bytes) {
        judge(&Exception::of_call(response));
    }
}

fn exception_of_result(bytes: &[u8]) {
    if let Ok(pair) = NameBytesPair::decode(bytes) {
        judge(&Exception::of_result(&pair));
    }
}

/// A text that came with a class whose text is read: where the region went, how long to wait.
fn exception_text(bytes: &[u8]) {
    for class in ["exceptions.RegionMovedException", "quotas.RpcThrottlingException"] {
        let pair = NameBytesPair { name: format!("org.apache.hadoop.hbase.{class}"), value: Some(bytes_of(bytes)) };
        let exception = Exception::of_result(&pair);
        judge(&exception);
        match exception.reaction() {
            Reaction::Wait(wait) => assert!(!wait.is_zero()),
            Reaction::Relocate { hint: Some((host, port)) } => assert!(!host.is_empty() && port != 0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
        }
        found
    }

    fn folder(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    #[test]
    fn every_input_of_the_corpus_is_decoded_without_a_panic() {
        for target in TARGETS {
            let text =
                fs::read_to_string(folder("tests/corpus").join(format!("{}.hex", target.name))).expect("a corpus");
            for line in text.lines() {
                println!("{}: {line}", target.name);
                (target.run)(&unhex(line).expect("hexadecimal digits"));
            }
        }
    }

    #[test]
    fn every_target_has_a_corpus_and_every_corpus_a_target() {
        let names: BTreeSet<String> = TARGETS.iter().map(|target| format!("{}.hex", target.name)).collect();
        let found = files(&folder("tests/corpus"));
        let found: BTreeSet<String> =
            found.iter().map(|file| file.file_name().expect("a name").to_string_lossy().into_owned()).collect();
        assert_eq!(found, names);
    }

    #[test]
    fn the_corpus_stays_small() {
        let files = files(&folder("tests/corpus"));
        let bytes: u64 = files.iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
        assert!(bytes < 300 << 10, "{bytes} bytes: fuzz/run minimise");
    }

    /// Frames of Java's client and of real servers, whole and cut off anywhere, given to every decoder.
    #[test]
    fn golden_bytes_are_decoded_by_every_target_at_every_length() {
        for file in
            files(&folder("tests/fixtures")).iter().filter(|file| file.extension().is_some_and(|it| it == "hex"))
        {
            for line in fs::read_to_string(file).expect("text").lines() {
                let Some(bytes) = unhex(line) else { continue };
                let step = (bytes.len() / 256).max(1);
                for length in (0..=bytes.len()).rev().step_by(step) {
                    let cut = bytes.get(..length).expect("a prefix");
                    TARGETS.iter().for_each(|target| (target.run)(cut));
                }
            }
        }
    }

    /// A line of hexadecimal digits; what is no such line is left to its own test.
    fn unhex(line: &str) -> Option<Vec<u8>> {
        let digits = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
    }
}
