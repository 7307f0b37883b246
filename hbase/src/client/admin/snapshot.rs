//! Snapshots: a table's files as they are now, kept under a name.

use super::{Admin, is_unknown_method};
use crate::error::Error;
use crate::table_name::TableName;
use crate::wire::message::{
    Empty, GetCompletedSnapshotsResponse, IsDoneResponse, ProcedureResponse, SnapshotDescription, SnapshotRequest,
    SnapshotResponse,
};

/// `SnapshotDescription.Type.FLUSH`: what is in memory is written to files first.
const FLUSH: i32 = 1;

/// A snapshot that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Name.
    pub name: String,
    /// The table that it was taken of.
    pub table: TableName,
    /// When it was taken, ms since 1970.
    pub created_ms: i64,
}

impl Admin {
    /// Takes a snapshot of a table, in service or not; returns when it is complete.
    ///
    /// # Errors
    /// [`Error`]; a name that is taken is [`Error::Refused`] with `SnapshotExistsException`.
    pub async fn snapshot(&self, name: &str, table: &TableName) -> Result<(), Error> {
        let request = request(name, Some(table));
        self.call::<SnapshotResponse>(("Snapshot", "SnapshotResponse"), &request).await?;
        let deadline = self.deadline();
        loop {
            let answer: IsDoneResponse = self.call(("IsSnapshotDone", "IsSnapshotDoneResponse"), &request).await?;
            if answer.done == Some(true) {
                return Ok(());
            }
            self.look_again(deadline).await?;
        }
    }

    /// All complete snapshots, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        let call = ("GetCompletedSnapshots", "GetCompletedSnapshotsResponse");
        let answer: GetCompletedSnapshotsResponse = self.call(call, &Empty {}).await?;
        let snapshot = |found: SnapshotDescription| Snapshot {
            name: found.name,
            table: TableName::new(&found.table.unwrap_or_default()),
            created_ms: found.creation_time.unwrap_or(0),
        };
        let mut found: Vec<Snapshot> = answer.snapshots.into_iter().map(snapshot).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Drops a snapshot.
    ///
    /// # Errors
    /// [`Error`]; one that is not there is [`Error::Refused`] with `SnapshotDoesNotExistException`.
    pub async fn delete_snapshot(&self, name: &str) -> Result<(), Error> {
        self.call::<Empty>(("DeleteSnapshot", "DeleteSnapshotResponse"), &request(name, None)).await.map(|_| ())
    }

    /// Makes a new table of a snapshot, in service; returns when it is there.
    ///
    /// # Errors
    /// [`Error`]; a table that is there and in service is [`Error::Refused`].
    pub async fn clone_snapshot(&self, name: &str, table: &TableName) -> Result<(), Error> {
        self.restore(name, table).await
    }

    /// Sets a disabled table back to a snapshot of it; it stays disabled. What was written since is lost: take a
    /// snapshot before.
    ///
    /// # Errors
    /// [`Error`]; a table that is in service is [`Error::Refused`].
    pub async fn restore_snapshot(&self, name: &str, table: &TableName) -> Result<(), Error> {
        self.restore(name, table).await
    }

    /// For the server both are one call: the table is there, or it is made.
    async fn restore(&self, name: &str, table: &TableName) -> Result<(), Error> {
        let request = request(name, Some(table));
        let answer: ProcedureResponse = self.call(("RestoreSnapshot", "RestoreSnapshotResponse"), &request).await?;
        if answer.proc_id.is_some() {
            return self.finish(answer).await;
        }
        // 1.x: no procedure, another question.
        let deadline = self.deadline();
        loop {
            let call = ("IsRestoreSnapshotDone", "IsRestoreSnapshotDoneResponse");
            match self.call::<IsDoneResponse>(call, &request).await {
                Ok(answer) if answer.done == Some(true) => return Ok(()),
                Ok(_) => {}
                Err(Error::Refused(exception)) if is_unknown_method(&exception) => return Ok(()),
                Err(error) => return Err(error),
            }
            self.look_again(deadline).await?;
        }
    }
}

fn request(name: &str, table: Option<&TableName>) -> SnapshotRequest {
    SnapshotRequest {
        snapshot: SnapshotDescription {
            name: name.to_owned(),
            table: table.map(|table| table.as_str().to_owned()),
            kind: Some(FLUSH),
            ..SnapshotDescription::default()
        },
    }
}
