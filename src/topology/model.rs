//! Reads `[model.*]`: first each model by itself, then the types of the fields that the models of a topic share.

use std::collections::{BTreeMap, BTreeSet};

use hbase::cell::FAMILY_BYTES_MAX;

use crate::model::each::Each;
use crate::model::expression::Unfit;
use crate::model::field::FieldType;
use crate::model::key::RowKey;
use crate::model::predicate::Predicate;
use crate::model::schema::{DELETED_QUALIFIER, DeleteMode, ModelColumn};
use crate::model::version::VersionRule;
use crate::topology::expression::{Computed, Draft, Uses};
use crate::topology::fit::{check_literals, check_version_types};
use crate::topology::row_key::{KeyDraft, row_key};
use crate::topology::source::{Node, Section};
use crate::topology::uses::{FieldUses, Use};
use crate::topology::{DeleteRule, Model, condition, expression, grammar};

/// A model as far as it can be read by itself: types that follow from other models are still open.
#[derive(Debug)]
pub(super) struct ModelDraft<'a> {
    pub(super) topic: Option<(String, Node<'a>)>,
    pub(super) table: Option<(String, Node<'a>)>,
    key: Option<Vec<KeyDraft<'a>>>,
    version: Option<(VersionDraft<'a>, Node<'a>)>,
    when: Option<(Predicate, Node<'a>)>,
    delete: Option<(DeleteRule, Node<'a>)>,
    columns: Vec<ColumnDraft<'a>>,
    /// The array of which each element is a row.
    each: Option<String>,
    /// The fields of its topic that it reads.
    pub(super) uses: FieldUses<'a>,
    /// The fields of elements that it reads; they are its own.
    pub(super) elements: FieldUses<'a>,
}

/// A version whose field may be made of others.
#[derive(Debug)]
enum VersionDraft<'a> {
    Rule(VersionRule),
    Made(Draft<'a>),
}

/// A column; what it holds may be made of fields.
#[derive(Debug)]
struct ColumnDraft<'a> {
    family: String,
    qualifier: String,
    data_type: FieldType,
    unfit: Unfit,
    source: Draft<'a>,
}

pub(super) const VERSION_HINT: &str = "there is no default: the version becomes the timestamp of every cell and decides which of two \
     events is newer. Name a field that grows with each change of the row: {column = \"version\"}, or \
     {time = \"sent_at\", sequence = \"seq\"}";

pub(super) fn model<'a>(node: &Node<'a>) -> Option<ModelDraft<'a>> {
    let section = node.section(grammar::MODEL)?;
    let mut draft = ModelDraft {
        topic: named(&section, "topic", "the id of the [topic.*] that it reads"),
        table: named(&section, "table", "the name of the table that it writes").filter(is_table_name),
        key: None,
        version: None,
        when: None,
        delete: None,
        columns: Vec::new(),
        each: None,
        uses: FieldUses::default(),
        elements: FieldUses::default(),
    };
    let hint = "the parts of the row key: [{column = \"id\", as = \"u64\"}]";
    draft.key = section.require("key", hint).and_then(|node| draft.with_uses(|uses| row_key(&node, uses)));
    draft.version = section.require("version", VERSION_HINT).and_then(|node| draft.read_version(&node));
    draft.when = section.get("when").and_then(|node| draft.read_condition(node));
    draft.delete = section.get("delete").and_then(|node| draft.read_delete(&node));
    let hint = "[model.NAME.columns] with \"family:qualifier\" = {from = \"field\", as = \"utf8\"}";
    if let Some(node) = section.require("columns", hint) {
        draft.read_columns(&node);
    }
    if let Some(node) = section.get("each") {
        let path = field_path(&node)?;
        draft.elements = draft.uses.split_elements(&path);
        if draft.elements.all().next().is_none() {
            let hint = format!("`{path}` stands for the element within the model: \"{path}.id\", or \"{path}\" itself");
            node.mistake_hint(format!("each element of `{path}` is a row, but no field of it is read"), hint);
        }
        draft.uses.stated.push(Use { path: path.clone(), data_type: FieldType::Json, node });
        draft.each = Some(path);
    }
    Some(draft)
}

/// The topic and the table of a projection that the program brings.
pub(super) type OwnDraft<'a> = ((String, Node<'a>), (String, Node<'a>));

pub(super) fn own<'a>(node: &Node<'a>) -> Option<OwnDraft<'a>> {
    let section = node.section(grammar::PROJECTION)?;
    let topic = named(&section, "topic", "the id of the [topic.*] that it reads");
    let table = named(&section, "table", "the name of the table that it writes").filter(is_table_name);
    Some((topic?, table?))
}

