//! Java exceptions: what a server says when it refuses, and what a client does about it.
//!
//! Inside a Multi only the class name and a text arrive, without the class hierarchy, so the classes that must not be
//! tried again are listed here (descendants of `DoNotRetryIOException`, HBase 1.x to 4.0-alpha). A class that is not
//! known is tried again, a bounded number of times: that is Java's rule too.

use std::time::Duration;

use crate::exception_text::{first_line, moved_to, wait_of};
use crate::wire::message::{ExceptionResponse, NameBytesPair};

/// A refusal by a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct Exception {
    /// Java class.
    pub class: String,
    /// First line of its text.
    pub message: String,
    /// Where the region went, if the server said so.
    pub moved_to: Option<(String, u16)>,
    /// Whether the server said that trying again is useless.
    pub do_not_retry: bool,
}

/// What a client does after a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The region is elsewhere: look it up again, or go where the server says.
    Relocate {
        /// Host and port of the server that has the region now.
        hint: Option<(String, u16)>,
    },
    /// The place is right, but not now: pause and try again there.
    Backoff,
    /// The server is overloaded: pause longer and try again there.
    BackoffLong,
    /// The server named the time to wait.
    Wait(Duration),
    /// Only a part was done: send the rest at once.
    RetryNow,
    /// The server is going away: its regions will be elsewhere.
    ServerGone,
    /// The scanner is lost: open a new one where this one was.
    ResetScanner,
    /// Trying again is useless.
    GiveUp,
}

const PREFIX: &str = "org.apache.hadoop.hbase.";

/// Descendants of `DoNotRetryIOException` beside those that [`reaction`] names for another reason; `PREFIX` left out.
const FINAL: &[&str] = &[
    "ConcurrentTableModificationException",
    "DoNotRetryIOException",
    "InvalidFamilyOperationException",
    "NamespaceExistException",
    "NamespaceNotFoundException",
    "NotAllMetaRegionsOnlineException",
    "ReadOnlyTransitionException",
    "ReplicationPeerNotFoundException",
    "TableExistsException",
    "TableNotDisabledException",
    "TableNotEnabledException",
    "TableNotFoundException",
    "UnknownRegionException",
    "WriteAttemptedOnReadOnlyClusterException",
    "client.ConnectionImplementation$LocalConnectionClosedException",
    "client.DoNotRetryRegionException",
    "client.NoServerForRegionException",
    "client.OperationTimeoutExceededException",
    "client.RowTooBigException",
    "constraint.ConstraintException",
    "coprocessor.CoprocessorException",
    "exceptions.FailedSanityCheckException",
    "exceptions.MasterStoppedException",
    "exceptions.MergeRegionException",
    "exceptions.RequestTooBigException",
    "exceptions.UnknownProtocolException",
    "io.hfile.CorruptHFileException",
    "ipc.BadAuthException",
    "ipc.EmptyServiceNameException",
    "ipc.FatalConnectionException",
    "ipc.ServerTooBusyException",
    "ipc.StoppedRpcClientException",
    "ipc.UnknownServiceException",
    "ipc.UnsupportedCellCodecException",
    "ipc.UnsupportedCompressionCodecException",
    "ipc.UnsupportedCryptoException",
    "ipc.WrongVersionException",
    "quotas.QuotaExceededException",
    "quotas.SpaceLimitingException",
    "quotas.ThrottlingException",
    "regionserver.InvalidMutationDurabilityException",
    "regionserver.NoSuchColumnFamilyException",
    "security.AccessDeniedException",
    "security.visibility.InvalidLabelException",
    "security.visibility.LabelAlreadyExistsException",
    "snapshot.CorruptedSnapshotException",
    "snapshot.ExportSnapshotException",
    "snapshot.HBaseSnapshotException",
    "snapshot.RestoreSnapshotException",
    "snapshot.SnapshotCreationException",
    "snapshot.SnapshotDoesNotExistException",
    "snapshot.SnapshotExistsException",
    "snapshot.SnapshotTTLExpiredException",
    "snapshot.UnknownSnapshotException",
];

