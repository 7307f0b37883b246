//! Worlds that the tests run in.

pub(crate) mod stack;
pub(crate) mod stories;
