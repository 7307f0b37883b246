//! What the writer is doing, for people who want to know why rows are not written.

use std::fmt;
use std::time::Duration;

use super::state::State;

/// The writer of a client at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugState {
    /// Writes that are not done.
    pub writes: usize,
    /// Bytes of the pool that are given out.
    pub credits_used: usize,
    /// Bytes of the pool.
    pub credits: usize,
    /// By address.
    pub servers: Vec<ServerDebug>,
    /// Lanes that have something to do, by table and key.
    pub lanes: Vec<LaneDebug>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerDebug {
    /// `host:port`.
    pub address: String,
    /// Calls that may be in flight at once.
    pub window: usize,
    /// Calls in flight.
    pub in_flight: usize,
    /// Bytes that wait in its lanes.
    pub queued_bytes: usize,
    /// Bytes with credits of its lanes, those in flight included.
    pub credited_bytes: usize,
    /// How long no call begins.
    pub paused: Duration,
}

/// One lane: rows of one key range that go to one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneDebug {
    /// Its table.
    pub table: String,
    /// First key of its range, escaped.
    pub start: String,
    /// Its region, escaped; `None` while that is being looked up.
    pub region: Option<String>,
    /// The region's server.
    pub server: Option<String>,
    /// Rows that wait.
    pub queued_rows: usize,
    /// Bytes that wait.
    pub queued_bytes: usize,
    /// How long the oldest of them have waited since the last batch left.
    pub age: Duration,
    /// Whether a batch is in flight.
    pub is_in_flight: bool,
    /// How long it pauses.
    pub paused: Duration,
    /// Failures since the last success.
    pub tries: u32,
}

impl State {
    pub(super) fn debug(&self, now: Duration) -> DebugState {
        let mut servers: Vec<ServerDebug> = self
            .servers
            .iter()
            .map(|server| ServerDebug {
                address: server.address.clone(),
                window: server.window.size(),
                in_flight: server.in_flight,
                queued_bytes: server.queued,
                credited_bytes: server.credited,
                paused: server.not_before.saturating_sub(now),
            })
            .collect();
        servers.sort_by(|one, other| one.address.cmp(&other.address));
        let mut lanes = Vec::new();
        for table in &self.tables {
            for (start, lane) in &table.lanes {
                let home = lane.home.as_ref();
                lanes.push(LaneDebug {
                    table: table.name.to_string(),
                    start: start.escape_ascii().to_string(),
                    region: home.map(|home| home.region.name.escape_ascii().to_string()),
                    server: home.map(|home| home.region.server.clone()),
                    queued_rows: lane.rows,
                    queued_bytes: lane.bytes,
                    age: if lane.is_empty() { Duration::ZERO } else { now.saturating_sub(lane.since) },
                    is_in_flight: lane.is_in_flight,
                    paused: lane.not_before.saturating_sub(now),
                    tries: lane.tries,
                });
            }
        }
        DebugState {
            writes: self.tickets.len(),
            credits_used: self.credits.used(),
            credits: self.config.credit_bytes,
            servers,
            lanes,
        }
    }
}

impl fmt::Display for DebugState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} writes, {} of {} credit bytes used", self.writes, self.credits_used, self.credits)?;
        for server in &self.servers {
            writeln!(
                f,
                "server {}: {} of {} calls in flight, {} bytes wait, {} bytes credited, paused {} ms",
                server.address,
                server.in_flight,
                server.window,
                server.queued_bytes,
                server.credited_bytes,
                server.paused.as_millis()
            )?;
        }
        for lane in &self.lanes {
            writeln!(
                f,
                "lane {}/{} on {}: {} rows and {} bytes wait for {} ms{}, {} failures, paused {} ms",
                lane.table,
                lane.start,
                lane.server.as_deref().unwrap_or("no server that is known"),
                lane.queued_rows,
                lane.queued_bytes,
                lane.age.as_millis(),
                if lane.is_in_flight { ", a batch in flight" } else { "" },
                lane.tries,
                lane.paused.as_millis()
            )?;
        }
        Ok(())
    }
}
