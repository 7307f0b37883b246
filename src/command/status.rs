//! `halcyon status`: from a running process, or from Kafka alone.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset as KafkaOffset, TopicPartitionList};

use super::ask::{Method, ask};
use super::{Outcome, print};
use crate::cli::StatusArgs;
use crate::clock::{Clock, SystemClock};
use crate::kafka::events::Events;
use crate::kafka::{Role, client_config};
use crate::progress::offset::{Offset, TopicPartition};
use crate::source::kafka::offsets::OffsetStore;
use crate::source::kafka::{offsets_of, sink_group};
use crate::status::{LagStatus, PartitionStatus, SinkStatus, Status};
use crate::topology::Topology;

/// Time between two looks with `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long the first records behind the commits may take to arrive.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(5);

/// Shows the status once, or keeps showing it.
///
/// # Errors
/// If neither the process nor Kafka answers.
pub fn run(args: &StatusArgs) -> anyhow::Result<Outcome> {
    let mut look: Box<dyn FnMut() -> anyhow::Result<Status>> = match &args.url {
        Some(url) => {
            let url = url.clone();
            Box::new(move || from_process(&url))
        }
        None => {
            let kafka = FromKafka::new(super::topology(&args.topology)?)?;
            Box::new(move || kafka.status())
        }
    };
    if !args.watch {
        let status = look()?;
        if args.json {
            print::line(serde_json::to_string(&status)?)?;
        } else {
            print::text(status.table())?;
        }
        return Ok(Outcome::Done);
    }
    let in_place = io::stdout().is_terminal() && !args.json;
    loop {
        let began = Instant::now();
        // A process that is being restarted, or a broker that is away, does not end the watch.
        let line = match look() {
            Ok(status) if args.json => serde_json::to_string(&status)?,
            Ok(status) => status.line(),
            Err(error) if args.json => serde_json::json!({"error": format!("{error:#}")}).to_string(),
            Err(error) => format!("no status: {error:#}"),
        };
        let written = if in_place { write!(io::stdout(), "\r\x1b[2K{line}") } else { writeln!(io::stdout(), "{line}") };
        // A reader that went away (`| head`) ends the watch.
        if written.and_then(|()| io::stdout().flush()).is_err() {
            return Ok(Outcome::Done);
        }
        std::thread::park_timeout(WATCH_INTERVAL.saturating_sub(began.elapsed()));
    }
}

/// `GET /status` of a process.
fn from_process(url: &str) -> anyhow::Result<Status> {
    let answer = ask(url, Method::Get, "/status", None)?;
    serde_json::from_str(answer.body_of_success()?).context("read the status of the process")
}

/// What Kafka alone knows: commits and ends.
struct FromKafka {
    topology: Topology,
    stores: Vec<(String, OffsetStore)>,
    reader: BaseConsumer<Events>,
}

impl FromKafka {
    fn new(topology: Topology) -> anyhow::Result<Self> {
        let mut stores = Vec::new();
        for sink in topology.clusters.keys() {
            stores.push((sink.clone(), offsets_of(&topology, &sink_group(&topology, sink))?));
        }
        let group = format!("{}.status", topology.name);
        let config = client_config(&topology.kafka, &Role::Offsets { group: &group })?;
        let reader = config.create_with_context(Events::new(&topology.kafka))?;
        Ok(Self { topology, stores, reader })
    }

