//! Frames: a length, a header, a message, a cell block.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use super::compress::Compression;
use super::message::{CellBlockMeta, ExceptionResponse, RequestHeader, ResponseHeader};
use super::{WireError, decode};

/// Longest frame taken from a server. Answers are limited by `hbase.server.scanner.max.result.size` (100 MiB) and one
/// row beyond it; a longer length is a broken stream.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// Longest request that is sent: servers refuse longer ones and close the connection (`hbase.ipc.max.request.size`).
pub const REQUEST_BYTES_MAX: usize = 256 << 20;

/// The call id of an answer to the connection itself (-1 in Java).
pub const FATAL_CALL_ID: u32 = u32::MAX;

/// A request: the frame up to the cell block. The cells follow as they are.
///
/// `cell_bytes` is the length of the cell block that will be sent behind it; 0 means there is none.
pub fn request(header: &mut RequestHeader, message: &impl Message, cell_bytes: usize) -> Bytes {
    let encoded = message.encoded_len();
    request_with(header, cell_bytes, encoded, |frame| {
        message.encode_raw(frame);
    })
}

/// As [`request`], for a message that was encoded by hand: `put` must append exactly `message_bytes`.
pub fn request_with(
    header: &mut RequestHeader,
    cell_bytes: usize,
    message_bytes: usize,
    put: impl FnOnce(&mut BytesMut),
) -> Bytes {
    header.request_param = Some(true);
    header.cell_block_meta = (cell_bytes > 0).then_some(CellBlockMeta { length: Some(cell_bytes as u32) });
    let header_bytes = header.encoded_len();
    let length = encoded_len_varint(header_bytes as u64)
        + header_bytes
        + encoded_len_varint(message_bytes as u64)
        + message_bytes;
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_u32((length + cell_bytes) as u32);
    encode_varint(header_bytes as u64, &mut frame);
    header.encode_raw(&mut frame);
    encode_varint(message_bytes as u64, &mut frame);
    put(&mut frame);
    debug_assert_eq!(frame.len(), 4 + length);
    frame.freeze()
}

/// Compresses the cell block of a request that [`request`] made; its cells lie in the last bytes of `parts`.
///
/// A request without cells stays as it is: servers decompress only where there is a cell block.
///
/// # Errors
/// [`WireError`] if the parts are not such a request.
pub fn compress_request(
    header: &mut RequestHeader,
    parts: Vec<Bytes>,
    compression: Compression,
) -> Result<Vec<Bytes>, WireError> {
    let length = header.cell_block_meta.and_then(|meta| meta.length).unwrap_or(0) as usize;
    if compression == Compression::None || length == 0 {
        return Ok(parts);
    }
    let (mut head, cells) = split_tail(parts, length)?;
    let before = head.len();
    // The message behind the length and the old header is taken over as it is.
    head.advance(4.min(before));
    delimited("request header", &mut head)?;
    let mut message = head.clone();
    let message = delimited("request message", &mut message)?;
    let cells = compression.compress(&cells);
    let frame = request_with(header, cells.len(), message.len(), |frame| frame.put_slice(&message));
    Ok(vec![frame, cells])
}

/// Cuts the last `length` bytes off. What is before them must lie in one part, as requests are made.
fn split_tail(mut parts: Vec<Bytes>, length: usize) -> Result<(Bytes, Vec<Bytes>), WireError> {
    let total: usize = parts.iter().map(Bytes::len).sum();
    let truncated = WireError::Truncated { what: "a request's cell block", at: total };
    let Some(front) = parts.first_mut() else { return Err(truncated) };
    let Some(head_bytes) = total.checked_sub(length).filter(|bytes| *bytes <= front.len()) else {
        return Err(truncated);
    };
    let head = front.split_to(head_bytes);
    Ok((head, parts))
}

