//! `halcyon dead-letter replay`: letters through the present topology, to the sinks.
//!
//! Letters go through in groups of one partition. A letter is marked after its rows are durable in every sink asked for;
//! what is interrupted is simply done again.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::{each_letter, filter, place, reader, short};
use crate::cli::DeadLetterReplay;
use crate::command::{Outcome, print};
use crate::dead_letter::letters::Marks;
use crate::dead_letter::replay::{Fate, Made, Replayed, Replayer};
use crate::dead_letter::{DeadLetter, DeadLetters, LetterId, Mark, Sinks};
use crate::halt::{Halt, HaltKind};
use crate::memory::Memory;
use crate::model::batch::BadRecord;
use crate::progress::offset::TopicPartition;
use crate::project::Projections;
use crate::schema_registry::SchemaRegistry;
use crate::sink::hbase::HBaseSink;
use crate::sink::{Batch, PoisonRow, Sink, SinkError};
use crate::topology::Topology;

/// Letters of one group at most, and their bytes: as large as a batch of a run.
const GROUP_LETTERS: usize = 4096;
const GROUP_BYTES: u64 = 2 << 20;
/// First and longest pause between two tries of a sink.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

type Letter = (LetterId, DeadLetter);

/// A replay under way.
struct Replay<'a> {
    args: &'a DeadLetterReplay,
    replayer: Replayer,
    registry: Arc<SchemaRegistry>,
    /// Sinks that are written; in a dry run nothing is.
    sinks: Vec<Arc<dyn Sink>>,
    /// Where marks and new letters go; in a dry run nowhere.
    store: Option<DeadLetters>,
    memory: Arc<Memory>,
    totals: Totals,
}

#[derive(Debug, Default)]
struct Totals {
    letters: u64,
    replayed: u64,
    still_bad: u64,
    stuck: u64,
    rows: u64,
    filtered: u64,
}

