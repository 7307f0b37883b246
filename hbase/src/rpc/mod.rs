//! Calls over sockets.

pub(crate) mod calls;
pub(crate) mod codec;
pub mod connection;
pub(crate) mod dial;
mod error;
#[cfg(feature = "gssapi")]
mod gssapi;
pub(crate) mod liveness;
pub(crate) mod pool;
mod question;
mod sasl;
mod sealed;
pub(crate) mod socket;
#[cfg(feature = "tls")]
mod tls;
pub(crate) mod write;
