//! A message bound to the fields that are wanted: what to do with each field number.

use std::sync::Arc;

use super::descriptors::{Descriptors, EnumId, Field, Kind, MessageId, Scalar};
use super::plain::{self, Plain};
use super::render;
use super::wire::{Broken, DEPTH_MAX, Fields, Wire};
use crate::decode::plan::{Node, Slot, Target};
use crate::decode::row::{Found, Row, from_i64};
use crate::model::field::FieldType;

/// A plan.
#[derive(Debug)]
pub(super) struct Bound {
    all: Arc<Descriptors>,
    root: Plan,
}

/// What is wanted of one message.
#[derive(Debug)]
struct Plan {
    fields: Vec<Wanted>,
    /// Fields that are their default when they are absent.
    implicit: Vec<(usize, Implicit)>,
}

#[derive(Debug)]
struct Wanted {
    number: u32,
    action: Action,
    /// Slots of the other fields of its oneof: the last one counts.
    clears: Vec<usize>,
}

#[derive(Debug)]
enum Action {
    Scalar(Scalar, Slot),
    Enum(EnumId, Slot),
    Timestamp(Slot),
    Wrapped(Scalar, Slot),
    Json(Field, Slot),
    Message(Plan),
    Map(Vec<(String, Plan)>),
    /// What is wanted cannot be had from such a field.
    Wrong(usize, &'static str),
}

#[derive(Clone, Copy, Debug)]
enum Implicit {
    Plain(Plain<'static>, Slot),
    Enum(EnumId, Slot),
    Json(&'static str),
}

/// Why a message is bad.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not of its schema.
    Broken(Broken),
    /// A field has another type than the one that is wanted.
    Field(String),
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Fault {
    pub(super) fn of(self, schema: &str) -> String {
        match self {
            Self::Broken(broken) => format!("the payload is not a message of {schema}: {broken}"),
            Self::Field(cause) => cause,
        }
    }
}

impl Bound {
    pub(super) fn new(all: Arc<Descriptors>, id: MessageId, wanted: &Node) -> Self {
        let root = plan(&all, id, wanted);
        Self { all, root }
    }

    /// Reads a message into the slots of a row that was reset.
    pub(super) fn read<'de>(&self, message: &'de [u8], row: &mut Row<'de, '_>) -> Result<(), Fault> {
        self.message(&self.root, message, row, 0)
    }

    fn message<'de>(&self, plan: &Plan, message: &'de [u8], row: &mut Row<'de, '_>, depth: usize) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::Broken("its messages nest too deeply"));
        }
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            let Some(wanted) = plan.fields.iter().find(|wanted| wanted.number == number) else { continue };
            for slot in &wanted.clears {
                row.set(*slot, Found::Absent);
            }
            self.act(&wanted.action, (number, wire, message), row, depth)?;
        }
        for (slot, implicit) in &plan.implicit {
            if row.is_absent(*slot) {
                let found = self.implicit(*implicit, row);
                row.set(*slot, found);
            }
        }
        Ok(())
    }

    fn act<'de>(
        &self,
        action: &Action,
        (number, wire, message): (u32, Wire<'de>, &'de [u8]),
        row: &mut Row<'de, '_>,
        depth: usize,
    ) -> Result<(), Fault> {
        const WIRE: Fault = Fault::Broken("it has a field of another wire type than its schema says");
        match action {
            Action::Scalar(scalar, slot) => set(scalar.read(wire)?, *slot, row),
            Action::Enum(id, slot) => {
                let Plain::Signed(value) = Scalar::Int32.read(wire)? else { return Err(WIRE) };
                self.set_enum(*id, value, *slot, row)
            }
            Action::Timestamp(slot) => {
                let Wire::Bytes(bytes) = wire else { return Err(WIRE) };
                let time = plain::time(bytes)?;
                let found = match slot.data_type {
                    FieldType::Utf8 => plain::rfc3339(time).map(|text| row.copy(&text)),
                    data_type => plain::milliseconds(time).and_then(|ms| from_i64(data_type, ms)).map(Found::Value),
                };
                found.map(|found| row.set(slot.index, found)).ok_or_else(|| wrong(*slot, "a time", row))
            }
            Action::Wrapped(scalar, slot) => {
                let Wire::Bytes(bytes) = wire else { return Err(WIRE) };
                set(plain::wrapped(*scalar, bytes)?, *slot, row)
            }
            Action::Json(field, slot) => {
                // All occurrences are shown at the first one.
                if row.is_absent(slot.index) {
                    let mut occurrences = Vec::new();
                    let mut fields = Fields::new(message);
                    while let Some((other, wire)) = fields.next()? {
                        if other == number {
                            occurrences.push(wire);
                        }
                    }
                    let start = row.scratch.text.len();
                    render::field(&self.all, field, &occurrences, &mut row.scratch.text, depth)?;
                    let end = row.scratch.text.len();
                    row.set(slot.index, Found::Text(start..end));
                }
                Ok(())
            }
            Action::Message(plan) => {
                let Wire::Bytes(bytes) = wire else { return Err(WIRE) };
                self.message(plan, bytes, row, depth + 1)
            }
            Action::Map(names) => {
                let Wire::Bytes(entry) = wire else { return Err(WIRE) };
                self.entry(names, entry, row, depth)
            }
            Action::Wrong(slot, found) => {
                Err(Fault::Field(format!("field `{}` cannot be read: it is {found}", row.path(*slot))))
            }
        }
    }

    fn entry<'de>(
        &self,
        names: &[(String, Plan)],
        entry: &'de [u8],
        row: &mut Row<'de, '_>,
        depth: usize,
    ) -> Result<(), Fault> {
        let mut key = "";
        let mut fields = Fields::new(entry);
        while let Some((number, wire)) = fields.next()? {
            if number == 1
                && let Plain::Text(text) = Scalar::Text.read(wire)?
            {
                key = text;
            }
        }
        match names.iter().find(|(name, _)| name == key) {
            Some((_, plan)) => self.message(plan, entry, row, depth + 1),
            None => Ok(()),
        }
    }

    fn set_enum<'de>(&self, id: EnumId, number: i64, slot: Slot, row: &mut Row<'de, '_>) -> Result<(), Fault> {
        let symbol = i32::try_from(number).ok().and_then(|number| self.all.symbol(id, number));
        let found = match (slot.data_type, symbol) {
            (FieldType::Utf8, Some(symbol)) => row.copy(symbol),
            // A value that this schema does not know yet.
            (FieldType::Utf8, None) => row.copy(&number.to_string()),
            (data_type, _) => match from_i64(data_type, number) {
                Some(value) => Found::Value(value),
                None => return Err(wrong(slot, "an enum", row)),
            },
        };
        row.set(slot.index, found);
        Ok(())
    }

    fn implicit<'de>(&self, implicit: Implicit, row: &mut Row<'de, '_>) -> Found<'de> {
        match implicit {
            Implicit::Json(text) => row.copy(text),
            Implicit::Plain(plain, slot) => plain.found(slot, row).unwrap_or(Found::Absent),
            Implicit::Enum(id, slot) => match slot.data_type {
                FieldType::Utf8 => row.copy(self.all.symbol(id, 0).unwrap_or("0")),
                data_type => from_i64(data_type, 0).map_or(Found::Absent, Found::Value),
            },
        }
    }
}

