//! All integration tests in one binary.
#![expect(clippy::print_stdout, reason = "long stories tell how far they are")]
#![expect(clippy::indexing_slicing, reason = "a test that indexes past the end fails, as it should")]

mod contract;
mod real;
mod real_kafka;
mod scenario;
mod simulation;
mod support;
mod tidy;
