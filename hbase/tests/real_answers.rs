//! Answers of real servers as golden files, and whether real servers still answer so.
//!
//! `UPDATE=1` writes every exchange down (see `tests/fixtures/README.md`). Without it every exchange that has a file for
//! the running version is repeated: the outcome and the class of a refusal must be those of the file. The exchanges go
//! through a plain socket and not through the client, so that what is written down is what was sent and what came.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hbase::cell::{Cell, CellKind};
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::cluster::meta::Region;
use hbase::registry::Registry;
use hbase::table_name::TableName;
use hbase::wire::frame::{self, Response};
use hbase::wire::message::{
    ActionMessage, ColumnMessage, ColumnValue, ConnectionHeader, Empty, FilterMessage, GetMessage, GetRequest,
    GetTableDescriptorsRequest, GetTableNamesRequest, MoveRegionRequest, MultiRequest, MutateRequest, MutationProto,
    QualifierValue, RegionAction, RegionSpecifier, RequestHeader, ScanMessage, ScanRequest, ScanResponse,
    UserInformation,
};
use hbase::wire::{cell_block, preamble};
use prost::Message;

/// Rows of the region `g` to `p`: enough to reach the time limit of a scan that shows none of them.
const MANY: u32 = 60_000;
/// For every call but the one whose answer is a sign of life.
const TIMEOUT_MS: u32 = 20_000;

/// A cluster of the stack whose answers are recorded.
struct Place {
    version: String,
    quorum: String,
    rpc: Option<String>,
}

fn places() -> Vec<Place> {
    if !std::env::var("REAL").is_ok_and(|value| value == "1") {
        println!("skipped: REAL=1 and a running stack are needed (`make test` starts one)");
        return Vec::new();
    }
    let of = |cluster: &str| {
        let variable = |name: &str| std::env::var(format!("HALCYON_{cluster}_{name}")).ok();
        Some(Place { version: variable("VERSION")?, quorum: variable("ZK")?, rpc: variable("RPC") })
    };
    ["BLUE", "GREEN"].iter().filter_map(|cluster| of(cluster)).collect()
}

fn is_update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

/// A socket that has said its hello.
struct Wire {
    stream: TcpStream,
    last_id: u32,
}

impl Wire {
    fn connect(address: &str, hello: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).expect("a server");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.write_all(hello).expect("sent");
        Self { stream, last_id: 0 }
    }

    fn open(address: &str, service: &str) -> Self {
        Self::connect(address, &preamble::hello("golden", service, None))
    }

    /// A connection whose answers carry cells as protobuf: no codec is announced.
    fn without_codec(address: &str) -> Self {
        let header = header("ClientService", None).encode_to_vec();
        Self::connect(address, &[b"HBas\x00\x50", &(header.len() as u32).to_be_bytes()[..], &header].concat())
    }

    /// What follows the length of the next frame; `None` if none comes.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame)
    }

    fn send(&mut self, (method, timeout): (&str, u32), message: &impl Message, cells: &[u8]) -> Vec<u8> {
        self.last_id += 1;
        let mut header = RequestHeader {
            call_id: Some(self.last_id),
            method_name: Some(method.to_owned()),
            timeout: Some(timeout),
            ..RequestHeader::default()
        };
        let frame = [&frame::request(&mut header, message, cells.len()), cells].concat();
        self.stream.write_all(&frame).expect("sent");
        frame[4..].to_vec()
    }
}

fn header(service: &str, codec: Option<&str>) -> ConnectionHeader {
    ConnectionHeader {
        user_info: Some(UserInformation { effective_user: "golden".to_owned(), real_user: None }),
        service_name: Some(service.to_owned()),
        cell_block_codec_class: codec.map(str::to_owned),
        ..ConnectionHeader::default()
    }
}

/// What is recorded of one cluster, by name.
struct Recorder {
    folder: PathBuf,
    compared: usize,
}

impl Recorder {
    fn new(version: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/server-{version}"));
        if is_update() {
            std::fs::create_dir_all(&folder).expect("a folder");
        }
        Self { folder, compared: 0 }
    }

