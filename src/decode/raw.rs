//! Bytes as they are to one value: record keys, headers, payloads that have no format.
//!
//! As binary, numbers are big-endian and as long as their type, as Kafka's own serializers write them
//! (`LongSerializer`, `IntegerSerializer`, `DoubleSerializer`, `BooleanSerializer`). As text, they are decimal, a bool is
//! `true` or `false`, and bytes are base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::decode::row::{Found, Scratch, integer};
use crate::model::field::FieldType;
use crate::model::value::Value;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Binary,
    Text,
}

/// The value that these bytes are; else what they must be.
pub(super) fn value<'de>(
    bytes: &'de [u8],
    (data_type, written): (FieldType, Written),
    scratch: &mut Scratch,
) -> Result<Found<'de>, &'static str> {
    match data_type {
        FieldType::Utf8 => text(bytes).map(|text| Found::Value(Value::Text(text))),
        FieldType::Json => json(bytes),
        FieldType::Bytes if written == Written::Text => base64(bytes, scratch),
        FieldType::Bytes => Ok(Found::Value(Value::Bytes(bytes))),
        _ => match written {
            Written::Binary => binary(bytes, data_type),
            Written::Text => decimal(bytes, data_type),
        }
        .map(Found::Value),
    }
}

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "UTF-8 text (utf8)")
}

fn json(bytes: &[u8]) -> Result<Found<'_>, &'static str> {
    const WANTED: &str = "JSON text (json)";
    let raw: &RawValue = serde_json::from_slice(bytes).map_err(|_| WANTED)?;
    Ok(if raw.get() == "null" { Found::Null } else { Found::Value(Value::Text(raw.get())) })
}

fn base64<'de>(bytes: &[u8], scratch: &mut Scratch) -> Result<Found<'de>, &'static str> {
    let start = scratch.bytes.len();
    match STANDARD.decode_vec(bytes, &mut scratch.bytes) {
        Ok(()) => Ok(Found::Bytes(start..scratch.bytes.len())),
        Err(_) => Err("base64 text (bytes)"),
    }
}

fn binary<'de>(bytes: &[u8], data_type: FieldType) -> Result<Value<'de>, &'static str> {
    let found = match data_type {
        FieldType::U64 => bytes.try_into().ok().map(u64::from_be_bytes).map(Value::U64),
        FieldType::I64 => bytes.try_into().ok().map(i64::from_be_bytes).map(Value::I64),
        FieldType::U32 => bytes.try_into().ok().map(u32::from_be_bytes).map(Value::U32),
        FieldType::I32 => bytes.try_into().ok().map(i32::from_be_bytes).map(Value::I32),
        FieldType::F64 => {
            bytes.try_into().ok().map(f64::from_be_bytes).filter(|number| number.is_finite()).map(Value::F64)
        }
        FieldType::Bool => match bytes {
            [0] => Some(Value::Bool(false)),
            [1] => Some(Value::Bool(true)),
            _ => None,
        },
        FieldType::Utf8 | FieldType::Bytes | FieldType::Json => None,
    };
    found.ok_or(match data_type {
        FieldType::U64 => "8 bytes, big-endian (u64)",
        FieldType::I64 => "8 bytes, big-endian (i64)",
        FieldType::U32 => "4 bytes, big-endian (u32)",
        FieldType::I32 => "4 bytes, big-endian (i32)",
        FieldType::F64 => "8 bytes, big-endian, of a finite number (f64)",
        _ => "one byte, 0 or 1 (bool)",
    })
}

fn decimal<'de>(bytes: &[u8], data_type: FieldType) -> Result<Value<'de>, &'static str> {
    let text = text(bytes).unwrap_or_default();
    let found = match data_type {
        FieldType::Bool => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldType::F64 => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::F64),
        _ => integer(data_type, text),
    };
    found.ok_or(match data_type {
        FieldType::U64 => "the digits of an integer in the range of u64",
        FieldType::I64 => "the digits of an integer in the range of i64",
        FieldType::U32 => "the digits of an integer in the range of u32",
        FieldType::I32 => "the digits of an integer in the range of i32",
        FieldType::F64 => "the digits of a number (f64)",
        _ => "true or false (bool)",
    })
}
