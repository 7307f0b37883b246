//! Brokers that want to know who we are, and what is said when they do not like the answer.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::world::{World, is_running, variable};
use crate::support::process::halcyon;

const SECURE: &str = "HALCYON_KAFKA_SECURE";
const MUTUAL: &str = "HALCYON_KAFKA_MUTUAL";
const PASSWORD: &str = "env:HALCYON_KAFKA_PASSWORD";

/// A topology for another listener, with these properties; `what` names its file.
fn secured(world: &World, what: &str, (listener, kafka): (&str, &str), properties: &[(&str, &str)]) -> String {
    let properties: Vec<String> = properties.iter().map(|(name, value)| format!("\"{name}\" = {value:?}")).collect();
    let section = format!("[kafka.properties]\n{}\n", properties.join("\n"));
    let plain = format!("[\"{}\"]", variable("HALCYON_KAFKA"));
    world.variant(&format!("{}.toml", what.replace([' ', ','], "-")), |text| {
        text.replace(&plain, &format!("[\"{}\"]\n{kafka}", variable(listener)))
            .replace("[kafka.properties]\n", &section)
    })
}

fn tls(file: &str) -> String {
    format!("{}/{file}", variable("HALCYON_KAFKA_TLS"))
}

/// User, mechanism, password and authority for the listener with SASL.
fn user<'a>(name: &'a str, mechanism: &'a str, password: &'a str, ca: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanisms", mechanism),
        ("sasl.username", name),
        ("sasl.password", password),
        ("ssl.ca.location", ca),
    ]
}

fn scram<'a>(name: &'a str, password: &'a str, ca: &'a str) -> [(&'a str, &'a str); 5] {
    user(name, "SCRAM-SHA-256", password, ca)
}

fn with_tls<'a>(protocol: &'a str, ca: &'a str) -> [(&'a str, &'a str); 2] {
    [("security.protocol", protocol), ("ssl.ca.location", ca)]
}

fn mutual<'a>(certificate: &'a str, key: &'a str, ca: &'a str) -> [(&'a str, &'a str); 4] {
    let [protocol, ca] = with_tls("ssl", ca);
    [protocol, ca, ("ssl.certificate.location", certificate), ("ssl.key.location", key)]
}

fn oauth(ca: &str) -> [(&str, &str); 3] {
    let [protocol, ca] = with_tls("sasl_ssl", ca);
    [protocol, ca, ("sasl.mechanisms", "OAUTHBEARER")]
}

fn run(topology: &str) -> (i32, String, String) {
    halcyon(&["run", "--topology", topology, "--until-caught-up", "--json", "--connect-timeout-ms", "20000"])
}

/// An unsecured JSON Web Token, as the broker's validator for tests takes it.
fn token(subject: &str, lifetime: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let claims = format!("{{\"sub\":\"{subject}\",\"iat\":{},\"exp\":{}}}", now - 5, now + lifetime);
    format!("{}.{}.", base64("{\"alg\":\"none\"}"), base64(&claims))
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|at| out.push(char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63])));
    }
    out
}

#[test]
fn every_way_in_is_open_to_who_may_enter() {
    if !is_running() {
        return;
    }
    let world = World::new("entered");
    let ca = tls("ca.pem");
    let mut sent = 0;
    let mut enters = |what: &str, place: (&str, &str), properties: &[(&str, &str)]| {
        world.send(sent..sent + 100, 100_000);
        sent += 100;
        let (code, out, error) = run(&secured(&world, what, place, properties));
        assert_eq!(code, 0, "{what}: {error}");
        assert!(out.contains("\"events\":100"), "{what}: {out}");
    };
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        enters(mechanism, (SECURE, ""), &user("halcyon", mechanism, PASSWORD, &ca));
    }
    enters("mutual TLS", (MUTUAL, ""), &mutual(&tls("client.crt"), &tls("client.key"), &ca));
    let file = world.file("token", &token("halcyon", 600));
    enters("token from a file", (SECURE, &format!("oauth_token = \"file:{file}\"")), &oauth(&ca));
    let command = format!("oauth_token = [\"cat\", \"{file}\"]");
    enters("token from a command", (SECURE, &command), &oauth(&ca));
    world.assert_equal(sent);
    let status = secured(&world, "status", (SECURE, &command), &oauth(&ca));
    let (code, out, error) = halcyon(&["status", "--topology", &status]);
    assert_eq!(code, 0, "{out}{error}");
}

#[test]
fn whoever_may_not_enter_is_told_why_in_one_sentence_and_no_secret_is_shown() {
    if !is_running() {
        return;
    }
    let world = World::new("refused");
    let (ca, other) = (tls("ca.pem"), tls("other.pem"));
    let wrong = format!("file:{}", world.file("wrong-password", "not-the-password\n"));
    let expired = format!("oauth_token = \"file:{}\"", world.file("expired", &token("halcyon", -60)));
    let case = |what: &'static str, place: (&str, &str), properties: &[(&str, &str)], part: &'static str| {
        (what, secured(&world, what, place, properties), part)
    };
    let (credentials, certificate) = ("does not take the user and password", "does not take the client's certificate");
    let foreign = (tls("stranger.crt"), tls("stranger.key"));
    let misnamed = ("HALCYON_KAFKA_MISNAMED", "");
    let cases = [
        case("wrong password", (SECURE, ""), &scram("halcyon", &wrong, &ca), credentials),
        case("wrong password, plain", (SECURE, ""), &user("halcyon", "PLAIN", &wrong, &ca), credentials),
        case("untrusted", (SECURE, ""), &scram("halcyon", PASSWORD, &other), "certificate is not trusted; `ssl.ca"),
        case("wrong host", misnamed, &scram("halcyon", PASSWORD, &ca), "certificate is for another host"),
        case("plain text to TLS", (SECURE, ""), &[("security.protocol", "plaintext")], "the port speaks TLS"),
        case("TLS to plain text", ("HALCYON_KAFKA", ""), &with_tls("ssl", &ca), "the port does not speak TLS"),
        case("no certificate", (MUTUAL, ""), &with_tls("ssl", &ca), certificate),
        case("foreign certificate", (MUTUAL, ""), &mutual(&foreign.0, &foreign.1, &ca), certificate),
        case("no rights", (SECURE, ""), &scram("stranger", PASSWORD, &ca), "does not let this user see topic"),
        case("expired token", (SECURE, &expired), &oauth(&ca), "no OAuth token: the token has expired"),
    ];
    let (password, began) = (variable("HALCYON_KAFKA_PASSWORD"), Instant::now());
    for (what, topology, part) in cases {
        let (code, out, error) = run(&topology);
        let last = error.lines().last().unwrap_or_default();
        println!("{:5.1} s  {what}: {last}", began.elapsed().as_secs_f64());
        assert_eq!(code, 1, "{what}: {error}");
        assert!(last.contains(part), "{what}: {error}");
        for secret in [&*password, "not-the-password"] {
            assert!(!error.contains(secret) && !out.contains(secret), "{what} shows a secret");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(100), "lasting troubles are not waited for");
}
