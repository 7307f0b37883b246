//! TLS: whom to trust, who we are.

use std::path::PathBuf;

/// How to speak TLS to the servers of a cluster (2.6 and later, `hbase.server.netty.tls.enabled`): versions 1.2 and 1.3.
///
/// All files are PEM. They are looked at again before every connection: when their content has changed, new connections
/// use it, and those that are open go on. A new content that cannot be used is logged, and the old one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the authorities that servers' certificates must lead to. There is no default: clusters have
    /// authorities of their own, and the system's would let any public one vouch for them.
    pub authorities: Vec<PathBuf>,
    /// Certificate and key shown to servers, which ask for them by default (`hbase.server.netty.tls.client.auth.mode`).
    pub identity: Option<Identity>,
    /// The name that servers' certificates must have, if it is not the host that is dialled: a DNS name or an IP
    /// address.
    pub server_name: Option<String>,
}

/// A certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those of its authorities that servers may not know.
    pub certificate: PathBuf,
    /// The private key (PKCS#8, PKCS#1 or SEC1, not encrypted); the same file as `certificate` if it holds both.
    pub key: PathBuf,
}

impl Tls {
    /// Trusts one authority, shows no certificate, expects the names that are dialled.
    #[must_use]
    pub fn new(authority: impl Into<PathBuf>) -> Self {
        Self { authorities: vec![authority.into()], identity: None, server_name: None }
    }
}
