//! Worlds that the tests run in.

pub(crate) mod raw;
pub(crate) mod stack;
pub(crate) mod stories;
pub(crate) mod world;
