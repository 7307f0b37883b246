//! TLS and mutual TLS: who is trusted, who is not, and what changes while the process runs.

use std::path::PathBuf;
use std::sync::Arc;

use hbase::security::{CertificateFault, Identity, Security, SecurityError, Tls};
use hbase::server::Cluster;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::{behind, client, gate, refused};

/// A certificate authority with a folder for what it vouches for.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

struct Signed {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let authority =
            Self { folder: TempDir::new().expect("a folder"), issuer: Issuer::new(params, key), certificate };
        std::fs::write(authority.path("ca.pem"), authority.certificate.pem()).expect("written");
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        Signed { certificate: params.signed_by(&key, &self.issuer).expect("signed"), key }
    }

    /// Puts a client's certificate and key where `identity` names them.
    fn write_identity(&self, signed: &Signed) {
        std::fs::write(self.path("client.crt"), signed.certificate.pem()).expect("written");
        std::fs::write(self.path("client.key"), signed.key.serialize_pem()).expect("written");
    }

    fn tls(&self) -> Tls {
        Tls::new(self.path("ca.pem"))
    }

    fn identity(&self) -> Identity {
        Identity { certificate: self.path("client.crt"), key: self.path("client.key") }
    }

    /// What a server of this authority's, with this certificate, speaks; `clients` are those it wants certificates of.
    fn acceptor(
        &self,
        signed: &Signed,
        clients: Option<&Self>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
        let builder = builder.expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certificate.der().clone()).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::try_from(signed.key.serialize_der()).expect("a key");
        let config = builder.with_single_cert(vec![signed.certificate.der().clone()], key).expect("a pair");
        TlsAcceptor::from(Arc::new(config))
    }
}

const ALL: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// A gate that speaks TLS before a cluster.
async fn before(cluster: &Cluster, acceptor: TlsAcceptor) -> String {
    let address = behind(cluster);
    gate(move |socket| {
        let (acceptor, address) = (acceptor.clone(), address.clone());
        async move {
            let mut inside = TcpStream::connect(address).await?;
            copy_bidirectional(&mut acceptor.accept(socket).await?, &mut inside).await?;
            Ok(())
        }
    })
    .await
}

fn secured(tls: Tls) -> Security {
    Security { tls: Some(tls), ..Security::default() }
}

#[tokio::test]
async fn both_versions_of_tls_carry_calls() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let authority = Authority::new();
    let server = authority.sign("localhost", |_| {});
    let plain = client(&behind(&cluster), Security::default()).cluster_id().await.expect("an id");
    for version in [&version::TLS12, &version::TLS13] {
        let address = before(&cluster, authority.acceptor(&server, None, &[version])).await;
        let id = client(&address, secured(authority.tls())).cluster_id().await.expect("an id");
        assert_eq!(id, plain, "{version:?}");
    }
}

