//! What a child process has used, from the kernel, when it ends.

use std::fs;
use std::io;
use std::process::Child;
use std::time::Duration;

/// Clock ticks of `/proc/PID/stat` a second; fixed by Linux for user space.
const TICKS_PER_SECOND: f64 = 100.0;
/// Time between two looks at a running child; its last state is read after it ended, before it is reaped.
const LOOK: Duration = Duration::from_millis(50);

/// CPU and memory of a whole process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_s: f64,
    /// Peak resident set.
    pub(crate) rss_kib: u64,
    /// Whether it exited with 0.
    pub(crate) is_success: bool,
}

/// Waits for a child and tells what it used. CPU time is exact to a tick (10 ms): a process that has ended keeps it in
/// `/proc` until it is reaped. The peak of memory is that of the last look before the end.
pub(crate) fn of_child(mut child: Child) -> io::Result<Usage> {
    let pid = child.id();
    let mut rss_kib = 0;
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
            rss_kib = rss_kib.max(kib.unwrap_or(0));
        }
        if fields.first() == Some(&"Z") {
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            let cpu_s = (ticks(11) + ticks(12)) as f64 / TICKS_PER_SECOND;
            return Ok(Usage { cpu_s, rss_kib, is_success: child.wait()?.success() });
        }
        std::thread::park_timeout(LOOK);
    }
}
