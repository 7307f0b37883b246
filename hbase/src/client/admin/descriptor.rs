//! What a table is: its families with their attributes.

use bytes::Bytes;

use crate::table_name::TableName;
use crate::wire::message::{BytesBytesPair, ColumnFamilySchema, NameStringPair, TableSchema};

/// The one attribute that servers of 1.x fail on when it is left out (`HColumnDescriptor.getMaxVersions`), with the
/// value that all servers give it.
const VERSIONS: (&str, &str) = ("VERSIONS", "1");

/// A column family with its attributes as HBase writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Name.
    pub name: String,
    /// Attributes by name: `VERSIONS`, `COMPRESSION`, `BLOOMFILTER`, `TTL`, `DATA_BLOCK_ENCODING`, … What is left out
    /// has the server's default.
    pub attributes: Vec<(String, String)>,
    /// Configuration overrides.
    pub configuration: Vec<(String, String)>,
}

impl Family {
    /// A family with the server's defaults.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attributes: Vec::new(), configuration: Vec::new() }
    }

    /// Sets an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// An attribute, if it is set.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A table with its families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescriptor {
    /// Name.
    pub name: TableName,
    /// Families.
    pub families: Vec<Family>,
}

pub(crate) fn schema_of(table: &TableDescriptor) -> TableSchema {
    TableSchema {
        table_name: Some(table.name.message()),
        column_families: table.families.iter().map(family_schema).collect(),
        ..TableSchema::default()
    }
}

pub(crate) fn descriptor_of(schema: &TableSchema) -> TableDescriptor {
    TableDescriptor {
        name: schema.table_name.as_ref().map(TableName::of_message).unwrap_or_else(|| TableName::new("")),
        families: schema.column_families.iter().map(family_of).collect(),
    }
}

pub(crate) fn family_schema(family: &Family) -> ColumnFamilySchema {
    let pair = |(name, value): &(String, String)| BytesBytesPair {
        first: Bytes::copy_from_slice(name.as_bytes()),
        second: Bytes::copy_from_slice(value.as_bytes()),
    };
    let setting = |(name, value): &(String, String)| NameStringPair { name: name.clone(), value: value.clone() };
    let mut attributes: Vec<BytesBytesPair> = family.attributes.iter().map(pair).collect();
    if family.attribute(VERSIONS.0).is_none() {
        attributes.push(pair(&(VERSIONS.0.to_owned(), VERSIONS.1.to_owned())));
    }
    ColumnFamilySchema {
        name: Bytes::copy_from_slice(family.name.as_bytes()),
        attributes,
        configuration: family.configuration.iter().map(setting).collect(),
    }
}

pub(crate) fn family_of(schema: &ColumnFamilySchema) -> Family {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    Family {
        name: text(&schema.name),
        attributes: schema.attributes.iter().map(|pair| (text(&pair.first), text(&pair.second))).collect(),
        configuration: schema.configuration.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect(),
    }
}
