//! Delegation tokens: what proves a user to one cluster without a Kerberos ticket.

use std::fmt;

use bytes::Bytes;

use super::Protection;

/// A delegation token (`org.apache.hadoop.hbase.security.token`): what [`Client::delegation_token`] got from a cluster.
/// Whoever has it is its user until it expires (`hbase.auth.token.max.lifetime`, seven days); it cannot be renewed.
///
/// [`Client::delegation_token`]: crate::client::Client::delegation_token
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    identifier: Bytes,
    password: Bytes,
    cluster_id: String,
}

impl Token {
    /// A token from its parts.
    #[must_use]
    pub fn new(identifier: Bytes, password: Bytes, cluster_id: String) -> Self {
        Self { identifier, password, cluster_id }
    }

    /// The public part: user, times, number.
    #[must_use]
    pub fn identifier(&self) -> &Bytes {
        &self.identifier
    }

    /// The secret part, to hand the token to another process.
    #[must_use]
    pub fn password(&self) -> &Bytes {
        &self.password
    }

    /// Id of the cluster that gave it (`Token.service`).
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("cluster_id", &self.cluster_id).finish_non_exhaustive()
    }
}

/// How to authenticate by delegation tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// A single one is shown to every server. With several, servers are asked for their cluster's id first
    /// (HBASE-25051, 2.6 and later), and the token of that cluster is shown.
    pub tokens: Vec<Token>,
    /// What protects the bytes after the authentication. [`Protection::Privacy`] is refused: DIGEST-MD5 encrypts only
    /// with broken ciphers. Use TLS.
    pub protection: Protection,
}

impl Tokens {
    /// One token and no protection but authentication.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self { tokens: vec![token], protection: Protection::default() }
    }

    /// The token of a cluster.
    #[must_use]
    pub fn of(&self, cluster_id: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.cluster_id == cluster_id)
    }
}
