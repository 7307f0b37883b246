//! SASL as HBase frames it: what stands between the preamble and the ConnectionHeader, and around all bytes behind it
//! when they are protected.
//!
//! ```text
//! client: [u32 length][token]
//! server: [u32 status = 0][u32 length][token]  or  [u32 1][u32 length][class][u32 length][message]
//!         [u32 0][i32 -88] says: no authentication here, go on without (`SaslUtil.SWITCH_TO_SIMPLE_AUTH`)
//! later : [u32 length][wrapped bytes], both ways, unless the protection is only `auth`
//! ```
//! A server that refuses the preamble itself answers with an ordinary frame for call -1 instead
//! (`ServerRpcConnection.doBadPreambleHandling`): its first four bytes are a length, and no frame is that short.

use bytes::{BufMut, Bytes, BytesMut};

use super::WireError;
use super::frame::{FATAL_CALL_ID, FRAME_BYTES_MAX, Response};
use super::message::ExceptionResponse;
use crate::security::Protection;

/// Longest token, class or message taken from a server during the authentication. Real ones have some hundred bytes, and
/// tickets with many groups some ten thousand.
pub const TOKEN_BYTES_MAX: usize = 1 << 20;
/// Longest protected frame taken from a server. Java wraps a whole answer at once, whatever limit it was told.
pub const SEALED_BYTES_MAX: usize = FRAME_BYTES_MAX + (1 << 10);

const STATUS_SUCCESS: u32 = 0;
const STATUS_ERROR: u32 = 1;
const SWITCH_TO_SIMPLE: i32 = -88;

/// A token for the server, with its length.
#[must_use]
pub fn token(token: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(4 + token.len());
    framed.put_u32(token.len() as u32);
    framed.put_slice(token);
    framed.freeze()
}

/// What a server says during the authentication.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The next token of the mechanism.
    Token(Bytes),
    /// No authentication is wanted.
    SwitchToSimple,
    /// The client is not believed.
    Refused {
        /// Java class.
        class: String,
        /// Text.
        message: String,
    },
    /// The connection as such is refused.
    Fatal(Box<ExceptionResponse>),
}

/// A reply, as far as its bytes have come.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// At least so many more bytes belong to it; asking for exactly these never reads beyond it.
    Wants(usize),
    /// It is whole.
    Whole(Reply),
}

impl Reply {
    /// Reads a reply from its first bytes. `bytes` must hold nothing behind it.
    ///
    /// # Errors
    /// [`WireError`] if it cannot be one.
    pub fn decode(bytes: &[u8]) -> Result<Progress, WireError> {
        let mut reader = Reader { bytes };
        let reply = match read(&mut reader) {
            Ok(reply) => reply,
            Err(Stop::Wants(more)) => return Ok(Progress::Wants(more)),
            Err(Stop::Broken(error)) => return Err(error),
        };
        match reader.bytes.len() {
            0 => Ok(Progress::Whole(reply)),
            beyond => Err(WireError::Impossible { what: "bytes behind a SASL reply", value: beyond as u64 }),
        }
    }
}