    fn status(&self) -> anyhow::Result<Status> {
        let Some((_, first)) = self.stores.first() else { bail!("the topology has no cluster") };
        let mut partitions = Vec::new();
        for topic in self.topology.topics.values() {
            let count = first.partition_count(&topic.name).context("ask the brokers")?;
            let count = count.with_context(|| format!("topic {} does not exist", topic.name))?;
            let name: Arc<str> = Arc::from(topic.name.as_str());
            partitions.extend((0..count).map(|partition| TopicPartition { topic: Arc::clone(&name), partition }));
        }
        let mut committed = Vec::new();
        for (sink, store) in &self.stores {
            committed.push((sink, store.committed(&partitions).context("read committed offsets")?));
        }
        let mut shown = Vec::new();
        let mut behind = BTreeMap::new();
        for partition in &partitions {
            let (low, end) = first.log_range(partition).context("read the ends of the logs")?;
            let mut sinks = Vec::new();
            for (sink, committed) in &committed {
                let committed = committed.get(partition).copied();
                if let Some(at) = committed.filter(|at| *at < end) {
                    behind.entry((partition.clone(), at.max(low))).or_insert(None::<i64>);
                }
                sinks.push(LagStatus {
                    sink: (*sink).clone(),
                    committed: committed.map(|offset| offset.0),
                    durable: None,
                    lag_offsets: Some((end.0 - committed.unwrap_or(low).max(low).0).max(0)),
                    lag_seconds: committed.filter(|at| *at >= end).map(|_| 0.0),
                    ..LagStatus::default()
                });
            }
            shown.push(PartitionStatus {
                topic: partition.topic.to_string(),
                partition: partition.partition,
                end_offset: Some(end.0),
                trouble: None,
                sinks,
            });
        }
        self.read_times(&mut behind)?;
        fill_seconds(&mut shown, &partitions, &behind);
        let sinks = self.stores.iter().map(|(sink, _)| SinkStatus {
            name: sink.clone(),
            state: "unknown".to_owned(),
            reason: Some("no process asked: use --url".to_owned()),
            ..SinkStatus::default()
        });
        let state = "unknown".to_owned();
        Ok(Status {
            name: self.topology.name.clone(),
            state,
            sinks: sinks.collect(),
            partitions: shown,
            ..Status::default()
        })
    }

    /// The timestamp of the first record at or behind each place.
    fn read_times(&self, places: &mut BTreeMap<(TopicPartition, Offset), Option<i64>>) -> anyhow::Result<()> {
        // One place of a partition at a time: several sinks may stand at different ones.
        loop {
            let mut round: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
            for ((partition, offset), _) in places.iter().filter(|(_, time)| time.is_none()) {
                round.entry(partition.clone()).or_insert(*offset);
            }
            if round.is_empty() {
                return Ok(());
            }
            let mut list = TopicPartitionList::new();
            for (partition, offset) in &round {
                list.add_partition_offset(&partition.topic, partition.partition, KafkaOffset::Offset(offset.0))?;
            }
            self.reader.assign(&list)?;
            let deadline = Instant::now() + RECORDS_TIMEOUT;
            while !round.is_empty() && Instant::now() < deadline {
                let Some(Ok(message)) = self.reader.poll(Duration::from_millis(100)) else { continue };
                let partition = TopicPartition { topic: Arc::from(message.topic()), partition: message.partition() };
                if let Some(offset) = round.remove(&partition) {
                    places.insert((partition, offset), Some(message.timestamp().to_millis().unwrap_or(-1)));
                }
            }
            self.reader.unassign()?;
            for (partition, offset) in round {
                places.insert((partition, offset), Some(-1));
            }
        }
    }
}

fn fill_seconds(
    shown: &mut [PartitionStatus],
    partitions: &[TopicPartition],
    times: &BTreeMap<(TopicPartition, Offset), Option<i64>>,
) {
    let now_ms = SystemClock.now_ms();
    for (held, partition) in shown.iter_mut().zip(partitions) {
        for lag in &mut held.sinks {
            let Some(committed) = lag.committed.filter(|_| lag.lag_seconds.is_none()) else { continue };
            let at = times.iter().find(|((place, offset), _)| place == partition && offset.0 >= committed);
            let time = at.and_then(|(_, time)| *time).filter(|ms| *ms >= 0);
            lag.lag_seconds = time.map(|ms| (now_ms - ms).max(0) as f64 / 1000.0);
        }
    }
}
