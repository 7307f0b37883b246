//! Names of tables.

use std::fmt;

use bytes::Bytes;

use crate::wire::message::TableNameMessage;

/// The namespace of tables that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// `table` in the default namespace, or `namespace:table`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// As it stands in meta's row keys: without the default namespace.
    full: String,
}

impl TableName {
    /// The table `name`; `default:t` and `t` are the same table.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let full = name.strip_prefix("default:").unwrap_or(name);
        Self { full: full.to_owned() }
    }

    /// The name, with its namespace unless that is the default one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }

    pub(crate) fn message(&self) -> TableNameMessage {
        let (namespace, qualifier) = self.full.split_once(':').unwrap_or((DEFAULT_NAMESPACE, &self.full));
        TableNameMessage {
            namespace: Bytes::copy_from_slice(namespace.as_bytes()),
            qualifier: Bytes::copy_from_slice(qualifier.as_bytes()),
        }
    }

    pub(crate) fn of_message(message: &TableNameMessage) -> Self {
        let namespace = String::from_utf8_lossy(&message.namespace);
        let qualifier = String::from_utf8_lossy(&message.qualifier);
        Self::new(&format!("{namespace}:{qualifier}"))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}
