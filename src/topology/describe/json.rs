//! A topology as JSON, for tools. Secrets stand as their references, as everywhere.

use serde_json::{Map, Value, json};

use super::{
    dead_letters, delete, durability, pace, registry, row_key, schema_source, shown, start, token_source, version,
};
use crate::topology::{Model, Reading, Table, Topology};

impl Topology {
    /// The topology with everything that follows from it: groups, fields, regions.
    #[must_use]
    pub fn json(&self) -> Value {
        let properties: Map<String, Value> =
            self.kafka.properties.iter().map(|(name, value)| (name.clone(), shown(value).into())).collect();
        let topics = self.topics.iter().map(|(id, topic)| {
            let fields = self.fields(id).unwrap_or_default();
            let fields: Map<String, Value> =
                fields.all().iter().map(|field| (field.path.clone(), field.data_type.to_string().into())).collect();
            let mut value =
                json!({"name": topic.name, "format": topic.format.name(), "start": start(topic), "fields": fields});
            if let (Some(reading), Some(object)) = (self.reading(id), value.as_object_mut()) {
                object.extend(said(&reading));
            }
            (id.clone(), value)
        });
        let clusters = self.clusters.iter().map(|(name, cluster)| {
            let value = json!({
                "hbase": registry(cluster),
                "group": self.sink_group(name),
                "user": cluster.user,
                "durability": durability(cluster),
                "pace": pace(cluster),
            });
            (name.clone(), value)
        });
        let budget = &self.dead_letter.budget;
        let mut value = json!({
            "name": self.name,
            "group": self.name,
            "kafka": {
                "brokers": self.kafka.brokers,
                "properties": properties,
                "group_protocol": self.kafka.group_protocol.name(),
                "oauth_token": self.kafka.oauth_token.as_ref().map(token_source),
            },
            "topics": topics.collect::<Map<_, _>>(),
            "models": self.models.iter().map(|(name, one)| (name.clone(), model(one))).collect::<Map<_, _>>(),
            "projections": self.projections.iter().map(|(name, own)| {
                (name.clone(), json!({"topic": own.topic, "table": own.table}))
            }).collect::<Map<_, _>>(),
            "tables": self.tables.iter().map(|(name, one)| (name.clone(), table(one))).collect::<Map<_, _>>(),
            "clusters": clusters.collect::<Map<_, _>>(),
            "dead_letter": {
                "to": dead_letters(&self.dead_letter),
                "budget": {"minimum": budget.minimum, "share": budget.share},
            },
        });
        if let (Some(registry), Some(object)) = (&self.schema_registry, value.as_object_mut()) {
            let user = registry.user.as_ref().map(shown);
            object.insert("schema_registry".to_owned(), json!({"urls": registry.urls, "user": user}));
        }
        value
    }
}

/// What a topic says about its records beside their format, as far as it is not what goes without saying.
fn said(reading: &Reading) -> Map<String, Value> {
    let plain = Reading::from(reading.format);
    let mut said = Map::new();
    let mut say = |key: &str, value: String| said.insert(key.to_owned(), value.into());
    if reading.envelope != plain.envelope {
        say("envelope", reading.envelope.name().to_owned());
    }
    if reading.key_format != plain.key_format {
        say("key_format", reading.key_format.name().to_owned());
    }
    if reading.null_payload != plain.null_payload {
        say("null_payload", reading.null_payload.name().to_owned());
    }
    if reading.format.needs_schema() {
        say("schema", schema_source(&reading.schema));
    }
    said
}

fn model(model: &Model) -> Value {
    let columns = model.columns.iter().map(|column| {
        let value = json!({"from": column.from, "as": column.data_type.to_string()});
        (column.name(), value)
    });
    json!({
        "topic": model.topic,
        "table": model.table,
        "each": model.each.as_ref().map(|each| &each.path),
        "key": row_key(&model.key),
        "version": version(&model.version),
        "when": model.when.as_ref().map(ToString::to_string),
        "delete": model.delete.is_some().then(|| delete(model)),
        "columns": columns.collect::<Map<_, _>>(),
    })
}

fn table(table: &Table) -> Value {
    let families = table.families.iter().map(|(name, family)| {
        let value = json!({
            "versions": family.versions,
            "compression": family.compression.name(),
            "bloom": family.bloom.name(),
            "ttl_s": family.ttl_s,
        });
        (name.clone(), value)
    });
    json!({"regions": table.splits.len() + 1, "families": families.collect::<Map<_, _>>()})
}
