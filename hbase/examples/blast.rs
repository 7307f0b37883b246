//! How much the in-memory cluster takes: eight connections send Multis of a thousand rows with six cells each, as fast
//! as one server with one core answers them. Every answer is checked, and so is what the server has in the end.
//!
//! `cargo run --release -p hbase --features server --example blast -- [SECONDS] [keep|count]`
//!
//! `keep` (the default) holds every row, `count` one row in a thousand. The figure to go by is cells per second of the
//! server's own CPU time: on a machine with fewer free cores than two, the senders slow the server down.

#![expect(clippy::print_stdout, reason = "the measurement is its output")]

use std::error::Error;
use std::fs;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use hbase::cell::CellKind;
use hbase::client::admin::{Family, TableDescriptor};
use hbase::client::{Client, ClientConfig};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::scan::Visibility;
use hbase::server::{Cluster, Config, Keeping};
use hbase::table_name::TableName;
use hbase::wire::frame::Response;
use hbase::wire::message::{MultiResponse, RequestHeader};
use hbase::wire::multi::{self, RegionRows};
use hbase::wire::preamble;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

const CONNECTIONS: usize = 8;
const ROWS: usize = 1000;
const CELLS: usize = 6;
/// Different Multis of each connection; they are sent again and again.
const MULTIS: usize = 20;
/// Multis in flight on each connection.
const DEPTH: usize = 2;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let time = Duration::from_secs(arguments.next().map_or(Ok(10), |seconds| seconds.parse())?);
    let keeping = match arguments.next().as_deref() {
        Some("count") => Keeping::OneRowIn(1000),
        _ => Keeping::All,
    };
    let (started, start) = sync_channel(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    // The server has one thread, so one core at most.
    let server = std::thread::spawn(move || -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let cluster = Cluster::start_with(Config { keeping, ..Config::default() }).await?;
            let thread = fs::read_link("/proc/thread-self")?;
            started.send((cluster, thread))?;
            Ok(stopped.await?)
        })
    });
    let (cluster, thread) = start.recv()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cpu = || cpu_of(&thread);
    runtime.block_on(blast(&cluster, keeping, time, &cpu))?;
    stop.send(()).map_err(|()| "the server is gone")?;
    server.join().map_err(|_| "the server panicked")?
}

