//! The registry's two questions over HTTP/1.1: a schema by its id, and one that it refers to by subject and version.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::decode::schemas::{SchemaId, SchemaText};
use crate::topology::setting::SettingError;
use crate::topology::{SchemaRegistry, Setting};

/// How long a registry may take to answer one question.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A schema of more than this is none.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Schemas that one schema may refer to, directly or not.
const REFERENCES_MAX: usize = 256;

/// How long a chain of references may be.
const DEPTH_MAX: usize = 32;

/// Why the registry cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// An address is none.
    #[error("schema registry: {url} is not an address")]
    Url {
        /// The address.
        url: String,
    },
    /// A secret is not there.
    #[error("schema registry: read the credentials")]
    Credentials(#[source] SettingError),
    /// The authorities' file cannot be read.
    #[error("schema registry: read the authorities of {}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a schema is not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no such schema.
    #[error("{url} has no schema {id}: was it deleted, or do the records come from another registry?")]
    Unknown {
        /// The registry.
        url: String,
        /// The schema.
        id: SchemaId,
    },
    /// We may not know.
    #[error("{url} refuses to answer ({status}); check user and password in [schema_registry]")]
    Refused {
        /// The registry.
        url: String,
        /// The status.
        status: u16,
    },
    /// It has trouble of its own.
    #[error("{url} answers {status} for {path}")]
    Status {
        /// The registry.
        url: String,
        /// The status.
        status: u16,
        /// What was asked for.
        path: String,
    },
    /// It cannot be reached.
    #[error("connect to {url}")]
    Connect {
        /// The registry.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not answer in time.
    #[error("{url} does not answer within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// The registry.
        url: String,
    },
    /// The connection broke, or the answer is no HTTP or too long.
    #[error("read the answer of {url}: {what}")]
    Answer {
        /// The registry.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// The answer is something else.
    #[error("{url} does not answer as a schema registry does")]
    Json {
        /// The registry.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// References without an end.
    #[error("schema {id} refers to more than {REFERENCES_MAX} others, or to itself")]
    References {
        /// The schema.
        id: SchemaId,
    },
    /// A secret is not there any more.
    #[error("read the credentials of the schema registry")]
    Credentials(#[source] SettingError),
}

/// Asks the registry.
#[derive(Clone)]
pub(super) struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    bases: Vec<Base>,
    credentials: Option<(Setting, Setting)>,
    tls: Option<TlsConnector>,
}

/// An address of the registry.
struct Base {
    url: String,
    is_tls: bool,
    host: String,
    port: u16,
    /// What stands before the paths of questions.
    path: String,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

impl Client {
    pub(super) fn new(registry: &SchemaRegistry) -> Result<Self, ClientError> {
        let bases = registry.urls.iter().map(|url| Base::parse(url)).collect::<Result<_, _>>()?;
        let tls = registry.ca.as_ref().map(tls).transpose()?;
        let credentials = registry.user.clone().zip(registry.password.clone());
        let client = Self { inner: Arc::new(Inner { bases, credentials, tls }) };
        // A secret that is not there is better known at the start.
        client.authorization().map_err(ClientError::Credentials)?;
        Ok(client)
    }

    /// The schema with this id and all that it refers to, from the first address that has it.
    pub(super) async fn schema(&self, id: SchemaId) -> Result<SchemaText, FetchError> {
        let mut failed = None;
        for base in &self.inner.bases {
            match self.schema_from(base, id).await {
                Ok(schema) => return Ok(schema),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or(FetchError::References { id }))
    }

    async fn schema_from(&self, base: &Base, id: SchemaId) -> Result<SchemaText, FetchError> {
        let answer = self.ask(base, id, &format!("/schemas/ids/{id}")).await?;
        let mut references = Vec::new();
        let mut asked = 0;
        self.resolve(base, (id, 0), answer.references.unwrap_or_default(), (&mut references, &mut asked)).await?;
        Ok(SchemaText { kind: answer.kind, text: answer.schema, references })
    }

    /// Appends these schemas, each behind those that it refers to.
    async fn resolve(
        &self,
        base: &Base,
        (id, depth): (SchemaId, usize),
        references: Vec<Reference>,
        (known, asked): (&mut Vec<(String, String)>, &mut usize),
    ) -> Result<(), FetchError> {
        for Reference { name, subject, version } in references {
            if known.iter().any(|(other, _)| *other == name) {
                continue;
            }
            *asked += 1;
            if *asked > REFERENCES_MAX || depth >= DEPTH_MAX {
                return Err(FetchError::References { id });
            }
            let path = format!("/subjects/{}/versions/{version}?deleted=true", encoded(&subject));
            let answer = self.ask(base, id, &path).await?;
            let within = answer.references.unwrap_or_default();
            Box::pin(self.resolve(base, (id, depth + 1), within, (&mut *known, &mut *asked))).await?;
            known.push((name, answer.schema));
        }
        Ok(())
    }

    async fn ask(&self, base: &Base, id: SchemaId, path: &str) -> Result<Answer, FetchError> {
        let url = || base.url.clone();
        let answered = tokio::time::timeout(TIMEOUT, self.get(base, path)).await;
        let (status, body) = answered.map_err(|_| FetchError::Timeout { url: url() })??;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|source| FetchError::Json { url: url(), source }),
            StatusCode::NOT_FOUND => Err(FetchError::Unknown { url: url(), id }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(FetchError::Refused { url: url(), status: status.as_u16() })
            }
            other => Err(FetchError::Status { url: url(), status: other.as_u16(), path: path.to_owned() }),
        }
    }

    async fn get(&self, base: &Base, path: &str) -> Result<(StatusCode, Bytes), FetchError> {
        let connect = |source| FetchError::Connect { url: base.url.clone(), source };
        let socket = TcpStream::connect((base.host.as_str(), base.port)).await.map_err(connect)?;
        match &self.inner.tls {
            Some(tls) if base.is_tls => {
                let name = ServerName::try_from(base.host.clone()).map_err(|error| connect(io::Error::other(error)))?;
                let socket = tls.connect(name, socket).await.map_err(connect)?;
                self.exchange(base, path, socket).await
            }
            _ => self.exchange(base, path, socket).await,
        }
    }

    async fn exchange<S>(&self, base: &Base, path: &str, socket: S) -> Result<(StatusCode, Bytes), FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |what: String| FetchError::Answer { url: base.url.clone(), what };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| failed(error.to_string()))?;
        let mut request = Request::get(format!("{}{path}", base.path))
            .header(HOST, format!("{}:{}", base.host, base.port))
            .header(ACCEPT, "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(authorization) = self.authorization().map_err(FetchError::Credentials)? {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(error.to_string()))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| failed(error.to_string()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| failed(error.to_string()))?.to_bytes()))
        };
        tokio::pin!(answer, connection);
        // The connection carries the request; when it ends first, the answer says why.
        let mut is_open = true;
        loop {
            tokio::select! {
                answered = &mut answer => return answered,
                _ = &mut connection, if is_open => is_open = false,
            }
        }
    }

    /// The header of basic authentication; secrets are read anew, so that they can be replaced.
    fn authorization(&self) -> Result<Option<String>, SettingError> {
        let Some((user, password)) = &self.inner.credentials else { return Ok(None) };
        let pair = format!("{}:{}", user.resolve()?, password.resolve()?);
        Ok(Some(format!("Basic {}", STANDARD.encode(pair))))
    }
}

impl Base {
    fn parse(url: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Url { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { url: url.to_owned(), is_tls, host, port, path })
    }
}

fn tls(path: &PathBuf) -> Result<TlsConnector, ClientError> {
    let failed = |source| ClientError::Authorities { path: path.clone(), source };
    let pem = std::fs::read(path).map_err(failed)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| failed(io::Error::other(error)))?;
        roots.add(certificate).map_err(|error| failed(io::Error::other(error)))?;
    }
    if roots.is_empty() {
        return Err(failed(io::Error::other("there is no PEM certificate in it")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring can do every version of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A subject as a part of a path.
fn encoded(subject: &str) -> String {
    let mut text = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
