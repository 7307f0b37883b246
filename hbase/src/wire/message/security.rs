//! Messages of authentication: answers to the questions before a preamble, and delegation tokens
//! (`Registry.proto`, `RPC.proto`, `Authentication.proto`, coprocessor calls of `Client.proto`).

use bytes::Bytes;
use prost::Message;

use super::{NameBytesPair, RegionSpecifier};

/// Answer to the preamble `Regist` (2.6+).
#[derive(Clone, PartialEq, Message)]
pub struct GetConnectionRegistryResponse {
    /// The cluster's id.
    #[prost(string, optional, tag = "1")]
    pub cluster_id: Option<String>,
}

/// Answer to the preamble `Securi` (2.6+). The name is HBase's own spelling.
#[derive(Clone, PartialEq, Message)]
pub struct SecurityPreamableResponse {
    /// The server's Kerberos principal.
    #[prost(string, required, tag = "1")]
    pub server_principal: String,
}

/// A call of a coprocessor's service.
#[derive(Clone, PartialEq, Message)]
pub struct CoprocessorServiceCall {
    /// Row whose region runs it; empty if the region is named.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub row: Bytes,
    /// Service; those of HBase without their package.
    #[prost(string, required, tag = "2")]
    pub service_name: String,
    /// Method.
    #[prost(string, required, tag = "3")]
    pub method_name: String,
    /// The method's message.
    #[prost(bytes = "bytes", required, tag = "4")]
    pub request: Bytes,
}

/// `ExecService`: a call of a coprocessor's service in a region.
#[derive(Clone, PartialEq, Message)]
pub struct CoprocessorServiceRequest {
    /// The region.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// The call.
    #[prost(message, required, tag = "2")]
    pub call: CoprocessorServiceCall,
}

/// Answer to `ExecService`.
#[derive(Clone, PartialEq, Message)]
pub struct CoprocessorServiceResponse {
    /// The region that ran it.
    #[prost(message, required, tag = "1")]
    pub region: RegionSpecifier,
    /// The method's answer as bytes, with its type's name.
    #[prost(message, required, tag = "2")]
    pub value: NameBytesPair,
}

/// A delegation token. `Debug` is not derived by hand here: keep it out of logs, and turn it into
/// [`Token`](crate::security::Token) at once.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct TokenMessage {
    /// User, times, number.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub identifier: Option<Bytes>,
    /// The secret.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub password: Option<Bytes>,
    /// The cluster's id.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub service: Option<Bytes>,
}

impl std::fmt::Debug for TokenMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMessage").finish_non_exhaustive()
    }
}

/// Answer to `GetAuthenticationToken`.
#[derive(Clone, PartialEq, Message)]
pub struct GetAuthenticationTokenResponse {
    /// The token.
    #[prost(message, optional, tag = "1")]
    pub token: Option<TokenMessage>,
}
