//! How far a sink is from what retention removes next. Pure.
//!
//! A sink that is paused, detached or stuck stands still while the log's start moves. Once the start passes it, records
//! are gone that the sink never had. The alarm has to come while somebody can still do something.

use std::time::Duration;

use crate::progress::offset::Offset;

/// Share of the log that must be left when nothing is known of times.
const SHARE_MIN: f64 = 0.1;
/// Share of the time that retention gives that must be left, unless the topology says how long.
const RETENTION_PARTS: u32 = 4;

/// What is known of one sink in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The first offset of the log.
    pub low: Offset,
    /// The first offset of the log when it was looked at first: a log whose start never moved is not being cut.
    pub low_before: Offset,
    /// The end of the log.
    pub high: Offset,
    /// Below it everything is durable in the sink.
    pub durable: Offset,
    /// Age of the last record that is durable, if there is one.
    pub age: Option<Duration>,
    /// `retention.ms` of the topic; `None` is unknown or for ever.
    pub retention: Option<Duration>,
}

/// What is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headroom {
    /// Records between the log's start and the sink.
    pub records: i64,
    /// Time until the next record of the sink is old enough to be removed.
    pub left: Option<Duration>,
    /// Whether somebody has to act.
    pub is_short: bool,
}

/// Decides it. `wanted` is the topology's `headroom`.
#[must_use]
pub fn headroom(facts: &Facts, wanted: Option<Duration>) -> Headroom {
    let records = facts.durable.0 - facts.low.0;
    if facts.durable >= facts.high {
        return Headroom { records, left: None, is_short: false };
    }
    let left = facts.retention.zip(facts.age).map(|(retention, age)| retention.saturating_sub(age));
    let too_old =
        left.zip(facts.retention).is_some_and(|(left, retention)| left < wanted.unwrap_or(retention / RETENTION_PARTS));
    let length = (facts.high.0 - facts.low.0).max(1);
    let is_cut = facts.low > facts.low_before;
    let too_close = is_cut && (records as f64) < length as f64 * SHARE_MIN;
    Headroom { records, left, is_short: too_old || too_close }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn facts() -> Facts {
        Facts {
            low: Offset(0),
            low_before: Offset(0),
            high: Offset(1000),
            durable: Offset(50),
            age: None,
            retention: None,
        }
    }

    #[test]
    fn a_log_that_is_never_cut_alarms_nobody() {
        assert_eq!(headroom(&facts(), None), Headroom { records: 50, left: None, is_short: false });
    }

    #[test]
    fn a_cut_that_comes_close_is_an_alarm_and_one_far_away_is_none() {
        let cut = Facts { low: Offset(10), ..facts() };
        assert!(headroom(&cut, None).is_short);
        assert!(!headroom(&Facts { durable: Offset(500), ..cut }, None).is_short);
    }

    #[test]
    fn time_is_what_counts_when_it_is_known() {
        let old = Facts { age: Some(19 * HOUR), retention: Some(24 * HOUR), ..facts() };
        assert_eq!(headroom(&old, None), Headroom { records: 50, left: Some(5 * HOUR), is_short: true });
        assert!(!headroom(&old, Some(4 * HOUR)).is_short);
        assert!(!headroom(&Facts { age: Some(HOUR), ..old }, None).is_short);
    }

    #[test]
    fn a_sink_at_the_end_has_nothing_to_lose() {
        let end = Facts { durable: Offset(1000), age: Some(48 * HOUR), retention: Some(24 * HOUR), ..facts() };
        assert!(!headroom(&end, None).is_short);
    }
}
