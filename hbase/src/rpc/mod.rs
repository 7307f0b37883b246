//! Calls over sockets.

pub(crate) mod calls;
pub mod connection;
pub(crate) mod dial;
pub(crate) mod pool;
