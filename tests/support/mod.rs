//! The world of the tests: a mock Kafka, topologies, engines on sinks in memory.

pub mod client_stories;
pub mod mock_kafka;
pub mod process;
