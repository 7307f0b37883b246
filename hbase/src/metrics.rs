//! Every metric of the package: names, labels, units. They go to whatever recorder the process has (`metrics`).
//!
//! Labels are servers and classes of failure, never regions or rows: their number stays small. Details by region are in
//! [`Client::debug_state`](crate::client::Client::debug_state).

use std::time::Duration;

use crate::client::writer::{Server, Settled};

// ---- bulk writes ----

/// Multi calls answered, by `server` and `outcome` (`ok`, `failed`).
pub const WRITER_CALLS_TOTAL: &str = "hbase_writer_calls_total";
/// Cell bytes of a call, by `server`.
pub const WRITER_CALL_BYTES: &str = "hbase_writer_call_bytes";
/// Time of a call with its answer, by `server`.
pub const WRITER_CALL_SECONDS: &str = "hbase_writer_call_seconds";
/// Rows acknowledged, by `server`.
pub const WRITER_ROWS_TOTAL: &str = "hbase_writer_rows_total";
/// Rows refused for good, by `server`.
pub const WRITER_REFUSED_ROWS_TOTAL: &str = "hbase_writer_refused_rows_total";
/// Rows sent again, by `server` and `class` of the failure.
pub const WRITER_RESENT_ROWS_TOTAL: &str = "hbase_writer_resent_rows_total";
/// Calls that may be in flight at once, by `server`.
pub const WRITER_WINDOW_CALLS: &str = "hbase_writer_window_calls";
/// Calls in flight, by `server`.
pub const WRITER_IN_FLIGHT_CALLS: &str = "hbase_writer_in_flight_calls";
/// Bytes that wait in lanes, by `server`.
pub const WRITER_QUEUED_BYTES: &str = "hbase_writer_queued_bytes";
/// Credits given out.
pub const WRITER_CREDITS_BYTES: &str = "hbase_writer_credits_bytes";

/// What a server's gauges show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriterGauges {
    window: usize,
    in_flight: usize,
    queued: usize,
}

impl WriterGauges {
    pub(crate) fn of(server: &Server) -> Self {
        Self { window: server.window.size(), in_flight: server.in_flight, queued: server.queued }
    }
}

/// A call of a writer came back.
pub(crate) fn writer_call(server: &str, (elapsed, bytes, is_ok): (Duration, usize, bool)) {
    let outcome = if is_ok { "ok" } else { "failed" };
    metrics::counter!(WRITER_CALLS_TOTAL, "server" => server.to_owned(), "outcome" => outcome).increment(1);
    metrics::histogram!(WRITER_CALL_SECONDS, "server" => server.to_owned()).record(elapsed.as_secs_f64());
    metrics::histogram!(WRITER_CALL_BYTES, "server" => server.to_owned()).record(bytes as f64);
}

/// Its rows were settled.
pub(crate) fn writer_settled(server: &str, settled: &Settled, gauges: WriterGauges) {
    metrics::counter!(WRITER_ROWS_TOTAL, "server" => server.to_owned()).increment(settled.rows);
    if settled.refused > 0 {
        metrics::counter!(WRITER_REFUSED_ROWS_TOTAL, "server" => server.to_owned()).increment(settled.refused);
    }
    for (class, rows) in &settled.resent {
        metrics::counter!(WRITER_RESENT_ROWS_TOTAL, "server" => server.to_owned(), "class" => *class).increment(*rows);
    }
    metrics::gauge!(WRITER_WINDOW_CALLS, "server" => server.to_owned()).set(gauges.window as f64);
    metrics::gauge!(WRITER_IN_FLIGHT_CALLS, "server" => server.to_owned()).set(gauges.in_flight as f64);
    metrics::gauge!(WRITER_QUEUED_BYTES, "server" => server.to_owned()).set(gauges.queued as f64);
}

/// Credits changed.
pub(crate) fn writer_credits(used: usize) {
    metrics::gauge!(WRITER_CREDITS_BYTES).set(used as f64);
}
