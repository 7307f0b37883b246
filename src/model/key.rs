//! Row keys: from the fields of an event to bytes and back.
//!
//! A key is its parts, one behind the other:
//!
//! | part | bytes |
//! |---|---|
//! | salt | one byte, the bucket `hash(field) * buckets / 2^64`; it spreads rows over regions |
//! | hash | the first 1 to 8 bytes of `hash(field)`, big-endian |
//! | literal | as written |
//! | `u64` `u32` | big-endian |
//! | `i64` `i32` | big-endian with the sign bit flipped, so that negative numbers come first |
//! | `bool` | `0x00`, `0x01` |
//! | `utf8` `bytes`, padded | the bytes, filled up with `0x00` to a fixed width |
//! | `utf8` `bytes`, delimited | the bytes and one delimiter byte, which they must not contain |
//! | `utf8` `bytes`, last part | the bytes |
//!
//! `descending` inverts every bit of a part (its padding and delimiter too); `reverse` turns the order of its bytes
//! around, which spreads counters and brings together names of one suffix.
//!
//! The hash is that of [`crate::model::hash`].
//!
//! # Invariants
//! 1. Without salt, hash and `reverse`, keys sort as the tuples of their fields do (texts by their bytes, descending
//!    parts turned around). With a delimiter other than `0x00` this needs texts without bytes below the delimiter.
//! 2. A key decodes to the fields that it was made of.

use std::fmt;

use crate::model::field::FieldType;
use crate::model::hash::{bucket, hash};
use crate::model::value::Value;

/// The delimiter when a topology names none. Sorts before every other byte.
pub const DEFAULT_DELIMITER: u8 = 0;

/// How the row key of a model is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// The parts in key order; at least one.
    pub parts: Vec<KeyPart>,
}

/// One part of a row key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// One byte: the bucket of a field.
    Salt {
        /// Path of the field.
        field: String,
        /// Type of the field.
        data_type: FieldType,
        /// Number of buckets, 1 to [`crate::model::hash::SALT_BUCKETS_MAX`].
        buckets: u16,
    },
    /// The first bytes of a field's hash.
    Hash {
        /// Path of the field.
        field: String,
        /// Type of the field.
        data_type: FieldType,
        /// How many bytes, 1 to 8.
        bytes: u8,
    },
    /// The same bytes in every key.
    Literal(Vec<u8>),
    /// A field.
    Column(KeyColumn),
}

/// A field as part of a row key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Path of the field.
    pub field: String,
    /// Type of the field: an integer, `bool`, `utf8` or `bytes`.
    pub data_type: FieldType,
    /// How the end of the part is found.
    pub extent: Extent,
    /// Which values come first.
    pub order: Order,
    /// Whether the bytes stand as they are or turned around.
    pub direction: Direction,
}

/// How the end of a key part is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its type has a fixed width.
    Fixed,
    /// Filled up with `0x00` to this many bytes.
    Padded(usize),
    /// Ended by this byte.
    Delimited(u8),
    /// It goes to the end of the key.
    Rest,
}

/// Which values come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The smallest.
    #[default]
    Ascending,
    /// The greatest.
    Descending,
}

/// Whether the bytes of a part stand as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// As they are.
    #[default]
    Forward,
    /// Last byte first.
    Reverse,
}

/// Why a value cannot be part of a row key, or bytes are no row key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A text that exceeds its fixed width.
    #[error("has {bytes} bytes, but its part of the row key has {width}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The width of the part.
        width: usize,
    },
    /// A padded text that ends with the padding byte could not be told from a shorter one.
    #[error("ends with the byte 0x00, which pads its part of the row key")]
    EndsWithPadding,
    /// A delimited text that contains its delimiter.
    #[error("contains the byte 0x{delimiter:02x}, which ends its part of the row key")]
    ContainsDelimiter {
        /// The delimiter.
        delimiter: u8,
    },
    /// The value is not of the type that the part has.
    #[error("is not a {expected}")]
    WrongType {
        /// The type of the part.
        expected: FieldType,
    },
    /// The key ends before this part does.
    #[error("the row key ends within part {part}")]
    Truncated {
        /// Index of the part.
        part: usize,
    },
    /// Bytes that this part cannot have.
    #[error("the row key holds foreign bytes in part {part}")]
    Foreign {
        /// Index of the part.
        part: usize,
    },
    /// Bytes behind the last part.
    #[error("the row key has {bytes} bytes behind its last part")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// A field read back from a row key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue {
    /// `u64`
    U64(u64),
    /// `i64`
    I64(i64),
    /// `u32`
    U32(u32),
    /// `i32`
    I32(i32),
    /// `bool`
    Bool(bool),
    /// `utf8`
    Text(String),
    /// `bytes`
    Bytes(Vec<u8>),
}

