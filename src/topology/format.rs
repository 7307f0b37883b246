//! Reads how the records of a `[topic.*]` are read, and checks that its models can be made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::reading::{Envelope, Format, NullPayload, PayloadSchema, Reading};
use crate::decode::{AvroSchema, Decoder, Descriptors, ReadingError, check_field, is_of_record};
use crate::model::field::FieldType;
use crate::model::version::VersionRule;
use crate::topology::model::ModelDraft;
use crate::topology::source::{Node, Section};
use crate::topology::{Model, Topic, Topology, grammar};

/// A schema of more than this is none.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What a topic says about its records.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) format: Format,
    pub(super) key_format: Format,
    pub(super) envelope: Envelope,
    pub(super) null_payload: Option<NullPayload>,
    pub(super) schema: PayloadSchema,
}

pub(super) fn read(section: &Section<'_>) -> Option<Said> {
    let format = section.require("format", "how payloads are read: \"json\", \"avro\", \"protobuf\" or \"raw\"");
    let format = format.and_then(|node| node.choose(grammar::FORMATS));
    let key_format = match section.get("key_format") {
        None => Some(Format::Raw),
        Some(node) => node.choose(grammar::FORMATS),
    };
    let envelope = section.choice("envelope", grammar::ENVELOPES);
    let null_payload = match section.get("null_payload") {
        None => Some(None),
        Some(node) => node.choose(grammar::NULL_PAYLOADS).map(Some),
    };
    let schema = match (section.get("schema"), format) {
        (None, _) => Some(PayloadSchema::Registry),
        (Some(node), Some(format)) => schema(&node, format),
        (Some(_), None) => None,
    };
    if let (Some(node), Some(Format::Raw), Some(Envelope::Debezium | Envelope::CloudEvents)) =
        (section.get("envelope"), format, envelope)
    {
        node.mistake_hint("a raw payload has no envelope", "format = \"json\", \"avro\" or \"protobuf\"");
        return None;
    }
    Some(Said {
        format: format?,
        key_format: key_format?,
        envelope: envelope?,
        null_payload: null_payload?,
        schema: schema?,
    })
}

fn schema(node: &Node<'_>, format: Format) -> Option<PayloadSchema> {
    const HINT: &str = "{file = \"event.avsc\"} or {reader = \"event.avsc\"} for avro, \
                        {file = \"event.desc\", message = \"package.Event\"} for protobuf";
    let section = node.section(grammar::PAYLOAD_SCHEMA)?;
    match (format, section.get("file"), section.get("message"), section.get("reader")) {
        (Format::Avro, Some(file), None, None) => {
            let (path, schema) = avro(&file)?;
            Some(PayloadSchema::Avro(path, schema))
        }
        (Format::Avro, None, None, Some(file)) => {
            let (path, schema) = avro(&file)?;
            Some(PayloadSchema::RegistryAndReader(path, schema))
        }
        (Format::Protobuf, Some(file), Some(message), None) => protobuf(&file, &message),
        (Format::Json | Format::Raw, ..) => {
            node.mistake_at_key(format!("format {} has no schema", format.name()), None);
            None
        }
        (Format::Avro | Format::Protobuf, ..) => {
            node.mistake_hint(format!("`{}` is no schema for {}", node.path(), format.name()), HINT);
            None
        }
    }
}

fn avro(node: &Node<'_>) -> Option<(PathBuf, Arc<AvroSchema>)> {
    let (path, bytes) = content(node)?;
    let schema = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned());
    let schema = schema.and_then(|text| AvroSchema::parse(text, &[]).map_err(|error| error.to_string()));
    match schema {
        Ok(schema) => Some((path, Arc::new(schema))),
        Err(error) => {
            node.mistake(format!("{}: {error}", path.display()));
            None
        }
    }
}

fn protobuf(file: &Node<'_>, message: &Node<'_>) -> Option<PayloadSchema> {
    let (path, bytes) = content(file)?;
    let name = message.string()?;
    match Descriptors::decode(&bytes) {
        Ok(all) if all.has_message(name) => Some(PayloadSchema::Protobuf(path, Arc::new(all), name.to_owned())),
        Ok(_) => {
            message.mistake_hint(
                format!("{} has no message `{name}`", path.display()),
                "write its package before its name: \"shop.Order\"",
            );
            None
        }
        Err(error) => {
            let hint = "protoc --include_imports --descriptor_set_out=FILE event.proto";
            file.mistake_hint(format!("{}: {error}", path.display()), hint);
            None
        }
    }
}

