//! Delegation tokens at a gate that knows RFC 2831 by itself, and everything that a gate can say instead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hbase::security::{Authentication, Protection, Security, SecurityError, SimpleFallback, Token, Tokens};
use hbase::server::Cluster;
use hbase::wire::digest_md5::{Integrity, SessionKey, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::{behind, client, gate, refused};

const NONCE: &str = "the nonce";
const IDENTIFIER: &[u8] = b"identifier";
pub(super) const PASSWORD: &[u8] = b"a secret password";
const CLUSTER: &str = "cluster";

pub(super) fn token() -> Token {
    Token::new(Bytes::from_static(IDENTIFIER), Bytes::from_static(PASSWORD), CLUSTER.to_owned())
}

fn with(tokens: Tokens) -> Security {
    Security { authentication: Authentication::Tokens(tokens), ..Security::default() }
}

/// How the gate behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Behaviour {
    Honest,
    /// Its last word proves nothing.
    Impostor,
    Refuses,
    /// It has its security switched off.
    SwitchesToSimple,
}

async fn take(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut token = vec![0; socket.read_u32().await? as usize];
    socket.read_exact(&mut token).await?;
    Ok(token)
}

async fn say(socket: &mut TcpStream, token: &[u8]) -> std::io::Result<()> {
    socket.write_all(&[&[0; 4][..], &(token.len() as u32).to_be_bytes(), token].concat()).await
}

async fn refuse(socket: &mut TcpStream, class: &str, message: &str) -> std::io::Result<()> {
    let mut reply = 1_u32.to_be_bytes().to_vec();
    for text in [class, message] {
        reply.extend((text.len() as u32).to_be_bytes());
        reply.extend(text.as_bytes());
    }
    socket.write_all(&reply).await
}

fn directive<'a>(text: &'a str, name: &str) -> &'a str {
    let value = text.split(',').find_map(|one| one.strip_prefix(name)?.strip_prefix('=')).expect("the directive");
    value.trim_matches('"')
}

/// The server's own computation: what the client must say, what proves the server, and the session's key.
fn expected(text: &str) -> (String, String, [u8; 16]) {
    let (user, password) = (BASE64.encode(IDENTIFIER), BASE64.encode(PASSWORD));
    let (cnonce, qop) = (directive(text, "cnonce"), directive(text, "qop"));
    let mut a1 = md5::compute(format!("{user}:default:{password}")).to_vec();
    a1.extend(format!(":{NONCE}:{cnonce}").bytes());
    let key = md5::compute(a1);
    let tail = if qop == "auth" { String::new() } else { format!(":{}", "0".repeat(32)) };
    let value = |method: &str| {
        let a2 = md5::compute(format!("{method}:null/default{tail}"));
        format!("{:x}", md5::compute(format!("{key:x}:{NONCE}:00000001:{cnonce}:{qop}:{a2:x}")))
    };
    (value("AUTHENTICATE"), value(""), key.0)
}

/// A gate before a cluster: DIGEST-MD5 outside, no authentication inside.
pub(super) async fn before(cluster: &Cluster, behaviour: Behaviour, offered: &'static str) -> String {
    let address = behind(cluster);
    gate(move |socket| keep(socket, address.clone(), (behaviour, offered))).await
}

async fn keep(mut socket: TcpStream, address: String, (behaviour, offered): (Behaviour, &str)) -> std::io::Result<()> {
    let mut preamble = [0; 6];
    socket.read_exact(&mut preamble).await?;
    assert_eq!(&preamble, b"HBas\0\x52");
    assert_eq!(take(&mut socket).await?, b"", "DIGEST-MD5 has no initial response");
    let mut inside = TcpStream::connect(address).await?;
    inside.write_all(b"HBas\0\x50").await?;
    if behaviour == Behaviour::SwitchesToSimple {
        socket.write_all(&[&[0; 4][..], &(-88_i32).to_be_bytes()].concat()).await?;
        copy_bidirectional(&mut socket, &mut inside).await?;
        return Ok(());
    }
    let challenge = format!("realm=\"default\",nonce=\"{NONCE}\",charset=utf-8,algorithm=md5-sess,qop=\"{offered}\"");
    say(&mut socket, challenge.as_bytes()).await?;
    let answer = String::from_utf8(take(&mut socket).await?).expect("text");
    assert_eq!(directive(&answer, "username"), BASE64.encode(IDENTIFIER));
    let (wanted, proof, key) = expected(&answer);
    if behaviour == Behaviour::Refuses || directive(&answer, "response") != wanted {
        let class = "org.apache.hadoop.security.token.SecretManager$InvalidToken";
        return refuse(&mut socket, class, "Token has expired").await;
    }
    match behaviour {
        Behaviour::Impostor => say(&mut socket, b"rspauth=00000000000000000000000000000000").await?,
        _ => say(&mut socket, format!("rspauth={proof}").as_bytes()).await?,
    }
    match directive(&answer, "qop") {
        "auth" => {
            copy_bidirectional(&mut socket, &mut inside).await?;
            Ok(())
        }
        _ => unwrap_and_wrap(socket, inside, key).await,
    }
}

