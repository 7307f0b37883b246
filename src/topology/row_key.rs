//! Reads the `key` of a model.

use std::collections::BTreeMap;

use crate::model::expression::Unfit;
use crate::model::field::FieldType;
use crate::model::hash::SALT_BUCKETS_MAX;
use crate::model::key::{DEFAULT_DELIMITER, Direction, Extent, KeyColumn, KeyPart, Order};
use crate::topology::expression::{Computed, Draft, Uses, name_of};
use crate::topology::model::{data_type, field_path};
use crate::topology::source::{Node, Section};
use crate::topology::uses::Use;
use crate::topology::{expression, grammar};

/// Longest padded part: a row key has at most 32,767 bytes.
const WIDTH_MAX: i64 = 1024;

/// A part of a key; the types of salted and hashed fields may be stated elsewhere.
#[derive(Debug)]
pub(super) enum KeyDraft<'a> {
    Salt { source: Draft<'a>, data_type: Option<FieldType>, buckets: u16, node: Node<'a> },
    Hash { source: Draft<'a>, data_type: Option<FieldType>, bytes: u8, node: Node<'a> },
    Literal(Vec<u8>),
    Column(Draft<'a>, KeyColumn),
}

pub(super) fn row_key<'a>(node: &Node<'a>, uses: &mut Uses<'a>) -> Option<Vec<KeyDraft<'a>>> {
    let parts = node.list()?;
    if parts.is_empty() {
        node.mistake_hint("the row key has no parts", "such as [{column = \"id\", as = \"u64\"}]");
        return None;
    }
    let last = parts.len() - 1;
    let mut drafts = Vec::with_capacity(parts.len());
    let mut all_good = true;
    for (index, node) in parts.iter().enumerate() {
        let place = if index == last { Position::Last } else { Position::Inner };
        match part(node, place, uses) {
            Some(draft) => drafts.push(draft),
            None => all_good = false,
        }
    }
    let has_column = drafts.iter().any(|draft| draft.column().is_some_and(Draft::reads_a_field));
    if all_good && !has_column {
        node.mistake_hint("the row key holds no field", "rows would collide: add {column = \"id\", as = \"u64\"}");
        return None;
    }
    all_good.then_some(drafts)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Inner,
    Last,
}

fn part<'a>(node: &Node<'a>, position: Position, uses: &mut Uses<'a>) -> Option<KeyDraft<'a>> {
    let kinds = [
        ("salt", grammar::SALT_PART),
        ("hash", grammar::HASH_PART),
        ("column", grammar::COLUMN_PART),
        ("coalesce", grammar::COLUMN_PART),
        ("concat", grammar::COLUMN_PART),
        ("literal", grammar::LITERAL_PART),
    ];
    let keys: Vec<&str> = kinds.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let entries = node.entries()?;
    let named: Vec<_> = kinds.iter().filter(|(kind, _)| entries.iter().any(|(name, _)| name == kind)).collect();
    let [(kind, own_keys)] = named.as_slice() else {
        let what = format!(
            "`{}` must say one of `salt`, `column`, `coalesce`, `concat`, `hash` and `literal`, but says {}",
            node.path(),
            named.len()
        );
        node.section(&keys)?.node().mistake_at_key(what, None);
        return None;
    };
    let section = node.section(own_keys)?;
    let own = section.get(kind)?;
    match *kind {
        "salt" => {
            let hint = "buckets = 16: how many regions the rows are spread over";
            let buckets = section.require("buckets", hint);
            let buckets = buckets.and_then(|node| node.integer(1..=i64::from(SALT_BUCKETS_MAX)));
            let (source, data_type) = derived_from(&section, &own, uses)?;
            Some(KeyDraft::Salt { source, data_type, buckets: buckets? as u16, node: own })
        }
        "hash" => {
            let bytes = section.require("bytes", "bytes = 4: how many bytes of the hash, 1 to 8");
            let bytes = bytes.and_then(|node| node.integer(1..=8));
            let (source, data_type) = derived_from(&section, &own, uses)?;
            Some(KeyDraft::Hash { source, data_type, bytes: bytes? as u8, node: own })
        }
        "literal" => {
            let text = own.string()?;
            if text.is_empty() {
                own.mistake("an empty literal says nothing");
                return None;
            }
            Some(KeyDraft::Literal(text.as_bytes().to_vec()))
        }
        _ => column(&section, position, uses).map(|(source, column)| KeyDraft::Column(source, column)),
    }
}

/// What a salt or hash is made of. The type of a field may be stated with `as`, or by another use of the field; that of an
/// expression stands in `as`.
fn derived_from<'a>(
    section: &Section<'a>,
    own: &Node<'a>,
    uses: &mut Uses<'a>,
) -> Option<(Draft<'a>, Option<FieldType>)> {
    if own.is_table() {
        let hint = "the type of the expression, that of the key's own part: as = \"u64\"";
        let to = section.require("as", hint).and_then(|node| data_type(&node));
        let inner = own.section(&["coalesce", "concat"])?;
        let source = expression::source(&inner, ("coalesce", &["concat"]), to.unwrap_or(FieldType::Utf8), uses)?;
        return Some((source, Some(to?)));
    }
    let field = field_path(own)?;
    if let Some(node) = section.get("as") {
        uses.stated.push(Use { path: field.clone(), data_type: data_type(&node)?, node });
    }
    Some((Draft::field(field, own.clone()), None))
}

