//! The world of the tests: a mock Kafka, topologies, engines on sinks in memory.

pub(crate) mod gated_sink;
pub(crate) mod guarantee;
pub(crate) mod mock_kafka;
pub(crate) mod process;
pub(crate) mod proxy;
