//! `halcyon offsets journal`.

use crate::cli::offsets::OffsetsJournal;
use crate::command::{Outcome, print};
use crate::kafka::journal::{Act, Entry, Journal, Phase};

/// Prints the newest entries, oldest first.
///
/// # Errors
/// If the journal cannot be read.
pub(super) fn run(args: &OffsetsJournal) -> anyhow::Result<Outcome> {
    let topology = crate::command::topology(&args.topology)?;
    let journal = Journal::of(&topology);
    let found = journal.read(args.limit as usize)?;
    for offset in &found.unreadable {
        tracing::warn!(topic = journal.topic(), offset, "a record of the journal is no entry");
    }
    for entry in &found.entries {
        if args.json {
            print::line(serde_json::to_string(entry)?)?;
        } else {
            print(entry)?;
        }
    }
    if found.entries.is_empty() && !args.json {
        print::line(format_args!("{}: no entries", journal.topic()))?;
    }
    Ok(Outcome::Done)
}

fn print(entry: &Entry) -> anyhow::Result<()> {
    let act = match entry.act {
        Act::Set => "set",
        Act::Reset => "reset",
        Act::AcceptLoss => "accept-loss",
    };
    let phase = match entry.phase {
        Phase::Intended => "intended",
        Phase::Done => "done",
        Phase::Failed => "failed",
    };
    let note = entry.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    print::line(format_args!("{}  {}  {act} {phase}  {}{note}", entry.at, entry.by, entry.group))?;
    for moved in &entry.moves {
        let from = moved.from.map_or_else(|| "none".to_owned(), |from| from.to_string());
        print::line(format_args!("    {}[{}]: {from} -> {}", moved.topic, moved.partition, moved.to))?;
    }
    Ok(())
}
