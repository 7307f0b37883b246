//! Columns that a model computes from the fields of its events, once a batch. A model without expressions never comes here.
//!
//! They stand beside the decoded fields under the text of their expression, so keys, versions and cells read them like
//! any field.

use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::BooleanBuffer;

use crate::decode::columns::ColumnBuilder;
use crate::decode::events::{Events, FieldSet};
use crate::model::cast::{self, Cast};
use crate::model::expression::{Constant, Expression, Unfit};
use crate::model::field::{Field, FieldType};
use crate::model::value::{TypedColumn, Value};
use crate::project::BindError;

/// Longest part of a value that a cause shows.
const SHOWN_CHARS: usize = 40;

/// The expressions of a model, bound to the fields of its topic.
#[derive(Debug)]
pub(super) struct Computed {
    expressions: Vec<(Bound, FieldType)>,
    /// Decoded and computed fields together.
    fields: FieldSet,
    /// For each field of these, where its column comes from.
    sources: Vec<Source>,
    text: String,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Decoded(usize),
    Computed(usize),
}

/// An event that an expression makes bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) event: usize,
    pub(super) cause: String,
}

#[derive(Debug)]
enum Bound {
    Slot(usize),
    Constant(Constant),
    Coalesce(Vec<Bound>),
    Concat(Vec<Bound>),
    Cast { inner: Box<Bound>, of: String, to: FieldType, unfit: Unfit },
}

/// What an expression is for one event.
#[derive(Clone, Debug)]
enum Found<'a> {
    Absent,
    Null,
    Value(Value<'a>),
    /// Text that was made.
    Text(Range<usize>),
}

impl Computed {
    pub(super) fn bind<'e>(
        expressions: impl Iterator<Item = (&'e String, &'e Expression)>,
        fields: &FieldSet,
    ) -> Result<Self, BindError> {
        let mut bound = Vec::new();
        let mut names = Vec::new();
        let mut all = fields.all().to_vec();
        for (name, expression) in expressions {
            bound.push((bind(expression, fields)?, expression.data_type()));
            names.push(name.as_str());
            all.push(Field { path: name.clone(), data_type: expression.data_type(), quoted_number: false });
        }
        let all = FieldSet::new(all).map_err(BindError::Fields)?;
        let source = |field: &Field| match names.iter().position(|name| *name == field.path) {
            Some(index) => Some(Source::Computed(index)),
            None => fields.slot(&field.path).map(Source::Decoded),
        };
        let sources = all.all().iter().filter_map(source).collect();
        Ok(Self { expressions: bound, fields: all, sources, text: String::new() })
    }

    /// Decoded and computed fields together; slots of a model with expressions are these.
    pub(super) const fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// The events with the computed columns, and which of them are bad, in their order.
    pub(super) fn extend(&mut self, events: &Events) -> (Events, Vec<Fault>) {
        let mut faults = Vec::new();
        let inputs: Vec<Input<'_>> = (0..events.fields().all().len()).map(|slot| Input::new(events, slot)).collect();
        let mut computed = Vec::with_capacity(self.expressions.len());
        for (bound, data_type) in &self.expressions {
            let mut column = ColumnBuilder::new(*data_type, events.len());
            for event in 0..events.len() {
                self.text.clear();
                match bound.evaluate(&inputs, event, &mut self.text) {
                    Ok(Found::Value(value)) => column.push(value),
                    Ok(Found::Text(range)) => {
                        let text = self.text.get(range).unwrap_or_default();
                        match data_type {
                            FieldType::Bytes => column.push(Value::Bytes(text.as_bytes())),
                            _ => column.push(Value::Text(text)),
                        }
                    }
                    Ok(Found::Null) => column.push_null(),
                    Ok(Found::Absent) => column.push_absent(),
                    Err(cause) => {
                        column.push_absent();
                        faults.push(Fault { event, cause });
                    }
                }
            }
            computed.push(column.finish());
        }
        faults.sort_by_key(|fault| fault.event);
        faults.dedup_by_key(|fault| fault.event);
        let mut columns = Vec::with_capacity(self.sources.len());
        let mut nulls: Vec<Option<BooleanBuffer>> = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let (column, bits) = match source {
                Source::Decoded(slot) => (events.column(*slot).cloned(), events.explicit_nulls(*slot).cloned()),
                Source::Computed(index) => {
                    let made = computed.get(*index);
                    (made.map(|made| Arc::clone(&made.0)), made.and_then(|made| made.1.clone()))
                }
            };
            columns.push(column.expect("sources were bound to these fields"));
            nulls.push(bits);
        }
        (Events { fields: self.fields.clone(), columns, nulls, ..events.clone() }, faults)
    }
}

/// A decoded column, downcast once a batch.
struct Input<'a> {
    values: Option<TypedColumn<'a>>,
    nulls: Option<&'a BooleanBuffer>,
}

impl<'a> Input<'a> {
    fn new(events: &'a Events, slot: usize) -> Self {
        Self { values: events.typed(slot), nulls: events.explicit_nulls(slot) }
    }

    fn found(&self, event: usize) -> Found<'a> {
        match self.values.and_then(|values| values.value(event)) {
            Some(value) => Found::Value(value),
            None if self.nulls.is_some_and(|bits| bits.value(event)) => Found::Null,
            None => Found::Absent,
        }
    }
}

