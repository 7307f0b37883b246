//! A TCP proxy in this process that can cut what goes through it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Pause between two looks for a new connection.
const LOOK: Duration = Duration::from_millis(5);

/// A proxy; it closes everything when it is dropped.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens at `from` and connects to `to`.
    pub(crate) fn start(from: &str, to: &str) -> Self {
        let listener = TcpListener::bind(from).expect("the proxy's port is free");
        listener.set_nonblocking(true).expect("a socket");
        let to: SocketAddr = to.parse().expect("an address");
        let shared = Arc::new(Shared::default());
        let held = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !held.stopped.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((near, _)) => held.join(near, to),
                    Err(_) => std::thread::park_timeout(LOOK),
                }
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Cuts every connection, in the middle of whatever it carries. Returns how many there were.
    pub(crate) fn cut(&self) -> usize {
        let sockets = std::mem::take(&mut *self.shared.sockets.lock().expect("sockets"));
        for socket in &sockets {
            let _ = socket.shutdown(Shutdown::Both);
        }
        sockets.len() / 2
    }
}

impl Shared {
    fn join(&self, near: TcpStream, to: SocketAddr) {
        // While the broker is down its clients are refused here as they would be there.
        let Ok(far) = TcpStream::connect(to) else { return };
        let _ = near.set_nonblocking(false);
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let clone = |socket: &TcpStream| socket.try_clone().expect("a socket");
        self.sockets.lock().expect("sockets").extend([clone(&near), clone(&far)]);
        let (mut near_in, mut far_out) = (clone(&near), clone(&far));
        std::thread::spawn(move || copy(&mut near_in, &mut far_out));
        let (mut far_in, mut near_out) = (far, near);
        std::thread::spawn(move || copy(&mut far_in, &mut near_out));
    }
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.cut();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
