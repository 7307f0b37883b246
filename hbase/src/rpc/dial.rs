//! From an address to a byte stream that is ready for the first request: socket, TLS, preamble, authentication.
//!
//! ```text
//! TCP ─▶ (TLS) ─▶ ("Securi" ▸ principal) ─▶ "HBas" 0 auth ─▶ (SASL) ─▶ ConnectionHeader, in protected frames if so agreed
//! ```
//! The name is resolved anew at each dial: servers of orchestrated clusters change their addresses (HBASE-25292).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::connection::ConnectionError;
use super::question::{self, Answer};
use super::sasl::{self, DigestMd5, Mechanism, Outcome};
#[cfg(feature = "tls")]
use super::tls::{self, TlsDialer};
use crate::security::{Authentication, Kerberos, Security, SecurityError, SimpleFallback, Token, Tokens};
use crate::wire::preamble::{self, AUTH_DIGEST, AUTH_KERBEROS};

/// The half of a stream that answers are read from.
pub(crate) type Reading = Box<dyn AsyncRead + Send + Unpin>;
/// The half of a stream that requests are written to.
pub(crate) type Writing = Box<dyn AsyncWrite + Send + Unpin>;

/// Who dials, how, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    /// The user that was asked for.
    user: Option<String>,
    /// The user announced if none was asked for and none is proven.
    user_default: String,
    /// For one connection, authentication included.
    connect_timeout: Duration,
    security: Security,
    #[cfg(feature = "tls")]
    tls: Option<Arc<TlsDialer>>,
    /// The cluster's id, once a server has told it: only asked for to choose a token.
    cluster_id: Arc<Mutex<Option<String>>>,
}

/// A stream whose peer expects requests.
pub(crate) struct Dialed {
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// What must be written before the first request; it may go out together with it.
    pub(crate) hello: Bytes,
}

impl Dialer {
    /// `user` is the one that was asked for, else the one to announce where nothing proves another.
    pub(crate) fn new(user: (Option<String>, String), connect_timeout: Duration, security: Security) -> Self {
        let (user, user_default) = user;
        Self {
            user,
            user_default,
            connect_timeout,
            #[cfg(feature = "tls")]
            tls: security.tls.clone().map(|tls| Arc::new(TlsDialer::new(tls))),
            security,
            cluster_id: Arc::default(),
        }
    }

    /// Connects to a service of `host:port`.
    ///
    /// Cancel safe: dropped half-way, the socket closes.
    ///
    /// # Errors
    /// [`ConnectionError::Connect`], also when the time is over; [`ConnectionError::Security`];
    /// [`ConnectionError::Refused`].
    pub(crate) async fn dial(&self, address: &str, service: &str) -> Result<Dialed, ConnectionError> {
        let dialing = async {
            match &self.security.authentication {
                Authentication::Simple => {
                    let (reading, writing) = self.open(address).await?;
                    let hello = preamble::hello(self.announced(), service);
                    Ok(Dialed { reading, writing, hello })
                }
                Authentication::Kerberos(kerberos) => self.dial_with_ticket((address, service), kerberos).await,
                Authentication::Tokens(tokens) => self.dial_with_token((address, service), tokens).await,
            }
        };
        tokio::time::timeout(self.connect_timeout, dialing).await.unwrap_or_else(|_| {
            Err(ConnectionError::Connect { address: address.to_owned(), source: io::ErrorKind::TimedOut.into() })
        })
    }

