//! The queue of one partition, read in batches: the one place of the data path where librdkafka is called directly.
//!
//! A call of `rd_kafka_consume_batch_queue` costs about two thirds of the CPU of polling message by message. With the
//! bundled librdkafka (2.12.1) it moves the application's position past *error entries* too (librdkafka#4844, mended in
//! 2.13.2), so `enable.partition.eof` must stay off and a partition is sought back after any error entry.
//!
//! # Invariants
//! 1. A queue does not outlive its consumer: it holds it.
//! 2. Batch calls on one consumer are made by one thread: a queue is not `Sync`, and the reader owns it.
//! 3. A message is destroyed exactly once, and nothing borrowed from it leaves the call.
#![expect(unsafe_code, reason = "rust-rdkafka has no batch call; every block states why it is sound")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_header_get_last, rd_kafka_message_destroy, rd_kafka_message_headers,
    rd_kafka_message_t, rd_kafka_message_timestamp, rd_kafka_queue_destroy, rd_kafka_queue_forward,
    rd_kafka_queue_get_partition, rd_kafka_queue_t, rd_kafka_resp_err_t, rd_kafka_timestamp_type_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use super::group::{Entry, Queue};
use crate::progress::offset::{Offset, TopicPartition};

/// Messages taken by one call.
const MESSAGES_MAX: usize = 1024;

/// The queue of one partition, split from the consumer's queue.
pub(super) struct PartitionQueue<C: ConsumerContext + 'static> {
    queue: NonNull<rd_kafka_queue_t>,
    messages: Vec<*mut rd_kafka_message_t>,
    _consumer: Arc<BaseConsumer<C>>,
}

/// The headers of a record; nothing is done for them until one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// The live message that has them; `None` for a record that has none.
    message: Option<NonNull<rd_kafka_message_t>>,
    entry: PhantomData<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// Those of a record without any.
    #[must_use]
    pub const fn none() -> Self {
        Self { message: None, entry: PhantomData }
    }

    /// The value of the last header with this name: `None` if there is none, `Some(None)` if it is null.
    pub(super) fn last(self, name: &CStr) -> Option<Option<&'a [u8]>> {
        let message = self.message?.as_ptr();
        let mut list = ptr::null_mut();
        // SAFETY: the message is live while the entry is (`'a`), and there is a place to write the list to, which stays
        // the message's own.
        let found = unsafe { rd_kafka_message_headers(message, &raw mut list) };
        if found != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let (mut value, mut length) = (ptr::null::<c_void>(), 0);
        // SAFETY: a live list, a C string, and places to write pointer and length to.
        let found = unsafe { rd_kafka_header_get_last(list, name.as_ptr(), &raw mut value, &raw mut length) };
        if found != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: librdkafka gives pointer and length of a value that lives as long as the message.
        Some(unsafe { bytes(value.cast(), length) })
    }
}

impl<C: ConsumerContext + 'static> PartitionQueue<C> {
    /// Splits the partition's queue off. Must happen before the partition is assigned, else records reach the main queue.
    pub(super) fn split(consumer: &Arc<BaseConsumer<C>>, partition: &TopicPartition) -> Option<Self> {
        let topic = CString::new(partition.topic.as_bytes()).ok()?;
        // SAFETY: the client pointer is valid while `consumer` lives; the topic is a C string; null is handled.
        let queue = unsafe {
            rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition.partition)
        };
        let queue = NonNull::new(queue)?;
        // SAFETY: the queue was just obtained; a null destination ends the forwarding to the consumer's queue.
        unsafe { rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        let messages = vec![ptr::null_mut(); MESSAGES_MAX];
        Some(Self { queue, messages, _consumer: Arc::clone(consumer) })
    }
}

impl<C: ConsumerContext + 'static> Queue for PartitionQueue<C> {
    /// At most [`MESSAGES_MAX`] entries.
    fn consume(&mut self, mut each: impl FnMut(Entry<'_>)) -> usize {
        const NO_WAIT: c_int = 0;
        // SAFETY: the queue is valid (invariant 1), no other thread makes batch calls (invariant 2), and the array has
        // room for as many pointers as are asked for.
        let count = unsafe {
            rd_kafka_consume_batch_queue(self.queue.as_ptr(), NO_WAIT, self.messages.as_mut_ptr(), self.messages.len())
        };
        let count = usize::try_from(count).unwrap_or(0);
        for message in self.messages.iter().take(count) {
            let guard = MessageGuard(*message);
            // SAFETY: librdkafka filled `count` pointers; the guard destroys this one after the callback.
            each(unsafe { guard.entry() });
        }
        count
    }
}

// SAFETY: librdkafka's queues may be used from any thread, one at a time; the message pointers are dead between calls.
unsafe impl<C: ConsumerContext + 'static> Send for PartitionQueue<C> {}

impl<C: ConsumerContext + 'static> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: obtained from `rd_kafka_queue_get_partition`, destroyed once, while the consumer still lives.
        unsafe { rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Destroys the message also when the callback panics.
struct MessageGuard(*mut rd_kafka_message_t);

impl MessageGuard {
    /// # Safety
    /// The pointer must be a live message; the entry borrows from it.
    unsafe fn entry(&self) -> Entry<'_> {
        // SAFETY: by the caller's promise.
        let message = unsafe { &*self.0 };
        if message.err != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Entry::Error(message.err.into());
        }
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a live message, and a place to write the kind to.
        let timestamp_ms = unsafe { rd_kafka_message_timestamp(self.0, &raw mut kind) };
        Entry::Record {
            offset: Offset(message.offset),
            timestamp_ms,
            // SAFETY: librdkafka gives pointer and length of one allocation that lives as long as the message.
            key: unsafe { bytes(message.key.cast(), message.key_len) },
            // SAFETY: as above.
            payload: unsafe { bytes(message.payload.cast(), message.len) },
            headers: Headers { message: NonNull::new(self.0), entry: PhantomData },
        }
    }
}

impl Drop for MessageGuard {
    fn drop(&mut self) {
        // SAFETY: each message is wrapped once and destroyed once.
        unsafe { rd_kafka_message_destroy(self.0) };
    }
}

/// # Safety
/// `start` is null or the start of `length` readable bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const u8, length: usize) -> Option<&'a [u8]> {
    // SAFETY: by the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start, length) })
}
