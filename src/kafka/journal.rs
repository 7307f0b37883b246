//! Who moved which offset from where to where, and when: an append-only topic `NAME.journal` with one partition that is kept
//! for ever. It lives where the offsets live, so whoever can move them can read it, from any machine.
//!
//! # Laws
//! 1. Nothing is moved before its intention is durable in the journal (`acks=all`); how it ended follows.
//! 2. An entry that cannot be read is told, never left out in silence.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message, Offset as KafkaOffset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::events::Events;
use super::{ConfigError, Role, client_config};
use crate::topology::Topology;

/// How long brokers may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// Moves of one entry: at about 100 bytes each this stays far below `message.max.bytes`.
const MOVES_MAX: usize = 4000;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// `offsets set`.
    Set,
    /// `offsets reset`.
    Reset,
    /// `run --accept-loss`.
    AcceptLoss,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// About to be done.
    Intended,
    /// Done.
    Done,
    /// Not done, or not wholly.
    Failed,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, RFC 3339.
    pub at: String,
    /// Who: user and host of the process.
    pub by: String,
    /// What.
    pub act: Act,
    /// How far.
    pub phase: Phase,
    /// Joins the entries of one act.
    pub id: String,
    /// The group whose offsets move.
    pub group: String,
    /// Why, as the operator said it, or how it failed.
    pub note: Option<String>,
    /// From where to where.
    pub moves: Vec<Move>,
}

/// One partition's part of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Kafka's topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// The offset before; none if there was none.
    pub from: Option<i64>,
    /// The offset after.
    pub to: i64,
}

impl Entry {
    /// The same in pieces that fit into records.
    fn pieces(&self) -> Vec<Self> {
        if self.moves.len() <= MOVES_MAX {
            return vec![self.clone()];
        }
        self.moves.chunks(MOVES_MAX).map(|moves| Self { moves: moves.to_vec(), ..self.clone() }).collect()
    }
}

/// Why the journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A client cannot be made.
    #[error("configure a client for the journal")]
    Config(#[source] ConfigError),
    /// Kafka says no, or nothing.
    #[error("{doing} the journal {topic}; the user needs rights to create, write, read and describe that topic")]
    Kafka {
        /// What was done.
        doing: &'static str,
        /// The journal's topic.
        topic: String,
        /// Why it failed.
        #[source]
        source: KafkaError,
    },
}

/// What a read of the journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest entries, oldest first.
    pub entries: Vec<Entry>,
    /// Offsets of records that are no entries.
    pub unreadable: Vec<i64>,
}

/// The journal of a topology.
#[derive(Debug)]
pub struct Journal<'a> {
    topology: &'a Topology,
    topic: String,
}

