//! Messages of the master about snapshots and namespaces (`Snapshot.proto`, `Master.proto`).

use bytes::Bytes;
use prost::Message;

use super::NameStringPair;

/// A snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotDescription {
    /// Name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Table.
    #[prost(string, optional, tag = "2")]
    pub table: Option<String>,
    /// When it was taken, ms.
    #[prost(int64, optional, tag = "3")]
    pub creation_time: Option<i64>,
    /// 0 of a disabled table, 1 flushed before, 2 not flushed before.
    #[prost(int32, optional, tag = "4")]
    pub kind: Option<i32>,
    /// Version of its layout.
    #[prost(int32, optional, tag = "5")]
    pub version: Option<i32>,
    /// Who took it.
    #[prost(string, optional, tag = "6")]
    pub owner: Option<String>,
}

/// Request of `Snapshot`, `IsSnapshotDone`, `DeleteSnapshot`, `RestoreSnapshot` and `IsRestoreSnapshotDone`.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotRequest {
    /// The snapshot; of one to restore or clone `table` is the target.
    #[prost(message, required, tag = "1")]
    pub snapshot: SnapshotDescription,
}

/// Answer of `Snapshot`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SnapshotResponse {
    /// How long it may take, ms.
    #[prost(int64, required, tag = "1")]
    pub expected_timeout: i64,
}

/// Answer of `IsSnapshotDone` and `IsRestoreSnapshotDone`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct IsDoneResponse {
    /// Whether it is.
    #[prost(bool, optional, tag = "1")]
    pub done: Option<bool>,
}

/// Answer of `GetCompletedSnapshots`.
#[derive(Clone, PartialEq, Message)]
pub struct GetCompletedSnapshotsResponse {
    /// The snapshots.
    #[prost(message, repeated, tag = "1")]
    pub snapshots: Vec<SnapshotDescription>,
}

/// Request of `ExecProcedure` and `IsProcedureDone`.
#[derive(Clone, PartialEq, Message)]
pub struct ProcedureRequest {
    /// The procedure.
    #[prost(message, optional, tag = "1")]
    pub procedure: Option<ProcedureDescription>,
}

/// A procedure that masters hand to all region servers (`flush-table-proc`).
#[derive(Clone, PartialEq, Message)]
pub struct ProcedureDescription {
    /// Its kind.
    #[prost(string, required, tag = "1")]
    pub signature: String,
    /// What it is for: a table.
    #[prost(string, optional, tag = "2")]
    pub instance: Option<String>,
}

/// A namespace.
#[derive(Clone, PartialEq, Message)]
pub struct NamespaceMessage {
    /// Name.
    #[prost(bytes = "bytes", required, tag = "1")]
    pub name: Bytes,
    /// Configuration.
    #[prost(message, repeated, tag = "2")]
    pub configuration: Vec<NameStringPair>,
}

/// Request of `CreateNamespace`; answer of `GetNamespaceDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct NamespaceHolder {
    /// The namespace.
    #[prost(message, required, tag = "1")]
    pub namespace_descriptor: NamespaceMessage,
}

/// Request of `DeleteNamespace` and `GetNamespaceDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct NamespaceNameRequest {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub namespace_name: String,
}

/// Answer of `ListNamespaceDescriptors`.
#[derive(Clone, PartialEq, Message)]
pub struct ListNamespaceDescriptorsResponse {
    /// The namespaces.
    #[prost(message, repeated, tag = "1")]
    pub namespace_descriptor: Vec<NamespaceMessage>,
}
