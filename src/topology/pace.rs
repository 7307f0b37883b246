//! Reads the keys of `[cluster.*]` that say when a sink leaves the shared read.

use std::time::Duration;

use crate::topology::Pace;
use crate::topology::grammar;
use crate::topology::source::{Node, Section};

/// Less than a batch is no window.
const WINDOW_BYTES_MIN: i64 = 1 << 16;
/// More than any machine has is a slip of the keyboard.
const WINDOW_BYTES_MAX: i64 = 1 << 42;

pub(super) fn pace(section: &Section<'_>) -> Option<Pace> {
    let window_bytes = match section.get("window_bytes") {
        None => Some(None),
        Some(node) => node.integer(WINDOW_BYTES_MIN..=WINDOW_BYTES_MAX).map(|bytes| u64::try_from(bytes).ok()),
    };
    let time = |key| match section.get(key) {
        None => Some(None),
        Some(node) => duration(&node).map(Some),
    };
    let (patience, headroom) = (time("patience"), time("headroom"));
    let compacted = section.choice("compacted", grammar::COMPACTED);
    Some(Pace { window_bytes: window_bytes?, patience: patience?, compacted: compacted?, headroom: headroom? })
}

/// `90s`, `30m`, `12h`, `30d`.
fn duration(node: &Node<'_>) -> Option<Duration> {
    let text = node.string()?;
    let seconds = text.char_indices().last().and_then(|(at, letter)| {
        let count: u32 = text.get(..at)?.parse().ok().filter(|count| *count > 0)?;
        let unit: u32 = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        count.checked_mul(unit)
    });
    if seconds.is_none() {
        node.mistake_hint(format!("`{text}` is not a time"), "such as \"90s\", \"12h\" or \"30d\"");
    }
    seconds.map(|seconds| Duration::from_secs(u64::from(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::Compacted;
    use crate::topology::load::parse;

    fn with(keys: &str) -> String {
        include_str!("../../tests/scenario/topology.toml")
            .replace("BROKERS", "127.0.0.1:9092")
            .replace("[cluster.blue]\n", &format!("[cluster.blue]\n{keys}\n"))
    }

    #[test]
    fn the_pace_of_a_cluster_is_read() {
        let text = with("window_bytes = 1048576\npatience = \"5m\"\ncompacted = \"wait\"\nheadroom = \"12h\"");
        let topology = parse("topology.toml", &text, &|_| None).expect("legal").topology;
        let expected = Pace {
            window_bytes: Some(1 << 20),
            patience: Some(Duration::from_mins(5)),
            compacted: Compacted::Wait,
            headroom: Some(Duration::from_hours(12)),
        };
        assert_eq!(topology.clusters["blue"].pace, expected);
        let silent = parse("topology.toml", &with(""), &|_| None).expect("legal").topology;
        assert_eq!(silent.clusters["blue"].pace, Pace::default());
    }

    #[test]
    fn every_mistake_in_it_is_told_at_once() {
        let text = with("window_bytes = 10\npatience = \"0s\"\ncompacted = \"wat\"\nheadroom = 12");
        let mistakes = parse("topology.toml", &text, &|_| None).expect_err("four mistakes").to_string();
        for part in ["window_bytes", "`0s` is not a time", "`wat`", "headroom"] {
            assert!(mistakes.contains(part), "{part}: {mistakes}");
        }
    }
}
