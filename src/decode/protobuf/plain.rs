//! Single values of Protobuf: from the wire, to a slot or to text.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::descriptors::Scalar;
use super::wire::{Broken, Fields, Wire, zigzag};
use crate::decode::plan::Slot;
use crate::decode::row::{Found, Row, from_i64, from_u64, integer};
use crate::decode::text::quote;
use crate::model::field::FieldType;
use crate::model::value::Value;

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain<'de> {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
    Text(&'de str),
    Bytes(&'de [u8]),
}

impl Scalar {
    /// What a field without presence is when it is absent.
    pub(super) const fn default(self) -> Plain<'static> {
        match self {
            Self::Double | Self::Float => Plain::Float(0.0),
            Self::Int64 | Self::Int32 | Self::Sfixed32 | Self::Sfixed64 | Self::Sint32 | Self::Sint64 => {
                Plain::Signed(0)
            }
            Self::Uint64 | Self::Fixed64 | Self::Fixed32 | Self::Uint32 => Plain::Unsigned(0),
            Self::Bool => Plain::Bool(false),
            Self::Text => Plain::Text(""),
            Self::Bytes => Plain::Bytes(&[]),
        }
    }

    /// The value of a field. Integers of 32 bits are cut off as the specification says.
    #[inline]
    pub(super) fn read(self, wire: Wire<'_>) -> Result<Plain<'_>, Broken> {
        Ok(match (self, wire) {
            (Self::Int64, Wire::Varint(number)) => Plain::Signed(number.cast_signed()),
            (Self::Int32, Wire::Varint(number)) => Plain::Signed(i64::from(number as i32)),
            (Self::Uint64, Wire::Varint(number)) => Plain::Unsigned(number),
            (Self::Uint32, Wire::Varint(number)) => Plain::Unsigned(u64::from(number as u32)),
            (Self::Sint64, Wire::Varint(number)) => Plain::Signed(zigzag(number)),
            (Self::Sint32, Wire::Varint(number)) => Plain::Signed(i64::from(zigzag(u64::from(number as u32)) as i32)),
            (Self::Bool, Wire::Varint(number)) => Plain::Bool(number != 0),
            (Self::Double, Wire::Fixed64(bits)) => Plain::Float(f64::from_bits(bits)),
            (Self::Fixed64, Wire::Fixed64(number)) => Plain::Unsigned(number),
            (Self::Sfixed64, Wire::Fixed64(number)) => Plain::Signed(number.cast_signed()),
            (Self::Float, Wire::Fixed32(bits)) => Plain::Float(f64::from(f32::from_bits(bits))),
            (Self::Fixed32, Wire::Fixed32(number)) => Plain::Unsigned(u64::from(number)),
            (Self::Sfixed32, Wire::Fixed32(number)) => Plain::Signed(i64::from(number.cast_signed())),
            (Self::Bytes, Wire::Bytes(bytes)) => Plain::Bytes(bytes),
            (Self::Text, Wire::Bytes(bytes)) => {
                Plain::Text(std::str::from_utf8(bytes).map_err(|_| "it has a string that is not UTF-8")?)
            }
            _ => return Err("it has a field of another wire type than its schema says"),
        })
    }

    /// The values of a repeated field's occurrence: one, or several packed into bytes.
    pub(super) fn read_all<'de>(
        self,
        wire: Wire<'de>,
        mut each: impl FnMut(Plain<'de>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let Wire::Bytes(packed) = wire else { return each(self.read(wire)?) };
        if matches!(self, Self::Text | Self::Bytes) {
            return each(self.read(wire)?);
        }
        let mut fields = Fields::new(packed);
        while !fields.rest().is_empty() {
            let value = match self {
                Self::Double | Self::Fixed64 | Self::Sfixed64 => Wire::Fixed64(fields.fixed64()?),
                Self::Float | Self::Fixed32 | Self::Sfixed32 => Wire::Fixed32(fields.fixed32()?),
                _ => Wire::Varint(fields.varint()?),
            };
            each(self.read(value)?)?;
        }
        Ok(())
    }
}

impl<'de> Plain<'de> {
    /// It as a slot wants it; `None` if it is none of that type.
    #[inline]
    pub(super) fn found(self, slot: Slot, row: &mut Row<'de, '_>) -> Option<Found<'de>> {
        let value = match (self, slot.data_type) {
            (_, FieldType::Json) => {
                let start = row.scratch.text.len();
                self.json(&mut row.scratch.text).ok()?;
                return Some(Found::Text(start..row.scratch.text.len()));
            }
            (Self::Signed(number), data_type) => from_i64(data_type, number)?,
            (Self::Unsigned(number), data_type) => from_u64(data_type, number)?,
            (Self::Float(number), FieldType::F64) if number.is_finite() => Value::F64(number),
            (Self::Bool(truth), FieldType::Bool) => Value::Bool(truth),
            (Self::Text(text), FieldType::Utf8) => Value::Text(text),
            (Self::Text(text), FieldType::Bytes) => Value::Bytes(text.as_bytes()),
            (Self::Text(text), data_type) if slot.quoted_number => integer(data_type, text)?,
            (Self::Bytes(bytes), FieldType::Bytes) => Value::Bytes(bytes),
            (Self::Bytes(bytes), FieldType::Utf8) => Value::Text(std::str::from_utf8(bytes).ok()?),
            _ => return None,
        };
        Some(Found::Value(value))
    }

    /// Appends its JSON.
    pub(super) fn json(self, out: &mut String) -> Result<(), Broken> {
        match self {
            Self::Signed(number) => drop(write!(out, "{number}")),
            Self::Unsigned(number) => drop(write!(out, "{number}")),
            Self::Float(number) if number.is_finite() => drop(write!(out, "{number:?}")),
            Self::Float(_) => return Err("it has a number that JSON has not (NaN or infinite)"),
            Self::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
            Self::Text(text) => quote(text, out),
            Self::Bytes(bytes) => {
                out.push('"');
                STANDARD.encode_string(bytes, out);
                out.push('"');
            }
        }
        Ok(())
    }

    /// What it is called in causes.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Signed(_) | Self::Unsigned(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Bool(_) => "a bool",
            Self::Text(_) => "a string",
            Self::Bytes(_) => "bytes",
        }
    }
}

/// Seconds and nanoseconds of one of Google's times.
pub(super) fn time(message: &[u8]) -> Result<(i64, i32), Broken> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        match (number, wire) {
            (1, Wire::Varint(number)) => seconds = number.cast_signed(),
            (2, Wire::Varint(number)) => nanos = number as i32,
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

/// A time as RFC 3339 in UTC.
pub(super) fn rfc3339((seconds, nanos): (i64, i32)) -> Option<String> {
    jiff::Timestamp::new(seconds, nanos).ok().map(|time| time.to_string())
}

/// A time as milliseconds since 1970.
pub(super) fn milliseconds((seconds, nanos): (i64, i32)) -> Option<i64> {
    seconds.checked_mul(1000)?.checked_add(i64::from(nanos.div_euclid(1_000_000)))
}

/// The value that one of Google's wrappers holds.
pub(super) fn wrapped(scalar: Scalar, message: &[u8]) -> Result<Plain<'_>, Broken> {
    let mut value = scalar.default();
    let mut fields = Fields::new(message);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            value = scalar.read(wire)?;
        }
    }
    Ok(value)
}
