//! Connections against peers that misbehave, on streams in memory and, where time is the claim, on paused time.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::reader::REASON_PATIENCE;
use super::*;
use crate::wire::frame::{FATAL_CALL_ID, Request, failure, response};
use crate::wire::message::{Empty, ExceptionResponse, GetClusterIdResponse};

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits { silence: Duration::from_secs(30), idle: Duration::from_secs(120) };

/// The server's end of a connection.
struct Peer {
    stream: DuplexStream,
    buffer: BytesMut,
}

impl Peer {
    async fn request(&mut self) -> Request {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer).expect("a frame") {
                return Request::decode(frame).expect("a request");
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.expect("a stream"), 0, "the client went away");
        }
    }

    async fn answer(&mut self, request: &Request, text: &str) {
        self.send(&answer_to(request, text)).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the client reads");
    }
}

fn answer_to(request: &Request, text: &str) -> Bytes {
    let id = request.header.call_id.expect("an id");
    response(id, &GetClusterIdResponse { cluster_id: Some(text.to_owned()) }, b"")
}

fn connect_with(compression: Compression, buffer_bytes: usize) -> (Connection, Peer) {
    let (ours, theirs) = duplex(buffer_bytes);
    let (reading, writing) = tokio::io::split(ours);
    let dialed = Dialed { reading: Box::new(reading), writing: Box::new(writing), hello: Bytes::new() };
    let terms = Terms { cluster: "test".into(), limits: LIMITS, compression };
    (Connection::over(dialed, "peer:1", terms), Peer { stream: theirs, buffer: BytesMut::new() })
}

fn connect() -> (Connection, Peer) {
    connect_with(Compression::None, 64 << 10)
}

async fn ask(connection: &Connection, timeout: Duration) -> Result<String, CallError> {
    let call = ("GetClusterId", "GetClusterIdResponse");
    let (answer, _) = connection.call::<GetClusterIdResponse>(call, &Empty {}, timeout).await?;
    Ok(answer.cluster_id.unwrap_or_default())
}

/// A call in the background, after its request has been given to the stream.
async fn begin(connection: &Connection, timeout: Duration) -> JoinHandle<Result<String, CallError>> {
    let connection = connection.clone();
    let call = tokio::spawn(async move { ask(&connection, timeout).await });
    tokio::task::yield_now().await;
    call
}