impl Exception {
    /// A refusal of a whole call.
    #[must_use]
    pub fn of_call(response: ExceptionResponse) -> Self {
        let class = response.exception_class_name.unwrap_or_default();
        let text = response.stack_trace.unwrap_or_default();
        let port = response.port.and_then(|port| u16::try_from(port).ok());
        let moved_to = response.hostname.zip(port).or_else(|| moved_to(&text));
        Self { message: first_line(&text, &class), class, moved_to, do_not_retry: response.do_not_retry == Some(true) }
    }

    /// A refusal of one region or one action inside a Multi.
    #[must_use]
    pub fn of_result(pair: &NameBytesPair) -> Self {
        let text = String::from_utf8_lossy(pair.value.as_deref().unwrap_or_default());
        Self {
            class: pair.name.clone(),
            message: first_line(&text, &pair.name),
            moved_to: moved_to(&text),
            do_not_retry: false,
        }
    }

    /// The class without its package.
    #[must_use]
    pub fn simple_class(&self) -> &str {
        self.class.rsplit(['.', '$']).next().unwrap_or(&self.class)
    }

    /// Whether this is HBase's class of that name (package below `org.apache.hadoop.hbase.`).
    #[must_use]
    pub fn is(&self, class: &str) -> bool {
        self.class.strip_prefix(PREFIX) == Some(class)
    }

