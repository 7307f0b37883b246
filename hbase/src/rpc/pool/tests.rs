//! Pools against small servers of their own on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::rpc::connection::CallError;
use crate::security::Security;
use crate::wire::frame::{self, FATAL_CALL_ID, Request, failure, response};
use crate::wire::message::{ConnectionHeader, Empty, ExceptionResponse, GetClusterIdResponse};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with some codecs that answers every call, as slowly as it is told.
struct Server {
    address: String,
    accepted: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    async fn start(codecs: &'static [&'static str], delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, codecs, delay));
            }
        });
        Self { address, accepted, accepting }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn next_frame(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<Bytes> {
    loop {
        if let Some(frame) = frame::take(buffer).expect("a frame") {
            return Some(frame);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn serve(mut stream: TcpStream, codecs: &[&str], delay: Duration) {
    let mut buffer = BytesMut::new();
    while buffer.len() < 6 {
        stream.read_buf(&mut buffer).await.expect("a hello");
    }
    buffer.advance(6);
    let Some(header) = next_frame(&mut stream, &mut buffer).await else { return };
    let header = ConnectionHeader::decode(header).expect("a header");
    if let Some(class) = header.cell_block_compressor_class.filter(|class| !codecs.contains(&class.as_str())) {
        let unsupported = "org.apache.hadoop.hbase.ipc.UnsupportedCompressionCodecException";
        let exception = ExceptionResponse {
            exception_class_name: Some(unsupported.to_owned()),
            stack_trace: Some(format!("{unsupported}: {class}")),
            ..ExceptionResponse::default()
        };
        stream.write_all(&failure(FATAL_CALL_ID, exception)).await.expect("the client reads");
        return;
    }
    while let Some(request) = next_frame(&mut stream, &mut buffer).await {
        let request = Request::decode(request).expect("a request");
        tokio::time::sleep(delay).await;
        let answer = response(request.header.call_id.expect("an id"), &GetClusterIdResponse::default(), b"");
        stream.write_all(&answer).await.expect("the client reads");
    }
}

fn pool(connections_max: usize, compression: Compression, absent: AbsentCodec) -> Arc<Pool> {
    let dialer = Dialer::new((None, "tester".to_owned()), PATIENCE, Security::default());
    let limits = Limits { silence: PATIENCE, idle: PATIENCE * 6 };
    let config = PoolConfig { cluster: "test".into(), limits, connections_max, compression, absent };
    Arc::new(Pool::new(dialer, config))
}

fn plain() -> Arc<Pool> {
    pool(1, Compression::None, AbsentCodec::Fail)
}

async fn call(connection: &Connection) -> Result<(), CallError> {
    let call = ("GetClusterId", "GetClusterIdResponse");
    connection.call::<GetClusterIdResponse>(call, &Empty {}, PATIENCE).await.map(|_| ())
}

#[tokio::test]
async fn callers_that_come_at_once_share_one_attempt() {
    let server = Server::start(&[], Duration::ZERO).await;
    let pool = plain();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (pool, address) = (Arc::clone(&pool), server.address.clone());
            tokio::spawn(async move { call(&pool.get(&address, Service::Client).await.expect("a connection")).await })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic").expect("an answer");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_server_that_failed_is_left_alone_and_then_tried_again() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").to_string();
    let pool = plain();
    let failed = pool.get(&nobody, Service::Client).await.expect_err("nobody listens");
    assert!(matches!(&failed, ConnectionError::Connect { address, .. } if *address == nobody), "{failed:?}");
    tokio::time::pause();
    let again = pool.get(&nobody, Service::Client).await.expect_err("left alone");
    assert!(matches!(again, ConnectionError::FailedRecently { .. }), "{again:?}");
    assert!(again.is_transient());
    tokio::time::advance(FAILED_FOR + FAILED_FOR_SPREAD).await;
    let later = pool.get(&nobody, Service::Client).await.expect_err("nobody listens");
    assert!(matches!(later, ConnectionError::Connect { .. }), "{later:?}");
}

#[tokio::test]
async fn a_broken_connection_is_made_anew() {
    let server = Server::start(&[], Duration::ZERO).await;
    let pool = plain();
    let first = pool.get(&server.address, Service::Client).await.expect("a connection");
    call(&first).await.expect("an answer");
    // Junk from us makes the server's task end, and with it the socket.
    let _ = first.exchange("Junk", PATIENCE, |_| vec![Bytes::from_static(&[0, 0, 0, 1, 0xFF])]).await;
    assert!(first.is_failed());
    let second = pool.get(&server.address, Service::Client).await.expect("a connection");
    call(&second).await.expect("an answer");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn further_connections_are_made_only_while_all_are_busy_and_up_to_the_limit() {
    let server = Server::start(&[], Duration::from_millis(50)).await;
    let pool = pool(3, Compression::None, AbsentCodec::Fail);
    for _ in 0..3 {
        call(&pool.get(&server.address, Service::Client).await.expect("a connection")).await.expect("an answer");
    }
    assert_eq!(server.accepted(), 1, "one after the other needs one");
    let callers: Vec<_> = (0..12)
        .map(|_| {
            let (pool, address) = (Arc::clone(&pool), server.address.clone());
            tokio::spawn(async move { call(&pool.get(&address, Service::Client).await.expect("a connection")).await })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic").expect("an answer");
    }
    assert!((2..=3).contains(&server.accepted()), "{}", server.accepted());
    assert_eq!(pool.describe().len(), server.accepted());
}

/// Calls until the negotiation is over; each refused class costs one connection.
async fn settle(pool: &Pool, address: &str) -> Result<Connection, ConnectionError> {
    loop {
        let connection = pool.get(address, Service::Client).await?;
        match call(&connection).await {
            Ok(()) => return Ok(connection),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn codec_classes_are_tried_until_the_server_has_one() {
    let server = Server::start(&["org.apache.hadoop.hbase.io.compress.lz4.Lz4Codec"], Duration::ZERO).await;
    let pool = pool(1, Compression::Lz4, AbsentCodec::Fail);
    let connection = settle(&pool, &server.address).await.expect("a connection");
    assert_eq!(connection.describe("").compression, Compression::Lz4);
    assert_eq!(server.accepted(), 2, "Hadoop's own class first");
}

#[tokio::test]
async fn a_server_without_the_codec_is_an_error_that_says_what_to_do_or_gets_plain_cells() {
    let server = Server::start(&[], Duration::ZERO).await;
    let strict = pool(1, Compression::Snappy, AbsentCodec::Fail);
    let error = settle(&strict, &server.address).await.expect_err("no codec");
    assert!(matches!(&error, ConnectionError::CodecMissing { codec: Compression::Snappy, .. }), "{error:?}");
    assert!(!error.is_transient());
    let said = error.to_string();
    assert!(said.contains(&server.address) && said.contains("install the codec"), "{said}");
    let lenient = pool(1, Compression::Snappy, AbsentCodec::SendPlain);
    let connection = settle(&lenient, &server.address).await.expect("a connection");
    assert_eq!(connection.describe("").compression, Compression::None);
    let master = strict.get(&server.address, Service::Master).await.expect("masters are asked for no codec");
    call(&master).await.expect("an answer");
}
