//! A connection without a client: what a server says to bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hbase::wire::frame::{self, Response};
use hbase::wire::message::RequestHeader;
use hbase::wire::preamble;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a server.
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: BytesMut,
    last_id: u32,
}

impl Raw {
    /// A socket, without any preamble.
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a server");
        Self { stream, buffer: BytesMut::new(), last_id: 0 }
    }

    /// A connection to a service.
    pub(crate) async fn open(address: &str, service: &str) -> Self {
        let mut raw = Self::connect(address).await;
        raw.write(&preamble::hello("raw", service, None)).await;
        raw
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }

    /// Sends a call. Returns its id.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        message: &impl Message,
        (cells, timeout_ms): (&[u8], u32),
    ) -> u32 {
        self.last_id += 1;
        let mut header = RequestHeader {
            call_id: Some(self.last_id),
            method_name: Some(method.to_owned()),
            timeout: Some(timeout_ms),
            ..RequestHeader::default()
        };
        let head = frame::request(&mut header, message, cells.len());
        self.write(&head).await;
        self.write(cells).await;
        self.last_id
    }

    /// The next answer; `None` if the server closed the connection.
    pub(crate) async fn answer(&mut self) -> Option<Response> {
        self.fill(4).await?;
        let length = u32::from_be_bytes(*self.buffer.first_chunk().expect("four bytes")) as usize;
        self.fill(4 + length).await?;
        let frame: Bytes = self.buffer.split_to(4 + length).freeze().slice(4..);
        Some(Response::decode(frame).expect("an answer"))
    }

    /// The next answer, read as this message.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> M {
        let answer = self.answer().await.expect("an answer").result.expect("no refusal");
        M::decode(answer.message).expect("the message")
    }

    async fn fill(&mut self, wanted: usize) -> Option<()> {
        while self.buffer.len() < wanted {
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
            match read.await.expect("the server says something") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
        Some(())
    }
}