/// Protected outside, plain inside.
async fn unwrap_and_wrap(outside: TcpStream, inside: TcpStream, key: [u8; 16]) -> std::io::Result<()> {
    let key = SessionKey::from(key);
    let (mut opened, mut sealed) = (Integrity::new(&key, Way::ToServer), Integrity::new(&key, Way::ToClient));
    let (mut outside_reading, mut outside_writing) = outside.into_split();
    let (mut inside_reading, mut inside_writing) = inside.into_split();
    let inward = async {
        loop {
            let mut frame = vec![0; outside_reading.read_u32().await? as usize];
            outside_reading.read_exact(&mut frame).await?;
            inside_writing.write_all(opened.open(&frame).expect("the client's own frame")).await?;
        }
    };
    let outward = async {
        let mut chunk = [0; 7];
        loop {
            let count = inside_reading.read(&mut chunk).await?;
            let frame = sealed.seal(&chunk[..count]);
            outside_writing.write_u32(frame.len() as u32).await?;
            outside_writing.write_all(&frame).await?;
        }
    };
    let (inward, outward): (std::io::Result<()>, std::io::Result<()>) = tokio::join!(inward, outward);
    inward.and(outward)
}

#[tokio::test]
async fn a_token_opens_the_gate_plain_and_signed() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let plain = client(&behind(&cluster), Security::default()).cluster_id().await.expect("an id");
    let address = before(&cluster, Behaviour::Honest, "auth,auth-int,auth-conf").await;
    for protection in [Protection::Authentication, Protection::Integrity] {
        let tokens = Tokens { protection, ..Tokens::new(token()) };
        assert_eq!(client(&address, with(tokens)).cluster_id().await.expect("an id"), plain, "{protection}");
    }
}

#[tokio::test]
async fn gates_that_do_not_keep_the_rules_are_left() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let cause = |behaviour, protection, offered| {
        let cluster = &cluster;
        async move {
            let address = before(cluster, behaviour, offered).await;
            refused(&client(&address, with(Tokens { protection, ..Tokens::new(token()) }))).await
        }
    };
    let error = cause(Behaviour::Impostor, Protection::Authentication, "auth").await;
    assert!(matches!(error, SecurityError::ServerNotProven { .. }), "{error:?}");
    let error = cause(Behaviour::Refuses, Protection::Authentication, "auth").await;
    let SecurityError::Refused { class, message, .. } = error else { panic!("{error:?}") };
    assert_eq!((class.rsplit('$').next(), message.as_str()), (Some("InvalidToken"), "Token has expired"));
    let error = cause(Behaviour::SwitchesToSimple, Protection::Authentication, "auth").await;
    assert!(matches!(error, SecurityError::SimpleOnly { .. }), "{error:?}");
    let error = cause(Behaviour::Honest, Protection::Integrity, "auth").await;
    let SecurityError::ProtectionNotOffered { wanted, offered, .. } = error else { panic!("{error:?}") };
    assert_eq!((wanted, offered.as_str()), (Protection::Integrity, "auth"));
    let error = cause(Behaviour::Honest, Protection::Privacy, "auth,auth-conf").await;
    assert!(matches!(error, SecurityError::ProtectionBroken { .. }), "{error:?}");
}

#[tokio::test]
async fn falling_back_to_no_authentication_must_be_allowed_by_name() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let address = before(&cluster, Behaviour::SwitchesToSimple, "auth").await;
    let security = Security { simple_fallback: SimpleFallback::Allow, ..with(Tokens::new(token())) };
    client(&address, security).cluster_id().await.expect("an id, without a proof");
}

#[tokio::test]
async fn a_server_key_that_is_not_there_yet_is_waited_for() {
    let address = gate(|mut socket| async move {
        let mut hello = [0; 10];
        socket.read_exact(&mut hello).await?;
        let class = "org.apache.hadoop.security.token.SecretManager$InvalidToken";
        refuse(&mut socket, class, "Unknown master key for token (id=7)").await
    })
    .await;
    let error = client(&address, with(Tokens::new(token()))).cluster_id().await.expect_err("refused");
    assert!(error.is_transient(), "{}", error.chain());
}

