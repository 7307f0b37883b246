//! Messages of connections and frames (`RPC.proto`).

use prost::Message;

/// Who the client says it is.
#[derive(Clone, PartialEq, Message)]
pub struct UserInformation {
    /// User whose rights apply.
    #[prost(string, required, tag = "1")]
    pub effective_user: String,
    /// User that authenticated, when it differs.
    #[prost(string, optional, tag = "2")]
    pub real_user: Option<String>,
}

/// Client version: servers unlock behaviour by it.
#[derive(Clone, PartialEq, Message)]
pub struct VersionInfo {
    /// Version text.
    #[prost(string, required, tag = "1")]
    pub version: String,
    /// Source address.
    #[prost(string, required, tag = "2")]
    pub url: String,
    /// Source revision.
    #[prost(string, required, tag = "3")]
    pub revision: String,
    /// Who built it.
    #[prost(string, required, tag = "4")]
    pub user: String,
    /// When it was built.
    #[prost(string, required, tag = "5")]
    pub date: String,
    /// Checksum of the sources.
    #[prost(string, required, tag = "6")]
    pub src_checksum: String,
    /// Major version.
    #[prost(uint32, optional, tag = "7")]
    pub version_major: Option<u32>,
    /// Minor version.
    #[prost(uint32, optional, tag = "8")]
    pub version_minor: Option<u32>,
}

/// First message of a connection.
#[derive(Clone, PartialEq, Message)]
pub struct ConnectionHeader {
    /// The user.
    #[prost(message, optional, tag = "1")]
    pub user_info: Option<UserInformation>,
    /// Short name of the service: `ClientService`, `MasterService`, `AdminService`, `ClientMetaService`.
    #[prost(string, optional, tag = "2")]
    pub service_name: Option<String>,
    /// Java class of the cell codec.
    #[prost(string, optional, tag = "3")]
    pub cell_block_codec_class: Option<String>,
    /// Java class of the cell-block compressor.
    #[prost(string, optional, tag = "4")]
    pub cell_block_compressor_class: Option<String>,
    /// Client version.
    #[prost(message, optional, tag = "5")]
    pub version_info: Option<VersionInfo>,
}

/// Length of the cell block behind a message.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct CellBlockMeta {
    /// Bytes.
    #[prost(uint32, optional, tag = "1")]
    pub length: Option<u32>,
}

/// Head of a request.
#[derive(Clone, PartialEq, Message)]
pub struct RequestHeader {
    /// Pairs request and answer.
    #[prost(uint32, optional, tag = "1")]
    pub call_id: Option<u32>,
    /// Method of the service.
    #[prost(string, optional, tag = "3")]
    pub method_name: Option<String>,
    /// Whether a message follows; servers refuse a request without one.
    #[prost(bool, optional, tag = "4")]
    pub request_param: Option<bool>,
    /// Cell block behind the message.
    #[prost(message, optional, tag = "5")]
    pub cell_block_meta: Option<CellBlockMeta>,
    /// Queue priority.
    #[prost(uint32, optional, tag = "6")]
    pub priority: Option<u32>,
    /// Milliseconds after which the server may drop the call.
    #[prost(uint32, optional, tag = "7")]
    pub timeout: Option<u32>,
}

/// A failed call.
#[derive(Clone, PartialEq, Message)]
pub struct ExceptionResponse {
    /// Java class.
    #[prost(string, optional, tag = "1")]
    pub exception_class_name: Option<String>,
    /// Message and stack.
    #[prost(string, optional, tag = "2")]
    pub stack_trace: Option<String>,
    /// Where the region went (`RegionMovedException`).
    #[prost(string, optional, tag = "3")]
    pub hostname: Option<String>,
    /// Port of `hostname`.
    #[prost(int32, optional, tag = "4")]
    pub port: Option<i32>,
    /// Whether trying again is useless.
    #[prost(bool, optional, tag = "5")]
    pub do_not_retry: Option<bool>,
    /// Whether the server says it is overloaded (2.5+).
    #[prost(bool, optional, tag = "6")]
    pub server_overloaded: Option<bool>,
}

/// Head of an answer.
#[derive(Clone, PartialEq, Message)]
pub struct ResponseHeader {
    /// The request's id; `u32::MAX` for a fatal answer to the connection itself.
    #[prost(uint32, optional, tag = "1")]
    pub call_id: Option<u32>,
    /// Set if the call failed; no message follows then.
    #[prost(message, optional, tag = "2")]
    pub exception: Option<ExceptionResponse>,
    /// Cell block behind the message.
    #[prost(message, optional, tag = "3")]
    pub cell_block_meta: Option<CellBlockMeta>,
}
