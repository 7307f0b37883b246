//! What a write asks of the server beside its cells.

/// When the server answers a write (`Durability` of the Java client).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// As the table says; `SYNC_WAL` unless configured otherwise.
    #[default]
    UseDefault,
    /// Not logged: lost if the region server fails before its next flush.
    SkipWal,
    /// Logged after the answer.
    AsyncWal,
    /// Logged before the answer.
    SyncWal,
    /// Logged and forced to disk before the answer.
    FsyncWal,
}
