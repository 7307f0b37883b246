//! Dead letters as records of a Kafka topic: key and payload as they were, place and cause in headers.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{DeadLetter, DeadLetterError};
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

impl TopicStore {
    pub(super) fn open(topic: &str, kafka: &Kafka) -> Result<Self, DeadLetterError> {
        let config = client_config(kafka, &Role::Producer).map_err(DeadLetterError::Config)?;
        let producer = config.create_with_context(Events::new(kafka));
        let producer = producer.map_err(|source| DeadLetterError::Topic { topic: topic.to_owned(), source })?;
        Ok(Self { topic: topic.to_owned(), producer })
    }

    pub(super) async fn store(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        let failed = |source| DeadLetterError::Topic { topic: self.topic.clone(), source };
        let mut pending = Vec::with_capacity(letters.len());
        for letter in letters {
            let mut record =
                FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers(letter)).timestamp(letter.timestamp_ms);
            if letter.timestamp_ms < 0 {
                record.timestamp = None;
            }
            record.key = letter.key.as_deref();
            record.payload = letter.payload.as_deref();
            pending.push(loop {
                match self.producer.send_result(record) {
                    Ok(delivery) => break delivery,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                        record = back;
                        tokio::time::sleep(QUEUE_TIMEOUT / 300).await;
                    }
                    Err((error, _)) => return Err(failed(error)),
                }
            });
        }
        for delivery in pending {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => return Err(failed(error)),
                Err(_) => return Err(failed(KafkaError::Canceled)),
            }
        }
        Ok(())
    }
}

fn headers(letter: &DeadLetter) -> OwnedHeaders {
    let texts = [
        ("halcyon.topic", letter.partition.topic.to_string()),
        ("halcyon.partition", letter.partition.partition.to_string()),
        ("halcyon.offset", letter.offset.to_string()),
        ("halcyon.stage", letter.stage.name().to_owned()),
        ("halcyon.cause", letter.cause.clone()),
    ];
    let with = |headers: OwnedHeaders, (key, value): (&str, String)| {
        headers.insert(Header { key, value: Some(value.as_bytes()) })
    };
    texts.into_iter().fold(OwnedHeaders::new(), with)
}
