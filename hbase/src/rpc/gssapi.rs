//! Kerberos by the system's GSSAPI library: RFC 4752 on top of a security context.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::{Error, MajorFlags};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet};

use super::sasl::{Mechanism, Step};
use super::sealed::{Layer, Open, Seal};
use crate::security::{Kerberos, Protection, SecurityError};
use crate::wire::sasl::LayerOffer;

/// More than any Kerberos mechanism adds to a message: headers, confounder, checksum, padding (RFC 4121).
const OVERHEAD_BYTES_MAX: usize = 256;

const ROUTINE_ERROR_MASK: u32 = 0x00FF_0000;

// Codes of the Kerberos library (`krb5_err.et`), as the minor status carries them.
const KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN: i32 = -1_765_328_377;
const KRB5KRB_AP_ERR_TKT_EXPIRED: i32 = -1_765_328_352;
const KRB5_REALM_CANT_RESOLVE: i32 = -1_765_328_164;
const KRB5_KDC_UNREACH: i32 = -1_765_328_228;

/// GSSAPI with Kerberos.
pub(crate) struct Gssapi {
    server: String,
    principal: String,
    client: Option<String>,
    protection: Protection,
    stage: Stage,
}

enum Stage {
    /// Nothing was done: tickets are looked for in the first step, which may block.
    New,
    /// Tokens of the context go to and fro.
    Context(ClientCtx),
    /// The context stands; the server will offer layers.
    Layers(ClientCtx),
    /// Content, or failed.
    Over,
}

impl Gssapi {
    /// For a server, `host:port`, that should be `principal`.
    pub(crate) fn new(server: &str, principal: &str, kerberos: &Kerberos) -> Self {
        Self {
            server: server.to_owned(),
            principal: principal.to_owned(),
            client: kerberos.client.clone(),
            protection: kerberos.protection,
            stage: Stage::New,
        }
    }

    fn context(&self) -> Result<ClientCtx, SecurityError> {
        let failed = |error| self.failure(error);
        let name = |principal: &str| Name::new(principal.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).map_err(failed);
        let client = self.client.as_deref().map(name).transpose()?;
        let mechanism = OidSet::singleton(GSS_MECH_KRB5).map_err(failed)?;
        let credentials =
            Cred::acquire(client.as_ref(), None, CredUsage::Initiate, Some(&mechanism)).map_err(failed)?;
        let mut flags = CtxFlags::GSS_C_MUTUAL_FLAG
            | CtxFlags::GSS_C_INTEG_FLAG
            | CtxFlags::GSS_C_SEQUENCE_FLAG
            | CtxFlags::GSS_C_REPLAY_FLAG;
        if self.protection == Protection::Privacy {
            flags |= CtxFlags::GSS_C_CONF_FLAG;
        }
        Ok(ClientCtx::new(Some(credentials), name(&self.principal)?, flags, Some(GSS_MECH_KRB5)))
    }

    fn advance(&mut self, mut context: ClientCtx, token: Option<&[u8]>) -> Result<Step, SecurityError> {
        let next = context.step(token, None).map_err(|error| self.failure(error))?;
        let next = next.map_or_else(Vec::new, |next| next.to_vec());
        if !context.is_complete() {
            self.stage = Stage::Context(context);
            return Ok(Step::Send(next));
        }
        let granted = context.flags().map_err(|error| self.failure(error))?;
        if !granted.contains(CtxFlags::GSS_C_MUTUAL_FLAG | CtxFlags::GSS_C_INTEG_FLAG) {
            return Err(self.protocol("Kerberos did not authenticate the server".to_owned()));
        }
        self.stage = Stage::Layers(context);
        Ok(Step::Send(next))
    }

