//! One connection to a node: preamble, header, then calls that run at the same time and are answered as they end.
//!
//! # Laws
//! 1. Calls of one connection are carried out concurrently and answered out of order, as by HBase's handlers; rules are
//!    asked in the order of arrival.
//! 2. A call that was read is carried out even if its connection is gone by then; only stopping the node ends it.
//! 3. So many calls of a connection are in work; past that nothing more is read from it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::JoinSet;

use super::answer::{Reply, answer, refused};
use super::dispatch::{dispatch, has_service};
use super::fault::Verdict;
use super::handlers::{Handlers, Place};
use super::node::Role;
use super::outbox::{Mode, Outbox};
use super::reaction::Reaction;
use super::refusal::Refusal;
use super::state::State;
use super::subject::Call;
use crate::wire::compress::Compression;
use crate::wire::frame::{FATAL_CALL_ID, FRAME_BYTES_MAX, Request};
use crate::wire::message::{ConnectionHeader, GetClusterIdResponse};
use crate::wire::preamble::{AUTH_SIMPLE, MAGIC, RPC_VERSION};

/// Asks for the cluster's id before the real preamble (`RpcClient.REGISTRY_PREAMBLE_HEADER`, 2.6).
const REGISTRY_PREAMBLE: &[u8; 6] = b"Regist";
/// Asks for the server's principal before the real preamble (`RpcClient.SECURITY_PREAMBLE_HEADER`, 2.6).
const SECURITY_PREAMBLE: &[u8; 6] = b"Securi";
/// Calls of one connection in work.
const CALLS_MAX: usize = 1000;
/// The read buffer grows by this much at a time.
const READ_BYTES: usize = 64 << 10;

/// A connection that a client has made.
pub(super) struct Connection {
    state: Arc<State>,
    role: Role,
    handlers: Arc<Handlers>,
}

/// What all calls of a connection share.
struct Shared {
    state: Arc<State>,
    role: Role,
    handlers: Arc<Handlers>,
    service: String,
    /// How the client asked for its cells, and sends them.
    compression: Compression,
    outbox: Outbox,
}

impl Connection {
    pub(super) fn new(state: Arc<State>, role: Role, handlers: Arc<Handlers>) -> Self {
        Self { state, role, handlers }
    }

