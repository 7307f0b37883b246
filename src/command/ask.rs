//! Asks a running process over its listener.
//!
//! One request on one connection, HTTP/1.1 by hand: the answers are small, the peer is our own listener, and a client
//! library would be the largest dependency of a verb that sends one line. The token comes from the environment, never from
//! an argument that `ps` shows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};

/// How long a process may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No answer of ours is larger: the status of some ten thousand partitions.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    address: String,
    pub(super) code: u16,
    pub(super) body: String,
}

impl Answer {
    /// The body, if the process did what it was asked.
    pub(super) fn body_of_success(&self) -> anyhow::Result<&str> {
        let Self { address, code, body } = self;
        match code {
            200 => Ok(body),
            401 => bail!("{address} wants a token: set HALCYON_LISTEN_TOKEN to the one that it was started with"),
            _ => bail!("{address} answers {code}: {}", body.trim()),
        }
    }
}

/// Asks the process that listens at `url`.
pub(super) fn ask(url: &str, method: Method, path: &str, body: Option<&str>) -> anyhow::Result<Answer> {
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let asked = || format!("ask {address}; is `halcyon run --listen {address}` running?");
    let mut stream = TcpStream::connect(address).with_context(asked)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let token = std::env::var("HALCYON_LISTEN_TOKEN").ok().filter(|token| !token.is_empty());
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let verb = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let body = body.unwrap_or_default();
    let length = body.len();
    write!(
        stream,
        "{verb} {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .with_context(asked)?;
    let mut text = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut text).with_context(asked)?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(asked)?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).with_context(asked)?;
    Ok(Answer { address: address.to_owned(), code, body: body.to_owned() })
}
