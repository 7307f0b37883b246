//! What is set on every TCP socket before it is used.
//!
//! A peer that vanished without a word (power, network, a frozen virtual machine) is noticed at three places: the
//! kernel gives up on bytes that are not acknowledged ([`UNACKNOWLEDGED_FOR`]), keepalive asks an idle peer, and the
//! connection counts the time in which a server owes an answer and says nothing
//! ([`liveness`](super::liveness)): only that one sees a process that is stopped while its kernel still acknowledges.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// An idle peer is asked after this long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Then this often.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// So many questions without an answer end the connection.
const KEEPALIVE_RETRIES: u32 = 3;
/// Sent bytes that the peer's kernel has not acknowledged for so long end the connection (`TCP_USER_TIMEOUT`). Without
/// it Linux retransmits for a quarter of an hour (asynchbase #195).
const UNACKNOWLEDGED_FOR: Duration = Duration::from_secs(30);

/// Sets no delay, keepalive and, where the system has it, the time that sent bytes may stay unacknowledged.
///
/// # Errors
/// What the system says.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Requests are gathered before they are written; waiting for more would only cost time.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
    let keepalive = keepalive.with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_FOR))?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_prepared_socket_gives_up_on_a_peer_that_is_gone() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        prepare(&stream).expect("options of Linux");
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().expect("an option"));
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_retries().expect("an option"), KEEPALIVE_RETRIES);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(UNACKNOWLEDGED_FOR));
    }
}
