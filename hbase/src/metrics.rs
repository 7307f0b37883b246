//! Every metric of the client: name, unit, labels, once.
//!
//! They go through the `metrics` facade; without a recorder they cost next to nothing. `cluster` is
//! [`ClientConfig::name`](crate::client::ClientConfig::name), `server` is `host:port`: labels grow with servers and
//! methods, never with regions or rows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};
use rustc_hash::FxBuildHasher;

use crate::client::writer::{Server, Settled};

// ---- connections, registry, locator ------------------------------------------------------------------------------

/// Calls that ended, by `cluster`, `server`, `method` and `outcome` (`ok`, `refused`, `timed_out`, `disconnected`,
/// `unreadable`, `too_big`).
pub const CALLS: &str = "hbase_client_calls_total";
/// Time from asking to the answer, of calls that were answered, by `cluster`, `server`, `method`.
pub const CALL_SECONDS: &str = "hbase_client_call_seconds";
/// Bytes written to sockets, by `cluster`, `server`.
pub const SENT_BYTES: &str = "hbase_client_sent_bytes_total";
/// Bytes read from sockets, by `cluster`, `server`.
pub const RECEIVED_BYTES: &str = "hbase_client_received_bytes_total";
/// Attempts to connect, by `cluster`, `server`, `outcome` (`ok`, `failed`).
pub const CONNECTS: &str = "hbase_client_connects_total";
/// Connections that ended, by `cluster`, `server`, `cause`.
pub const CONNECTIONS_ENDED: &str = "hbase_client_connections_ended_total";
/// Reads of hbase:meta, by `cluster`, `kind` (`region`, `table`, `state`), `outcome` (`ok`, `failed`).
pub const META_LOOKUPS: &str = "hbase_client_meta_lookups_total";
/// Regions whose place was forgotten, by `cluster`, `reason` (`not_serving`, `moved`, `server_gone`, `unreachable`).
pub const CACHE_INVALIDATIONS: &str = "hbase_client_region_cache_invalidations_total";
/// Questions to the registry, by `cluster`, `question`, `outcome` (`ok`, `failed`).
pub const REGISTRY_CALLS: &str = "hbase_client_registry_calls_total";

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    Ok,
    Refused,
    TimedOut,
    Disconnected,
    Unreadable,
    TooBig,
}

impl CallOutcome {
    const ALL: [Self; 6] =
        [Self::Ok, Self::Refused, Self::TimedOut, Self::Disconnected, Self::Unreadable, Self::TooBig];

    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Disconnected => "disconnected",
            Self::Unreadable => "unreadable",
            Self::TooBig => "too_big",
        }
    }
}

/// The counters of one method on one server; made once, so a call does not look them up by name.
pub(crate) struct MethodMetrics {
    outcomes: [Counter; 6],
    seconds: Histogram,
}

impl MethodMetrics {
    pub(crate) fn ended(&self, outcome: CallOutcome, took: Duration) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment(1);
        }
        if matches!(outcome, CallOutcome::Ok | CallOutcome::Refused) {
            self.seconds.record(took.as_secs_f64());
        }
    }
}

/// The counters of one connection.
pub(crate) struct ConnectionMetrics {
    cluster: Arc<str>,
    server: Arc<str>,
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
    methods: Mutex<HashMap<String, Arc<MethodMetrics>, FxBuildHasher>>,
}

impl std::fmt::Debug for ConnectionMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionMetrics").finish_non_exhaustive()
    }
}

impl ConnectionMetrics {
    pub(crate) fn new(cluster: &Arc<str>, server: &str) -> Self {
        let server: Arc<str> = server.into();
        let labels = || [("cluster", cluster.to_string()), ("server", server.to_string())];
        Self {
            cluster: Arc::clone(cluster),
            sent: counter!(SENT_BYTES, &labels()),
            received: counter!(RECEIVED_BYTES, &labels()),
            methods: Mutex::default(),
            server,
        }
    }

    pub(crate) fn method(&self, method: &str) -> Arc<MethodMetrics> {
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = methods.get(method) {
            return Arc::clone(known);
        }
        let (cluster, server) = (self.cluster.to_string(), self.server.to_string());
        let outcomes = CallOutcome::ALL.map(|outcome| {
            let (cluster, server) = (cluster.clone(), server.clone());
            counter!(CALLS, "cluster" => cluster, "server" => server, "method" => method.to_owned(), "outcome" => outcome.label())
        });
        let seconds = histogram!(CALL_SECONDS, "cluster" => cluster, "server" => server, "method" => method.to_owned());
        let made = Arc::new(MethodMetrics { outcomes, seconds });
        methods.insert(method.to_owned(), Arc::clone(&made));
        made
    }

    pub(crate) fn ended(&self, cause: &'static str) {
        let (cluster, server) = (self.cluster.to_string(), self.server.to_string());
        counter!(CONNECTIONS_ENDED, "cluster" => cluster, "server" => server, "cause" => cause).increment(1);
    }
}

fn outcome(is_ok: bool) -> &'static str {
    if is_ok { "ok" } else { "failed" }
}

pub(crate) fn connected(cluster: &Arc<str>, server: &str, is_ok: bool) {
    let labels = ("cluster", cluster.to_string());
    counter!(CONNECTS, labels.0 => labels.1, "server" => server.to_owned(), "outcome" => outcome(is_ok)).increment(1);
}

pub(crate) fn meta_lookup(cluster: &Arc<str>, kind: &'static str, is_ok: bool) {
    counter!(META_LOOKUPS, "cluster" => cluster.to_string(), "kind" => kind, "outcome" => outcome(is_ok)).increment(1);
}

pub(crate) fn forgotten(cluster: &Arc<str>, reason: &'static str, regions: usize) {
    if regions > 0 {
        let cluster = cluster.to_string();
        counter!(CACHE_INVALIDATIONS, "cluster" => cluster, "reason" => reason).increment(regions as u64);
    }
}

pub(crate) fn registry_call(cluster: &Arc<str>, question: &'static str, is_ok: bool) {
    let cluster = cluster.to_string();
    counter!(REGISTRY_CALLS, "cluster" => cluster, "question" => question, "outcome" => outcome(is_ok)).increment(1);
}

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
