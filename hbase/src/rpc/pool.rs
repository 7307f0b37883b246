//! Connections by server and service: made on demand, made anew after a failure.
//!
//! # Laws
//! 1. Callers that come at once share one attempt to connect.
//! 2. A server that could not be reached is left alone for [`FAILED_FOR`] and a little more, by chance, so that clients
//!    that lost the same server do not come back at the same moment.
//! 3. A further connection to a server is made only while every open one has calls in flight, up to
//!    [`PoolConfig::connections_max`]. A caller gets the one with the fewest calls.
//! 4. Compression is asked for where cells go, and what a server refused is not asked for again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::codec::{self, AbsentCodec, Negotiation, Offer};
use super::connection::{Connection, ConnectionError, ConnectionState, Terms};
use super::dial::Dialer;
use super::liveness::Limits;
use crate::metrics;
use crate::repeated::{Repeated, Speak};
use crate::wire::compress::Compression;

/// A server that could not be reached is not tried again for this long (`hbase.ipc.client.failed.servers.expiry`).
const FAILED_FOR: Duration = Duration::from_secs(2);
/// At most so much longer.
const FAILED_FOR_SPREAD: Duration = Duration::from_millis(500);

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
    const ALL: [Self; 4] = [Self::Client, Self::Master, Self::Admin, Self::Registry];

    fn name(self) -> &'static str {
        match self {
            Self::Client => "ClientService",
            Self::Master => "MasterService",
            Self::Admin => "AdminService",
            Self::Registry => "ClientMetaService",
        }
    }

    /// Only here cells go as cell blocks in numbers worth compressing; masters may lack the codec.
    fn has_cells(self) -> bool {
        self == Self::Client
    }
}

/// What holds for all connections of a client.
#[derive(Clone, Debug)]
pub(crate) struct PoolConfig {
    pub(crate) cluster: Arc<str>,
    pub(crate) limits: Limits,
    /// To one service of one server.
    pub(crate) connections_max: usize,
    pub(crate) compression: Compression,
    pub(crate) absent: AbsentCodec,
}

#[derive(Debug)]
struct Slot {
    service: Service,
    state: Mutex<SlotState>,
    /// Held while a connection is made.
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct SlotState {
    open: Vec<Connection>,
    failed_until: Option<Instant>,
    negotiation: Negotiation,
}

/// What a slot has for a caller.
enum Found {
    /// A connection that is good enough.
    Connection(Connection),
    /// All are busy and there may be one more.
    Busy(Connection),
    Nothing,
}

type Slots = HashMap<String, [Arc<Slot>; 4]>;

/// The connections of one client.
#[derive(Debug)]
pub(crate) struct Pool {
    dialer: Dialer,
    config: PoolConfig,
    slots: Mutex<Slots>,
    repeated: Mutex<Repeated>,
    began: Instant,
}

impl Pool {
    pub(crate) fn new(dialer: Dialer, config: PoolConfig) -> Self {
        let began = Instant::now();
        Self { dialer, config, slots: Mutex::default(), repeated: Mutex::default(), began }
    }

    /// Name of the cluster in metrics.
    pub(crate) fn cluster(&self) -> &Arc<str> {
        &self.config.cluster
    }

    /// The connection to a service of `host:port`.
    ///
    /// Cancel safe: an attempt that is dropped half-way leaves nothing behind.
    pub(crate) async fn get(&self, address: &str, service: Service) -> Result<Connection, ConnectionError> {
        let slot = self.slot(address, service);
        match slot.find(address, &self.config)? {
            Found::Connection(open) => return Ok(open),
            Found::Busy(open) => {
                // One caller makes the further connection; the others go on with what there is.
                let Ok(_dialing) = slot.dialing.try_lock() else { return Ok(open) };
                return Ok(self.dial(address, &slot).await.unwrap_or(open));
            }
            Found::Nothing => {}
        }
        let _dialing = slot.dialing.lock().await;
        match slot.find(address, &self.config)? {
            Found::Connection(open) | Found::Busy(open) => Ok(open),
            Found::Nothing => self.dial(address, &slot).await,
        }
    }

    /// Every connection there is, for people.
    pub(crate) fn describe(&self) -> Vec<ConnectionState> {
        let slots: Vec<Arc<Slot>> = self.slots().values().flatten().cloned().collect();
        let mut states: Vec<ConnectionState> = slots
            .iter()
            .flat_map(|slot| {
                let open = slot.state().open.clone();
                open.into_iter().filter(|open| !open.is_failed()).map(|open| open.describe(slot.service.name()))
            })
            .collect();
        states.sort_by(|a, b| (&a.server, a.service).cmp(&(&b.server, b.service)));
        states
    }

