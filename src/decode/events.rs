//! Decoded events: the fields that the models of a topic need, as Arrow columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_buffer::BooleanBuffer;

use crate::model::field::Field;
use crate::model::value::TypedColumn;

/// The fields that are decoded from the events of a topic, each at its slot.
///
/// # Invariant
/// Sorted by path, and every path stands once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    fields: Arc<[Field]>,
}

/// Why fields cannot be decoded together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// One field would have two types.
    #[error("read field `{}` as {} and as {}", first.path, first.data_type, second.data_type)]
    TwoTypes {
        /// The field with one type.
        first: Box<Field>,
        /// The field with the other type.
        second: Box<Field>,
    },
    /// A field is read whole and in parts.
    #[error("read field `{whole}` whole and, as `{part}`, in parts")]
    WholeAndPart {
        /// The field.
        whole: String,
        /// A field within it.
        part: String,
    },
}

impl FieldSet {
    /// These fields; doubles are merged.
    ///
    /// # Errors
    /// [`FieldError`]
    pub fn new(mut fields: Vec<Field>) -> Result<Self, FieldError> {
        fields.sort();
        fields.dedup();
        for pair in fields.windows(2) {
            if let [first, second] = pair
                && first.path == second.path
            {
                let (first, second) = (Box::new(first.clone()), Box::new(second.clone()));
                return Err(FieldError::TwoTypes { first, second });
            }
        }
        for whole in &fields {
            let prefix = format!("{}.", whole.path);
            if let Some(part) = fields.iter().find(|other| other.path.starts_with(&prefix)) {
                return Err(FieldError::WholeAndPart { whole: whole.path.clone(), part: part.path.clone() });
            }
        }
        Ok(Self { fields: fields.into() })
    }

    /// The fields, by slot.
    #[must_use]
    pub fn all(&self) -> &[Field] {
        &self.fields
    }

    /// The slot of the field with this path.
    #[must_use]
    pub fn slot(&self, path: &str) -> Option<usize> {
        self.fields.binary_search_by(|field| field.path.as_str().cmp(path)).ok()
    }
}

/// The events of a batch, one row for each good record, in offset order.
#[derive(Clone, Debug)]
pub struct Events {
    pub(crate) fields: FieldSet,
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) nulls: Vec<Option<BooleanBuffer>>,
    pub(crate) records: Vec<u32>,
    pub(crate) offsets: Int64Array,
    pub(crate) timestamps: Int64Array,
    pub(crate) tombstones: Option<BooleanBuffer>,
}

impl Events {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The fields, by slot.
    #[must_use]
    pub const fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// The column of a slot; null where an event has no such field or says null.
    #[must_use]
    pub fn column(&self, slot: usize) -> Option<&ArrayRef> {
        self.columns.get(slot)
    }

    /// The same, downcast.
    #[must_use]
    pub fn typed(&self, slot: usize) -> Option<TypedColumn<'_>> {
        TypedColumn::new(self.columns.get(slot)?, self.fields.all().get(slot)?.data_type)
    }

    /// Which events say null for the field of a slot, as opposed to not carrying it; `None` is none of them.
    #[must_use]
    pub fn explicit_nulls(&self, slot: usize) -> Option<&BooleanBuffer> {
        self.nulls.get(slot)?.as_ref()
    }

    /// Whether the event is the deletion of the row that its record's key names: its payload is null, and only fields of
    /// the record itself have values.
    #[must_use]
    #[inline]
    pub fn is_tombstone(&self, event: usize) -> bool {
        self.tombstones.as_ref().is_some_and(|bits| event < bits.len() && bits.value(event))
    }

    /// For each event, the index of its record in the batch that it was decoded from.
    #[must_use]
    pub fn records(&self) -> &[u32] {
        &self.records
    }

    /// The offset of each event.
    #[must_use]
    pub const fn offsets(&self) -> &Int64Array {
        &self.offsets
    }

    /// Kafka's timestamp of each event in milliseconds since 1970, or -1.
    #[must_use]
    pub const fn timestamps(&self) -> &Int64Array {
        &self.timestamps
    }
}
