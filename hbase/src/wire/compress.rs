//! Compressed cell blocks: what a connection's compressor does to the cells of a call, both ways.
//!
//! Only the cell block is compressed, never the messages (`CellBlockBuilder`). The connection header names a Hadoop
//! codec class and the class decides the framing:
//!
//! ```text
//! SnappyCodec, Lz4Codec : ( [u32 block length, uncompressed] ( [u32 chunk length][raw chunk] )* )*
//! GzipCodec             : gzip members, one behind the other
//! ```
//! (`BlockCompressorStream`, `BlockDecompressorStream`, `GzipCodec` of Hadoop.) An empty cell block may come as a block
//! of length 0.
//!
//! # Laws
//! 1. What is said about lengths is believed only as far as the bytes at hand could hold it, and never beyond the limit
//!    that the caller sets.
//! 2. What [`Compression::compress`] makes, Hadoop's decompressors read with their default buffers of 256 KiB.

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::WireError;

/// Uncompressed bytes of one chunk. Hadoop's decompressors have buffers of 256 KiB
/// (`io.compression.codec.snappy.buffersize`) that must hold a chunk before and after; Snappy's worst case is 32 bytes
/// and a sixth more.
const CHUNK_BYTES: usize = 192 << 10;
const _: () = assert!(CHUNK_BYTES + CHUNK_BYTES / 6 + 32 <= 256 << 10);

/// Most bytes that one compressed byte can stand for: LZ4 lengths grow by 255 a byte; Snappy copies 64 bytes by 3.
const EXPANSION_MAX: usize = 255;

/// How cell blocks are compressed on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Snappy: least CPU.
    Snappy,
    /// LZ4: about as small as Snappy.
    Lz4,
    /// Gzip at its fastest level: smallest, an order of magnitude more CPU.
    Gz,
}

impl Compression {
    /// The Java classes by which servers know the codec, in the order in which they are worth trying: Hadoop's own,
    /// then those that HBase brings along since 2.5 (`hbase-compression`). Empty for no compression.
    #[must_use]
    pub fn classes(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Snappy => &[
                "org.apache.hadoop.io.compress.SnappyCodec",
                "org.apache.hadoop.hbase.io.compress.xerial.SnappyCodec",
                "org.apache.hadoop.hbase.io.compress.aircompressor.SnappyCodec",
            ],
            Self::Lz4 => &[
                "org.apache.hadoop.io.compress.Lz4Codec",
                "org.apache.hadoop.hbase.io.compress.lz4.Lz4Codec",
                "org.apache.hadoop.hbase.io.compress.aircompressor.Lz4Codec",
            ],
            Self::Gz => &["org.apache.hadoop.io.compress.GzipCodec"],
        }
    }

    /// The codec that a class stands for; `None` if it is not one of ours.
    #[must_use]
    pub fn of_class(class: &str) -> Option<Self> {
        [Self::Snappy, Self::Lz4, Self::Gz].into_iter().find(|codec| codec.classes().contains(&class))
    }

    /// Compresses a cell block that lies in parts.
    #[must_use]
    pub fn compress(self, parts: &[Bytes]) -> Bytes {
        match self {
            Self::None => concatenated(parts),
            Self::Snappy => {
                let mut encoder = snap::raw::Encoder::new();
                in_chunks(parts, |chunk, out| encoder.compress(chunk, out).ok())
            }
            Self::Lz4 => in_chunks(parts, |chunk, out| lz4_flex::block::compress_into(chunk, out).ok()),
            Self::Gz => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                // Writing to memory does not fail.
                let written = parts.iter().try_for_each(|part| encoder.write_all(part)).and_then(|()| encoder.finish());
                written.map(Bytes::from).unwrap_or_default()
            }
        }
    }

    /// Reads a compressed cell block of at most `bytes_max` uncompressed bytes.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not what the codec writes, or stand for more than the limit.
    pub fn decompress(self, block: Bytes, bytes_max: usize) -> Result<Bytes, WireError> {
        match self {
            // No cells, no codec: a call without a cell block has nothing to read either.
            _ if block.is_empty() => Ok(block),
            Self::None => Ok(block),
            Self::Snappy => from_blocks(block, bytes_max, |chunk, out| {
                let length = snap::raw::decompress_len(chunk).ok()?;
                // Checked before the decoder: it refuses an output that is too small with the same error.
                out.get_mut(..length).and_then(|out| snap::raw::Decoder::new().decompress(chunk, out).ok())
            }),
            Self::Lz4 => from_blocks(block, bytes_max, |chunk, out| lz4_flex::block::decompress_into(chunk, out).ok()),
            Self::Gz => gunzip(&block, bytes_max),
        }
    }
}

fn concatenated(parts: &[Bytes]) -> Bytes {
    match parts {
        [one] => one.clone(),
        parts => {
            let mut all = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| all.put_slice(part));
            all.freeze()
        }
    }
}

