//! Logs: one subscriber on standard error, text or JSON, filtered by `HALCYON_LOG`.
//!
//! On a terminal the last line may be one that is kept current ([`show_line`]): a log line takes its place, and the next
//! look puts it below.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

/// What is logged when `HALCYON_LOG` says nothing: changes of state of halcyon, and only trouble of its libraries.
pub const DEFAULT_FILTER: &str = "warn,halcyon=info";
/// The same for verbs that tell a story of their own.
pub const QUIET_FILTER: &str = "error";
/// The variable with the filter, in the syntax of `tracing_subscriber::EnvFilter`.
const FILTER_VARIABLE: &str = "HALCYON_LOG";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Installs the subscriber. A second call changes nothing.
pub fn install(format: LogFormat, default_filter: &str) {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default_filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| LogWriter);
    // An error means that a subscriber is there already, and that one logs.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Whether a line that is kept current stands at the cursor.
static LINE_SHOWN: AtomicBool = AtomicBool::new(false);

/// Back to the first column, and away with what is there.
const CLEAR: &[u8] = b"\r\x1b[2K";

/// Whether a line can be kept current: a person looks at a terminal.
#[must_use]
pub fn is_on_terminal(format: LogFormat) -> bool {
    format == LogFormat::Text && io::stderr().is_terminal()
}

/// Shows a line in the place of the one before, cut off at the terminal's edge.
pub fn show_line(line: &str) {
    let mut stderr = io::stderr().lock();
    // A terminal that is gone needs no line.
    let _ = write!(stderr, "\r\x1b[2K\x1b[?7l{line}\x1b[?7h").and_then(|()| stderr.flush());
    LINE_SHOWN.store(true, Ordering::Release);
}

/// Takes the line away.
pub fn clear_line() {
    let mut stderr = io::stderr().lock();
    if LINE_SHOWN.swap(false, Ordering::AcqRel) {
        let _ = stderr.write_all(CLEAR).and_then(|()| stderr.flush());
    }
}

/// Standard error, with the current line out of the way.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if LINE_SHOWN.swap(false, Ordering::AcqRel) {
            stderr.write_all(CLEAR)?;
        }
        stderr.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
