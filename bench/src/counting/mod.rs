//! The full path without a cluster: read, decode, project, fold, encode, into a sink that only counts; beside librdkafka's
//! consumer of the same topic in the same round. JSON, and Avro with a schema registry.

mod answer;
mod avro;
mod peer;
mod registry;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use self::answer::{Answer, Checker};
use self::registry::Registry;
use crate::case::{Amount, Case, Need, Options};
use crate::halcyon_process::topology_text;
use crate::load::{self, Format, Load};
use crate::measured::{Bound, Measured, Number, Sample, Wanted};
use crate::process;
use crate::raw_consumer::{self, FLOWING, FLOWING_NAME};
use crate::stack::Stack;

pub(crate) use self::avro::write as write_avro;
pub(crate) use self::peer::{Count, run as run_peer};

const RAW_JSON: &str = "librdkafka alone, JSON";
const OURS_JSON: &str = "halcyon, JSON";
const RAW_AVRO: &str = "librdkafka alone, Avro";
const OURS_AVRO: &str = "halcyon, Avro";
/// How long the next record may take when the topic is read for the check.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const CASE: Case = Case {
    name: "counting",
    about: "halcyon into a sink that counts, one worker, beside librdkafka alone: JSON and Avro",
    needs: &[Need::Kafka],
    minutes: (6, 2),
    full: Amount { events: 2_000_000, rounds: 5 },
    quick: Amount { events: 200_000, rounds: 1 },
    answer: "the sink keeps rows, cells and a digest of every batch with its offsets; the topic is read again, decoded and \
             folded over the same offsets by code that shares nothing with the pipeline, and every batch must agree; the \
             batches must cover the log without a gap",
    bias: &[
        "the digest over every encoded cell is part of halcyon's number; the raw consumer throws every payload away",
        "the whole process is measured, start and group join included; `rate while flowing` leaves them out for both",
        "one worker decodes and projects; librdkafka's threads and the sink's are beside it, and the broker shares the cores",
        "the events are ours: chat messages, six columns from seven fields; the more of them are in one batch, the more fold",
        "the sink takes every batch at once: no cluster does",
    ],
    run: measure,
};

/// One format: its topic, and what reads it.
struct Lane<'a> {
    load: Load,
    registry: Option<&'a Registry>,
    subjects: [&'static str; 2],
}

fn measure(options: &Options, amount: Amount) -> anyhow::Result<Measured> {
    let stack = Stack::start(options.stack.as_deref(), &["--only", "kafka"])?;
    let registry = Registry::start(avro::SCHEMA)?;
    let json = Load::of(&stack, "json", amount.events)?;
    let avro = Load { format: Format::Avro, ..Load::of(&stack, "avro", amount.events)? };
    load::run(&json)?;
    load::run(&avro)?;
    let lanes = [
        Lane { load: json, registry: None, subjects: [RAW_JSON, OURS_JSON] },
        Lane { load: avro, registry: Some(&registry), subjects: [RAW_AVRO, OURS_AVRO] },
    ];
    let (mut samples, mut notes) = (Vec::new(), Vec::new());
    for round in 1..=amount.rounds {
        for lane in &lanes {
            let [raw, ours] = lane.subjects;
            samples.push(raw_consumer::measure(raw, round, &lane.load, &stack)?);
            println!("round {round}: {ours} ...");
            let (sample, answer) = lane.run(options, round, &stack)?;
            let checked = check(&lane.load, answer).with_context(|| format!("after {ours}"))?;
            samples.push(sample);
            if round == 1 {
                notes.push(format!("{ours}: {checked}"));
            }
        }
    }
    Ok(Measured {
        noun: "events",
        numbers: vec![Number::Cpu, FLOWING, Number::Rate, Number::Memory],
        pairs: vec![(OURS_JSON.to_owned(), RAW_JSON.to_owned()), (OURS_AVRO.to_owned(), RAW_AVRO.to_owned())],
        notes,
        samples,
        wanted: vec![
            Wanted::of(Number::Cpu, OURS_JSON, Some(RAW_JSON), Bound::AtMost(3.5)),
            Wanted::of(Number::Cpu, OURS_AVRO, Some(RAW_AVRO), Bound::AtMost(2.5)),
            Wanted::of(FLOWING, OURS_JSON, None, Bound::AtLeast(600_000.0)),
        ],
    })
}

impl Lane<'_> {
    /// halcyon's engine as a child process with a group of its own.
    fn run(&self, options: &Options, round: u32, stack: &Stack) -> anyhow::Result<(Sample, Answer)> {
        let folder = tempfile::tempdir()?;
        let (file, out) = (folder.path().join("topology.toml"), folder.path().join("answer.json"));
        let name = format!("{}_{round}", self.load.topic.replace('-', "_"));
        // Nobody asks this cluster: the sink is another one.
        let text = topology_text(&self.load, &name, "[cluster.count]\nhbase = {zookeeper = [\"127.0.0.1:1\"]}\n")?;
        let text = match self.registry {
            Some(registry) => {
                let text = text.replace("format = \"json\"", "format = \"avro\"");
                format!("{text}\n[schema_registry]\nurls = [\"{}\"]\n", registry.url())
            }
            None => text,
        };
        std::fs::write(&file, text)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("count").args([&out, std::path::Path::new("--topology"), &file]);
        command.args(["--workers", "1", "--memory-mib", &options.memory_mib.to_string()]).env("HALCYON_LOG", "warn");
        let [_, subject] = self.subjects;
        let ran = process::run(subject, &mut command, &stack.processes()?)?;
        let answer: Answer = serde_json::from_slice(&std::fs::read(&out)?).context("what the sink has counted")?;
        let mut sample = ran.sample(subject, round, self.load.events);
        sample.more.insert(FLOWING_NAME, answer.flowing());
        Ok((sample, answer))
    }
}

/// Reads the topic again and compares every batch with an independent fold of the same offsets; what was found, in words.
fn check(load: &Load, answer: Answer) -> anyhow::Result<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &load.brokers)
        .set("group.id", "bench.check")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..load.partitions {
        list.add_partition_offset(&load.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut checker = Checker::new(answer)?;
    for count in 0..load.events {
        let message =
            consumer.poll(PATIENCE).with_context(|| format!("no event after {count} within {PATIENCE:?}"))??;
        let payload = message.payload().context("an event without payload")?;
        let event = match load.format {
            Format::Json => answer::event_of_json(payload),
            Format::Avro => avro::read(payload),
        };
        let place = (message.partition(), message.offset());
        checker.add(place, &event.with_context(|| format!("read the event at {place:?}"))?)?;
    }
    ensure!(consumer.poll(Duration::from_millis(500)).is_none(), "the topic has more than {} events", load.events);
    checker.finish()
}
