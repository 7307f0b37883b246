//! `halcyon dead-letter list`: how many of what, and which.

use std::ops::ControlFlow;

use serde_json::json;

use super::{each_letter, filter, letter_json, place, reader, short, time};
use crate::cli::DeadLetterList;
use crate::command::{Outcome, print};
use crate::dead_letter::letters::{Counts, Marks};
use crate::dead_letter::{DeadLetter, LetterId};

/// Counts and lists the letters that are wanted and were not replayed.
///
/// # Errors
/// If the topology has mistakes, or the store cannot be read.
pub fn run(args: &DeadLetterList) -> anyhow::Result<Outcome> {
    let topology = crate::command::topology(&args.letters.topology)?;
    let reader = reader(&topology)?;
    let mut filter = filter(&args.letters, &topology);
    filter.refused_by.clone_from(&args.sink);
    let marks = Marks::read(&reader)?;
    let mut counts = Counts::default();
    let (mut listed, mut replayed) = (0_u64, 0_u64);
    let mut printed = Ok(());
    each_letter(&reader, &mut |id, letter| {
        if !filter.wants(&id, &letter) {
            return ControlFlow::Continue(());
        }
        let is_done = marks.covers(&id, &letter, topology.clusters.keys());
        replayed += u64::from(is_done);
        if is_done && !args.all {
            return ControlFlow::Continue(());
        }
        counts.add(&letter);
        if listed < args.limit {
            listed += 1;
            printed = say(args.letters.json, (&id, &letter), is_done);
        }
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    printed?;
    summary(args, (&counts, replayed), listed)?;
    Ok(Outcome::Done)
}

fn say(json: bool, (id, letter): (&LetterId, &DeadLetter), is_done: bool) -> anyhow::Result<()> {
    if json {
        let mut value = letter_json(id, letter);
        if let Some(object) = value.as_object_mut() {
            object.insert("replayed".to_owned(), is_done.into());
        }
        return print::line(value);
    }
    let done = if is_done { " (replayed)" } else { "" };
    let by = letter.row.as_ref().map(|row| format!(" by {}, table {}", row.sink, row.table)).unwrap_or_default();
    print::line(format_args!(
        "{id:<8} {:<28} {:<24} {}{by}: {}{done}",
        place(letter),
        time(letter),
        letter.stage.name(),
        short(&letter.cause)
    ))
}

fn summary(args: &DeadLetterList, (counts, replayed): (&Counts, u64), listed: u64) -> anyhow::Result<()> {
    let total = counts.total();
    if args.letters.json {
        let kinds = counts.ranked().into_iter().map(
            |(kind, count)| json!({"topic": kind.topic, "stage": kind.stage, "cause": kind.cause, "letters": count}),
        );
        let kinds: Vec<_> = kinds.collect();
        return print::line(json!({"summary": {
            "letters": total, "listed": listed, "replayed": replayed, "kinds": kinds, "other_kinds": counts.others,
        }}));
    }
    if total > listed {
        print::line(format_args!("… and {} more; --limit N lists them", total - listed))?;
    }
    let letters = if total == 1 { "letter" } else { "letters" };
    print::line(format_args!("{total} {letters}, {replayed} replayed"))?;
    for (kind, count) in counts.ranked() {
        print::line(format_args!("{count:>8}  {}, {}: {}", kind.topic, kind.stage, short(&kind.cause)))?;
    }
    if counts.others > 0 {
        print::line(format_args!("{:>8}  of rarer kinds", counts.others))?;
    }
    Ok(())
}