impl KeyValue {
    /// The same value, borrowed.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::U64(number) => Value::U64(*number),
            Self::I64(number) => Value::I64(*number),
            Self::U32(number) => Value::U32(*number),
            Self::I32(number) => Value::I32(*number),
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U64(number) => number.fmt(f),
            Self::I64(number) => number.fmt(f),
            Self::U32(number) => number.fmt(f),
            Self::I32(number) => number.fmt(f),
            Self::Bool(truth) => truth.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => bytes.escape_ascii().fmt(f),
        }
    }
}

impl RowKey {
    /// The fields it is made of, with their types, in key order; salts and hashes included.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldType)> {
        self.parts.iter().filter_map(KeyPart::field)
    }

    /// The fields of a key, by their paths, in key order. Salts, hashes and literals are checked and left out.
    ///
    /// # Errors
    /// [`KeyError`] if the bytes are not a key of this shape.
    pub fn decode(&self, key: &[u8]) -> Result<Vec<(&str, KeyValue)>, KeyError> {
        let mut rest = key;
        let mut fields: Vec<(&str, KeyValue)> = Vec::with_capacity(self.parts.len());
        let mut derived = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            let truncated = KeyError::Truncated { part: index };
            match part {
                KeyPart::Salt { .. } => derived.push((index, take(&mut rest, 1).ok_or(truncated)?)),
                KeyPart::Hash { bytes, .. } => {
                    derived.push((index, take(&mut rest, usize::from(*bytes)).ok_or(truncated)?));
                }
                KeyPart::Literal(literal) => {
                    let found = take(&mut rest, literal.len()).ok_or(truncated)?;
                    if found != literal.as_slice() {
                        return Err(KeyError::Foreign { part: index });
                    }
                }
                KeyPart::Column(column) => {
                    let bytes = column.take_bytes(&mut rest).ok_or(truncated)?;
                    let value = column.decode(bytes).ok_or(KeyError::Foreign { part: index })?;
                    fields.push((column.field.as_str(), value));
                }
            }
        }
        if !rest.is_empty() {
            return Err(KeyError::Trailing { bytes: rest.len() });
        }
        for (index, found) in derived {
            self.check_derived(index, found, &fields)?;
        }
        Ok(fields)
    }

    /// A salt or hash must be the one of its field, where the key holds that field too.
    fn check_derived(&self, index: usize, found: &[u8], fields: &[(&str, KeyValue)]) -> Result<(), KeyError> {
        let Some(part) = self.parts.get(index) else { return Ok(()) };
        let Some((path, _)) = part.field() else { return Ok(()) };
        let Some((_, value)) = fields.iter().find(|(field, _)| *field == path) else { return Ok(()) };
        let mut expected = Vec::with_capacity(8);
        part.encode(value.value(), &mut expected)?;
        if expected == found { Ok(()) } else { Err(KeyError::Foreign { part: index }) }
    }
}

impl KeyPart {
    /// The field it is made of, with its type; a literal has none.
    #[must_use]
    pub fn field(&self) -> Option<(&str, FieldType)> {
        match self {
            Self::Salt { field, data_type, .. } | Self::Hash { field, data_type, .. } => Some((field, *data_type)),
            Self::Column(column) => Some((&column.field, column.data_type)),
            Self::Literal(_) => None,
        }
    }

    /// Appends the part made of this value. A literal takes no value into account.
    ///
    /// # Errors
    /// [`KeyError`]; `out` may then end with an unfinished part.
    #[inline]
    pub fn encode(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), KeyError> {
        match self {
            Self::Salt { buckets, .. } => out.push(bucket(value, *buckets)),
            Self::Hash { bytes, .. } => out.extend(hash(value).to_be_bytes().iter().take(usize::from(*bytes))),
            Self::Literal(literal) => out.extend_from_slice(literal),
            Self::Column(column) => column.encode(value, out)?,
        }
        Ok(())
    }
}

