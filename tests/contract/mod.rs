//! One suite, every implementation.

mod hbase_client;
mod sink;
