//! Reads files of test cases (`chat.test.toml` beside `chat.toml`): events in, rows and dead letters expected.
//!
//! Everything is checked against the topology while it is read, with every mistake at once: topics, tables, columns, the
//! fields of row keys, and that a value can be one of its column.

mod value;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use toml::de::DeTable;

use self::value::{cell, hex, json, key};
use crate::model::batch::Stage;
use crate::model::field::FieldType;
use crate::topology::mistake::{Mistake, Mistakes};
use crate::topology::source::{Log, Node, Section, Source};
use crate::topology::{Model, Topology, suggest};

pub(super) const CASE: &[&str] = &["name", "any_order", "events", "rows", "dead_letters"];
pub(super) const EVENT: &[&str] = &["topic", "value", "text", "hex", "null", "key", "partition", "time"];
pub(super) const ROW: &[&str] =
    &["table", "key", "key_hex", "cells", "nulls", "version", "versions", "partial", "deleted"];
pub(super) const LETTER: &[&str] = &["event", "stage", "cause"];

/// A case: what comes in, and what must be there afterwards.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// `file:line`
    pub place: String,
    /// What comes in, in this order.
    pub events: Vec<Event>,
    /// Every row that is live afterwards, or must be deleted.
    pub rows: Vec<ExpectedRow>,
    /// Every dead letter.
    pub letters: Vec<ExpectedLetter>,
    /// Whether the order of the events must not matter.
    pub any_order: bool,
}

/// An event of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The topic's id.
    pub topic: String,
    /// Payload; `None` is Kafka's null.
    pub payload: Option<Vec<u8>>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Partition.
    pub partition: i32,
    /// Kafka's timestamp in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// A row that is expected.
#[derive(Clone, Debug)]
pub struct ExpectedRow {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: Vec<u8>,
    /// Its cells by `family:qualifier`; null is an empty cell.
    pub cells: BTreeMap<String, Json>,
    /// Versions that cells must have, by `family:qualifier`.
    pub versions: BTreeMap<String, i64>,
    /// Whether it may have other cells too.
    pub partial: bool,
    /// Whether it must be deleted.
    pub deleted: bool,
}

/// A dead letter that is expected.
#[derive(Clone, Debug)]
pub struct ExpectedLetter {
    /// Index of its event.
    pub event: usize,
    /// Its stage.
    pub stage: Option<Stage>,
    /// What its cause contains.
    pub cause: Option<String>,
}

/// Reads the cases of a file; `file` is what mistakes name it.
///
/// # Errors
/// [`Mistakes`], every one that could be found.
pub fn cases(topology: &Topology, file: &str, text: &str) -> Result<Vec<Case>, Mistakes> {
    let log = Log::default();
    let source = Source { file: file.to_owned(), text: text.to_owned() };
    let (tree, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        log.mistake(source.mistake(offset, format!("not TOML: {}", error.message()), None));
    }
    let mut cases = Vec::new();
    if errors.is_empty() {
        for (key, value) in tree.get_ref().iter() {
            let node = Node::new(&log, &source, key, value);
            if key.get_ref() != "case" {
                let hint = suggest::hint(key.get_ref(), ["case"]);
                node.mistake_at_key(format!("unknown key `{}`", key.get_ref()), hint);
                continue;
            }
            cases = read_all(topology, &node);
        }
        if cases.is_empty() && log.mistakes.borrow().is_empty() {
            let hint = "[[case]] with name, events and rows".to_owned();
            log.mistake(source.mistake(0, "the file has no case".to_owned(), Some(hint)));
        }
    }
    let mut mistakes: Vec<Mistake> = log.mistakes.into_inner();
    mistakes.sort_by_key(|mistake| mistake.place);
    mistakes.dedup();
    if mistakes.is_empty() { Ok(cases) } else { Err(Mistakes(mistakes)) }
}

fn read_all(topology: &Topology, node: &Node<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut names = BTreeSet::new();
    for node in node.list().unwrap_or_default() {
        let Some(case) = case(topology, &node) else { continue };
        if !names.insert(case.name.clone()) {
            node.mistake_at_key(format!("there are two cases `{}`", case.name), None);
        }
        cases.push(case);
    }
    cases
}

