//! Reads topology files: all of them, and all their mistakes at once.
//!
//! Several files are one topology: each `[topic.*]`, `[model.*]`, `[table.*]` and `[cluster.*]` stands in one of them,
//! and so do `name`, `kafka` and `dead_letter`. Whatever stands twice is a mistake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::model::field::FieldType;
use crate::model::version::VersionRule;
use crate::topology::mistake::{Mistake, Mistakes};
use crate::topology::model::ModelDraft;
use crate::topology::source::{Log, Node, Source};
use crate::topology::table::{TableDraft, default_table};
use crate::topology::uses::{FieldUses, Use};
use crate::topology::{
    Cluster, Model, OwnProjection, Start, Table, Topic, Topology, cluster, format, grammar, kafka, model,
    schema_registry, suggest, table,
};

/// Files with test cases stand beside topology files and are none.
pub const CASES_ENDING: &str = ".test.toml";

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A topology, and what is doubtful about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What exists.
    pub topology: Topology,
    /// What is allowed but may not be meant, in the order of files and lines.
    pub warnings: Vec<Mistake>,
}

/// Reads these files; a folder stands for all `*.toml` files in it but `*.test.toml`, in the order of their names.
///
/// # Errors
/// [`Mistakes`], every one that could be found.
pub fn load(paths: &[PathBuf]) -> Result<Loaded, Mistakes> {
    let mut sources = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths {
        match files(path) {
            Ok(files) => {
                for file in files {
                    match std::fs::read_to_string(&file) {
                        Ok(text) => sources.push(Source { file: file.display().to_string(), text }),
                        Err(error) => unreadable.push(cannot_read(&file, &error.to_string())),
                    }
                }
            }
            Err(error) => unreadable.push(cannot_read(path, &error.to_string())),
        }
    }
    if sources.is_empty() && unreadable.is_empty() {
        unreadable.push(Mistake {
            file: paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
            place: None,
            what: "there is no topology file".to_owned(),
            hint: Some("name a .toml file, or a folder that has some".to_owned()),
        });
    }
    let environment = |name: &str| std::env::var(name).ok();
    if unreadable.is_empty() { read(&sources, &environment) } else { Err(Mistakes(unreadable)) }
}

/// Reads the text of one file; `file` is what mistakes name it.
///
/// # Errors
/// [`Mistakes`], every one that could be found.
pub fn parse(file: &str, text: &str, environment: Environment<'_>) -> Result<Loaded, Mistakes> {
    read(&[Source { file: file.to_owned(), text: text.to_owned() }], environment)
}

