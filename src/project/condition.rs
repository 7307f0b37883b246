//! Evaluates conditions over columns of events.
//!
//! Each node gives one [`Truth`] a row in a flat buffer; false, unknown and true are ordered, so that `and` is the
//! minimum, `or` the maximum and `not` the mirror image. That is SQL's three-valued logic, and it vectorizes.

use std::cmp::Ordering;

use arrow_array::{Array, StringArray};

use crate::decode::events::{Events, FieldSet};
use crate::model::predicate::{Comparison, Literal, Predicate};
use crate::model::value::{TypedColumn, Value};
use crate::project::pattern::Pattern;

/// False, unknown or true.
pub(super) type Truth = u8;
const FALSE: Truth = 0;
const UNKNOWN: Truth = 1;
/// The only truth for which a rule applies.
pub(super) const TRUE: Truth = 2;

/// A condition with its fields bound to slots.
#[derive(Debug)]
pub(super) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare { slot: usize, operator: Comparison, literal: Literal },
    Texts { slot: usize, texts: Vec<String> },
    In { slot: usize, literals: Vec<Literal> },
    Like { slot: usize, pattern: Pattern },
    IsNull { slot: usize },
    IsTrue { slot: usize },
}

impl Condition {
    /// Binds a predicate to the slots of its fields; the path of a field that is not decoded is the error.
    pub(super) fn bind(predicate: &Predicate, fields: &FieldSet) -> Result<Self, String> {
        let slot = |field: &String| fields.slot(field).ok_or_else(|| field.clone());
        Ok(match predicate {
            Predicate::And(left, right) => {
                Self::And(Box::new(Self::bind(left, fields)?), Box::new(Self::bind(right, fields)?))
            }
            Predicate::Or(left, right) => {
                Self::Or(Box::new(Self::bind(left, fields)?), Box::new(Self::bind(right, fields)?))
            }
            Predicate::Not(inner) => Self::Not(Box::new(Self::bind(inner, fields)?)),
            Predicate::Compare { field, operator: Comparison::Equal, literal: Literal::Text(text) } => {
                Self::Texts { slot: slot(field)?, texts: vec![text.clone()] }
            }
            Predicate::Compare { field, operator, literal } => {
                Self::Compare { slot: slot(field)?, operator: *operator, literal: literal.clone() }
            }
            Predicate::In { field, literals } => {
                let texts: Option<Vec<String>> = literals.iter().map(text_of).collect();
                match texts {
                    Some(texts) => Self::Texts { slot: slot(field)?, texts },
                    None => Self::In { slot: slot(field)?, literals: literals.clone() },
                }
            }
            Predicate::Like { field, pattern } => Self::Like { slot: slot(field)?, pattern: Pattern::new(pattern) },
            Predicate::IsNull { field } => Self::IsNull { slot: slot(field)? },
            Predicate::IsTrue { field } => Self::IsTrue { slot: slot(field)? },
        })
    }

    /// The truth for each event.
    pub(super) fn evaluate(&self, events: &Events) -> Vec<Truth> {
        match self {
            Self::And(left, right) => combine(left.evaluate(events), &right.evaluate(events), Ord::min),
            Self::Or(left, right) => combine(left.evaluate(events), &right.evaluate(events), Ord::max),
            Self::Not(inner) => {
                let mut truths = inner.evaluate(events);
                for truth in &mut truths {
                    *truth = TRUE - *truth;
                }
                truths
            }
            Self::Compare { slot, operator, literal } => {
                each(events, *slot, |value| compare(value, literal).map(|order| operator.holds(order)))
            }
            Self::Texts { slot, texts } => match events.typed(*slot) {
                Some(TypedColumn::Text(column)) => one_of(column, texts),
                _ => vec![UNKNOWN; events.len()],
            },
            Self::In { slot, literals } => each(events, *slot, |value| {
                let mut orders = literals.iter().map(|literal| compare(value, literal));
                Some(orders.any(|order| order == Some(Ordering::Equal)))
            }),
            Self::Like { slot, pattern } => each(events, *slot, |value| match value {
                Value::Text(text) => Some(pattern.matches(text)),
                _ => None,
            }),
            Self::IsNull { slot } => match events.typed(*slot) {
                Some(column) => (0..events.len()).map(|row| truth(!column.is_valid(row))).collect(),
                None => vec![UNKNOWN; events.len()],
            },
            Self::IsTrue { slot } => each(events, *slot, |value| match value {
                Value::Bool(truth) => Some(truth),
                _ => None,
            }),
        }
    }
}

fn text_of(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Text(text) => Some(text.clone()),
        Literal::Integer(_) | Literal::Float(_) | Literal::Bool(_) => None,
    }
}

const fn truth(holds: bool) -> Truth {
    if holds { TRUE } else { FALSE }
}

fn combine(mut left: Vec<Truth>, right: &[Truth], how: impl Fn(Truth, Truth) -> Truth) -> Vec<Truth> {
    for (left, right) in left.iter_mut().zip(right) {
        *left = how(*left, *right);
    }
    left
}

fn each(events: &Events, slot: usize, holds: impl Fn(Value<'_>) -> Option<bool>) -> Vec<Truth> {
    let Some(column) = events.typed(slot) else { return vec![UNKNOWN; events.len()] };
    (0..events.len()).map(|row| column.value(row).and_then(&holds).map_or(UNKNOWN, truth)).collect()
}

/// The common rule `type in ('posted', 'edited')`. Events of one type come in runs, so the text found last is tried first.
fn one_of(column: &StringArray, texts: &[String]) -> Vec<Truth> {
    let mut last = texts.first().map_or("", String::as_str);
    (0..column.len())
        .map(|row| {
            if !column.is_valid(row) {
                return UNKNOWN;
            }
            let value = column.value(row);
            if value == last {
                return TRUE;
            }
            match texts.iter().find(|text| text.as_str() == value) {
                Some(text) => {
                    last = text;
                    TRUE
                }
                None => FALSE,
            }
        })
        .collect()
}

/// How a value stands to a literal; `None` if they cannot be compared.
fn compare(value: Value<'_>, literal: &Literal) -> Option<Ordering> {
    match (value, literal) {
        (Value::Text(text), Literal::Text(other)) => Some(text.cmp(other.as_str())),
        (Value::U64(number), Literal::Integer(other)) => Some(i128::from(number).cmp(other)),
        (Value::I64(number), Literal::Integer(other)) => Some(i128::from(number).cmp(other)),
        (Value::U32(number), Literal::Integer(other)) => Some(i128::from(number).cmp(other)),
        (Value::I32(number), Literal::Integer(other)) => Some(i128::from(number).cmp(other)),
        (Value::F64(number), Literal::Integer(other)) => number.partial_cmp(&(*other as f64)),
        (Value::F64(number), Literal::Float(other)) => number.partial_cmp(other),
        (Value::Bool(truth), Literal::Bool(other)) => Some(truth.cmp(other)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
