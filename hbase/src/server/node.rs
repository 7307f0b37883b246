//! One listening process: a master or a region server, answering framed calls on a TCP port.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::admin;
use super::data::Data;
use super::fault::Reaction;
use super::master;
use super::state::{State, refusal};
use crate::exception::Exception;
use crate::wire::frame::{FATAL_CALL_ID, FRAME_BYTES_MAX, Request, failure};
use crate::wire::message::{CellBlockMeta, ConnectionHeader, ExceptionResponse, GetClusterIdResponse, ResponseHeader};
use crate::wire::preamble::{AUTH_SIMPLE, MAGIC, RPC_VERSION};

/// Asks for the cluster's id before the real preamble (2.6 clients).
const REGISTRY_PREAMBLE: &[u8; 6] = b"Regist";

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Master,
    RegionServer(Arc<Data>),
}

/// A node that listens. It stops, with all its connections, when it is dropped.
#[derive(Debug)]
pub(super) struct Node {
    accepting: JoinHandle<()>,
    pub(super) port: u16,
    role: Role,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Node {
    pub(super) async fn listen(port: u16, state: Arc<State>, role: Role) -> io::Result<Self> {
        let listener = bind(port).await?;
        let port = listener.local_addr()?.port();
        let (accepted_role, role) = (role.clone(), role);
        let accepting = tokio::spawn(async move {
            // Aborting this task drops the set, and that aborts every connection.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        let connection = Connection { state: Arc::clone(&state), role: accepted_role.clone(), service: String::new() };
                        connections.spawn(connection.serve(stream));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { accepting, port, role })
    }

    /// What a region server remembers.
    pub(super) fn data(&self) -> Option<&Arc<Data>> {
        match &self.role {
            Role::RegionServer(data) => Some(data),
            Role::Master => None,
        }
    }
}

/// A port that was in use a moment ago (a server that is started again) may be taken at once.
async fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(std::net::SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(1024)
}

struct Connection {
    state: Arc<State>,
    role: Role,
    service: String,
}

/// An answer's message and cells.
type Reply = (Vec<u8>, Bytes);

impl Connection {
    /// Serves until the peer closes or breaks the protocol; either way there is nobody to tell.
    async fn serve(mut self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = self.converse(&mut stream).await;
    }

    async fn converse(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut hello = [0; 6];
        stream.read_exact(&mut hello).await?;
        if hello == *REGISTRY_PREAMBLE {
            let id = GetClusterIdResponse { cluster_id: Some(self.state.cluster_id.clone()) };
            return stream.write_all(&answer(FATAL_CALL_ID, &(id.encode_to_vec(), Bytes::new()))).await;
        }
        if hello[..4] != *MAGIC || hello[4] != RPC_VERSION || hello[5] != AUTH_SIMPLE {
            let text = format!("Expected HEADER=HBas but received {hello:02x?}");
            return stream.write_all(&refused(FATAL_CALL_ID, refusal("ipc.FatalConnectionException", text))).await;
        }
        let mut buffer = BytesMut::new();
        let first = frame(stream, &mut buffer).await?;
        let header = ConnectionHeader::decode(first.clone()).map_err(io::Error::other)?;
        self.service = header.service_name.unwrap_or_default();
        self.state.record(&self.service, "", &first);
        loop {
            let bytes = frame(stream, &mut buffer).await?;
            let request = Request::decode(bytes.clone()).map_err(io::Error::other)?;
            self.state.record(&self.service, request.header.method_name.as_deref().unwrap_or_default(), &bytes);
            if !self.answer(stream, request).await? {
                return Ok(());
            }
        }
    }

    /// Answers one call. Returns whether the connection goes on.
    async fn answer(&self, stream: &mut TcpStream, request: Request) -> io::Result<bool> {
        let id = request.header.call_id.unwrap_or(0);
        let method = request.header.method_name.clone().unwrap_or_default();
        let reaction = {
            let mut faults = self.state.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.iter_mut().find_map(|fault| fault.hit(&method))
        };
        let bytes = match reaction {
            Some(Reaction::Disconnect) => return Ok(false),
            Some(Reaction::Silence) => return Ok(true),
            Some(Reaction::Refuse(class)) => refused(id, refusal(class, "on command")),
            Some(Reaction::LoseAnswer) => {
                self.carry_out(id, &method, request);
                return Ok(false);
            }
            Some(Reaction::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.carry_out(id, &method, request)
            }
            None => self.carry_out(id, &method, request),
        };
        stream.write_all(&bytes).await?;
        Ok(true)
    }

    fn carry_out(&self, id: u32, method: &str, request: Request) -> Bytes {
        match self.dispatch(method, request) {
            Ok(reply) => answer(id, &reply),
            Err(exception) => refused(id, exception),
        }
    }

    fn dispatch(&self, method: &str, request: Request) -> Result<Reply, Exception> {
        let bare = |message: Vec<u8>| (message, Bytes::new());
        match (self.service.as_str(), &self.role) {
            ("ClientMetaService", _) => master::registry(&self.state, method).map(bare),
            ("MasterService", Role::Master) => master::master(&self.state, method, request.message).map(bare),
            ("AdminService", Role::RegionServer(data)) => admin::region_server(data, method, request.message).map(bare),
            ("ClientService", Role::RegionServer(data)) => client(data, method, request),
            (service, _) => Err(refusal("ipc.UnknownServiceException", format!("{service} is not served here"))),
        }
    }
}

fn client(data: &Data, method: &str, request: Request) -> Result<Reply, Exception> {
    let Request { message, cells, .. } = request;
    fn read<M: Message + Default>(message: Bytes) -> Result<M, Exception> {
        M::decode(message).map_err(|error| refusal("DoNotRetryIOException", error.to_string()))
    }
    Ok(match method {
        "Get" => {
            let (response, cells) = data.get(&read(message)?)?;
            (response.encode_to_vec(), cells)
        }
        "Mutate" => {
            let (response, cells) = data.mutate(&read(message)?, cells)?;
            (response.encode_to_vec(), cells)
        }
        "Multi" => {
            let (response, cells) = data.multi(read(message)?, cells);
            (response.encode_to_vec(), cells)
        }
        "Scan" => {
            let (response, cells) = data.scan(read(message)?)?;
            (response.encode_to_vec(), cells)
        }
        other => {
            let text = format!("java.lang.UnsupportedOperationException: {other}");
            return Err(refusal("DoNotRetryIOException", text));
        }
    })
}

async fn frame(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    fill(stream, buffer, 4).await?;
    let length = buffer.get_u32() as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    fill(stream, buffer, length).await?;
    Ok(buffer.split_to(length).freeze())
}

async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut, wanted: usize) -> io::Result<()> {
    while buffer.len() < wanted {
        buffer.reserve((wanted - buffer.len()).clamp(16 << 10, 4 << 20));
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn answer(call_id: u32, (message, cells): &Reply) -> Bytes {
    let meta = (!cells.is_empty()).then_some(CellBlockMeta { length: Some(cells.len() as u32) });
    let header = ResponseHeader { call_id: Some(call_id), exception: None, cell_block_meta: meta };
    let mut frame = BytesMut::with_capacity(64 + message.len() + cells.len());
    frame.put_u32(0);
    frame.put_slice(&header.encode_length_delimited_to_vec());
    prost::encoding::encode_varint(message.len() as u64, &mut frame);
    frame.put_slice(message);
    frame.put_slice(cells);
    let length = (frame.len() - 4) as u32;
    if let Some(place) = frame.get_mut(..4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    frame.freeze()
}

fn refused(call_id: u32, exception: Exception) -> Bytes {
    let (hostname, port) = exception.moved_to.clone().unzip();
    failure(
        call_id,
        ExceptionResponse {
            stack_trace: Some(format!("{}: {}\n", exception.class, exception.message)),
            do_not_retry: Some(exception.reaction() == crate::exception::Reaction::GiveUp),
            exception_class_name: Some(exception.class),
            hostname,
            port: port.map(i32::from),
            server_overloaded: None,
        },
    )
}

/// Nodes by place; a place is empty while its server is stopped.
pub(super) type Nodes = Mutex<Vec<Option<Node>>>;
