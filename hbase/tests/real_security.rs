//! TLS, Kerberos and delegation tokens on a real cluster (`docker/stack/stack secure`).
//!
//! The cluster speaks TLS (and wants a certificate) and plain text on one port, and wants Kerberos on both; its clients
//! choose among all three protections. Without the feature `gssapi` only what needs no ticket is run.

use std::path::PathBuf;
use std::time::Duration;

use hbase::client::{Client, ClientConfig};
use hbase::error::Error;
use hbase::registry::Registry;
use hbase::rpc::connection::{CallError, ConnectionError};
use hbase::security::{Authentication, CertificateFault, Identity, Kerberos, Security, SecurityError, Tls};

#[cfg(feature = "gssapi")]
mod kerberos;

/// The secure cluster, as the environment describes it.
struct Secure {
    rpc: String,
    #[cfg_attr(not(feature = "gssapi"), expect(dead_code, reason = "only ticket holders get so far"))]
    zookeeper: String,
    principal: String,
    #[cfg_attr(not(feature = "gssapi"), expect(dead_code, reason = "only ticket holders need keytabs"))]
    keytabs: PathBuf,
    tls: PathBuf,
}

/// `None`, with the reason printed, if there is none.
fn secure() -> Option<Secure> {
    let variable = |name: &str| std::env::var(format!("HALCYON_SECURE_{name}"));
    if std::env::var("REAL").is_ok_and(|value| value == "1")
        && let Ok(rpc) = variable("RPC")
    {
        let variable = |name| variable(name).expect("the stack says it together with HALCYON_SECURE_RPC");
        return Some(Secure {
            rpc,
            zookeeper: variable("ZK"),
            principal: variable("PRINCIPAL"),
            keytabs: variable("KEYTABS").into(),
            tls: variable("TLS").into(),
        });
    }
    println!("skipped: REAL=1 and a secure stack are needed (`docker/stack/stack secure`)");
    None
}

impl Secure {
    fn registry(&self) -> Registry {
        Registry::Rpc { servers: vec![self.rpc.clone()] }
    }

    fn client(&self, security: Security) -> Client {
        let patient = Duration::from_secs(60);
        let config = ClientConfig::new(self.registry());
        Client::new(ClientConfig { connect_timeout: patient, rpc_timeout: patient, security, ..config })
    }

    /// TLS with the certificate that the cluster takes.
    fn tls(&self) -> Tls {
        let identity = Identity { certificate: self.tls.join("client.crt"), key: self.tls.join("client.key") };
        Tls { identity: Some(identity), ..Tls::new(self.tls.join("ca.pem")) }
    }

    fn kerberos(&self) -> Kerberos {
        Kerberos::new(&self.principal)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// Why the registry cannot be asked.
fn refusal(client: &Client) -> ConnectionCause {
    let error = block_on(client.cluster_id()).expect_err("refused");
    assert!(!error.is_transient(), "{}", error.chain());
    ConnectionCause::of(&error)
}

#[derive(Debug)]
enum ConnectionCause {
    Security(SecurityError),
    Exception(String),
}

impl ConnectionCause {
    fn of(error: &Error) -> Self {
        match error {
            Error::Registry { last: Some(last), .. } => Self::of(last),
            Error::Connection(cause) | Error::Call(CallError::Connection(cause)) => match &**cause {
                ConnectionError::Security(cause) => Self::Security(cause.clone()),
                ConnectionError::Refused(exception) => Self::Exception(exception.simple_class().to_owned()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_cluster_that_wants_kerberos_refuses_a_mere_name() {
    let Some(secure) = secure() else { return };
    let cause = refusal(&secure.client(Security::default()));
    assert!(matches!(&cause, ConnectionCause::Exception(class) if class == "AccessDeniedException"), "{cause:?}");
}

#[test]
fn mutual_tls_is_spoken_before_the_preamble() {
    let Some(secure) = secure() else { return };
    // The server has read our preamble through TLS: what it refuses is the missing ticket.
    let cause = refusal(&secure.client(Security { tls: Some(secure.tls()), ..Security::default() }));
    assert!(matches!(&cause, ConnectionCause::Exception(class) if class == "AccessDeniedException"), "{cause:?}");
}

#[test]
fn a_server_of_another_authority_is_not_trusted() {
    let Some(secure) = secure() else { return };
    let tls = Tls { authorities: vec![secure.tls.join("other.pem")], ..secure.tls() };
    let cause = refusal(&secure.client(Security { tls: Some(tls), ..Security::default() }));
    let ConnectionCause::Security(SecurityError::Certificate { fault, .. }) = &cause else { panic!("{cause:?}") };
    assert_eq!(*fault, CertificateFault::UnknownIssuer);
}

#[test]
fn a_server_of_another_name_is_not_trusted() {
    let Some(secure) = secure() else { return };
    let tls = Tls { server_name: Some("elsewhere.example.com".to_owned()), ..secure.tls() };
    let cause = refusal(&secure.client(Security { tls: Some(tls), ..Security::default() }));
    let ConnectionCause::Security(SecurityError::Certificate { fault, .. }) = &cause else { panic!("{cause:?}") };
    assert_eq!(*fault, CertificateFault::WrongName { expected: "elsewhere.example.com".to_owned() });
}

#[test]
fn a_client_of_another_authority_or_of_none_is_told_to_show_a_certificate() {
    let Some(secure) = secure() else { return };
    let stranger = Identity { certificate: secure.tls.join("stranger.crt"), key: secure.tls.join("stranger.key") };
    for identity in [None, Some(stranger)] {
        let tls = Tls { identity, ..secure.tls() };
        let cause = refusal(&secure.client(Security { tls: Some(tls), ..Security::default() }));
        assert!(matches!(cause, ConnectionCause::Security(SecurityError::IdentityRefused { .. })), "{cause:?}");
    }
}

#[cfg(not(feature = "gssapi"))]
#[test]
fn kerberos_without_its_feature_names_the_feature() {
    let Some(secure) = secure() else { return };
    let authentication = Authentication::Kerberos(secure.kerberos());
    let cause = refusal(&secure.client(Security { authentication, ..Security::default() }));
    let ConnectionCause::Security(error) = cause else { panic!("{cause:?}") };
    assert!(error.to_string().ends_with("build it with the feature `gssapi`"), "{error}");
}
