//! A stream whose bytes travel in protected frames: `[u32 length][wrapped bytes]`, both ways.
//!
//! # Laws
//! 1. Bytes come out in the order they went in, or the stream is over: a frame that does not open ends it.
//! 2. What is taken by `poll_write` is on its way only after `poll_flush`, as with TLS.
//! 3. A length is believed only as far as its bytes have come.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::{Reading, Writing};
use crate::wire::sasl;

/// Taken from the socket at once.
const READ_BYTES: usize = 64 << 10;

/// Wraps what is sent.
pub(crate) trait Seal: Send {
    /// The bytes of the next frame.
    fn seal(&mut self, message: &[u8]) -> io::Result<Vec<u8>>;
}

/// Unwraps what is received.
pub(crate) trait Open: Send {
    /// The message of the next frame; an error if the peer did not send it so.
    fn open(&mut self, sealed: &[u8]) -> io::Result<Bytes>;
}

/// The two directions of a protected connection.
pub(crate) struct Layer {
    pub(crate) seal: Box<dyn Seal>,
    pub(crate) open: Box<dyn Open>,
    /// Longest message that still fits into what the peer takes as one frame.
    pub(crate) message_bytes_max: usize,
}

impl Layer {
    /// Puts itself around both halves of a stream.
    pub(crate) fn around(self, reading: Reading, writing: Writing) -> (Reading, Writing) {
        let Self { seal, open, message_bytes_max } = self;
        let reading = SealedReading {
            inner: reading,
            open,
            chunk: vec![0; READ_BYTES].into_boxed_slice(),
            sealed: BytesMut::new(),
            message: Bytes::new(),
        };
        let writing = SealedWriting { inner: writing, seal, message_bytes_max, waiting: BytesMut::new() };
        (Box::new(reading), Box::new(writing))
    }
}

struct SealedReading {
    inner: Reading,
    open: Box<dyn Open>,
    /// What one read of the socket may bring.
    chunk: Box<[u8]>,
    /// Bytes of frames that have not been opened.
    sealed: BytesMut,
    /// What is left of the frame opened last.
    message: Bytes,
}

impl SealedReading {
    /// The next frame, if its bytes are there.
    fn take_frame(&mut self) -> io::Result<Option<BytesMut>> {
        let Some(prefix) = self.sealed.first_chunk::<4>() else { return Ok(None) };
        let length = sasl::sealed_length(*prefix).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if self.sealed.len() < 4 + length {
            return Ok(None);
        }
        self.sealed.advance(4);
        Ok(Some(self.sealed.split_to(length)))
    }
}

impl AsyncRead for SealedReading {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        while this.message.is_empty() {
            if let Some(frame) = this.take_frame()? {
                this.message = this.open.open(&frame)?;
                continue;
            }
            let mut chunk = ReadBuf::new(&mut this.chunk);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            let read = chunk.filled();
            if read.is_empty() {
                let inside = !this.sealed.is_empty();
                let cut =
                    || Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ends inside a protected frame"));
                return Poll::Ready(if inside { cut() } else { Ok(()) });
            }
            this.sealed.extend_from_slice(read);
        }
        let count = this.message.len().min(buffer.remaining());
        buffer.put_slice(&this.message.split_to(count));
        Poll::Ready(Ok(()))
    }
}

struct SealedWriting {
    inner: Writing,
    seal: Box<dyn Seal>,
    message_bytes_max: usize,
    /// Frames that the socket has not taken yet: at most one more than is being written.
    waiting: BytesMut,
}

impl SealedWriting {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn frame(&mut self, message: &[u8]) -> io::Result<()> {
        let sealed = self.seal.seal(message)?;
        self.waiting.put_u32(sealed.len() as u32);
        self.waiting.put_slice(&sealed);
        Ok(())
    }
}

impl AsyncWrite for SealedWriting {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// Small parts share a frame.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_drain(cx))?;
        let mut message =
            Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>().min(this.message_bytes_max));
        for part in parts {
            let room = this.message_bytes_max - message.len();
            message.extend_from_slice(part.get(..room).unwrap_or(part));
        }
        if message.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.frame(&message)?;
        // Best effort: the rest goes with the next write or the flush.
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(message.len())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Every byte plus one, and a number in front: order matters.
    struct Shift(u8);

    impl Seal for Shift {
        fn seal(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
            self.0 = self.0.wrapping_add(1);
            Ok(std::iter::once(self.0).chain(message.iter().map(|byte| byte.wrapping_add(1))).collect())
        }
    }

    impl Open for Shift {
        fn open(&mut self, sealed: &[u8]) -> io::Result<Bytes> {
            self.0 = self.0.wrapping_add(1);
            match sealed.split_first() {
                Some((number, rest)) if *number == self.0 => Ok(rest.iter().map(|byte| byte.wrapping_sub(1)).collect()),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    fn layer(message_bytes_max: usize) -> Layer {
        Layer { seal: Box::new(Shift(0)), open: Box::new(Shift(0)), message_bytes_max }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_whatever_the_sizes(
            parts in vec(vec(any::<u8>(), 0..300), 0..8),
            (message_bytes_max, pipe) in (1..400_usize, 1..500_usize),
        ) {
            let (read, sent) = block_on(async {
                let (near, far) = tokio::io::duplex(pipe);
                let (_, near) = tokio::io::split(near);
                let (far, _far_writing) = tokio::io::split(far);
                let (_, mut writing) = layer(message_bytes_max).around(Box::new(tokio::io::empty()), Box::new(near));
                let (mut reading, _) = layer(1).around(Box::new(far), Box::new(tokio::io::sink()));
                let sent = parts.concat();
                let wanted = sent.len();
                let write = async {
                    for part in &parts {
                        writing.write_all(part).await.expect("written");
                    }
                    writing.flush().await.expect("flushed");
                };
                let read = async {
                    let mut read = vec![0; wanted];
                    reading.read_exact(&mut read).await.expect("read");
                    read
                };
                let ((), read) = tokio::join!(write, read);
                (read, sent)
            });
            prop_assert_eq!(read, sent);
        }
    }

    #[test]
    fn small_parts_share_a_frame() {
        let (near, mut far) = tokio::io::duplex(100);
        let (_, near) = tokio::io::split(near);
        let (_, mut writing) = layer(50).around(Box::new(tokio::io::empty()), Box::new(near));
        block_on(async {
            let written = writing.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).await;
            assert_eq!(written.expect("written"), 3);
            writing.flush().await.expect("flushed");
            let mut frame = [0; 8];
            far.read_exact(&mut frame).await.expect("a frame");
            assert_eq!(&frame, b"\0\0\0\x04\x01bcd");
        });
    }

    #[test]
    fn a_cut_a_foreign_and_an_over_long_frame_end_the_stream() {
        let kind = |bytes: &'static [u8]| {
            let (mut reading, _) = layer(1).around(Box::new(bytes), Box::new(tokio::io::sink()));
            block_on(reading.read_u8()).map_err(|error| error.kind())
        };
        assert_eq!(kind(b"\0\0\0\x02\x01b"), Ok(b'a'));
        assert_eq!(kind(b"\0\0\0\x02\x01"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(kind(b"\0\0\0\x02\x02b"), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(b"\xff\xff\xff\xff"), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(b""), Err(io::ErrorKind::UnexpectedEof), "what read_u8 says of an ordinary end");
    }
}
