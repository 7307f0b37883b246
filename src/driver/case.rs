//! Runs a test case: every way in which its events may come must end in the rows and dead letters that it expects.
//!
//! Each case runs with one event a batch, with all events in one batch, and with everything delivered twice: batches and
//! repetition never matter (laws 1 and 8 of the design). A case that says so also runs in other orders.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::{Driver, Record, Row, in_order, shuffled};
use crate::dead_letter::DeadLetter;
use crate::project::{LaneError, Projections};
use crate::topology::Topology;
use crate::topology::cases::{Case, Event, ExpectedLetter, ExpectedRow};

/// Orders tried of a case whose events may come in any.
const ORDERS: u64 = 64;

/// How the events of a case came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// One event a batch, in the order of the case.
    OneByOne,
    /// All events in one batch.
    Together,
    /// All events, and all of them again.
    Twice,
    /// In this order, counted from 0.
    Order(Vec<usize>),
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneByOne => f.write_str("one by one"),
            Self::Together => f.write_str("in one batch"),
            Self::Twice => f.write_str("delivered twice"),
            Self::Order(order) => {
                let order: Vec<String> = order.iter().map(|index| (index + 1).to_string()).collect();
                write!(f, "in the order {}", order.join(", "))
            }
        }
    }
}

/// What a table or the dead letters have otherwise than expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// A row that is not there.
    MissingRow {
        /// Where.
        row: RowName,
    },
    /// A row that was not expected.
    UnexpectedRow {
        /// Where.
        row: RowName,
        /// Its cells.
        cells: BTreeMap<String, Json>,
    },
    /// A row that should be deleted and is not, or has no tombstone.
    NotDeleted {
        /// Where.
        row: RowName,
    },
    /// A cell that is another.
    Cell {
        /// Where.
        row: RowName,
        /// `family:qualifier`
        column: String,
        /// What it should be; `None` is no cell.
        expected: Option<Json>,
        /// What it is.
        got: Option<Json>,
    },
    /// A cell of another version.
    Version {
        /// Where.
        row: RowName,
        /// `family:qualifier`
        column: String,
        /// The version that it should have.
        expected: i64,
        /// The one that it has.
        got: i64,
    },
    /// An event that should be a dead letter and is none.
    MissingLetter {
        /// Number of the event, from 1.
        event: usize,
        /// What was expected of its cause.
        expected: String,
        /// The cause that it has, if it is a letter for another reason.
        got: Option<String>,
    },
    /// An event that is a dead letter and should be none.
    UnexpectedLetter {
        /// Number of the event, from 1.
        event: usize,
        /// Why it is one.
        cause: String,
    },
}

/// A row, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowName {
    /// The table.
    pub table: String,
    /// The key.
    pub key: Vec<u8>,
    /// The fields in it.
    pub fields: String,
}

/// How a case went.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How the events came when it failed first; `None` if it passed.
    pub failed: Option<Delivery>,
    /// Everything that was otherwise then.
    pub differences: Vec<Difference>,
}

/// Runs a case in all deliveries and stops at the first that fails.
///
/// # Errors
/// [`LaneError`]; a loaded topology has none.
pub fn run(of: (&Topology, &Projections), case: &Case) -> Result<Verdict, LaneError> {
    for delivery in deliveries(case) {
        let differences = attempt(of, case, &delivery)?;
        if !differences.is_empty() {
            return Ok(Verdict { failed: Some(delivery), differences });
        }
    }
    Ok(Verdict { failed: None, differences: Vec::new() })
}

fn deliveries(case: &Case) -> Vec<Delivery> {
    let mut deliveries = vec![Delivery::OneByOne, Delivery::Together, Delivery::Twice];
    if case.any_order {
        let count = case.events.len();
        let reversed = (0..count).rev().collect();
        let mut orders = vec![reversed];
        orders.extend((0..ORDERS).map(|seed| shuffled(count, seed)));
        orders.sort();
        orders.dedup();
        deliveries.extend(orders.into_iter().map(Delivery::Order));
    }
    deliveries
}

fn attempt(
    (topology, projections): (&Topology, &Projections),
    case: &Case,
    delivery: &Delivery,
) -> Result<Vec<Difference>, LaneError> {
    let mut driver = Driver::with(topology, projections)?;
    let order: Vec<usize> = match delivery {
        Delivery::OneByOne | Delivery::Together | Delivery::Twice => (0..case.events.len()).collect(),
        Delivery::Order(order) => order.clone(),
    };
    if *delivery == Delivery::Together {
        driver.set_batch_records(case.events.len().max(1));
    }
    // Which event stands at which place of which partition.
    let mut places = BTreeMap::new();
    for (event, index) in in_order(&case.events, &order).iter().zip(&order) {
        let offset = driver.pipe(record(event));
        let topic = topology.topics.get(&event.topic).map_or("", |topic| topic.name.as_str());
        places.insert((topic, event.partition, offset), *index);
    }
    driver.flush();
    if *delivery == Delivery::Twice {
        for event in &case.events {
            driver.redeliver(&event.topic, event.partition, 0);
        }
    }
    let mut differences = Vec::new();
    rows(topology, case, &driver, &mut differences);
    let mut letters: BTreeMap<usize, &DeadLetter> = BTreeMap::new();
    for letter in driver.dead_letters() {
        let place = (&*letter.partition.topic, letter.partition.partition, letter.offset.0);
        if let Some(index) = places.get(&place) {
            letters.insert(*index, letter);
        }
    }
    compare_letters(&case.letters, &letters, &mut differences);
    Ok(differences)
}

