//! What reading alone costs: librdkafka's consumer on the same topic, in a process of its own, which only counts.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::load::Load;
use crate::measured::{Number, Sample};
use crate::process;
use crate::stack::Stack;

/// Events a second between the first and the last one: without start, join and the first fetch.
pub(crate) const FLOWING: Number = Number::More { name: FLOWING_NAME, unit: "events/s" };
pub(crate) const FLOWING_NAME: &str = "rate while flowing";
/// How long the next record may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The child's arguments.
#[derive(Clone, Debug, Args)]
pub(crate) struct RawConsume {
    /// Bootstrap brokers
    brokers: String,
    /// Topic
    topic: String,
    /// Partitions
    partitions: i32,
    /// Events
    events: u64,
}

/// Reads the topic once.
pub(crate) fn measure(subject: &str, round: u32, load: &Load, stack: &Stack) -> anyhow::Result<Sample> {
    println!("round {round}: {subject} ...");
    let (partitions, events) = (load.partitions.to_string(), load.events.to_string());
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["raw-consume", &load.brokers, &load.topic, &partitions, &events]);
    let ran = process::run(subject, &mut command, &stack.processes()?)?;
    let mut sample = ran.sample(subject, round, load.events);
    let flowing_s: f64 = ran.said.trim().parse().with_context(|| format!("what {subject} printed: {:?}", ran.said))?;
    sample.more.extend(BTreeMap::from([(FLOWING_NAME, load.events as f64 / flowing_s)]));
    Ok(sample)
}

/// The child: reads so many events, and prints for how many seconds they came.
pub(crate) fn run(args: &RawConsume) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("group.id", "bench.raw")
        .set("enable.auto.commit", "false")
        .set("queued.max.messages.kbytes", "16384")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..args.partitions {
        list.add_partition_offset(&args.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut count, mut bytes) = (0, 0);
    let mut first = None;
    while count < args.events {
        let message = consumer.poll(PATIENCE).with_context(|| format!("no event after {count} within {PATIENCE:?}"))?;
        bytes += message?.payload_len();
        count += 1;
        first.get_or_insert_with(Instant::now);
    }
    ensure!(bytes > 0, "no payload");
    println!("{}", first.map_or(0.0, |first| first.elapsed().as_secs_f64()));
    Ok(())
}
