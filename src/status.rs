//! What a run looks like from outside: for `/status`, for `halcyon status`, for people.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A run, or what Kafka alone knows of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the topology: the membership group.
    pub name: String,
    /// What the process does; `unknown` when no process was asked.
    pub state: String,
    /// Since the start, in seconds.
    pub uptime_seconds: Option<f64>,
    /// Records read a second, over the last interval.
    pub events_per_second: Option<f64>,
    /// Records read since the start.
    pub events: Option<u64>,
    /// Bad events since the start.
    pub dead_letters: Option<u64>,
    /// The memory budget.
    pub memory_budget_bytes: Option<u64>,
    /// Data in flight.
    pub memory_used_bytes: Option<u64>,
    /// Partitions that are not read on because a schema is not there, one sentence each.
    #[serde(default)]
    pub waits: Vec<String>,
    /// Sinks.
    pub sinks: Vec<SinkStatus>,
    /// Partitions.
    pub partitions: Vec<PartitionStatus>,
}

/// A sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Cluster name.
    pub name: String,
    /// `starting`, `healthy`, `degraded`, `failed`, `detached`, `catching_up`, `paused`, `draining`, `drained`, or
    /// `unknown`.
    pub state: String,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// For how long it has been in this state.
    pub since_seconds: Option<f64>,
    /// Bytes of the memory budget that it has not finished.
    pub window_bytes: Option<u64>,
    /// What it may hold of it while others could go on.
    pub window_bytes_max: Option<u64>,
    /// Whether the shared budget is used up and this sink holds the most of it.
    pub holds_budget: Option<bool>,
    /// How fast it may write, if it is limited.
    pub limit: Option<LimitStatus>,
    /// Bytes that its private reader has read, if it has one.
    pub private_read_bytes: Option<u64>,
    /// Bytes of the memory budget that its private reader holds, if it has one.
    pub private_memory_bytes: Option<u64>,
    /// When it will have caught up, at the rate of the last interval, if it is catching up.
    pub eta_seconds: Option<f64>,
    /// Mutations durable a second, over the last interval.
    pub rows_per_second: Option<f64>,
    /// Mutations durable since the start.
    pub rows: Option<u64>,
}

/// A limit on a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// `rows` or `bytes`.
    pub unit: String,
    /// So many a second.
    pub per_second: u64,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Kafka's topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// End of the log.
    pub end_offset: Option<i64>,
    /// What keeps its records from being read, such as a transaction that nobody ends; only the process knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Sinks.
    pub sinks: Vec<LagStatus>,
}

/// Where one sink stands in one partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LagStatus {
    /// Cluster name.
    pub sink: String,
    /// What its group has committed.
    pub committed: Option<i64>,
    /// Everything below is durable; only the process knows.
    pub durable: Option<i64>,
    /// Records up to the end of the log.
    pub lag_offsets: Option<i64>,
    /// Age of the next record to become durable, or of the last one that did while there are newer ones; 0 at the end.
    pub lag_seconds: Option<f64>,
    /// Whether the shared read feeds the sink here.
    pub shared: Option<bool>,
    /// Records between the log's start and the durable end.
    pub headroom_offsets: Option<i64>,
    /// Time until the next record is old enough for retention, if the topic has one.
    pub headroom_seconds: Option<f64>,
    /// Whether retention comes close.
    pub headroom_short: Option<bool>,
}

/// Gives the status of a run.
pub trait StatusSource: Send + Sync {
    /// The status now.
    fn status(&self) -> Status;
    /// Whether the run has its partitions and every sink works.
    ///
    /// # Errors
    /// What is missing.
    fn ready(&self) -> Result<(), String>;
    /// Whether the run goes on by itself.
    ///
    /// # Errors
    /// Why it does not.
    fn healthy(&self) -> Result<(), String>;
}

impl Status {
    /// Lag of one sink over all partitions: offsets, and the largest number of seconds.
    #[must_use]
    pub fn lag_of(&self, sink: &str) -> (Option<i64>, Option<f64>) {
        let lags = || self.partitions.iter().flat_map(|held| &held.sinks).filter(|lag| lag.sink == sink);
        let offsets = lags().map(|lag| lag.lag_offsets).sum::<Option<i64>>();
        let seconds = lags().map(|lag| lag.lag_seconds).collect::<Option<Vec<f64>>>();
        (offsets, seconds.map(|seconds| seconds.into_iter().fold(0.0, f64::max)))
    }

