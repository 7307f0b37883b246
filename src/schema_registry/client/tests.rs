//! The client against a server of a few lines: TLS, references, answers that are none.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// The body for a path; `None` is 404.
type Answers = fn(&str) -> Option<String>;

/// Reads one request, answers it, closes.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, answers: Answers) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("a request");
    let path = head.split(' ').nth(1).expect("a path");
    let response = match answers(path) {
        Some(body) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    // A client that has read enough may be gone.
    socket.write_all(response.as_bytes()).await.ok();
    socket.shutdown().await.ok();
}

async fn serve(tls: Option<TlsAcceptor>, answers: Answers) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            match &tls {
                None => answer(socket, answers).await,
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        answer(socket, answers).await;
                    }
                }
            }
        }
    });
    port
}

fn client(url: String, ca: Option<PathBuf>) -> Client {
    let registry = SchemaRegistry { urls: vec![url], user: None, password: None, ca };
    Client::new(&registry).unwrap_or_else(|error| panic!("{error}"))
}

async fn plain(answers: Answers) -> Result<SchemaText, String> {
    let port = serve(None, answers).await;
    let url = format!("http://127.0.0.1:{port}");
    let asked = client(url.clone(), None).schema(SchemaId(7)).await;
    asked.map_err(|error| crate::error_chain::chain(&error).replace(&url, "URL"))
}

#[tokio::test]
async fn a_registry_behind_tls_is_asked_if_its_authority_is_trusted() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring can do every version of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("they fit");
    let answers: Answers = |path| (path == "/base/schemas/ids/7").then(|| "{\"schema\":\"\\\"int\\\"\"}".to_owned());
    let port = serve(Some(TlsAcceptor::from(Arc::new(config))), answers).await;
    let folder = tempfile::tempdir().expect("a folder");
    let asked = async |name: &str, pem: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).expect("written");
        client(format!("https://localhost:{port}/base"), Some(path)).schema(SchemaId(7)).await
    };
    let schema = asked("own.pem", own.cert.pem()).await.expect("trusted");
    assert_eq!(schema, SchemaText { kind: None, text: "\"int\"".to_owned(), references: Vec::new() });
    let refused = asked("other.pem", other.cert.pem()).await.expect_err("not trusted");
    assert!(matches!(&refused, FetchError::Connect { .. }), "{refused:?}");
}

#[test]
fn authorities_that_are_none_are_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "no certificate").expect("written");
    let registry = |ca| SchemaRegistry { urls: vec!["https://r".to_owned()], user: None, password: None, ca: Some(ca) };
    for ca in [path.clone(), path.with_extension("missing")] {
        assert!(matches!(Client::new(&registry(ca)), Err(ClientError::Authorities { .. })));
    }
    let unset = Setting::Env("HALCYON_TEST_UNSET".into());
    let registry = SchemaRegistry { user: Some(unset.clone()), password: Some(unset), ca: None, urls: Vec::new() };
    assert!(matches!(Client::new(&registry), Err(ClientError::Credentials(_))));
}

#[tokio::test]
async fn references_come_before_what_refers_to_them_and_each_once() {
    let found = plain(|path| {
        let reference = |name: &str| format!("{{\"name\":\"{name}\",\"subject\":\"s/{name}\",\"version\":1}}");
        Some(match path {
            "/schemas/ids/7" => format!("{{\"schema\":\"7\",\"references\":[{},{}]}}", reference("a"), reference("b")),
            "/subjects/s%2Fa/versions/1?deleted=true" => {
                format!("{{\"schema\":\"A\",\"references\":[{}]}}", reference("b"))
            }
            "/subjects/s%2Fb/versions/1?deleted=true" => "{\"schema\":\"B\",\"references\":null}".to_owned(),
            _ => return None,
        })
    });
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let references = vec![pair("b", "B"), pair("a", "A")];
    assert_eq!(found.await, Ok(SchemaText { kind: None, text: "7".to_owned(), references }));
}

#[tokio::test]
async fn answers_that_are_none_are_told() {
    assert_eq!(
        plain(|_| None).await,
        Err("URL has no schema 7: was it deleted, or do the records come from another registry?".to_owned())
    );
    let html = plain(|_| Some("<html>".to_owned())).await.expect_err("no JSON");
    assert!(html.starts_with("URL does not answer as a schema registry does"), "{html}");
    let long = plain(|_| Some("x".repeat(ANSWER_BYTES_MAX + 1))).await.expect_err("too long");
    assert!(long.starts_with("read the answer of URL"), "{long}");
    let endless = plain(|path| {
        let depth = path.len();
        Some(format!(
            "{{\"schema\":\"\",\"references\":[{{\"name\":\"n{depth}\",\"subject\":\"{path}x\",\"version\":1}}]}}"
        ))
    });
    assert_eq!(endless.await, Err(format!("schema 7 refers to more than {REFERENCES_MAX} others, or to itself")));
}
