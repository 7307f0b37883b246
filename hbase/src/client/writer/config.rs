//! How the writer of a cluster behaves.

use std::time::Duration;

/// Actions of one Multi at most; servers warn above this (`hbase.rpc.rows.warning.threshold`) and may refuse.
pub(super) const CALL_ACTIONS_MAX: usize = 5000;
/// Cell bytes of one Multi at most.
pub(super) const CALL_BYTES_MAX: usize = 4 << 20;
/// Cell bytes of one Multi that are worth a call of their own.
pub(super) const CALL_BYTES_MIN: usize = 256 << 10;

const _: () = assert!(CALL_BYTES_MIN <= CALL_BYTES_MAX);

/// Settings of bulk writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// Bytes that the writer may hold on its own account, for writes whose callers do not wait for them: see
    /// [`Client::submit`](crate::client::Client::submit). 64 MiB: some seconds of a busy cluster's writes.
    pub credit_bytes: usize,
    /// How long a few rows may wait for more while their server is busy. 5 ms: below what a write takes anyway. A server
    /// that is not busy gets them at once.
    pub linger: Duration,
    /// Multis in flight to one server at most; how many of them are used is found out by itself. 16: half of a region
    /// server's 30 handlers (`hbase.regionserver.handler.count`), so that others find some free.
    pub calls_per_server_max: usize,
    /// Size of one cell at most (`hbase.client.keyvalue.maxsize`), 0 for any. A larger one is refused before anything is
    /// sent: the server would refuse it with all its neighbours (`hbase.server.keyvalue.maxsize`). 10 MiB as there.
    pub cell_bytes_max: usize,
    /// The pause of a region that reports full load (`hbase.client.exponential-backoff.max`); less load pauses it for
    /// less. 5 s: Java's five minutes are above any operation's time.
    pub pushback_max: Duration,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            credit_bytes: 64 << 20,
            linger: Duration::from_millis(5),
            calls_per_server_max: 16,
            cell_bytes_max: 10 << 20,
            pushback_max: Duration::from_secs(5),
        }
    }
}