fn bind(expression: &Expression, fields: &FieldSet) -> Result<Bound, BindError> {
    let all = |parts: &[Expression]| parts.iter().map(|part| bind(part, fields)).collect::<Result<Vec<_>, _>>();
    Ok(match expression {
        Expression::Field { path, .. } => {
            Bound::Slot(fields.slot(path).ok_or_else(|| BindError::Unknown(path.clone()))?)
        }
        Expression::Constant(constant) => Bound::Constant(constant.clone()),
        Expression::Coalesce(parts) => Bound::Coalesce(all(parts)?),
        Expression::Concat(parts) => Bound::Concat(all(parts)?),
        Expression::Cast { inner, to, unfit } => {
            let of = match &**inner {
                Expression::Field { path, .. } => format!("field `{path}`"),
                other => other.to_string(),
            };
            Bound::Cast { inner: Box::new(bind(inner, fields)?), of, to: *to, unfit: *unfit }
        }
    })
}

impl Bound {
    /// The value for one event, or why the event is bad. Texts that are made are appended to `text`.
    fn evaluate<'a>(&'a self, inputs: &[Input<'a>], event: usize, text: &mut String) -> Result<Found<'a>, String> {
        match self {
            Self::Slot(slot) => Ok(inputs.get(*slot).map_or(Found::Absent, |input| input.found(event))),
            Self::Constant(constant) => Ok(Found::Value(constant.value())),
            Self::Coalesce(parts) => {
                let mut best = Found::Absent;
                for part in parts {
                    match part.evaluate(inputs, event, text)? {
                        found @ (Found::Value(_) | Found::Text(_)) => return Ok(found),
                        Found::Null => best = Found::Null,
                        Found::Absent => {}
                    }
                }
                Ok(best)
            }
            Self::Concat(parts) => concat(parts, inputs, event, text),
            Self::Cast { inner, of, to, unfit } => {
                let found = inner.evaluate(inputs, event, text)?;
                let result = match found {
                    Found::Absent | Found::Null => return Ok(found),
                    Found::Value(value) => cast_value(value, *to, text),
                    Found::Text(range) => cast_made(range, *to, text),
                };
                match (result, unfit) {
                    (Ok(found), _) => Ok(found),
                    (Err(_), Unfit::Null) => Ok(Found::Null),
                    (Err(shown), Unfit::Bad) => Err(format!("{of} is {shown}, which does not fit {to}")),
                }
            }
        }
    }
}

/// The texts of all parts behind one another; every part is evaluated, since an absent one wins over a null.
fn concat<'a>(parts: &'a [Bound], inputs: &[Input<'a>], event: usize, text: &mut String) -> Result<Found<'a>, String> {
    let mut found = Vec::with_capacity(parts.len());
    for part in parts {
        found.push(part.evaluate(inputs, event, text)?);
    }
    if found.iter().any(|part| matches!(part, Found::Absent)) {
        return Ok(Found::Absent);
    }
    if found.iter().any(|part| matches!(part, Found::Null)) {
        return Ok(Found::Null);
    }
    let start = text.len();
    for part in found {
        match part {
            Found::Value(value) => cast::append(value, text),
            Found::Text(range) => {
                let made = text.get(range).unwrap_or_default().to_owned();
                text.push_str(&made);
            }
            Found::Absent | Found::Null => {}
        }
    }
    Ok(Found::Text(start..text.len()))
}

fn cast_value<'a>(value: Value<'a>, to: FieldType, text: &mut String) -> Result<Found<'a>, String> {
    let start = text.len();
    match cast::cast(value, to, text) {
        Some(Cast::Value(value)) => Ok(Found::Value(value)),
        Some(Cast::Text) => Ok(Found::Text(start..text.len())),
        None => Err(shown(value)),
    }
}

/// A text that was made can become a number, or stay the text that it is.
fn cast_made<'a>(range: Range<usize>, to: FieldType, text: &str) -> Result<Found<'a>, String> {
    if matches!(to, FieldType::Utf8 | FieldType::Bytes) {
        return Ok(Found::Text(range));
    }
    let made = text.get(range).unwrap_or_default();
    // Numbers are no longer than their text, and nothing is appended for them.
    match cast::cast(Value::Text(made), to, &mut String::new()) {
        Some(Cast::Value(Value::U64(number))) => Ok(Found::Value(Value::U64(number))),
        Some(Cast::Value(Value::I64(number))) => Ok(Found::Value(Value::I64(number))),
        Some(Cast::Value(Value::U32(number))) => Ok(Found::Value(Value::U32(number))),
        Some(Cast::Value(Value::I32(number))) => Ok(Found::Value(Value::I32(number))),
        Some(Cast::Value(Value::F64(number))) => Ok(Found::Value(Value::F64(number))),
        Some(Cast::Value(Value::Bool(truth))) => Ok(Found::Value(Value::Bool(truth))),
        _ => Err(shown(Value::Text(made))),
    }
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Bytes(bytes) => format!("{} bytes that are not UTF-8", bytes.len()),
        Value::Text(text) => {
            let cut: String = text.chars().take(SHOWN_CHARS).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("{cut:?}{more}")
        }
        _ => {
            let mut text = String::new();
            cast::append(value, &mut text);
            text
        }
    }
}

#[cfg(test)]
mod tests;
