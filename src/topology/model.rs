//! Reads `[model.*]`: first each model by itself, then the types of the fields that the models of a topic share.

use std::collections::BTreeMap;

use hbase::cell::FAMILY_BYTES_MAX;

use crate::model::field::FieldType;
use crate::model::key::RowKey;
use crate::model::predicate::Predicate;
use crate::model::schema::{DELETED_QUALIFIER, DeleteMode, ModelColumn};
use crate::model::version::VersionRule;
use crate::topology::row_key::{KeyDraft, row_key};
use crate::topology::source::{Node, Section};
use crate::topology::{DeleteRule, Model, condition, grammar};

/// A model as far as it can be read by itself: types that follow from other models are still open.
#[derive(Debug)]
pub(super) struct ModelDraft<'a> {
    pub(super) topic: Option<(String, Node<'a>)>,
    pub(super) table: Option<(String, Node<'a>)>,
    key: Option<Vec<KeyDraft<'a>>>,
    version: Option<(VersionRule, Node<'a>)>,
    when: Option<(Predicate, Node<'a>)>,
    delete: Option<(DeleteRule, Node<'a>)>,
    columns: Vec<ModelColumn>,
    /// Types that the model states.
    pub(super) stated: Vec<Use<'a>>,
    /// Types that follow from how fields are used, if nothing states them.
    pub(super) assumed: Vec<Use<'a>>,
}

/// A field, the type that it has in one place, and that place.
#[derive(Clone, Debug)]
pub(super) struct Use<'a> {
    pub(super) path: String,
    pub(super) data_type: FieldType,
    pub(super) node: Node<'a>,
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
        stated: Vec::new(),
        assumed: Vec::new(),
    };
    let hint = "the parts of the row key: [{column = \"id\", as = \"u64\"}]";
    draft.key = section.require("key", hint).and_then(|node| row_key(&node, &mut draft.stated));
    draft.version = section.require("version", VERSION_HINT).and_then(|node| draft.read_version(&node));
    draft.when = section.get("when").and_then(|node| draft.read_condition(node));
    draft.delete = section.get("delete").and_then(|node| draft.read_delete(&node));
    let hint = "[model.NAME.columns] with \"family:qualifier\" = {from = \"field\", as = \"utf8\"}";
    if let Some(node) = section.require("columns", hint) {
        draft.read_columns(&node);
    }
    Some(draft)
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
    fn read_version(&mut self, node: &Node<'a>) -> Option<(VersionRule, Node<'a>)> {
        let keys: Vec<&str> = [grammar::COLUMN_VERSION, grammar::TIME_VERSION, grammar::KAFKA_VERSION].concat();
        let section = node.section(&keys)?;
        let rules: Vec<&str> = ["column", "time", "kafka"].into_iter().filter(|key| section.has(key)).collect();
        let [rule] = rules.as_slice() else {
            let what =
                format!("`{}` must say one of `column`, `time` and `kafka`, but says {}", node.path(), rules.len());
            node.mistake_at_key(what, Some(VERSION_HINT.to_owned()));
            return None;
        };
        let own = section.get(rule)?;
        let rule = match *rule {
            "column" => VersionRule::Column { field: self.version_field(&own)? },
            "kafka" => own.choose(&[("offset", Kafka::Offset), ("timestamp", Kafka::Timestamp)])?.rule(),
            _ => {
                let time = field_path(&own)?;
                let data_type = match section.get("as") {
                    None => FieldType::I64,
                    Some(node) => data_type(&node)?,
                };
                let place = if section.has("as") { &mut self.stated } else { &mut self.assumed };
                place.push(Use { path: time.clone(), data_type, node: own });
                match section.get("sequence") {
                    None => VersionRule::Time { field: time },
                    Some(node) => VersionRule::TimeSequence { time, sequence: self.version_field(&node)? },
                }
            }
        };
        for foreign in foreign_keys(&rule).iter().filter_map(|key| section.get(key)) {
            let what = format!("`{}` is only for a version by `time`", foreign.path());
            foreign.mistake_at_key(what, None);
        }
        Some((rule, node.clone()))
    }

    fn version_field(&mut self, node: &Node<'a>) -> Option<String> {
        let path = field_path(node)?;
        self.assumed.push(Use { path: path.clone(), data_type: FieldType::I64, node: node.clone() });
        Some(path)
    }

    fn read_condition(&mut self, node: Node<'a>) -> Option<(Predicate, Node<'a>)> {
        let text = node.string()?;
        match condition::parse(text) {
            Ok(predicate) => {
                for (path, data_type) in predicate.fields() {
                    self.assumed.push(Use { path: path.to_owned(), data_type, node: node.clone() });
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
            if let Some(column) = column(name, &node) {
                let (path, data_type) = (column.from.clone(), column.data_type);
                self.stated.push(Use { path, data_type, node });
                self.columns.push(column);
            }
        }
        self.columns.sort_by(|a, b| (&a.family, &a.qualifier).cmp(&(&b.family, &b.qualifier)));
    }

    /// The model, with the types that the models of its topic agree on. `None` after a mistake.
    pub(super) fn finish(&self, types: &BTreeMap<String, FieldType>) -> Option<Model> {
        let (version, version_node) = self.version.as_ref()?;
        let (topic, table) = (self.topic.as_ref()?.0.clone(), self.table.as_ref()?.0.clone());
        let key = self.key.as_ref()?.iter().map(|part| part.finish(types)).collect::<Option<Vec<_>>>()?;
        check_version_types(version, version_node, types);
        let rules = [self.when.as_ref(), None];
        for (predicate, node) in rules.into_iter().flatten() {
            check_literals(predicate, node, types);
        }
        if let Some((rule, node)) = &self.delete {
            check_literals(&rule.when, node, types);
        }
        let used = self.stated.iter().chain(&self.assumed).map(|one| &one.path);
        let fields = used.filter_map(|path| Some((path.clone(), *types.get(path)?))).collect();
        if self.columns.is_empty() {
            return None;
        }
        self.warn(version, version_node);
        Some(Model {
            topic,
            table,
            key: RowKey { parts: key },
            version: version.clone(),
            when: self.when.as_ref().map(|(predicate, _)| predicate.clone()),
            delete: self.delete.as_ref().map(|(rule, _)| rule.clone()),
            columns: self.columns.clone(),
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
        if let Some(KeyDraft::Salt { field, node, .. }) = self.key.as_ref().and_then(|key| key.first()) {
            let key = self.key.iter().flatten();
            if !key.filter_map(KeyDraft::column).any(|column| column == field) {
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

fn column(name: &str, node: &Node<'_>) -> Option<ModelColumn> {
    let section = node.section(grammar::COLUMN)?;
    let from = section.require("from", "the field that it holds").and_then(|node| field_path(&node));
    let types = "utf8, u64, i64, u32, i32, f64, bool, bytes or json";
    let data_type = section.require("as", types).and_then(|node| data_type(&node));
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
    Some(ModelColumn { family: family.to_owned(), qualifier: qualifier.to_owned(), from: from?, data_type: data_type? })
}

fn check_version_types(rule: &VersionRule, node: &Node<'_>, types: &BTreeMap<String, FieldType>) {
    let needed = |path: &str, time: bool| {
        let Some(data_type) = types.get(path) else { return };
        if data_type.is_integer() || (time && *data_type == FieldType::Utf8) {
            return;
        }
        let what = format!("the version is made of `{path}`, which is {data_type}");
        let hint =
            if time { "a time is an integer (milliseconds) or utf8 (RFC 3339)" } else { "it must be an integer" };
        node.mistake_hint(what, hint);
    };
    match rule {
        VersionRule::Column { field } => needed(field, false),
        VersionRule::Time { field } => needed(field, true),
        VersionRule::TimeSequence { time, sequence } => {
            needed(time, true);
            needed(sequence, false);
        }
        VersionRule::KafkaOffset | VersionRule::KafkaTimestamp => {}
    }
}

/// Every literal must be of a type that its field can have.
fn check_literals(predicate: &Predicate, node: &Node<'_>, types: &BTreeMap<String, FieldType>) {
    match predicate {
        Predicate::And(left, right) | Predicate::Or(left, right) => {
            check_literals(left, node, types);
            check_literals(right, node, types);
        }
        Predicate::Not(inner) => check_literals(inner, node, types),
        Predicate::Compare { field, literal, .. } => check_literal(field, literal, node, types),
        Predicate::In { field, literals } => {
            if let Some(wrong) = literals.iter().find(|literal| types.get(field).is_some_and(|one| !literal.fits(*one)))
            {
                check_literal(field, wrong, node, types);
            }
        }
        Predicate::IsNull { .. } => {}
        Predicate::IsTrue { field } => match types.get(field) {
            Some(FieldType::Bool) | None => {}
            Some(other) => node.mistake_hint(
                format!("in the condition: `{field}` stands alone, but is {other}"),
                "only a bool can; compare it with a value, or test it with `is not null`",
            ),
        },
    }
}

fn check_literal(
    field: &str,
    literal: &crate::model::predicate::Literal,
    node: &Node<'_>,
    types: &BTreeMap<String, FieldType>,
) {
    let Some(data_type) = types.get(field).filter(|data_type| !literal.fits(**data_type)) else { return };
    let hint = match data_type {
        FieldType::Utf8 => "text stands in single quotes: 'text'",
        FieldType::Bool => "compare it with true or false",
        FieldType::Bytes | FieldType::Json => "fields of this type can only be tested for null",
        _ => "compare it with a number",
    };
    node.mistake_hint(
        format!("in the condition: `{field}` is {data_type} and cannot be compared with {literal}"),
        hint,
    );
}
