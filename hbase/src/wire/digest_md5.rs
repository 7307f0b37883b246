//! DIGEST-MD5 (RFC 2831) as HBase uses it for delegation tokens: `md5-sess`, one round, protection `auth` or `auth-int`.
//!
//! MD5 is broken for signatures, but not for this: the password is 20 random bytes that never travel. `auth-conf` is left
//! out whole; its ciphers (RC4, 3DES) protect nothing today.

use std::fmt;

use super::WireError;
use crate::security::Protection;

/// `Sasl.createSaslClient` is given no protocol and the server name `default` (`SaslUtil.SASL_DEFAULT_REALM`).
pub const DIGEST_URI: &str = "null/default";
/// What a peer takes at once unless it says otherwise (`maxbuf`).
const SEALED_BYTES_DEFAULT: usize = 65_536;
/// The first and only use of a nonce.
const NONCE_COUNT: &str = "00000001";
/// What stands for the body's hash in A2 of protected sessions.
const NO_BODY: &str = "00000000000000000000000000000000";

/// The session key behind the authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey([u8; 16]);

impl From<[u8; 16]> for SessionKey {
    /// For the other side of a session.
    fn from(key: [u8; 16]) -> Self {
        Self(key)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// What a server opens with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose users it knows; the first one, empty if it names none.
    pub realm: String,
    /// Its random text.
    pub nonce: String,
    /// Protections offered; `auth` if it does not say.
    pub qop: Vec<String>,
    /// Longest protected frame that it takes.
    pub sealed_bytes_max: usize,
}

impl Challenge {
    /// Reads `key=value, key="quoted value", …`.
    ///
    /// # Errors
    /// [`WireError`] if it is none, has no nonce, or wants another algorithm.
    pub fn decode(token: &[u8]) -> Result<Self, WireError> {
        let directives = directives(token)?;
        let find =
            |name: &str| directives.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let nonce = find("nonce").ok_or_else(|| broken("it has no nonce"))?.clone();
        if find("algorithm").is_some_and(|algorithm| algorithm != "md5-sess") {
            return Err(broken("its algorithm is not md5-sess"));
        }
        let sealed_bytes_max = match find("maxbuf") {
            None => SEALED_BYTES_DEFAULT,
            Some(text) => text.parse().map_err(|_| broken("its maxbuf is no number"))?,
        };
        let qop = find("qop").map_or("auth", String::as_str);
        Ok(Self {
            realm: find("realm").cloned().unwrap_or_default(),
            nonce,
            qop: qop.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect(),
            sealed_bytes_max,
        })
    }

    /// Whether a protection is offered.
    #[must_use]
    pub fn has(&self, protection: Protection) -> bool {
        self.qop.iter().any(|one| one.eq_ignore_ascii_case(protection.qop()))
    }
}

/// Who the client is.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Base64 of the token's identifier.
    pub user: &'a str,
    /// Base64 of the token's password.
    pub password: &'a str,
    /// The client's random text, new for every session.
    pub cnonce: &'a str,
    /// `service/host` of the server; HBase's is [`DIGEST_URI`].
    pub digest_uri: &'a str,
    /// What protects the bytes after the authentication.
    pub protection: Protection,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("digest_uri", &self.digest_uri).finish_non_exhaustive()
    }
}

/// The answer to a challenge, and what the server must say to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The token for the server.
    pub token: String,
    /// Only who knows the password can say it.
    rspauth: String,
    /// For [`Integrity`].
    pub key: SessionKey,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(..)")
    }
}

impl Response {
    /// Answers a challenge.
    #[must_use]
    pub fn new(challenge: &Challenge, login: &Login<'_>) -> Self {
        let Login { user, password, cnonce, digest_uri, protection } = *login;
        let Challenge { realm, nonce, .. } = challenge;
        let secret = md5::compute(format!("{user}:{realm}:{password}"));
        let key = md5::compute([secret.as_slice(), format!(":{nonce}:{cnonce}").as_bytes()].concat());
        let qop = protection.qop();
        let body = match protection {
            Protection::Authentication => String::new(),
            Protection::Integrity | Protection::Privacy => format!(":{NO_BODY}"),
        };
        // A2 of the client begins with the method, that of the server with nothing.
        let proof = |method: &str| {
            let a2 = md5::compute(format!("{method}:{digest_uri}{body}"));
            format!("{:x}", md5::compute(format!("{key:x}:{nonce}:{NONCE_COUNT}:{cnonce}:{qop}:{a2:x}")))
        };
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut token = format!("charset=utf-8,username=\"{}\",", quoted(user));
        if !realm.is_empty() {
            token.push_str(&format!("realm=\"{}\",", quoted(realm)));
        }
        token.push_str(&format!(
            "nonce=\"{}\",nc={NONCE_COUNT},cnonce=\"{}\",digest-uri=\"{}\",response={},qop={qop}",
            quoted(nonce),
            quoted(cnonce),
            quoted(digest_uri),
            proof("AUTHENTICATE"),
        ));
        Self { token, rspauth: proof(""), key: SessionKey(key.0) }
    }

