//! Why brokers are not reached, in one sentence with the next step. librdkafka knows the cause only as text of a log line;
//! this is the one place that reads it. The texts are those of librdkafka 2.12 and of OpenSSL 3, and tests on a real
//! broker hold them.

use std::fmt;

use rdkafka::error::RDKafkaErrorCode;

/// A cause that trying again does not mend by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Wrong user or password, or a token that the broker does not take.
    Credentials {
        /// What the broker said of it.
        mechanism: Option<String>,
    },
    /// The broker does not offer the mechanism.
    Mechanism,
    /// The broker's certificate leads to no authority that we trust, or is for another host.
    Certificate,
    /// The broker's certificate is trusted, but for another host than the one that was dialled.
    HostName,
    /// The broker wants to see a certificate of ours, or does not trust the one it saw.
    ClientCertificate,
    /// We speak in plain text to a port that speaks TLS.
    TlsExpected,
    /// We speak TLS to a port that does not.
    PlaintextExpected,
    /// No token could be had.
    Token {
        /// Why; no token is in it.
        reason: String,
    },
    /// The host has no address.
    UnknownHost,
    /// Nothing listens there.
    Refused,
}

impl Trouble {
    /// What a text of librdkafka says, if it is one of the known causes.
    #[must_use]
    pub fn read(reason: &str) -> Option<Self> {
        let has = |part: &str| reason.contains(part);
        if has("Unsupported SASL mechanism")
            || has("is not enabled in the server")
            || has("SASL mechanism handshake failed")
        {
            return Some(Self::Mechanism);
        }
        if has("SASL authentication error")
            || has("SASL authentication failed")
            || has("SaslAuthenticateRequest failed")
        {
            return Some(Self::Credentials { mechanism: mechanism(reason) });
        }
        if has("Failed to acquire SASL OAUTHBEARER token") {
            let reason = reason.rsplit("token: ").next().unwrap_or(reason);
            return Some(Self::Token { reason: reason.to_owned() });
        }
        if has("certificate verify failed") || has("Failed to verify broker certificate") {
            return Some(Self::Certificate);
        }
        if has("client SSL authentication might be required")
            || has("alert certificate required")
            || has("alert bad certificate")
            || has("alert unknown ca")
            || has("alert certificate unknown")
        {
            return Some(Self::ClientCertificate);
        }
        if has("connecting to a SSL listener") {
            return Some(Self::TlsExpected);
        }
        if has("connecting to a PLAINTEXT broker listener")
            || has("wrong version number")
            || has("packet length too long")
        {
            return Some(Self::PlaintextExpected);
        }
        if has("Failed to resolve") {
            return Some(Self::UnknownHost);
        }
        has("Connection refused").then_some(Self::Refused)
    }

    /// Whether waiting is in vain: nothing but a change of the topology, of a secret or of the broker's set-up helps.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Credentials { .. }
            | Self::Mechanism
            | Self::Certificate
            | Self::HostName
            | Self::ClientCertificate
            | Self::TlsExpected
            | Self::PlaintextExpected
            | Self::Token { .. } => true,
            Self::UnknownHost | Self::Refused => false,
        }
    }
}

/// Why a client has failed for good, with the next step.
#[must_use]
pub fn fatal(code: RDKafkaErrorCode, instance_id: Option<&str>) -> String {
    let instance = instance_id.unwrap_or_default();
    match code {
        RDKafkaErrorCode::UnreleasedInstanceId => format!(
            "the group has a member `{instance}` already; if that process was killed, start again when its session is over \
             (the broker's group.consumer.session.timeout.ms), else give this one another --group-instance-id"
        ),
        RDKafkaErrorCode::FencedInstanceId => format!(
            "another process has joined the group as `{instance}`; give each process its own --group-instance-id"
        ),
        _ => format!("kafka client failed for good: {code}; start again"),
    }
}

/// `... with SASL mechanism SCRAM-SHA-256 (after ...)`.
fn mechanism(reason: &str) -> Option<String> {
    let rest = reason.split("SASL mechanism ").nth(1)?;
    let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    (!name.is_empty()).then_some(name)
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials { mechanism } => {
                f.write_str("kafka does not take the user and password (or token)")?;
                if let Some(mechanism) = mechanism {
                    write!(f, " by {mechanism}")?;
                }
                f.write_str("; check `sasl.username`, what `sasl.password` or `oauth_token` refers to, and `sasl.mechanisms`")
            }
            Self::Mechanism => f.write_str(
                "the broker does not offer this SASL mechanism; set `sasl.mechanisms` to one of its \
                 `sasl.enabled.mechanisms`, and `security.protocol` to the listener's",
            ),
            Self::Certificate => f.write_str(
                "the broker's certificate is not trusted; `ssl.ca.location` must name the authority that signed it",
            ),
            Self::HostName => f.write_str(
                "the broker's certificate is for another host; write the name in the certificate as `brokers` and as the \
                 broker's `advertised.listeners`",
            ),
            Self::ClientCertificate => f.write_str(
                "the broker does not take the client's certificate, or there is none; `ssl.certificate.location` and \
                 `ssl.key.location` must name one that its authorities have signed",
            ),
            Self::TlsExpected => f.write_str(
                "the broker closed the connection at once: the port speaks TLS, but `security.protocol` does not; set it to \
                 \"ssl\" or \"sasl_ssl\"",
            ),
            Self::PlaintextExpected => f.write_str(
                "the port does not speak TLS, but `security.protocol` does; set it to \"plaintext\" or \"sasl_plaintext\", \
                 or name the TLS port in `brokers`",
            ),
            Self::Token { reason } => write!(f, "no OAuth token: {reason}"),
            Self::UnknownHost => f.write_str("a broker's host name has no address; check `brokers`"),
            Self::Refused => f.write_str("nothing listens at a broker's address; check `brokers` and that the brokers are up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_says_is_understood() {
        let scram = "sasl_ssl://localhost:9093/bootstrap: SASL authentication error: Authentication failed during \
                     authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256 (after 5ms in state AUTH_REQ)";
        let cases = [
            (scram, Trouble::Credentials { mechanism: Some("SCRAM-SHA-256".to_owned()) }),
            (
                "ssl://localhost:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
                 failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured",
                Trouble::Certificate,
            ),
            (
                "localhost:9093/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect \
                 security.protocol configuration (connecting to a SSL listener?) or broker version is < 0.10",
                Trouble::TlsExpected,
            ),
            (
                "ssl://localhost:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker \
                 listener? (after 2ms in state SSL_HANDSHAKE)",
                Trouble::PlaintextExpected,
            ),
            ("127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused", Trouble::Refused),
            (
                "Failed to acquire SASL OAUTHBEARER token: read file `/run/token`: No such file",
                Trouble::Token { reason: "read file `/run/token`: No such file".to_owned() },
            ),
        ];
        for (text, trouble) in cases {
            assert_eq!(Trouble::read(text), Some(trouble), "{text}");
        }
        assert_eq!(Trouble::read("1 request(s) timed out"), None);
    }

    #[test]
    fn a_broker_that_is_down_is_waited_for() {
        assert!(!Trouble::Refused.is_lasting() && !Trouble::UnknownHost.is_lasting());
        assert!(Trouble::Certificate.is_lasting());
    }
}