/// Takes the next whole frame, without its length, from the front of what has been read.
///
/// # Errors
/// [`WireError::Impossible`] if a frame would be longer than [`FRAME_BYTES_MAX`].
pub fn take(buffer: &mut BytesMut) -> Result<Option<Bytes>, WireError> {
    let Some(length) = frame_length(buffer)? else { return Ok(None) };
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Bytes that are missing to the next whole frame, as far as is known.
///
/// # Errors
/// As [`take`].
pub fn missing(buffer: &BytesMut) -> Result<usize, WireError> {
    let whole = frame_length(buffer)?.map_or(4, |length| 4 + length);
    Ok(whole.saturating_sub(buffer.len()))
}

fn frame_length(buffer: &BytesMut) -> Result<Option<usize>, WireError> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(WireError::Impossible { what: "frame length", value: length as u64 });
    }
    Ok(Some(length))
}

/// What follows the length of an answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Pairs it with the request.
    pub call_id: u32,
    /// The outcome.
    pub result: Result<Answer, Box<ExceptionResponse>>,
}

/// A successful answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The method's message, not decoded yet.
    pub message: Bytes,
    /// The cell block, empty if there is none.
    pub cells: Bytes,
}

impl Response {
    /// Takes a whole frame (without its length) apart; nothing is copied.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are no answer.
    pub fn decode(mut frame: Bytes) -> Result<Self, WireError> {
        let header: ResponseHeader = decode("ResponseHeader", delimited("response header", &mut frame)?)?;
        let call_id = header.call_id.unwrap_or(FATAL_CALL_ID);
        if let Some(exception) = header.exception {
            return Ok(Self { call_id, result: Err(Box::new(exception)) });
        }
        let message = delimited("response message", &mut frame)?;
        let length = header.cell_block_meta.and_then(|meta| meta.length).unwrap_or(0) as usize;
        if frame.len() < length {
            return Err(WireError::Truncated { what: "cell block", at: frame.len() });
        }
        Ok(Self { call_id, result: Ok(Answer { message, cells: frame.split_to(length) }) })
    }
}

/// A request as a server sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The header.
    pub header: RequestHeader,
    /// The method's message, not decoded yet.
    pub message: Bytes,
    /// The cell block, empty if there is none.
    pub cells: Bytes,
}

impl Request {
    /// Takes a whole frame (without its length) apart; nothing is copied.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are no request.
    pub fn decode(mut frame: Bytes) -> Result<Self, WireError> {
        let header: RequestHeader = decode("RequestHeader", delimited("request header", &mut frame)?)?;
        let message = match header.request_param {
            Some(true) => delimited("request message", &mut frame)?,
            _ => Bytes::new(),
        };
        let length = header.cell_block_meta.and_then(|meta| meta.length).unwrap_or(0) as usize;
        if frame.len() < length {
            return Err(WireError::Truncated { what: "cell block", at: frame.len() });
        }
        Ok(Self { header, message, cells: frame.split_to(length) })
    }
}

/// A whole answer with its length, for servers.
#[must_use]
pub fn response(call_id: u32, message: &impl Message, cells: &[u8]) -> Bytes {
    let meta = (!cells.is_empty()).then_some(CellBlockMeta { length: Some(cells.len() as u32) });
    let header = ResponseHeader { call_id: Some(call_id), exception: None, cell_block_meta: meta };
    let length = delimited_len(&header) + delimited_len(message) + cells.len();
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_u32(length as u32);
    put_delimited(&header, &mut frame);
    put_delimited(message, &mut frame);
    frame.put_slice(cells);
    frame.freeze()
}

/// A whole failed answer with its length, for servers.
#[must_use]
pub fn failure(call_id: u32, exception: ExceptionResponse) -> Bytes {
    let header = ResponseHeader { call_id: Some(call_id), exception: Some(exception), cell_block_meta: None };
    let length = delimited_len(&header);
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_u32(length as u32);
    put_delimited(&header, &mut frame);
    frame.freeze()
}

fn delimited_len(message: &impl Message) -> usize {
    let length = message.encoded_len();
    encoded_len_varint(length as u64) + length
}

fn put_delimited(message: &impl Message, frame: &mut BytesMut) {
    encode_varint(message.encoded_len() as u64, frame);
    message.encode_raw(frame);
}