    /// Whether the server's last token proves that it knows the password.
    #[must_use]
    pub fn is_proven_by(&self, token: &[u8]) -> bool {
        directives(token).is_ok_and(|all| all.iter().any(|(key, value)| key == "rspauth" && *value == self.rspauth))
    }
}

/// Which way protected frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// One direction of an `auth-int` session: frames are `[message][10 bytes of HMAC-MD5][u16 1][u32 sequence number]`.
#[derive(Debug)]
pub struct Integrity {
    key: SessionKey,
    next: u32,
}

/// Bytes of a frame behind its message.
pub const SEAL_BYTES: usize = MAC_BYTES + 6;
const MAC_BYTES: usize = 10;
const MESSAGE_TYPE: [u8; 2] = [0, 1];

impl Integrity {
    /// The beginning of a session, one way.
    #[must_use]
    pub fn new(key: &SessionKey, way: Way) -> Self {
        let name = match way {
            Way::ToServer => "client-to-server",
            Way::ToClient => "server-to-client",
        };
        let magic = format!("Digest session key to {name} signing key magic constant");
        let key = md5::compute([key.0.as_slice(), magic.as_bytes()].concat());
        Self { key: SessionKey(key.0), next: 0 }
    }

    /// The next frame's bytes.
    #[must_use]
    pub fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let number = self.next.to_be_bytes();
        self.next = self.next.wrapping_add(1);
        let mac = hmac_md5(&self.key.0, &[&number, message]);
        let mac = mac.first_chunk::<MAC_BYTES>().expect("a digest has 16 bytes");
        [message, mac, &MESSAGE_TYPE, &number].concat()
    }

    /// The message of the next frame; `None` if it is not what the peer sent, in the order it was sent.
    #[must_use]
    pub fn open<'a>(&mut self, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (rest, number) = sealed.split_last_chunk::<4>()?;
        let (rest, kind) = rest.split_last_chunk::<2>()?;
        let (message, mac) = rest.split_last_chunk::<MAC_BYTES>()?;
        let expected = hmac_md5(&self.key.0, &[number, message]);
        let same = expected.iter().zip(mac).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0;
        if !same || *kind != MESSAGE_TYPE || u32::from_be_bytes(*number) != self.next {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        Some(message)
    }
}

/// HMAC (RFC 2104) over the parts of a message, for keys of one digest's length.
fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        block
    };
    let mut inner = md5::Context::new();
    inner.consume(pad(0x36));
    parts.iter().for_each(|part| inner.consume(part));
    let mut outer = md5::Context::new();
    outer.consume(pad(0x5C));
    outer.consume(inner.finalize().0);
    outer.finalize().0
}

fn broken(reason: &str) -> WireError {
    WireError::Message { what: "DIGEST-MD5", reason: reason.to_owned() }
}

/// `key=value` pairs, separated by commas; values may be quoted, with backslashes inside.
fn directives(token: &[u8]) -> Result<Vec<(String, String)>, WireError> {
    let text = std::str::from_utf8(token).map_err(|_| broken("it is no UTF-8"))?;
    let mut pairs = Vec::new();
    let mut rest = text.trim_start_matches([',', ' ', '\t', '\r', '\n']);
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').ok_or_else(|| broken("a directive has no value"))?;
        let (value, behind) = value(behind.trim_start())?;
        pairs.push((key.trim().to_owned(), value));
        rest = behind.trim_start_matches([',', ' ', '\t', '\r', '\n']);
    }
    Ok(pairs)
}