    /// Calls a method; returns the answer.
    fn call(&mut self, name: &str, wire: &mut Wire, method: &str, message: &impl Message, cells: &[u8]) -> Vec<u8> {
        let request = wire.send((method, TIMEOUT_MS), message, cells);
        let answer = wire.frame().unwrap_or_else(|| panic!("{name}: no answer"));
        self.keep(name, &[&request, &answer]);
        answer
    }

    /// Writes parts down, the last of them an answer; or compares the answer with the one that is written down.
    fn keep(&mut self, name: &str, parts: &[&[u8]]) {
        let file = self.folder.join(format!("{name}.hex"));
        if is_update() {
            let line = |part: &&[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
            std::fs::write(file, parts.iter().map(line).collect::<String>()).expect("written");
        } else if let Ok(known) = std::fs::read_to_string(file) {
            let digits: Vec<char> = known.lines().last().unwrap_or_default().chars().collect();
            let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal");
            let known: Bytes = digits.chunks(2).map(byte).collect();
            let found = Bytes::copy_from_slice(parts.last().expect("an answer"));
            assert_eq!(outcome(found), outcome(known), "{name} in {}", self.folder.display());
            self.compared += 1;
        }
    }
}

/// What must be the same whenever the exchange is repeated.
fn outcome(answer: Bytes) -> Result<(), Option<String>> {
    let response = Response::decode(answer).expect("an answer");
    response.result.map(drop).map_err(|exception| exception.exception_class_name)
}

fn region(region: &Region) -> RegionSpecifier {
    RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: region.name.clone() }
}

fn cell(row: &str, family: &str, (qualifier, timestamp): (&str, i64), value: &[u8]) -> Cell {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (row, family, qualifier) = (bytes(row), bytes(family), bytes(qualifier));
    Cell { row, family, qualifier, timestamp, kind: CellKind::Put, value: Bytes::copy_from_slice(value) }
}

/// Puts of one region, each of the cells of one row, and the cells of all.
fn puts(specifier: RegionSpecifier, rows: &[&[Cell]], block: &mut BytesMut) -> RegionAction {
    let action = |(index, cells): (u32, &&[Cell])| {
        cells.iter().for_each(|cell| cell_block::encode(cell, block));
        let mutation = MutationProto {
            mutate_type: Some(MutationProto::PUT),
            associated_cell_count: Some(cells.len() as i32),
            ..MutationProto::default()
        };
        ActionMessage { index: Some(index), mutation: Some(mutation), ..ActionMessage::default() }
    };
    let action = (1..).zip(rows).map(action).collect();
    RegionAction { region: specifier, action, ..RegionAction::default() }
}

fn multi(actions: Vec<RegionAction>) -> MultiRequest {
    MultiRequest { region_action: actions, ..MultiRequest::default() }
}

fn get(at: &Region, row: &str, family: &str) -> GetRequest {
    let column = ColumnMessage { family: Bytes::copy_from_slice(family.as_bytes()), ..ColumnMessage::default() };
    let get = GetMessage {
        row: Bytes::copy_from_slice(row.as_bytes()),
        column: vec![column],
        max_versions: Some(3),
        ..GetMessage::default()
    };
    GetRequest { region: region(at), get }
}

fn open(at: RegionSpecifier, scan: ScanMessage, rows: u32) -> ScanRequest {
    ScanRequest {
        region: Some(at),
        scan: Some(scan),
        number_of_rows: Some(rows),
        client_handles_partials: Some(true),
        client_handles_heartbeats: Some(true),
        ..ScanRequest::default()
    }
}

fn next(id: Option<u64>, sequence: u64, rows: u32) -> ScanRequest {
    ScanRequest {
        scanner_id: id,
        number_of_rows: Some(rows),
        next_call_seq: Some(sequence),
        client_handles_partials: Some(true),
        client_handles_heartbeats: Some(true),
        ..ScanRequest::default()
    }
}