/// Replays what is wanted. Exit 1 if a letter is still bad.
///
/// # Errors
/// If the store cannot be read or written, or a sink does not answer in time.
pub fn run(args: &DeadLetterReplay, projections: &Projections) -> anyhow::Result<Outcome> {
    let topology = crate::command::topology(&args.letters.topology)?;
    let reader = reader(&topology)?;
    let filter = filter(&args.letters, &topology);
    let names = chosen(&topology, &args.sinks)?;
    let marks = Marks::read(&reader)?;
    let runtime = crate::command::runtime()?;
    let (sinks, store) = match args.dry_run {
        true => (Vec::new(), None),
        false => (sinks(&topology, &names), Some(DeadLetters::open(&topology.dead_letter.to, &topology.kafka)?)),
    };
    let registry = Arc::new(SchemaRegistry::default());
    let fetching = topology.schema_registry.as_ref().map(|from| registry.fetch_from(from, runtime.handle()));
    let _fetching = fetching.transpose().context("prepare the schema registry's client")?;
    let replayer = Replayer::new(&topology, projections, registry.schemas()).context("prepare the read models")?;
    let (memory, totals) = (Memory::new(u64::MAX), Totals::default());
    let mut replay = Replay { args, replayer, registry, sinks, store, memory, totals };
    let mut group = Group::default();
    let mut failed = None;
    each_letter(&reader, &mut |id, letter| {
        let sink = letter.row.as_ref().map(|row| row.sink.to_string());
        let is_elsewhere = sink.is_some_and(|sink| !names.contains(&sink));
        if is_elsewhere || !filter.wants(&id, &letter) || marks.covers(&id, &letter, names.iter()) {
            return ControlFlow::Continue(());
        }
        if let Some(full) = group.push(id, letter)
            && let Err(error) = runtime.block_on(replay.group(full))
        {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    runtime.block_on(replay.group(group))?;
    runtime.shutdown_background();
    report(args, &replay.totals)?;
    let is_done = replay.totals.still_bad + replay.totals.stuck == 0;
    Ok(if is_done { Outcome::Done } else { Outcome::Different })
}

fn chosen(topology: &Topology, only: &[String]) -> anyhow::Result<BTreeSet<String>> {
    if let Some(name) = only.iter().find(|name| !topology.clusters.contains_key(*name)) {
        let known: Vec<&str> = topology.clusters.keys().map(String::as_str).collect();
        let message = format!("--sink {name}: the topology has no such cluster; it has {}", known.join(", "));
        return Err(Halt::new(HaltKind::Topology, message).into());
    }
    let names = topology.clusters.keys().filter(|name| only.is_empty() || only.contains(name));
    Ok(names.cloned().collect())
}

fn sinks(topology: &Topology, names: &BTreeSet<String>) -> Vec<Arc<dyn Sink>> {
    let wanted = topology.clusters.iter().filter(|(name, _)| names.contains(*name));
    wanted.map(|(name, cluster)| Arc::new(HBaseSink::new(name, cluster)) as Arc<dyn Sink>).collect()
}

/// Letters that go through together: events of one partition, or one refused row.
#[derive(Default)]
struct Group {
    letters: Vec<Letter>,
    bytes: u64,
}

impl Group {
    /// Adds a letter; gives back the group before it if the letter does not belong to it.
    fn push(&mut self, id: LetterId, letter: DeadLetter) -> Option<Self> {
        let is_alike = self.letters.first().is_none_or(|(_, first)| {
            first.row.is_none() && letter.row.is_none() && first.partition == letter.partition
        });
        let fits = self.letters.len() < GROUP_LETTERS && self.bytes < GROUP_BYTES;
        let before = (!(is_alike && fits)).then(|| std::mem::take(self));
        self.bytes += letter.bytes();
        self.letters.push((id, letter));
        before
    }
}

impl Replay<'_> {
    async fn group(&mut self, group: Group) -> anyhow::Result<()> {
        let Some((_, first)) = group.letters.first() else { return Ok(()) };
        let replayed = match first.row {
            Some(_) => Replayer::row(first),
            None => {
                let partition = first.partition.clone();
                self.await_schemas(&partition, &group.letters).await?;
                self.replayer.events(&partition, &group.letters)
            }
        };
        self.totals.letters += group.letters.len() as u64;
        self.totals.filtered += replayed.filtered;
        let Replayed { fates, made, .. } = replayed;
        let mut letters = Vec::new();
        if let Some(made) = made {
            self.totals.rows += made.tables.iter().map(|table| table.block.rows().len() as u64).sum::<u64>();
            letters = self.write(made).await?;
        }
        let mut marks = Vec::new();
        for ((id, letter), fate) in group.letters.iter().zip(&fates) {
            // A row that is refused again for the same reason is the letter that it was.
            let refused = letters.iter().find(|new| letter.row.is_some() && new.key == letter.key);
            let is_same = refused.is_some_and(|new| new.cause == letter.cause);
            match fate {
                Fate::Good if is_same => self.totals.still_bad += 1,
                Fate::Good => {
                    self.totals.replayed += u64::from(refused.is_none());
                    self.totals.still_bad += u64::from(refused.is_some());
                    marks.push(self.mark(*id));
                }
                Fate::Same => self.totals.still_bad += 1,
                Fate::Bad(bad) => {
                    self.totals.still_bad += 1;
                    letters.push(with_cause(letter, bad));
                    marks.push(Mark { letter: *id, sinks: Sinks::All });
                }
                Fate::Stuck(_) => self.totals.stuck += 1,
            }
            let shown = if is_same { &Fate::Same } else { fate };
            self.say((id, letter), shown)?;
            if is_same {
                letters.retain(|new| new.key != letter.key);
            }
        }
        if let Some(store) = &self.store {
            store.store(&letters).await.context("store the letters that are still bad")?;
            store.mark(&marks).await.context("mark the letters that are done")?;
        }
        Ok(())
    }

    async fn await_schemas(&self, partition: &TopicPartition, letters: &[Letter]) -> anyhow::Result<()> {
        let began = tokio::time::Instant::now();
        while !self.replayer.is_ready(&self.registry, partition, letters) {
            if began.elapsed() >= Duration::from_millis(self.args.patience_ms) {
                let wait = self.registry.waits().into_iter().next().unwrap_or_default();
                anyhow::bail!("{wait}; what is marked is done, replay again for the rest");
            }
            tokio::time::sleep(PAUSE_MIN).await;
        }
        Ok(())
    }

    fn mark(&self, letter: LetterId) -> Mark {
        let names = || self.sinks.iter().map(|sink| sink.name().to_string()).collect();
        Mark { letter, sinks: if self.args.sinks.is_empty() { Sinks::All } else { Sinks::Some(names()) } }
    }

    /// Writes rows to every sink; those that a sink refuses come back as letters.
    async fn write(&self, made: Made) -> anyhow::Result<Vec<DeadLetter>> {
        let Made { ticket, tables, last_ms, only } = made;
        let batch = Batch { ticket, tables, last_ms, charge: self.memory.charge(0) };
        let mut letters = Vec::new();
        for sink in self.sinks.iter().filter(|sink| only.as_ref().is_none_or(|only| sink.name() == only)) {
            for poison in self.write_to(&**sink, &batch).await? {
                let rows = batch.tables.get(poison.table).map(|rows| (rows, poison.row));
                let letter = rows.and_then(|rows| {
                    DeadLetter::of_row(&batch.ticket, rows, (sink.name(), &poison.cause), batch.last_ms)
                });
                letters.extend(letter);
            }
        }
        Ok(letters)
    }

    async fn write_to(&self, sink: &dyn Sink, batch: &Batch) -> anyhow::Result<Vec<PoisonRow>> {
        let began = tokio::time::Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            match sink.write(batch).await {
                Ok(()) => return Ok(Vec::new()),
                Err(SinkError::Poison(rows)) => return Ok(rows),
                Err(SinkError::Transient(reason)) => {
                    if began.elapsed() >= Duration::from_millis(self.args.patience_ms) {
                        anyhow::bail!(
                            "sink {} does not take the rows: {reason}; what is marked is done, replay again for the rest",
                            sink.name()
                        );
                    }
                    tracing::warn!(sink = %sink.name(), reason, "rows not written: it is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(SinkError::Mismatch(reason)) => {
                    return Err(Halt::new(HaltKind::Topology, format!("sink {}: {reason}", sink.name())).into());
                }
                Err(SinkError::Refused(reason)) => {
                    return Err(Halt::new(HaltKind::Failed, format!("sink {}: {reason}", sink.name())).into());
                }
            }
        }
    }

    fn say(&self, (id, letter): (&LetterId, &DeadLetter), fate: &Fate) -> anyhow::Result<()> {
        let dry = self.args.dry_run;
        let (verdict, why) = match fate {
            Fate::Good if dry => ("would be replayed", ""),
            Fate::Good => ("replayed", ""),
            Fate::Same => ("still bad", letter.cause.as_str()),
            Fate::Bad(BadRecord { cause, .. }) => ("bad for another reason", cause.as_str()),
            Fate::Stuck(why) => ("cannot be replayed", *why),
        };
        if self.args.letters.json {
            let TopicPartition { topic, partition } = &letter.partition;
            return print::line(json!({
                "id": id.to_string(), "topic": &**topic, "partition": partition, "offset": letter.offset.0,
                "verdict": verdict, "why": why,
            }));
        }
        // Good ones are counted; a thousand lines that say so would hide the others.
        if matches!(fate, Fate::Good) && !dry {
            return Ok(());
        }
        let colon = if why.is_empty() { "" } else { ": " };
        print::line(format_args!("{id:<8} {:<28} {verdict}{colon}{}", place(letter), short(why)))
    }
}

/// The same event with why it is bad now.
fn with_cause(letter: &DeadLetter, bad: &BadRecord) -> DeadLetter {
    DeadLetter { stage: bad.stage, cause: bad.cause.clone(), ..letter.clone() }
}

fn report(args: &DeadLetterReplay, totals: &Totals) -> anyhow::Result<()> {
    let Totals { letters, replayed, still_bad, stuck, rows, filtered } = *totals;
    if args.letters.json {
        return print::line(json!({"summary": {
            "letters": letters, "replayed": replayed, "still_bad": still_bad, "stuck": stuck, "rows": rows,
            "filtered": filtered, "dry_run": args.dry_run,
        }}));
    }
    let done = if args.dry_run { "would be replayed" } else { "replayed" };
    print::line(format_args!(
        "{letters} letters: {replayed} {done} ({rows} rows, {filtered} filtered), {still_bad} still bad, {stuck} stuck"
    ))
}