    /// A stream to `host:port` that nothing was said on.
    async fn open(&self, address: &str) -> Result<(Reading, Writing), ConnectionError> {
        let failed = |source| ConnectionError::Connect { address: address.to_owned(), source };
        let socket = TcpStream::connect(address).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let (reading, writing) = tokio::io::split(tls.connect(address, socket).await?);
            return Ok((Box::new(reading), Box::new(writing)));
        }
        #[cfg(not(feature = "tls"))]
        if self.security.tls.is_some() {
            return Err(SecurityError::NotBuilt { what: "TLS", feature: "tls" }.into());
        }
        let (reading, writing) = socket.into_split();
        Ok((Box::new(reading), Box::new(writing)))
    }

    /// The user, where nothing proves one.
    fn announced(&self) -> &str {
        self.user.as_ref().unwrap_or(&self.user_default)
    }

    async fn dial_with_ticket(
        &self,
        (address, service): (&str, &str),
        kerberos: &Kerberos,
    ) -> Result<Dialed, ConnectionError> {
        let known = kerberos.servers_on(host_of(address));
        let mut stream = Some(self.open(address).await?);
        let mut candidates = known.clone();
        if known.len() > 1
            && let Some((reading, writing)) = &mut stream
        {
            match question::principal((reading, writing)).await? {
                Answer::Named(principal) if known.contains(&principal) => candidates = vec![principal],
                Answer::Named(principal) if principal.contains('@') => {
                    return Err(SecurityError::PrincipalForeign { server: address.to_owned(), principal, known }.into());
                }
                // 2.6.4 looks at its name before it has logged in, and names the user of its process.
                Answer::Named(_) => {}
                // It has closed.
                Answer::CannotSay => stream = None,
                // The authentication hears the same and decides.
                Answer::SecurityOff => candidates.truncate(1),
            }
        }
        let none =
            || SecurityError::Kerberos { principal: String::new(), reason: "no server principal is given".to_owned() };
        let mut refusal = ConnectionError::Security(none());
        for principal in candidates {
            let open = match stream.take() {
                Some(open) => open,
                None => self.open(address).await?,
            };
            let mechanism = ticket(address, &principal, kerberos)?;
            match self.authenticate((address, service), open, (AUTH_KERBEROS, mechanism)).await {
                Ok(dialed) => return Ok(dialed),
                // Not its name, perhaps: the next one may be.
                Err(error @ ConnectionError::Security(_)) => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    async fn dial_with_token(
        &self,
        (address, service): (&str, &str),
        tokens: &Tokens,
    ) -> Result<Dialed, ConnectionError> {
        let token = self.token(address, tokens).await?;
        let mechanism = Box::new(DigestMd5::new(address, token, tokens.protection)?);
        let stream = self.open(address).await?;
        self.authenticate((address, service), stream, (AUTH_DIGEST, mechanism)).await
    }

    /// The token for the cluster of `host:port`.
    async fn token<'a>(&self, address: &str, tokens: &'a Tokens) -> Result<&'a Token, ConnectionError> {
        if let [token] = tokens.tokens.as_slice() {
            return Ok(token);
        }
        let known = self.cluster_id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cluster_id = match known {
            Some(cluster_id) => cluster_id,
            None => {
                let (mut reading, mut writing) = self.open(address).await?;
                match question::cluster_id((&mut reading, &mut writing)).await? {
                    Answer::Named(cluster_id) => cluster_id,
                    Answer::CannotSay | Answer::SecurityOff => {
                        return Err(SecurityError::ClusterUnknown { server: address.to_owned() }.into());
                    }
                }
            }
        };
        *self.cluster_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(cluster_id.clone());
        let none = || SecurityError::NoToken { server: address.to_owned(), cluster_id: cluster_id.clone() };
        Ok(tokens.of(&cluster_id).ok_or_else(none)?)
    }

    async fn authenticate(
        &self,
        (address, service): (&str, &str),
        (mut reading, mut writing): (Reading, Writing),
        (auth, mechanism): (u8, Box<dyn Mechanism>),
    ) -> Result<Dialed, ConnectionError> {
        let fallback: SimpleFallback = self.security.simple_fallback;
        let stream = (&mut reading, &mut writing);
        let first = preamble::preamble(auth);
        let outcome = sasl::authenticate(stream, (address, fallback), &first, mechanism).await?;
        let (user, layer) = match outcome {
            Outcome::Simple => (Some(self.announced()), None),
            // A token is its user's; behind a ticket, only another user needs a name.
            Outcome::Authenticated(layer) => (self.user.as_deref().filter(|_| auth == AUTH_KERBEROS), layer),
        };
        let hello = preamble::header(user, service);
        let (reading, writing) = match layer {
            None => (reading, writing),
            Some(layer) => layer.around(reading, writing),
        };
        Ok(Dialed { reading, writing, hello })
    }
}

#[cfg(feature = "gssapi")]
fn ticket(address: &str, principal: &str, kerberos: &Kerberos) -> Result<Box<dyn Mechanism>, SecurityError> {
    Ok(Box::new(super::gssapi::Gssapi::new(address, principal, kerberos)))
}

#[cfg(not(feature = "gssapi"))]
fn ticket(_: &str, _: &str, _: &Kerberos) -> Result<Box<dyn Mechanism>, SecurityError> {
    Err(SecurityError::NotBuilt { what: "Kerberos", feature: "gssapi" })
}

/// Why a socket failed in use, if the peer said with TLS that it does not trust us.
#[cfg(feature = "tls")]
pub(crate) fn refusal(error: &io::Error, address: &str) -> Option<SecurityError> {
    tls::broken(error, address)
}

/// Nobody speaks TLS.
#[cfg(not(feature = "tls"))]
pub(crate) fn refusal(_: &io::Error, _: &str) -> Option<SecurityError> {
    None
}

/// The host of `host:port`; an IPv6 address without its brackets.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_ports() {
        assert_eq!(host_of("rs1.example.com:16020"), "rs1.example.com");
        assert_eq!(host_of("[::1]:16020"), "::1");
        assert_eq!(host_of("10.0.0.1:16020"), "10.0.0.1");
    }
}