fn named<'a>(section: &Section<'a>, key: &str, why: &str) -> Option<(String, Node<'a>)> {
    let node = section.require(key, why)?;
    Some((node.string()?.to_owned(), node))
}

/// `TableName` of HBase: letters, digits, `_`, `-` and `.`, the first not `-` or `.`; a namespace before a colon.
fn is_table_name((name, node): &(String, Node<'_>)) -> bool {
    let legal = |part: &str| {
        let good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        !part.is_empty() && !part.starts_with(['-', '.']) && part.chars().all(good)
    };
    let (namespace, table) = name.split_once(':').unwrap_or(("default", name));
    let is_legal = legal(namespace) && legal(table) && !namespace.contains(['-', '.']);
    if !is_legal {
        let hint = "letters, digits, `_`, `-` and `.`; a namespace stands before a colon: \"ns:table\"";
        node.mistake_hint(format!("`{name}` is not a name that HBase takes for a table"), hint);
    }
    is_legal
}

/// The type with the name that the key `as` holds.
pub(super) fn data_type(node: &Node<'_>) -> Option<FieldType> {
    node.choose(grammar::TYPES)
}

/// A path of names joined by dots.
pub(super) fn field_path(node: &Node<'_>) -> Option<String> {
    let path = node.string()?;
    if path.split('.').any(str::is_empty) {
        node.mistake_hint(format!("`{path}` is not the path of a field"), "names joined by dots: \"author.id\"");
        return None;
    }
    Some(path.to_owned())
}

impl<'a> ModelDraft<'a> {
    /// Reads with the fields that expressions read noted.
    fn with_uses<T>(&mut self, read: impl FnOnce(&mut Uses<'a>) -> T) -> T {
        let mut uses = Uses::default();
        let read = read(&mut uses);
        self.uses.stated.append(&mut uses.stated);
        self.uses.fallback.append(&mut uses.fallback);
        read
    }

    fn read_version(&mut self, node: &Node<'a>) -> Option<(VersionDraft<'a>, Node<'a>)> {
        let keys: Vec<&str> =
            [grammar::COLUMN_VERSION, grammar::COALESCE_VERSION, grammar::TIME_VERSION, grammar::KAFKA_VERSION]
                .concat();
        let section = node.section(&keys)?;
        let rules = ["column", "coalesce", "time", "kafka"];
        let rules: Vec<&str> = rules.into_iter().filter(|key| section.has(key)).collect();
        let [rule] = rules.as_slice() else {
            let what = format!(
                "`{}` must say one of `column`, `coalesce`, `time` and `kafka`, but says {}",
                node.path(),
                rules.len()
            );
            node.mistake_at_key(what, Some(VERSION_HINT.to_owned()));
            return None;
        };
        let own = section.get(rule)?;
        if *rule == "coalesce" || (*rule == "column" && section.has("is")) {
            self.refuse_foreign(&section, &["sequence", "as"]);
            let kinds = ("column", &["coalesce"][..]);
            let made = self.with_uses(|uses| expression::source(&section, kinds, FieldType::I64, uses))?;
            return Some((VersionDraft::Made(made), node.clone()));
        }
        let rule = match *rule {
            "column" => VersionRule::Column { field: self.version_field(&own)? },
            "kafka" => own.choose(&[("offset", Kafka::Offset), ("timestamp", Kafka::Timestamp)])?.rule(),
            _ => {
                let time = field_path(&own)?;
                let data_type = match section.get("as") {
                    None => FieldType::I64,
                    Some(node) => data_type(&node)?,
                };
                let place = if section.has("as") { &mut self.uses.stated } else { &mut self.uses.assumed };
                place.push(Use { path: time.clone(), data_type, node: own });
                match section.get("sequence") {
                    None => VersionRule::Time { field: time },
                    Some(node) => VersionRule::TimeSequence { time, sequence: self.version_field(&node)? },
                }
            }
        };
        self.refuse_foreign(&section, foreign_keys(&rule));
        if let Some(foreign) = section.get("is") {
            foreign.mistake_at_key(format!("`{}` is only for a version by `column`", foreign.path()), None);
        }
        Some((VersionDraft::Rule(rule), node.clone()))
    }

    fn refuse_foreign(&self, section: &Section<'a>, keys: &[&str]) {
        for foreign in keys.iter().filter_map(|key| section.get(key)) {
            let what = format!("`{}` is only for a version by `time`", foreign.path());
            foreign.mistake_at_key(what, None);
        }
    }

    fn version_field(&mut self, node: &Node<'a>) -> Option<String> {
        let path = field_path(node)?;
        self.uses.assumed.push(Use { path: path.clone(), data_type: FieldType::I64, node: node.clone() });
        Some(path)
    }

    fn read_condition(&mut self, node: Node<'a>) -> Option<(Predicate, Node<'a>)> {
        let text = node.string()?;
        match condition::parse(text) {
            Ok(predicate) => {
                for (path, data_type) in predicate.fields() {
                    self.uses.assumed.push(Use { path: path.to_owned(), data_type, node: node.clone() });
                }
                Some((predicate, node))
            }
            Err(error) => {
                let hint = "such as: type in ('posted', 'edited') and not hidden";
                node.mistake_within(text, error.offset, format!("in the condition: {}", error.what), Some(hint.into()));
                None
            }
        }
    }

    fn read_delete(&mut self, node: &Node<'a>) -> Option<(DeleteRule, Node<'a>)> {
        let section = node.section(grammar::DELETE)?;
        let when = section.require("when", "which events delete their row: \"type = 'deleted'\"");
        let when = when.and_then(|node| self.read_condition(node));
        let mode = section.choice("as", grammar::DELETE_MODES);
        Some((DeleteRule { when: when?.0, mode: mode? }, node.clone()))
    }

    fn read_columns(&mut self, node: &Node<'a>) {
        let entries = node.entries().unwrap_or_default();
        if entries.is_empty() && node.is_table() {
            node.mistake_at_key(format!("`{}` has no columns", node.path()), None);
        }
        for (name, node) in entries {
            if let Some(column) = self.with_uses(|uses| column(name, &node, uses)) {
                self.columns.push(column);
            }
        }
        self.columns.sort_by(|a, b| (&a.family, &a.qualifier).cmp(&(&b.family, &b.qualifier)));
    }

    /// The model, with the types that the models of its topic agree on. `None` after a mistake.
    pub(super) fn finish(&self, types: &BTreeMap<String, FieldType>) -> Option<Model> {
        let (version, version_node) = self.version.as_ref()?;
        let (topic, table) = (self.topic.as_ref()?.0.clone(), self.table.as_ref()?.0.clone());
        let mut computed = Computed::new();
        let mut parts = Vec::new();
        for part in self.key.as_ref()? {
            parts.push(part.finish(types, &mut computed));
        }
        let mut columns = Vec::new();
        for column in &self.columns {
            columns.push(column.finish(types, &mut computed));
        }
        let version = match version {
            VersionDraft::Rule(rule) => rule.clone(),
            VersionDraft::Made(made) => {
                let made = made.finish(FieldType::I64, Unfit::Bad, types)?;
                VersionRule::Column { field: expression::name_of(made, &mut computed) }
            }
        };
        let key = parts.into_iter().collect::<Option<Vec<_>>>()?;
        let columns = columns.into_iter().collect::<Option<Vec<_>>>()?;
        check_version_types(&version, version_node, types);
        let rules = [self.when.as_ref(), None];
        for (predicate, node) in rules.into_iter().flatten() {
            check_literals(predicate, node, types);
        }
        if let Some((rule, node)) = &self.delete {
            check_literals(&rule.when, node, types);
        }
        let typed = |one: &Use<'_>| Some((one.path.clone(), *types.get(&one.path)?));
        let mut fields: BTreeMap<String, FieldType> = self.uses.all().filter_map(typed).collect();
        let each = self.each.as_ref().map(|path| {
            // The array is decoded whole, whatever its elements are.
            fields.insert(path.clone(), FieldType::Json);
            let of_elements = self.elements.all().filter_map(typed).collect();
            Each { path: path.clone(), fields: of_elements, quoted_numbers: BTreeSet::new() }
        });
        if columns.is_empty() {
            return None;
        }
        self.warn(&version, version_node);
        Some(Model {
            topic,
            table,
            key: RowKey { parts: key },
            version,
            when: self.when.as_ref().map(|(predicate, _)| predicate.clone()),
            delete: self.delete.as_ref().map(|(rule, _)| rule.clone()),
            columns,
            computed,
            each,
            fields,
        })
    }

    fn warn(&self, version: &VersionRule, node: &Node<'_>) {
        match version {
            VersionRule::KafkaOffset => node.warn(
                "versions are Kafka offsets: after the topic is rebuilt or moved to another bus, new events look older \
                 than the cells that are there",
                "use a field that the producer counts up, if there is one",
            ),
            VersionRule::KafkaTimestamp => node.warn(
                "versions are Kafka timestamps: two changes within one millisecond tie, and a producer's clock that is \
                 set back makes new events look old",
                "use a field that the producer counts up, if there is one",
            ),
            VersionRule::Column { .. } | VersionRule::Time { .. } | VersionRule::TimeSequence { .. } => {}
        }
        if let Some((DeleteRule { mode: DeleteMode::Marker, .. }, node)) = &self.delete {
            node.warn(
                "deletes are HBase delete markers, which a major compaction drops: an older event that is replayed \
                 afterwards brings the row back, and on a log-compacted topic nothing deletes it again",
                "as = \"tombstone\" has no such hazard",
            );
        }
        if let Some(KeyDraft::Salt { source, node, .. }) = self.key.as_ref().and_then(|key| key.first())
            && let Some(field) = source.path()
        {
            let key = self.key.iter().flatten();
            if !key.filter_map(KeyDraft::column).any(|column| column.path() == Some(field)) {
                node.warn(
                    format!("the row key is salted by `{field}`, but does not hold it"),
                    "an event of the row with another value of that field would be another row",
                );
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kafka {
    Offset,
    Timestamp,
}

impl Kafka {
    const fn rule(self) -> VersionRule {
        match self {
            Self::Offset => VersionRule::KafkaOffset,
            Self::Timestamp => VersionRule::KafkaTimestamp,
        }
    }
}

/// Keys that say nothing for this rule.
const fn foreign_keys(rule: &VersionRule) -> &'static [&'static str] {
    match rule {
        VersionRule::Time { .. } | VersionRule::TimeSequence { .. } => &[],
        VersionRule::Column { .. } | VersionRule::KafkaOffset | VersionRule::KafkaTimestamp => &["sequence", "as"],
    }
}

fn column<'a>(name: &str, node: &Node<'a>, uses: &mut Uses<'a>) -> Option<ColumnDraft<'a>> {
    let section = node.section(grammar::COLUMN)?;
    let types = "utf8, u64, i64, u32, i32, f64, bool, bytes or json";
    let data_type = section.require("as", types).and_then(|node| data_type(&node));
    let unfit = section.choice("unfit", grammar::UNFITS);
    let kinds = ("from", &["value", "coalesce", "concat"][..]);
    let others = ["is", "value", "coalesce", "concat"];
    let source = match (section.get("from"), data_type) {
        // A field that nothing is done to has the type of its cell.
        (Some(from), Some(data_type)) if !others.iter().any(|key| section.has(key)) => field_path(&from).map(|path| {
            uses.stated.push(Use { path: path.clone(), data_type, node: node.clone() });
            Draft::field(path, from)
        }),
        (_, hint) => expression::source(&section, kinds, hint.unwrap_or(FieldType::Utf8), uses),
    };
    let Some((family, qualifier)) = name.split_once(':') else {
        node.mistake_at_key(
            format!("`{name}` is not a column"),
            Some(format!("write \"family:qualifier\": \"m:{name}\"")),
        );
        return None;
    };
    let printable = family.chars().all(|c| !c.is_control() && !matches!(c, ':' | '/'));
    if family.is_empty() || family.len() > FAMILY_BYTES_MAX || family.starts_with('.') || !printable {
        let what = format!("`{family}` is not a name that HBase takes for a column family");
        node.mistake_at_key(what, Some("1 to 127 bytes, best a single letter: it stands in every cell".into()));
        return None;
    }
    if qualifier == DELETED_QUALIFIER {
        let what = format!("the qualifier `{DELETED_QUALIFIER}` is taken by the tombstones of deleted rows");
        node.mistake_at_key(what, Some("name the column otherwise".into()));
        return None;
    }
    Some(ColumnDraft {
        family: family.to_owned(),
        qualifier: qualifier.to_owned(),
        data_type: data_type?,
        unfit: unfit?,
        source: source?,
    })
}

impl ColumnDraft<'_> {
    fn finish(&self, types: &BTreeMap<String, FieldType>, computed: &mut Computed) -> Option<ModelColumn> {
        let made = self.source.finish(self.data_type, self.unfit, types)?;
        Some(ModelColumn {
            family: self.family.clone(),
            qualifier: self.qualifier.clone(),
            from: expression::name_of(made, computed),
            data_type: self.data_type,
        })
    }
}