    /// One line: rate, every sink with its state and lag, then the slowest one with why, and when it will be there.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("{}: {}", self.name, self.state);
        if let Some(rate) = self.events_per_second {
            let _ = write!(line, ", {rate:.0} events/s");
        }
        for sink in &self.sinks {
            let (offsets, seconds) = self.lag_of(&sink.name);
            let _ = write!(line, " | {} {}, lag {}", sink.name, sink.state, number(offsets));
            if let Some(seconds) = seconds {
                let _ = write!(line, " ({seconds:.1} s)");
            }
        }
        if let Some(slowest) = self.slowest() {
            let _ = write!(line, " | slowest {}", slowest.name);
            if let Some(eta) = slowest.eta_seconds {
                let _ = write!(line, ", there in {}", time(eta));
            }
            if slowest.holds_budget == Some(true) {
                line.push_str(", holds the budget");
            }
            if let Some(limit) = &slowest.limit {
                let _ = write!(line, ", limited to {} {}/s", limit.per_second, limit.unit);
            }
            if let Some(reason) = &slowest.reason {
                let _ = write!(line, ": {reason}");
            }
        }
        for (partition, trouble) in self.troubles() {
            let _ = write!(line, " | {partition}: {trouble}");
        }
        if let Some(wait) = self.waits.first() {
            let _ = write!(line, " | {wait}");
        }
        line
    }

    /// The sink that is furthest behind, if one is, or the first that is not well.
    #[must_use]
    pub fn slowest(&self) -> Option<&SinkStatus> {
        let lag = |sink: &&SinkStatus| self.lag_of(&sink.name).0.unwrap_or(0);
        let furthest = self.sinks.iter().max_by_key(lag).filter(|sink| lag(sink) > 0);
        furthest.or_else(|| self.sinks.iter().find(|sink| sink.reason.is_some()))
    }

    /// A table of sinks and a table of partitions.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{}  {}", self.name, self.state);
        if let (Some(rate), Some(events)) = (self.events_per_second, self.events) {
            let _ = write!(text, "  {events} events, {rate:.0}/s");
        }
        if let (Some(used), Some(budget)) = (self.memory_used_bytes, self.memory_budget_bytes) {
            let _ = write!(text, "  memory {} of {} MiB", used >> 20, budget >> 20);
        }
        if let Some(letters) = self.dead_letters {
            let _ = write!(text, "  dead letters {letters}");
        }
        text.push_str("\n\n");
        let mut rows = vec![
            ["SINK", "STATE", "SINCE", "LAG", "LAG S", "ROWS/S", "WINDOW MIB", "LIMIT", "REASON"].map(str::to_owned),
        ];
        for sink in &self.sinks {
            let (offsets, seconds) = self.lag_of(&sink.name);
            rows.push([
                sink.name.clone(),
                sink.state.clone(),
                sink.since_seconds.map_or_else(dash, time),
                number(offsets),
                seconds.map_or_else(dash, |seconds| format!("{seconds:.1}")),
                sink.rows_per_second.map_or_else(dash, |rate| format!("{rate:.0}")),
                window(sink),
                sink.limit.as_ref().map_or_else(dash, |limit| format!("{} {}/s", limit.per_second, limit.unit)),
                sink.reason.clone().unwrap_or_default(),
            ]);
        }
        text.push_str(&aligned(&rows));
        let mut rows = vec![["PARTITION", "SINK", "COMMITTED", "DURABLE", "END", "LAG", "LAG S"].map(str::to_owned)];
        for held in &self.partitions {
            for lag in &held.sinks {
                rows.push([
                    format!("{}[{}]", held.topic, held.partition),
                    lag.sink.clone(),
                    number(lag.committed),
                    number(lag.durable),
                    number(held.end_offset),
                    number(lag.lag_offsets),
                    lag.lag_seconds.map_or_else(dash, |seconds| format!("{seconds:.1}")),
                ]);
            }
        }
        text.push('\n');
        text.push_str(&aligned(&rows));
        for (partition, trouble) in self.troubles() {
            let _ = writeln!(text, "{partition}: {trouble}");
        }
        for wait in &self.waits {
            let _ = write!(text, "\n{wait}");
        }
        if !self.waits.is_empty() {
            text.push('\n');
        }
        text
    }

    fn troubles(&self) -> impl Iterator<Item = (String, &str)> {
        let troubled = self.partitions.iter().filter_map(|held| Some((held, held.trouble.as_deref()?)));
        troubled.map(|(held, trouble)| (format!("{}[{}]", held.topic, held.partition), trouble))
    }
}

