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

/// User and system time in a line of `/proc/PID/stat`.
fn cpu_of(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

/// CPU seconds that a running process has used; 0 if there is no such process.
pub(crate) fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    cpu_of(&stat).unwrap_or(0.0)
}

/// CPU seconds that the whole machine has spent on anything but waiting.
pub(crate) fn machine_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user nice system idle iowait irq softirq
    let busy = fields.take(7).enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
    busy.filter_map(|(_, field)| field.parse::<u64>().ok()).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// A field of `/proc/PID/status` in KiB: `VmHWM` is the peak of the resident set, `VmRSS` its present size.
pub(crate) fn memory_kib(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Waits for a child and tells what it used. CPU time is exact to a tick (10 ms): a process that has ended keeps it in
/// `/proc` until it is reaped. The peak of memory is that of the last look before the end; the `ru_maxrss` of `wait4` would
/// not do, it begins with what the parent had at the fork.
pub(crate) fn of_child(mut child: Child) -> io::Result<Usage> {
    let pid = child.id();
    let mut rss_kib = 0;
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        rss_kib = rss_kib.max(memory_kib(pid, "VmHWM").unwrap_or(0));
        if stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')) {
            let cpu_s = cpu_of(&stat).unwrap_or(0.0);
            return Ok(Usage { cpu_s, rss_kib, is_success: child.wait()?.success() });
        }
        std::thread::park_timeout(LOOK);
    }
}
