//! `halcyon offsets set|reset`.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::json;

use super::plan::{Facts, Step, membership, step};
use super::{Desk, show};
use crate::cli::offsets::{Moving, OffsetsReset, OffsetsSet};
use crate::clock::{Clock, SystemClock};
use crate::command::{Outcome, print};
use crate::error_chain::chain;
use crate::halt::{Halt, HaltKind};
use crate::kafka::journal::{self, Act, Entry, Journal, Move, Phase};
use crate::progress::offset::{Offset, TopicPartition};
use crate::source::kafka::assign::Surveyed;
use crate::source::kafka::offsets::{Commit, OffsetStore};
use crate::source::kafka::place::Place;
use crate::source::kafka::{sink_group, store};
use crate::status::aligned;

/// Moves offsets to a place.
///
/// # Errors
/// If anything cannot be moved; nothing is then.
pub(super) fn set(args: &OffsetsSet) -> anyhow::Result<Outcome> {
    run(&args.moving, &args.to, Act::Set)
}

/// Moves offsets to where the topology starts.
///
/// # Errors
/// If anything cannot be moved; nothing is then.
pub(super) fn reset(args: &OffsetsReset) -> anyhow::Result<Outcome> {
    run(&args.moving, &args.to, Act::Reset)
}

fn run(moving: &Moving, to: &Place, act: Act) -> anyhow::Result<Outcome> {
    let desk = Desk::open(&moving.selection)?;
    check_selection(moving, &desk, to)?;
    let steps = steps(&desk, &desk.survey().context("ask for offsets and logs")?, to)?;
    tell(moving, &steps)?;
    refuse_members(&desk)?;
    if moving.dry_run {
        return Ok(Outcome::Done);
    }
    carry_out(&desk, &steps, act, moving)?;
    Ok(Outcome::Done)
}

/// What is moved must be said: there is no default for it.
fn check_selection(moving: &Moving, desk: &Desk, to: &Place) -> anyhow::Result<()> {
    let wrong = |message: String| Err(Halt::new(HaltKind::Topology, message).into());
    if moving.selection.sinks.is_empty() {
        let sinks: Vec<&str> = desk.sinks.iter().map(|sink| &**sink).collect();
        return wrong(format!("say which sink is moved: --sink NAME; there are {}", sinks.join(", ")));
    }
    match to {
        Place::Offset(_) if desk.partitions.len() != 1 => wrong(
            "one offset is for one partition: add --topic and --partition, or write --to 0=1200,1=1350".to_owned(),
        ),
        Place::Offsets(offsets) => {
            let has = |number: &i32| desk.partitions.iter().any(|partition| partition.partition == *number);
            match offsets.keys().find(|number| !has(number)) {
                Some(number) => wrong(format!("--to {to}: partition {number} is not among the selected ones")),
                None => Ok(()),
            }
        }
        Place::Sink(name) if !desk.topology.clusters.contains_key(name) => {
            wrong(format!("--to {to}: the topology has no cluster {name}"))
        }
        _ => Ok(()),
    }
}