impl<'a> Journal<'a> {
    /// The journal; nothing is asked yet.
    #[must_use]
    pub fn of(topology: &'a Topology) -> Self {
        Self { topology, topic: format!("{}.journal", topology.name) }
    }

    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Appends entries; they are durable when it returns. Makes the topic if it is missing. Blocks.
    ///
    /// # Errors
    /// [`JournalError`]; some entries may have been appended.
    pub fn append(&self, entries: &[Entry]) -> Result<(), JournalError> {
        self.make()?;
        let config = client_config(&self.topology.kafka, &Role::Producer).map_err(JournalError::Config)?;
        let context = Deliveries { events: Events::new(&self.topology.kafka), failed: Mutex::default() };
        let producer: BaseProducer<Deliveries> =
            BaseProducer::from_config_and_context(&config, context).map_err(|source| self.failed("write", source))?;
        for piece in entries.iter().flat_map(Entry::pieces) {
            let json = serde_json::to_string(&piece).unwrap_or_default();
            let record = BaseRecord::<str, str>::to(&self.topic).partition(0).key(piece.id.as_str()).payload(&json);
            producer.send(record).map_err(|(source, _)| self.failed("write", source))?;
        }
        producer.flush(PATIENCE).map_err(|source| self.failed("write", source))?;
        let failed = producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), |source| Err(self.failed("write", source)))
    }

    /// The newest `limit` entries. Blocks.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn read(&self, limit: usize) -> Result<Found, JournalError> {
        let failed = |source| self.failed("read", source);
        let consumer = self.consumer()?;
        if !self.exists(&consumer)? {
            return Ok(Found::default());
        }
        let (low, high) = consumer.fetch_watermarks(&self.topic, 0, PATIENCE).map_err(failed)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, KafkaOffset::Offset(low)).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let (mut entries, mut unreadable, mut next) = (VecDeque::new(), Vec::new(), low);
        let deadline = Instant::now() + PATIENCE;
        while next < high {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    next = message.offset() + 1;
                    match serde_json::from_slice(message.payload().unwrap_or_default()) {
                        Ok(entry) => entries.push_back(entry),
                        Err(_) => unreadable.push(message.offset()),
                    }
                    if entries.len() > limit {
                        entries.pop_front();
                    }
                }
                Some(Err(source)) if Instant::now() >= deadline => return Err(failed(source)),
                None if Instant::now() >= deadline => {
                    return Err(failed(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)));
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(Found { entries: entries.into(), unreadable })
    }

    fn consumer(&self) -> Result<BaseConsumer<Events>, JournalError> {
        let role = Role::Offsets { group: &self.topic };
        let config = client_config(&self.topology.kafka, &role).map_err(JournalError::Config)?;
        let events = Events::new(&self.topology.kafka);
        BaseConsumer::from_config_and_context(&config, events).map_err(|source| self.failed("read", source))
    }

    fn exists(&self, consumer: &BaseConsumer<Events>) -> Result<bool, JournalError> {
        // Tokens are fetched while a client is polled.
        drop(consumer.poll(if consumer.context().has_token() { Duration::from_millis(100) } else { Duration::ZERO }));
        let found =
            consumer.fetch_metadata(Some(&self.topic), PATIENCE).map_err(|source| self.failed("find", source))?;
        Ok(found.topics().iter().any(|topic| topic.name() == self.topic && topic.error().is_none()))
    }

    /// Makes the topic if it is not there.
    fn make(&self) -> Result<(), JournalError> {
        if self.exists(&self.consumer()?)? {
            return Ok(());
        }
        let failed = |source| self.failed("create", source);
        let config = client_config(&self.topology.kafka, &Role::Producer).map_err(JournalError::Config)?;
        let admin: AdminClient<Events> =
            AdminClient::from_config_and_context(&config, Events::new(&self.topology.kafka)).map_err(failed)?;
        // As many replicas as the brokers have by default: it is as precious as the offsets.
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(-1))
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1")
            .set("cleanup.policy", "delete");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return Err(failed(KafkaError::Canceled)) };
        for made in runtime.block_on(admin.create_topics([&topic], &options)).map_err(failed)? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }

    fn failed(&self, doing: &'static str, source: KafkaError) -> JournalError {
        JournalError::Kafka { doing, topic: self.topic.clone(), source }
    }
}

/// The user and host of this process, as far as its environment tells.
#[must_use]
pub fn operator() -> String {
    let variable = |names: [&str; 2]| names.into_iter().find_map(|name| std::env::var(name).ok());
    let user = variable(["USER", "LOGNAME"]).unwrap_or_else(|| "unknown".to_owned());
    let host = std::env::var("HOSTNAME").ok();
    let host = host.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty());
    format!("{user}@{}", host.unwrap_or("unknown"))
}

/// A time as the journal has it.
#[must_use]
pub fn time(now_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(now_ms).map_or_else(|_| now_ms.to_string(), |time| time.to_string())
}

/// Callbacks of the journal's producer: the first record that was not delivered is remembered.
struct Deliveries {
    events: Events,
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        self.events.generate_oauth_token(config)
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(moves: usize) -> Entry {
        let moved =
            |number: usize| Move { topic: "chat.messages".to_owned(), partition: number as i32, from: None, to: 7 };
        Entry {
            at: time(0),
            by: "ops@host".to_owned(),
            act: Act::AcceptLoss,
            phase: Phase::Intended,
            id: "1".to_owned(),
            group: "chat.green".to_owned(),
            note: None,
            moves: (0..moves).map(moved).collect(),
        }
    }

    #[test]
    fn an_entry_is_one_line_of_json_that_stays_as_it_is() {
        let json = serde_json::to_string(&entry(1)).expect("JSON");
        assert_eq!(
            json,
            r#"{"at":"1970-01-01T00:00:00Z","by":"ops@host","act":"accept-loss","phase":"intended","id":"1","group":"chat.green","note":null,"moves":[{"topic":"chat.messages","partition":0,"from":null,"to":7}]}"#
        );
        assert_eq!(serde_json::from_str::<Entry>(&json).expect("an entry"), entry(1));
    }

    #[test]
    fn many_moves_become_records_that_a_broker_takes() {
        let pieces = entry(9000).pieces();
        assert_eq!(pieces.iter().map(|piece| piece.moves.len()).collect::<Vec<_>>(), [4000, 4000, 1000]);
        let largest = pieces.iter().map(|piece| serde_json::to_string(piece).expect("JSON").len()).max();
        assert!(largest < Some(1 << 20));
    }
}
