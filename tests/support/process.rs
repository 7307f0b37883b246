//! The `halcyon` binary as a child process: killed when dropped, its output kept.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use halcyon::status::Status;

/// How long a process may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A running `halcyon`.
pub(crate) struct Process {
    child: Child,
    port: Option<u16>,
    /// What it prints is read all the time: a process that nobody listens to stops once its pipe is full.
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

fn listen(pipe: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    pipe.map(|mut pipe| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    })
}

fn heard(thread: &mut Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
}

impl Process {
    fn of(mut child: Child, port: Option<u16>) -> Self {
        let (stdout, stderr) = (listen(child.stdout.take()), listen(child.stderr.take()));
        Self { child, port, stdout, stderr }
    }

    /// Starts the binary.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::of(command(arguments).spawn().expect("the binary starts"), None)
    }

    /// Starts `run` with these further arguments, listening for status requests.
    pub(crate) fn run(topology: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut all = vec!["run", "--topology", topology, "--listen", &listen];
        all.extend(arguments);
        Self::of(command(&all).spawn().expect("the binary starts"), Some(port))
    }

    /// The same for a process that may have much to complain about: nobody reads its log, and a full pipe would stop it.
    pub(crate) fn run_unheard(topology: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut all = vec!["run", "--topology", topology, "--listen", &listen];
        all.extend(arguments);
        let child = command(&all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        Self::of(child, Some(port))
    }

    /// As [`Process::run`], with a variable in the environment.
    pub(crate) fn run_with(topology: &str, arguments: &[&str], (name, value): (&str, &str)) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut all = vec!["run", "--topology", topology, "--listen", &listen];
        all.extend(arguments);
        let child = command(&all).env(name, value).spawn().expect("the binary starts");
        Self::of(child, Some(port))
    }

    /// Where the process listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.expect("a process that listens"))
    }

    /// The answer to `POST path` with these further header lines, if the process listens already.
    pub(crate) fn post(&self, path: &str, headers: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port?)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The answer to `GET path`, if the process listens already.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port?)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The run's status, if it listens already.
    pub(crate) fn status(&self) -> Option<Status> {
        let answer = self.get("/status")?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Waits until the status is as wanted.
    pub(crate) fn wait_status(&mut self, what: &str, is_wanted: impl Fn(&Status) -> bool) -> Status {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status().filter(&is_wanted) {
                return status;
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "ended before {what}: {}", self.rest());
            assert!(began.elapsed() < PATIENCE, "not within {} s: {what}; {:?}", PATIENCE.as_secs(), self.status());
            std::thread::park_timeout(LOOK);
        }
    }

    /// Waits until the answer to `GET path` contains a text.
    pub(crate) fn wait_for(&self, path: &str, text: &str) -> String {
        let began = Instant::now();
        loop {
            let answer = self.get(path).unwrap_or_default();
            if answer.contains(text) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "not within {} s: {text} in {answer}", PATIENCE.as_secs());
            std::thread::park_timeout(LOOK);
        }
    }

    fn rest(&mut self) -> String {
        String::from_utf8_lossy(&heard(&mut self.stderr)).into_owned()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child to kill");
        self.child.wait().expect("a child");
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Output {
        let began = Instant::now();
        while self.child.try_wait().expect("a child").is_none() {
            if began.elapsed() >= PATIENCE {
                let status = self.port.and_then(|_| self.status());
                self.child.kill().expect("a child to kill");
                panic!("still running after {} s: {status:?}; {}", PATIENCE.as_secs(), self.rest());
            }
            std::thread::park_timeout(LOOK);
        }
        let status = self.child.wait().expect("a child");
        Output { status, stdout: heard(&mut self.stdout), stderr: heard(&mut self.stderr) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halcyon"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub(crate) fn halcyon(arguments: &[&str]) -> (i32, String, String) {
    let output = Process::start(arguments).end();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Runs the binary to its end, with a variable in the environment.
pub(crate) fn halcyon_with(arguments: &[&str], (name, value): (&str, &str)) -> (i32, String, String) {
    let child = command(arguments).env(name, value).spawn().expect("the binary starts");
    let output = Process::of(child, None).end();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Runs the binary to its end with this standard output; returns its exit code and standard error.
pub(crate) fn halcyon_into(arguments: &[&str], out: Stdio) -> (i32, String) {
    let child = command(arguments).stdout(out).spawn().expect("the binary starts");
    let output = Process::of(child, None).end();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A port that nothing listens on now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
