//! What every client of ours does with librdkafka's callbacks: troubles are kept, so that a failure can be explained, and
//! tokens are fetched.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
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
    trouble: Mutex<Option<(Trouble, Instant)>>,
}

impl Events {
    /// Callbacks of a client of this Kafka.
    #[must_use]
    pub fn new(kafka: &Kafka) -> Self {
        Self { token: kafka.oauth_token.clone(), trouble: Mutex::default() }
    }

    /// Why the brokers were not reached last, if that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.lock().as_ref().map(|(trouble, _)| trouble.clone())
    }

    /// Whether tokens are fetched: the client must then be polled before anything is asked.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn note(&self, trouble: Trouble) {
        let mut held = self.lock();
        let is_told = held.as_ref().is_some_and(|(before, at)| *before == trouble && at.elapsed() < REPEAT);
        if !is_told {
            tracing::warn!(cause = %trouble, "kafka is not reached");
            *held = Some((trouble, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Trouble, Instant)>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Events {
    // Without OAUTHBEARER librdkafka never asks.
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        match Trouble::read(reason) {
            Some(trouble) => {
                tracing::debug!(%error, reason, "kafka client reports an error");
                self.note(trouble);
            }
            None => tracing::warn!(%error, reason, "kafka client reports an error"),
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
