//! Why a connection could not be secured, and what a person can do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Protection;

/// Why a connection could not be secured. No variant holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecurityError {
    /// The crate was built without what the configuration asks for.
    #[error("speak {what}: this program was built without it; build it with the feature `{feature}`")]
    NotBuilt {
        /// What is missing.
        what: &'static str,
        /// The feature of this crate that brings it.
        feature: &'static str,
    },
    /// A file of the TLS configuration cannot be read.
    #[error("read the {what} {}", path.display())]
    File {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<io::Error>,
    },
    /// A file of the TLS configuration does not hold what it should.
    #[error("use the {what} {}: {reason}", path.display())]
    Unusable {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What should be the server's name is none.
    #[error("expect a certificate for `{name}`: that is neither a DNS name nor an IP address")]
    ServerName {
        /// The name.
        name: String,
    },
    /// The server's certificate is not one to trust.
    #[error("trust the certificate of {server}: {fault}")]
    Certificate {
        /// `host:port`.
        server: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The server does not accept the client's certificate, or wants one.
    #[error(
        "show a certificate to {server}: it refuses with the alert {alert}; \
         give a certificate and key of an authority in the server's trust store"
    )]
    IdentityRefused {
        /// `host:port`.
        server: String,
        /// The TLS alert.
        alert: String,
    },
    /// TLS failed for another reason.
    #[error("speak TLS with {server}: {reason}")]
    Handshake {
        /// `host:port`.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no Kerberos ticket.
    #[error("show a Kerberos ticket: there is none ({reason}); run kinit or give a keytab (KRB5_CLIENT_KTNAME)")]
    NoTicket {
        /// What the Kerberos library says.
        reason: String,
    },
    /// The Kerberos ticket is over.
    #[error("show a Kerberos ticket: ticket expired; run kinit or give a keytab (KRB5_CLIENT_KTNAME)")]
    TicketExpired,
    /// The key distribution centre does not know the server by this name.
    #[error("get a ticket for {principal}: Kerberos has no such server; check the server principals and host names")]
    ServerPrincipalUnknown {
        /// The principal that was asked for.
        principal: String,
    },
    /// The key distribution centre does not answer.
    #[error("get a ticket for {principal}: no key distribution centre answers ({reason})")]
    KdcUnreachable {
        /// The principal that was asked for.
        principal: String,
        /// What the Kerberos library says.
        reason: String,
    },
    /// Kerberos failed for another reason.
    #[error("authenticate to {principal} by Kerberos: {reason}")]
    Kerberos {
        /// The server's principal.
        principal: String,
        /// What the Kerberos library says.
        reason: String,
    },
    /// The server says who it is, and it is nobody that the configuration knows.
    #[error("believe that {server} is {principal}: the configuration names only {}", known.join(", "))]
    PrincipalForeign {
        /// `host:port`.
        server: String,
        /// What it says it is.
        principal: String,
        /// What it may be.
        known: Vec<String>,
    },
    /// The server does not believe the client.
    #[error("authenticate to {server}: it refuses with {class}: {message}")]
    Refused {
        /// `host:port`.
        server: String,
        /// Java class of the refusal.
        class: String,
        /// Its text.
        message: String,
    },
    /// The server wants no authentication.
    #[error(
        "authenticate to {server}: it has security switched off; allow the fallback to simple authentication, or check the address"
    )]
    SimpleOnly {
        /// `host:port`.
        server: String,
    },
    /// The server does not offer the protection asked for.
    #[error(
        "protect the connection to {server} with {wanted}: it offers {offered}; set both sides' hbase.rpc.protection alike"
    )]
    ProtectionNotOffered {
        /// `host:port`.
        server: String,
        /// What was asked for.
        wanted: Protection,
        /// What the server offers.
        offered: String,
    },
    /// A mechanism cannot do the protection asked for.
    #[error("protect a connection with delegation tokens and {wanted}: DIGEST-MD5 has only broken ciphers; use TLS")]
    ProtectionBroken {
        /// What was asked for.
        wanted: Protection,
    },
    /// The server did not prove that it knows the token.
    #[error("authenticate {server}: it does not prove that it knows the delegation token")]
    ServerNotProven {
        /// `host:port`.
        server: String,
    },
    /// There is no token for the cluster.
    #[error("authenticate to cluster {cluster_id} at {server}: there is no delegation token for it")]
    NoToken {
        /// `host:port`.
        server: String,
        /// The cluster's id.
        cluster_id: String,
    },
    /// The server cannot say which cluster's it is.
    #[error(
        "choose a delegation token for {server}: it is older than 2.6 and cannot say its cluster; give the one token"
    )]
    ClusterUnknown {
        /// `host:port`.
        server: String,
    },
    /// What the server said during the authentication makes no sense.
    #[error("authenticate to {server}: {reason}")]
    Protocol {
        /// `host:port`.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// A protected frame is not what the peer sent.
    #[error("open a protected frame: {reason}")]
    Tampered {
        /// What is wrong.
        reason: String,
    },
}

impl SecurityError {
    /// Whether the same may succeed later without anybody changing anything. The only place that decides it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::KdcUnreachable { .. } | Self::Tampered { .. } => true,
            // A region server that has just started has not yet read all keys (`AuthenticationTokenSecretManager`).
            Self::Refused { class, message, .. } => {
                class.ends_with("InvalidToken") && message.starts_with("Unknown master key")
            }
            Self::NotBuilt { .. }
            | Self::File { .. }
            | Self::Unusable { .. }
            | Self::ServerName { .. }
            | Self::Certificate { .. }
            | Self::IdentityRefused { .. }
            | Self::Handshake { .. }
            | Self::NoTicket { .. }
            | Self::TicketExpired
            | Self::ServerPrincipalUnknown { .. }
            | Self::Kerberos { .. }
            | Self::PrincipalForeign { .. }
            | Self::SimpleOnly { .. }
            | Self::ProtectionNotOffered { .. }
            | Self::ProtectionBroken { .. }
            | Self::ServerNotProven { .. }
            | Self::NoToken { .. }
            | Self::ClusterUnknown { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// As an I/O error, for streams that find out in the middle.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// It is over.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// None of the authorities vouches for it.
    UnknownIssuer,
    /// It is somebody else's.
    WrongName {
        /// Who it should be.
        expected: String,
    },
    /// Something else.
    Other {
        /// What the TLS library says.
        reason: String,
    },
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it has expired; the server needs a new one"),
            Self::NotYetValid => f.write_str("it is not valid yet; check the clocks"),
            Self::UnknownIssuer => f.write_str("none of the given authorities vouches for it; check the CA file"),
            Self::WrongName { expected } => {
                write!(f, "it is not for {expected}; dial the name it has, or give that as the server name")
            }
            Self::Other { reason } => f.write_str(reason),
        }
    }
}