fn cause(result: Result<String, CallError>) -> Arc<ConnectionError> {
    match result {
        Err(CallError::Connection(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_out_of_order_find_their_callers() {
    let (connection, mut peer) = connect();
    let mut calls = Vec::new();
    let mut requests = Vec::new();
    for _ in 0..10 {
        calls.push(begin(&connection, SECOND * 10).await);
        requests.push(peer.request().await);
    }
    for (number, request) in requests.iter().enumerate().rev() {
        peer.answer(request, &number.to_string()).await;
    }
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.expect("no panic").expect("an answer"), number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_ends_alone_and_its_late_answer_is_skipped() {
    let (connection, mut peer) = connect();
    let slow = begin(&connection, SECOND).await;
    let slow_request = peer.request().await;
    let quick = begin(&connection, SECOND * 10).await;
    let quick_request = peer.request().await;
    assert_eq!(slow_request.header.timeout, Some(1000), "the server is told how long it may take");
    let outcome = slow.await.expect("no panic");
    assert!(matches!(outcome, Err(CallError::TimedOut { waited }) if waited == SECOND), "{outcome:?}");
    peer.answer(&slow_request, "late").await;
    peer.answer(&quick_request, "in time").await;
    assert_eq!(quick.await.expect("no panic").expect("an answer"), "in time");
    let another = begin(&connection, SECOND).await;
    let request = peer.request().await;
    peer.answer(&request, "goes on").await;
    assert_eq!(another.await.expect("no panic").expect("an answer"), "goes on");
}

#[tokio::test(start_paused = true)]
async fn a_half_open_socket_under_constant_writes_is_dead_after_the_silence() {
    let (connection, mut peer) = connect();
    // The peer's kernel takes every byte; nobody ever answers.
    let swallowing = tokio::spawn(async move {
        while let Ok(1..) = peer.stream.read_buf(&mut peer.buffer).await {
            peer.buffer.clear();
        }
    });
    let began = Instant::now();
    let ended = loop {
        match ask(&connection, SECOND).await {
            Err(CallError::TimedOut { .. }) => assert!(began.elapsed() <= LIMITS.silence),
            other => break cause(other),
        }
    };
    assert!(matches!(*ended, ConnectionError::Silent { silence } if silence == LIMITS.silence), "{ended:?}");
    assert_eq!(began.elapsed(), LIMITS.silence, "neither earlier nor later, however often it was written");
    drop(connection);
    swallowing.await.expect("the socket closes with the connection");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_something_is_alive_however_slow_one_call_is() {
    let (connection, mut peer) = connect();
    let slow = begin(&connection, SECOND * 300).await;
    let slow_request = peer.request().await;
    for _ in 0..20 {
        tokio::time::sleep(SECOND * 10).await;
        let quick = begin(&connection, SECOND).await;
        let request = peer.request().await;
        peer.answer(&request, "quick").await;
        assert_eq!(quick.await.expect("no panic").expect("an answer"), "quick");
    }
    peer.answer(&slow_request, "after 200 s").await;
    assert_eq!(slow.await.expect("no panic").expect("an answer"), "after 200 s");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_is_dead() {
    let (connection, _peer) = connect_with(Compression::None, 1024);
    let part = Bytes::from(vec![0; 4096]);
    let began = Instant::now();
    let outcome = connection.exchange("Multi", SECOND * 100, |_| vec![part]).await;
    let ended = cause(outcome.map(|_| String::new()));
    assert!(matches!(&*ended, ConnectionError::Io(error) if error.kind() == io::ErrorKind::TimedOut), "{ended:?}");
    assert!(began.elapsed() <= LIMITS.silence + REASON_PATIENCE);
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_ends_every_call_once_and_nothing_panics() {
    let whole = response(1, &GetClusterIdResponse { cluster_id: Some("cluster".to_owned()) }, b"cells");
    for length in 0..whole.len() {
        let (connection, mut peer) = connect();
        let calls = [begin(&connection, SECOND * 10).await, begin(&connection, SECOND * 10).await];
        let _ = (peer.request().await, peer.request().await);
        peer.send(&whole[..length]).await;
        drop(peer);
        for call in calls {
            let ended = cause(call.await.expect("no panic"));
            assert!(matches!(*ended, ConnectionError::Closed), "{length}: {ended:?}");
        }
        assert!(connection.is_failed());
    }
}

#[tokio::test]
async fn junk_and_impossible_lengths_end_the_connection_without_taking_memory() {
    for junk in [&[0xFF; 8][..], &[0, 0, 0, 0], &[0, 0, 0, 3, 0xFF, 0xFF, 0xFF], &[0x10, 0, 0, 1]] {
        let (connection, mut peer) = connect();
        let call = begin(&connection, SECOND * 10).await;
        let _ = peer.request().await;
        peer.send(junk).await;
        let ended = cause(call.await.expect("no panic"));
        assert!(matches!(*ended, ConnectionError::Wire(_)), "{junk:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_fatal_answer_names_its_reason_although_the_socket_was_closed_behind_it() {
    let (connection, mut peer) = connect();
    let class = "org.apache.hadoop.hbase.ipc.WrongVersionException";
    let exception = ExceptionResponse {
        exception_class_name: Some(class.to_owned()),
        stack_trace: Some(format!("{class}: expected 0")),
        do_not_retry: Some(true),
        ..ExceptionResponse::default()
    };
    peer.send(&failure(FATAL_CALL_ID, exception)).await;
    drop(peer);
    let ended = cause(ask(&connection, SECOND * 10).await);
    let ConnectionError::Refused(exception) = &*ended else { panic!("{ended:?}") };
    assert_eq!((exception.simple_class(), exception.message.as_str()), ("WrongVersionException", "expected 0"));
    assert!(!ended.is_transient(), "another connection will not do better");
}

/// A call that broke the protocol ends the connection; the calls beside it did nothing wrong and may be made again.
#[tokio::test]
async fn a_fatal_answer_on_a_connection_in_use_is_no_refusal_of_it() {
    let (connection, mut peer) = connect();
    let call = begin(&connection, SECOND * 10).await;
    let request = peer.request().await;
    peer.answer(&request, "well").await;
    call.await.expect("no panic").expect("an answer");
    let exception = ExceptionResponse {
        exception_class_name: Some("org.apache.hadoop.hbase.ipc.FatalConnectionException".to_owned()),
        do_not_retry: Some(true),
        ..ExceptionResponse::default()
    };
    peer.send(&failure(FATAL_CALL_ID, exception)).await;
    let ended = cause(ask(&connection, SECOND * 10).await);
    assert!(matches!(&*ended, ConnectionError::Ended(_)) && ended.is_transient(), "{ended:?}");
}

#[tokio::test]
async fn a_request_longer_than_servers_take_is_refused_before_anything_is_sent() {
    let (connection, mut peer) = connect();
    let part = Bytes::from(vec![0; 1 << 20]);
    let parts = vec![part; 257];
    let outcome = connection.exchange("Multi", SECOND, |_| parts).await;
    let error = outcome.expect_err("too long");
    let CallError::TooBig { method, bytes, limit } = &error else { panic!("{error:?}") };
    assert_eq!((method.as_str(), *bytes, *limit), ("Multi", 257 << 20, 256 << 20));
    assert!(!error.is_transient());
    let call = begin(&connection, SECOND * 10).await;
    let request = peer.request().await;
    assert_eq!(request.header.method_name.as_deref(), Some("GetClusterId"), "nothing of the long one is on the wire");
    peer.answer(&request, "goes on").await;
    call.await.expect("no panic").expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gives_up_before_its_bytes_went_out_is_not_sent() {
    let (connection, mut peer) = connect_with(Compression::None, 1024);
    let first = {
        let connection = connection.clone();
        let message = GetClusterIdResponse { cluster_id: Some("x".repeat(4096)) };
        tokio::spawn(async move {
            connection.exchange("First", SECOND * 20, |header| vec![frame::request(header, &message, 0)]).await
        })
    };
    tokio::task::yield_now().await;
    let outcome = ask(&connection, SECOND).await;
    assert!(matches!(outcome, Err(CallError::TimedOut { .. })), "{outcome:?}");
    let third = begin(&connection, SECOND * 10).await;
    let request = peer.request().await;
    assert_eq!(request.header.method_name.as_deref(), Some("First"));
    peer.answer(&request, "").await;
    first.await.expect("no panic").expect("an answer");
    let request = peer.request().await;
    assert_eq!(request.header.call_id, Some(3), "the second is never on the wire");
    peer.answer(&request, "third").await;
    assert_eq!(third.await.expect("no panic").expect("an answer"), "third");
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_the_socket_are_bounded_in_bytes() {
    let (connection, _peer) = connect_with(Compression::None, 1024);
    let part = Bytes::from(vec![0; 3 << 20]);
    const { assert!(QUEUE_BYTES < 20 * (3 << 20)) };
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (connection, part) = (connection.clone(), part.clone());
            tokio::spawn(async move { connection.exchange("Multi", SECOND, |_| vec![part]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let state = connection.describe("ClientService");
    let all = (20, QUEUE_BYTES);
    assert_eq!((state.calls, state.queued_bytes), all, "five fit, the sixth has what is left, the others wait");
    for call in calls {
        assert!(matches!(call.await.expect("no panic"), Err(CallError::TimedOut { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_but_never_under_somebody_who_holds_it() {
    let (connection, mut peer) = connect();
    let call = begin(&connection, SECOND).await;
    let request = peer.request().await;
    peer.answer(&request, "x").await;
    call.await.expect("no panic").expect("an answer");
    let held = connection.clone();
    tokio::time::sleep(LIMITS.idle * 3).await;
    assert!(!connection.is_failed(), "two hold it: the pool and a caller");
    drop(held);
    tokio::time::sleep(LIMITS.idle).await;
    assert!(matches!(connection.failure().as_deref(), Some(ConnectionError::Idle)));
    let closed = peer.stream.read_buf(&mut peer.buffer).await.expect("a stream");
    assert_eq!(closed, 0, "the socket is closed although the pool still has the connection");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let (connection, mut peer) = connect();
    let call = begin(&connection, SECOND * 10).await;
    let request = peer.request().await;
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    assert_eq!(connection.calls(), 0);
    peer.answer(&request, "for nobody").await;
    let call = begin(&connection, SECOND * 10).await;
    let request = peer.request().await;
    peer.answer(&request, "goes on").await;
    assert_eq!(call.await.expect("no panic").expect("an answer"), "goes on");
}

#[tokio::test]
async fn cells_are_compressed_both_ways_and_junk_is_the_calls_own_error() {
    for compression in [Compression::Snappy, Compression::Lz4, Compression::Gz] {
        let (connection, mut peer) = connect_with(compression, 64 << 10);
        let cells = Bytes::from(b"0123456789".repeat(500));
        let exchange = |cells: Bytes| {
            let connection = connection.clone();
            tokio::spawn(async move {
                let parts = |header: &mut RequestHeader| {
                    let cut = cells.len() / 3;
                    vec![frame::request(header, &Empty {}, cells.len()), cells.slice(..cut), cells.slice(cut..)]
                };
                connection.exchange("Multi", SECOND * 10, parts).await
            })
        };
        let call = exchange(cells.clone());
        let request = peer.request().await;
        assert!(request.cells.len() < 1000, "{compression:?}: {}", request.cells.len());
        assert_eq!(compression.decompress(request.cells.clone(), 10_000), Ok(cells.clone()));
        let id = request.header.call_id.expect("an id");
        peer.send(&response(id, &Empty {}, &request.cells)).await;
        assert_eq!(call.await.expect("no panic").expect("an answer").cells, cells);
        let call = exchange(cells.clone());
        let request = peer.request().await;
        peer.send(&response(request.header.call_id.expect("an id"), &Empty {}, b"junk that is no block")).await;
        let error = call.await.expect("no panic").expect_err("junk");
        assert!(matches!(error, CallError::Wire(_)), "{error:?}");
        assert!(!connection.is_failed(), "only that answer is lost");
    }
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_read() {
    let (connection, mut peer) = connect();
    let call = begin(&connection, SECOND * 10).await;
    let request = peer.request().await;
    let mut answer = answer_to(&request, "slowly");
    while answer.has_remaining() {
        let byte = answer.get_u8();
        peer.stream.write_u8(byte).await.expect("the client reads");
        tokio::task::yield_now().await;
    }
    assert_eq!(call.await.expect("no panic").expect("an answer"), "slowly");
    let mut both = BytesMut::new();
    let calls = [begin(&connection, SECOND * 10).await, begin(&connection, SECOND * 10).await];
    for _ in &calls {
        let request = peer.request().await;
        both.put(answer_to(&request, "together"));
    }
    peer.send(&both).await;
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("an answer"), "together");
    }
}
