//! Which names of an event are of interest, as a tree: compiled once for a topic.

use std::cell::Cell;
use std::ops::Range;

use crate::decode::events::FieldSet;
use crate::model::field::FieldType;

/// How many names of an object are predicted from the object before it.
const HINTS: usize = 32;

/// An object of the plan.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) names: Vec<Name>,
    /// All slots within this object.
    pub(super) slots: Range<usize>,
    /// For each position within the object, the name found there last. Producers repeat themselves.
    hints: [Cell<u16>; HINTS],
}

/// A name of interest within an object.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) target: Target,
}

#[derive(Clone, Debug)]
pub(super) enum Target {
    Slot(Slot),
    Object(Node),
}

/// Where a field goes, and what it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) data_type: FieldType,
    pub(super) quoted_number: bool,
}

impl Node {
    /// The plan for these fields.
    pub(super) fn root(fields: &FieldSet) -> Self {
        let slots: Vec<(&str, Slot)> = fields
            .all()
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let slot = Slot { index, data_type: field.data_type, quoted_number: field.quoted_number };
                (field.path.as_str(), slot)
            })
            .collect();
        Self::new(&slots)
    }

    /// The same plan, for objects that may also stand within another one, under this name.
    pub(super) fn or_within(self, text: &str) -> Self {
        let mut outer = self.clone();
        outer.names.retain(|name| name.text != text);
        outer.names.push(Name { text: text.to_owned(), target: Target::Object(self) });
        outer
    }

    /// The object with these fields, whose paths start at this object, in slot order.
    fn new(slots: &[(&str, Slot)]) -> Self {
        let mut names: Vec<Name> = Vec::new();
        let mut rest = slots;
        while let Some(((path, slot), behind)) = rest.split_first() {
            let Some((text, _)) = path.split_once('.') else {
                names.push(Name { text: (*path).to_owned(), target: Target::Slot(*slot) });
                rest = behind;
                continue;
            };
            // Slots are sorted by path, so all fields of one object stand together.
            let within: Vec<(&str, Slot)> = rest
                .iter()
                .map_while(|(path, slot)| Some((path.strip_prefix(text)?.strip_prefix('.')?, *slot)))
                .collect();
            rest = rest.get(within.len()..).unwrap_or_default();
            names.push(Name { text: text.to_owned(), target: Target::Object(Self::new(&within)) });
        }
        let start = slots.first().map_or(0, |(_, slot)| slot.index);
        Self { names, slots: start..start + slots.len(), hints: Default::default() }
    }

    /// The entry for a name that stands at this position of an object.
    #[inline]
    pub(super) fn find(&self, position: usize, text: &str) -> Option<&Name> {
        let hint = self.hints.get(position);
        if let Some(name) = hint.and_then(|hint| self.names.get(usize::from(hint.get())))
            && name.text == text
        {
            return Some(name);
        }
        let index = self.names.iter().position(|name| name.text == text)?;
        if let Some(hint) = hint {
            hint.set(index as u16);
        }
        self.names.get(index)
    }
}
