//! Whatever is printed or logged, no secret is in it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hbase::client::ClientConfig;
use hbase::registry::Registry;
use hbase::security::{Authentication, Security, Tokens};
use hbase::server::Cluster;
use hbase::wire::message::{GetAuthenticationTokenResponse, TokenMessage};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::client;
use super::token::{Behaviour, PASSWORD, before, token};

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = writeln!(self.0.lock().expect("no panic"), "{field} = {value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn shows_no_secret(text: &str) {
    for secret in [std::str::from_utf8(PASSWORD).expect("text"), &BASE64.encode(PASSWORD), &format!("{PASSWORD:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn nothing_that_holds_a_secret_shows_it() {
    let authentication = Authentication::Tokens(Tokens::new(token()));
    let security = Security { authentication, ..Security::default() };
    let config = ClientConfig {
        security: security.clone(),
        ..ClientConfig::new(Registry::Rpc { servers: vec!["localhost:1".to_owned()] })
    };
    let message = TokenMessage { password: Some(token().password().clone()), ..TokenMessage::default() };
    let answer = GetAuthenticationTokenResponse { token: Some(message.clone()) };
    let shown = format!(
        "{:?} {security:?} {config:?} {message:?} {answer:?} {:?}",
        token(),
        client("localhost:1", security.clone())
    );
    assert!(shown.contains("cluster_id"), "{shown}");
    shows_no_secret(&shown);
}

#[test]
fn an_authentication_logs_no_secret_whether_it_succeeds_or_not() {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let errors = tracing::subscriber::with_default(log.clone(), || {
        runtime.block_on(async {
            let cluster = Cluster::start(1).await.expect("free ports");
            let mut errors = String::new();
            for behaviour in [Behaviour::Honest, Behaviour::Impostor, Behaviour::Refuses, Behaviour::SwitchesToSimple] {
                let address = before(&cluster, behaviour, "auth").await;
                let authentication = Authentication::Tokens(Tokens::new(token()));
                let client = client(&address, Security { authentication, ..Security::default() });
                if let Err(error) = client.cluster_id().await {
                    let _ = writeln!(errors, "{error:?} {}", error.chain());
                }
            }
            tracing::info!(password = "the log works");
            errors
        })
    });
    assert_eq!(errors.lines().count(), 3, "{errors}");
    shows_no_secret(&errors);
    let logged = log.0.lock().expect("no panic").clone();
    assert!(logged.contains("the log works"), "{logged}");
    shows_no_secret(&logged);
}
