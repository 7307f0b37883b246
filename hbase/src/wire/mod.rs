//! Bytes only: how HBase's RPC looks on the wire. No I/O, no clock, no tokio.
//!
//! ```text
//! request : [u32 total][varint len][RequestHeader][varint len][message][cell block]
//! response: [u32 total][varint len][ResponseHeader][varint len][message][cell block]
//! ```
//! Framing is the same from 0.96 to 4.0-alpha (`NettyRpcFrameDecoder`, `RpcConnection`).

pub mod cell_block;
pub mod compress;
pub mod digest_md5;
pub mod frame;
pub mod message;
pub mod multi;
pub mod multi_answer;
pub mod preamble;
pub mod sasl;

/// Bytes from a peer that are not what the protocol says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end too early.
    #[error("{what} is cut off at byte {at}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where the bytes end.
        at: usize,
    },
    /// A length or a code that cannot be.
    #[error("{what} has an impossible value {value}")]
    Impossible {
        /// What was being read.
        what: &'static str,
        /// The value.
        value: u64,
    },
    /// A protobuf message that cannot be read.
    #[error("a {what} message cannot be read: {reason}")]
    Message {
        /// What was being read.
        what: &'static str,
        /// prost's reason.
        reason: String,
    },
}

/// `Message::decode` with the message's name in the error.
pub(crate) fn decode<M: prost::Message + Default>(what: &'static str, bytes: bytes::Bytes) -> Result<M, WireError> {
    M::decode(bytes).map_err(|error| WireError::Message { what, reason: error.to_string() })
}
