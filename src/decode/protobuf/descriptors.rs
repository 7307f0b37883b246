//! Protobuf files as messages that refer to each other by number.

use std::collections::HashMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Files with all that they import.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    messages: Vec<Message>,
    enums: Vec<Vec<(i32, String)>>,
    names: HashMap<String, Named>,
    /// The messages of the file itself, in its order.
    roots: Vec<MessageId>,
}

/// Why a text or a file does not describe messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a Protobuf schema: {what}")]
pub struct ProtobufError {
    /// What is wrong with it.
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageId(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EnumId(usize);

#[derive(Clone, Copy, Debug)]
enum Named {
    Message(MessageId),
    Enum(EnumId),
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    /// With its package, without a dot before it.
    pub(super) name: String,
    /// In the order of the file.
    pub(super) fields: Vec<Field>,
    nested: Vec<MessageId>,
    pub(super) is_map_entry: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
    /// Whether being absent differs from being the default.
    pub(super) has_presence: bool,
    pub(super) oneof: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(Scalar),
    Enum(EnumId),
    Message(MessageId),
    /// A group, or a type of a file that is not there.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    Text,
    Bytes,
    Uint32,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

/// Types of Google's that registries do not hold: every compiler brings them.
const TIMES: [&str; 2] = ["google.protobuf.Timestamp", "google.protobuf.Duration"];
const WRAPPERS: [(&str, Scalar); 9] = [
    ("google.protobuf.DoubleValue", Scalar::Double),
    ("google.protobuf.FloatValue", Scalar::Float),
    ("google.protobuf.Int64Value", Scalar::Int64),
    ("google.protobuf.UInt64Value", Scalar::Uint64),
    ("google.protobuf.Int32Value", Scalar::Int32),
    ("google.protobuf.UInt32Value", Scalar::Uint32),
    ("google.protobuf.BoolValue", Scalar::Bool),
    ("google.protobuf.StringValue", Scalar::Text),
    ("google.protobuf.BytesValue", Scalar::Bytes),
];

fn wrong<T>(what: impl Into<String>) -> Result<T, ProtobufError> {
    Err(ProtobufError { what: what.into() })
}

impl Descriptors {
    /// The file with this text, and those that it imports by their names.
    ///
    /// # Errors
    /// [`ProtobufError`]
    pub fn parse(text: &str, imports: &[(String, String)]) -> Result<Self, ProtobufError> {
        let mut files = Vec::with_capacity(imports.len() + 1);
        let imports = imports.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        for (name, text) in imports.chain([("schema.proto", text)]) {
            match protox_parse::parse(name, text) {
                Ok(file) => files.push(file),
                Err(error) => return wrong(format!("{name}: {error}")),
            }
        }
        Ok(Self::of(&files))
    }

    /// The files of a descriptor set: what `protoc --include_imports --descriptor_set_out=FILE` writes.
    ///
    /// # Errors
    /// [`ProtobufError`]
    pub fn decode(set: &[u8]) -> Result<Self, ProtobufError> {
        match FileDescriptorSet::decode(set) {
            Ok(set) => Ok(Self::of(&set.file)),
            Err(error) => wrong(format!("it is no descriptor set (protoc --descriptor_set_out): {error}")),
        }
    }

    /// The last file is the one whose messages are counted.
    fn of(files: &[FileDescriptorProto]) -> Self {
        let mut all = Self::default();
        let mut open = Vec::new();
        for file in files {
            all.roots.clear();
            let package = file.package.as_deref().unwrap_or_default();
            for one in &file.enum_type {
                all.add_enum(one, package);
            }
            for one in &file.message_type {
                let id = all.add_message(one, package, (is_proto3(file), &mut open));
                all.roots.push(id);
            }
        }
        all.add_well_known();
        for (id, proto3, message) in open {
            let fields = message.field.iter().map(|field| all.field(field, id, proto3)).collect();
            if let Some(place) = all.messages.get_mut(id.0) {
                place.fields = fields;
            }
        }
        all
    }

    fn push(&mut self, message: Message) -> MessageId {
        let id = MessageId(self.messages.len());
        self.names.insert(message.name.clone(), Named::Message(id));
        self.messages.push(message);
        id
    }

    fn add_message<'a>(
        &mut self,
        message: &'a DescriptorProto,
        scope: &str,
        (proto3, open): (bool, &mut Vec<(MessageId, bool, &'a DescriptorProto)>),
    ) -> MessageId {
        let name = within(scope, message.name.as_deref().unwrap_or_default());
        let is_map_entry = message.options.as_ref().is_some_and(|options| options.map_entry.unwrap_or(false));
        let id = self.push(Message { name: name.clone(), fields: Vec::new(), nested: Vec::new(), is_map_entry });
        open.push((id, proto3, message));
        for one in &message.enum_type {
            self.add_enum(one, &name);
        }
        let nested: Vec<MessageId> =
            message.nested_type.iter().map(|one| self.add_message(one, &name, (proto3, open))).collect();
        if let Some(place) = self.messages.get_mut(id.0) {
            place.nested = nested;
        }
        id
    }

    fn add_enum(&mut self, one: &EnumDescriptorProto, scope: &str) {
        let values = one.value.iter().map(|value| (value.number.unwrap_or(0), value.name.clone().unwrap_or_default()));
        let id = EnumId(self.enums.len());
        self.enums.push(values.collect());
        self.names.insert(within(scope, one.name.as_deref().unwrap_or_default()), Named::Enum(id));
    }

    fn add_well_known(&mut self) {
        let field = |name: &str, number, scalar| Field {
            name: name.to_owned(),
            number,
            kind: Kind::Scalar(scalar),
            is_repeated: false,
            has_presence: false,
            oneof: None,
        };
        let times =
            TIMES.map(|name| (name, vec![field("seconds", 1, Scalar::Int64), field("nanos", 2, Scalar::Int32)]));
        let wrappers = WRAPPERS.map(|(name, scalar)| (name, vec![field("value", 1, scalar)]));
        for (name, fields) in times.into_iter().chain(wrappers) {
            if !self.names.contains_key(name) {
                self.push(Message { name: name.to_owned(), fields, nested: Vec::new(), is_map_entry: false });
            }
        }
    }

    fn field(&self, field: &FieldDescriptorProto, message: MessageId, proto3: bool) -> Field {
        let kind = self.kind(field, message);
        let is_repeated = field.label == Some(Label::Repeated as i32);
        let is_optional = field.proto3_optional.unwrap_or(false) || field.oneof_index.is_some();
        Field {
            name: field.name.clone().unwrap_or_default(),
            number: field.number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0),
            kind,
            is_repeated,
            has_presence: !is_repeated && (!proto3 || is_optional || matches!(kind, Kind::Message(_))),
            oneof: field.oneof_index,
        }
    }

    fn kind(&self, field: &FieldDescriptorProto, message: MessageId) -> Kind {
        let declared = field.r#type.and_then(|kind| Type::try_from(kind).ok());
        let scalar = match declared {
            // A text alone does not say whether a name is a message or an enum.
            None | Some(Type::Message | Type::Enum) => {
                let scope = self.get(message).name.as_str();
                return match field.type_name.as_deref().and_then(|name| self.resolve(name, scope)) {
                    Some(Named::Message(id)) => Kind::Message(id),
                    Some(Named::Enum(id)) => Kind::Enum(id),
                    None => Kind::Unknown,
                };
            }
            Some(Type::Group) => return Kind::Unknown,
            Some(Type::Double) => Scalar::Double,
            Some(Type::Float) => Scalar::Float,
            Some(Type::Int64) => Scalar::Int64,
            Some(Type::Uint64) => Scalar::Uint64,
            Some(Type::Int32) => Scalar::Int32,
            Some(Type::Fixed64) => Scalar::Fixed64,
            Some(Type::Fixed32) => Scalar::Fixed32,
            Some(Type::Bool) => Scalar::Bool,
            Some(Type::String) => Scalar::Text,
            Some(Type::Bytes) => Scalar::Bytes,
            Some(Type::Uint32) => Scalar::Uint32,
            Some(Type::Sfixed32) => Scalar::Sfixed32,
            Some(Type::Sfixed64) => Scalar::Sfixed64,
            Some(Type::Sint32) => Scalar::Sint32,
            Some(Type::Sint64) => Scalar::Sint64,
        };
        Kind::Scalar(scalar)
    }

    /// A name as it is used within a scope: the innermost scope that has it counts.
    fn resolve(&self, name: &str, scope: &str) -> Option<Named> {
        if let Some(full) = name.strip_prefix('.') {
            return self.names.get(full).copied();
        }
        let mut scope = scope;
        loop {
            if let Some(found) = self.names.get(&within(scope, name)) {
                return Some(*found);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }

    pub(super) fn get(&self, id: MessageId) -> &Message {
        const NONE: &Message =
            &Message { name: String::new(), fields: Vec::new(), nested: Vec::new(), is_map_entry: false };
        // Ids are made together with the messages.
        self.messages.get(id.0).unwrap_or(NONE)
    }

    /// The message with this full name.
    pub(super) fn named(&self, name: &str) -> Option<MessageId> {
        match self.names.get(name)? {
            Named::Message(id) => Some(*id),
            Named::Enum(_) => None,
        }
    }

    /// Whether there is a message with this full name.
    #[must_use]
    pub fn has_message(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// The message that a frame names: an index within the file, then within each message.
    pub(super) fn at(&self, indexes: &[usize]) -> Option<MessageId> {
        let (first, rest) = indexes.split_first()?;
        let mut id = *self.roots.get(*first)?;
        for index in rest {
            id = *self.get(id).nested.get(*index)?;
        }
        Some(id)
    }

    /// The name of an enum's value.
    pub(super) fn symbol(&self, id: EnumId, number: i32) -> Option<&str> {
        let values = self.enums.get(id.0)?;
        values.iter().find(|(known, _)| *known == number).map(|(_, name)| name.as_str())
    }
}

impl Message {
    /// Whether it is one of Google's times.
    pub(super) fn is_timestamp(&self) -> bool {
        self.name == "google.protobuf.Timestamp"
    }

    /// The type of the value that it wraps, if that is all it does.
    pub(super) fn wrapped(&self) -> Option<Scalar> {
        WRAPPERS.iter().find(|(name, _)| *name == self.name).map(|(_, scalar)| *scalar)
    }
}

fn is_proto3(file: &FileDescriptorProto) -> bool {
    file.syntax.as_deref() == Some("proto3")
}

fn within(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