fn delimited(what: &'static str, frame: &mut Bytes) -> Result<Bytes, WireError> {
    let before = frame.len();
    let length = decode_varint(frame).map_err(|_| WireError::Truncated { what, at: before })?;
    match usize::try_from(length) {
        Ok(length) if length <= frame.remaining() => Ok(frame.split_to(length)),
        _ => Err(WireError::Truncated { what, at: before }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{GetMetaRegionLocationsResponse, MultiResponse};
    use super::*;

    fn unhex(text: &str) -> Bytes {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
        (0..text.len()).step_by(2).map(digit).collect()
    }

    fn header(call_id: u32, method: &str, timeout: u32) -> RequestHeader {
        RequestHeader {
            call_id: Some(call_id),
            method_name: Some(method.to_owned()),
            timeout: Some(timeout),
            ..RequestHeader::default()
        }
    }

    #[test]
    fn a_registry_request_has_the_known_bytes() {
        let frame = request(&mut header(2, "GetMetaRegionLocations", 10_000), &super::super::message::Empty {}, 0);
        let known = "000000211f08021a164765744d657461526567696f6e4c6f636174696f6e73200138904e00";
        assert_eq!(frame, unhex(known));
    }

    #[test]
    fn a_region_level_failure_inside_a_multi_is_read() {
        let known = "0208013a0a3812360a316f72672e6170616368652e6861646f6f702e68626173652e4e6f7453657276696e6752\
                     6567696f6e457863657074696f6e120178";
        let response = Response::decode(unhex(known)).expect("an answer");
        assert_eq!(response.call_id, 1);
        let answer = response.result.expect("no exception of the call");
        let multi: MultiResponse = decode("MultiResponse", answer.message).expect("a message");
        let exception = multi.region_action_result.first().and_then(|region| region.exception.clone());
        assert_eq!(exception.expect("an exception").name, "org.apache.hadoop.hbase.NotServingRegionException");
    }

    #[test]
    fn frames_are_taken_whole_however_their_bytes_come() {
        let frames =
            [response(1, &super::super::message::Empty {}, b""), response(2, &MultiResponse::default(), b"abc")];
        let stream = frames.concat();
        for step in 1..=stream.len() {
            let mut buffer = BytesMut::new();
            let mut taken = Vec::new();
            for piece in stream.chunks(step) {
                buffer.put_slice(piece);
                while let Some(frame) = take(&mut buffer).expect("frames") {
                    taken.push(frame);
                }
                assert!(missing(&buffer).expect("frames") > 0);
            }
            assert_eq!(taken, frames.each_ref().map(|frame| frame.slice(4..)), "in steps of {step}");
        }
        let mut junk = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
        let value = u64::from(u32::MAX);
        assert_eq!(take(&mut junk), Err(WireError::Impossible { what: "frame length", value }));
    }

    #[test]
    fn a_compressed_request_differs_in_its_cells_only() {
        let cells = Bytes::from(b"0123456789".repeat(100));
        let message = super::super::message::NameBytesPair { name: "message".to_owned(), value: None };
        for compression in [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Gz] {
            let mut header = header(7, "Multi", 1000);
            let mut parts = vec![request(&mut header, &message, cells.len())];
            parts.extend([cells.slice(..300), cells.slice(300..)]);
            let parts = compress_request(&mut header, parts, compression).expect("a request");
            let mut frame = BytesMut::new();
            parts.iter().for_each(|part| frame.put_slice(part));
            let mut frame = frame.freeze();
            assert_eq!(frame.get_u32() as usize, frame.len());
            let read = Request::decode(frame).expect("a request");
            assert_eq!(read.header, header);
            assert_eq!(read.message, message.encode_to_vec());
            assert_eq!(compression.decompress(read.cells, 1000), Ok(cells.clone()), "{compression:?}");
        }
    }

    #[test]
    fn answers_come_back_as_they_went_and_truncations_are_errors() {
        let message = GetMetaRegionLocationsResponse::default();
        let frame = response(7, &message, b"cells").slice(4..);
        let read = Response::decode(frame.clone()).expect("an answer");
        assert_eq!((read.call_id, read.result.expect("success").cells), (7, Bytes::from_static(b"cells")));
        for length in 0..frame.len() {
            assert!(Response::decode(frame.slice(..length)).is_err(), "{length}");
        }
    }
}