/// Every move, or everything that stands against it.
fn steps(desk: &Desk, surveyed: &[Surveyed], to: &Place) -> anyhow::Result<Vec<Step>> {
    let at_time = at_time(desk, to)?;
    let others = match to {
        Place::Sink(name) => store(&desk.topology, name)?.committed(&desk.partitions).context("read the other sink")?,
        _ => BTreeMap::new(),
    };
    // The survey asks the membership group only where it must; here an operator asks.
    let remembered = desk.positions.membership.commits(&desk.partitions).context("read the membership group")?;
    let (mut steps, mut refusals) = (Vec::new(), Vec::new());
    for one in surveyed {
        let remembered =
            remembered.get(&one.partition).map(|commit| crate::progress::note::positions(&commit.metadata));
        for (sink, seen) in desk.sinks.iter().zip(&one.sinks) {
            let facts = Facts {
                sink,
                partition: &one.partition,
                log: one.log,
                committed: seen.committed.as_ref().map(|commit| commit.offset),
                remembered: remembered.as_ref().and_then(|positions| positions.get(&**sink)).copied(),
                start: &seen.first_start,
                at_time: at_time.get(&one.partition).copied(),
                other: others.get(&one.partition).copied(),
            };
            match step(&facts, to) {
                Ok(step) => steps.extend(step),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
    }
    if !refusals.is_empty() {
        let message = format!("nothing is moved: {}", refusals.join("; "));
        return Err(Halt::new(HaltKind::Topology, message).into());
    }
    Ok(steps)
}

fn at_time(desk: &Desk, to: &Place) -> anyhow::Result<BTreeMap<TopicPartition, Offset>> {
    let Place::Time(ms) = to else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for topic in desk.topology.topics.values() {
        let of_topic: Vec<_> = desk.partitions.iter().filter(|one| *one.topic == *topic.name).cloned().collect();
        if !of_topic.is_empty() {
            let margin_ms = i64::try_from(topic.start_margin.as_millis()).unwrap_or(i64::MAX);
            let offsets = desk.positions.membership.at_time(&of_topic, ms.saturating_sub(margin_ms));
            found.extend(offsets.context("look up the time")?);
        }
    }
    Ok(found)
}

fn tell(moving: &Moving, steps: &[Step]) -> anyhow::Result<()> {
    if moving.selection.json {
        for step in steps {
            print::line(json!({
                "topic": &*step.partition.topic,
                "partition": step.partition.partition,
                "sink": step.sink,
                "from": step.from.map(|from| from.0),
                "to": step.to.0,
                "lag": step.lag,
                "read_again": step.read_again,
                "skipped": step.skipped,
                "dry_run": moving.dry_run,
            }))?;
        }
        return Ok(());
    }
    let heads = ["TOPIC", "PARTITION", "SINK", "FROM", "TO", "LAG THEN", "READ AGAIN", "SKIPPED"];
    let mut rows = vec![heads.map(str::to_owned)];
    for step in steps {
        rows.push([
            step.partition.topic.to_string(),
            step.partition.partition.to_string(),
            step.sink.clone(),
            show::shown(step.from),
            step.to.to_string(),
            step.lag.to_string(),
            step.read_again.to_string(),
            step.skipped.to_string(),
        ]);
    }
    print::text(aligned(&rows))
}

/// Refuses while somebody commits to one of the groups.
fn refuse_members(desk: &Desk) -> anyhow::Result<()> {
    for store in desk.stores.iter().chain([&*desk.positions.membership]) {
        let Some(group) = store.describe_group().context("ask who is in the group")? else { continue };
        if !group.members.is_empty() {
            let who = show::members(Some(&group));
            bail!("nothing is moved: group {} has members ({who}); stop them and try again", store.group());
        }
    }
    Ok(())
}

fn carry_out(desk: &Desk, steps: &[Step], act: Act, moving: &Moving) -> anyhow::Result<()> {
    let journal = Journal::of(&desk.topology);
    let intended = entries(desk, steps, act, moving.reason.as_ref());
    journal.append(&intended).context("nothing is moved")?;
    let moved = commit(desk, steps);
    let ended = intended.into_iter().map(|entry| match &moved {
        Ok(()) => Entry { phase: Phase::Done, at: journal::time(SystemClock.now_ms()), ..entry },
        Err(error) => {
            let note = Some(format!("{error:#}"));
            Entry { phase: Phase::Failed, note, at: journal::time(SystemClock.now_ms()), ..entry }
        }
    });
    let recorded = journal.append(&ended.collect::<Vec<_>>());
    moved?;
    if let Err(error) = recorded {
        tracing::warn!(error = %chain(&error), "moved as intended, but the journal does not say that it was done");
    }
    tracing::info!(moves = steps.len(), journal = journal.topic(), "offsets moved");
    Ok(())
}

fn entries(desk: &Desk, steps: &[Step], act: Act, reason: Option<&String>) -> Vec<Entry> {
    let now_ms = SystemClock.now_ms();
    let mut entries = Vec::new();
    for (index, sink) in desk.sinks.iter().enumerate() {
        let moves: Vec<Move> = steps
            .iter()
            .filter(|step| *step.sink == **sink)
            .map(|step| Move {
                topic: step.partition.topic.to_string(),
                partition: step.partition.partition,
                from: step.from.map(|from| from.0),
                to: step.to.0,
            })
            .collect();
        if moves.is_empty() {
            continue;
        }
        entries.push(Entry {
            at: journal::time(now_ms),
            by: journal::operator(),
            act,
            phase: Phase::Intended,
            id: format!("{now_ms}.{index}"),
            group: sink_group(&desk.topology, sink),
            note: reason.cloned(),
            moves,
        });
    }
    entries
}

/// The membership group first: it is accepted from outside only while the group is empty.
fn commit(desk: &Desk, steps: &[Step]) -> anyhow::Result<()> {
    let commits = membership_commits(desk, steps)?;
    let membership = &desk.positions.membership;
    membership
        .commit_as(commits.iter().map(|(partition, commit)| (*partition, commit.clone())))
        .with_context(|| format!("nothing was moved: group {} refuses; is a process running?", membership.group()))?;
    for (sink, store) in desk.sinks.iter().zip(&desk.stores) {
        let places = steps.iter().filter(|step| *step.sink == **sink).map(|step| (&step.partition, step.to));
        let doing = || format!("group {} refuses; see `halcyon offsets show` and repeat", store.group());
        store.commit_places(places).with_context(doing)?;
    }
    if let Some(group) = membership.describe_group()?.filter(|group| !group.members.is_empty()) {
        let who = show::members(Some(&group));
        bail!(
            "a process joined group {} meanwhile ({who}) and may commit over it: stop it and repeat",
            membership.group()
        );
    }
    Ok(())
}

/// What the membership group says of every partition in which a sink is moved.
fn membership_commits<'a>(desk: &Desk, steps: &'a [Step]) -> anyhow::Result<BTreeMap<&'a TopicPartition, Commit>> {
    let mut by_partition: BTreeMap<&TopicPartition, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        by_partition.entry(&step.partition).or_default().push(step);
    }
    let partitions: Vec<TopicPartition> = by_partition.keys().map(|partition| (*partition).clone()).collect();
    let mut committed = Vec::new();
    for name in desk.topology.clusters.keys() {
        let opened: OffsetStore = store(&desk.topology, name)?;
        committed.push((name.as_str(), opened.committed(&partitions).context("read the sinks' offsets")?));
    }
    let commits = by_partition.into_iter().filter_map(|(partition, steps)| {
        let known = committed.iter().filter_map(|(name, offsets)| Some((*name, *offsets.get(partition)?))).collect();
        let (offset, metadata) = membership(&known, steps)?;
        Some((partition, Commit { offset, metadata }))
    });
    Ok(commits.collect())
}
