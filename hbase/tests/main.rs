//! All tests of the package in one binary: golden bytes, the cluster in process with faults, and real servers.
#![expect(clippy::indexing_slicing, reason = "a test that indexes past the end fails, as it should")]

mod faults;
mod golden;
mod in_process;
mod real;
mod real_soak;
mod support;
