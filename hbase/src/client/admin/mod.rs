//! What an operator asks of a cluster, through its active master and its region servers.
//!
//! # Laws
//! 1. A call returns when what it asks for is done, not when it is accepted, or it says that the time is over
//!    ([`super::ClientConfig::operation_timeout`]); what was accepted goes on then.
//! 2. A table's calls that start procedures carry nonces: sent twice they are one procedure (2.x; 1.1 and later).
//! 3. Where a method is not of the server's line, the older one is taken.

mod cluster;
mod descriptor;
mod namespace;
mod region;
mod snapshot;
mod table;

use std::time::Duration;

use prost::Message;

use super::Client;
use super::attempt::Attempts;
use crate::error::Error;
use crate::exception::Exception;
use crate::rpc::connection::CallError;
use crate::rpc::pool::Service;
use crate::table_name::TableName;
use crate::wire::message::{GetProcedureResultRequest, GetProcedureResultResponse, ProcedureResponse};

pub use self::cluster::{ClusterStatus, RegionLoad, ServerLoad, Switch};
pub use self::descriptor::{Family, TableDescriptor};
#[cfg(feature = "server")]
pub(crate) use self::descriptor::{descriptor_of, family_of, schema_of};
pub use self::namespace::Namespace;
pub use self::region::CompactionState;
pub use self::snapshot::Snapshot;
pub use self::table::RegionsAfter;

/// Pause between two looks at a procedure or at a table's regions.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// `GetProcedureResultResponse.State`.
const PROCEDURE_RUNNING: i32 = 1;

/// An operator's calls to one cluster.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Calls the active master, again while it is moving or starting.
    async fn call<A: Message + Default>(&self, call: (&str, &'static str), request: &impl Message) -> Result<A, Error> {
        let inner = self.client.inner();
        let mut attempts = Attempts::new(&inner.config);
        loop {
            let timeout = attempts.call_timeout();
            let tried = async {
                let master = inner.directory.active_master(timeout).await?;
                let connection = inner.pool.get(&master, Service::Master).await?;
                Ok(connection.call(call, request, timeout).await?.0)
            };
            match tried.await {
                Ok(answer) => return Ok(answer),
                Err(Error::Call(CallError::Exception(exception))) if is_unknown_method(&exception) => {
                    return Err(Error::Refused(exception));
                }
                Err(error) => attempts.failed(error).await?,
            }
        }
    }

    /// Waits for a procedure.
    async fn finish(&self, procedure: ProcedureResponse) -> Result<(), Error> {
        let Some(proc_id) = procedure.proc_id else { return Ok(()) };
        let request = GetProcedureResultRequest { proc_id };
        let deadline = self.deadline();
        loop {
            let call = ("getProcedureResult", "GetProcedureResultResponse");
            let answer: GetProcedureResultResponse = self.call(call, &request).await?;
            if let Some(generic) = answer.exception.and_then(|exception| exception.generic_exception) {
                return Err(Error::Refused(Exception {
                    class: generic.class_name.unwrap_or_default(),
                    message: generic.message.unwrap_or_default(),
                    moved_to: None,
                    do_not_retry: true,
                }));
            }
            if answer.state != PROCEDURE_RUNNING {
                return Ok(());
            }
            self.look_again(deadline).await?;
        }
    }

    async fn await_regions(&self, table: &TableName, wanted: Online) -> Result<(), Error> {
        let deadline = self.deadline();
        loop {
            let (online, offline) = self.client.inner().locator.count(table).await?;
            if online == wanted.0 && offline == 0 {
                return Ok(());
            }
            self.look_again(deadline).await?;
        }
    }

    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.client.inner().config.operation_timeout
    }

    async fn look_again(&self, deadline: tokio::time::Instant) -> Result<(), Error> {
        if tokio::time::Instant::now() >= deadline {
            let elapsed = self.client.inner().config.operation_timeout;
            return Err(Error::TimedOut { elapsed, tries: 1, last: None });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        Ok(())
    }
}

/// Number of open regions that a table is to have.
#[derive(Clone, Copy, Debug)]
struct Online(usize);

/// The method is of a newer or older line than the server's.
fn is_unknown_method(exception: &Exception) -> bool {
    exception.is("exceptions.UnknownProtocolException")
        || exception.class.ends_with("UnsupportedOperationException")
        || exception.message.contains("UnsupportedOperationException")
}
