//! Avro schemas (1.11) as types that refer to each other by number, so that a record may hold itself.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// A schema.
#[derive(Clone, Debug)]
pub struct AvroSchema {
    types: Vec<Type>,
    root: TypeId,
}

/// Why a text is no Avro schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read an Avro schema: {what}")]
pub struct AvroError {
    /// What is wrong with it.
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TypeId(usize);

#[derive(Clone, Debug)]
pub(super) struct Type {
    pub(super) shape: Shape,
    pub(super) logical: Option<Logical>,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Record(Vec<RecordField>),
}

#[derive(Clone, Debug)]
pub(super) struct RecordField {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) type_id: TypeId,
    pub(super) default: Option<Value>,
}

/// Logical types that change how a value is shown as text. One that does not fit its type is ignored, as Avro says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logical {
    Decimal { scale: u32 },
    Uuid,
    Date,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
}

const PRIMITIVES: [(&str, Shape); 8] = [
    ("null", Shape::Null),
    ("boolean", Shape::Boolean),
    ("int", Shape::Int),
    ("long", Shape::Long),
    ("float", Shape::Float),
    ("double", Shape::Double),
    ("bytes", Shape::Bytes),
    ("string", Shape::Text),
];

impl AvroSchema {
    /// The schema that a text says, with the named types of other texts, each behind those that it uses.
    ///
    /// # Errors
    /// [`AvroError`]
    pub fn parse(text: &str, references: &[&str]) -> Result<Self, AvroError> {
        let mut parser = Parser::default();
        for reference in references {
            parser.document(reference)?;
        }
        let root = parser.document(text)?;
        Ok(Self { types: parser.types, root })
    }

    pub(super) const fn root(&self) -> TypeId {
        self.root
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        const NULL: &Type = &Type { shape: Shape::Null, logical: None };
        // Ids are made together with the types.
        self.types.get(id.0).unwrap_or(NULL)
    }
}

#[derive(Default)]
struct Parser {
    types: Vec<Type>,
    names: HashMap<String, TypeId>,
}

fn wrong<T>(what: impl Into<String>) -> Result<T, AvroError> {
    Err(AvroError { what: what.into() })
}

impl Parser {
    fn document(&mut self, text: &str) -> Result<TypeId, AvroError> {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            // A primitive type is also written without quotes around it.
            Err(_) if PRIMITIVES.iter().any(|(name, _)| *name == text.trim()) => Value::from(text.trim()),
            Err(error) => return wrong(format!("it is not JSON: {error}")),
        };
        self.schema(&value, "")
    }

    fn push(&mut self, shape: Shape, logical: Option<Logical>) -> TypeId {
        self.types.push(Type { shape, logical });
        TypeId(self.types.len() - 1)
    }

    fn schema(&mut self, value: &Value, namespace: &str) -> Result<TypeId, AvroError> {
        match value {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.schema(branch, namespace));
                let branches = branches.collect::<Result<Vec<_>, _>>()?;
                Ok(self.push(Shape::Union(branches), None))
            }
            Value::Object(object) => self.object(object, namespace),
            Value::Null | Value::Bool(_) | Value::Number(_) => wrong("a type must be a name, a list or an object"),
        }
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<TypeId, AvroError> {
        if let Some((_, shape)) = PRIMITIVES.iter().find(|(primitive, _)| *primitive == name) {
            return Ok(self.push(shape.clone(), None));
        }
        let known = self.names.get(&full_name(name, namespace)).or_else(|| self.names.get(name));
        match known {
            Some(id) => Ok(*id),
            None => wrong(format!("type `{name}` is not defined before it is used")),
        }
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<TypeId, AvroError> {
        let Some(kind) = object.get("type") else { return wrong("a type lacks its `type`") };
        let Value::String(kind) = kind else { return self.schema(kind, namespace) };
        match kind.as_str() {
            "record" | "error" => self.record(object, namespace),
            "enum" => {
                let symbols = texts(object.get("symbols"));
                self.define(object, namespace, Shape::Enum(symbols), None)
            }
            "fixed" => {
                let Some(size) = object.get("size").and_then(Value::as_u64) else {
                    return wrong("a fixed type lacks its `size`");
                };
                let shape = Shape::Fixed(usize::try_from(size).unwrap_or(usize::MAX));
                let logical = logical(object, &shape);
                self.define(object, namespace, shape, logical)
            }
            "array" => {
                let items = self.part(object, "items", namespace)?;
                Ok(self.push(Shape::Array(items), None))
            }
            "map" => {
                let values = self.part(object, "values", namespace)?;
                Ok(self.push(Shape::Map(values), None))
            }
            name => match PRIMITIVES.iter().find(|(primitive, _)| *primitive == name) {
                Some((_, shape)) => Ok(self.push(shape.clone(), logical(object, shape))),
                None => self.named(name, namespace),
            },
        }
    }

    fn part(&mut self, object: &Map<String, Value>, key: &str, namespace: &str) -> Result<TypeId, AvroError> {
        match object.get(key) {
            Some(value) => self.schema(value, namespace),
            None => wrong(format!("a type lacks its `{key}`")),
        }
    }

    /// Adds a named type. Its aliases are names of it too.
    fn define(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        shape: Shape,
        logical: Option<Logical>,
    ) -> Result<TypeId, AvroError> {
        let Some(name) = object.get("name").and_then(Value::as_str) else { return wrong("a type lacks its `name`") };
        let id = self.push(shape, logical);
        let own = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        self.names.insert(full_name(name, own), id);
        Ok(id)
    }

    fn record(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<TypeId, AvroError> {
        let id = self.define(object, namespace, Shape::Record(Vec::new()), None)?;
        let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
        let own = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        // A name with dots in it has its namespace before the last one.
        let within = name.rsplit_once('.').map_or(own, |(namespace, _)| namespace).to_owned();
        let Some(Value::Array(list)) = object.get("fields") else {
            return wrong(format!("record `{name}` lacks its `fields`"));
        };
        let mut fields = Vec::with_capacity(list.len());
        for field in list {
            let Some(field) = field.as_object() else { return wrong(format!("a field of `{name}` is no object")) };
            let Some(field_name) = field.get("name").and_then(Value::as_str) else {
                return wrong(format!("a field of `{name}` lacks its `name`"));
            };
            let type_id = self.part(field, "type", &within)?;
            let (aliases, default) = (texts(field.get("aliases")), field.get("default").cloned());
            fields.push(RecordField { name: field_name.to_owned(), aliases, type_id, default });
        }
        if let Some(place) = self.types.get_mut(id.0) {
            place.shape = Shape::Record(fields);
        }
        Ok(id)
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn logical(object: &Map<String, Value>, shape: &Shape) -> Option<Logical> {
    let found = match (object.get("logicalType")?.as_str()?, shape) {
        ("decimal", Shape::Bytes | Shape::Fixed(_)) => {
            let scale = object.get("scale").and_then(Value::as_u64).unwrap_or(0);
            Logical::Decimal { scale: u32::try_from(scale).ok().filter(|scale| *scale <= 38)? }
        }
        ("uuid", Shape::Fixed(16)) => Logical::Uuid,
        ("date", Shape::Int) => Logical::Date,
        ("timestamp-millis" | "local-timestamp-millis", Shape::Long) => Logical::TimestampMillis,
        ("timestamp-micros" | "local-timestamp-micros", Shape::Long) => Logical::TimestampMicros,
        ("timestamp-nanos" | "local-timestamp-nanos", Shape::Long) => Logical::TimestampNanos,
        _ => return None,
    };
    Some(found)
}
