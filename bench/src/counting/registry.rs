//! A schema registry that has one schema and gives it for every id, on a port of its own, until the process ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// The registry.
#[derive(Debug)]
pub(super) struct Registry {
    address: SocketAddr,
}

impl Registry {
    /// Answers on a free port of loopback.
    pub(super) fn start(schema: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let body = serde_json::json!({ "schema": schema }).to_string();
        std::thread::Builder::new().name("registry".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Err(error) = answer(stream, &body) {
                    println!("the schema registry could not answer: {error}");
                }
            }
        })?;
        Ok(Self { address })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One request to a connection.
fn answer(mut stream: TcpStream, body: &str) -> std::io::Result<()> {
    let mut request = BufReader::new(&stream);
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
