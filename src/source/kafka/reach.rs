//! Whether brokers answer and the topics are there, before anything is read; and if not, the one sentence that says why.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::SourceError;
use super::offsets::OffsetStore;
use crate::kafka::trouble::Trouble;
use crate::topology::Topology;

/// Waits until a broker answers, then looks up the topics. Returns the number of partitions of all topics.
pub(super) fn await_topics(
    topology: &Topology,
    topics: &[String],
    store: Option<&OffsetStore>,
    patience: Duration,
) -> Result<u64, SourceError> {
    let Some(store) = store else { return Ok(0) };
    let began = Instant::now();
    let mut partitions = 0;
    for topic in topics {
        let count = loop {
            match find(topology, store, topic) {
                Err(error @ SourceError::Unreachable { .. }) => {
                    if began.elapsed() >= patience {
                        let trouble = store.trouble().filter(|trouble| *trouble == Trouble::ClosedAtOnce);
                        let brokers = topology.kafka.brokers.join(", ");
                        return Err(match trouble {
                            Some(trouble) => SourceError::Refused { brokers, trouble },
                            None => waited(error, began.elapsed()),
                        });
                    }
                    tracing::warn!(error = %crate::error_chain::chain(&error), "no broker answers yet");
                }
                other => break other?,
            }
        };
        partitions += u64::try_from(count).unwrap_or(0);
    }
    Ok(partitions)
}

/// How long one try of a connection may take.
const TRY: Duration = Duration::from_secs(3);

/// The number of a topic's partitions, or the one sentence that says what is wrong.
///
/// # Errors
/// [`SourceError::Unreachable`] where waiting may help; all others are for the operator.
pub fn find(topology: &Topology, store: &OffsetStore, topic: &str) -> Result<i32, SourceError> {
    let brokers = || topology.kafka.brokers.join(", ");
    match store.partition_count_within(topic, TRY) {
        Ok(Some(count)) => Ok(count),
        Ok(None) => Err(SourceError::TopicMissing { topic: topic.to_owned() }),
        Err(source) if source.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            Err(SourceError::Forbidden { topic: topic.to_owned(), source })
        }
        Err(source) => match store.trouble().filter(Trouble::is_lasting) {
            Some(Trouble::Certificate) => {
                let trouble = crate::kafka::certificate_trouble(&topology.kafka, TRY);
                Err(SourceError::Refused { brokers: brokers(), trouble })
            }
            Some(trouble) => Err(SourceError::Refused { brokers: brokers(), trouble }),
            None => Err(SourceError::Unreachable { brokers: brokers(), waited: TRY, source }),
        },
    }
}

fn waited(error: SourceError, waited: Duration) -> SourceError {
    match error {
        SourceError::Unreachable { brokers, source, .. } => SourceError::Unreachable { brokers, waited, source },
        other => other,
    }
}
