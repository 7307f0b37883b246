//! What a server can be asked before the preamble (2.6 and later): who it is, which cluster's it is.
//!
//! Older servers take the question for a broken preamble and close with `Expected HEADER=HBas`.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::ConnectionError;
use super::dial::{Reading, Writing};
use crate::exception::Exception;
use crate::wire::frame::Response;
use crate::wire::message::{GetConnectionRegistryResponse, SecurityPreamableResponse};
use crate::wire::{WireError, decode, preamble};

/// Longest answer taken. Real ones have some ten bytes, refusals some hundred.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How servers without the question refuse it (`ServerRpcConnection.processPreamble`).
const UNKNOWN_PREAMBLE: &str = "Expected HEADER=";

/// What a server says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The principal, or the cluster's id.
    Named(String),
    /// It is too old for the question, and has closed.
    CannotSay,
    /// It has no principal: its security is off.
    SecurityOff,
}

/// Asks for the server's principal. The stream can go on with a preamble, unless the answer is
/// [`Answer::CannotSay`].
pub(crate) async fn principal(stream: (&mut Reading, &mut Writing)) -> Result<Answer, ConnectionError> {
    ask(stream, preamble::ASK_PRINCIPAL, |message| {
        let response: SecurityPreamableResponse = decode("SecurityPreamableResponse", message)?;
        Ok(response.server_principal)
    })
    .await
}

/// Asks for the cluster's id. The server closes the stream afterwards.
pub(crate) async fn cluster_id(stream: (&mut Reading, &mut Writing)) -> Result<Answer, ConnectionError> {
    ask(stream, preamble::ASK_CLUSTER_ID, |message| {
        let response: GetConnectionRegistryResponse = decode("GetConnectionRegistryResponse", message)?;
        Ok(response.cluster_id.unwrap_or_default())
    })
    .await
}

async fn ask(
    (reading, writing): (&mut Reading, &mut Writing),
    question: &[u8; 6],
    read: impl FnOnce(Bytes) -> Result<String, WireError>,
) -> Result<Answer, ConnectionError> {
    writing.write_all(question).await.map_err(ConnectionError::Io)?;
    writing.flush().await.map_err(ConnectionError::Io)?;
    let length = reading.read_u32().await.map_err(ConnectionError::Io)? as usize;
    if length > ANSWER_BYTES_MAX {
        let error = WireError::Impossible { what: "the length of an answer to a preamble", value: length as u64 };
        return Err(ConnectionError::Wire(error));
    }
    let mut frame = vec![0; length];
    reading.read_exact(&mut frame).await.map_err(ConnectionError::Io)?;
    let response = Response::decode(frame.into()).map_err(ConnectionError::Wire)?;
    match response.result {
        Ok(answer) => read(answer.message).map(Answer::Named).map_err(ConnectionError::Wire),
        Err(exception) => refusal(Exception::of_call(*exception)),
    }
}

fn refusal(exception: Exception) -> Result<Answer, ConnectionError> {
    match exception.simple_class() {
        "SecurityNotEnabledException" => Ok(Answer::SecurityOff),
        "FatalConnectionException" if exception.message.contains(UNKNOWN_PREAMBLE) => Ok(Answer::CannotSay),
        _ => Err(ConnectionError::Refused(exception)),
    }
}
