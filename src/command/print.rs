//! Standard output: what a verb answers, as opposed to what it logs.
//!
//! A reader that has seen enough (`| head`) is no failure: what it no longer takes is dropped. A full disk is one, since
//! an answer that was cut off must not look whole.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Prints one line.
///
/// # Errors
/// If it cannot be written, unless the reader went away.
pub(super) fn line(line: impl Display) -> anyhow::Result<()> {
    text(format_args!("{line}\n"))
}

/// Prints a text as it is.
///
/// # Errors
/// If it cannot be written, unless the reader went away.
pub(super) fn text(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    excuse(write!(out, "{text}").and_then(|()| out.flush())).context("write the answer to standard output")
}

/// A reader that went away needs nothing more.
fn excuse(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