/// One block of one chunk for each [`CHUNK_BYTES`] of input; `compress` returns the bytes it wrote.
fn in_chunks(parts: &[Bytes], mut compress: impl FnMut(&[u8], &mut [u8]) -> Option<usize>) -> Bytes {
    let total: usize = parts.iter().map(Bytes::len).sum();
    let mut out = BytesMut::with_capacity(total / 2 + 64);
    let mut rest = parts.iter().map(|part| &part[..]).filter(|part| !part.is_empty());
    let mut front: &[u8] = &[];
    let mut gathered = Vec::new();
    let mut left = total;
    while left > 0 {
        let wanted = left.min(CHUNK_BYTES);
        if front.is_empty() {
            front = rest.next().unwrap_or_default();
        }
        // The common case, one long part, is compressed where it lies.
        let chunk = match front.split_at_checked(wanted) {
            Some((chunk, behind)) => {
                front = behind;
                chunk
            }
            None => {
                gathered.clear();
                while gathered.len() < wanted {
                    let step = front.len().min(wanted - gathered.len());
                    let (taken, behind) = front.split_at(step);
                    gathered.extend_from_slice(taken);
                    front = if behind.is_empty() { rest.next().unwrap_or_default() } else { behind };
                }
                &gathered
            }
        };
        put_chunk(chunk, &mut out, &mut compress);
        left -= wanted;
    }
    out.freeze()
}

fn put_chunk(chunk: &[u8], out: &mut BytesMut, compress: &mut impl FnMut(&[u8], &mut [u8]) -> Option<usize>) {
    out.put_u32(chunk.len() as u32);
    let length_at = out.len();
    out.put_u32(0);
    let begin = out.len();
    // Enough for both codecs: Snappy's worst case is the larger one.
    out.resize(begin + 32 + chunk.len() + chunk.len() / 6, 0);
    let room = out.get_mut(begin..).unwrap_or_default();
    let written = compress(chunk, room).expect("the room is the codec's worst case");
    out.truncate(begin + written);
    if let Some(length) = out.get_mut(length_at..begin) {
        length.copy_from_slice(&(written as u32).to_be_bytes());
    }
}

/// Reads blocks of chunks; `decompress` fills the beginning of what it is given and returns how much.
fn from_blocks(
    mut block: Bytes,
    bytes_max: usize,
    mut decompress: impl FnMut(&[u8], &mut [u8]) -> Option<usize>,
) -> Result<Bytes, WireError> {
    let mut out = BytesMut::new();
    while !block.is_empty() {
        let declared = length(&mut block)?;
        let possible = block.len().saturating_mul(EXPANSION_MAX);
        if declared > possible || declared > bytes_max.saturating_sub(out.len()) {
            return Err(WireError::Impossible { what: "the length of a compressed block", value: declared as u64 });
        }
        let begin = out.len();
        out.resize(begin + declared, 0);
        let mut at = begin;
        while at < begin + declared {
            let chunk_length = length(&mut block)?;
            if chunk_length > block.len() {
                return Err(WireError::Truncated { what: "a compressed chunk", at: block.len() });
            }
            let chunk = block.split_to(chunk_length);
            let room = out.get_mut(at..).unwrap_or_default();
            match decompress(&chunk, room) {
                // A chunk of nothing would never come to an end.
                Some(written) if written > 0 => at += written,
                _ => {
                    let value = chunk_length as u64;
                    return Err(WireError::Impossible { what: "a compressed chunk", value });
                }
            }
        }
    }
    Ok(out.freeze())
}

fn length(block: &mut Bytes) -> Result<usize, WireError> {
    if block.len() < 4 {
        return Err(WireError::Truncated { what: "a length in a compressed cell block", at: block.len() });
    }
    Ok(block.get_u32() as usize)
}

