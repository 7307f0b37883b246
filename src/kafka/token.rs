//! OAuth tokens for SASL OAUTHBEARER: read anew from where the topology says whenever librdkafka asks for one.
//!
//! A file (a projected service-account token, a side-car's output), a variable, or a command that prints a token (an
//! identity provider's tool, a signer). The library's own client-credentials flow would link libcurl into every build.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;

use crate::topology::TokenSource;
use crate::topology::setting::SettingError;

/// How long a token is taken to be good that does not say so itself.
const OPAQUE_LIFETIME: Duration = Duration::from_mins(5);
/// How long a command may take: librdkafka's thread of callbacks waits for it.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at a command.
const COMMAND_LOOK: Duration = Duration::from_millis(10);
/// A pipe holds as much; a longer output is no token.
const TOKEN_BYTES_MAX: u64 = 64 << 10;
/// What a token is called that names no subject. The broker takes the name from the token itself.
const PRINCIPAL: &str = "halcyon";

/// Why there is no token. No part of a token is in it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The topology names none.
    #[error("the topology has no `oauth_token`; say where the token is: \"file:PATH\", \"env:NAME\" or a command")]
    None,
    /// The reference has no value.
    #[error("{}", crate::error_chain::chain(.0))]
    Setting(SettingError),
    /// The command does not run.
    #[error("run `{command}`: {source}")]
    Command {
        /// Its program.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// The command failed or took too long.
    #[error("`{command}` {what}")]
    Failed {
        /// Its program.
        command: String,
        /// How it ended.
        what: String,
    },
    /// What was read is no token.
    #[error("what `oauth_token` refers to is empty or no text")]
    Empty,
    /// The token is no longer good.
    #[error("the token has expired; whatever renews it does not")]
    Expired,
}

/// Reads a token.
///
/// # Errors
/// [`TokenError`]
pub fn fetch(source: Option<&TokenSource>, now_ms: i64) -> Result<OAuthToken, TokenError> {
    let text = match source {
        None => return Err(TokenError::None),
        Some(TokenSource::Setting(setting)) => setting.resolve().map_err(TokenError::Setting)?,
        Some(TokenSource::Command(command)) => output(command)?,
    };
    let token = text.trim();
    if token.is_empty() || !token.is_ascii() {
        return Err(TokenError::Empty);
    }
    let (subject, expires_ms) = claims(token);
    let lifetime_ms = expires_ms.unwrap_or_else(|| now_ms + OPAQUE_LIFETIME.as_millis() as i64);
    if lifetime_ms <= now_ms {
        return Err(TokenError::Expired);
    }
    let principal_name = subject.unwrap_or_else(|| PRINCIPAL.to_owned());
    Ok(OAuthToken { token: token.to_owned(), principal_name, lifetime_ms })
}

/// Subject and end of a JSON Web Token; of another token neither is known.
fn claims(token: &str) -> (Option<String>, Option<i64>) {
    let claims = || {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<serde_json::Value>(&payload).ok()
    };
    let Some(claims) = claims() else { return (None, None) };
    let subject = claims.get("sub").and_then(serde_json::Value::as_str);
    let subject = subject.filter(|subject| !subject.is_empty() && !subject.contains('\0'));
    let expires = claims.get("exp").and_then(serde_json::Value::as_f64);
    (subject.map(str::to_owned), expires.map(|seconds| (seconds * 1000.0) as i64))
}

fn output(command: &[String]) -> Result<String, TokenError> {
    let Some((program, arguments)) = command.split_first() else { return Err(TokenError::None) };
    let failed = |source| TokenError::Command { command: program.clone(), source };
    let ended = |what: String| TokenError::Failed { command: program.clone(), what };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + COMMAND_TIMEOUT;
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                child.kill().ok();
                child.wait().ok();
                return Err(ended(format!("did not end within {} s", COMMAND_TIMEOUT.as_secs())));
            }
            None => std::thread::park_timeout(COMMAND_LOOK),
        }
    };
    if !status.success() {
        return Err(ended(format!("ended with {status}")));
    }
    let mut text = String::new();
    let Some(out) = child.stdout.take() else { return Err(TokenError::Empty) };
    out.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Setting;

    fn jwt(claims: &str) -> String {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
    }

    fn plain(token: &str) -> TokenSource {
        TokenSource::Setting(Setting::Plain(token.to_owned()))
    }

    fn shell(script: &str) -> TokenSource {
        TokenSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn a_web_token_says_whose_it_is_and_how_long_it_is_good() {
        let token = jwt(r#"{"sub":"updater","exp":1700000000.5}"#);
        let fetched = fetch(Some(&plain(&format!("{token}\n"))), 0).expect("a token");
        assert_eq!(
            (fetched.token, fetched.principal_name, fetched.lifetime_ms),
            (token, "updater".to_owned(), 1_700_000_000_500)
        );
    }

    #[test]
    fn another_token_is_read_again_soon() {
        let fetched = fetch(Some(&plain("opaque")), 1000).expect("a token");
        assert_eq!((&*fetched.token, &*fetched.principal_name, fetched.lifetime_ms), ("opaque", "halcyon", 301_000));
    }

    #[test]
    fn an_old_token_is_not_shown_to_the_broker() {
        let error = fetch(Some(&plain(&jwt(r#"{"sub":"updater","exp":10}"#))), 10_000).err().expect("expired");
        assert!(matches!(error, TokenError::Expired));
    }

    #[test]
    fn a_command_prints_the_token() {
        assert_eq!(fetch(Some(&shell("echo opaque")), 0).expect("a token").token, "opaque");
    }

    #[test]
    fn a_command_that_fails_is_named_without_what_it_printed() {
        let error = fetch(Some(&shell("echo secret; exit 3")), 0).err().expect("failed").to_string();
        assert!(error.starts_with("`sh` ended with") && !error.contains("secret"), "{error}");
        let missing = TokenSource::Command(vec!["halcyon-no-such-program".to_owned()]);
        let error = fetch(Some(&missing), 0).err().expect("no program").to_string();
        assert!(error.starts_with("run `halcyon-no-such-program`"), "{error}");
        assert!(matches!(fetch(Some(&shell("true")), 0).err(), Some(TokenError::Empty)));
    }
}
