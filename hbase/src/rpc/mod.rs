//! Calls over sockets.

pub(crate) mod calls;
pub(crate) mod codec;
pub mod connection;
pub(crate) mod dial;
pub(crate) mod liveness;
pub(crate) mod pool;
pub(crate) mod socket;
pub(crate) mod write;
