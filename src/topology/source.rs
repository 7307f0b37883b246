//! Topology files as trees of values that know where they stand, and the log of what is wrong with them.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::topology::mistake::{Mistake, Place};
use crate::topology::suggest;

/// The text of a file.
#[derive(Debug)]
pub(super) struct Source {
    /// As it was named.
    pub(super) file: String,
    pub(super) text: String,
}

impl Source {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        Place { line: before.matches('\n').count() + 1, column }
    }

    pub(super) fn mistake(&self, offset: usize, what: String, hint: Option<String>) -> Mistake {
        Mistake { file: self.file.clone(), place: Some(self.place(offset)), what, hint }
    }
}

/// Everything that is wrong or doubtful so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) mistakes: RefCell<Vec<Mistake>>,
    pub(super) warnings: RefCell<Vec<Mistake>>,
}

impl Log {
    pub(super) fn mistake(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }
}

/// A value somewhere in a file.
#[derive(Clone)]
pub(super) struct Node<'a> {
    log: &'a Log,
    source: &'a Source,
    /// The keys that lead to it, joined by dots.
    path: String,
    /// Where its key stands, or else itself.
    key: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.path, self.source.file)
    }
}

/// A table whose keys are known.
#[derive(Debug)]
pub(super) struct Section<'a> {
    node: Node<'a>,
    table: &'a DeTable<'a>,
}

impl<'a> Node<'a> {
    pub(super) fn new(
        log: &'a Log,
        source: &'a Source,
        key: &'a Spanned<std::borrow::Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Self {
        Self { log, source, path: key.get_ref().clone().into_owned(), key: key.span(), value }
    }

    /// The keys that lead to it, joined by dots.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// `file:line`, for mistakes that concern two places.
    pub(super) fn whereabouts(&self) -> String {
        format!("{}:{}", self.source.file, self.source.place(self.key.start).line)
    }

    /// Notes what is wrong with the value.
    pub(super) fn mistake(&self, what: impl Into<String>) {
        self.mistake_at(self.value.span().start, what.into(), None);
    }

    /// The same, with what to do about it.
    pub(super) fn mistake_hint(&self, what: impl Into<String>, hint: impl Into<String>) {
        self.mistake_at(self.value.span().start, what.into(), Some(hint.into()));
    }

    /// Notes what is wrong with the key, or with the table as a whole.
    pub(super) fn mistake_at_key(&self, what: impl Into<String>, hint: Option<String>) {
        self.mistake_at(self.key.start, what.into(), hint);
    }

    /// Notes what is wrong at a character within a string value.
    pub(super) fn mistake_within(&self, text: &str, offset: usize, what: String, hint: Option<String>) {
        let span = self.value.span();
        // Escapes move characters; then the start of the string has to do.
        let verbatim = self.source.text.get(span.start + 1..span.end.saturating_sub(1)) == Some(text);
        let at = if verbatim { span.start + 1 + offset } else { span.start };
        self.mistake_at(at, what, hint);
    }

    fn mistake_at(&self, offset: usize, what: String, hint: Option<String>) {
        self.log.mistake(self.source.mistake(offset, what, hint));
    }

    /// Notes that something is allowed but doubtful.
    pub(super) fn warn(&self, what: impl Into<String>, hint: impl Into<String>) {
        let warning = self.source.mistake(self.key.start, what.into(), Some(hint.into()));
        self.log.warnings.borrow_mut().push(warning);
    }

    /// The string that it is; another type is a mistake.
    pub(super) fn string(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type("a string"),
        }
    }

    /// The value as it was parsed.
    pub(super) fn raw(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// The string that it is, if it is one.
    pub(super) fn as_string(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the date or time that it is, if it is one.
    pub(super) fn as_datetime(&self) -> Option<String> {
        self.value.get_ref().as_datetime().map(ToString::to_string)
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(truth) => Some(*truth),
            _ => self.wrong_type("true or false"),
        }
    }

    /// The integer within this range that it is.
    pub(super) fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let DeValue::Integer(integer) = self.value.get_ref() else { return self.wrong_type("an integer") };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        if number.is_none_or(|number| !range.contains(&number)) {
            let (least, most) = (range.start(), range.end());
            self.mistake(format!("`{}` must be {least} to {most}, but is {integer}", self.path));
            return None;
        }
        number
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self.value.get_ref() {
            DeValue::Float(float) => float.as_str().replace('_', "").parse().ok(),
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            _ => self.wrong_type("a number"),
        }
    }

    /// The elements of the array that it is.
    pub(super) fn list(&self) -> Option<Vec<Node<'a>>> {
        let DeValue::Array(array) = self.value.get_ref() else { return self.wrong_type("an array") };
        let element = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| Node {
            path: format!("{}[{index}]", self.path),
            key: value.span(),
            value,
            ..self.clone()
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    /// The entries of the table that it is, whose keys are free, in the order of the file.
    pub(super) fn entries(&self) -> Option<Vec<(&'a str, Node<'a>)>> {
        let DeValue::Table(table) = self.value.get_ref() else { return self.wrong_type("a table") };
        let mut entries: Vec<_> =
            table.iter().map(|(key, value)| (key.get_ref().as_ref(), self.child(key, value))).collect();
        entries.sort_by_key(|(_, node)| node.key.start);
        Some(entries)
    }

    fn child(&self, key: &'a Spanned<std::borrow::Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Node<'a> {
        Node { path: format!("{}.{}", self.path, key.get_ref()), key: key.span(), value, ..self.clone() }
    }

    /// The table with only these keys that it is.
    pub(super) fn section(&self, keys: &[&str]) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else { return self.wrong_type("a table") };
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            if !keys.contains(&name) {
                let what = format!("unknown key `{name}` in `{}`", self.path);
                self.child(key, value).mistake_at_key(what, suggest::hint(name, keys.iter().copied()));
            }
        }
        Some(Section { node: self.clone(), table })
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a truth value",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.mistake(format!("`{}` must be {expected}, but is {found}", self.path));
        None
    }
}

impl<'a> Section<'a> {
    pub(super) const fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let (key, value) = self.table.get_key_value(key)?;
        Some(self.node.child(key, value))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of a key that must be there; `why` says what it is for.
    pub(super) fn require(&self, key: &str, why: &str) -> Option<Node<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.node.mistake_at_key(format!("`{}` lacks `{key}`", self.node.path), Some(why.to_owned()));
        }
        found
    }

    /// The one value among these names that the string of a key is; an absent key is the default.
    pub(super) fn choice<T: Copy + Default>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        match self.get(key) {
            None => Some(T::default()),
            Some(node) => node.choose(choices),
        }
    }
}

impl Node<'_> {
    /// The value with this name.
    pub(super) fn choose<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let hint = suggest::hint(text, choices.iter().map(|(name, _)| *name));
            self.mistake_hint(format!("`{}` has no value `{text}`", self.path), hint.unwrap_or_default());
        }
        found
    }
}
