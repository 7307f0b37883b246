//! Events that could not become rows, kept with their place and the cause.
//!
//! # Laws
//! 1. [`DeadLetters::store`] returns only when the letters are durable; the batch they came from waits for that.
//! 2. A letter may be stored more than once (a restart reads the span again); it is never lost.

mod budget;
mod file;
mod foreign;
mod topic;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rdkafka::error::KafkaError;

pub use self::budget::{Budget, Verdict};
use self::file::FileStore;
pub use self::foreign::{LetterFuture, LetterStore};
use self::topic::TopicStore;
use crate::kafka::ConfigError;
use crate::model::batch::{BadRecord, RawBatch, Stage};
use crate::progress::offset::{Offset, TopicPartition};
use crate::topology::{DeadLetterStore, Kafka};

/// A bad event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: Offset,
    /// Kafka's timestamp, in milliseconds since 1970, or -1.
    pub timestamp_ms: i64,
    /// Where it failed.
    pub stage: Stage,
    /// Why.
    pub cause: String,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's payload, as it was.
    pub payload: Option<Vec<u8>>,
}

impl DeadLetter {
    /// Bytes that the letter holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        (length(&self.key) + length(&self.payload) + self.cause.len()) as u64
    }

    /// The letter for a bad record of a batch; `None` if the batch has no such record.
    #[must_use]
    pub fn of(raw: &RawBatch, bad: &BadRecord) -> Option<Self> {
        let record = raw.records.get(bad.record)?;
        Some(Self {
            partition: raw.partition.clone(),
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            stage: bad.stage,
            cause: bad.cause.clone(),
            key: raw.key(record).map(<[u8]>::to_vec),
            payload: raw.payload(record).map(<[u8]>::to_vec),
        })
    }
}

/// Why letters are not stored.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The topology says that a bad event stops the run.
    #[error(
        "{partition} offset {offset} is bad ({stage}): {cause}; the topology says to halt: mend the producer or the \
         model, or set [dead_letter] topic or file"
    )]
    Halt {
        /// Where it stands.
        partition: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// Where it failed.
        stage: &'static str,
        /// Why.
        cause: String,
    },
    /// The file cannot be written.
    #[error("write dead letters to {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The topic cannot be written.
    #[error("write dead letters to topic {topic}")]
    Topic {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: KafkaError,
    },
    /// The producer's properties are wrong.
    #[error("configure the producer of dead letters")]
    Config(#[source] ConfigError),
}

impl DeadLetterError {
    /// Whether trying again is useless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Halt { .. } | Self::Config(_) => true,
            Self::File { .. } | Self::Topic { .. } => false,
        }
    }
}

/// The store of a run.
#[derive(Debug)]
pub enum DeadLetters {
    /// None: the first bad event stops the run.
    Halt,
    /// A file of JSON lines.
    File(FileStore),
    /// A Kafka topic.
    Topic(TopicStore),
    /// A store that is not ours.
    Foreign(Arc<dyn LetterStore>),
}

impl DeadLetters {
    /// Opens the store that the topology names.
    ///
    /// # Errors
    /// [`DeadLetterError`].
    pub fn open(store: &DeadLetterStore, kafka: &Kafka) -> Result<Self, DeadLetterError> {
        Ok(match store {
            DeadLetterStore::Halt => Self::Halt,
            DeadLetterStore::File(path) => Self::File(FileStore::open(path)?),
            DeadLetterStore::Topic(topic) => Self::Topic(TopicStore::open(topic, kafka)?),
        })
    }

    /// Makes letters durable. Not cancel safe in that some may be stored.
    ///
    /// # Errors
    /// [`DeadLetterError`]; [`DeadLetterError::is_final`] tells whether trying again is useless.
    pub async fn store(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        match (self, letters.first()) {
            (_, None) => Ok(()),
            (Self::Halt, Some(first)) => Err(DeadLetterError::Halt {
                partition: first.partition.clone(),
                offset: first.offset,
                stage: first.stage.name(),
                cause: first.cause.clone(),
            }),
            (Self::File(file), Some(_)) => file.store(letters).await,
            (Self::Topic(topic), Some(_)) => topic.store(letters).await,
            (Self::Foreign(store), Some(_)) => store.store(letters).await,
        }
    }
}
