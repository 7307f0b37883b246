//! Who the client is, how servers prove who they are, and what protects the bytes between them.
//!
//! TLS and authentication are independent of each other, as they are on the servers: TLS (2.6 and later) protects the
//! socket from its first byte; SASL (every version) proves who both sides are and can protect what follows by itself.
//!
//! # Laws
//! 1. Nothing weaker than what was asked for is ever spoken; falling back to no authentication must be allowed by name.
//! 2. No `Debug`, no `Display` and no log line shows a password, a key or a token.

mod error;
mod kerberos;
mod tls;
mod token;

use std::fmt;

pub use self::error::{CertificateFault, SecurityError};
pub use self::kerberos::Kerberos;
pub use self::tls::{Identity, Tls};
pub use self::token::{Token, Tokens};

/// How connections of a client are secured. The default is what HBase does by default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// TLS around every connection; `None` is plain TCP.
    pub tls: Option<Tls>,
    /// How the client proves who it is.
    pub authentication: Authentication,
    /// What to do when a server says that it wants no authentication.
    pub simple_fallback: SimpleFallback,
}

/// How the client proves who it is (`AuthMethod` of the Java client).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all: the server believes the user name.
    #[default]
    Simple,
    /// By a Kerberos ticket (SASL GSSAPI). Needs the feature `gssapi`.
    Kerberos(Kerberos),
    /// By a delegation token (SASL DIGEST-MD5).
    Tokens(Tokens),
}

/// What to do when a server wants no authentication although the client came with one
/// (`hbase.ipc.client.fallback-to-simple-auth-allowed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SimpleFallback {
    /// Fail: whoever answers without a proof may be anybody.
    #[default]
    Refuse,
    /// Go on without authentication. For clusters on their way from or to Kerberos.
    Allow,
}

/// What SASL does with the bytes behind the authentication (`hbase.rpc.protection`). Client and server must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Nothing (`auth`). Fast, and enough inside TLS.
    #[default]
    Authentication,
    /// Every frame is signed (`auth-int`).
    Integrity,
    /// Every frame is signed and encrypted (`auth-conf`).
    Privacy,
}

impl Protection {
    /// Its value in `hbase.rpc.protection`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Integrity => "integrity",
            Self::Privacy => "privacy",
        }
    }

    /// Its name in SASL (`SaslUtil.QualityOfProtection`).
    #[must_use]
    pub fn qop(self) -> &'static str {
        match self {
            Self::Authentication => "auth",
            Self::Integrity => "auth-int",
            Self::Privacy => "auth-conf",
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