fn gunzip(block: &Bytes, bytes_max: usize) -> Result<Bytes, WireError> {
    let mut out = Vec::with_capacity(block.len().saturating_mul(4).min(bytes_max));
    let mut reader = flate2::bufread::MultiGzDecoder::new(&block[..]).take(bytes_max as u64 + 1);
    // The vector grows by what has really been decompressed.
    if let Err(error) = reader.read_to_end(&mut out) {
        return Err(WireError::Message { what: "gzip", reason: error.to_string() });
    }
    if out.len() > bytes_max {
        return Err(WireError::Impossible { what: "the length of a gzip cell block", value: out.len() as u64 });
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Compression; 4] = [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Gz];
    const LIMIT: usize = 16 << 20;

    fn rows(bytes: usize) -> Bytes {
        (0_u64..).flat_map(|row| format!("row-{row:08}/f:q/{}", row * row % 977).into_bytes()).take(bytes).collect()
    }

    #[test]
    fn a_block_longer_than_many_chunks_comes_back_and_is_smaller() {
        let block = rows(3 * CHUNK_BYTES + 17);
        for codec in [Compression::Snappy, Compression::Lz4, Compression::Gz] {
            let small = codec.compress(std::slice::from_ref(&block));
            assert!(small.len() < block.len() / 2, "{codec:?}: {}", small.len());
            assert_eq!(codec.decompress(small, LIMIT).expect("whole"), block, "{codec:?}");
        }
    }

    #[test]
    fn blocks_as_hadoop_writes_them_are_read() {
        // One block of two chunks, as `BlockCompressorStream` writes an input longer than its buffer; then an empty one.
        let chunk = |text: &[u8]| snap::raw::Encoder::new().compress_vec(text).expect("memory");
        let mut block = BytesMut::new();
        block.put_u32(11);
        for text in [&b"hello "[..], b"world"] {
            let chunk = chunk(text);
            block.put_u32(chunk.len() as u32);
            block.put_slice(&chunk);
        }
        block.put_u32(0);
        let read = Compression::Snappy.decompress(block.freeze(), LIMIT).expect("whole");
        assert_eq!(read, "hello world");
        assert_eq!(Compression::Lz4.decompress(Bytes::from_static(&[0; 4]), LIMIT).expect("whole"), "");
    }

    #[test]
    fn gzip_members_one_behind_the_other_are_one_block() {
        let (first, second) = (rows(1000), rows(77));
        let mut both = BytesMut::from(&Compression::Gz.compress(std::slice::from_ref(&first))[..]);
        both.put_slice(&Compression::Gz.compress(std::slice::from_ref(&second)));
        let read = Compression::Gz.decompress(both.freeze(), LIMIT).expect("whole");
        assert_eq!(read, concatenated(&[first, second]));
    }

    #[test]
    fn a_length_that_the_bytes_cannot_hold_is_refused_before_memory_is_taken() {
        let mut block = BytesMut::new();
        block.put_u32(u32::MAX);
        block.put_u32(1);
        block.put_u8(0);
        for codec in [Compression::Snappy, Compression::Lz4] {
            let error = codec.decompress(block.clone().freeze(), usize::MAX).expect_err("refused");
            let value = u64::from(u32::MAX);
            assert_eq!(error, WireError::Impossible { what: "the length of a compressed block", value });
        }
    }

    #[test]
    fn no_codec_makes_more_than_the_limit() {
        let zeros = Bytes::from(vec![0; 1 << 20]);
        for codec in [Compression::Snappy, Compression::Lz4, Compression::Gz] {
            let bomb = codec.compress(std::slice::from_ref(&zeros));
            assert!(codec.decompress(bomb.clone(), (1 << 20) - 1).is_err(), "{codec:?}");
            assert_eq!(codec.decompress(bomb, 1 << 20).expect("whole").len(), 1 << 20, "{codec:?}");
        }
    }

    #[test]
    fn every_truncation_is_an_error_or_a_shorter_block() {
        let block = rows(5000);
        for codec in [Compression::Snappy, Compression::Lz4, Compression::Gz] {
            let small = codec.compress(std::slice::from_ref(&block));
            // The whole is one block of one chunk, so no prefix of it is whole, but the empty one.
            for length in 1..small.len() {
                assert!(codec.decompress(small.slice(..length), LIMIT).is_err(), "{codec:?} {length}");
            }
        }
    }

    #[test]
    fn classes_name_their_codec() {
        for codec in CODECS {
            for class in codec.classes() {
                assert_eq!(Compression::of_class(class), Some(codec));
            }
        }
        assert_eq!(Compression::of_class("org.apache.hadoop.io.compress.ZStandardCodec"), None);
    }

    proptest! {
        #[test]
        fn parts_come_back_as_one_block(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..8),
            repeat in 1_usize..200,
        ) {
            let parts: Vec<Bytes> = parts.into_iter().map(|part| part.repeat(repeat).into()).collect();
            let whole = concatenated(&parts);
            for codec in CODECS {
                let back = codec.decompress(codec.compress(&parts), LIMIT);
                prop_assert_eq!(back.as_ref(), Ok(&whole), "{:?}", codec);
            }
        }

        #[test]
        fn junk_is_an_error_or_bytes_within_the_limit(junk in prop::collection::vec(any::<u8>(), 0..300)) {
            for codec in CODECS {
                if let Ok(read) = codec.decompress(junk.clone().into(), 10_000) {
                    prop_assert!(read.len() <= 10_000);
                }
            }
        }

        /// Junk behind plausible lengths reaches the codecs themselves.
        #[test]
        fn junk_in_a_chunk_is_an_error_or_bytes_within_the_limit(
            declared in 0_u32..5000,
            junk in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut block = BytesMut::new();
            block.put_u32(declared);
            block.put_u32(junk.len() as u32);
            block.put_slice(&junk);
            for codec in CODECS {
                if let Ok(read) = codec.decompress(block.clone().freeze(), 10_000) {
                    prop_assert!(read.len() <= 10_000);
                }
            }
        }
    }
}
