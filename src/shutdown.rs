//! SIGTERM and SIGINT: the first asks the run to drain and leave, a second SIGINT ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells everything that waits for it that the run shall end.
#[derive(Clone, Debug)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

impl Shutdown {
    /// Listens for signals, in a task of the current runtime.
    ///
    /// # Errors
    /// If the operating system refuses the handlers.
    pub fn on_signals() -> std::io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (sender, asked) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("asked to stop: draining; interrupt again to stop at once");
            sender.send_replace(true);
            interrupt.recv().await;
            tracing::warn!("stopped at once: what was not committed is read again at the next start");
            std::process::abort();
        });
        Ok(Self { asked })
    }

    /// Waits until the run shall end. Cancel safe.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        // The sender lives in the listening task for as long as the process.
        let _ = asked.wait_for(|asked| *asked).await;
    }
}