/// What a sink holds; marked if it is what holds the others up.
fn window(sink: &SinkStatus) -> String {
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let mut text = sink.window_bytes.map_or_else(dash, mebibytes);
    if sink.holds_budget == Some(true) {
        text.push_str(" (holds the budget)");
    }
    text
}

/// A time for people: two units at most.
fn time(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3_600 => format!("{}m {}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h {}m", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn number(value: Option<i64>) -> String {
    value.map_or_else(dash, |value| value.to_string())
}

/// Cells under each other.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let lag = |sink: &str, offsets, seconds| LagStatus {
            sink: sink.to_owned(),
            committed: Some(90),
            durable: Some(100 - offsets),
            lag_offsets: Some(offsets),
            lag_seconds: Some(seconds),
            ..LagStatus::default()
        };
        let partition = |number| PartitionStatus {
            topic: "chat.messages".to_owned(),
            partition: number,
            end_offset: Some(100),
            trouble: None,
            sinks: vec![lag("blue", 0, 0.0), lag("green", 10, 2.5)],
        };
        let sink = |name: &str, state: &str, reason: Option<&str>| SinkStatus {
            name: name.to_owned(),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            rows_per_second: Some(10.0),
            window_bytes: Some(1 << 20),
            rows: Some(7),
            since_seconds: Some(if state == "healthy" { 7.4 } else { 3_725.0 }),
            eta_seconds: reason.map(|_| 95.0),
            holds_budget: reason.map(|_| true),
            limit: reason.map(|_| LimitStatus { unit: "rows".to_owned(), per_second: 100 }),
            ..SinkStatus::default()
        };
        Status {
            name: "chat".to_owned(),
            state: "running".to_owned(),
            events_per_second: Some(20.0),
            events: Some(200),
            sinks: vec![sink("blue", "healthy", None), sink("green", "degraded", Some("no route"))],
            partitions: vec![partition(0), partition(1)],
            ..Status::default()
        }
    }

    #[test]
    fn the_line_names_the_slow_sink_and_why() {
        let line = "chat: running, 20 events/s | blue healthy, lag 0 (0.0 s) | green degraded, lag 20 (2.5 s) | slowest green, \
             there in 1m 35s, holds the budget, limited to 100 rows/s: no route";
        assert_eq!(status().line(), line);
    }

    #[test]
    fn the_table_is_aligned() {
        let expected = "\
chat  running  200 events, 20/s

SINK   STATE     SINCE  LAG  LAG S  ROWS/S  WINDOW MIB              LIMIT       REASON
blue   healthy   7s     0    0.0    10      1.0                     -
green  degraded  1h 2m  20   2.5    10      1.0 (holds the budget)  100 rows/s  no route

PARTITION         SINK   COMMITTED  DURABLE  END  LAG  LAG S
chat.messages[0]  blue   90         100      100  0    0.0
chat.messages[0]  green  90         90       100  10   2.5
chat.messages[1]  blue   90         100      100  0    0.0
chat.messages[1]  green  90         90       100  10   2.5
";
        assert_eq!(status().table(), expected);
    }

    #[test]
    fn lag_is_unknown_while_one_partition_is() {
        let mut status = status();
        status.partitions[0].sinks[0].lag_offsets = None;
        assert_eq!(status.lag_of("blue").0, None);
        assert_eq!(status.lag_of("green").0, Some(20));
    }
}
