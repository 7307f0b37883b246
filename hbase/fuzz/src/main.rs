//! libFuzzer's entry: runs the one of `hbase`'s decoders that `HBASE_FUZZ_TARGET` names (see `hbase::fuzzing`).
//!
//! Memory is counted: an input of at most `-max_len` bytes that makes a decoder hold more than [`LIVE_BYTES_MAX`] ends
//! the run as a crash.
#![no_main]

use std::alloc::System;
use std::sync::OnceLock;

use cap::Cap;
use hbase::fuzzing::{self, Target};
use libfuzzer_sys::fuzz_target;

/// Bytes that the whole process may hold in Rust's heap at once. The decoders share what they are given; what they
/// build from a few kilobytes are vectors of small messages.
const LIVE_BYTES_MAX: usize = 64 << 20;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, LIVE_BYTES_MAX);

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("HBASE_FUZZ_TARGET").unwrap_or_default();
        let known = fuzzing::TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
        fuzzing::TARGETS
            .iter()
            .find(|target| target.name == name)
            .unwrap_or_else(|| panic!("HBASE_FUZZ_TARGET is '{name}', not one of: {known}"))
    })
}

fuzz_target!(|bytes: &[u8]| {
    (target().run)(bytes);
});
