//! What the security properties of `[kafka.properties]` must say together: librdkafka finds such mistakes late, one at a
//! time, or not at all.

use std::collections::BTreeMap;

use super::source::Node;
use super::{Setting, TokenSource, suggest};

/// Properties by name, with where they stand.
pub(super) type Properties<'n, 'a> = BTreeMap<&'n str, (&'n Setting, &'n Node<'a>)>;

const PROTOCOLS: &[&str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"];
/// Both are names of the same property; librdkafka prefers the first.
const MECHANISM: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];

/// Whether the value of a property never stands in a topology file.
pub(super) fn is_secret(name: &str) -> bool {
    ["password", "secret", "passphrase"].iter().any(|part| name.contains(part)) || name.ends_with("key.pem")
}

/// Notes every contradiction. Values that are references are not looked at: they are read when a client is made.
pub(super) fn check(kafka: &Node<'_>, properties: &Properties<'_, '_>, token: Option<&TokenSource>) {
    let protocol = protocol(properties);
    let mechanism = mechanism(properties);
    if let Some((name, (_, node))) = properties.iter().find(|(name, _)| name.starts_with("sasl."))
        && protocol.as_deref().is_some_and(|protocol| !protocol.starts_with("sasl_"))
    {
        node.mistake_at_key(
            format!("`{name}` does nothing without SASL"),
            Some("\"security.protocol\" = \"sasl_ssl\" (or \"sasl_plaintext\")".to_owned()),
        );
    }
    if protocol.as_deref().is_some_and(|protocol| protocol.starts_with("sasl_")) {
        sasl(kafka, properties, mechanism.as_deref(), token);
        if protocol.as_deref() == Some("sasl_plaintext") && mechanism.as_deref() == Some("PLAIN") {
            kafka.warn(
                "the password is sent in plain text",
                "\"security.protocol\" = \"sasl_ssl\", or a SCRAM mechanism",
            );
        }
    }
    if token.is_some() && mechanism.as_deref().is_some_and(|mechanism| mechanism != "OAUTHBEARER") {
        kafka.mistake_at_key("`oauth_token` is for SASL OAUTHBEARER".to_owned(), mechanism_hint("OAUTHBEARER"));
    }
    tls(properties);
}

fn protocol(properties: &Properties<'_, '_>) -> Option<String> {
    // Without the property Kafka is spoken to in plain text.
    let Some((setting, node)) = properties.get("security.protocol") else { return Some("plaintext".to_owned()) };
    let Setting::Plain(text) = setting else { return None };
    let text = text.to_ascii_lowercase();
    if !PROTOCOLS.contains(&text.as_str()) {
        let hint = suggest::hint(&text, PROTOCOLS.iter().copied());
        node.mistake_hint(format!("`security.protocol` has no value `{text}`"), hint.unwrap_or_default());
        return None;
    }
    if text.ends_with("ssl") && !cfg!(feature = "ssl") && !cfg!(feature = "ssl-vendored") {
        node.mistake_hint("this program was built without TLS toward Kafka", "build it with the feature `ssl`");
    }
    Some(text)
}

/// The mechanism; without the property librdkafka takes GSSAPI.
fn mechanism(properties: &Properties<'_, '_>) -> Option<String> {
    let (setting, node) = MECHANISM.iter().find_map(|name| properties.get(name))?;
    let Setting::Plain(text) = setting else { return None };
    if !MECHANISMS.contains(&text.as_str()) {
        let hint = suggest::hint(text, MECHANISMS.iter().copied());
        node.mistake_hint(format!("there is no SASL mechanism `{text}`"), hint.unwrap_or_default());
        return None;
    }
    if text == "GSSAPI" && !cfg!(feature = "kafka-gssapi") {
        node.mistake_hint(
            "this program was built without Kerberos toward Kafka",
            "build it with the feature `kafka-gssapi` (needs libsasl2-dev)",
        );
    }
    Some(text.clone())
}

fn sasl(kafka: &Node<'_>, properties: &Properties<'_, '_>, mechanism: Option<&str>, token: Option<&TokenSource>) {
    if !MECHANISM.iter().any(|name| properties.contains_key(name)) {
        kafka.mistake_at_key(
            "`security.protocol` asks for SASL, but nothing says which".to_owned(),
            mechanism_hint("SCRAM-SHA-512"),
        );
    }
    match mechanism {
        Some("OAUTHBEARER") if token.is_none() => kafka.mistake_at_key(
            "SASL OAUTHBEARER needs a token".to_owned(),
            Some("oauth_token = \"file:PATH\", \"env:NAME\", or a command [\"program\", \"argument\"]".to_owned()),
        ),
        Some("OAUTHBEARER") => {}
        Some(mechanism) if mechanism != "GSSAPI" => {
            for (name, example) in [("sasl.username", "halcyon"), ("sasl.password", "env:KAFKA_PASSWORD")] {
                if !properties.contains_key(name) {
                    kafka.mistake_at_key(
                        format!("SASL {mechanism} needs `{name}`"),
                        Some(format!("\"{name}\" = \"{example}\" under [kafka.properties]")),
                    );
                }
            }
        }
        _ => {}
    }
}

fn mechanism_hint(example: &str) -> Option<String> {
    Some(format!("\"sasl.mechanisms\" = \"{example}\"; there are {}", MECHANISMS.join(", ")))
}

