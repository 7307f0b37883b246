//! One value of a field or cell, and the bytes it has in a cell.

use arrow_array::{
    Array, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, UInt32Array, UInt64Array,
};

use crate::model::field::FieldType;

/// A value, borrowed from where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text; also the text of a `json` field.
    Text(&'a str),
    /// Unsigned 64-bit integer.
    U64(u64),
    /// Signed 64-bit integer.
    I64(i64),
    /// Unsigned 32-bit integer.
    U32(u32),
    /// Signed 32-bit integer.
    I32(i32),
    /// Finite 64-bit floating point number.
    F64(f64),
    /// Truth value.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// Room for the bytes of a fixed-width value.
pub type CellScratch = [u8; 8];

impl<'a> Value<'a> {
    /// Its bytes in a cell; texts are borrowed, numbers are written to `scratch`.
    #[must_use]
    #[inline]
    pub fn cell_bytes<'b>(self, scratch: &'b mut CellScratch) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::U64(number) => {
                *scratch = number.to_be_bytes();
                scratch
            }
            Self::I64(number) => {
                *scratch = number.to_be_bytes();
                scratch
            }
            Self::F64(number) => {
                *scratch = number.to_be_bytes();
                scratch
            }
            Self::U32(number) => low_half(scratch, number.to_be_bytes()),
            Self::I32(number) => low_half(scratch, number.to_be_bytes()),
            Self::Bool(truth) => {
                scratch[0] = if truth { 0xff } else { 0 };
                scratch.first_chunk::<1>().map_or(&[], |byte| byte)
            }
        }
    }

    /// The value of this type that has these cell bytes; `None` if there is none.
    ///
    /// An empty cell is a null for every type, so it has none.
    #[must_use]
    pub fn from_cell_bytes(data_type: FieldType, bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        match data_type {
            FieldType::Utf8 | FieldType::Json => std::str::from_utf8(bytes).ok().map(Self::Text),
            FieldType::Bytes => Some(Self::Bytes(bytes)),
            FieldType::U64 => bytes.try_into().ok().map(u64::from_be_bytes).map(Self::U64),
            FieldType::I64 => bytes.try_into().ok().map(i64::from_be_bytes).map(Self::I64),
            FieldType::U32 => bytes.try_into().ok().map(u32::from_be_bytes).map(Self::U32),
            FieldType::I32 => bytes.try_into().ok().map(i32::from_be_bytes).map(Self::I32),
            FieldType::F64 => bytes.try_into().ok().map(f64::from_be_bytes).map(Self::F64),
            FieldType::Bool => <[u8; 1]>::try_from(bytes).ok().map(|[byte]| Self::Bool(byte != 0)),
        }
    }
}

fn low_half(scratch: &mut CellScratch, bytes: [u8; 4]) -> &[u8] {
    let low = scratch.first_chunk_mut::<4>().expect("a half of eight bytes is four");
    *low = bytes;
    low
}

