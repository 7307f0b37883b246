//! `halcyon offsets show`.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::json;

use super::Desk;
use crate::cli::offsets::OffsetsShow;
use crate::command::{Outcome, print};
use crate::kafka::admin::Group;
use crate::progress::offset::Offset;
use crate::source::kafka::assign::{Seen, Surveyed};
use crate::source::kafka::sink_group;
use crate::status::aligned;
use crate::topology::{Start, Topic};

/// Prints every selected offset. Exits with 1 if a sink could not start.
///
/// # Errors
/// If Kafka does not answer.
pub(super) fn run(args: &OffsetsShow) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&args.selection)?;
    let surveyed = desk.survey().context("ask for offsets and logs")?;
    let group = desk.positions.membership.describe_group().context("ask for the membership group")?;
    let all_start = surveyed.iter().flat_map(|one| &one.sinks).all(|seen| seen.decision.is_ok());
    if args.selection.json {
        for one in &surveyed {
            for (sink, seen) in desk.sinks.iter().zip(&one.sinks) {
                print::line(line(&sink_group(&desk.topology, sink), sink, one, seen))?;
            }
        }
    } else {
        print::text(table(&desk, &surveyed, group.as_ref()))?;
    }
    Ok(if all_start { Outcome::Done } else { Outcome::Different })
}

fn line(group: &str, sink: &str, one: &Surveyed, seen: &Seen) -> serde_json::Value {
    let decision = seen.decision.as_ref();
    json!({
        "topic": &*one.partition.topic,
        "partition": one.partition.partition,
        "topic_id": one.topic.map(|id| id.to_string()),
        "sink": sink,
        "group": group,
        "committed": seen.committed.as_ref().map(|commit| commit.offset.0),
        "committed_topic_id": seen.committed.as_ref().and_then(|commit| commit.of_sink().topic).map(|id| id.to_string()),
        "low": one.log.low.0,
        "end": one.log.high.0,
        "lag": lag(one, seen),
        "starts_at": decision.ok().map(|decision| decision.start.durable.0),
        "why": decision.map_or_else(ToString::to_string, |decision| decision.why.name().to_owned()),
    })
}

/// Records that the sink has not yet, at most.
fn lag(one: &Surveyed, seen: &Seen) -> Option<i64> {
    let at = seen.decision.as_ref().ok()?.start.durable;
    Some((one.log.high.0 - at.0).max(0))
}

fn table(desk: &Desk, surveyed: &[Surveyed], group: Option<&Group>) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "group {}: {}", desk.topology.name, members(group));
    for topic in desk.topology.topics.values() {
        if let Some(margin) = margin(topic) {
            let _ = writeln!(text, "topic {}: {margin}", topic.name);
        }
    }
    let mut rows = vec![["TOPIC", "PARTITION", "SINK", "COMMITTED", "LOG", "LAG", "STARTS AT"].map(str::to_owned)];
    for one in surveyed {
        for (sink, seen) in desk.sinks.iter().zip(&one.sinks) {
            let starts = match &seen.decision {
                Ok(decision) => format!("{} ({})", decision.start.durable, decision.why.name()),
                Err(error) => format!("nowhere: {error}"),
            };
            rows.push([
                one.partition.topic.to_string(),
                one.partition.partition.to_string(),
                sink.to_string(),
                shown(seen.committed.as_ref().map(|commit| commit.offset)),
                format!("{}..{}", one.log.low, one.log.high),
                lag(one, seen).map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
                starts,
            ]);
        }
    }
    text.push('\n');
    text.push_str(&aligned(&rows));
    text
}

/// How a start by time is meant, where there is one.
pub(in crate::command) fn margin(topic: &Topic) -> Option<String> {
    let Some(Start::Time(ms)) = topic.start else { return None };
    let time = jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string());
    let margin = topic.start_margin.as_secs();
    Some(format!("start at {time} reads from {margin} s before it, as records do not come in the order of their times"))
}

/// Who is in a group, in words.
pub(super) fn members(group: Option<&Group>) -> String {
    let Some(group) = group else { return "the broker does not tell who is in it".to_owned() };
    let protocol = if group.is_consumer_protocol { ", consumer protocol" } else { "" };
    let state = if group.state.is_empty() { "none" } else { &group.state };
    let mut text = format!("{state}{protocol}, {} members", group.members.len());
    for member in &group.members {
        let _ = write!(text, "; {member}");
    }
    text
}

pub(super) fn shown(offset: Option<Offset>) -> String {
    offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string())
}
