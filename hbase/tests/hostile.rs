//! A server whose frames are whole and whose contents are not: the client says what cannot be read, and goes on to use
//! the connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hbase::cell::{Cell, CellKind};
use hbase::client::{Client, ClientConfig};
use hbase::error::Error;
use hbase::registry::Registry;
use hbase::scan::Get;
use hbase::table_name::TableName;
use hbase::wire::cell_block;
use hbase::wire::frame::{self, Request};
use hbase::wire::message::{
    GetMetaRegionLocationsResponse, GetResponse, NameBytesPair, RegionInfoMessage, RegionLocationMessage,
    ResultMessage, ScanResponse, ServerNameMessage, TableNameMessage,
};
use prost::Message;

/// One process that is registry, meta and region server of the table `t`; `get` answers gets, numbered from
/// 1 on each connection.
fn server(get: fn(u32, usize) -> Bytes) -> Registry {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || converse(stream, port, get));
        }
    });
    Registry::Rpc { servers: vec![format!("127.0.0.1:{port}")] }
}

/// Serves until the client closes.
fn converse(mut stream: TcpStream, port: u16, get: fn(u32, usize) -> Bytes) -> Option<()> {
    let read = |stream: &mut TcpStream, length: usize| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).ok()?;
        Some(Bytes::from(bytes))
    };
    let frame = |stream: &mut TcpStream| {
        let length = read(stream, 4)?;
        read(stream, u32::from_be_bytes(length[..].try_into().ok()?) as usize)
    };
    read(&mut stream, 6)?;
    frame(&mut stream)?;
    let mut gets = 0;
    loop {
        let request = Request::decode(frame(&mut stream)?).ok()?;
        let id = request.header.call_id?;
        let answer = match request.header.method_name.as_deref()? {
            "GetMetaRegionLocations" => frame::response(id, &meta_location(port), b""),
            "Scan" => regions(id, port),
            _ => {
                gets += 1;
                get(id, gets)
            }
        };
        stream.write_all(&answer).ok()?;
    }
}

fn server_name(port: u16) -> ServerNameMessage {
    ServerNameMessage { host_name: "127.0.0.1".to_owned(), port: Some(u32::from(port)), start_code: Some(1) }
}

fn region(table: &'static str) -> RegionInfoMessage {
    let table_name = TableNameMessage { namespace: "default".into(), qualifier: table.into() };
    RegionInfoMessage { region_id: 1, table_name, ..RegionInfoMessage::default() }
}

fn meta_location(port: u16) -> GetMetaRegionLocationsResponse {
    let location =
        RegionLocationMessage { region_info: region("meta"), server_name: Some(server_name(port)), seq_num: 1 };
    GetMetaRegionLocationsResponse { meta_locations: vec![location] }
}

/// Meta's one row for `t`.
fn regions(id: u32, port: u16) -> Bytes {
    let values: [(&str, Vec<u8>); 4] = [
        ("regioninfo", [b"PBUF", &region("t").encode_to_vec()[..]].concat()),
        ("seqnumDuringOpen", 2_u64.to_be_bytes().to_vec()),
        ("server", format!("127.0.0.1:{port}").into_bytes()),
        ("serverstartcode", 1_u64.to_be_bytes().to_vec()),
    ];
    let mut block = BytesMut::new();
    for (qualifier, value) in &values {
        let row = "t,,1.0123456789abcdef0123456789abcdef.";
        cell_block::encode(&cell((row, "info", qualifier), value), &mut block);
    }
    let answer = ScanResponse {
        cells_per_result: vec![values.len() as u32],
        more_results: Some(false),
        more_results_in_region: Some(false),
        ..ScanResponse::default()
    };
    frame::response(id, &answer, &block)
}

fn cell((row, family, qualifier): (&str, &str, &str), value: &[u8]) -> Cell {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (row, family, qualifier) = (bytes(row), bytes(family), bytes(qualifier));
    Cell { row, family, qualifier, timestamp: 1, kind: CellKind::Put, value: Bytes::copy_from_slice(value) }
}

fn one_cell(id: u32, change: fn(&mut BytesMut)) -> Bytes {
    let mut block = BytesMut::new();
    cell_block::encode(&cell(("r", "f", "q"), b"v"), &mut block);
    change(&mut block);
    let result = ResultMessage { associated_cell_count: Some(1), ..ResultMessage::default() };
    frame::response(id, &GetResponse { result: Some(result) }, &block)
}

/// Two gets, one behind the other on the same connection.
fn two_gets(get: fn(u32, usize) -> Bytes) -> [Result<Vec<Cell>, Error>; 2] {
    let config = ClientConfig { operation_timeout: Duration::from_secs(2), ..ClientConfig::new(server(get)) };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = Client::new(config);
        let table = TableName::new("t");
        [client.get(&table, &Get::new("r")).await, client.get(&table, &Get::new("r")).await]
    })
}

fn text(result: &Result<Vec<Cell>, Error>) -> String {
    result.as_ref().expect_err("an answer that cannot be read").chain()
}

/// The first get of a connection is answered with what is broken, later ones well: had the client made a new connection,
/// the second get were broken as well.
#[test]
fn a_broken_cell_is_an_error_and_the_connection_goes_on() {
    let results = two_gets(|id, gets| match gets {
        1 => one_cell(id, |block| block[3] ^= 1),
        _ => one_cell(id, |_| {}),
    });
    assert!(text(&results[0]).contains("cell length has an impossible value"), "{results:?}");
    assert_eq!(results[1].as_ref().expect("a row"), &[cell(("r", "f", "q"), b"v")]);
}

#[test]
fn a_cell_that_is_cut_off_is_an_error_and_the_connection_goes_on() {
    let results = two_gets(|id, gets| match gets {
        1 => one_cell(id, |block| block.truncate(block.len() - 1)),
        _ => one_cell(id, |_| {}),
    });
    assert!(text(&results[0]).contains("cell is cut off"), "{results:?}");
    assert_eq!(results[1].as_ref().expect("a row"), &[cell(("r", "f", "q"), b"v")]);
}

#[test]
fn a_message_that_is_none_is_an_error_that_names_it() {
    // A length that is none where the result should be.
    let results = two_gets(|id, _| frame::response(id, &NameBytesPair { name: "x".to_owned(), value: None }, b""));
    for result in &results {
        assert!(text(result).contains("a GetResponse message cannot be read"), "{results:?}");
    }
}