fn set<'de>(plain: Plain<'de>, slot: Slot, row: &mut Row<'de, '_>) -> Result<(), Fault> {
    match plain.found(slot, row) {
        Some(found) => {
            row.set(slot.index, found);
            Ok(())
        }
        None => Err(wrong(slot, plain.name(), row)),
    }
}

fn wrong(slot: Slot, found: &str, row: &Row<'_, '_>) -> Fault {
    Fault::Field(format!("field `{}` must be {}, but is {found} that is none", row.path(slot.index), slot.data_type))
}

fn plan(all: &Descriptors, id: MessageId, node: &Node) -> Plan {
    let message = all.get(id);
    let mut plan = Plan { fields: Vec::new(), implicit: Vec::new() };
    let mut oneofs: Vec<(i32, std::ops::Range<usize>, usize)> = Vec::new();
    for name in &node.names {
        // A field that this schema does not have is absent.
        let Some(field) = message.fields.iter().find(|field| field.name == name.text) else { continue };
        let slots = match &name.target {
            Target::Slot(slot) => slot.index..slot.index + 1,
            Target::Object(node) => node.slots.clone(),
        };
        if let Some(oneof) = field.oneof {
            oneofs.push((oneof, slots, plan.fields.len()));
        }
        if let Target::Slot(slot) = &name.target {
            plan.implicit.extend(implicit(all, field, *slot).map(|implicit| (slot.index, implicit)));
        }
        plan.fields.push(Wanted { number: field.number, action: action(all, field, &name.target), clears: Vec::new() });
    }
    for (oneof, _, at) in &oneofs {
        let others = oneofs.iter().filter(|(other, _, place)| other == oneof && place != at);
        let clears = others.flat_map(|(_, slots, _)| slots.clone()).collect();
        if let Some(wanted) = plan.fields.get_mut(*at) {
            wanted.clears = clears;
        }
    }
    plan
}

