//! A native HBase client: the RPC protocol in Rust, without a JVM and without the Thrift gateway.
//!
//! ```text
//! client (tries, routes) ─▶ cluster (registry, meta, regions) ─▶ rpc (connections) ─▶ wire (bytes)
//! ```
#![deny(missing_docs)]

pub mod cell;
pub mod client;
pub mod cluster;
pub mod error;
pub mod exception;
mod exception_text;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod golden;
pub mod mutation;
pub mod registry;
pub mod row_block;
pub mod rpc;
pub mod scan;
#[cfg(feature = "server")]
pub mod server;
pub mod table_name;
pub mod wire;
