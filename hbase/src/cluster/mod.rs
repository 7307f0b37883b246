//! Where things are: registry, meta, regions.

pub(crate) mod catalog;
pub(crate) mod directory;
mod endpoints;
mod flights;
mod gate;
pub(crate) mod locator;
pub mod meta;
pub mod region_cache;
pub mod table;
pub(crate) mod zookeeper;
