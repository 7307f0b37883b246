//! Which fields a model reads, where, and what that says about their types.

use crate::model::each::Each;
use crate::model::field::FieldType;
use crate::topology::source::Node;

/// A field, the type that it has in one place, and that place.
#[derive(Clone, Debug)]
pub(super) struct Use<'a> {
    pub(super) path: String,
    pub(super) data_type: FieldType,
    pub(super) node: Node<'a>,
}

/// Fields that are read, and what that says about their types.
#[derive(Debug, Default)]
pub(super) struct FieldUses<'a> {
    /// Types that are stated.
    pub(super) stated: Vec<Use<'a>>,
    /// Types that follow from how fields are used, if nothing states them.
    pub(super) assumed: Vec<Use<'a>>,
    /// Types of fields in expressions, if nothing else types them: expressions cast.
    pub(super) fallback: Vec<Use<'a>>,
}

impl<'a> FieldUses<'a> {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Use<'a>> {
        self.stated.iter().chain(&self.assumed).chain(&self.fallback)
    }

    /// Takes out those of elements of the array at `path`.
    pub(super) fn split_elements(&mut self, path: &str) -> Self {
        let split = |uses: &mut Vec<Use<'a>>| {
            let (elements, own) =
                std::mem::take(uses).into_iter().partition(|one| Each::is_of_element(path, &one.path));
            *uses = own;
            elements
        };
        Self { stated: split(&mut self.stated), assumed: split(&mut self.assumed), fallback: split(&mut self.fallback) }
    }
}