fn scan_answer(answer: Vec<u8>) -> ScanResponse {
    let answer = Response::decode(answer.into()).expect("an answer").result.expect("success");
    ScanResponse::decode(answer.message).expect("a ScanResponse")
}

#[test]
fn real_servers_answer_as_the_golden_files_say() {
    for place in places() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let registry = Registry::ZooKeeper { quorum: vec![place.quorum.clone()], znode: "/hbase".to_owned() };
        let client = Client::new(ClientConfig::new(registry));
        let table = TableName::new(if is_update() { "golden" } else { "golden_again" });
        let regions = runtime.block_on(table_with_three_regions(&client, &table));
        let mut recorder = Recorder::new(&place.version);
        let meta = runtime.block_on(znodes(&mut recorder, &place.quorum));
        let [low, _, high] = &regions[..] else { panic!("{regions:?}") };
        writes_and_gets(&mut recorder, low);
        scans(&mut recorder, high);
        refusals(&mut recorder, low);
        fatal(&mut recorder, &low.server);
        meta_rows(&mut recorder, &meta.1, &table);
        masters(&mut recorder, &meta.0, &table);
        if let Some(rpc) = &place.rpc {
            registries(&mut recorder, rpc);
        }
        if is_update() {
            runtime.block_on(async { fill(&client, &table).await });
            // 1.x looks at the clock only between rows that it shows.
            if !place.version.starts_with("1.") {
                heartbeat(&mut recorder, &regions[1]);
            }
            moved(&mut recorder, (&meta.0, low));
        }
        runtime.block_on(drop_table(&client, &table));
        println!("{}: {} answers compared", place.version, recorder.compared);
    }
}

async fn drop_table(client: &Client, table: &TableName) {
    client.admin().disable_table(table).await.expect("disabled");
    client.admin().drop_table(table).await.expect("dropped");
}

async fn table_with_three_regions(client: &Client, table: &TableName) -> Vec<Region> {
    if client.admin().list_tables().await.expect("tables").contains(table) {
        drop_table(client, table).await;
    }
    let family = Family::new("f").with("VERSIONS", "3");
    let descriptor = TableDescriptor { name: table.clone(), families: vec![family] };
    let splits = [Bytes::from_static(b"g"), Bytes::from_static(b"p")];
    client.admin().create_table(&descriptor, &splits).await.expect("created");
    client.regions(table).await.expect("regions")
}

/// The nodes as they are; returns the addresses of the master and of meta's server.
async fn znodes(recorder: &mut Recorder, quorum: &str) -> (String, String) {
    use hbase::wire::message::{MasterMessage, MetaRegionServer, ServerNameMessage};
    let address = |server: &ServerNameMessage| format!("{}:{}", server.host_name, server.port.expect("a port"));
    let client = zookeeper_client::Client::connect(quorum).await.expect("ZooKeeper");
    let mut nodes = Vec::new();
    for name in ["master", "meta-region-server", "hbaseid"] {
        let (data, _) = client.get_data(&format!("/hbase/{name}")).await.expect("a node");
        if is_update() {
            recorder.keep(&format!("znode.{name}"), &[&data]);
        }
        // 0xFF, the length of an id, the id, `PBUF`.
        let id = u32::from_be_bytes(data[1..5].try_into().expect("a length")) as usize;
        nodes.push(Bytes::from(data).slice(5 + id + 4..));
    }
    let master = MasterMessage::decode(nodes[0].clone()).expect("the master");
    let meta = MetaRegionServer::decode(nodes[1].clone()).expect("meta's server");
    (address(&master.master), address(&meta.server))
}