impl KeyColumn {
    #[inline]
    fn encode(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), KeyError> {
        let start = out.len();
        match (self.data_type, value) {
            (FieldType::U64, Value::U64(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (FieldType::U32, Value::U32(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (FieldType::I64, Value::I64(number)) => out.extend_from_slice(&(number ^ i64::MIN).to_be_bytes()),
            (FieldType::I32, Value::I32(number)) => out.extend_from_slice(&(number ^ i32::MIN).to_be_bytes()),
            (FieldType::Bool, Value::Bool(truth)) => out.push(u8::from(truth)),
            (FieldType::Utf8, Value::Text(text)) => return self.encode_text(text.as_bytes(), out),
            (FieldType::Bytes, Value::Bytes(bytes)) => return self.encode_text(bytes, out),
            _ => return Err(KeyError::WrongType { expected: self.data_type }),
        }
        self.turn(out.get_mut(start..).unwrap_or_default());
        Ok(())
    }

    fn encode_text(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), KeyError> {
        let start = out.len();
        match self.extent {
            Extent::Padded(width) if text.len() > width => {
                return Err(KeyError::TooLong { bytes: text.len(), width });
            }
            Extent::Padded(_) if self.beside_padding(text) == Some(&0) => return Err(KeyError::EndsWithPadding),
            Extent::Delimited(delimiter) if text.contains(&delimiter) => {
                return Err(KeyError::ContainsDelimiter { delimiter });
            }
            Extent::Padded(_) | Extent::Delimited(_) | Extent::Rest | Extent::Fixed => {}
        }
        out.extend_from_slice(text);
        // Padding and delimiter stay behind the text even when it is turned around.
        if self.direction == Direction::Reverse {
            out.get_mut(start..).unwrap_or_default().reverse();
        }
        match self.extent {
            Extent::Padded(width) => out.resize(start + width, 0),
            Extent::Delimited(delimiter) => out.push(delimiter),
            Extent::Rest | Extent::Fixed => {}
        }
        if self.order == Order::Descending {
            invert(out.get_mut(start..).unwrap_or_default());
        }
        Ok(())
    }

    /// The byte that will stand next to the padding.
    fn beside_padding<'a>(&self, text: &'a [u8]) -> Option<&'a u8> {
        match self.direction {
            Direction::Forward => text.last(),
            Direction::Reverse => text.first(),
        }
    }

    fn turn(&self, bytes: &mut [u8]) {
        if self.order == Order::Descending {
            invert(bytes);
        }
        if self.direction == Direction::Reverse {
            bytes.reverse();
        }
    }

    /// The bytes of this part, without its delimiter, taken off the front of `rest`.
    fn take_bytes<'a>(&self, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        match (self.extent, self.data_type) {
            (Extent::Padded(width), _) => take(rest, width),
            (Extent::Delimited(delimiter), _) => {
                let sought = if self.order == Order::Descending { !delimiter } else { delimiter };
                let end = rest.iter().position(|byte| *byte == sought)?;
                let part = take(rest, end)?;
                take(rest, 1)?;
                Some(part)
            }
            (_, FieldType::U64 | FieldType::I64) => take(rest, 8),
            (_, FieldType::U32 | FieldType::I32) => take(rest, 4),
            (_, FieldType::Bool) => take(rest, 1),
            (Extent::Rest | Extent::Fixed, _) => take(rest, rest.len()),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<KeyValue> {
        let mut bytes = bytes.to_vec();
        if self.order == Order::Descending {
            invert(&mut bytes);
        }
        if let Extent::Padded(_) = self.extent {
            let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(length);
        }
        if self.direction == Direction::Reverse {
            bytes.reverse();
        }
        match self.data_type {
            FieldType::U64 => bytes.try_into().ok().map(u64::from_be_bytes).map(KeyValue::U64),
            FieldType::U32 => bytes.try_into().ok().map(u32::from_be_bytes).map(KeyValue::U32),
            FieldType::I64 => bytes.try_into().ok().map(i64::from_be_bytes).map(|n| KeyValue::I64(n ^ i64::MIN)),
            FieldType::I32 => bytes.try_into().ok().map(i32::from_be_bytes).map(|n| KeyValue::I32(n ^ i32::MIN)),
            FieldType::Bool => match bytes.as_slice() {
                [0] => Some(KeyValue::Bool(false)),
                [1] => Some(KeyValue::Bool(true)),
                _ => None,
            },
            FieldType::Utf8 => String::from_utf8(bytes).ok().map(KeyValue::Text),
            FieldType::Bytes => Some(KeyValue::Bytes(bytes)),
            FieldType::F64 | FieldType::Json => None,
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

#[cfg(test)]
mod tests;
