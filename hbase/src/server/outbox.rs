//! The answers of one connection on their way out, and how the connection ends.

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};

/// Answers that may wait for the socket.
const ANSWERS: usize = 64;

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Open,
    /// Nothing is read or written any more, and nothing closes.
    HalfOpen,
    Closed,
}

#[derive(Debug)]
enum Outgoing {
    Bytes(Bytes),
    Close,
}

/// Where answers go. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    mode: watch::Sender<Mode>,
}

impl Outbox {
    /// An outbox, and the work of emptying it into a socket.
    pub(super) fn new(socket: OwnedWriteHalf) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, answers) = mpsc::channel(ANSWERS);
        let (mode, modes) = watch::channel(Mode::Open);
        (Self { queue, mode: mode.clone() }, write(socket, answers, (mode, modes)))
    }

    /// Sends bytes behind what was sent before. A peer that is gone needs no answer.
    pub(super) async fn send(&self, bytes: Bytes) {
        let _ = self.queue.send(Outgoing::Bytes(bytes)).await;
    }

    /// Closes the connection behind what was sent before.
    pub(super) async fn close(&self) {
        if self.queue.send(Outgoing::Close).await.is_err() {
            self.mode.send_replace(Mode::Closed);
        }
    }

    /// Leaves the connection open and dead.
    pub(super) fn freeze(&self) {
        self.mode.send_replace(Mode::HalfOpen);
    }

    /// Waits until the connection is no longer open. Returns how it is then.
    pub(super) fn ended(&self) -> impl Future<Output = Mode> + Send + use<> {
        let modes = self.mode.subscribe();
        async move { until(modes, |mode| mode != Mode::Open).await.unwrap_or(Mode::Closed) }
    }
}

/// Waits for a mode; `None` if there will be no more.
async fn until(mut modes: watch::Receiver<Mode>, is_it: impl Fn(Mode) -> bool) -> Option<Mode> {
    modes.wait_for(|mode| is_it(*mode)).await.ok().map(|mode| *mode)
}

async fn write(
    mut socket: OwnedWriteHalf,
    mut answers: mpsc::Receiver<Outgoing>,
    (mode, modes): (watch::Sender<Mode>, watch::Receiver<Mode>),
) {
    let emptied = async {
        while let Some(Outgoing::Bytes(bytes)) = answers.recv().await {
            if socket.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = emptied => {
            mode.send_replace(Mode::Closed);
        }
        Some(_) = until(modes, |mode| mode == Mode::HalfOpen) => {
            // The socket stays open until the node stops.
            std::future::pending::<()>().await;
        }
    }
}
