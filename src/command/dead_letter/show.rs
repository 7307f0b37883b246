//! `halcyon dead-letter show`: one letter whole.

use std::ops::ControlFlow;

use hbase::cell::CellKind;
use hbase::wire::cell_block;

use super::{each_letter, letter_json, place, reader, time};
use crate::cli::DeadLetterShow;
use crate::command::{Outcome, print};
use crate::dead_letter::letters::Marks;
use crate::dead_letter::{DeadLetter, LetterId};
use crate::halt::{Halt, HaltKind};
use crate::topology::Topology;

/// Prints the letter.
///
/// # Errors
/// If there is no such letter, or the store cannot be read.
pub fn run(args: &DeadLetterShow) -> anyhow::Result<Outcome> {
    let topology = crate::command::topology(&args.topology)?;
    let reader = reader(&topology)?;
    let mut found = None;
    each_letter(&reader, &mut |id, letter| {
        if id.to_string() != args.id {
            return ControlFlow::Continue(());
        }
        found = Some((id, letter));
        ControlFlow::Break(())
    })?;
    let Some((id, letter)) = found else {
        let message = format!("there is no dead letter `{}`; `halcyon dead-letter list` shows their ids", args.id);
        return Err(Halt::new(HaltKind::Topology, message).into());
    };
    if args.json {
        print::line(letter_json(&id, &letter))?;
        return Ok(Outcome::Done);
    }
    let is_done = Marks::read(&reader)?.covers(&id, &letter, topology.clusters.keys());
    print::text(text(&topology, (&id, &letter), is_done))?;
    Ok(Outcome::Done)
}

fn text(topology: &Topology, (id, letter): (&LetterId, &DeadLetter), is_done: bool) -> String {
    let mut lines = vec![
        format!("letter     {id}"),
        format!("place      {}", place(letter)),
        format!("time       {}", time(letter)),
        format!("stage      {}", letter.stage.name()),
        format!("cause      {}", letter.cause),
        format!("replayed   {}", if is_done { "yes" } else { "no" }),
    ];
    if let Some(row) = &letter.row {
        lines.push(format!("sink       {}", row.sink));
        lines.push(format!("table      {}", row.table));
        lines.push(format!("row key    {}", escaped(&letter.key)));
        let model = topology.models.values().find(|model| *model.table == *row.table);
        let fields = model.and_then(|model| model.key.decode(letter.key.as_deref()?).ok());
        for (field, value) in fields.unwrap_or_default() {
            lines.push(format!("           {field} = {value}"));
        }
    } else {
        lines.push(format!("key        {}", escaped(&letter.key)));
    }
    match (&letter.payload, letter.omitted_bytes) {
        (_, Some(bytes)) => lines.push(format!("payload    {bytes} bytes, left out: it stands in the log")),
        (None, None) => lines.push("payload    null".to_owned()),
        (Some(payload), None) => {
            lines.push(format!("payload    {} bytes", payload.len()));
            lines.push(if letter.row.is_some() { cells(payload) } else { pretty(payload) });
        }
    }
    lines.join("\n") + "\n"
}

fn escaped(bytes: &Option<Vec<u8>>) -> String {
    bytes.as_deref().map_or_else(|| "null".to_owned(), |bytes| bytes.escape_ascii().to_string())
}

/// JSON is laid out, other text stands as it is, bytes are escaped.
fn pretty(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => laid_out(text),
        Ok(text) if text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t') => text.to_owned(),
        _ => payload.escape_ascii().to_string(),
    }
}

/// JSON on several lines, token by token as it stands: parsing it would sort its names, drop doubles and round numbers.
fn laid_out(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut last = ' ';
    for character in json.chars() {
        if in_string {
            text.push(character);
            in_string = is_escaped || character != '"';
            is_escaped = character == '\\' && !is_escaped;
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let is_end = matches!(character, '}' | ']');
        depth -= usize::from(is_end && depth > 0);
        let is_first = matches!(last, '{' | '[');
        // What is empty stays on its line.
        if last == ',' || (is_first != is_end && (is_first || is_end)) {
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
        }
        text.push(character);
        match character {
            '{' | '[' => depth += 1,
            ':' => text.push(' '),
            '"' => in_string = true,
            _ => {}
        }
        last = character;
    }
    text
}

/// The cells of a refused row: values are cut short, they are mostly why it was refused.
fn cells(payload: &[u8]) -> String {
    const VALUE_BYTES: usize = 64;
    let Ok(cells) = cell_block::decode(&bytes::Bytes::copy_from_slice(payload)) else {
        return "these bytes are not cells".to_owned();
    };
    let shown = cells.iter().map(|cell| {
        let column = format!("{}:{}", cell.family.escape_ascii(), cell.qualifier.escape_ascii());
        let value = cell.value.get(..VALUE_BYTES).unwrap_or(&cell.value);
        let more = if cell.value.len() > VALUE_BYTES { "…" } else { "" };
        let kind = if cell.kind == CellKind::Put { String::new() } else { format!(" {:?}", cell.kind) };
        let (version, bytes) = (cell.timestamp, cell.value.len());
        format!("{column} at {version}{kind}, {bytes} bytes: {}{more}", value.escape_ascii())
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_laid_out_as_it_stands() {
        let payload = br#"{"b":[1.0, {"x\"{":"} ,"}],"a":{},"a":[],"n":18446744073709551616}"#;
        let expected = "{\n  \"b\": [\n    1.0,\n    {\n      \"x\\\"{\": \"} ,\"\n    }\n  ],\n  \"a\": {},\n  \"a\": [],\n  \
                        \"n\": 18446744073709551616\n}";
        assert_eq!(pretty(payload), expected);
        assert_eq!(pretty(b"{not json"), "{not json");
        assert_eq!(pretty(b"\xff\0"), "\\xff\\x00");
    }
}