    fn choose(&self, mut context: ClientCtx, token: &[u8]) -> Result<Step, SecurityError> {
        let offer = context.unwrap(token).map_err(|error| self.failure(error))?;
        let offer = LayerOffer::decode(&offer).map_err(|error| self.protocol(error.to_string()))?;
        if !offer.has(self.protection) {
            let (server, wanted) = (self.server.clone(), self.protection);
            return Err(SecurityError::ProtectionNotOffered { server, wanted, offered: offer.names() });
        }
        // The choice itself is only signed, whatever it is (RFC 4752, 3.1).
        let choice = context.wrap(false, &LayerOffer::choice(self.protection)).map_err(|error| self.failure(error))?;
        let encrypt = match self.protection {
            Protection::Authentication => return Ok(Step::Done { last: Some(choice.to_vec()), layer: None }),
            Protection::Integrity => false,
            Protection::Privacy => true,
        };
        let message_bytes_max = (offer.sealed_bytes_max as usize).saturating_sub(OVERHEAD_BYTES_MAX).max(1);
        let context = Arc::new(Mutex::new(context));
        let open = Box::new(GssOpen { context: Arc::clone(&context) });
        let seal = Box::new(GssSeal { context, encrypt });
        Ok(Step::Done { last: Some(choice.to_vec()), layer: Some(Layer { seal, open, message_bytes_max }) })
    }

    fn protocol(&self, reason: String) -> SecurityError {
        SecurityError::Protocol { server: self.server.clone(), reason }
    }

    fn failure(&self, error: Error) -> SecurityError {
        let principal = self.principal.clone();
        let reason = one_line(&error);
        match error.minor.cast_signed() {
            KRB5KRB_AP_ERR_TKT_EXPIRED => SecurityError::TicketExpired,
            KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN => SecurityError::ServerPrincipalUnknown { principal },
            KRB5_KDC_UNREACH | KRB5_REALM_CANT_RESOLVE => SecurityError::KdcUnreachable { principal, reason },
            _ if is_routine(&error, MajorFlags::GSS_S_CREDENTIALS_EXPIRED) => SecurityError::TicketExpired,
            // An expired ticket may still do for the server, whose clock may be five minutes late; the library sees it last.
            _ if is_routine(&error, MajorFlags::GSS_S_CONTEXT_EXPIRED) => SecurityError::TicketExpired,
            _ if is_routine(&error, MajorFlags::GSS_S_NO_CRED) => SecurityError::NoTicket { reason },
            _ => SecurityError::Kerberos { principal, reason },
        }
    }
}

impl Mechanism for Gssapi {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, SecurityError> {
        match (std::mem::replace(&mut self.stage, Stage::Over), token) {
            (Stage::New, None) => {
                let context = self.context()?;
                self.advance(context, None)
            }
            (Stage::Context(context), Some(token)) => self.advance(context, Some(token)),
            (Stage::Layers(context), Some(token)) => self.choose(context, token),
            (Stage::New, Some(_)) | (Stage::Context(_) | Stage::Layers(_), None) | (Stage::Over, _) => {
                Err(self.protocol("a token came out of turn".to_owned()))
            }
        }
    }
}

/// Routine errors are numbers in one byte of the major status, not bits: only equality tells them apart (RFC 2744, 3.9.1).
fn is_routine(error: &Error, routine: MajorFlags) -> bool {
    error.major.bits() & ROUTINE_ERROR_MASK == routine.bits()
}

/// The library's texts of the two codes, without its line breaks.
fn one_line(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The library counts frames of both directions in one context.
struct GssSeal {
    context: Arc<Mutex<ClientCtx>>,
    encrypt: bool,
}

struct GssOpen {
    context: Arc<Mutex<ClientCtx>>,
}

fn tampered(error: Error) -> io::Error {
    SecurityError::Tampered { reason: one_line(&error) }.into_io()
}

impl Seal for GssSeal {
    fn seal(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(context.wrap(self.encrypt, message).map_err(tampered)?.to_vec())
    }
}

impl Open for GssOpen {
    fn open(&mut self, sealed: &[u8]) -> io::Result<Bytes> {
        let mut context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Bytes::copy_from_slice(&context.unwrap(sealed).map_err(tampered)?))
    }
}
