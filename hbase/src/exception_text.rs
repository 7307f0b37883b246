//! What stands in the texts of Java exceptions: the words for the operator, where a region went, how long to wait.
//!
//! Inside a Multi an exception is its class and its text, so what HBase's own client reads from fields of the exception
//! stands only here. The texts are foreign: nothing in them may cause a panic or a wait without end.

use std::time::Duration;

/// Longest wait that a text is believed to ask for. Quotas are by day at most (`TimeUnit` in `ThrottleSettings`).
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Stack traces begin with the class again; the operator needs the words behind it, once.
pub(crate) fn first_line(text: &str, class: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix(class).map_or(line, |rest| rest.trim_start_matches(':')).trim().to_owned()
}

/// `Region moved to: hostname=H port=P startCode=S. As of locationSeqNum=N.` (`RegionMovedException`).
pub(crate) fn moved_to(text: &str) -> Option<(String, u16)> {
    let rest = text.split_once("Region moved to: hostname=")?.1;
    let (host, rest) = rest.split_once(' ')?;
    let port = rest.strip_prefix("port=")?.split(|c: char| !c.is_ascii_digit()).next()?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The wait in `number of requests exceeded - wait 1min, 2sec, 300ms` (`RpcThrottlingException`).
///
/// The spelling changed with the versions, and any part may be missing:
/// `1hr, 2mins, 3sec, 4ms` (2.4 and later), `1hrs, 2mins, 3sec` (Hadoop's `StringUtils.formatTime`: 2.x before, where
/// less than a second is `0sec`), `1hrs, 2mins, 3.25sec` (1.x). A wait of nothing is no wait that can be obeyed.
pub(crate) fn wait_of(text: &str) -> Option<Duration> {
    let parts = text.split_once(" - wait ")?.1;
    let mut wait = Duration::ZERO;
    for part in parts.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty()) {
        let Some(part) = part_of(part) else { break };
        wait = wait.saturating_add(part);
    }
    (!wait.is_zero()).then_some(wait.min(WAIT_MAX))
}

/// A number and its unit.
fn part_of(part: &str) -> Option<Duration> {
    let digits = part.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = part.split_at_checked(digits)?;
    let seconds = match unit.trim_end_matches(['.', ':']) {
        "hr" | "hrs" => 3600.0,
        "min" | "mins" => 60.0,
        "sec" => 1.0,
        "ms" => 0.001,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    // Rounded to milliseconds, as Java does: 3.25 has no exact number of nanoseconds.
    let millis = (number * seconds * 1000.0).round();
    Some(Duration::from_millis(millis.min(WAIT_MAX.as_millis() as f64) as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_wait_is_read() {
        let cases = [
            ("number of requests exceeded - wait 300ms", Some(300)),
            ("write size limit exceeded - wait 2sec, 300ms", Some(2_300)),
            ("read size limit exceeded - wait 1min, 2sec, 0ms", Some(62_000)),
            ("request size limit exceeded - wait 1hr, 1min, 1ms", Some(3_660_001)),
            ("number of requests exceeded - wait 2hrs, 2mins, 2sec, 2ms", Some(7_322_002)),
            // 2.x before, and 1.x
            ("number of read requests exceeded - wait 1mins, 2sec", Some(62_000)),
            ("number of write requests exceeded - wait 1.50sec", Some(1_500)),
            ("number of write requests exceeded - wait 1hrs, 2mins, 3.25sec", Some(3_723_250)),
            // a stack trace behind it
            ("number of requests exceeded - wait 1sec, 5ms\n\tat org.apache.Some(Some.java:1)", Some(1_005)),
            ("request size limit exceeded - wait 3sec.", Some(3_000)),
            // less than a second, as Hadoop's formatTime writes it: not to be obeyed by trying at once
            ("number of requests exceeded - wait 0sec", None),
            ("number of requests exceeded", None),
            ("number of requests exceeded - wait a while", None),
            ("wait 5sec", None),
        ];
        for (text, millis) in cases {
            assert_eq!(wait_of(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_wait_is_never_longer_than_any_quota() {
        let texts =
            ["18446744073709551615sec, 18446744073709551615ms", "99999999999hrs, 1mins", "1.7976931348623157e3hrs"];
        for text in texts {
            assert!(wait_of(&format!("x - wait {text}")).is_none_or(|wait| wait <= WAIT_MAX), "{text}");
        }
    }

    #[test]
    fn a_moved_region_names_host_and_port() {
        let cases = [
            (
                "Region moved to: hostname=rs2.example port=16020 startCode=1. As of locationSeqNum=12.",
                Some(("rs2.example", 16020)),
            ),
            ("a: Region moved to: hostname=fe80::1%eth0 port=1 startCode=2.\n\tat x", Some(("fe80::1%eth0", 1))),
            ("Region moved to: hostname=h port=65536 startCode=1.", None),
            ("Region moved to: hostname=h port=0 startCode=1.", None),
            ("Region moved to: hostname= port=1 startCode=1.", None),
            ("Region moved to: hostname=h", None),
            ("Region moved", None),
        ];
        for (text, expected) in cases {
            assert_eq!(moved_to(text), expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
        }
    }

    /// As `RpcThrottlingException.stringFromMillis` of 2.4 and later writes it.
    fn spelled(millis: u64) -> String {
        let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
        let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
        let mut text = String::new();
        for (number, one, many) in [(hours, "hr", "hrs"), (minutes, "min", "mins"), (seconds, "sec", "sec")] {
            if number != 0 {
                text += &format!("{number}{}, ", if number > 1 { many } else { one });
            }
        }
        text + &format!("{millis}ms")
    }

    proptest! {
        #[test]
        fn what_a_server_spells_is_what_is_waited(millis in 1_u64..86_400_000) {
            let text = format!("number of requests exceeded - wait {}", spelled(millis));
            prop_assert_eq!(wait_of(&text), Some(Duration::from_millis(millis)));
        }

        #[test]
        fn the_wait_of_an_old_server_is_read_to_the_hundredth(hundredths in 1_u64..8_640_000) {
            let (minutes, seconds) = (hundredths / 6000, hundredths % 6000);
            let text = format!("x exceeded - wait {}hrs, {}mins, {}.{:02}sec", minutes / 60, minutes % 60, seconds / 100, seconds % 100);
            prop_assert_eq!(wait_of(&text), Some(Duration::from_millis(hundredths * 10)));
        }

        #[test]
        fn a_place_is_read_as_it_was_written(host in "[a-z0-9.-]{1,40}", port in 1_u16.., code: u64, number: u64) {
            let text = format!("org.apache.hadoop.hbase.exceptions.RegionMovedException: Region moved to: hostname={host} \
                                port={port} startCode={code}. As of locationSeqNum={number}.\n\tat x");
            prop_assert_eq!(moved_to(&text), Some((host, port)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", wait in "( - wait )?[0-9]{0,25}\\.?[0-9]{0,3}(hr|hrs|min|mins|sec|ms)?(, )?[0-9]*(ms)?") {
            let text = format!("{text}{wait}");
            prop_assert!(wait_of(&text).is_none_or(|wait| !wait.is_zero() && wait <= WAIT_MAX));
            let _ = (moved_to(&text), first_line(&text, "class"));
        }
    }
}
