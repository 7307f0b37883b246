//! halcyon keeps read models in several HBase clusters current from Kafka.
//!
//! ```text
//! source ─▶ decode ─▶ project ─▶ fanout ─┬▶ sink blue  ─▶ progress blue  ─┐
//! (kafka, parquet)      (pure)           └▶ sink green ─▶ progress green ─┴▶ commit
//! ```

pub mod decode;
pub mod halt;
pub mod invariant;
pub mod memory;
pub mod model;
pub mod progress;
pub mod project;
pub mod topology;
