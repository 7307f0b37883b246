//! Reads `[table.*]`, and fills in what a table needs that is not said.

use std::collections::BTreeMap;

use crate::model::key::KeyPart;
use crate::topology::grammar;
use crate::topology::source::Node;
use crate::topology::{Family, Model, Table};

/// More regions than this are a slip of the keyboard.
const REGIONS_MAX: i64 = 100_000;

/// A table as far as it is said.
#[derive(Debug)]
pub(super) struct TableDraft<'a> {
    pub(super) node: Node<'a>,
    regions: Option<(i64, Node<'a>)>,
    splits: Option<Vec<Vec<u8>>>,
    families: BTreeMap<String, (Family, Node<'a>)>,
}

pub(super) fn table<'a>(node: &Node<'a>) -> Option<TableDraft<'a>> {
    let section = node.section(grammar::TABLE)?;
    let regions = section.get("regions").and_then(|node| Some((node.integer(1..=REGIONS_MAX)?, node)));
    let splits = section.get("splits").and_then(|node| splits(&node));
    if section.has("regions") && section.has("splits") {
        let what = format!("`{}` says both `regions` and `splits`", node.path());
        node.mistake_at_key(what, Some("`splits` names the first keys of the regions; `regions` derives them".into()));
    }
    let mut families = BTreeMap::new();
    for (name, node) in section.get("family").and_then(|node| node.entries()).unwrap_or_default() {
        if let Some(family) = family(&node) {
            families.insert(name.to_owned(), (family, node));
        }
    }
    Some(TableDraft { node: node.clone(), regions, splits, families })
}

fn splits(node: &Node<'_>) -> Option<Vec<Vec<u8>>> {
    let mut splits: Vec<Vec<u8>> = Vec::new();
    for element in node.list()? {
        let Some(key) = hex(element.string()?).filter(|key| !key.is_empty()) else {
            element.mistake_hint("this is not a key", "write the bytes as hexadecimal digits: \"01\", \"0aff\"");
            continue;
        };
        if splits.last().is_some_and(|last| *last >= key) {
            element.mistake("split keys must ascend");
        }
        splits.push(key);
    }
    Some(splits)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digits: Vec<char> = text.chars().collect();
    let digit = |c: &char| c.to_digit(16);
    digits.chunks_exact(2).map(|pair| Some((digit(pair.first()?)? * 16 + digit(pair.last()?)?) as u8)).collect()
}

fn family(node: &Node<'_>) -> Option<Family> {
    let section = node.section(grammar::FAMILY)?;
    let versions = match section.get("versions") {
        None => Some(1),
        Some(node) => node.integer(1..=i64::from(i32::MAX)),
    };
    let compression = section.choice("compression", grammar::COMPRESSIONS);
    let bloom = section.choice("bloom", grammar::BLOOMS);
    let ttl_s = match section.get("ttl") {
        None => Some(None),
        Some(node) => ttl(&node).map(Some),
    };
    Some(Family { versions: versions? as u32, compression: compression?, bloom: bloom?, ttl_s: ttl_s? })
}

/// `90s`, `30m`, `12h`, `30d`.
fn ttl(node: &Node<'_>) -> Option<u32> {
    let text = node.string()?;
    let unit = |letter| match letter {
        's' => Some(1_u32),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let seconds = text.char_indices().last().and_then(|(at, letter)| {
        let count: u32 = text.get(..at)?.parse().ok()?;
        // HBase counts in signed 32-bit seconds.
        count.checked_mul(unit(letter)?).filter(|seconds| (1..=i32::MAX as u32).contains(seconds))
    });
    if seconds.is_none() {
        node.mistake_hint(format!("`{text}` is not a time to live"), "such as \"90s\", \"12h\" or \"30d\"");
    }
    seconds
}

impl TableDraft<'_> {
    /// The table of a projection that the program brings: all that is known of it is what is said.
    pub(super) fn alone(&self) -> Table {
        if self.families.is_empty() {
            let what = format!("`{}` names no family, and its columns are the program's", self.node.path());
            self.node.mistake_at_key(what, Some("[table.NAME.family.FAMILY]".to_owned()));
        }
        if let Some((_, node)) = &self.regions {
            node.mistake_hint("regions cannot be derived from a row key that the program makes", "give `splits`");
        }
        let families = self.families.iter().map(|(name, (family, _))| (name.clone(), family.clone())).collect();
        Table { families, splits: self.splits.clone().unwrap_or_default() }
    }

    /// The table that this model needs, with what is said about it.
    pub(super) fn finish(&self, model: &Model) -> Table {
        let mut table = default_table(model);
        for (name, (family, node)) in &self.families {
            match table.families.get_mut(name) {
                Some(needed) => *needed = family.clone(),
                None => {
                    let known = table.families.keys().map(String::as_str);
                    let what = format!("no model writes family `{name}` of this table");
                    node.mistake_at_key(what, super::suggest::hint(name, known));
                }
            }
        }
        if let Some(splits) = &self.splits {
            table.splits.clone_from(splits);
        }
        if let Some((regions, node)) = &self.regions {
            match derived_splits(model, *regions) {
                Some(splits) => table.splits = splits,
                None => node.mistake_hint(
                    format!("{regions} regions cannot be derived from the row key"),
                    "a key that begins with a salt can be cut into at most as many regions as it has buckets; \
                     give `splits` otherwise",
                ),
            }
        }
        table
    }
}

/// The families that a model writes, and one region for each bucket of its salt.
pub(super) fn default_table(model: &Model) -> Table {
    let families = model.columns.iter().map(|column| (column.family.clone(), Family::default())).collect();
    let splits = derived_splits(model, i64::from(buckets(model).unwrap_or(1))).unwrap_or_default();
    Table { families, splits }
}

fn buckets(model: &Model) -> Option<u16> {
    match model.key.parts.first() {
        Some(KeyPart::Salt { buckets, .. }) => Some(*buckets),
        _ => None,
    }
}

/// The first keys of all regions but the first, so that buckets are spread evenly.
fn derived_splits(model: &Model, regions: i64) -> Option<Vec<Vec<u8>>> {
    if regions == 1 {
        return Some(Vec::new());
    }
    let buckets = i64::from(buckets(model)?);
    (regions <= buckets).then(|| (1..regions).map(|region| vec![(region * buckets / regions) as u8]).collect())
}