fn cannot_read(path: &Path, why: &str) -> Mistake {
    Mistake { file: path.display().to_string(), place: None, what: format!("cannot be read: {why}"), hint: None }
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let is_cases = file.to_string_lossy().ends_with(CASES_ENDING);
        if !is_cases && file.extension().is_some_and(|extension| extension == "toml") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read(sources: &[Source], environment: Environment<'_>) -> Result<Loaded, Mistakes> {
    let log = Log::default();
    let mut trees = Vec::new();
    for source in sources {
        let (tree, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let offset = error.span().map_or(0, |span| span.start);
            log.mistake(source.mistake(offset, format!("not TOML: {}", error.message()), None));
        }
        trees.push((source, tree));
    }
    // What a syntax error has torn apart would only be reported once more.
    if !log.mistakes.borrow().is_empty() {
        return Err(sorted(log));
    }
    let mut parts = Parts::default();
    for (source, tree) in &trees {
        parts.add(&log, source, tree.get_ref());
    }
    let topology = parts.finish(&log, sources, environment);
    match topology {
        Some(topology) if log.mistakes.borrow().is_empty() => {
            Ok(Loaded { topology, warnings: log.warnings.into_inner() })
        }
        _ => Err(sorted(log)),
    }
}

fn sorted(log: Log) -> Mistakes {
    let mut mistakes = log.mistakes.into_inner();
    debug_assert!(!mistakes.is_empty(), "a topology that is not made has a mistake");
    mistakes.sort_by(|a, b| (&a.file, a.place).cmp(&(&b.file, b.place)));
    mistakes.dedup();
    Mistakes(mistakes)
}

/// The sections of all files.
#[derive(Default)]
struct Parts<'a> {
    single: BTreeMap<&'a str, Node<'a>>,
    topics: BTreeMap<&'a str, Node<'a>>,
    models: BTreeMap<&'a str, Node<'a>>,
    projections: BTreeMap<&'a str, Node<'a>>,
    tables: BTreeMap<&'a str, Node<'a>>,
    clusters: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Parts<'a> {
    fn add(&mut self, log: &'a Log, source: &'a Source, tree: &'a DeTable<'a>) {
        for (key, value) in tree.iter() {
            let node = Node::new(log, source, key, value);
            let name: &'a str = key.get_ref();
            let many = match name {
                "topic" => &mut self.topics,
                "model" => &mut self.models,
                "projection" => &mut self.projections,
                "table" => &mut self.tables,
                "cluster" => &mut self.clusters,
                "name" | "kafka" | "dead_letter" | "schema_registry" => {
                    insert(&mut self.single, name, node);
                    continue;
                }
                _ => {
                    let hint = suggest::hint(name, grammar::ROOT.iter().copied());
                    node.mistake_at_key(format!("unknown key `{name}`"), hint);
                    continue;
                }
            };
            for (id, node) in node.entries().unwrap_or_default() {
                insert(many, id, node);
            }
        }
    }

    fn finish(&self, log: &'a Log, sources: &'a [Source], environment: Environment<'_>) -> Option<Topology> {
        let whole = |what: &str, hint: &str| {
            if let Some(first) = sources.first() {
                log.mistake(first.mistake(0, what.to_owned(), Some(hint.to_owned())));
            }
        };
        let require = |key: &str, hint: &str| {
            let node = self.single.get(key);
            if node.is_none() {
                whole(&format!("the topology lacks `{key}`"), hint);
            }
            node
        };
        let name = require("name", "name = \"chat\": the prefix of all group ids").and_then(group_name);
        let kafka = require("kafka", "[kafka] with brokers = [\"host:9092\"]");
        let kafka = kafka.and_then(|node| kafka::kafka(node, environment));
        let hint =
            "[dead_letter] with file = \"dead-letters.jsonl\", topic = \"NAME\" or halt = true: where bad events go";
        let dead_letter = require("dead_letter", hint).and_then(kafka::dead_letter);
        if self.topics.is_empty() {
            whole("the topology has no topic", "[topic.NAME]");
        }
        if self.models.is_empty() && self.projections.is_empty() {
            whole("the topology has no model", "[model.NAME]");
        }
        if self.clusters.is_empty() {
            whole("the topology has no cluster", "[cluster.NAME]");
        }
        let clusters = self.clusters(environment);
        let topics = self.topics();
        self.check_starts(&topics);
        let registry = match self.single.get("schema_registry") {
            None => Some(None),
            Some(node) => schema_registry::schema_registry(node, environment).map(Some),
        };
        let models = self.models(&topics);
        let projections = self.projections(&models);
        let tables = self.tables(&models, &projections);
        let (name, kafka, dead_letter, schema_registry) = (name?, kafka?, dead_letter?, registry?);
        let topology =
            Topology { name, kafka, topics, models, projections, clusters, tables, dead_letter, schema_registry };
        for (id, node) in &self.topics {
            format::check_topic(&topology, id, node);
        }
        Some(topology)
    }

    fn clusters(&self, environment: Environment<'_>) -> BTreeMap<String, Cluster> {
        let mut clusters = BTreeMap::new();
        for (name, node) in &self.clusters {
            if !is_id(name) {
                let what = format!("`{name}` cannot be the name of a cluster");
                node.mistake_at_key(what, Some("it is part of group ids: a-z, A-Z, 0-9, `_`, `-`".into()));
            }
            if let Some(cluster) = cluster::cluster(node, environment) {
                clusters.insert((*name).to_owned(), cluster);
            }
        }
        clusters
    }

    fn topics(&self) -> BTreeMap<String, Topic> {
        let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
        for (id, node) in &self.topics {
            let Some(topic) = kafka::topic(node) else { continue };
            if let Some((other, _)) = topics.iter().find(|(_, other)| other.name == topic.name) {
                let what = format!("topic `{}` of Kafka is already `topic.{other}`", topic.name);
                node.mistake_at_key(what, Some("models can share one [topic.*]".into()));
            }
            topics.insert((*id).to_owned(), topic);
        }
        topics
    }

    fn check_starts(&self, topics: &BTreeMap<String, Topic>) {
        for (id, topic) in topics {
            if let Some(Start::Sink(sink)) = &topic.start
                && !self.clusters.contains_key(sink.as_str())
                && let Some(node) = self.topics.get(id.as_str())
            {
                let hint = suggest::hint(sink, self.clusters.keys().copied());
                node.mistake_at_key(format!("`{}` starts at sink `{sink}`, which does not exist", node.path()), hint);
            }
        }
    }

    fn models(&self, topics: &BTreeMap<String, Topic>) -> BTreeMap<String, Model> {
        let drafts: BTreeMap<&str, ModelDraft<'a>> =
            self.models.iter().filter_map(|(id, node)| Some((*id, model::model(node)?))).collect();
        let mut by_topic: BTreeMap<&str, Vec<&ModelDraft<'a>>> = BTreeMap::new();
        let mut tables: BTreeMap<&str, &str> = BTreeMap::new();
        for (id, draft) in &drafts {
            if let Some((topic, node)) = &draft.topic {
                if !self.topics.contains_key(topic.as_str()) {
                    let hint = suggest::hint(topic, self.topics.keys().copied());
                    node.mistake_hint(format!("topic `{topic}` does not exist"), hint.unwrap_or_default());
                }
                by_topic.entry(topic).or_default().push(draft);
            }
            if let Some((table, node)) = &draft.table
                && let Some(other) = tables.insert(table, id)
            {
                let what = format!("table `{table}` is already written by `model.{other}`");
                node.mistake_hint(what, "one read model is one table: versions of two models would not be comparable");
            }
        }
        let types: BTreeMap<&str, BTreeMap<String, FieldType>> = by_topic
            .iter()
            .map(|(topic, drafts)| (*topic, field_types(&drafts.iter().map(|draft| &draft.uses).collect::<Vec<_>>())))
            .collect();
        for (id, drafts) in &by_topic {
            if let (Some(topic), Some(types)) = (topics.get(*id), types.get(id)) {
                format::check_fields(topic, types, drafts);
            }
        }
        let mut models = BTreeMap::new();
        for (id, draft) in &drafts {
            let Some((topic, _)) = &draft.topic else { continue };
            let Some(mut types) = types.get(topic.as_str()).cloned() else { continue };
            types.extend(field_types(&[&draft.elements]));
            let Some(mut model) = draft.finish(&types) else { continue };
            let quoted = topics.get(topic).map(|topic| &topic.quoted_numbers);
            if let (Some(each), Some(quoted)) = (&mut model.each, quoted) {
                each.quoted_numbers = quoted.iter().filter(|path| each.fields.contains_key(*path)).cloned().collect();
            }
            models.insert((*id).to_owned(), model);
        }
        models
    }

    fn projections(&self, models: &BTreeMap<String, Model>) -> BTreeMap<String, OwnProjection> {
        let mut projections: BTreeMap<String, OwnProjection> = BTreeMap::new();
        for (name, node) in &self.projections {
            let Some(((topic, topic_node), (table, table_node))) = model::own(node) else { continue };
            if !self.topics.contains_key(topic.as_str()) {
                let hint = suggest::hint(&topic, self.topics.keys().copied());
                topic_node.mistake_hint(format!("topic `{topic}` does not exist"), hint.unwrap_or_default());
            }
            let is_taken = models.values().any(|model| model.table == table)
                || projections.values().any(|other| other.table == table);
            if is_taken {
                table_node.mistake_hint(format!("table `{table}` is already written"), "one read model is one table");
            }
            projections.insert((*name).to_owned(), OwnProjection { topic, table });
        }
        projections
    }

    fn tables(
        &self,
        models: &BTreeMap<String, Model>,
        projections: &BTreeMap<String, OwnProjection>,
    ) -> BTreeMap<String, Table> {
        let mut tables: BTreeMap<String, Table> =
            models.values().map(|model| (model.table.clone(), default_table(model))).collect();
        for (name, node) in &self.tables {
            let Some(draft) = table::table(node) else { continue };
            if projections.values().any(|own| own.table == *name) {
                tables.insert((*name).to_owned(), draft.alone());
                continue;
            }
            let Some(model) = models.values().find(|model| model.table == *name) else {
                self.unused_table(name, &draft);
                continue;
            };
            let table = draft.finish(model);
            warn_about_ttl(&draft, &table, model);
            tables.insert((*name).to_owned(), table);
        }
        tables
    }

    fn unused_table(&self, name: &str, draft: &TableDraft<'a>) {
        // A model that has mistakes of its own may well be the one that writes it.
        let written: Vec<&str> = self
            .models
            .values()
            .filter_map(|node| node.entries()?.into_iter().find(|(key, _)| *key == "table")?.1.as_string())
            .collect();
        if !written.contains(&name) {
            draft.node.mistake_at_key(format!("no model writes table `{name}`"), suggest::hint(name, written));
        }
    }
}

