//! Reads a store from its beginning to the end that it has when the reading begins. Blocks; holds one letter at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset as KafkaOffset, TopicPartitionList};

use super::{DeadLetter, DeadLetterError, LetterId, Mark, headers, line};
use crate::kafka::{Role, client_config};
use crate::model::hash;
use crate::model::value::Value;
use crate::topology::{DeadLetterStore, Kafka, Topology};

/// Longest line of a file that is read: a payload of Kafka's largest default size as text and as hexadecimal has 3 MiB, a
/// refused row 20 MiB; what is longer is no letter of ours.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// How long a broker may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(500);

/// What stands in a store.
#[derive(Debug)]
pub enum Entry {
    /// A letter.
    Letter(LetterId, Box<DeadLetter>),
    /// A mark.
    Mark(Mark),
    /// Something else: where, and why it is neither.
    Strange(LetterId, String),
}

/// A store to be read; every reading begins at its beginning.
#[derive(Debug)]
pub struct LetterReader {
    store: Place,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Topic { topic: String, group: String, kafka: Kafka },
}

impl LetterReader {
    /// The store of a topology.
    ///
    /// # Errors
    /// [`DeadLetterError::NoStore`].
    pub fn new(topology: &Topology) -> Result<Self, DeadLetterError> {
        let store = match &topology.dead_letter.to {
            DeadLetterStore::Halt => return Err(DeadLetterError::NoStore),
            DeadLetterStore::File(path) => Place::File(path.clone()),
            DeadLetterStore::Topic(topic) => Place::Topic {
                topic: topic.clone(),
                group: format!("{}.dead-letter", topology.name),
                kafka: topology.kafka.clone(),
            },
        };
        Ok(Self { store })
    }

    /// Shows every entry in the order of the store, until `visit` breaks off.
    ///
    /// # Errors
    /// [`DeadLetterError`] if the store cannot be read. A file that does not exist has no letters.
    pub fn read(&self, visit: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<(), DeadLetterError> {
        match &self.store {
            Place::File(path) => {
                read_file(path, visit).map_err(|source| DeadLetterError::ReadFile { path: path.clone(), source })
            }
            Place::Topic { topic, group, kafka } => read_topic(topic, (group, kafka), visit),
        }
    }
}

fn read_file(path: &Path, visit: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // Others may append meanwhile.
    let end = file.metadata()?.len();
    let mut reader = BufReader::new(file.take(end));
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let taken = Read::by_ref(&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if taken == 0 {
            break;
        }
        let whole = bytes.strip_suffix(b"\n");
        if whole.is_none() && taken as u64 == LINE_BYTES_MAX {
            skip_line(&mut reader)?;
        }
        let content = whole.unwrap_or(&bytes);
        if content.is_empty() {
            continue;
        }
        // Marks are read by other machines and later versions: this hash never changes.
        let id = LetterId::Line { number, hash: hash::hash(Value::Bytes(content)) };
        let entry = match line::parse(content) {
            Ok(line::Parsed::Letter(letter)) => Entry::Letter(id, letter),
            Ok(line::Parsed::Mark(mark)) => Entry::Mark(mark),
            Err(why) => Entry::Strange(id, why),
        };
        if visit(entry).is_break() {
            break;
        }
    }
    Ok(())
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

fn read_topic(
    topic: &str,
    (group, kafka): (&str, &Kafka),
    visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
) -> Result<(), DeadLetterError> {
    let failed = |source| DeadLetterError::ReadTopic { topic: topic.to_owned(), source };
    let mut config = client_config(kafka, &Role::Offsets { group }).map_err(DeadLetterError::Config)?;
    // Single records are polled here, not batches; an end of partition is the one sure sign that nothing is left, also
    // behind control records.
    config.set("enable.partition.eof", "true");
    config.set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create().map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(failed)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let partitions = found.map_or(0, |found| found.partitions().len());
    if partitions == 0 {
        return Err(DeadLetterError::TopicMissing { topic: topic.to_owned() });
    }
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        let (low, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(failed)?;
        if low >= end {
            continue;
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, KafkaOffset::Offset(low)).map_err(failed)?;
        consumer.assign(&assignment).map_err(failed)?;
        if read_partition(&consumer, (partition, end), visit).map_err(failed)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn read_partition(
    consumer: &BaseConsumer,
    (partition, end): (i32, i64),
    visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, KafkaError> {
    let mut silent = Duration::ZERO;
    loop {
        match consumer.poll(POLL) {
            None => {
                silent += POLL;
                if silent >= PATIENCE {
                    return Err(KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut));
                }
            }
            Some(Err(KafkaError::PartitionEOF(at))) if at == partition => return Ok(ControlFlow::Continue(())),
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(error),
            Some(Ok(message)) if message.partition() != partition => {}
            Some(Ok(message)) => {
                silent = Duration::ZERO;
                if message.offset() >= end {
                    return Ok(ControlFlow::Continue(()));
                }
                let entry = match headers::parse(&message) {
                    Ok(headers::Parsed::Letter(letter)) => Entry::Letter(headers::id(&message), letter),
                    Ok(headers::Parsed::Mark(mark)) => Entry::Mark(mark),
                    Err(why) => Entry::Strange(headers::id(&message), why),
                };
                if visit(entry).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_letters_are_named_and_do_not_hide_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dead.jsonl");
        let letter = r#"{"topic":"t","partition":0,"offset":1,"timestamp_ms":-1,"stage":"decode","cause":"x"}"#;
        std::fs::write(&path, format!("{{\"cut\n\n{letter}\n{{\"topic\":\"cu")).expect("written");
        let mut seen = Vec::new();
        read_file(&path, &mut |entry| {
            seen.push(match entry {
                Entry::Letter(id, letter) => format!("{id}: {}", letter.cause),
                Entry::Mark(mark) => format!("mark {}", mark.letter),
                Entry::Strange(id, _) => format!("{id}: strange"),
            });
            ControlFlow::Continue(())
        })
        .expect("readable");
        assert_eq!(seen, ["1: strange", "3: x", "4: strange"]);
    }
}