#[tokio::test]
async fn certificates_that_must_not_be_trusted_are_told_apart() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let authority = Authority::new();
    let faults = |signed: Signed, tls: Tls| {
        let acceptor = authority.acceptor(&signed, None, ALL);
        let cluster = &cluster;
        async move {
            let address = before(cluster, acceptor).await;
            match refused(&client(&address, secured(tls))).await {
                SecurityError::Certificate { server, fault } => {
                    assert_eq!(server, address);
                    fault
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let expired = authority.sign("localhost", |params| params.not_after = date_time_ymd(2001, 1, 1));
    assert_eq!(faults(expired, authority.tls()).await, CertificateFault::Expired);
    let future = authority.sign("localhost", |params| params.not_before = date_time_ymd(4000, 1, 1));
    assert_eq!(faults(future, authority.tls()).await, CertificateFault::NotYetValid);
    let elsewhere = authority.sign("elsewhere", |_| {});
    let wrong = CertificateFault::WrongName { expected: "localhost".to_owned() };
    assert_eq!(faults(elsewhere, authority.tls()).await, wrong);
    let stranger = Authority::new();
    let unknown = faults(authority.sign("localhost", |_| {}), stranger.tls()).await;
    assert_eq!(unknown, CertificateFault::UnknownIssuer);
}

#[tokio::test]
async fn the_expected_name_can_be_another_than_the_dialled_one() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let authority = Authority::new();
    let elsewhere = authority.sign("elsewhere.example.com", |_| {});
    let address = before(&cluster, authority.acceptor(&elsewhere, None, ALL)).await;
    let named = |name: &str| secured(Tls { server_name: Some(name.to_owned()), ..authority.tls() });
    client(&address, named("elsewhere.example.com")).cluster_id().await.expect("an id");
    let error = refused(&client(&address, named("no name"))).await;
    assert!(matches!(&error, SecurityError::ServerName { name } if name == "no name"), "{error:?}");
}

#[tokio::test]
async fn a_client_without_a_good_certificate_is_told_to_show_one() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.sign("localhost", |_| {});
    authority.write_identity(&authority.sign("client", |_| {}));
    stranger.write_identity(&stranger.sign("client", |_| {}));
    // With 1.2 the handshake itself fails; with 1.3 the refusal comes when the client believes it is through.
    for version in [&version::TLS12, &version::TLS13] {
        let address = before(&cluster, authority.acceptor(&server, Some(&authority), &[version])).await;
        let shown = |identity| secured(Tls { identity, ..authority.tls() });
        client(&address, shown(Some(authority.identity()))).cluster_id().await.expect("a good one");
        for identity in [None, Some(stranger.identity())] {
            let error = refused(&client(&address, shown(identity))).await;
            assert!(matches!(error, SecurityError::IdentityRefused { .. }), "{version:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn replaced_files_are_used_by_the_next_connection_without_a_restart() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let (old, new) = (Authority::new(), Authority::new());
    old.write_identity(&old.sign("client", |_| {}));
    let config = secured(Tls { identity: Some(old.identity()), ..old.tls() });
    let server = old.sign("localhost", |_| {});
    // The gate wants clients of the new authority; the servers' certificates stay.
    let address = before(&cluster, old.acceptor(&server, Some(&new), ALL)).await;
    let client = client(&address, config);
    assert!(matches!(refused(&client).await, SecurityError::IdentityRefused { .. }));
    // Half a replacement does not fit together: the old pair stays in use.
    let signed = new.sign("client", |_| {});
    std::fs::write(old.path("client.crt"), signed.certificate.pem()).expect("written");
    let error = loop {
        // A server that has just failed is left alone for a moment.
        match client.cluster_id().await.expect_err("refused") {
            error if error.is_transient() => tokio::task::yield_now().await,
            error => break error,
        }
    };
    assert!(matches!(super::security_error(&error), SecurityError::IdentityRefused { .. }), "{error:?}");
    std::fs::write(old.path("client.key"), signed.key.serialize_pem()).expect("written");
    client.cluster_id().await.expect("the new pair is shown");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    authority.write_identity(&authority.sign("client", |_| {}));
    let empty = authority.path("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let missing = authority.path("missing.pem");
    let address = gate(|_| std::future::ready(Ok(()))).await;
    let other_key = authority.path("other.key");
    std::fs::write(&other_key, KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    let shown = |certificate: &PathBuf, key: &PathBuf| Tls {
        identity: Some(Identity { certificate: certificate.clone(), key: key.clone() }),
        ..authority.tls()
    };
    let identity = authority.identity();
    let wrong = [
        (Tls::new(&missing), "certificate authority", &missing),
        (Tls::new(&empty), "certificate authority", &empty),
        (shown(&empty, &identity.key), "certificate", &empty),
        (shown(&identity.certificate, &empty), "private key", &empty),
        (shown(&identity.certificate, &other_key), "private key", &other_key),
    ];
    for (tls, expected, at) in wrong {
        match refused(&client(&address, secured(tls))).await {
            SecurityError::File { what, path, .. } | SecurityError::Unusable { what, path, .. } => {
                assert_eq!((what, &path), (expected, at));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_from_one_that_is_not_trusted() {
    let cluster = Cluster::start(1).await.expect("free ports");
    let error = client(&behind(&cluster), secured(Authority::new().tls())).cluster_id().await;
    let error = error.expect_err("the cluster in process has no TLS");
    // It closes at once or answers what is no TLS; neither is a certificate's fault.
    let chain = error.chain();
    assert!(!chain.contains("trust") && !chain.contains("authorit"), "{chain}");
}
