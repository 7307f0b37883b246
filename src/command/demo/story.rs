//! How the demo tells what happens: plain lines, and progress bars on a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::command::print;
use crate::engine::Engine;
use crate::status::StatusSource;

/// Time between two movements of a bar.
const TICK: Duration = Duration::from_millis(100);

/// The story so far.
pub(super) struct Story {
    began: Instant,
}

impl Story {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Tells one line.
    pub(super) fn say(&self, line: &str) {
        // The story is told for a reader; the verdict does not depend on one.
        let _ = print::line(format_args!("{:5.1} s  {line}", self.seconds()));
    }

    /// A bar; nothing is drawn where there is no terminal.
    pub(super) fn bar(&self, label: &str, total: u64) -> ProgressBar {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = "         {msg} {wide_bar} {pos}/{len} {per_sec}, {eta} left";
        // The template is a constant; if it could not be read, the default look would do.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(label.to_owned());
        bar
    }

    /// Shows how far an engine is while something is waited for.
    pub(super) async fn watch<T>(&self, engine: &Engine, label: &str, until: impl Future<Output = T>) -> T {
        let bar = self.bar(label, 0);
        let monitor = engine.monitor();
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                done = &mut until => {
                    bar.finish_and_clear();
                    return done;
                }
                () = tokio::time::sleep(TICK) => {
                    let status = monitor.status();
                    let lags = || status.partitions.iter().flat_map(|held| held.sinks.iter().map(move |lag| (held, lag)));
                    bar.set_length(lags().filter_map(|(held, _)| held.end_offset).sum::<i64>().unsigned_abs());
                    bar.set_position(lags().filter_map(|(_, lag)| lag.durable).sum::<i64>().unsigned_abs());
                }
            }
        }
    }
}
