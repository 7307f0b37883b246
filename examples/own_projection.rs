//! A program on the halcyon library: a read model that no declaration can say, with everything that `halcyon` does around it.
//!
//! Messages of a chat name accounts (`hello @mia and @tom`). The table `mention` has one row for each account that a
//! message names, newest first. A declared model cannot find names in a text; a [`Projection`] can.
//!
//! ```text
//! cargo run --example own_projection -- check    --topology examples/own_projection.toml
//! cargo run --example own_projection -- describe --topology examples/own_projection.toml
//! cargo run --example own_projection -- run      --topology examples/own_projection.toml
//! ```
//!
//! Every verb and flag of `halcyon` is there: table create, run, status, dead-letter replay ... The tests below run the
//! projection in memory, without a broker.

use std::process::ExitCode;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt8Array};
use clap::Parser;
use halcyon::cli::Cli;
use halcyon::decode::events::{Events, FieldSet};
use halcyon::model::field::{Field, FieldType};
use halcyon::model::rows::Rows;
use halcyon::model::schema::{DeleteMode, ModelColumn, Op, RowLayout};
use halcyon::model::value::{TypedColumn, Value};
use halcyon::project::{Projection, Projections, Report};
use halcyon::{command, telemetry};

/// Mentions of one message at most: what one event becomes must be bounded.
const MENTIONS_MAX: usize = 50;

/// The fields that it needs of an event.
const FIELDS: [(&str, FieldType); 4] = [
    ("body", FieldType::Utf8),
    ("message_id", FieldType::U64),
    ("room_id", FieldType::U64),
    ("version", FieldType::I64),
];

/// Messages to one row for each account that they name.
#[derive(Debug)]
struct Mentions {
    layout: RowLayout,
    /// Slots of [`FIELDS`] among the fields of the topic.
    slots: [usize; 4],
}

impl Mentions {
    fn new(fields: &FieldSet) -> Self {
        let column = |qualifier: &str, data_type| ModelColumn {
            family: "m".to_owned(),
            qualifier: qualifier.to_owned(),
            from: qualifier.to_owned(),
            data_type,
        };
        let columns = vec![column("body", FieldType::Utf8), column("room", FieldType::U64)];
        let layout = RowLayout::new("mention", columns, DeleteMode::Tombstone).expect("legal columns");
        let slot = |(path, _): (&str, FieldType)| fields.slot(path).expect("it was asked for");
        Self { layout, slots: FIELDS.map(slot) }
    }
}

/// The names behind an `@`, each once, in the order of the text.
fn mentions(body: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in body.split('@').skip(1) {
        let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
        let name = part.get(..end).unwrap_or_default();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The account, an end that no name contains, the message with its bits inverted: newest first in a scan.
fn row_key(account: &str, message_id: u64) -> Vec<u8> {
    let mut key = account.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&(!message_id).to_be_bytes());
    key
}

impl Projection for Mentions {
    fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// Columns in, columns out. No clock, no randomness: the same events give the same bytes, so replays are harmless.
    fn project(&mut self, events: &Events, report: &mut Report) -> Rows {
        let [body, message_id, room_id, version] = self.slots.map(|slot| events.typed(slot));
        let number = |column: Option<TypedColumn<'_>>, event: usize| match column?.value(event)? {
            Value::U64(number) => Some(number),
            _ => None,
        };
        let mut made = Made::default();
        for event in 0..events.len() {
            let Some(Value::Text(body)) = body.and_then(|column| column.value(event)) else { continue };
            let names = mentions(body);
            if names.is_empty() {
                // Not wanted by anybody: the event counts as filtered.
                continue;
            }
            report.want(event);
            let message = number(message_id, event);
            let at = version.and_then(|column| column.value(event));
            let (Some(message), Some(Value::I64(version @ 0..))) = (message, at) else {
                report.reject(events, event, "mentions need `message_id` and a `version` from 0 on".to_owned());
                continue;
            };
            if names.len() > MENTIONS_MAX {
                report.reject(events, event, format!("{} mentions, at most {MENTIONS_MAX} are kept", names.len()));
                continue;
            }
            for name in names {
                made.keys.append_value(row_key(name, message));
                made.versions.push(version);
                made.offsets.push(events.offsets().value(event));
                made.bodies.append_value(body);
                made.rooms.append_option(number(room_id, event));
            }
        }
        made.into_rows(&self.layout)
    }
}

