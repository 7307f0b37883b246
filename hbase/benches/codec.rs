//! What a row costs before and after the network: encoding a Multi, reading its answer, reading the answer of a scan.
//!
//! `cargo bench -p hbase --bench codec`. Every answer is checked before a time is taken, and so is that memory is not
//! allocated for each cell.
#![expect(clippy::indexing_slicing, reason = "a benchmark that indexes past the end fails, as it should")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hbase::cell::{Cell, CellKind};
use hbase::mutation::Durability;
use hbase::row_block::{Column, MutationKind, RowBlock, RowBlockBuilder};
use hbase::wire::cell_block::{self, CellReader};
use hbase::wire::frame::Request;
use hbase::wire::message::RequestHeader;
use hbase::wire::multi::{self, RegionParts};
use hbase::wire::multi_answer::{MultiAnswer, RegionAnswer};

const ROWS: usize = 1000;
const COLUMNS: usize = 5;
const REGIONS: usize = 10;
/// Of a row key, as in gohbase's benchmark of the same shape.
const KEY_BYTES: usize = 50;

/// Columns of values as a caller has them: one buffer each, values of fixed length.
struct Source {
    keys: Vec<u8>,
    columns: Vec<(Column, Vec<u8>)>,
}

const VALUE_BYTES: usize = 16;

fn source() -> Source {
    let keys = (0..ROWS).flat_map(|row| format!("{row:0KEY_BYTES$}").into_bytes()).collect();
    let column = |number| {
        let name = Column::new(b"d", format!("column{number}").as_bytes()).expect("a legal column");
        (name, (0..ROWS).flat_map(|row| format!("{:0VALUE_BYTES$}", row * number).into_bytes()).collect())
    };
    Source { keys, columns: (0..COLUMNS).map(column).collect() }
}

fn encode(source: &Source, bytes: usize) -> RowBlock {
    let mut builder = RowBlockBuilder::with_capacity(bytes, ROWS);
    for row in 0..ROWS {
        builder.begin_row(MutationKind::Put, &source.keys[row * KEY_BYTES..][..KEY_BYTES]).expect("in order");
        for (column, values) in &source.columns {
            let value = &values[row * VALUE_BYTES..][..VALUE_BYTES];
            builder.cell(column, row as i64, CellKind::Put, value).expect("room");
        }
    }
    builder.finish()
}

fn request(block: &RowBlock, names: &[Bytes]) -> Vec<Bytes> {
    let mut header = RequestHeader {
        call_id: Some(1),
        method_name: Some("Multi".to_owned()),
        timeout: Some(20_000),
        ..RequestHeader::default()
    };
    let rows = ROWS / REGIONS;
    let parts: Vec<RegionParts<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, region)| RegionParts {
            region,
            durability: Durability::SyncWal,
            parts: vec![&block.rows()[at * rows..(at + 1) * rows]],
        })
        .collect();
    let mut frame = vec![multi::request_of_parts(&mut header, &parts, block.bytes().len())];
    frame.extend((0..REGIONS).map(|at| block.cells_of(at * rows..(at + 1) * rows)));
    frame
}

fn multi(criterion: &mut Criterion) {
    let source = source();
    let names: Vec<Bytes> =
        (0..REGIONS).map(|at| format!("table,{at:050},1.0123456789abcdef0123456789abcdef.").into()).collect();
    let bytes = encode(&source, 0).bytes().len();
    let frame = request(&encode(&source, bytes), &names).concat();
    let read = Request::decode(Bytes::from(frame).slice(4..)).expect("a request");
    let cells = cell_block::decode(&read.cells).expect("cells");
    assert_eq!(cells.len(), ROWS * COLUMNS);
    assert_eq!(cells[7].value, format!("{:0VALUE_BYTES$}", 2));
    let allocations = allocation_counter::measure(|| drop(request(&encode(&source, bytes), &names)));
    assert!(allocations.count_total < 60, "{allocations:?} for {} cells", cells.len());
    let mut group = criterion.benchmark_group("multi");
    group.throughput(Throughput::Elements((ROWS * COLUMNS) as u64));
    group.bench_function("encode 1000 rows x 5 cells over 10 regions", |bench| {
        bench.iter(|| request(&encode(black_box(&source), bytes), &names));
    });
    group.throughput(Throughput::Elements(ROWS as u64));
    let (answer, rows) = answer();
    let regions = MultiAnswer::read(&answer, &rows).expect("an answer").regions;
    assert!(regions.iter().all(|it| *it == RegionAnswer::Answered { refused: Vec::new(), missing: Vec::new() }));
    group.bench_function("read the answer of 1000 rows", |bench| {
        bench.iter(|| MultiAnswer::read(black_box(&answer), &rows));
    });
    group.finish();
}

fn answer() -> (Bytes, Vec<usize>) {
    use hbase::wire::message::{MultiResponse, RegionActionResult, ResultMessage, ResultOrException};
    use prost::Message;
    let rows = ROWS / REGIONS;
    let done = |index| ResultOrException {
        index: Some(index as u32 + 1),
        result: Some(ResultMessage::default()),
        exception: None,
    };
    let region =
        RegionActionResult { result_or_exception: (0..rows).map(done).collect(), ..RegionActionResult::default() };
    let response = MultiResponse { region_action_result: vec![region; REGIONS], ..MultiResponse::default() };
    (response.encode_to_vec().into(), vec![rows; REGIONS])
}

fn scan(criterion: &mut Criterion) {
    let mut block = BytesMut::new();
    let mut wanted = 0;
    while block.len() < 2 << 20 {
        let row = Bytes::from(format!("{:0KEY_BYTES$}", wanted / COLUMNS));
        let cell = Cell {
            row,
            family: Bytes::from_static(b"d"),
            qualifier: Bytes::from(format!("column{}", wanted % COLUMNS)),
            timestamp: wanted as i64,
            kind: CellKind::Put,
            value: Bytes::from(vec![b'v'; 100]),
        };
        cell_block::encode(&cell, &mut block);
        wanted += 1;
    }
    let block = block.freeze();
    let cells = cell_block::decode(&block).expect("cells");
    assert_eq!((cells.len(), cells[wanted - 1].timestamp), (wanted, wanted as i64 - 1));
    let read = |block: &Bytes| {
        let mut reader = CellReader::new(block.clone());
        let mut cells = 0;
        while let Ok(Some(cell)) = reader.next_cell() {
            black_box(&cell);
            cells += 1;
        }
        assert_eq!(cells, wanted);
    };
    assert_eq!(allocation_counter::measure(|| read(&block)).count_total, 0);
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(block.len() as u64));
    group.bench_function("read the cells of a 2 MiB answer", |bench| bench.iter(|| read(black_box(&block))));
    group.finish();
}

criterion_group!(codec, multi, scan);
criterion_main!(codec);
