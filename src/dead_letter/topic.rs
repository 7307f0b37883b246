//! Dead letters as records of a Kafka topic: key and payload as they were, place and cause in headers.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

use super::{DeadLetter, DeadLetterError, Mark, headers};
use crate::kafka::events::Events;
use crate::kafka::{Role, client_config};
use crate::topology::Kafka;

/// How long the producer's own queue may be full.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// A Kafka topic.
pub struct TopicStore {
    topic: String,
    producer: FutureProducer<Events>,
}

impl std::fmt::Debug for TopicStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicStore").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// A record to be written.
struct Outgoing<'a> {
    headers: OwnedHeaders,
    timestamp_ms: i64,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
}

impl TopicStore {
    pub(super) fn open(topic: &str, kafka: &Kafka) -> Result<Self, DeadLetterError> {
        let config = client_config(kafka, &Role::Producer).map_err(DeadLetterError::Config)?;
        let producer = config.create_with_context(Events::new(kafka));
        let producer = producer.map_err(|source| DeadLetterError::Topic { topic: topic.to_owned(), source })?;
        Ok(Self { topic: topic.to_owned(), producer })
    }

    /// Letters that the topic takes whole are stored whole. One that is too large for it is stored without its payload
    /// and says so: the payload stands in the log, and a letter that can never be stored would hold its partition for ever.
    pub(super) async fn store(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        let mut pending = Vec::with_capacity(letters.len());
        let mut too_large = Vec::new();
        for letter in letters {
            match self.send(outgoing(letter)).await {
                Ok(delivery) => pending.push((letter, delivery)),
                Err(error) if is_too_large(&error) => too_large.push(letter),
                Err(error) => return Err(self.failed(error)),
            }
        }
        for (letter, delivery) in pending {
            match delivered(delivery).await {
                Ok(()) => {}
                Err(error) if is_too_large(&error) => too_large.push(letter),
                Err(error) => return Err(self.failed(error)),
            }
        }
        for letter in too_large {
            let omitted_bytes = letter.payload.as_ref().map(|payload| payload.len() as u64);
            tracing::warn!(
                topic = self.topic,
                partition = %letter.partition,
                offset = letter.offset.0,
                bytes = omitted_bytes,
                "a dead letter is too large for its topic: its payload is left out, it stands in the log"
            );
            let short = DeadLetter { payload: None, omitted_bytes, ..letter.clone() };
            let delivery = self.send(outgoing(&short)).await.map_err(|error| self.failed(error))?;
            delivered(delivery).await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    pub(super) async fn mark(&self, marks: &[Mark]) -> Result<(), DeadLetterError> {
        let mut pending = Vec::with_capacity(marks.len());
        for mark in marks {
            let record = Outgoing { headers: headers::of_mark(mark), timestamp_ms: -1, key: None, payload: None };
            pending.push(self.send(record).await.map_err(|error| self.failed(error))?);
        }
        for delivery in pending {
            delivered(delivery).await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    async fn send(&self, outgoing: Outgoing<'_>) -> Result<DeliveryFuture, KafkaError> {
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(outgoing.headers);
        record.timestamp = (outgoing.timestamp_ms >= 0).then_some(outgoing.timestamp_ms);
        record.key = outgoing.key;
        record.payload = outgoing.payload;
        loop {
            match self.producer.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(QUEUE_TIMEOUT / 300).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn failed(&self, source: KafkaError) -> DeadLetterError {
        DeadLetterError::Topic { topic: self.topic.clone(), source }
    }
}

fn outgoing(letter: &DeadLetter) -> Outgoing<'_> {
    Outgoing {
        headers: headers::of_letter(letter),
        timestamp_ms: letter.timestamp_ms,
        key: letter.key.as_deref(),
        payload: letter.payload.as_deref(),
    }
}

async fn delivered(delivery: DeliveryFuture) -> Result<(), KafkaError> {
    match delivery.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}

/// Too large for the client's limit or for the broker's.
fn is_too_large(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge))
}