    /// Serves until the peer closes or breaks the protocol; either way there is nobody to tell.
    pub(super) async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (reading, writing) = stream.into_split();
        let (outbox, emptying) = Outbox::new(writing);
        let over = outbox.ended();
        // Both end with this task: the node stops them by aborting it.
        let conversing = async move {
            let mut calls = JoinSet::new();
            let mut incoming = Incoming { socket: reading, buffer: BytesMut::new() };
            let conversation = self.converse(&mut incoming, outbox, &mut calls);
            tokio::select! {
                ended = conversation => drop((ended, incoming)),
                mode = over => {
                    if mode == Mode::HalfOpen {
                        std::future::pending::<()>().await;
                    }
                    drop(incoming);
                }
            }
            while calls.join_next().await.is_some() {}
        };
        tokio::join!(conversing, emptying);
    }

    async fn converse(self, incoming: &mut Incoming, outbox: Outbox, calls: &mut JoinSet<()>) -> io::Result<()> {
        if let Err(refusal) = self.preambles(incoming, &outbox).await? {
            outbox.send(refused(FATAL_CALL_ID, &refusal)).await;
            outbox.close().await;
            return Ok(());
        }
        let first = incoming.frame().await?;
        let header = ConnectionHeader::decode(first.clone()).map_err(io::Error::other)?;
        let service = header.service_name.unwrap_or_default();
        self.state.record(&service, "", &first);
        let codec = compression(header.cell_block_compressor_class);
        let compression = match self.admit(&service).and(codec) {
            Ok(compression) => compression,
            Err(refusal) => {
                outbox.send(refused(FATAL_CALL_ID, &refusal)).await;
                outbox.close().await;
                return Ok(());
            }
        };
        let Self { state, role, handlers } = self;
        let shared = Arc::new(Shared { state, role, handlers, service, compression, outbox });
        loop {
            let bytes = incoming.frame().await?;
            let mut request = Request::decode(bytes.clone()).map_err(io::Error::other)?;
            let cells = std::mem::take(&mut request.cells);
            request.cells = shared.compression.decompress(cells, FRAME_BYTES_MAX).map_err(io::Error::other)?;
            let method = request.header.method_name.as_deref().unwrap_or_default();
            shared.state.record(&shared.service, method, &bytes);
            drop(bytes);
            while calls.len() >= CALLS_MAX {
                calls.join_next().await;
            }
            while calls.try_join_next().is_some() {}
            let verdict = shared.judge(&request);
            let method = request.header.method_name.as_deref().unwrap_or_default();
            let place = shared.handlers.place(method, request.message.len() + request.cells.len());
            calls.spawn(Arc::clone(&shared).handle(request, verdict, place));
        }
    }

    /// Reads preambles until the one of a conversation. The inner error refuses the connection.
    async fn preambles(&self, incoming: &mut Incoming, outbox: &Outbox) -> io::Result<Result<(), Refusal>> {
        loop {
            let mut hello = [0; 6];
            incoming.fill(hello.len()).await?;
            incoming.buffer.copy_to_slice(&mut hello);
            match hello {
                hello if hello == *REGISTRY_PREAMBLE => {
                    let id = GetClusterIdResponse { cluster_id: Some(self.state.cluster_id.clone()) };
                    outbox.send(answer(FATAL_CALL_ID, &(id.encode_to_vec(), Bytes::new()))).await;
                    outbox.close().await;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                // The same socket goes on with the real preamble.
                hello if hello == *SECURITY_PREAMBLE => {
                    let refusal = Refusal::new("ipc.SecurityNotEnabledException").with_text("security is not enabled");
                    outbox.send(refused(FATAL_CALL_ID, &refusal)).await;
                }
                [a, b, c, d, ..] if [a, b, c, d] != *MAGIC => {
                    let text = format!("Expected HEADER=HBas but received HEADER={}", hello.escape_ascii());
                    return Ok(Err(Refusal::new("ipc.FatalConnectionException").with_text(text)));
                }
                [.., version, auth] if version != RPC_VERSION => {
                    let text = format!("serverVersion={RPC_VERSION}, clientVersion={version}, authMethod={auth}");
                    return Ok(Err(Refusal::new("ipc.WrongVersionException").with_text(text)));
                }
                [.., version, auth] if auth != AUTH_SIMPLE => {
                    let text = format!("serverVersion={RPC_VERSION}, clientVersion={version}, authMethod={auth}");
                    return Ok(Err(Refusal::new("ipc.BadAuthException").with_text(text)));
                }
                _ => return Ok(Ok(())),
            }
        }
    }

    /// Whether the service may be had.
    fn admit(&self, service: &str) -> Result<(), Refusal> {
        if let Some(refusal) = self.state.rules.refuse_connection(service, self.role.server()) {
            return Err(refusal);
        }
        match (service, has_service(&self.role, service)) {
            ("", _) => Err(Refusal::new("ipc.EmptyServiceNameException").with_text("empty service name")),
            (_, true) => Ok(()),
            (name, false) => Err(Refusal::new("ipc.UnknownServiceException").with_text(name)),
        }
    }
}

impl Shared {
    fn judge(&self, request: &Request) -> Verdict {
        if self.state.rules.is_empty() {
            return Verdict::default();
        }
        let scanned = match &self.role {
            Role::RegionServer(data) => data.scanned_region(request),
            Role::Master => None,
        };
        self.state.rules.judge(&Call::of(&self.service, self.role.server(), request, scanned))
    }