/// A value, and what stands behind it.
fn value(text: &str) -> Result<(String, &str), WireError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
        return Ok((value.trim_end().to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next() {
            Some('"') => return Ok((value, characters.as_str())),
            Some('\\') => value.extend(characters.next()),
            Some(character) => value.push(character),
            None => return Err(broken("a quotation does not end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The IMAP session of RFC 2831, section 4.
    fn session() -> (Challenge, Login<'static>) {
        let challenge =
            br#"realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8"#;
        let login = Login {
            user: "chris",
            password: "secret",
            cnonce: "OA6MHXh6VqTrRk",
            digest_uri: "imap/elwood.innosoft.com",
            protection: Protection::Authentication,
        };
        (Challenge::decode(challenge).expect("a challenge"), login)
    }

    #[test]
    fn the_session_of_the_rfc_is_reproduced() {
        let (challenge, login) = session();
        assert_eq!((challenge.realm.as_str(), challenge.sealed_bytes_max), ("elwood.innosoft.com", 65_536));
        let response = Response::new(&challenge, &login);
        assert_eq!(
            response.token,
            "charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",nc=00000001,\
             cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"imap/elwood.innosoft.com\",\
             response=d388dad90d4bbd760a152321f2143af7,qop=auth"
        );
        assert!(response.is_proven_by(b"rspauth=ea40f60335c427b5527b84dbabcdfffd"));
        assert!(!response.is_proven_by(b"rspauth=ea40f60335c427b5527b84dbabcdfffe"));
        assert!(!response.is_proven_by(b""));
    }

    #[test]
    fn the_acap_session_of_the_rfc_is_reproduced() {
        let (mut challenge, login) = session();
        challenge.nonce = "OA9BSXrbuRhWay".to_owned();
        let login = Login { cnonce: "OA9BSuZWMSpW8m", digest_uri: "acap/elwood.innosoft.com", ..login };
        let response = Response::new(&challenge, &login);
        assert!(response.token.contains("response=6084c6db3fede7352c551284490fd0fc"), "{}", response.token);
        assert!(response.is_proven_by(b"rspauth=2f0b3d7c3c2e486600ef710726aa2eae"));
    }

    #[test]
    fn hmac_has_the_values_of_rfc_2202() {
        let hex = |digest: [u8; 16]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(hmac_md5(&[0x0b; 16], &[b"Hi ", b"There"])), "9294727a3638bb1c13f48ef8158bfc9d");
        assert_eq!(hex(hmac_md5(&[0xaa; 16], &[&[0xdd; 50]])), "56be34521d144c88dbb8c733f0e8b3f6");
    }

    #[test]
    fn challenges_are_read_as_java_writes_them_and_refused_when_they_cannot_be_answered() {
        let java = br#"realm="default",nonce="a\"b",charset=utf-8,algorithm=md5-sess,qop="auth-int, auth",maxbuf=1000"#;
        let challenge = Challenge::decode(java).expect("a challenge");
        assert_eq!((challenge.nonce.as_str(), challenge.sealed_bytes_max), ("a\"b", 1000));
        assert!(challenge.has(Protection::Integrity) && challenge.has(Protection::Authentication));
        assert!(!challenge.has(Protection::Privacy));
        for refused in
            [&b"realm=\"x\""[..], b"nonce=\"x", b"nonce", b"nonce=\"x\",algorithm=md5", b"nonce=x,maxbuf=y", b"\xff"]
        {
            assert!(Challenge::decode(refused).is_err(), "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn challenges_of_any_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..80), text in "[a-z=\",\\\\ ]{0,40}") {
            let _ = Challenge::decode(&bytes);
            let _ = Challenge::decode(text.as_bytes());
        }

        #[test]
        fn frames_open_in_their_order_unchanged_and_not_otherwise(
            messages in vec(vec(any::<u8>(), 0..50), 1..5),
            flipped in any::<prop::sample::Index>(),
        ) {
            let key = SessionKey([7; 16]);
            let mut sender = Integrity::new(&key, Way::ToServer);
            let frames: Vec<Vec<u8>> = messages.iter().map(|message| sender.seal(message)).collect();
            let mut receiver = Integrity::new(&key, Way::ToServer);
            for (frame, message) in frames.iter().zip(&messages) {
                prop_assert_eq!(frame.len(), message.len() + SEAL_BYTES);
                let mut other = frame.clone();
                let at = flipped.index(other.len());
                other[at] ^= 1;
                prop_assert_eq!(receiver.open(&other), None);
                prop_assert_eq!(receiver.open(&frame[1..]), None);
                prop_assert_eq!(receiver.open(frame), Some(message.as_slice()));
                prop_assert_eq!(receiver.open(frame), None, "again");
            }
            let mut backwards = Integrity::new(&key, Way::ToClient);
            prop_assert_eq!(backwards.open(&frames[0]), None, "the other way has another key");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let (challenge, login) = session();
        let response = Response::new(&challenge, &login);
        let shown =
            format!("{login:?} {response:?} {:?} {:?}", response.key, Integrity::new(&response.key, Way::ToServer));
        assert!(!shown.contains("secret") && !shown.contains("d388dad9"), "{shown}");
    }
}
