//! The authentication of a connection by SASL: tokens to and fro until a mechanism is content.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::ConnectionError;
use super::dial::{Reading, Writing};
use super::sealed::{Layer, Open, Seal};
use crate::exception::Exception;
use crate::security::{Protection, SecurityError, SimpleFallback, Token};
use crate::wire::digest_md5::{Challenge, DIGEST_URI, Integrity, Login, Response, SEAL_BYTES, Way};
use crate::wire::sasl::{Progress, Reply, token};

/// Tokens a server may ask for; real mechanisms need two or three.
const ROUNDS_MAX: usize = 16;
/// Random bytes of a client nonce, before base64.
const CNONCE_BYTES: usize = 18;

/// What a mechanism does after a token of the server.
pub(crate) enum Step {
    /// Sends this and waits for the next one.
    Send(Vec<u8>),
    /// Sends this, if anything, and is content.
    Done { last: Option<Vec<u8>>, layer: Option<Layer> },
}

/// A SASL mechanism, client side.
pub(crate) trait Mechanism: Send + 'static {
    /// Takes the server's token, none at the beginning. May block: it may ask a key distribution centre.
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, SecurityError>;
}

/// How an authentication ended.
pub(crate) enum Outcome {
    /// Both sides know each other; the layer protects what follows.
    Authenticated(Option<Layer>),
    /// The server wants none, and that is allowed.
    Simple,
}

/// Authenticates on a stream. The preamble must have been written, or stand in `first`, which is sent with the first
/// token.
pub(crate) async fn authenticate(
    (reading, writing): (&mut Reading, &mut Writing),
    (address, fallback): (&str, SimpleFallback),
    first: &[u8],
    mut mechanism: Box<dyn Mechanism>,
) -> Result<Outcome, ConnectionError> {
    let mut received = None;
    let mut unsent = first.to_vec();
    for _ in 0..ROUNDS_MAX {
        let step;
        (mechanism, step) = step_aside(mechanism, received).await;
        let done = match step? {
            Step::Send(next) => {
                unsent.extend_from_slice(&token(&next));
                None
            }
            Step::Done { last, layer } => {
                unsent.extend(last.iter().flat_map(|last| token(last)));
                Some(Outcome::Authenticated(layer))
            }
        };
        writing.write_all(&unsent).await.map_err(ConnectionError::Io)?;
        writing.flush().await.map_err(ConnectionError::Io)?;
        if let Some(outcome) = done {
            return Ok(outcome);
        }
        unsent.clear();
        match reply(reading).await? {
            Reply::Token(next) => received = Some(next),
            Reply::SwitchToSimple if fallback == SimpleFallback::Allow => return Ok(Outcome::Simple),
            Reply::SwitchToSimple => return Err(SecurityError::SimpleOnly { server: address.to_owned() }.into()),
            Reply::Refused { class, message } => {
                return Err(SecurityError::Refused { server: address.to_owned(), class, message }.into());
            }
            Reply::Fatal(exception) => return Err(ConnectionError::Refused(Exception::of_call(*exception))),
        }
    }
    let reason = format!("it asked for more than {ROUNDS_MAX} tokens");
    Err(SecurityError::Protocol { server: address.to_owned(), reason }.into())
}

/// A step on a thread that may block.
async fn step_aside(
    mut mechanism: Box<dyn Mechanism>,
    received: Option<Bytes>,
) -> (Box<dyn Mechanism>, Result<Step, SecurityError>) {
    let step = tokio::task::spawn_blocking(move || {
        let step = mechanism.step(received.as_deref());
        (mechanism, step)
    });
    step.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn reply(reading: &mut Reading) -> Result<Reply, ConnectionError> {
    let mut bytes = Vec::new();
    loop {
        match Reply::decode(&bytes).map_err(ConnectionError::Wire)? {
            Progress::Whole(reply) => return Ok(reply),
            Progress::Wants(more) => {
                let wanted = bytes.len() + more;
                // Grows as the bytes come, not by what the server says.
                let mut part = (&mut *reading).take(more as u64);
                while bytes.len() < wanted {
                    if part.read_buf(&mut bytes).await.map_err(ConnectionError::Io)? == 0 {
                        return Err(ConnectionError::Closed);
                    }
                }
            }
        }
    }
}

/// DIGEST-MD5 with a delegation token.
pub(crate) struct DigestMd5 {
    server: String,
    user: String,
    password: String,
    cnonce: String,
    protection: Protection,
    /// The answer, once it was given, and what the server takes at once.
    given: Option<(Response, usize)>,
}

impl DigestMd5 {
    /// For a server, `host:port`.
    ///
    /// # Errors
    /// [`SecurityError::ProtectionBroken`]; the system has no random numbers.
    pub(crate) fn new(server: &str, secret: &Token, protection: Protection) -> Result<Self, SecurityError> {
        if protection == Protection::Privacy {
            return Err(SecurityError::ProtectionBroken { wanted: protection });
        }
        let mut cnonce = [0; CNONCE_BYTES];
        getrandom::fill(&mut cnonce).map_err(|error| SecurityError::Protocol {
            server: server.to_owned(),
            reason: format!("this system has no random numbers: {error}"),
        })?;
        Ok(Self {
            server: server.to_owned(),
            user: BASE64.encode(secret.identifier()),
            password: BASE64.encode(secret.password()),
            cnonce: BASE64.encode(cnonce),
            protection,
            given: None,
        })
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Step, SecurityError> {
        let challenge = Challenge::decode(challenge)
            .map_err(|error| SecurityError::Protocol { server: self.server.clone(), reason: error.to_string() })?;
        if !challenge.has(self.protection) {
            return Err(SecurityError::ProtectionNotOffered {
                server: self.server.clone(),
                wanted: self.protection,
                offered: challenge.qop.join(", "),
            });
        }
        let login = Login {
            user: &self.user,
            password: &self.password,
            cnonce: &self.cnonce,
            digest_uri: DIGEST_URI,
            protection: self.protection,
        };
        let response = Response::new(&challenge, &login);
        let token = response.token.clone().into_bytes();
        self.given = Some((response, challenge.sealed_bytes_max));
        Ok(Step::Send(token))
    }
}

impl Mechanism for DigestMd5 {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, SecurityError> {
        let Some(token) = token else { return Ok(Step::Send(Vec::new())) };
        let Some((response, sealed_bytes_max)) = &self.given else { return self.answer(token) };
        if !response.is_proven_by(token) {
            return Err(SecurityError::ServerNotProven { server: self.server.clone() });
        }
        let layer = (self.protection == Protection::Integrity).then(|| Layer {
            seal: Box::new(Integrity::new(&response.key, Way::ToServer)),
            open: Box::new(Integrity::new(&response.key, Way::ToClient)),
            message_bytes_max: sealed_bytes_max.saturating_sub(SEAL_BYTES).max(1),
        });
        Ok(Step::Done { last: None, layer })
    }
}

impl Seal for Integrity {
    fn seal(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        Ok(Self::seal(self, message))
    }
}

impl Open for Integrity {
    fn open(&mut self, sealed: &[u8]) -> io::Result<Bytes> {
        let tampered =
            || SecurityError::Tampered { reason: "its signature or its number is wrong".to_owned() }.into_io();
        Self::open(self, sealed).map(Bytes::copy_from_slice).ok_or_else(tampered)
    }
}
