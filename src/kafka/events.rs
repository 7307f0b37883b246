//! What every client of ours does with librdkafka's callbacks: troubles are kept, so that a failure can be explained, and
//! tokens are fetched.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use super::token;
use super::trouble::Trouble;
use crate::clock::{Clock, SystemClock};
use crate::topology::{Kafka, TokenSource};

/// librdkafka connects again and again; the same cause is worth a line this often.
const REPEAT: Duration = Duration::from_secs(30);

/// Callbacks of a client.
#[derive(Debug)]
pub struct Events {
    token: Option<TokenSource>,
    trouble: Mutex<Option<Trouble>>,
    /// When each cause was told last; there are as many as librdkafka has codes, and the few of [`Trouble`].
    told: Mutex<BTreeMap<String, Instant>>,
}

impl Events {
    /// Callbacks of a client of this Kafka.
    #[must_use]
    pub fn new(kafka: &Kafka) -> Self {
        Self { token: kafka.oauth_token.clone(), trouble: Mutex::default(), told: Mutex::default() }
    }

    /// Why the brokers were not reached last, if that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether tokens are fetched: the client must then be polled before anything is asked.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn note(&self, trouble: Trouble) {
        if self.is_news(trouble.to_string()) {
            tracing::warn!(cause = %trouble, "kafka is not reached");
        }
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    /// Whether this cause was not told for a while: a client that nobody polls hands out hundreds of equal errors at once.
    fn is_news(&self, cause: String) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.get(&cause).is_none_or(|at| at.elapsed() >= REPEAT);
        if is_news {
            told.insert(cause, Instant::now());
        }
        is_news
    }
}

impl ClientContext for Events {
    // Without OAUTHBEARER librdkafka never asks.
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // A connection that failed. Some causes come as an error too, some only so.
            _ if facility == "FAIL" => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
                if let Some(trouble) = Trouble::read(message) {
                    self.note(trouble);
                }
            }
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match Trouble::read(reason) {
            Some(trouble) => {
                tracing::debug!(%error, reason, "kafka client reports an error");
                self.note(trouble);
            }
            None if self.is_news(format!("{:?}", error.rdkafka_error_code())) => {
                tracing::warn!(%error, reason, "kafka client reports an error");
            }
            None => tracing::debug!(%error, reason, "kafka client reports an error"),
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        token::fetch(self.token.as_ref(), SystemClock.now_ms()).map_err(|error| {
            self.note(Trouble::Token { reason: error.to_string() });
            error.into()
        })
    }
}

impl ConsumerContext for Events {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::GroupProtocol;

    #[test]
    fn the_last_trouble_is_kept_and_told_once_in_a_while() {
        let kafka = Kafka {
            brokers: Vec::new(),
            properties: BTreeMap::new(),
            group_protocol: GroupProtocol::Classic,
            oauth_token: None,
        };
        let events = Events::new(&kafka);
        assert_eq!(events.trouble(), None);
        events.error(KafkaError::Canceled, "a:1: Connect to ipv4#a:1 failed: Connection refused");
        events.error(KafkaError::Canceled, "1/1 brokers are down");
        assert_eq!(events.trouble(), Some(Trouble::Refused));
        assert!(!events.is_news(Trouble::Refused.to_string()) && events.is_news("another".to_owned()));
    }
}
