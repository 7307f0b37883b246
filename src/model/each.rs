//! Which array of an event a model makes rows of: one for each element.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::field::FieldType;

/// The field with the place of an element in its array, from 0.
pub const INDEX_FIELD: &str = "$index";

/// An array of an event, and what is read of its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Each {
    /// Path of the array. Within the model it stands for the element: `members` is an element that is a value by itself,
    /// `members.id` a field of one that is an object.
    pub path: String,
    /// The fields of elements that the model reads, by their paths, with their types.
    pub fields: BTreeMap<String, FieldType>,
    /// Those of them that events may also write as JSON strings.
    pub quoted_numbers: BTreeSet<String>,
}

impl Each {
    /// Whether a path is of an element of the array at `path`, or its place.
    #[must_use]
    pub fn is_of_element(path: &str, field: &str) -> bool {
        field == INDEX_FIELD || field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}
