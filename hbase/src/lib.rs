//! A native HBase client: the RPC protocol in Rust, without a JVM and without the Thrift gateway.
//!
//! ```text
//! client (tries, routes) ─▶ cluster (registry, meta, regions) ─▶ rpc (connections) ─▶ wire (bytes)
//! ```
//!
//! A [`client::Client`] is made of a [`registry::Registry`]; a [`row_block::RowBlock`] is what it writes, a
//! [`scan::Scan`] or a [`scan::Get`] what it reads, [`client::Client::admin`] makes and changes tables. What may fail
//! and what to do about it stands in [`error`] and [`exception`]. The package's README has an example, and says what
//! to know about HBase's semantics.
#![deny(missing_docs)]

pub mod cell;
pub mod client;
pub mod cluster;
pub mod error;
pub mod exception;
mod exception_text;
pub mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod golden;
pub mod metrics;
pub mod misuse;
pub mod mutation;
pub mod registry;
mod repeated;
pub mod row;
pub mod row_block;
pub mod rpc;
pub mod scan;
pub mod security;
#[cfg(feature = "server")]
pub mod server;
pub mod table_name;
pub mod wire;

/// The README's example is compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
