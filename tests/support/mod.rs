//! The world of the tests: a mock Kafka, topologies, engines on sinks in memory.

pub mod mock_kafka;