/// CPU time of a thread so far.
fn cpu_of(thread: &std::path::Path) -> Result<Duration, Failure> {
    let text = fs::read_to_string(std::path::Path::new("/proc").join(thread).join("schedstat"))?;
    let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

async fn blast(
    cluster: &Cluster,
    keeping: Keeping,
    time: Duration,
    cpu: &dyn Fn() -> Result<Duration, Failure>,
) -> Result<(), Failure> {
    let client = Client::new(ClientConfig::new(cluster.registry()));
    let table = TableName::new("blast");
    let splits: Vec<Bytes> = (1..CONNECTIONS).map(|sender| format!("{sender:02}").into()).collect();
    let descriptor = TableDescriptor { name: table.clone(), families: vec![Family::new("f")] };
    client.admin().create_table(&descriptor, &splits).await?;
    let regions = client.regions(&table).await?;
    let mut senders = Vec::new();
    for (sender, region) in regions.iter().enumerate() {
        let multis: Result<Vec<Bytes>, Failure> =
            (0..MULTIS).map(|number| request(&region.name, &block(sender, number)?)).collect();
        senders.push((TcpStream::connect(&region.server).await?, multis?));
    }
    let (before, began, worked) = (cluster.counts(), Instant::now(), cpu()?);
    let mut tasks = JoinSet::new();
    for (stream, multis) in senders {
        tasks.spawn(send(stream, multis, began + time));
    }
    let mut sent: u64 = 0;
    while let Some(count) = tasks.join_next().await {
        sent += count??;
    }
    let (wall, worked) = (began.elapsed(), cpu()? - worked);
    let counts = cluster.counts();
    let (rows, cells) = (counts.mutations - before.mutations, counts.cells - before.cells);
    assert_eq!((rows, cells), (sent * ROWS as u64, sent * (ROWS * CELLS) as u64), "every row was counted once");
    check(cluster, &table, keeping)?;
    println!(
        "{cells} cells in {:.1} s: {:.0} cells/s; {:.0} cells per second of the server's CPU",
        wall.as_secs_f64(),
        cells as f64 / wall.as_secs_f64(),
        cells as f64 / worked.as_secs_f64()
    );
    Ok(())
}

fn key(sender: usize, number: usize, row: usize) -> String {
    format!("{sender:02}-user-{:08}", number * ROWS + row)
}

fn value(sender: usize, number: usize, row: usize, cell: usize) -> String {
    format!("value {cell} of {}", key(sender, number, row))
}

fn block(sender: usize, number: usize) -> Result<RowBlock, Failure> {
    let columns: Result<Vec<Column>, _> =
        (0..CELLS).map(|cell| Column::new(b"f", format!("column_{cell}").as_bytes())).collect();
    let columns = columns?;
    let mut builder = RowBlockBuilder::default();
    for row in 0..ROWS {
        builder.begin_row(MutationKind::Put, key(sender, number, row).as_bytes())?;
        for (cell, column) in columns.iter().enumerate() {
            builder.cell(column, 1, CellKind::Put, value(sender, number, row, cell).as_bytes())?;
        }
    }
    Ok(builder.finish())
}

/// A whole request with its cells. All requests carry call id 1: answers are told apart by their order of sending,
/// for they are all the same.
fn request(region: &[u8], block: &RowBlock) -> Result<Bytes, Failure> {
    let mut header =
        RequestHeader { call_id: Some(1), method_name: Some("Multi".to_owned()), ..RequestHeader::default() };
    let rows = [RegionRows { region, rows: block.rows() }];
    let head = multi::request(&mut header, &rows, Durability::UseDefault, block.bytes().len());
    Ok([&head[..], &block.bytes()[..]].concat().into())
}

/// Sends until the time is over; returns how many Multis were answered.
async fn send(mut stream: TcpStream, multis: Vec<Bytes>, until: Instant) -> Result<u64, Failure> {
    stream.set_nodelay(true)?;
    stream.write_all(&preamble::hello("blast", "ClientService", None)).await?;
    let (mut reading, mut writing) = stream.split();
    let (mut buffer, mut known) = (BytesMut::new(), None);
    let (mut sent, mut answered) = (0_u64, 0_u64);
    for multi in multis.iter().cycle() {
        if answered >= MULTIS as u64 && Instant::now() >= until {
            break;
        }
        writing.write_all(multi).await?;
        sent += 1;
        if sent - answered >= DEPTH as u64 {
            expect(&answer(&mut reading, &mut buffer).await?, &mut known)?;
            answered += 1;
        }
    }
    while answered < sent {
        expect(&answer(&mut reading, &mut buffer).await?, &mut known)?;
        answered += 1;
    }
    Ok(answered)
}

async fn answer(reading: &mut (impl AsyncReadExt + Unpin), buffer: &mut BytesMut) -> Result<Bytes, Failure> {
    let mut wanted = 4;
    loop {
        if let Some(length) = buffer.first_chunk::<4>() {
            wanted = 4 + u32::from_be_bytes(*length) as usize;
        }
        if wanted > 4 && buffer.len() >= wanted {
            buffer.advance(4);
            return Ok(buffer.split_to(wanted - 4).freeze());
        }
        if reading.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
    }
}

/// The first answer is read; the others must be the same.
fn expect(answer: &Bytes, known: &mut Option<Bytes>) -> Result<(), Failure> {
    if known.as_ref() == Some(answer) {
        return Ok(());
    }
    let response = Response::decode(answer.clone())?.result.map_err(|exception| format!("{exception:?}"))?;
    let multi = MultiResponse::decode(response.message)?;
    let results: Vec<_> = multi.region_action_result.iter().flat_map(|region| &region.result_or_exception).collect();
    assert_eq!(results.len(), ROWS, "one result for each row");
    assert!(results.iter().all(|result| result.exception.is_none()), "every row is taken");
    *known = Some(answer.clone());
    Ok(())
}

/// What the server has are the rows that were sent and are kept.
fn check(cluster: &Cluster, table: &TableName, keeping: Keeping) -> Result<(), Failure> {
    let mut cells = cluster.cells(table, Visibility::Live).into_iter();
    for (sender, number, row) in
        (0..CONNECTIONS * MULTIS * ROWS).map(|at| (at / (MULTIS * ROWS), at / ROWS % MULTIS, at % ROWS))
    {
        let key = key(sender, number, row);
        if !keeping.keeps(key.as_bytes()) {
            continue;
        }
        for cell in 0..CELLS {
            let found = cells.next().ok_or("a cell is missing")?;
            let expected = (key.as_bytes(), 1, value(sender, number, row, cell));
            assert_eq!(
                (&found.row[..], found.timestamp, &found.value[..]),
                (expected.0, expected.1, expected.2.as_bytes())
            );
        }
    }
    assert!(cells.next().is_none(), "no cell that was not sent");
    Ok(())
}