fn column<'a>(section: &Section<'a>, position: Position, uses: &mut Uses<'a>) -> Option<(Draft<'a>, KeyColumn)> {
    let as_node = section.require("as", "its type: u64, i64, u32, i32, bool, utf8 or bytes");
    let data_type = as_node.as_ref().and_then(data_type);
    let order = section.choice("order", grammar::ORDERS);
    let direction = match section.get("reverse") {
        None => Some(Direction::Forward),
        Some(node) => node.boolean().map(Direction::from),
    };
    let kinds = ("column", &["coalesce", "concat"][..]);
    let source = match (section.get("column"), data_type) {
        // A field that nothing is done to has the type of its part.
        (Some(own), Some(data_type)) if !section.has("is") => field_path(&own).map(|path| {
            uses.stated.push(Use { path: path.clone(), data_type, node: own.clone() });
            Draft::field(path, own)
        }),
        (_, hint) => expression::source(section, kinds, hint.unwrap_or(FieldType::Utf8), uses),
    };
    let (source, data_type, order, direction) = (source?, data_type?, order?, direction?);
    if matches!(data_type, FieldType::F64 | FieldType::Json) {
        let what = format!("a {data_type} cannot be part of a row key");
        as_node?.mistake_hint(what, "its text or number form is not unique; use an integer, bool, utf8 or bytes");
        return None;
    }
    let extent = extent(section, data_type, position, order)?;
    Some((source, KeyColumn { field: String::new(), data_type, extent, order, direction }))
}

fn extent(section: &Section<'_>, data_type: FieldType, position: Position, order: Order) -> Option<Extent> {
    let width = section.get("width");
    let delimiter = section.get("delimiter");
    if !matches!(data_type, FieldType::Utf8 | FieldType::Bytes) {
        if let Some(node) = width.or(delimiter) {
            let what = format!("`{}` is only for utf8 and bytes; {data_type} has its width", node.path());
            node.mistake_at_key(what, None);
            return None;
        }
        return Some(Extent::Fixed);
    }
    match (width, delimiter) {
        (Some(node), None) => node.integer(1..=WIDTH_MAX).map(|width| Extent::Padded(width as usize)),
        (None, Some(node)) => delimiter_byte(&node).map(Extent::Delimited),
        (None, None) if position == Position::Last && order == Order::Ascending => Some(Extent::Rest),
        (Some(node), Some(_)) => {
            node.mistake_at_key("say `width` or `delimiter`, not both", None);
            None
        }
        (None, None) => {
            let why = if position == Position::Last { "a descending text" } else { "a text within a key" };
            let what = format!("{why} needs an end");
            let hint = format!("delimiter = \"\\u{DEFAULT_DELIMITER:04x}\", or width = 16 to fill it up");
            section.node().mistake_at_key(what, Some(hint));
            None
        }
    }
}

fn delimiter_byte(node: &Node<'_>) -> Option<u8> {
    match node.string()?.as_bytes() {
        [byte] => Some(*byte),
        _ => {
            node.mistake_hint(
                "a delimiter is one ASCII character",
                "\"\\u0000\" keeps the order of texts; \"|\" is readable",
            );
            None
        }
    }
}

impl<'a> KeyDraft<'a> {
    /// What the key holds in this part.
    pub(super) fn column(&self) -> Option<&Draft<'a>> {
        match self {
            Self::Column(source, _) => Some(source),
            Self::Salt { .. } | Self::Hash { .. } | Self::Literal(_) => None,
        }
    }

    /// The part with the types of the topic's fields. `None` after a mistake.
    pub(super) fn finish(&self, types: &BTreeMap<String, FieldType>, computed: &mut Computed) -> Option<KeyPart> {
        let mut derived = |source: &Draft<'a>, data_type: &Option<FieldType>, node: &Node<'a>| {
            let Some(data_type) = data_type.or_else(|| types.get(source.path()?).copied()) else {
                let what = format!("the type of `{}` is not stated anywhere", source.path().unwrap_or_default());
                node.mistake_hint(what, "add as = \"u64\" here, or make it a column");
                return None;
            };
            Some((name_of(source.finish(data_type, Unfit::Bad, types)?, computed), data_type))
        };
        Some(match self {
            Self::Salt { source, data_type, buckets, node } => {
                let (field, data_type) = derived(source, data_type, node)?;
                KeyPart::Salt { field, data_type, buckets: *buckets }
            }
            Self::Hash { source, data_type, bytes, node } => {
                let (field, data_type) = derived(source, data_type, node)?;
                KeyPart::Hash { field, data_type, bytes: *bytes }
            }
            Self::Literal(literal) => KeyPart::Literal(literal.clone()),
            Self::Column(source, column) => {
                let field = name_of(source.finish(column.data_type, Unfit::Bad, types)?, computed);
                KeyPart::Column(KeyColumn { field, ..column.clone() })
            }
        })
    }
}
