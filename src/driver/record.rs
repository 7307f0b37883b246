//! A record on its way into a topic.

use serde_json::Value;

/// A record: which topic and partition, key, payload, time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic's id in the topology.
    pub topic: String,
    /// Partition, 0 unless told otherwise.
    pub partition: i32,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Payload; `None` is Kafka's null.
    pub payload: Option<Vec<u8>>,
    /// Kafka's timestamp in milliseconds since 1970; `None` is the driver's clock.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// A record with these bytes as its payload.
    #[must_use]
    pub fn bytes(topic: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.to_owned(), partition: 0, key: None, payload: Some(payload.into()), timestamp_ms: None }
    }

    /// A record with this text as its payload.
    #[must_use]
    pub fn text(topic: &str, payload: &str) -> Self {
        Self::bytes(topic, payload.as_bytes())
    }

    /// A record with this value as JSON.
    #[must_use]
    pub fn json(topic: &str, value: &Value) -> Self {
        Self::bytes(topic, value.to_string())
    }

    /// A record without a payload.
    #[must_use]
    pub fn null(topic: &str) -> Self {
        Self { payload: None, ..Self::bytes(topic, Vec::new()) }
    }

    /// The same with a key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same in another partition.
    #[must_use]
    pub fn in_partition(mut self, partition: i32) -> Self {
        self.partition = partition;
        self
    }

    /// The same at a time, in milliseconds since 1970.
    #[must_use]
    pub fn at_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }
}
