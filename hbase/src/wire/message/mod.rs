//! The protobuf messages of HBase's RPC that this crate speaks, written down as Rust types.
//!
//! Names and field numbers are those of HBase branch-2.6 (`RPC`, `Client`, `HBase`, `Master`, `Registry`, `ZooKeeper`);
//! they are the same from 1.x to 4.0-alpha where both have a field. Fields that this crate never uses are left out:
//! protobuf skips them.

mod admin;
mod cluster_status;
mod connection;
mod data;
mod filter;
mod master;
mod noun;
mod registry;
mod schema;
mod security;
mod snapshot;

pub use self::admin::*;
pub use self::cluster_status::*;
pub use self::connection::*;
pub use self::data::*;
pub use self::filter::*;
pub use self::master::*;
pub use self::noun::*;
pub use self::registry::*;
pub use self::schema::*;
pub use self::security::*;
pub use self::snapshot::*;