/// The columns of the layout under construction: key, version, operation, offset, then the model's in their order.
#[derive(Default)]
struct Made {
    keys: BinaryBuilder,
    versions: Vec<i64>,
    offsets: Vec<i64>,
    bodies: StringBuilder,
    rooms: UInt64Builder,
}

impl Made {
    fn into_rows(mut self, layout: &RowLayout) -> Rows {
        let ops = vec![Op::Put as u8; self.versions.len()];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(Int64Array::from(self.versions)),
            Arc::new(UInt8Array::from(ops)),
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(self.bodies.finish()),
            Arc::new(self.rooms.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(layout.schema()), columns).expect("the columns of the layout");
        // No null is written: what an event does not carry stays as it was.
        Rows::new(layout, batch, vec![None, None]).expect("keys and versions were checked")
    }
}

/// What this program brings, by the names in its topology.
pub(crate) fn projections() -> Projections {
    let field = |(path, data_type): (&str, FieldType)| Field { path: path.to_owned(), data_type, quoted_number: false };
    Projections::default().with("mentions", FIELDS.map(field).to_vec(), |fields| Box::new(Mentions::new(fields)))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::install(cli.log_format, cli.log_filter());
    let outcome = command::run_with(cli, &projections());
    if let Err(error) = &outcome {
        tracing::error!("{error:#}");
    }
    command::exit_code(&outcome)
}

#[cfg(test)]
mod tests {
    use halcyon::driver::{Driver, Record};
    use halcyon::topology::load;
    use serde_json::json;

    use super::*;

    fn driver() -> Driver {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/own_projection.toml");
        let topology = load::load(&[file.into()]).unwrap_or_else(|mistakes| panic!("{mistakes}")).topology;
        Driver::with(&topology, &projections()).expect("the projection fits its topology")
    }

    fn message(id: u64, body: &str, version: i64) -> Record {
        Record::json("messages", &json!({"message_id": id, "room_id": 3, "body": body, "version": version}))
    }

    #[test]
    fn every_account_that_a_message_names_has_a_row_newest_first() {
        let mut driver = driver();
        driver.pipe_all([message(1, "hello @mia, @tom and @mia", 1), message(2, "@mia?", 2), message(3, "a@", 3)]);
        let rows = driver.table("mention").expect("known").live_rows();
        let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
        assert_eq!(keys, [row_key("mia", 2), row_key("mia", 1), row_key("tom", 1)]);
        assert_eq!((rows[0].cell("m:body"), rows[0].cell("m:room")), (Some(&json!("@mia?")), Some(&json!(3))));
        assert_eq!(driver.counts().filtered, 1, "the last message names nobody");
    }

    #[test]
    fn an_event_that_it_cannot_take_is_a_dead_letter_with_the_reason() {
        let mut driver = driver();
        driver.pipe(Record::json("messages", &json!({"room_id": 3, "body": "@mia", "version": 1})));
        let many: String = (0..=MENTIONS_MAX).map(|name| format!("@n{name} ")).collect();
        driver.pipe(message(1, &many, 1));
        let causes: Vec<_> = driver.dead_letters().iter().map(|letter| letter.cause.as_str()).collect();
        assert_eq!(
            causes,
            ["mentions need `message_id` and a `version` from 0 on", "51 mentions, at most 50 are kept"]
        );
    }

    #[test]
    fn batches_order_and_redelivery_change_nothing() {
        let messages = [message(1, "@mia @tom", 1), message(1, "@mia", 4), message(2, "@tom", 2)];
        let mut expected = driver();
        expected.pipe_all(messages.clone());
        let mut other = driver();
        other.set_batch_records(2);
        other.pipe_all(messages.into_iter().rev());
        other.redeliver("messages", 0, 1);
        let rows = |driver: &Driver| driver.table("mention").expect("known").rows();
        assert_eq!(rows(&other), rows(&expected));
    }
}