fn writes_and_gets(recorder: &mut Recorder, at: &Region) {
    let mut wire = Wire::open(&at.server, "ClientService");
    let a = [cell("a", "f", ("", 5), b"empty qualifier"), cell("a", "f", ("q", 5), b"five")];
    let (a7, b) = ([cell("a", "f", ("q", 7), b"seven")], [cell("b", "f", ("q", 1), b"")]);
    let wrong = [cell("c", "g", ("q", 1), b"no such family")];
    let mut block = BytesMut::new();
    let request = multi(vec![puts(region(at), &[&a, &a7, &b], &mut block)]);
    recorder.call("multi_success", &mut wire, "Multi", &request, &block);
    block.clear();
    let request = multi(vec![puts(region(at), &[&a, &wrong, &b], &mut block)]);
    recorder.call("multi_one_action_refused", &mut wire, "Multi", &request, &block);
    block.clear();
    let nowhere = RegionSpecifier {
        kind: RegionSpecifier::REGION_NAME,
        value: Bytes::from_static(b"golden,nowhere,1.0123456789abcdef0123456789abcdef."),
    };
    let request = multi(vec![puts(nowhere, &[&a], &mut block), puts(region(at), &[&b], &mut block)]);
    recorder.call("multi_one_region_refused", &mut wire, "Multi", &request, &block);
    let request = multi(vec![RegionAction {
        region: region(at),
        action: (1..)
            .zip(["a", "d"])
            .map(|(index, row)| ActionMessage {
                index: Some(index),
                get: Some(get(at, row, "f").get),
                ..ActionMessage::default()
            })
            .collect(),
        ..RegionAction::default()
    }]);
    recorder.call("multi_of_gets", &mut wire, "Multi", &request, b"");
    recorder.call("get_three_cells", &mut wire, "Get", &get(at, "a", "f"), b"");
    recorder.call("get_nothing", &mut wire, "Get", &get(at, "d", "f"), b"");
    let value = QualifierValue {
        qualifier: Some(Bytes::from_static(b"n")),
        value: Some(Bytes::copy_from_slice(&5_i64.to_be_bytes())),
        ..QualifierValue::default()
    };
    let mutation = MutationProto {
        row: Some(Bytes::from_static(b"e")),
        mutate_type: Some(MutationProto::INCREMENT),
        column_value: vec![ColumnValue { family: Bytes::from_static(b"f"), qualifier_value: vec![value] }],
        ..MutationProto::default()
    };
    let request = MutateRequest { region: region(at), mutation, ..MutateRequest::default() };
    recorder.call("mutate_increment", &mut wire, "Mutate", &request, b"");
    let mut wire = Wire::without_codec(&at.server);
    recorder.call("get_without_a_codec", &mut wire, "Get", &get(at, "a", "f"), b"");
    recorder.call("scan_without_a_codec", &mut wire, "Scan", &open(region(at), ScanMessage::default(), 1), b"");
}

fn scans(recorder: &mut Recorder, at: &Region) {
    let mut wire = Wire::open(&at.server, "ClientService");
    let rows: Vec<Vec<Cell>> = (0..4)
        .map(|row| {
            let row = format!("q{row}");
            ["a", "b", "c"].iter().map(|name| cell(&row, "f", (name, 1), &[b'v'; 40])).collect()
        })
        .collect();
    let rows: Vec<&[Cell]> = rows.iter().map(Vec::as_slice).collect();
    let mut block = BytesMut::new();
    let request = multi(vec![puts(region(at), &rows, &mut block)]);
    recorder.call("multi_four_rows", &mut wire, "Multi", &request, &block);

    let answer = recorder.call("scan_opens", &mut wire, "Scan", &open(region(at), ScanMessage::default(), 2), b"");
    let id = scan_answer(answer).scanner_id;
    recorder.call("scan_goes_on", &mut wire, "Scan", &next(id, 0, 1), b"");
    recorder.call("scan_repeats_a_number", &mut wire, "Scan", &next(id, 0, 1), b"");
    let answer =
        recorder.call("scan_opens_again", &mut wire, "Scan", &open(region(at), ScanMessage::default(), 3), b"");
    let id = scan_answer(answer).scanner_id;
    recorder.call("scan_ends", &mut wire, "Scan", &next(id, 0, 3), b"");
    // Smaller than a row: its cells come in parts.
    let small = ScanMessage { max_result_size: Some(100), ..ScanMessage::default() };
    let answer = recorder.call("scan_begins_a_row", &mut wire, "Scan", &open(region(at), small, 10), b"");
    let id = scan_answer(answer).scanner_id;
    recorder.call("scan_goes_on_in_the_row", &mut wire, "Scan", &next(id, 0, 10), b"");
    let reversed = ScanMessage { reversed: Some(true), ..ScanMessage::default() };
    let close = ScanRequest { close_scanner: Some(true), ..open(region(at), reversed, 2) };
    recorder.call("scan_backwards_and_closes", &mut wire, "Scan", &close, b"");
}

