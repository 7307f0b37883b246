//! The nouns all others speak. No I/O, no async, no clock.

pub mod batch;
