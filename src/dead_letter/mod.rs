//! Events that could not become rows, and rows that a cluster refused, kept with their place and the cause.
//!
//! A store is an append-only log of letters and of marks: a mark says that a letter was replayed, and stands in the same
//! file or topic, so that both are moved, kept and dropped together.
//!
//! # Laws
//! 1. [`DeadLetters::store`] returns only when the letters are durable; the batch they came from waits for that.
//! 2. A letter may be stored more than once (a restart reads the span again); it is never lost.
//! 3. A letter is marked as replayed only after its rows, or the letters that replaced it, are durable.

mod budget;
mod file;
mod foreign;
mod headers;
pub mod letters;
mod line;
mod mark;
mod office;
mod reader;
pub mod replay;
mod topic;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rdkafka::error::KafkaError;

pub use self::budget::{Budget, Verdict};
use self::file::FileStore;
pub use self::foreign::{LetterFuture, LetterStore};
pub use self::line::hex;
pub use self::mark::{LetterId, Mark, Sinks};
pub use self::office::{Kept, Office};
pub use self::reader::{Entry, LetterReader};
use self::topic::TopicStore;
use crate::kafka::ConfigError;
use crate::model::batch::{BadRecord, RawBatch, Stage, TableRows};
use crate::progress::ledger::Ticket;
use crate::progress::offset::{Offset, TopicPartition};
use crate::topology::{DeadLetterStore, Kafka};

/// A bad event, or a row that a cluster refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands.
    pub partition: TopicPartition,
    /// Its offset; of a refused row, the first of the span that the row was made of.
    pub offset: Offset,
    /// Kafka's timestamp, in milliseconds since 1970, or -1.
    pub timestamp_ms: i64,
    /// Where it failed.
    pub stage: Stage,
    /// Why.
    pub cause: String,
    /// The record's key, or the row's.
    pub key: Option<Vec<u8>>,
    /// The record's payload, as it was, or the row's cells as HBase's `KeyValueCodec` has them.
    pub payload: Option<Vec<u8>>,
    /// Length of a payload that the store had no room for: it stands in the log, at the letter's offset.
    pub omitted_bytes: Option<u64>,
    /// The row that was refused; a bad event has none.
    pub row: Option<RefusedRow>,
}

/// Which row a cluster refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// The cluster, by its name in the topology.
    pub sink: Arc<str>,
    /// The table.
    pub table: Arc<str>,
    /// The offset behind the last event of the batch that the row was made of.
    pub end: Offset,
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
            omitted_bytes: None,
            row: None,
        })
    }

    /// The letter for a row that a sink refuses for good; `None` if the block has no such row.
    #[must_use]
    pub fn of_row(
        ticket: &Ticket,
        (rows, row): (&TableRows, usize),
        (sink, cause): (&Arc<str>, &str),
        last_ms: Option<i64>,
    ) -> Option<Self> {
        let span = rows.block.rows().get(row)?;
        Some(Self {
            partition: ticket.partition.clone(),
            offset: ticket.span.start(),
            timestamp_ms: last_ms.unwrap_or(-1),
            stage: Stage::Write,
            cause: cause.to_owned(),
            key: Some(rows.block.key(span).to_vec()),
            payload: Some(rows.block.cells_of(row..row + 1).to_vec()),
            omitted_bytes: None,
            row: Some(RefusedRow { sink: Arc::clone(sink), table: Arc::clone(&rows.table), end: ticket.span.end() }),
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
    /// The client's properties are wrong.
    #[error("configure the kafka client for dead letters")]
    Config(#[source] ConfigError),
    /// There is no store to read.
    #[error("the topology keeps no dead letters ([dead_letter] halt = true): a bad event stops the run instead")]
    NoStore,
    /// The file cannot be read.
    #[error("read dead letters from {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The topic cannot be read.
    #[error("read dead letters from topic {topic}")]
    ReadTopic {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: KafkaError,
    },
    /// The topic is not there.
    #[error("topic {topic} of [dead_letter] does not exist; no letter was ever stored in it, or its name is wrong")]
    TopicMissing {
        /// The topic.
        topic: String,
    },
}

impl DeadLetterError {
    /// Whether trying again is useless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Halt { .. } | Self::Config(_) | Self::NoStore | Self::TopicMissing { .. } => true,
            Self::File { .. } | Self::Topic { .. } | Self::ReadFile { .. } | Self::ReadTopic { .. } => false,
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

    /// Marks letters as replayed, durably.
    ///
    /// # Errors
    /// [`DeadLetterError`]; some may be marked.
    pub async fn mark(&self, marks: &[Mark]) -> Result<(), DeadLetterError> {
        match (self, marks.is_empty()) {
            (_, true) => Ok(()),
            (Self::Halt, false) => Err(DeadLetterError::NoStore),
            (Self::File(file), false) => file.mark(marks).await,
            (Self::Topic(topic), false) => topic.mark(marks).await,
            (Self::Foreign(store), false) => store.mark(marks).await,
        }
    }
}
