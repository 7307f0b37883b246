//! Fields of events and the types that they and the cells made of them have.
//!
//! The types, their JSON form, their Arrow form and their cell bytes:
//!
//! | type | JSON | Arrow | cell |
//! |---|---|---|---|
//! | `utf8` | string | Utf8 | the UTF-8 bytes |
//! | `u64` `i64` `u32` `i32` | integer in range | UInt64 Int64 UInt32 Int32 | big-endian, two's complement, 8 or 4 bytes |
//! | `f64` | number | Float64 | IEEE 754 bits, big-endian, 8 bytes |
//! | `bool` | `true`, `false` | Boolean | `0xff`, `0x00` |
//! | `bytes` | base64 string (RFC 4648 §4, padded) | Binary | the bytes |
//! | `json` | anything | Utf8 | the JSON text as it stands in the event |
//!
//! Cell bytes are those of HBase's `Bytes.toBytes` for `String`, `long`, `int`, `double` and `boolean`.

use std::fmt;

use arrow_schema::DataType;

/// The type of a field and of the cell made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldType {
    /// Text.
    Utf8,
    /// Unsigned 64-bit integer.
    U64,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 32-bit integer.
    U32,
    /// Signed 32-bit integer.
    I32,
    /// 64-bit floating point number, always finite.
    F64,
    /// Truth value.
    Bool,
    /// Bytes; base64 in JSON.
    Bytes,
    /// Any JSON value, kept as text.
    Json,
}

impl FieldType {
    /// All types, in the order of the documentation.
    pub const ALL: [Self; 9] =
        [Self::Utf8, Self::U64, Self::I64, Self::U32, Self::I32, Self::F64, Self::Bool, Self::Bytes, Self::Json];

    /// The name used in topology files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::Bytes => "bytes",
            Self::Json => "json",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The Arrow type of its columns.
    #[must_use]
    pub const fn arrow(self) -> DataType {
        match self {
            Self::Utf8 | Self::Json => DataType::Utf8,
            Self::U64 => DataType::UInt64,
            Self::I64 => DataType::Int64,
            Self::U32 => DataType::UInt32,
            Self::I32 => DataType::Int32,
            Self::F64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Bytes => DataType::Binary,
        }
    }

    /// Of two types that uses of one field suggest, the one that has the values of both; else this one.
    #[must_use]
    pub const fn wider(self, other: Self) -> Self {
        match (self, other) {
            // A field of which only the presence matters can be anything.
            (Self::Json, _) | (Self::I64, Self::U64 | Self::F64) => other,
            _ => self,
        }
    }

    /// Whether its values are whole numbers.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::U64 | Self::I64 | Self::U32 | Self::I32)
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A field of an event: where it stands and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// Names of the objects that lead to it and its own name, joined by dots: `author.id`.
    pub path: String,
    /// Its type; one field has one type in all models of a topic.
    pub data_type: FieldType,
    /// Whether an integer may also be written as a JSON string (`"42"`).
    pub quoted_number: bool,
}