    /// Does with a call what the rules say: the one place that decides it.
    async fn handle(self: Arc<Self>, request: Request, mut verdict: Verdict, place: Place) {
        let id = request.header.call_id.unwrap_or(0);
        let reaction = verdict.call.take();
        let slowness = match &reaction {
            Some(Reaction::Delay(time)) => *time,
            _ => Duration::ZERO,
        };
        let is_carried_out = reaction.as_ref().is_none_or(Reaction::carries_out);
        let done = if is_carried_out { self.carry_out((place, slowness), request, &verdict).await } else { None };
        let frame = done
            .map(|done| done.map_or_else(|refusal| refused(id, &refusal), |reply| answer(id, &self.compressed(reply))));
        match reaction {
            // Reactions to parts of the call have been part of carrying it out.
            None
            | Some(
                Reaction::Delay(_)
                | Reaction::RefuseRegions(_)
                | Reaction::Poison(_)
                | Reaction::Change(_)
                | Reaction::RefuseActions(_),
            ) => self.send(frame).await,
            Some(Reaction::Refuse(refusal)) => self.send(Some(refused(id, &refusal))).await,
            Some(Reaction::Silence) => {}
            Some(Reaction::Disconnect | Reaction::LoseAnswer) => self.outbox.close().await,
            Some(Reaction::HalfOpen) => self.outbox.freeze(),
            Some(Reaction::Fatal(refusal) | Reaction::RefuseConnection(refusal)) => {
                self.send(Some(refused(FATAL_CALL_ID, &refusal))).await;
                self.outbox.close().await;
            }
            Some(Reaction::Late(time)) => {
                tokio::time::sleep(time).await;
                self.send(frame).await;
            }
            Some(Reaction::Truncate(bytes)) => {
                self.send(frame.map(|frame| frame.slice(..bytes.min(frame.len())))).await;
                self.outbox.close().await;
            }
            Some(Reaction::CorruptLength(length)) => self.send(frame.map(|frame| with_length(&frame, length))).await,
            Some(Reaction::Junk(bytes)) => self.send(Some(bytes)).await,
            Some(Reaction::Stray) => {
                // Ids of calls are small numbers; nobody waits for this one.
                let stray = answer(!id, &(Vec::new(), Bytes::new()));
                self.send(Some(stray)).await;
                self.send(frame).await;
            }
        }
    }

    /// Waits for a handler and lets it work. `None` if the call was dropped in the queue.
    async fn carry_out(
        &self,
        (place, slowness): (Place, Duration),
        request: Request,
        verdict: &Verdict,
    ) -> Option<Result<Reply, Refusal>> {
        let _handler = match place {
            Place::Handler(handler) => handler,
            Place::Queue(waiting) => match waiting.handler(request.header.timeout).await {
                Some(handler) => handler,
                None => {
                    self.state.counters.dropped.fetch_add(1, Relaxed);
                    return None;
                }
            },
            Place::None => {
                let text = "Call queue is full, too many items queued ?";
                return Some(Err(Refusal::new("CallQueueTooBigException").with_text(text).with_server_overloaded()));
            }
        };
        if !slowness.is_zero() {
            tokio::time::sleep(slowness).await;
        }
        let method = request.header.method_name.clone().unwrap_or_default();
        if method != "Multi" {
            if let Some(change) = verdict.change() {
                self.state.change_on_command(change);
            }
            if let Some(refusal) = verdict.single() {
                return Some(Err(refusal.clone()));
            }
        }
        let done = dispatch((&self.state, &self.role), &self.service, (&method, request), verdict);
        Some(done.map_err(Refusal::from))
    }

    fn compressed(&self, (message, cells): Reply) -> Reply {
        if cells.is_empty() {
            return (message, cells);
        }
        (message, self.compression.compress(&[cells]))
    }

    async fn send(&self, frame: Option<Bytes>) {
        if let Some(frame) = frame {
            self.outbox.send(frame).await;
        }
    }
}

/// The codec of that Java class; without one, cells go as they are.
fn compression(class: Option<String>) -> Result<Compression, Refusal> {
    let Some(class) = class else { return Ok(Compression::None) };
    let unsupported = || Refusal::new("ipc.UnsupportedCompressionCodecException").with_text(&class);
    Compression::of_class(&class).ok_or_else(unsupported)
}

fn with_length(frame: &Bytes, length: u32) -> Bytes {
    [&length.to_be_bytes()[..], frame.get(4..).unwrap_or_default()].concat().into()
}

/// What a client sends.
struct Incoming {
    socket: OwnedReadHalf,
    buffer: BytesMut,
}

impl Incoming {
    async fn frame(&mut self) -> io::Result<Bytes> {
        self.fill(4).await?;
        let length = self.buffer.get_u32() as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.fill(length).await?;
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.buffer.len() < wanted {
            self.buffer.reserve((wanted - self.buffer.len()).clamp(READ_BYTES, 4 << 20));
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}
