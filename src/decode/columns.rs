//! Arrow columns under construction, one for each field, that keep absent and null apart.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, UInt32Array, UInt64Array,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::model::field::FieldType;
use crate::model::value::Value;

/// One column under construction.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    values: Values,
    rows: usize,
    /// One bit a row; only once a row had no value.
    valid: Option<BooleanBufferBuilder>,
    /// One bit a row; only once a row had an explicit null.
    nulls: Option<BooleanBufferBuilder>,
}

#[derive(Debug)]
enum Values {
    Text { ends: Vec<i32>, text: Vec<u8>, is_utf8: IsUtf8 },
    U64(Vec<u64>),
    I64(Vec<i64>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F64(Vec<f64>),
    Bool(BooleanBufferBuilder),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsUtf8 {
    Yes,
    No,
}

impl ColumnBuilder {
    /// An empty column with room for this many rows.
    pub(crate) fn new(data_type: FieldType, rows: usize) -> Self {
        let text = |is_utf8| {
            let mut ends = Vec::with_capacity(rows + 1);
            ends.push(0);
            Values::Text { ends, text: Vec::new(), is_utf8 }
        };
        let values = match data_type {
            FieldType::Utf8 | FieldType::Json => text(IsUtf8::Yes),
            FieldType::Bytes => text(IsUtf8::No),
            FieldType::U64 => Values::U64(Vec::with_capacity(rows)),
            FieldType::I64 => Values::I64(Vec::with_capacity(rows)),
            FieldType::U32 => Values::U32(Vec::with_capacity(rows)),
            FieldType::I32 => Values::I32(Vec::with_capacity(rows)),
            FieldType::F64 => Values::F64(Vec::with_capacity(rows)),
            FieldType::Bool => Values::Bool(BooleanBufferBuilder::new(rows)),
        };
        Self { values, rows: 0, valid: None, nulls: None }
    }

    /// Appends a value. One of another type than the column's counts as absent; the decoder has checked the type.
    #[inline]
    pub(crate) fn push(&mut self, value: Value<'_>) {
        match (&mut self.values, value) {
            (Values::Text { ends, text, .. }, Value::Text(part)) => push_text(ends, text, part.as_bytes()),
            (Values::Text { ends, text, is_utf8: IsUtf8::No }, Value::Bytes(part)) => push_text(ends, text, part),
            (Values::U64(values), Value::U64(number)) => values.push(number),
            (Values::I64(values), Value::I64(number)) => values.push(number),
            (Values::U32(values), Value::U32(number)) => values.push(number),
            (Values::I32(values), Value::I32(number)) => values.push(number),
            (Values::F64(values), Value::F64(number)) => values.push(number),
            (Values::Bool(values), Value::Bool(truth)) => values.append(truth),
            _ => {
                debug_assert!(false, "a value of another type than its column");
                return self.push_absent();
            }
        }
        if let Some(valid) = &mut self.valid {
            valid.append(true);
        }
        if let Some(nulls) = &mut self.nulls {
            nulls.append(false);
        }
        self.rows += 1;
    }

    /// Appends a row that has no value.
    pub(crate) fn push_absent(&mut self) {
        self.push_filler();
        if let Some(nulls) = &mut self.nulls {
            nulls.append(false);
        }
        self.rows += 1;
    }

    /// Appends a row that says null.
    pub(crate) fn push_null(&mut self) {
        self.push_filler();
        self.nulls.get_or_insert_with(|| filled(self.rows, false)).append(true);
        self.rows += 1;
    }

    fn push_filler(&mut self) {
        match &mut self.values {
            Values::Text { ends, text, .. } => push_text(ends, text, &[]),
            Values::U64(values) => values.push(0),
            Values::I64(values) => values.push(0),
            Values::U32(values) => values.push(0),
            Values::I32(values) => values.push(0),
            Values::F64(values) => values.push(0.0),
            Values::Bool(values) => values.append(false),
        }
        self.valid.get_or_insert_with(|| filled(self.rows, true)).append(false);
    }

    /// The column and its explicit nulls.
    pub(crate) fn finish(self) -> (ArrayRef, Option<BooleanBuffer>) {
        let valid = self.valid.map(|mut bits| NullBuffer::new(bits.finish()));
        let nulls = self.nulls.map(|mut bits| bits.finish());
        let array: ArrayRef = match self.values {
            Values::Text { ends, text, is_utf8 } => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
                match is_utf8 {
                    IsUtf8::Yes => Arc::new(StringArray::new(ends, Buffer::from_vec(text), valid)),
                    IsUtf8::No => Arc::new(BinaryArray::new(ends, Buffer::from_vec(text), valid)),
                }
            }
            Values::U64(values) => Arc::new(UInt64Array::new(values.into(), valid)),
            Values::I64(values) => Arc::new(Int64Array::new(values.into(), valid)),
            Values::U32(values) => Arc::new(UInt32Array::new(values.into(), valid)),
            Values::I32(values) => Arc::new(Int32Array::new(values.into(), valid)),
            Values::F64(values) => Arc::new(Float64Array::new(values.into(), valid)),
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), valid)),
        };
        (array, nulls)
    }
}

fn push_text(ends: &mut Vec<i32>, text: &mut Vec<u8>, part: &[u8]) {
    text.extend_from_slice(part);
    ends.push(i32::try_from(text.len()).expect("a batch, and so the text in it, is below 2 GiB"));
}

fn filled(rows: usize, bit: bool) -> BooleanBufferBuilder {
    let mut bits = BooleanBufferBuilder::new(rows + 1);
    bits.append_n(rows, bit);
    bits
}
