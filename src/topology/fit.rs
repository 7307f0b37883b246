//! Whether what conditions and versions say fits the types of their fields.

use std::collections::BTreeMap;

use crate::model::field::FieldType;
use crate::model::predicate::{Literal, Predicate};
use crate::model::version::VersionRule;
use crate::topology::source::Node;

/// A version is made of integers, or of a time.
pub(super) fn check_version_types(rule: &VersionRule, node: &Node<'_>, types: &BTreeMap<String, FieldType>) {
    let needed = |path: &str, time: bool| {
        let Some(data_type) = types.get(path) else { return };
        if data_type.is_integer() || (time && *data_type == FieldType::Utf8) {
            return;
        }
        let what = format!("the version is made of `{path}`, which is {data_type}");
        let hint =
            if time { "a time is an integer (milliseconds) or utf8 (RFC 3339)" } else { "it must be an integer" };
        node.mistake_hint(what, hint);
    };
    match rule {
        VersionRule::Column { field } => needed(field, false),
        VersionRule::Time { field } => needed(field, true),
        VersionRule::TimeSequence { time, sequence } => {
            needed(time, true);
            needed(sequence, false);
        }
        VersionRule::KafkaOffset | VersionRule::KafkaTimestamp => {}
    }
}

/// Every literal must be of a type that its field can have.
pub(super) fn check_literals(predicate: &Predicate, node: &Node<'_>, types: &BTreeMap<String, FieldType>) {
    match predicate {
        Predicate::And(left, right) | Predicate::Or(left, right) => {
            check_literals(left, node, types);
            check_literals(right, node, types);
        }
        Predicate::Not(inner) => check_literals(inner, node, types),
        Predicate::Compare { field, literal, .. } => check_literal(field, literal, node, types),
        Predicate::In { field, literals } => {
            if let Some(wrong) = literals.iter().find(|literal| types.get(field).is_some_and(|one| !literal.fits(*one)))
            {
                check_literal(field, wrong, node, types);
            }
        }
        Predicate::Like { field, pattern } => {
            let pattern = Literal::Text(pattern.clone());
            check_literal(field, &pattern, node, types);
        }
        Predicate::IsNull { .. } => {}
        Predicate::IsTrue { field } => match types.get(field) {
            Some(FieldType::Bool) | None => {}
            Some(other) => node.mistake_hint(
                format!("in the condition: `{field}` stands alone, but is {other}"),
                "only a bool can; compare it with a value, or test it with `is not null`",
            ),
        },
    }
}

fn check_literal(field: &str, literal: &Literal, node: &Node<'_>, types: &BTreeMap<String, FieldType>) {
    let Some(data_type) = types.get(field).filter(|data_type| !literal.fits(**data_type)) else { return };
    let hint = match data_type {
        FieldType::Utf8 => "text stands in single quotes: 'text'",
        FieldType::Bool => "compare it with true or false",
        FieldType::Bytes | FieldType::Json => "fields of this type can only be tested for null",
        _ => "compare it with a number",
    };
    node.mistake_hint(
        format!("in the condition: `{field}` is {data_type} and cannot be compared with {literal}"),
        hint,
    );
}
