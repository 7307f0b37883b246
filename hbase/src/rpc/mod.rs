//! Calls over sockets.

pub(crate) mod calls;
pub mod connection;
pub(crate) mod dial;
#[cfg(feature = "gssapi")]
mod gssapi;
pub(crate) mod pool;
mod question;
mod sasl;
mod sealed;
#[cfg(feature = "tls")]
mod tls;
