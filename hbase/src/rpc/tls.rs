//! TLS by rustls: the files of a [`Tls`] as a client configuration, made anew when their content has changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage, RootCertStore, crypto::ring,
};

use super::connection::ConnectionError;
use super::dial::host_of;
use crate::security::{CertificateFault, SecurityError, Tls};

/// What the files are, in errors.
const AUTHORITY: &str = "certificate authority";
const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";
/// Longest file taken; the largest public bundles have a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Speaks TLS as configured.
pub(crate) struct TlsDialer {
    tls: Arc<Tls>,
    loaded: Mutex<Option<Loaded>>,
}

impl std::fmt::Debug for TlsDialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsDialer").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// A configuration, and the content of the files that it was made of.
struct Loaded {
    files: Files,
    config: Arc<ClientConfig>,
}

/// The content of the files, in the order of [`paths`].
type Files = Vec<Vec<u8>>;

impl TlsDialer {
    pub(crate) fn new(tls: Tls) -> Self {
        Self { tls: Arc::new(tls), loaded: Mutex::new(None) }
    }

    /// Speaks TLS on a new socket to `host:port`.
    ///
    /// # Errors
    /// [`ConnectionError::Security`] or [`ConnectionError::Connect`].
    pub(crate) async fn connect(
        &self,
        address: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectionError> {
        let config = self.config().await?;
        let name = self.tls.server_name.as_deref().unwrap_or_else(|| host_of(address)).to_owned();
        let expected =
            ServerName::try_from(name.clone()).map_err(|_| SecurityError::ServerName { name: name.clone() })?;
        let connected = TlsConnector::from(config).connect(expected, socket).await;
        connected.map_err(|error| match fault(&error, address, &name) {
            Some(fault) => fault.into(),
            None => ConnectionError::Connect { address: address.to_owned(), source: error },
        })
    }

    /// The configuration of what is in the files now.
    async fn config(&self) -> Result<Arc<ClientConfig>, SecurityError> {
        let tls = Arc::clone(&self.tls);
        let read = tokio::task::spawn_blocking(move || read(&tls)).await;
        let read = read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let made = read.and_then(|files| match &*loaded {
            Some(known) if known.files == files => Ok(Arc::clone(&known.config)),
            _ => {
                let config = Arc::new(config(&self.tls, &files)?);
                *loaded = Some(Loaded { files, config: Arc::clone(&config) });
                Ok(config)
            }
        });
        match (made, &*loaded) {
            // Files are most often replaced one after the other: until they fit together again, the old ones serve.
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "new tls files cannot be used: the old ones stay");
                Ok(Arc::clone(&known.config))
            }
            (made, _) => made,
        }
    }
}

/// What the files should hold, and where they are.
fn paths(tls: &Tls) -> Vec<(&'static str, &Path)> {
    let authorities = tls.authorities.iter().map(|path| (AUTHORITY, path.as_path()));
    let identity = tls
        .identity
        .iter()
        .flat_map(|identity| [(CERTIFICATE, identity.certificate.as_path()), (KEY, identity.key.as_path())]);
    authorities.chain(identity).collect()
}

fn read(tls: &Tls) -> Result<Files, SecurityError> {
    let read = |(what, path): (&'static str, &Path)| {
        let failed = |source| SecurityError::File { what, path: path.to_owned(), source: Arc::new(source) };
        if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
            return Err(failed(io::Error::other("the file is longer than 1 MiB")));
        }
        std::fs::read(path).map_err(failed)
    };
    paths(tls).into_iter().map(read).collect()
}

fn config(tls: &Tls, files: &Files) -> Result<ClientConfig, SecurityError> {
    let mut roots = RootCertStore::empty();
    let mut identity = None;
    let mut chain = Vec::new();
    for ((what, path), content) in paths(tls).into_iter().zip(files) {
        match what {
            AUTHORITY => {
                for certificate in certificates(what, path, content)? {
                    roots.add(certificate).map_err(|error| unusable(what, path, &error))?;
                }
            }
            CERTIFICATE => chain = certificates(what, path, content)?,
            _ => {
                let key = PrivateKeyDer::from_pem_slice(content)
                    .map_err(|_| unusable(what, path, &"there is no PEM key in it that is not encrypted"))?;
                identity = Some((std::mem::take(&mut chain), key));
            }
        }
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring can do every version of TLS")
        .with_root_certificates(roots);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
            let path = tls.identity.as_ref().map_or_else(PathBuf::new, |identity| identity.key.clone());
            SecurityError::Unusable { what: KEY, path, reason: error.to_string() }
        }),
    }
}

/// At least one.
fn certificates(what: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable(what, path, &error))?;
    if found.is_empty() {
        return Err(unusable(what, path, &"there is no PEM certificate in it"));
    }
    Ok(found)
}

fn unusable(what: &'static str, path: &Path, reason: &impl std::fmt::Display) -> SecurityError {
    SecurityError::Unusable { what, path: path.to_owned(), reason: reason.to_string() }
}

/// What a failed handshake means; `None` if the socket failed and not TLS.
fn fault(error: &io::Error, address: &str, name: &str) -> Option<SecurityError> {
    let server = address.to_owned();
    let certificate = |fault| SecurityError::Certificate { server: server.clone(), fault };
    Some(match tls_error(error)? {
        Error::InvalidCertificate(error) => certificate(certificate_fault(error, name)),
        Error::AlertReceived(alert) if is_about_identity(*alert) => {
            SecurityError::IdentityRefused { server, alert: format!("{alert:?}") }
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            let reason = "it does not speak TLS on this port (hbase.server.netty.tls.enabled)".to_owned();
            SecurityError::Handshake { server, reason }
        }
        other => SecurityError::Handshake { server, reason: other.to_string() },
    })
}

/// What an error in the middle of a connection means; `None` if TLS did not fail for good. With TLS 1.3 a server looks
/// at the client's certificate only after the client has begun to send.
pub(crate) fn broken(error: &io::Error, address: &str) -> Option<SecurityError> {
    match tls_error(error)? {
        Error::AlertReceived(alert) if is_about_identity(*alert) => {
            Some(SecurityError::IdentityRefused { server: address.to_owned(), alert: format!("{alert:?}") })
        }
        _ => None,
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn certificate_fault(error: &CertificateError, name: &str) -> CertificateFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        // An authority that was made anew under its old name has another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => CertificateFault::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName { expected: name.to_owned() }
        }
        other => CertificateFault::Other { reason: other.to_string() },
    }
}

/// Alerts that servers send when they do not like the client's certificate or miss one.
fn is_about_identity(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    [
        Alert::NoCertificate,
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::UnknownCA,
        Alert::AccessDenied,
        Alert::DecryptError,
        Alert::CertificateRequired,
    ]
    .contains(&alert)
}