    /// Whether a message about `who` and `why` is said now; `None` is no.
    pub(crate) fn may_say(&self, who: &str, why: &'static str) -> Option<u64> {
        let now = self.began.elapsed();
        let spoken = self.repeated.lock().unwrap_or_else(PoisonError::into_inner).say(who, why, now);
        match spoken {
            Speak::Now { suppressed } => Some(suppressed),
            Speak::No => None,
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, address: &str, service: Service) -> Arc<Slot> {
        let [client, master, admin, registry] = {
            let mut slots = self.slots();
            match slots.get(address) {
                Some(known) => known.clone(),
                None => slots.entry(address.to_owned()).or_insert_with(|| self.make_slots()).clone(),
            }
        };
        match service {
            Service::Client => client,
            Service::Master => master,
            Service::Admin => admin,
            Service::Registry => registry,
        }
    }

    fn make_slots(&self) -> [Arc<Slot>; 4] {
        Service::ALL.map(|service| {
            let wanted = if service.has_cells() { self.config.compression } else { Compression::None };
            let negotiation = Negotiation::new(wanted, self.config.absent);
            let state = SlotState { open: Vec::new(), failed_until: None, negotiation };
            Arc::new(Slot { service, state: Mutex::new(state), dialing: tokio::sync::Mutex::default() })
        })
    }

    async fn dial(&self, address: &str, slot: &Slot) -> Result<Connection, ConnectionError> {
        let (compression, compressor) = match slot.state().negotiation.offer() {
            Offer::Plain => (Compression::None, None),
            Offer::Codec(codec, class) => (codec, Some(class)),
            Offer::Exhausted => {
                let (address, codec) = (address.to_owned(), self.config.compression);
                return Err(ConnectionError::CodecMissing { address, codec });
            }
        };
        let dialer = self.dialer.with_compressor(compressor);
        let terms = Terms { cluster: Arc::clone(&self.config.cluster), limits: self.config.limits, compression };
        let dialed = Connection::open(&dialer, (address, slot.service.name()), terms).await;
        metrics::connected(&self.config.cluster, address, dialed.is_ok());
        match dialed {
            Ok(open) => {
                let mut state = slot.state();
                state.failed_until = None;
                state.open.push(open.clone());
                Ok(open)
            }
            Err(error) => {
                slot.state().failed_until = Some(Instant::now() + FAILED_FOR + spread());
                if let Some(suppressed) = self.may_say(address, error.cause()) {
                    let error = crate::error::chain(&error);
                    tracing::warn!(server = address, suppressed, error, "server cannot be reached");
                }
                Err(error)
            }
        }
    }
}

/// A random part of [`FAILED_FOR_SPREAD`].
fn spread() -> Duration {
    let chance = RandomState::new().hash_one(());
    FAILED_FOR_SPREAD.mul_f64((chance % 1024) as f64 / 1024.0)
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, address: &str, config: &PoolConfig) -> Result<Found, ConnectionError> {
        let mut state = self.state();
        let SlotState { open, negotiation, .. } = &mut *state;
        open.retain(|connection| match connection.failure() {
            None => true,
            Some(cause) => {
                if let (ConnectionError::Refused(exception), Offer::Codec(_, class)) = (&*cause, negotiation.offer())
                    && codec::is_codec_missing(exception)
                {
                    negotiation.refuse(class);
                }
                false
            }
        });
        let best = open.iter().map(|open| (open.calls(), open)).min_by_key(|(calls, _)| *calls);
        // Cloned before it is looked at for the last time: a connection ends as idle only while nobody has a clone.
        let best = best.map(|(calls, open)| (calls, open.clone())).filter(|(_, open)| !open.is_failed());
        match best {
            Some((calls, open)) if calls > 0 && state.open.len() < config.connections_max => Ok(Found::Busy(open)),
            Some((_, open)) => Ok(Found::Connection(open)),
            None if state.failed_until.is_some_and(|until| Instant::now() < until) => {
                Err(ConnectionError::FailedRecently { address: address.to_owned() })
            }
            None => Ok(Found::Nothing),
        }
    }
}

#[cfg(test)]
mod tests;
