//! Values of case files: payloads and cells as JSON, row keys from their fields.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use toml::de::DeValue;

use super::all;
use crate::model::field::FieldType;
use crate::model::key::{KeyPart, RowKey};
use crate::model::value::Value;
use crate::topology::source::Node;
use crate::topology::suggest;

/// A TOML value as JSON. TOML has no null: events that say it stand as text.
pub(super) fn json(node: &Node<'_>) -> Option<Json> {
    match node.raw() {
        DeValue::String(text) => Some(Json::String(text.clone().into_owned())),
        DeValue::Boolean(truth) => Some(Json::Bool(*truth)),
        DeValue::Datetime(time) => Some(Json::String(time.to_string())),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Some(number.into()),
            Err(_) => {
                node.mistake_hint(format!("{integer} is too large for TOML"), "write the event as text = '{...}'");
                None
            }
        },
        DeValue::Float(_) => match node.number().and_then(serde_json::Number::from_f64) {
            Some(number) => Some(Json::Number(number)),
            None => {
                node.mistake("JSON has no such number");
                None
            }
        },
        DeValue::Array(_) => all(node.list()?.iter().map(json)).map(Json::Array),
        DeValue::Table(_) => {
            let entries = node.entries()?;
            let read = all(entries.iter().map(|(name, node)| Some(((*name).to_owned(), json(node)?))));
            Some(Json::Object(read?.into_iter().collect()))
        }
    }
}

/// The bytes that hexadecimal digits say.
pub(super) fn hex(node: &Node<'_>) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = node.string()?.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect();
    if bytes.is_none() {
        node.mistake_hint("these are not bytes", "hexadecimal digits, two a byte: \"00ff\"");
    }
    bytes
}

/// The value of a cell as [`crate::driver::RowCell`] has it.
pub(super) fn cell(data_type: FieldType, node: &Node<'_>) -> Option<Json> {
    let value = json(node)?;
    let wrong = |hint: &str| {
        node.mistake_hint(format!("`{}` can hold no {data_type} of that value", node.path()), hint);
        None
    };
    match (data_type, &value) {
        (FieldType::Json, _) => Some(value),
        (FieldType::Utf8, Json::String(_)) | (FieldType::Bool, Json::Bool(_)) => Some(value),
        (FieldType::Bytes, Json::String(text)) if STANDARD.decode(text).is_ok() => Some(value),
        (FieldType::F64, Json::Number(number)) => number.as_f64().map(Json::from),
        (FieldType::U64 | FieldType::I64 | FieldType::U32 | FieldType::I32, _) => match integer(data_type, &value) {
            Some(number) => Some(number),
            None => wrong("an integer in its range; one beyond 2^63 - 1 stands in quotes"),
        },
        (FieldType::Bytes, _) => wrong("base64, as in events"),
        (FieldType::Utf8 | FieldType::Bool | FieldType::F64, _) => wrong("a string, true or false, or a number"),
    }
}

/// An integer in the range of its type; TOML has none beyond `i64`, those stand in quotes.
fn integer(data_type: FieldType, value: &Json) -> Option<Json> {
    let number: i128 = match value {
        Json::String(text) => text.parse().ok()?,
        Json::Number(number) => number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))?,
        _ => return None,
    };
    match data_type {
        FieldType::U64 => u64::try_from(number).ok().map(Json::from),
        FieldType::I64 => i64::try_from(number).ok().map(Json::from),
        FieldType::U32 => u32::try_from(number).ok().map(Json::from),
        FieldType::I32 => i32::try_from(number).ok().map(Json::from),
        _ => None,
    }
}

/// The bytes of the key with these fields.
pub(super) fn key(shape: &RowKey, node: &Node<'_>) -> Option<Vec<u8>> {
    let entries = node.entries()?;
    let known: BTreeSet<&str> = shape.fields().map(|(path, _)| path).collect();
    let mut all_good = true;
    for (name, node) in &entries {
        if !known.contains(name) {
            all_good = false;
            let hint = suggest::hint(name, known.iter().copied());
            node.mistake_at_key(format!("the row key holds no field `{name}`"), hint);
        }
    }
    let mut bytes = Vec::new();
    for part in &shape.parts {
        all_good &= key_part(part, (&entries, node), &mut bytes).is_some();
    }
    all_good.then_some(bytes)
}

fn key_part(part: &KeyPart, (entries, whole): (&[(&str, Node<'_>)], &Node<'_>), out: &mut Vec<u8>) -> Option<()> {
    let Some((path, data_type)) = part.field() else { return part.encode(Value::Bool(false), out).ok() };
    let Some((_, node)) = entries.iter().find(|(name, _)| *name == path) else {
        let hint = format!("name every field of the key, a path of several names in quotes: \"{path}\" = ...");
        whole.mistake_at_key(format!("`{}` lacks the field `{path}`", whole.path()), Some(hint));
        return None;
    };
    let value = cell(data_type, node)?;
    let bytes;
    let value = match (data_type, &value) {
        (FieldType::U64, value) => Value::U64(value.as_u64()?),
        (FieldType::I64, value) => Value::I64(value.as_i64()?),
        (FieldType::U32, value) => Value::U32(u32::try_from(value.as_u64()?).ok()?),
        (FieldType::I32, value) => Value::I32(i32::try_from(value.as_i64()?).ok()?),
        (FieldType::Bool, value) => Value::Bool(value.as_bool()?),
        (FieldType::F64, value) => Value::F64(value.as_f64()?),
        (FieldType::Bytes, value) => {
            bytes = STANDARD.decode(value.as_str()?).ok()?;
            Value::Bytes(&bytes)
        }
        (FieldType::Utf8, value) => Value::Text(value.as_str()?),
        (FieldType::Json, _) => {
            node.mistake_hint("a json field of a key stands as its bytes only", "key_hex = \"...\"");
            return None;
        }
    };
    if let Err(error) = part.encode(value, out) {
        node.mistake(format!("field `{path}` {error}"));
        return None;
    }
    Some(())
}
