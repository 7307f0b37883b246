//! halcyon keeps read models in several HBase clusters current from Kafka.
//!
//! ```text
//! source ─▶ decode ─▶ project ─▶ fanout ─┬▶ sink blue  ─▶ progress blue  ─┐
//! (kafka, parquet)      (pure)           └▶ sink green ─▶ progress green ─┴▶ commit
//! ```

pub mod attachment;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod command;
pub mod dead_letter;
pub mod decode;
pub mod driver;
pub mod engine;
pub mod error_chain;
pub mod export;
pub mod governor;
pub mod halt;
pub mod http;
pub mod invariant;
pub mod kafka;
pub mod memory;
pub mod meter;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod mutant;
pub mod pipeline;
pub mod progress;
pub mod project;
pub mod schema_registry;
pub mod shutdown;
pub mod sink;
pub mod source;
pub mod status;
pub mod telemetry;
pub mod topology;
pub mod verify;