fn refusals(recorder: &mut Recorder, at: &Region) {
    let mut wire = Wire::open(&at.server, "ClientService");
    let elsewhere =
        Region { name: Bytes::from_static(b"golden,nowhere,1.0123456789abcdef0123456789abcdef."), ..at.clone() };
    recorder.call("get_of_an_unknown_region", &mut wire, "Get", &get(&elsewhere, "a", "f"), b"");
    recorder.call("get_of_an_unknown_family", &mut wire, "Get", &get(at, "a", "g"), b"");
    recorder.call("get_of_another_regions_row", &mut wire, "Get", &get(at, "z", "f"), b"");
    recorder.call("scan_of_an_unknown_scanner", &mut wire, "Scan", &next(Some(1), 0, 1), b"");
    recorder.call("method_that_is_not_there", &mut wire, "Nothing", &Empty {}, b"");
}

/// What a server says before it closes a connection that it does not want.
fn fatal(recorder: &mut Recorder, address: &str) {
    let hello = |header: &ConnectionHeader| {
        let header = header.encode_to_vec();
        [b"HBas\x00\x50", &(header.len() as u32).to_be_bytes()[..], &header].concat()
    };
    let cases = [
        ("fatal_unknown_service", hello(&header("NoSuchService", None))),
        ("fatal_unknown_codec", hello(&header("ClientService", Some("no.such.Codec")))),
        ("fatal_wrong_version", b"HBas\x09\x50".to_vec()),
        ("fatal_no_magic", b"GET / ".to_vec()),
    ];
    for (name, hello) in cases {
        // 1.x closes without a word where later versions say why.
        if let Some(answer) = Wire::connect(address, &hello).frame() {
            recorder.keep(name, &[&hello, &answer]);
        }
    }
}

fn meta_rows(recorder: &mut Recorder, address: &str, table: &TableName) {
    let mut wire = Wire::open(address, "ClientService");
    let meta = RegionSpecifier { kind: RegionSpecifier::REGION_NAME, value: Bytes::from_static(b"hbase:meta,,1") };
    let column = ColumnMessage { family: Bytes::from_static(b"info"), ..ColumnMessage::default() };
    let scan = ScanMessage {
        column: vec![column],
        start_row: Some(format!("{table},,").into()),
        stop_row: Some(format!("{table} ,,").into()),
        ..ScanMessage::default()
    };
    let request = ScanRequest { close_scanner: Some(true), ..open(meta, scan, 100) };
    recorder.call("scan_of_meta", &mut wire, "Scan", &request, b"");
}

fn masters(recorder: &mut Recorder, address: &str, table: &TableName) {
    let mut wire = Wire::open(address, "MasterService");
    recorder.call("is_master_running", &mut wire, "IsMasterRunning", &Empty {}, b"");
    let request =
        GetTableDescriptorsRequest { regex: Some(table.to_string()), ..GetTableDescriptorsRequest::default() };
    recorder.call("table_descriptors", &mut wire, "GetTableDescriptors", &request, b"");
    recorder.call("table_names", &mut wire, "GetTableNames", &GetTableNamesRequest::default(), b"");
}

