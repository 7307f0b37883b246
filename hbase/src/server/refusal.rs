//! A refusal on command: the Java exception that a rule makes a server throw.

use std::time::Duration;

use crate::exception::{Exception, Reaction};
use crate::wire::message::ExceptionResponse;

const PREFIX: &str = "org.apache.hadoop.hbase.";

/// An exception as a server throws it, with everything that either of its two encodings can carry.
///
/// As the answer to a whole call it is an `ExceptionResponse`; inside the answer to a Multi only the class and a text
/// are left of it, and the place of a moved region or the wait of a throttled call stand in that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    class: String,
    text: String,
    moved_to: Option<(String, u16)>,
    do_not_retry: Option<bool>,
    is_server_overloaded: bool,
}

impl Refusal {
    /// A refusal with this class. Names below `org.apache.hadoop.hbase.` are given without that package; a name that
    /// begins with `java.` or `org.` is taken as it stands.
    #[must_use]
    pub fn new(class: &str) -> Self {
        let is_whole = class.starts_with("java.") || class.starts_with("org.");
        let class = if is_whole { class.to_owned() } else { format!("{PREFIX}{class}") };
        Self { class, text: "on command".to_owned(), moved_to: None, do_not_retry: None, is_server_overloaded: false }
    }

    /// `RegionMovedException` that names the new place, as text and, for a whole call, as fields.
    #[must_use]
    pub fn moved_to(host: &str, port: u16) -> Self {
        let text = format!("Region moved to: hostname={host} port={port} startCode=1. As of locationSeqNum=1.");
        let refusal = Self::new("exceptions.RegionMovedException").with_text(text);
        Self { moved_to: Some((host.to_owned(), port)), ..refusal }
    }

    /// `RpcThrottlingException` that names the time to wait, as `RpcThrottlingException.stringFromMillis` writes it.
    #[must_use]
    pub fn throttled(wait: Duration) -> Self {
        let (minutes, seconds, millis) = (wait.as_secs() / 60, wait.as_secs() % 60, wait.subsec_millis());
        let text = match minutes {
            0 => format!("number of requests exceeded - wait {seconds}sec, {millis}ms"),
            _ => format!("number of requests exceeded - wait {minutes}mins, {seconds}sec, {millis}ms"),
        };
        Self::new("quotas.RpcThrottlingException").with_text(text)
    }

    /// With another text.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    /// With the flag that trying again is useless; without this call it is what HBase says of the class. Only the
    /// answer to a whole call carries it.
    #[must_use]
    pub fn with_do_not_retry(self, do_not_retry: bool) -> Self {
        Self { do_not_retry: Some(do_not_retry), ..self }
    }

    /// With the flag that the server is overloaded (2.5+). Only the answer to a whole call carries it.
    #[must_use]
    pub fn with_server_overloaded(self) -> Self {
        Self { is_server_overloaded: true, ..self }
    }

    /// What a client reads from it when a whole call is refused.
    #[must_use]
    pub fn exception(&self) -> Exception {
        Exception::of_call(self.response())
    }

    /// The answer to a whole call.
    pub(super) fn response(&self) -> ExceptionResponse {
        let (hostname, port) = self.moved_to.clone().unzip();
        let natural = Exception {
            class: self.class.clone(),
            message: self.text.clone(),
            moved_to: self.moved_to.clone(),
            do_not_retry: false,
        };
        let is_final = natural.reaction() == Reaction::GiveUp;
        ExceptionResponse {
            exception_class_name: Some(self.class.clone()),
            stack_trace: Some(self.stack()),
            hostname,
            port: port.map(i32::from),
            do_not_retry: Some(self.do_not_retry.unwrap_or(is_final)),
            server_overloaded: self.is_server_overloaded.then_some(true),
        }
    }

    fn stack(&self) -> String {
        format!(
            "{}: {}\n\tat org.apache.hadoop.hbase.regionserver.RSRpcServices.multi(RSRpcServices.java)\n",
            self.class, self.text
        )
    }
}

impl From<Exception> for Refusal {
    fn from(exception: Exception) -> Self {
        Self {
            class: exception.class,
            text: exception.message,
            moved_to: exception.moved_to,
            do_not_retry: None,
            is_server_overloaded: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::NameBytesPair;

    /// What is left of a refusal inside a Multi.
    fn pair(refusal: &Refusal) -> NameBytesPair {
        let response = refusal.response();
        let name = response.exception_class_name.expect("a class");
        NameBytesPair { name, value: response.stack_trace.map(Into::into) }
    }

    #[test]
    fn both_encodings_say_the_same_to_the_client() {
        let cases = [
            (Refusal::new("NotServingRegionException"), Reaction::Relocate { hint: None }),
            (Refusal::moved_to("rs2", 16020), Reaction::Relocate { hint: Some(("rs2".to_owned(), 16020)) }),
            (Refusal::throttled(Duration::from_millis(62_300)), Reaction::Wait(Duration::from_millis(62_300))),
            (Refusal::throttled(Duration::from_millis(300)), Reaction::Wait(Duration::from_millis(300))),
            (Refusal::new("regionserver.NoSuchColumnFamilyException"), Reaction::GiveUp),
            (Refusal::new("java.io.IOException"), Reaction::Backoff),
        ];
        for (refusal, reaction) in cases {
            assert_eq!(refusal.exception().reaction(), reaction, "{refusal:?} for the call");
            assert_eq!(Exception::of_result(&pair(&refusal)).reaction(), reaction, "{refusal:?} inside a Multi");
        }
    }

    #[test]
    fn only_the_flag_tells_that_an_unknown_class_is_final() {
        let unknown = Refusal::new("of.the.FutureException");
        assert_eq!(unknown.exception().reaction(), Reaction::Backoff);
        assert_eq!(unknown.with_do_not_retry(true).exception().reaction(), Reaction::GiveUp);
    }
}
