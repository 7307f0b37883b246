//! Avro values as text: the JSON of a `json` field, decimals, times, UUIDs.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::cursor::{Broken, Cursor, DEPTH_MAX};
use super::schema::{AvroSchema, Logical, Shape, TypeId};
use crate::decode::text::quote;

/// Appends the JSON of a value: records and maps are objects, bytes base64, enums and decimals texts, times numbers as
/// they are stored.
pub(super) fn json(
    schema: &AvroSchema,
    id: TypeId,
    cursor: &mut Cursor<'_>,
    out: &mut String,
    depth: usize,
) -> Result<(), Broken> {
    if depth > DEPTH_MAX {
        return Err("its values nest too deeply");
    }
    cursor.burn()?;
    let kind = schema.get(id);
    match &kind.shape {
        Shape::Null => out.push_str("null"),
        Shape::Boolean => out.push_str(if cursor.boolean()? { "true" } else { "false" }),
        Shape::Int | Shape::Long => {
            let _ = write!(out, "{}", cursor.long()?);
        }
        Shape::Float => float(f64::from(cursor.float()?), out)?,
        Shape::Double => float(cursor.double()?, out)?,
        Shape::Bytes => bytes(cursor.bytes()?, kind.logical, out),
        Shape::Fixed(size) => bytes(cursor.take(*size)?, kind.logical, out),
        Shape::Text => quote(cursor.text()?, out),
        Shape::Enum(symbols) => {
            let symbol = cursor.index(symbols.len())?;
            quote(symbols.get(symbol).map_or("", String::as_str), out);
        }
        Shape::Union(branches) => {
            let branch = cursor.index(branches.len())?;
            if let Some(branch) = branches.get(branch) {
                json(schema, *branch, cursor, out, depth + 1)?;
            }
        }
        Shape::Record(fields) => {
            let mut before = '{';
            for field in fields {
                out.push(before);
                quote(&field.name, out);
                out.push(':');
                json(schema, field.type_id, cursor, out, depth + 1)?;
                before = ',';
            }
            out.push_str(if before == '{' { "{}" } else { "}" });
        }
        Shape::Array(items) => {
            out.push('[');
            let mut first = true;
            blocks(cursor, |cursor| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                json(schema, *items, cursor, out, depth + 1)
            })?;
            out.push(']');
        }
        Shape::Map(values) => {
            out.push('{');
            let mut first = true;
            blocks(cursor, |cursor| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                quote(cursor.text()?, out);
                out.push(':');
                json(schema, *values, cursor, out, depth + 1)
            })?;
            out.push('}');
        }
    }
    Ok(())
}

fn blocks<'de>(
    cursor: &mut Cursor<'de>,
    mut item: impl FnMut(&mut Cursor<'de>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    loop {
        let count = cursor.block()?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            cursor.burn()?;
            item(cursor)?;
        }
    }
}

fn float(number: f64, out: &mut String) -> Result<(), Broken> {
    if !number.is_finite() {
        return Err("it has a number that JSON has not (NaN or infinite)");
    }
    let _ = write!(out, "{number:?}");
    Ok(())
}

fn bytes(bytes: &[u8], logical: Option<Logical>, out: &mut String) {
    let text = match logical {
        Some(Logical::Decimal { scale }) => decimal(bytes, scale),
        Some(Logical::Uuid) => Some(uuid(bytes)),
        _ => None,
    };
    out.push('"');
    match text {
        Some(text) => out.push_str(&text),
        None => STANDARD.encode_string(bytes, out),
    }
    out.push('"');
}

/// A decimal number of at most 128 bits with all digits of its scale.
pub(super) fn decimal(bytes: &[u8], scale: u32) -> Option<String> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    let start = wide.len().checked_sub(bytes.len())?;
    wide.get_mut(start..)?.copy_from_slice(bytes);
    let unscaled = i128::from_be_bytes(wide);
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = scale as usize;
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - scale)?;
    let point = if scale == 0 { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// RFC 3339 in UTC, or a date.
pub(super) fn time(logical: Logical, number: i64) -> Option<String> {
    let timestamp = match logical {
        Logical::Date => {
            let midnight = jiff::Timestamp::from_second(number.checked_mul(86_400)?).ok()?.to_string();
            return Some(midnight.strip_suffix("T00:00:00Z")?.to_owned());
        }
        Logical::TimestampMillis => jiff::Timestamp::from_millisecond(number),
        Logical::TimestampMicros => jiff::Timestamp::from_microsecond(number),
        Logical::TimestampNanos => jiff::Timestamp::from_nanosecond(i128::from(number)),
        Logical::Decimal { .. } | Logical::Uuid => return None,
    };
    Some(timestamp.ok()?.to_string())
}

/// `8-4-4-4-12` hexadecimal digits.
pub(super) fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}