fn tls(properties: &Properties<'_, '_>) {
    let pair = ["ssl.certificate.location", "ssl.key.location"];
    let [certificate, key] = pair.map(|name| properties.get(name));
    // A certificate's file may hold its key; a key alone shows nothing.
    if let (None, Some((_, node))) = (certificate, key) {
        node.mistake_at_key(
            "`ssl.key.location` without `ssl.certificate.location`".to_owned(),
            Some("mutual TLS needs both".to_owned()),
        );
    }
    let off = |name: &str, values: &[&str]| {
        let Some((Setting::Plain(text), node)) = properties.get(name) else { return };
        if values.contains(&text.to_ascii_lowercase().as_str()) {
            let hint = "anybody between here and the broker can read and change everything";
            node.warn(format!("`{name} = {text}` gives up what TLS is for"), hint);
        }
    };
    off("enable.ssl.certificate.verification", &["false", "0", "f"]);
    off("ssl.endpoint.identification.algorithm", &["none"]);
}

#[cfg(test)]
mod tests {
    use super::is_secret;
    use crate::topology::load::parse;

    const STACK: &str = include_str!("../../topology/stack.toml");

    /// What is wrong, and what is doubtful, with these lines in `[kafka]` and `[kafka.properties]`.
    fn said(kafka: &str, properties: &str) -> (Vec<String>, Vec<String>) {
        let section = format!("[kafka]\n{kafka}\n");
        let text = STACK.replacen("[kafka]\n", &section, 1).replacen(
            "[topic.",
            &format!("[kafka.properties]\n{properties}\n[topic."),
            1,
        );
        let strings =
            |mistakes: &[crate::topology::mistake::Mistake]| mistakes.iter().map(ToString::to_string).collect();
        match parse("t.toml", &text, &|_| None) {
            Ok(loaded) => (Vec::new(), strings(&loaded.warnings)),
            Err(mistakes) => (strings(&mistakes.0), Vec::new()),
        }
    }

    fn one_mistake(kafka: &str, properties: &str, part: &str) {
        let (mistakes, _) = said(kafka, properties);
        assert!(mistakes.len() == 1 && mistakes[0].contains(part), "{properties}: {mistakes:#?}");
    }

    const SCRAM: &str = "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanisms\" = \"SCRAM-SHA-512\"\n\
                         \"sasl.username\" = \"u\"\n\"sasl.password\" = \"env:PASSWORD\"";

    #[test]
    fn every_way_to_a_secured_broker_is_accepted() {
        let oauth = "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"OAUTHBEARER\"";
        let tls = "\"security.protocol\" = \"ssl\"\n\"ssl.ca.location\" = \"ca.pem\"\n\"ssl.certificate.location\" = \"c\"\n\
                   \"ssl.key.location\" = \"k\"\n\"ssl.key.password\" = \"file:p\"";
        for (kafka, properties) in [
            ("", SCRAM),
            ("oauth_token = \"file:token\"", oauth),
            ("oauth_token = [\"print-token\", \"--for\", \"kafka\"]", oauth),
            ("", tls),
            ("group_protocol = \"consumer\"", "\"group.remote.assignor\" = \"uniform\""),
        ] {
            assert_eq!(said(kafka, properties), (vec![], vec![]), "{properties}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_found() {
        one_mistake("", &SCRAM.replace("sasl_ssl", "ssl"), "does nothing without SASL");
        one_mistake("", &SCRAM.replace("\"security.protocol\" = \"sasl_ssl\"\n", ""), "does nothing without SASL");
        one_mistake("", &SCRAM.replace("sasl_ssl", "sasl_tls"), "has no value `sasl_tls`");
        one_mistake("", &SCRAM.replace("SCRAM-SHA-512", "SCRAM-SHA-1"), "no SASL mechanism `SCRAM-SHA-1`");
        one_mistake("", &SCRAM.replace("\"sasl.username\" = \"u\"\n", ""), "needs `sasl.username`");
        one_mistake("", "\"security.protocol\" = \"sasl_ssl\"", "nothing says which");
        one_mistake(
            "",
            "\"security.protocol\" = \"ssl\"\n\"ssl.key.location\" = \"k\"",
            "without `ssl.certificate.location`",
        );
        let oauth = "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanisms\" = \"OAUTHBEARER\"";
        one_mistake("", oauth, "needs a token");
        one_mistake("oauth_token = \"file:t\"", SCRAM, "`oauth_token` is for SASL OAUTHBEARER");
        one_mistake("", "\"sasl.oauthbearer.method\" = \"oidc\"", "halcyon's own");
        one_mistake("group_protocol = \"consumer\"", "\"session.timeout.ms\" = \"6000\"", "is the broker's to set");
        one_mistake("", "\"group.remote.assignor\" = \"uniform\"", "only by KIP-848");
        one_mistake("", "\"group.protocol\" = \"consumer\"", "halcyon's own");
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_not_repeated() {
        let (mistakes, _) = said("oauth_token = \"eyJhbGciOi\"", &SCRAM.replace("env:PASSWORD", "hunter2"));
        assert_eq!(mistakes.len(), 3, "the password, the lack of one, the token: {mistakes:#?}");
        assert!(
            !mistakes.iter().any(|mistake| mistake.contains("hunter2") || mistake.contains("eyJhbGciOi")),
            "{mistakes:#?}"
        );
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
        ] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("sasl.username") && !is_secret("ssl.key.location"));
    }

    #[test]
    fn what_gives_security_up_is_warned_about() {
        let (_, warnings) =
            said("", "\"security.protocol\" = \"ssl\"\n\"enable.ssl.certificate.verification\" = \"false\"");
        assert!(warnings.iter().any(|warning| warning.contains("gives up what TLS is for")), "{warnings:#?}");
        let (_, warnings) = said("", &SCRAM.replace("sasl_ssl", "sasl_plaintext").replace("SCRAM-SHA-512", "PLAIN"));
        assert!(warnings.iter().any(|warning| warning.contains("in plain text")), "{warnings:#?}");
    }
}
