//! One suite, every implementation.

mod hbase_client;
