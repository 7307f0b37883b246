//! Connections by server and service: one each, made on demand, made anew after a failure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, ConnectionError};
use super::dial::Dialer;

/// A server that could not be reached is not tried again for this long (`hbase.ipc.client.failed.servers.expiry`).
const FAILED_FOR: Duration = Duration::from_secs(2);

/// Services of HBase's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    /// Reads and writes.
    Client,
    /// Tables.
    Master,
    /// Regions of one server.
    Admin,
    /// Where things are.
    Registry,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "ClientService",
            Self::Master => "MasterService",
            Self::Admin => "AdminService",
            Self::Registry => "ClientMetaService",
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    open: Option<Connection>,
    failed_at: Option<Instant>,
}

type Slots = HashMap<(String, Service), Arc<tokio::sync::Mutex<Slot>>>;

/// The connections of one client.
#[derive(Debug)]
pub(crate) struct Pool {
    dialer: Dialer,
    slots: Mutex<Slots>,
}

impl Pool {
    pub(crate) fn new(dialer: Dialer) -> Self {
        Self { dialer, slots: Mutex::default() }
    }

    /// The connection to a service of `host:port`. Callers that come at once share one attempt.
    pub(crate) async fn get(&self, address: &str, service: Service) -> Result<Connection, ConnectionError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((address.to_owned(), service)).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(open) = slot.open.as_ref().filter(|open| !open.is_failed()) {
            return Ok(open.clone());
        }
        slot.open = None;
        if slot.failed_at.is_some_and(|at| at.elapsed() < FAILED_FOR) {
            return Err(ConnectionError::FailedRecently { address: address.to_owned() });
        }
        match Connection::open(&self.dialer, address, service.name()).await {
            Ok(open) => {
                *slot = Slot { open: Some(open.clone()), failed_at: None };
                Ok(open)
            }
            Err(error) => {
                slot.failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }
}
