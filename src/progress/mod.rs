//! Which offsets of which partition are durable in which sink.

pub mod offset;
