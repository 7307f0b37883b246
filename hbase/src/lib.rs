//! A native HBase client: the RPC protocol in Rust, without a JVM and without the Thrift gateway.
#![deny(missing_docs)]

pub mod cell;
pub mod mutation;
pub mod registry;
pub mod row_block;
pub mod wire;
