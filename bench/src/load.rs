//! Chat events into a topic, as fast as the producer takes them or at a rate.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use halcyon::chat::{Edits, Events};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::counting::write_avro;
use crate::stack::Stack;

/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Arguments of `load`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    /// Bootstrap brokers
    #[arg(long, default_value = "127.0.0.1:29092")]
    pub(crate) brokers: String,
    /// Topic
    #[arg(long, default_value = "chat.messages")]
    pub(crate) topic: String,
    /// Partitions, if the topic has to be made
    #[arg(long, default_value_t = 16)]
    pub(crate) partitions: i32,
    /// Number of events
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) events: u64,
    /// Events of the sequence to leave out at its beginning (they were sent before)
    #[arg(long, default_value_t = 0)]
    pub(crate) skip: u64,
    /// Seed of the sequence
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Events a second; as many as the producer takes by default
    #[arg(long)]
    pub(crate) rate: Option<u64>,
    /// Edits carry only what they change
    #[arg(long)]
    pub(crate) partial_edits: bool,
    /// How payloads are written; Avro stands behind id 1 of a schema registry
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
}

/// The format of payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Avro,
}

impl Load {
    /// So many events for a case's own topic.
    pub(crate) fn new(brokers: &str, topic: &str, events: u64) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            partitions: 16,
            events,
            skip: 0,
            seed: 42,
            rate: None,
            partial_edits: false,
            format: Format::Json,
        }
    }

    /// The same on the Kafka of this stack, in a topic that no other run has.
    pub(crate) fn of(stack: &Stack, case: &str, events: u64) -> anyhow::Result<Self> {
        Ok(Self::new(&stack.variable("HALCYON_KAFKA")?, &format!("bench-{case}-{}", std::process::id()), events))
    }

    pub(crate) fn sequence(&self) -> Events {
        Events::new(self.seed, if self.partial_edits { Edits::Partial } else { Edits::Whole })
    }
}

/// Sends the events and waits until the broker has them all.
pub(crate) fn run(args: &Load) -> anyhow::Result<()> {
    make_topic(args)?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("batch.num.messages", "10000")
        .set("partitioner", "murmur2_random")
        .create()
        .context("create the producer")?;
    let began = Instant::now();
    let mut payload = Vec::with_capacity(512);
    let mut sent: u64 = 0;
    for event in args.sequence().skip(args.skip as usize).take(args.events as usize) {
        payload.clear();
        match args.format {
            Format::Json => event.write_json(&mut payload),
            Format::Avro => write_avro(&event, &mut payload),
        }
        let key = event.key();
        let mut record = BaseRecord::to(&args.topic).key(&key[..]).payload(&payload[..]);
        while let Err((error, back)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("send an event");
            }
            producer.poll(Duration::from_millis(10));
            record = back;
        }
        sent += 1;
        if sent.is_multiple_of(1000) {
            producer.poll(Duration::ZERO);
            if let Some(rate) = args.rate {
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                std::thread::park_timeout(due.saturating_sub(began.elapsed()));
            }
        }
    }
    producer.flush(FLUSH_TIMEOUT).context("wait for the last events")?;
    let seconds = began.elapsed().as_secs_f64();
    println!("{sent} events to {} in {seconds:.1} s: {:.0} events/s", args.topic, sent as f64 / seconds);
    Ok(())
}

fn make_topic(args: &Load) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &args.brokers).create().context("create the admin client")?;
    let topic = NewTopic::new(&args.topic, args.partitions, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()));
    for result in made.context("make the topic; is a broker there?")? {
        match result {
            Ok(name) => println!("topic {name} made with {} partitions", args.partitions),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => anyhow::bail!("topic {name} cannot be made: {code}"),
        }
    }
    Ok(())
}
