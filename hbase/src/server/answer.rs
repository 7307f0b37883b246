//! Answers as frames.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::refusal::Refusal;
use crate::wire::frame::failure;
use crate::wire::message::{CellBlockMeta, ResponseHeader};

/// An answer's message and cells.
pub(super) type Reply = (Vec<u8>, Bytes);

/// A whole answer.
pub(super) fn answer(call_id: u32, (message, cells): &Reply) -> Bytes {
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

/// A whole refusal.
pub(super) fn refused(call_id: u32, refusal: &Refusal) -> Bytes {
    failure(call_id, refusal.response())
}
