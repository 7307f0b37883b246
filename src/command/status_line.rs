//! The one line that tells how a run goes: in place on a terminal, in the log elsewhere.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::monitor::Monitor;
use crate::status::StatusSource;
use crate::telemetry::{self, LogFormat};

/// Time between two lines on a terminal.
const IN_PLACE: Duration = Duration::from_secs(1);
/// Time between two lines in the log.
const IN_LOG: Duration = Duration::from_secs(30);

/// Shows the line until it is dropped.
#[derive(Debug)]
pub(super) struct StatusLine {
    task: JoinHandle<()>,
    in_place: bool,
}

impl StatusLine {
    /// Begins to show it.
    pub(super) fn start(monitor: Arc<Monitor>, format: LogFormat, runtime: &Handle) -> Self {
        let in_place = telemetry::is_on_terminal(format);
        let task = runtime.spawn(async move {
            let mut ticks = tokio::time::interval(if in_place { IN_PLACE } else { IN_LOG });
            // The first tick comes at once, and there is nothing to tell yet.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let line = monitor.status().line();
                if in_place {
                    telemetry::show_line(&line);
                } else {
                    tracing::info!("{line}");
                }
            }
        });
        Self { task, in_place }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.task.abort();
        if self.in_place {
            telemetry::clear_line();
        }
    }
}