fn insert<'a>(into: &mut BTreeMap<&'a str, Node<'a>>, key: &'a str, node: Node<'a>) {
    if let Some(other) = into.get(key) {
        let what = format!("`{}` stands twice", node.path());
        node.mistake_at_key(what, Some(format!("it is also at {}", other.whereabouts())));
        return;
    }
    into.insert(key, node);
}

fn is_id(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn group_name(node: &Node<'_>) -> Option<String> {
    let name = node.string()?;
    if !is_id(name) {
        let hint = "it is the prefix of all group ids: a-z, A-Z, 0-9, `_`, `-`";
        node.mistake_hint(format!("`{name}` cannot be the name of a topology"), hint);
        return None;
    }
    Some(name.to_owned())
}

/// One type for each field of a topic: the stated ones, then what follows from how fields are used.
fn field_types(drafts: &[&FieldUses<'_>]) -> BTreeMap<String, FieldType> {
    let mut stated: BTreeMap<&str, &Use<'_>> = BTreeMap::new();
    for one in drafts.iter().flat_map(|draft| &draft.stated) {
        let first = *stated.entry(&one.path).or_insert(one);
        if first.data_type != one.data_type {
            let what = format!(
                "field `{}` is {} here, but {} at {}",
                one.path,
                one.data_type,
                first.data_type,
                first.node.whereabouts()
            );
            one.node.mistake_at_key(what, Some("a field of a topic has one type".into()));
        }
    }
    let mut types: BTreeMap<String, FieldType> =
        stated.iter().map(|(path, one)| ((*path).to_owned(), one.data_type)).collect();
    for one in drafts.iter().flat_map(|draft| &draft.assumed) {
        if stated.contains_key(one.path.as_str()) {
            continue;
        }
        types.entry(one.path.clone()).and_modify(|known| *known = known.wider(one.data_type)).or_insert(one.data_type);
    }
    for one in drafts.iter().flat_map(|draft| &draft.fallback) {
        let known = types.entry(one.path.clone()).or_insert(one.data_type);
        // A field of which a condition only tests the presence can be anything.
        if *known == FieldType::Json && !stated.contains_key(one.path.as_str()) {
            *known = one.data_type;
        }
    }
    let all = || drafts.iter().flat_map(|draft| draft.all());
    for part in all() {
        let mut above = part.path.as_str();
        while let Some((whole, _)) = above.rsplit_once('.') {
            if types.contains_key(whole) {
                let what = format!("field `{}` is within `{whole}`, which is read as a whole elsewhere", part.path);
                part.node.mistake_at_key(what, Some("read either the object as json or the fields within it".into()));
            }
            above = whole;
        }
    }
    types
}

/// HBase counts a time to live from the cell's timestamp, which is the version.
fn warn_about_ttl(draft: &TableDraft<'_>, table: &Table, model: &Model) {
    if table.families.values().all(|family| family.ttl_s.is_none()) {
        return;
    }
    let what = match &model.version {
        VersionRule::Time { .. } | VersionRule::KafkaTimestamp => return,
        VersionRule::TimeSequence { .. } => {
            "a version of time and sequence is no time in milliseconds: with `ttl`, HBase \
             takes every cell to be from the far future and never drops it"
        }
        VersionRule::Column { .. } | VersionRule::KafkaOffset => {
            "with `ttl`, HBase takes versions to be milliseconds since \
             1970: cells with smaller numbers are dropped at once"
        }
    };
    draft.node.warn(what, "use a version of {time = \"...\"} alone, or no `ttl`");
}

#[cfg(test)]
mod tests;