/// An Arrow column seen through its field type: downcast once, read row by row.
#[derive(Clone, Copy, Debug)]
pub enum TypedColumn<'a> {
    /// `utf8`, `json`
    Text(&'a StringArray),
    /// `u64`
    U64(&'a UInt64Array),
    /// `i64`
    I64(&'a Int64Array),
    /// `u32`
    U32(&'a UInt32Array),
    /// `i32`
    I32(&'a Int32Array),
    /// `f64`
    F64(&'a Float64Array),
    /// `bool`
    Bool(&'a BooleanArray),
    /// `bytes`
    Bytes(&'a BinaryArray),
}

impl<'a> TypedColumn<'a> {
    /// The column, if it has the Arrow type of this field type.
    #[must_use]
    pub fn new(array: &'a dyn Array, data_type: FieldType) -> Option<Self> {
        let array = array.as_any();
        match data_type {
            FieldType::Utf8 | FieldType::Json => array.downcast_ref().map(Self::Text),
            FieldType::U64 => array.downcast_ref().map(Self::U64),
            FieldType::I64 => array.downcast_ref().map(Self::I64),
            FieldType::U32 => array.downcast_ref().map(Self::U32),
            FieldType::I32 => array.downcast_ref().map(Self::I32),
            FieldType::F64 => array.downcast_ref().map(Self::F64),
            FieldType::Bool => array.downcast_ref().map(Self::Bool),
            FieldType::Bytes => array.downcast_ref().map(Self::Bytes),
        }
    }

    /// The array itself.
    #[must_use]
    pub fn array(self) -> &'a dyn Array {
        match self {
            Self::Text(array) => array,
            Self::U64(array) => array,
            Self::I64(array) => array,
            Self::U32(array) => array,
            Self::I32(array) => array,
            Self::F64(array) => array,
            Self::Bool(array) => array,
            Self::Bytes(array) => array,
        }
    }

    /// Whether a row that exists has a value.
    #[must_use]
    #[inline]
    pub fn is_valid(self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_valid(row),
            Self::U64(array) => array.is_valid(row),
            Self::I64(array) => array.is_valid(row),
            Self::U32(array) => array.is_valid(row),
            Self::I32(array) => array.is_valid(row),
            Self::F64(array) => array.is_valid(row),
            Self::Bool(array) => array.is_valid(row),
            Self::Bytes(array) => array.is_valid(row),
        }
    }

    /// The value of a row that exists; `None` if it is null.
    #[must_use]
    #[inline]
    pub fn value(self, row: usize) -> Option<Value<'a>> {
        match self {
            Self::Text(array) => array.is_valid(row).then(|| Value::Text(array.value(row))),
            Self::U64(array) => array.is_valid(row).then(|| Value::U64(array.value(row))),
            Self::I64(array) => array.is_valid(row).then(|| Value::I64(array.value(row))),
            Self::U32(array) => array.is_valid(row).then(|| Value::U32(array.value(row))),
            Self::I32(array) => array.is_valid(row).then(|| Value::I32(array.value(row))),
            Self::F64(array) => array.is_valid(row).then(|| Value::F64(array.value(row))),
            Self::Bool(array) => array.is_valid(row).then(|| Value::Bool(array.value(row))),
            Self::Bytes(array) => array.is_valid(row).then(|| Value::Bytes(array.value(row))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(value: Value<'_>) -> Vec<u8> {
        let mut scratch = CellScratch::default();
        value.cell_bytes(&mut scratch).to_vec()
    }

    #[test]
    fn cells_are_the_bytes_that_hbase_bytes_would_make() {
        assert_eq!(bytes_of(Value::U64(258)), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes_of(Value::I64(-2)), [255, 255, 255, 255, 255, 255, 255, 254]);
        assert_eq!(bytes_of(Value::I32(-2)), [255, 255, 255, 254]);
        assert_eq!(bytes_of(Value::U32(258)), [0, 0, 1, 2]);
        assert_eq!(bytes_of(Value::F64(1.5)), [0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes_of(Value::Bool(true)), [0xff]);
        assert_eq!(bytes_of(Value::Bool(false)), [0]);
        assert_eq!(bytes_of(Value::Text("é")), [0xc3, 0xa9]);
    }

    #[test]
    fn cell_bytes_are_read_back_and_wrong_lengths_are_not() {
        let values = [
            (FieldType::Utf8, Value::Text("a")),
            (FieldType::U64, Value::U64(7)),
            (FieldType::I64, Value::I64(-7)),
            (FieldType::U32, Value::U32(7)),
            (FieldType::I32, Value::I32(-7)),
            (FieldType::F64, Value::F64(-0.25)),
            (FieldType::Bool, Value::Bool(true)),
            (FieldType::Bytes, Value::Bytes(b"\0")),
        ];
        for (data_type, value) in values {
            let bytes = bytes_of(value);
            assert_eq!(Value::from_cell_bytes(data_type, &bytes), Some(value));
            assert_eq!(Value::from_cell_bytes(data_type, &[]), None);
        }
        assert_eq!(Value::from_cell_bytes(FieldType::U64, &[1, 2, 3]), None);
        assert_eq!(Value::from_cell_bytes(FieldType::Utf8, &[0xff]), None);
    }
}