fn case(topology: &Topology, node: &Node<'_>) -> Option<Case> {
    let section = node.section(CASE)?;
    let name = section.require("name", "what the case claims: \"an edit changes only the body\"");
    let name = name.and_then(|node| node.string().map(str::to_owned));
    let events = section.require("events", "events = [{topic = \"messages\", value = {id = 1}}]");
    let events = events.and_then(|node| all(node.list()?.iter().map(|node| event(topology, node))));
    let list = |key: &str| section.get(key).map_or(Some(Vec::new()), |node| node.list());
    let rows = list("rows").and_then(|list| all(list.iter().map(|node| row(topology, node))));
    let count = section.get("events").and_then(|node| node.list()).map_or(0, |list| list.len());
    let letters = list("dead_letters").and_then(|list| all(list.iter().map(|node| letter(count, node))));
    let any_order = boolean(&section, "any_order");
    let place = node.whereabouts();
    if let Some(rows) = &rows {
        check_once(node, rows);
    }
    Some(Case { name: name?, place, events: events?, rows: rows?, letters: letters?, any_order: any_order? })
}

/// All of them, or none if one could not be read; every one is tried.
fn all<T>(read: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = read.collect();
    read.into_iter().collect()
}

fn boolean(section: &Section<'_>, key: &str) -> Option<bool> {
    section.get(key).map_or(Some(false), |node| node.boolean())
}

fn check_once(node: &Node<'_>, rows: &[ExpectedRow]) {
    let mut seen = BTreeSet::new();
    for row in rows {
        if !seen.insert((&row.table, &row.key)) {
            let what = format!("row {} of table `{}` is expected twice", row.key.escape_ascii(), row.table);
            node.mistake_at_key(what, None);
        }
    }
}

fn event(topology: &Topology, node: &Node<'_>) -> Option<Event> {
    let section = node.section(EVENT)?;
    let topic = section.require("topic", "the id of the [topic.*] that it comes in").and_then(|node| {
        let id = node.string()?;
        let own = topology.projections.values().map(|own| own.topic.as_str());
        let known: BTreeSet<&str> = topology.models.values().map(|model| model.topic.as_str()).chain(own).collect();
        if known.contains(id) {
            return Some(id.to_owned());
        }
        let hint = suggest::hint(id, known);
        node.mistake_hint(format!("no model reads topic `{id}`"), hint.unwrap_or_default());
        None
    });
    let kinds: Vec<&str> = ["value", "text", "hex", "null"].into_iter().filter(|key| section.has(key)).collect();
    let payload = match kinds.as_slice() {
        [kind] => section.get(kind).and_then(|node| payload(kind, &node)),
        _ => {
            let what = format!(
                "`{}` must say one of `value`, `text`, `hex` and `null`, but says {}",
                node.path(),
                kinds.len()
            );
            let hint = "value = {...} becomes JSON; text = '''{\"body\": null}''' is the payload as it stands";
            node.mistake_at_key(what, Some(hint.to_owned()));
            None
        }
    };
    let key = match section.get("key") {
        None => Some(None),
        Some(node) => node.string().map(|text| Some(text.as_bytes().to_vec())),
    };
    let partition = section.get("partition").map_or(Some(0), |node| node.integer(0..=i64::from(i32::MAX)));
    let timestamp_ms = match section.get("time") {
        None => Some(None),
        Some(node) => time(&node).map(Some),
    };
    Some(Event {
        topic: topic?,
        payload: payload?,
        key: key?,
        partition: i32::try_from(partition?).ok()?,
        timestamp_ms: timestamp_ms?,
    })
}

fn payload(kind: &str, node: &Node<'_>) -> Option<Option<Vec<u8>>> {
    match kind {
        "value" => Some(Some(json(node)?.to_string().into_bytes())),
        "text" => Some(Some(node.string()?.as_bytes().to_vec())),
        "hex" => Some(Some(hex(node)?)),
        _ if node.boolean()? => Some(None),
        _ => {
            node.mistake_hint("`null` is true or not there", "null = true");
            None
        }
    }
}

fn time(node: &Node<'_>) -> Option<i64> {
    if let Some(text) = node.as_datetime().or_else(|| node.as_string().map(str::to_owned)) {
        let time = text.parse::<jiff::Timestamp>();
        if time.is_err() {
            node.mistake_hint(
                format!("`{text}` is not a time"),
                "such as 2026-11-01T00:00:00Z, or milliseconds since 1970",
            );
        }
        return time.ok().map(|time| time.as_millisecond());
    }
    node.integer(0..=i64::MAX)
}