fn registries(recorder: &mut Recorder, address: &str) {
    let mut wire = Wire::open(address, "ClientMetaService");
    for method in ["GetClusterId", "GetActiveMaster", "GetMetaRegionLocations", "GetMasters", "GetBootstrapNodes"] {
        let answer = recorder.call(&format!("registry.{method}"), &mut wire, method, &Empty {}, b"");
        assert!(Response::decode(answer.into()).is_ok(), "{method}");
    }
    // 2.6 and later: a connection that only asks for the cluster's id.
    if let Some(answer) = Wire::connect(address, b"Regist").frame() {
        recorder.keep("preamble_registry", &[b"Regist", &answer]);
    }
}

async fn fill(client: &Client, table: &TableName) {
    use hbase::mutation::Durability;
    use hbase::row_block::{Column, MutationKind, RowBlockBuilder};
    let column = Column::new(b"f", b"q").expect("a legal column");
    let mut builder = RowBlockBuilder::default();
    for row in 0..MANY {
        builder.begin_row(MutationKind::Put, format!("m{row:06}").as_bytes()).expect("in order");
        builder.cell(&column, 1, CellKind::Put, b"").expect("room");
    }
    client.write(table, &builder.finish(), Durability::SkipWal).await.expect("written");
}

/// A scan that shows no row until the server's time limit is reached. Needs a server with
/// `hbase.cells.scanned.per.heartbeat.check=10`, `hbase.ipc.min.client.request.timeout=1` and
/// `hbase.region.server.rpc.minimum.scan.time.limit.delta=1`.
fn heartbeat(recorder: &mut Recorder, at: &Region) {
    // `RandomRowFilter` with a chance below zero shows nothing.
    let nothing = [&[0x0d][..], &(-1.0_f32).to_le_bytes()].concat();
    let filter = FilterMessage {
        name: "org.apache.hadoop.hbase.filter.RandomRowFilter".to_owned(),
        serialized_filter: Some(nothing.into()),
    };
    for timeout in (4..40).chain(4..40) {
        let mut wire = Wire::open(&at.server, "ClientService");
        wire.stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        let scan = ScanMessage { filter: Some(filter.clone()), ..ScanMessage::default() };
        let request = wire.send(("Scan", timeout), &open(region(at), scan, 10), b"");
        // A call that waited longer than its time is dropped without an answer.
        let Some(answer) = wire.frame() else { continue };
        let success = Response::decode(answer.clone().into()).expect("an answer").result.is_ok();
        if success && scan_answer(answer.clone()).heartbeat_message == Some(true) {
            return recorder.keep("scan_heartbeat", &[&request, &answer]);
        }
    }
    panic!("no heartbeat came");
}

/// A region that the master moved: its old server says where it went.
fn moved(recorder: &mut Recorder, (master, at): (&str, &Region)) {
    let encoded = RegionSpecifier {
        kind: RegionSpecifier::ENCODED_REGION_NAME,
        value: Bytes::copy_from_slice(at.encoded_name()),
    };
    let mut master = Wire::open(master, "MasterService");
    master.send(
        ("MoveRegion", TIMEOUT_MS),
        &MoveRegionRequest { region: encoded, ..MoveRegionRequest::default() },
        b"",
    );
    let moved = Response::decode(master.frame().expect("an answer").into()).expect("an answer");
    assert!(moved.result.is_ok(), "{moved:?}");
    let mut wire = Wire::open(&at.server, "ClientService");
    for _ in 0..10_000 {
        let request = wire.send(("Get", TIMEOUT_MS), &get(at, "a", "f"), b"");
        let answer = wire.frame().expect("an answer");
        if outcome(answer.clone().into())
            == Err(Some("org.apache.hadoop.hbase.exceptions.RegionMovedException".to_owned()))
        {
            recorder.keep("get_of_a_moved_region", &[&request, &answer]);
            let mut block = BytesMut::new();
            let cells = [cell("a", "f", ("q", 9), b"nine")];
            let request = multi(vec![puts(region(at), &[&cells], &mut block)]);
            recorder.call("multi_of_a_moved_region", &mut wire, "Multi", &request, &block);
            return;
        }
    }
    panic!("the region did not move: two region servers are needed");
}