#[tokio::test]
async fn a_gate_that_talks_without_end_is_left() {
    let said = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&said);
    // DIGEST-MD5 takes only two tokens: the third thing it hears must prove the server.
    let address = gate(move |mut socket| {
        let said = Arc::clone(&counted);
        async move {
            let mut hello = [0; 10];
            socket.read_exact(&mut hello).await?;
            loop {
                said.fetch_add(1, Ordering::Relaxed);
                say(&mut socket, b"nonce=\"again\",qop=\"auth\"").await?;
                take(&mut socket).await?;
            }
        }
    })
    .await;
    let error = refused(&client(&address, with(Tokens::new(token())))).await;
    assert!(matches!(error, SecurityError::ServerNotProven { .. }), "{error:?}");
    assert_eq!(said.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_principal_that_the_configuration_does_not_know_is_not_believed() {
    use hbase::security::Kerberos;
    use hbase::wire::frame::{FATAL_CALL_ID, response};
    use hbase::wire::message::SecurityPreamableResponse;

    let address = gate(|mut socket| async move {
        let mut question = [0; 6];
        socket.read_exact(&mut question).await?;
        assert_eq!(&question, b"Securi");
        let answer = SecurityPreamableResponse { server_principal: "evil/localhost@R".to_owned() };
        socket.write_all(&response(FATAL_CALL_ID, &answer, &[])).await
    })
    .await;
    let servers = vec!["master/_HOST@R".to_owned(), "hbase/_HOST@R".to_owned()];
    let kerberos = Kerberos { servers, client: None, protection: Protection::Authentication };
    let security = Security { authentication: Authentication::Kerberos(kerberos), ..Security::default() };
    let error = refused(&client(&address, security)).await;
    let SecurityError::PrincipalForeign { principal, known, .. } = error else { panic!("{error:?}") };
    assert_eq!(
        (principal.as_str(), known.join(" ")),
        ("evil/localhost@R", "master/localhost@R hbase/localhost@R".to_owned())
    );
}

/// A gate that answers questions before the preamble and notes what it was asked.
async fn telling(asked: Arc<Mutex<Vec<[u8; 6]>>>, answer: Bytes) -> String {
    gate(move |mut socket| {
        let (asked, answer) = (Arc::clone(&asked), answer.clone());
        async move {
            let mut preamble = [0; 6];
            socket.read_exact(&mut preamble).await?;
            asked.lock().expect("no panic").push(preamble);
            match &preamble {
                b"Regist" => socket.write_all(&answer).await,
                _ => refuse(&mut socket, "SaslException", "enough").await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_cluster_is_asked_its_id_only_to_choose_among_tokens() {
    use hbase::wire::frame::{FATAL_CALL_ID, failure, response};
    use hbase::wire::message::{ExceptionResponse, GetConnectionRegistryResponse};

    let other = Token::new(Bytes::from_static(b"x"), Bytes::from_static(b"y"), "other".to_owned());
    let both = Tokens { tokens: vec![other.clone(), token()], protection: Protection::Authentication };
    let id = GetConnectionRegistryResponse { cluster_id: Some(CLUSTER.to_owned()) };
    let known = response(FATAL_CALL_ID, &id, &[]);
    let old = failure(
        FATAL_CALL_ID,
        ExceptionResponse {
            exception_class_name: Some("org.apache.hadoop.hbase.ipc.FatalConnectionException".to_owned()),
            stack_trace: Some("Expected HEADER=HBas but received HEADER=Regi from 10.0.0.1:5".to_owned()),
            ..ExceptionResponse::default()
        },
    );
    for (tokens, answer, expected) in [
        (both.clone(), &known, vec![*b"Regist", *b"HBas\0\x52"]),
        (Tokens::new(token()), &known, vec![*b"HBas\0\x52"]),
        (Tokens { tokens: vec![other.clone(), other], ..both.clone() }, &known, vec![*b"Regist"]),
        (both, &old, vec![*b"Regist"]),
    ] {
        let asked = Arc::default();
        let address = telling(Arc::clone(&asked), answer.clone()).await;
        let error = refused(&client(&address, with(tokens))).await;
        let right = match expected.as_slice() {
            [.., last] if last.starts_with(b"HBas") => matches!(error, SecurityError::Refused { .. }),
            _ if answer == &known => {
                matches!(&error, SecurityError::NoToken { cluster_id, .. } if cluster_id == CLUSTER)
            }
            _ => matches!(error, SecurityError::ClusterUnknown { .. }),
        };
        assert!(right, "{error:?}");
        assert_eq!(*asked.lock().expect("no panic"), expected);
    }
}
