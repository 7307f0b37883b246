//! Where things are: registry, meta, regions.

pub(crate) mod locator;
pub(crate) mod lookup;
pub mod meta;
pub mod region_cache;