    /// What to do about it. The only place that decides it.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        let class = self.class.strip_prefix(PREFIX).unwrap_or(&self.class);
        match class {
            "NotServingRegionException" => Reaction::Relocate { hint: None },
            "exceptions.RegionMovedException" => Reaction::Relocate { hint: self.moved_to.clone() },
            // The location is right, the region is not open there yet.
            "exceptions.RegionOpeningException" | "RegionTooBusyException" | "PleaseHoldException" => Reaction::Backoff,
            "CallQueueTooBigException" | "CallDroppedException" => Reaction::BackoffLong,
            "quotas.RpcThrottlingException" => wait_of(&self.message).map_or(Reaction::BackoffLong, Reaction::Wait),
            "RetryImmediatelyException" | "MultiActionResultTooLarge" => Reaction::RetryNow,
            "regionserver.RegionServerStoppedException"
            | "regionserver.RegionServerAbortedException"
            | "ipc.ServerNotRunningYetException" => Reaction::ServerGone,
            "UnknownScannerException"
            | "exceptions.OutOfOrderScannerNextException"
            | "exceptions.ScannerResetException"
            | "regionserver.LeaseException" => Reaction::ResetScanner,
            // A method that the server does not have, or that the state of a table forbids: no later try changes that.
            // Masters wrap it (`RpcServer.call`).
            "java.lang.UnsupportedOperationException" => Reaction::GiveUp,
            "java.io.IOException" if self.message.starts_with("java.lang.UnsupportedOperationException") => {
                Reaction::GiveUp
            }
            _ if self.do_not_retry || FINAL.contains(&class) => Reaction::GiveUp,
            _ => Reaction::Backoff,
        }
    }

    /// What the operator can do about a refusal, to stand behind the sentence that tells of it; empty if only the
    /// server's own words can say.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.class.strip_prefix(PREFIX).unwrap_or(&self.class) {
            "regionserver.NoSuchColumnFamilyException" => "; add the family to the table or name one that it has",
            "TableNotFoundException" => "; create the table or correct its name",
            "TableNotEnabledException" => "; enable the table",
            "TableNotDisabledException" => "; disable the table first",
            "TableExistsException" => "; drop the table first or use another name",
            "NamespaceNotFoundException" => "; create the namespace or correct its name",
            "NamespaceExistException" => "; the namespace is there already",
            "client.RowTooBigException" => "; read fewer columns at a time",
            "exceptions.RequestTooBigException" => "; send less in one request",
            "quotas.SpaceLimitingException" | "quotas.QuotaExceededException" => "; the quota is used up",
            "security.AccessDeniedException" => "; grant the user the right it lacks",
            _ => "",
        }
    }

    /// Whether one bad row can make the server refuse all rows that came with it in one region action: the size check
    /// and the space quota run while the action is unpacked, and their exception is copied onto every mutation of it
    /// (`RSRpcServices.doBatchOp`, 2.4+).
    #[must_use]
    pub fn may_be_copied_from_a_neighbour(&self) -> bool {
        ["DoNotRetryIOException", "exceptions.FailedSanityCheckException", "client.RowTooBigException"]
            .iter()
            .any(|class| self.is(class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(class: &str, text: &str) -> Exception {
        let pair = NameBytesPair { name: format!("{PREFIX}{class}"), value: Some(text.to_owned().into()) };
        Exception::of_result(&pair)
    }

    #[test]
    fn every_class_has_its_reaction() {
        let cases = [
            ("NotServingRegionException", Reaction::Relocate { hint: None }),
            ("exceptions.RegionOpeningException", Reaction::Backoff),
            ("RegionTooBusyException", Reaction::Backoff),
            ("CallQueueTooBigException", Reaction::BackoffLong),
            ("RetryImmediatelyException", Reaction::RetryNow),
            ("regionserver.RegionServerStoppedException", Reaction::ServerGone),
            ("UnknownScannerException", Reaction::ResetScanner),
            ("regionserver.NoSuchColumnFamilyException", Reaction::GiveUp),
            ("TableNotFoundException", Reaction::GiveUp),
            ("some.ClassOfTheFuture", Reaction::Backoff),
        ];
        for (class, reaction) in cases {
            assert_eq!(exception(class, "x").reaction(), reaction, "{class}");
        }
    }

    #[test]
    fn what_a_server_does_not_do_is_not_asked_for_again() {
        let wrapped = ExceptionResponse {
            exception_class_name: Some("java.io.IOException".to_owned()),
            stack_trace: Some(
                "java.io.IOException: java.lang.UnsupportedOperationException: Table 't' must be disabled in order to \
                 perform a restore operation.\n\tat x"
                    .to_owned(),
            ),
            ..ExceptionResponse::default()
        };
        assert_eq!(Exception::of_call(wrapped).reaction(), Reaction::GiveUp);
        let other = ExceptionResponse {
            exception_class_name: Some("java.io.IOException".to_owned()),
            stack_trace: Some("java.io.IOException: disk\n\tat x".to_owned()),
            ..ExceptionResponse::default()
        };
        assert_eq!(Exception::of_call(other).reaction(), Reaction::Backoff);
    }

    #[test]
    fn a_moved_region_says_where_it_went() {
        let text = "org.apache.hadoop.hbase.exceptions.RegionMovedException: Region moved to: hostname=rs2.example \
                    port=16020 startCode=1690000000000. As of locationSeqNum=12.\n\tat x";
        let hint = Some(("rs2.example".to_owned(), 16020));
        assert_eq!(exception("exceptions.RegionMovedException", text).reaction(), Reaction::Relocate { hint });
    }

    #[test]
    fn a_throttled_call_waits_as_long_as_the_server_says() {
        let text = "number of requests exceeded - wait 1mins, 2sec, 300ms";
        let reaction = exception("quotas.RpcThrottlingException", text).reaction();
        assert_eq!(reaction, Reaction::Wait(Duration::from_millis(62_300)));
        assert_eq!(exception("quotas.RpcThrottlingException", "no time").reaction(), Reaction::BackoffLong);
    }

    #[test]
    fn the_message_is_the_first_line_without_the_class() {
        let text = "org.apache.hadoop.hbase.TableNotFoundException: message\n\tat org.apache.Some(Some.java:1)";
        assert_eq!(exception("TableNotFoundException", text).message, "message");
    }
}