/// What is in the file that a value names.
fn content(node: &Node<'_>) -> Option<(PathBuf, Vec<u8>)> {
    let path = Path::new(node.string()?);
    let length = std::fs::metadata(path).map(|file| file.len());
    let read = length.and_then(|length| {
        if length > FILE_BYTES_MAX {
            return Err(std::io::Error::other("it is longer than 16 MiB"));
        }
        std::fs::read(path)
    });
    match read {
        Ok(bytes) => Some((path.to_owned(), bytes)),
        Err(error) => {
            let hint = "a path from the folder that the process runs in";
            node.mistake_hint(format!("{} cannot be read: {error}", path.display()), hint);
            None
        }
    }
}

impl Topic {
    /// How its records are read, with null payloads that mean this.
    pub(super) fn reading(&self, null_payload: NullPayload) -> Reading {
        Reading {
            format: self.format,
            key_format: self.key_format,
            envelope: self.envelope,
            null_payload,
            schema: self.schema.clone(),
        }
    }
}

/// Every field must be one that records of the topic have.
pub(super) fn check_fields(topic: &Topic, types: &BTreeMap<String, FieldType>, drafts: &[&ModelDraft<'_>]) {
    let reading = topic.reading(NullPayload::Bad);
    for (path, data_type) in types {
        let Err(error) = check_field(&reading, path, *data_type) else { continue };
        let mut uses = drafts.iter().flat_map(|draft| draft.uses.stated.iter().chain(&draft.uses.assumed));
        let Some(place) = uses.find(|one| one.path == *path) else { continue };
        let hint = match &error {
            ReadingError::Unknown { known, .. } => Some(known.clone()),
            ReadingError::Type { .. } | ReadingError::Fields(_) => None,
        };
        place.node.mistake_at_key(error.to_string(), hint);
    }
}

/// The first field of a model's key or version that a record without a payload does not have.
pub(super) fn field_of_payload(model: &Model) -> Option<&str> {
    let key = model.key.parts.iter().filter_map(|part| part.field()).map(|(path, _)| path);
    let version = match &model.version {
        VersionRule::Column { field } | VersionRule::Time { field } => [Some(field.as_str()), None],
        VersionRule::TimeSequence { time, sequence } => [Some(time.as_str()), Some(sequence.as_str())],
        VersionRule::KafkaOffset | VersionRule::KafkaTimestamp => [None, None],
    };
    key.chain(version.into_iter().flatten()).find(|path| !is_of_record(path))
}

/// What can be wrong with a topic once its models are known.
pub(super) fn check_topic(topology: &Topology, id: &str, node: &Node<'_>) {
    let Some(reading) = topology.reading(id) else { return };
    if (reading.frames_payloads() || reading.frames_keys()) && topology.schema_registry.is_none() {
        let what = format!("`{}` needs the schemas of a registry, and there is none", node.path());
        node.mistake_at_key(what, Some("[schema_registry] with urls = [\"http://host:8081\"]".to_owned()));
    }
    if let Ok(fields) = topology.fields(id)
        && let Err(error @ (ReadingError::Fields(_) | ReadingError::Type { .. })) =
            Decoder::new(reading.clone(), fields)
    {
        node.mistake_at_key(format!("`{}` cannot be read: {error}", node.path()), None);
    }
    for (name, model) in topology.models.iter().filter(|(_, model)| model.topic == id) {
        if reading.null_payload == NullPayload::Delete
            && let Some(field) = field_of_payload(model)
        {
            node.mistake_at_key(
                format!("null payloads cannot delete rows of model `{name}`: it is made of `{field}`"),
                Some("key and version must come from the record: $key, $header.NAME, $offset, $timestamp".to_owned()),
            );
        }
        if reading.envelope == Envelope::Debezium && model.delete.is_none() {
            node.warn(
                format!("model `{name}` reads Debezium events, but deletes no row"),
                "delete = {when = \"$op = 'd'\"}: else a deletion writes what the row was before it",
            );
        }
    }
}

#[cfg(test)]
mod tests;
