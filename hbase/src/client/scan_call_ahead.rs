//! A call of a scan under way, and the server's scanner that it is for.
//!
//! The call runs by itself, so a consumer that is busy, or whose future was dropped, finds the answer when it comes
//! back. While the answer waits the scanner's lease is renewed at half its time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::scan_call::{self, RowPart};
use crate::cluster::meta::Region;
use crate::rpc::connection::{CallError, Connection, ConnectionError};
use crate::wire::message::{ScanRequest, ScanResponse};

/// The lease where a server names none (`hbase.client.scanner.timeout.period`).
const LEASE: Duration = Duration::from_secs(60);

/// A scanner of a server.
#[derive(Debug)]
pub(super) struct Open {
    connection: Connection,
    pub(super) region: Arc<Region>,
    pub(super) id: u64,
    next_call_seq: u64,
    is_lost: bool,
}

impl Open {
    pub(super) fn new(connection: Connection, region: Arc<Region>) -> Self {
        Self { connection, region, id: 0, next_call_seq: 0, is_lost: false }
    }

    /// The number of the next call; renewing takes one too.
    pub(super) fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_call_seq;
        self.next_call_seq += 1;
        sequence
    }

    /// The scanner, unless a renewal has found it gone.
    pub(super) fn if_not_lost(self) -> Option<Self> {
        (!self.is_lost).then_some(self)
    }

    /// Renews the lease.
    pub(super) async fn renew(&mut self, timeout: Duration) -> Result<(), CallError> {
        let request = renewal(self.id, self.take_sequence());
        scan_call::scan(&self.connection, &request, timeout).await.map(|_| ())
    }

    /// Closes the scanner that is open and the one that a call under way leaves open. Nobody is told of a failure: the
    /// lease ends what stays.
    pub(super) async fn close_all(open: Option<Self>, ahead: Option<Ahead>, timeout: Duration) {
        let mut open = open;
        if let Some(mut ahead) = ahead
            && let Ok((answer, _)) = ahead.answer().await
            && goes_on(&answer)
        {
            open = Some(ahead.open);
        }
        if let Some(open) = open {
            let request =
                ScanRequest { scanner_id: Some(open.id), close_scanner: Some(true), ..ScanRequest::default() };
            let _ = scan_call::scan(&open.connection, &request, timeout).await;
        }
    }
}

fn renewal(id: u64, sequence: u64) -> ScanRequest {
    ScanRequest {
        scanner_id: Some(id),
        number_of_rows: Some(0),
        next_call_seq: Some(sequence),
        renew: Some(true),
        ..ScanRequest::default()
    }
}

/// Whether the server keeps the scanner.
fn goes_on(answer: &ScanResponse) -> bool {
    answer.more_results != Some(false)
        && (answer.more_results_in_region == Some(true) || answer.heartbeat_message == Some(true))
}

type Answered = Result<(ScanResponse, Vec<RowPart>), CallError>;

/// A call under way.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) open: Open,
    /// Tells the task that the answer is wanted now.
    wanted: Option<oneshot::Sender<()>>,
    task: JoinHandle<(Answered, Renewals)>,
}

/// What became of the lease while the answer waited.
#[derive(Clone, Copy, Debug, Default)]
struct Renewals {
    calls: u64,
    is_lost: bool,
}

impl Ahead {
    /// Starts a call.
    pub(super) fn call(open: Open, request: ScanRequest, timeout: Duration) -> Self {
        let (wanted, mut is_wanted) = oneshot::channel();
        let (connection, sequence) = (open.connection.clone(), open.next_call_seq);
        let task = tokio::spawn(async move {
            let answered = scan_call::scan(&connection, &request, timeout).await;
            let mut renewals = Renewals::default();
            if let Ok((answer, _)) = &answered
                && goes_on(answer)
                && let Some(id) = answer.scanner_id.or(request.scanner_id)
            {
                let lease = answer.ttl.map_or(LEASE, |ms| Duration::from_millis(u64::from(ms)));
                while !renewals.is_lost && tokio::time::timeout(lease / 2, &mut is_wanted).await.is_err() {
                    let renewal = renewal(id, sequence + renewals.calls);
                    renewals.calls += 1;
                    renewals.is_lost = scan_call::scan(&connection, &renewal, timeout).await.is_err();
                }
            }
            (answered, renewals)
        });
        Self { open, wanted: Some(wanted), task }
    }

    /// Waits for the answer. Cancel safe; must not be called again once it has answered.
    pub(super) async fn answer(&mut self) -> Answered {
        if let Some(wanted) = self.wanted.take() {
            // The task may have ended already, because the scanner is lost.
            let _ = wanted.send(());
        }
        // The task does not panic; it is only ended early with its runtime.
        let ended = |_| CallError::Connection(Arc::new(ConnectionError::Closed));
        let (answered, renewals) = (&mut self.task).await.map_err(ended)?;
        let answered = answered?;
        self.open.next_call_seq += renewals.calls;
        self.open.is_lost = renewals.is_lost;
        if let Some(id) = answered.0.scanner_id {
            self.open.id = id;
        }
        Ok(answered)
    }
}