fn row(topology: &Topology, node: &Node<'_>) -> Option<ExpectedRow> {
    let section = node.section(ROW)?;
    let table = section.require("table", "the name of its table")?;
    let name = table.string()?;
    let Some(model) = topology.models.values().find(|model| model.table == name) else {
        let hint = suggest::hint(name, topology.models.values().map(|model| model.table.as_str()));
        table.mistake_hint(format!("no model writes table `{name}`"), hint.unwrap_or_default());
        return None;
    };
    let key = match (section.get("key"), section.get("key_hex")) {
        (Some(fields), None) => key(&model.key, &fields),
        (None, Some(digits)) => hex(&digits),
        _ => {
            let what = format!("`{}` must say one of `key` and `key_hex`", node.path());
            node.mistake_at_key(what, Some("key = {room_id = 3, message_id = 7}".to_owned()));
            None
        }
    };
    let cells = cells(model, &section);
    let versions = versions(model, &section, cells.as_ref());
    let (partial, deleted) = (boolean(&section, "partial"), boolean(&section, "deleted"));
    if deleted == Some(true) && cells.as_ref().is_some_and(|cells| !cells.is_empty()) {
        node.mistake_at_key("a deleted row has no cells", None);
    }
    if deleted == Some(true) && model.delete.is_none() {
        node.mistake_at_key(format!("nothing deletes rows of table `{name}`"), None);
    }
    Some(ExpectedRow {
        table: name.to_owned(),
        key: key?,
        cells: cells?,
        versions: versions?,
        partial: partial?,
        deleted: deleted?,
    })
}

/// The columns of a model that stand as keys of a table, with their values.
fn columns<'a>(model: &Model, node: &Node<'a>) -> Option<Vec<(FieldType, &'a str, Node<'a>)>> {
    let mut found = Vec::new();
    let mut all_good = true;
    for (name, node) in node.entries()? {
        match model.columns.iter().find(|column| column.name() == name) {
            Some(column) => found.push((column.data_type, name, node)),
            None => {
                all_good = false;
                no_column(model, name, &node);
            }
        }
    }
    all_good.then_some(found)
}

fn no_column(model: &Model, name: &str, node: &Node<'_>) {
    let known: Vec<String> = model.columns.iter().map(|column| column.name()).collect();
    let hint = suggest::hint(name, known.iter().map(String::as_str));
    node.mistake_at_key(format!("table `{}` has no column `{name}`", model.table), hint);
}

fn cells(model: &Model, section: &Section<'_>) -> Option<BTreeMap<String, Json>> {
    let mut cells = BTreeMap::new();
    let mut all_good = true;
    if let Some(node) = section.get("cells") {
        for (data_type, name, node) in columns(model, &node)? {
            match cell(data_type, &node) {
                Some(value) => drop(cells.insert(name.to_owned(), value)),
                None => all_good = false,
            }
        }
    }
    for node in section.get("nulls").map_or(Some(Vec::new()), |node| node.list())? {
        let name = node.string()?;
        if model.columns.iter().all(|column| column.name() != name) {
            all_good = false;
            no_column(model, name, &node);
        }
        cells.insert(name.to_owned(), Json::Null);
    }
    all_good.then_some(cells)
}

fn versions(
    model: &Model,
    section: &Section<'_>,
    cells: Option<&BTreeMap<String, Json>>,
) -> Option<BTreeMap<String, i64>> {
    let mut versions = BTreeMap::new();
    if let Some(node) = section.get("version") {
        let version = node.integer(0..=i64::MAX)?;
        versions.extend(cells?.keys().map(|name| (name.clone(), version)));
    }
    if let Some(node) = section.get("versions") {
        for (_, name, node) in columns(model, &node)? {
            versions.insert(name.to_owned(), node.integer(0..=i64::MAX)?);
        }
    }
    Some(versions)
}

fn letter(events: usize, node: &Node<'_>) -> Option<ExpectedLetter> {
    let section = node.section(LETTER)?;
    let event = section.require("event", "which event becomes one, counted from 1");
    let event = event.and_then(|node| node.integer(1..=i64::try_from(events.max(1)).unwrap_or(i64::MAX)));
    let stages: Vec<(&str, Stage)> = Stage::ALL.iter().map(|stage| (stage.name(), *stage)).collect();
    let stage = section.get("stage").map_or(Some(None), |node| node.choose(&stages).map(Some));
    let cause = section.get("cause").map_or(Some(None), |node| node.string().map(|text| Some(text.to_owned())));
    Some(ExpectedLetter { event: usize::try_from(event? - 1).ok()?, stage: stage?, cause: cause? })
}

#[cfg(test)]
mod tests;