fn implicit(all: &Descriptors, field: &Field, slot: Slot) -> Option<Implicit> {
    if field.is_repeated {
        let is_map = matches!(field.kind, Kind::Message(id) if all.get(id).is_map_entry);
        return (slot.data_type == FieldType::Json).then_some(Implicit::Json(if is_map { "{}" } else { "[]" }));
    }
    if field.has_presence {
        return None;
    }
    match field.kind {
        Kind::Scalar(scalar) => Some(Implicit::Plain(scalar.default(), slot)),
        Kind::Enum(id) => Some(Implicit::Enum(id, slot)),
        Kind::Message(_) | Kind::Unknown => None,
    }
}

fn action(all: &Descriptors, field: &Field, target: &Target) -> Action {
    let first = match target {
        Target::Slot(slot) => slot.index,
        Target::Object(node) => node.slots.start,
    };
    match (target, field.kind) {
        (_, Kind::Unknown) => Action::Wrong(first, "a group, or of a type whose file the registry did not give"),
        (Target::Slot(slot), _) if slot.data_type == FieldType::Json => Action::Json(field.clone(), *slot),
        (Target::Object(node), Kind::Message(id)) if all.get(id).is_map_entry => {
            let value = all.get(id).fields.iter().find(|field| field.number == 2);
            let names = node.names.iter().map(|name| {
                let mut plan = Plan { fields: Vec::new(), implicit: Vec::new() };
                if let Some(value) = value {
                    if let Target::Slot(slot) = &name.target {
                        plan.implicit.extend(implicit(all, value, *slot).map(|implicit| (slot.index, implicit)));
                    }
                    let action = action(all, value, &name.target);
                    plan.fields.push(Wanted { number: 2, action, clears: Vec::new() });
                }
                (name.text.clone(), plan)
            });
            Action::Map(names.collect())
        }
        _ if field.is_repeated => Action::Wrong(first, "repeated; read it as json"),
        (Target::Slot(slot), Kind::Scalar(scalar)) => Action::Scalar(scalar, *slot),
        (Target::Slot(slot), Kind::Enum(id)) => Action::Enum(id, *slot),
        (Target::Slot(slot), Kind::Message(id)) => match all.get(id).wrapped() {
            Some(scalar) => Action::Wrapped(scalar, *slot),
            None if all.get(id).is_timestamp() => Action::Timestamp(*slot),
            None => Action::Wrong(first, "a message; read it as json, or name a field of it"),
        },
        (Target::Object(node), Kind::Message(id)) => Action::Message(plan(all, id, node)),
        (Target::Object(_), Kind::Scalar(_) | Kind::Enum(_)) => {
            Action::Wrong(first, "within a field that is no message")
        }
    }
}
