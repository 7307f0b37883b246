//! The frame that serializers of a Confluent-compatible schema registry put before payloads: `0x00`, then the schema's
//! id as four bytes, big-endian.

use crate::decode::schemas::SchemaId;

const MAGIC: u8 = 0;

/// The id and what is behind it; `None` if there is no frame.
#[inline]
pub(super) fn split(bytes: &[u8]) -> Option<(SchemaId, &[u8])> {
    let (frame, rest) = bytes.split_first_chunk::<5>()?;
    let [MAGIC, a, b, c, d] = *frame else { return None };
    Some((SchemaId(u32::from_be_bytes([a, b, c, d])), rest))
}

/// Why bytes without a frame are bad.
pub(super) fn fault(bytes: &[u8]) -> String {
    match bytes.first() {
        None => "the payload is empty: it does not begin with 0x00 and the id of a schema".to_owned(),
        Some(&MAGIC) => format!("the payload has {} bytes: it ends within the id of its schema", bytes.len()),
        Some(other) => format!("the payload begins with 0x{other:02x}, not with 0x00 and the id of a schema"),
    }
}