fn record(event: &Event) -> Record {
    Record {
        topic: event.topic.clone(),
        partition: event.partition,
        key: event.key.clone(),
        payload: event.payload.clone(),
        timestamp_ms: event.timestamp_ms,
    }
}

fn rows(topology: &Topology, case: &Case, driver: &Driver, differences: &mut Vec<Difference>) {
    // Cases speak of declared columns; tables of a program's own projections are tested with the driver itself.
    let declared = |table: &&str| topology.models.values().any(|model| model.table == **table);
    for table in driver.tables().filter(declared) {
        let Some(found) = driver.table(table) else { continue };
        let live = found.live_rows();
        let expected = case.rows.iter().filter(|row| row.table == table);
        for row in expected.clone() {
            let name = name(topology, table, &row.key);
            let is_live = live.iter().find(|live| live.key == row.key);
            match (is_live, row.deleted) {
                (Some(live), false) => compare_cells(&name, row, live, differences),
                (None, false) => differences.push(Difference::MissingRow { row: name }),
                (Some(_), true) => differences.push(Difference::NotDeleted { row: name }),
                (None, true) if found.row_at(&row.key).is_none_or(|row| row.deleted.is_none()) => {
                    // A marker leaves nothing behind that a reader sees, and neither does a row that never was.
                    let by_marker = topology.models.values().any(|model| {
                        model.table == table
                            && model
                                .delete
                                .as_ref()
                                .is_some_and(|rule| rule.mode == crate::model::schema::DeleteMode::Marker)
                    });
                    if !by_marker {
                        differences.push(Difference::NotDeleted { row: name });
                    }
                }
                (None, true) => {}
            }
        }
        for row in live.iter().filter(|row| expected.clone().all(|known| known.key != row.key)) {
            let cells = row.cells.iter().map(|(column, cell)| (column.clone(), cell.value.clone())).collect();
            differences.push(Difference::UnexpectedRow { row: name(topology, table, &row.key), cells });
        }
    }
}

fn name(topology: &Topology, table: &str, key: &[u8]) -> RowName {
    let model = topology.models.values().find(|model| model.table == table);
    let fields = model.and_then(|model| model.key.decode(key).ok()).unwrap_or_default();
    let fields: Vec<String> = fields.iter().map(|(field, value)| format!("{field} = {value}")).collect();
    RowName { table: table.to_owned(), key: key.to_vec(), fields: fields.join(", ") }
}

fn compare_cells(name: &RowName, expected: &ExpectedRow, got: &Row, differences: &mut Vec<Difference>) {
    for (column, value) in &expected.cells {
        let found = got.cell(column);
        if found != Some(value) {
            differences.push(Difference::Cell {
                row: name.clone(),
                column: column.clone(),
                expected: Some(value.clone()),
                got: found.cloned(),
            });
        }
    }
    for (column, version) in &expected.versions {
        match got.version(column) {
            Some(found) if found != *version => differences.push(Difference::Version {
                row: name.clone(),
                column: column.clone(),
                expected: *version,
                got: found,
            }),
            _ => {}
        }
    }
    if expected.partial {
        return;
    }
    for (column, cell) in got.cells.iter().filter(|(column, _)| !expected.cells.contains_key(*column)) {
        differences.push(Difference::Cell {
            row: name.clone(),
            column: column.clone(),
            expected: None,
            got: Some(cell.value.clone()),
        });
    }
}

fn compare_letters(expected: &[ExpectedLetter], got: &BTreeMap<usize, &DeadLetter>, differences: &mut Vec<Difference>) {
    for letter in expected {
        let found = got.get(&letter.event);
        let fits = found.is_some_and(|found| {
            letter.stage.is_none_or(|stage| found.stage == stage)
                && letter.cause.as_ref().is_none_or(|cause| found.cause.contains(cause.as_str()))
        });
        if !fits {
            let stage = letter.stage.map_or("", |stage| stage.name());
            let expected = format!("{stage} {}", letter.cause.as_deref().unwrap_or_default()).trim().to_owned();
            let got = found.map(|found| format!("{}: {}", found.stage.name(), found.cause));
            differences.push(Difference::MissingLetter { event: letter.event + 1, expected, got });
        }
    }
    for (index, letter) in got {
        if expected.iter().all(|known| known.event != *index) {
            let cause = format!("{}: {}", letter.stage.name(), letter.cause);
            differences.push(Difference::UnexpectedLetter { event: index + 1, cause });
        }
    }
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}, row {}", self.table, self.key.escape_ascii())?;
        if self.fields.is_empty() { Ok(()) } else { write!(f, " ({})", self.fields) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Json>| value.as_ref().map_or_else(|| "no cell".to_owned(), Json::to_string);
        match self {
            Self::MissingRow { row } => write!(f, "{row}: expected, but is not there"),
            Self::UnexpectedRow { row, cells } => {
                write!(f, "{row}: not expected, but is there with")?;
                for (index, (column, value)) in cells.iter().enumerate() {
                    write!(f, "{} {column} = {value}", if index == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::NotDeleted { row } => write!(f, "{row}: expected to be deleted, but is not"),
            Self::Cell { row, column, expected, got } => {
                write!(f, "{row}, {column}: expected {}, got {}", shown(expected), shown(got))
            }
            Self::Version { row, column, expected, got } => {
                write!(f, "{row}, {column}: expected version {expected}, got {got}")
            }
            Self::MissingLetter { event, expected, got: None } => {
                write!(f, "event {event}: expected as a dead letter ({expected}), but is none")
            }
            Self::MissingLetter { event, expected, got: Some(got) } => {
                write!(f, "event {event}: expected as a dead letter ({expected}), got {got}")
            }
            Self::UnexpectedLetter { event, cause } => write!(f, "event {event}: a dead letter: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests;
