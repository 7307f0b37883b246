//! A place in the log as an operator writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Where offsets are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the topology's `start` says.
    Start,
    /// The first offset that retention has left.
    Earliest,
    /// The end now.
    Latest,
    /// The first record at or after this time, in milliseconds since 1970, less the topic's margin.
    Time(i64),
    /// This offset, of one partition.
    Offset(i64),
    /// An offset for each partition; others stay where they are.
    Offsets(BTreeMap<i32, i64>),
    /// Where another sink is.
    Sink(String),
    /// Where the membership group's metadata says that the sink was.
    Remembered,
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place; write earliest, latest, a time such as 2026-11-01T00:00:00Z, an offset, offsets such as \
     0=1200,1=1350, sink:NAME, start, or remembered"
)]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let wrong = || NoPlace(text.to_owned());
        match text {
            "start" => return Ok(Self::Start),
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            "remembered" => return Ok(Self::Remembered),
            _ => {}
        }
        if let Some(sink) = text.strip_prefix("sink:") {
            return if sink.is_empty() { Err(wrong()) } else { Ok(Self::Sink(sink.to_owned())) };
        }
        if let Ok(offset) = text.parse::<i64>() {
            return if offset >= 0 { Ok(Self::Offset(offset)) } else { Err(wrong()) };
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Time(time.as_millisecond()));
        }
        offsets(text).map(Self::Offsets).ok_or_else(wrong)
    }
}

/// `0=1200,1=1350`; a partition stands once.
fn offsets(text: &str) -> Option<BTreeMap<i32, i64>> {
    let mut offsets = BTreeMap::new();
    for pair in text.split(',') {
        let (partition, offset) = pair.split_once('=')?;
        let (partition, offset): (i32, i64) = (partition.trim().parse().ok()?, offset.trim().parse().ok()?);
        if partition < 0 || offset < 0 || offsets.insert(partition, offset).is_some() {
            return None;
        }
    }
    Some(offsets)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Time(ms) => match jiff::Timestamp::from_millisecond(*ms) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{ms} ms"),
            },
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Offsets(offsets) => {
                let pairs = offsets.iter().map(|(partition, offset)| format!("{partition}={offset}"));
                f.write_str(&pairs.collect::<Vec<_>>().join(","))
            }
            Self::Sink(sink) => write!(f, "sink:{sink}"),
            Self::Remembered => f.write_str("remembered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_alike() {
        let forms =
            ["start", "earliest", "latest", "remembered", "2026-11-01T00:00:00Z", "1200", "0=1200,7=0", "sink:blue"];
        for text in forms {
            assert_eq!(text.parse::<Place>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_forms_there_are() {
        for text in ["", "now", "-1", "sink:", "0=", "0=-1", "0=1,0=2", "2026-11-01", "1.5", "0=1,"] {
            let error = text.parse::<Place>().expect_err(text).to_string();
            assert!(error.contains("sink:NAME"), "{error}");
        }
    }
}