enum Stop {
    Wants(usize),
    Broken(WireError),
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            return Err(Stop::Wants(count.saturating_sub(self.bytes.len())));
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, Stop> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn counted(&mut self, what: &'static str) -> Result<&'a [u8], Stop> {
        let length = self.number()?;
        self.take(bounded(what, length)?)
    }
}

fn bounded(what: &'static str, length: u32) -> Result<usize, Stop> {
    match length as usize {
        length if length <= TOKEN_BYTES_MAX => Ok(length),
        _ => Err(Stop::Broken(WireError::Impossible { what, value: u64::from(length) })),
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Reply, Stop> {
    match reader.number()? {
        STATUS_SUCCESS => {
            let length = reader.number()?;
            if length.cast_signed() == SWITCH_TO_SIMPLE {
                return Ok(Reply::SwitchToSimple);
            }
            let token = reader.take(bounded("a SASL token's length", length)?)?;
            Ok(Reply::Token(Bytes::copy_from_slice(token)))
        }
        STATUS_ERROR => {
            let mut text = |what| Ok(String::from_utf8_lossy(reader.counted(what)?).into_owned());
            let class = text("a SASL error's class length")?;
            let message = text("a SASL error's message length")?;
            Ok(Reply::Refused { class, message })
        }
        length => {
            let frame = reader.take(bounded("a SASL status", length)?)?;
            let response = Response::decode(Bytes::copy_from_slice(frame)).map_err(Stop::Broken)?;
            match response {
                Response { call_id: FATAL_CALL_ID, result: Err(exception) } => Ok(Reply::Fatal(exception)),
                _ => {
                    let value = u64::from(length);
                    Err(Stop::Broken(WireError::Impossible { what: "a SASL status", value }))
                }
            }
        }
    }
}

/// The length of a protected frame, from the four bytes before it.
///
/// # Errors
/// [`WireError`] if it is longer than [`SEALED_BYTES_MAX`].
pub fn sealed_length(prefix: [u8; 4]) -> Result<usize, WireError> {
    let length = u32::from_be_bytes(prefix) as usize;
    if length > SEALED_BYTES_MAX {
        return Err(WireError::Impossible { what: "a protected frame's length", value: length as u64 });
    }
    Ok(length)
}

/// What a GSSAPI server offers once both sides know each other (RFC 4752, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerOffer {
    layers: u8,
    /// Longest protected frame that the server takes; 0 if it offers none.
    pub sealed_bytes_max: u32,
}

impl LayerOffer {
    /// From the four bytes of the unwrapped token.
    ///
    /// # Errors
    /// [`WireError`] if there are not four bytes.
    pub fn decode(token: &[u8]) -> Result<Self, WireError> {
        let &[layers, a, b, c] = token else {
            return Err(WireError::Impossible { what: "a security layer token's length", value: token.len() as u64 });
        };
        Ok(Self { layers, sealed_bytes_max: u32::from_be_bytes([0, a, b, c]) })
    }

    /// Whether a protection is offered.
    #[must_use]
    pub fn has(self, protection: Protection) -> bool {
        self.layers & layer(protection) != 0
    }

    /// The offered protections, for people.
    #[must_use]
    pub fn names(self) -> String {
        let all = [Protection::Authentication, Protection::Integrity, Protection::Privacy];
        let names: Vec<&str> = all.into_iter().filter(|one| self.has(*one)).map(Protection::name).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    /// The client's choice, to be wrapped. No authorization id follows: the user is the one that authenticated.
    #[must_use]
    pub fn choice(protection: Protection) -> [u8; 4] {
        // Without a layer the length must be zero; with one we take what the three bytes can say.
        match protection {
            Protection::Authentication => [layer(protection), 0, 0, 0],
            Protection::Integrity | Protection::Privacy => [layer(protection), 0xFF, 0xFF, 0xFF],
        }
    }
}

fn layer(protection: Protection) -> u8 {
    match protection {
        Protection::Authentication => 1,
        Protection::Integrity => 2,
        Protection::Privacy => 4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame;

    fn encode(reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        match reply {
            Reply::Token(bytes_of_token) => {
                bytes.put_u32(0);
                bytes.put_slice(&token(bytes_of_token));
            }
            Reply::SwitchToSimple => {
                bytes.put_u32(0);
                bytes.put_i32(-88);
            }
            Reply::Refused { class, message } => {
                bytes.put_u32(1);
                bytes.put_slice(&token(class.as_bytes()));
                bytes.put_slice(&token(message.as_bytes()));
            }
            Reply::Fatal(exception) => bytes.put_slice(&frame::failure(FATAL_CALL_ID, *exception.clone())),
        }
        bytes
    }

    fn replies() -> impl Strategy<Value = Reply> {
        prop_oneof![
            vec(any::<u8>(), 0..300).prop_map(|token| Reply::Token(token.into())),
            Just(Reply::SwitchToSimple),
            (".{0,40}", ".{0,200}").prop_map(|(class, message)| Reply::Refused { class, message }),
            ".{0,40}".prop_map(|class| {
                let exception = ExceptionResponse { exception_class_name: Some(class), ..Default::default() };
                Reply::Fatal(Box::new(exception))
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_reply_is_read_back_and_asked_for_without_reading_beyond_it(reply in replies()) {
            let bytes = encode(&reply);
            let mut have = 0;
            let read = loop {
                match Reply::decode(&bytes[..have]).expect("a reply") {
                    Progress::Wants(more) => {
                        prop_assert!(more > 0 && have + more <= bytes.len());
                        have += more;
                    }
                    Progress::Whole(reply) => break reply,
                }
            };
            prop_assert_eq!((read, have), (reply, bytes.len()));
        }

        #[test]
        fn any_bytes_are_a_reply_or_an_error_and_never_want_more_than_the_limit(bytes in vec(any::<u8>(), 0..64)) {
            if let Ok(Progress::Wants(more)) = Reply::decode(&bytes) {
                prop_assert!(more <= TOKEN_BYTES_MAX);
            }
        }

        #[test]
        fn every_truncation_wants_more(reply in replies()) {
            let bytes = encode(&reply);
            for length in 0..bytes.len() {
                let progress = Reply::decode(&bytes[..length]).expect("the beginning of a reply");
                prop_assert!(matches!(progress, Progress::Wants(_)), "{length}: {progress:?}");
            }
        }
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused_before_their_bytes_come() {
        let long = (TOKEN_BYTES_MAX as u32 + 1).to_be_bytes();
        for status in [0_u32, 1] {
            let bytes = [status.to_be_bytes(), long].concat();
            assert!(matches!(Reply::decode(&bytes), Err(WireError::Impossible { .. })), "{status}");
        }
        assert!(Reply::decode(&long).is_err(), "a frame instead of a status");
        assert!(sealed_length((SEALED_BYTES_MAX as u32 + 1).to_be_bytes()).is_err());
        assert_eq!(sealed_length([0, 0, 1, 2]).expect("short"), 258);
    }

    #[test]
    fn an_answer_to_a_call_is_no_reply() {
        let exception = ExceptionResponse::default();
        assert!(Reply::decode(&frame::failure(7, exception)).is_err());
    }

    #[test]
    fn layers_are_the_bits_of_rfc_4752() {
        let offer = LayerOffer::decode(&[0b110, 0x01, 0x00, 0x02]).expect("an offer");
        assert_eq!(offer.sealed_bytes_max, 0x01_0002);
        assert!(!offer.has(Protection::Authentication) && offer.has(Protection::Integrity));
        assert_eq!(offer.names(), "integrity, privacy");
        assert_eq!(LayerOffer::choice(Protection::Authentication), [1, 0, 0, 0]);
        assert_eq!(LayerOffer::choice(Protection::Privacy), [4, 0xFF, 0xFF, 0xFF]);
        assert!(LayerOffer::decode(&[1, 0, 0]).is_err() && LayerOffer::decode(&[1, 0, 0, 0, 0]).is_err());
    }
}
