//! The calls in flight of one connection. Pure: no socket.
//!
//! # Invariants
//! 1. Every waiter gets exactly one outcome: its answer, or the cause that ended the connection.
//! 2. An answer that nobody waits for (the caller gave up) is skipped.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use tokio::sync::oneshot;

use super::connection::ConnectionError;
use crate::wire::frame::{FATAL_CALL_ID, Response};

/// What a waiter gets.
pub(crate) type Outcome = Result<Response, Arc<ConnectionError>>;

/// Calls by id.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    last: u32,
    waiters: HashMap<u32, oneshot::Sender<Outcome>, FxBuildHasher>,
    failure: Option<Arc<ConnectionError>>,
}

impl Calls {
    /// Takes an id and a place to wait for its answer.
    pub(crate) fn register(&mut self) -> Result<(u32, oneshot::Receiver<Outcome>), Arc<ConnectionError>> {
        if let Some(failure) = &self.failure {
            return Err(Arc::clone(failure));
        }
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != FATAL_CALL_ID && !self.waiters.contains_key(&self.last) {
                break;
            }
        }
        let (sender, receiver) = oneshot::channel();
        self.waiters.insert(self.last, sender);
        Ok((self.last, receiver))
    }

    /// Nobody waits for this call any more.
    pub(crate) fn forget(&mut self, id: u32) {
        self.waiters.remove(&id);
    }

    /// Hands an answer to its waiter. Returns whether somebody had waited for it.
    pub(crate) fn answer(&mut self, response: Response) -> bool {
        match self.waiters.remove(&response.call_id) {
            Some(waiter) => waiter.send(Ok(response)).is_ok(),
            None => false,
        }
    }

    /// Ends all calls with one cause; later ones are refused with it. The first cause stays.
    pub(crate) fn fail(&mut self, cause: ConnectionError) {
        let cause = Arc::clone(self.failure.get_or_insert_with(|| Arc::new(cause)));
        for (_, waiter) in self.waiters.drain() {
            // A waiter that is gone needs no answer.
            let _ = waiter.send(Err(Arc::clone(&cause)));
        }
    }

    /// Why the connection is over, if it is.
    pub(crate) fn failure(&self) -> Option<&Arc<ConnectionError>> {
        self.failure.as_ref()
    }

    /// Whether somebody waits for this call.
    pub(crate) fn is_waiting(&self, id: u32) -> bool {
        self.waiters.contains_key(&id)
    }

    /// Calls that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame::Answer;

    fn answer(call_id: u32) -> Response {
        Response { call_id, result: Ok(Answer::default()) }
    }

    #[test]
    fn answers_find_their_waiters_in_any_order() {
        let mut calls = Calls::default();
        let (first, mut first_waits) = calls.register().expect("open");
        let (second, mut second_waits) = calls.register().expect("open");
        assert!(calls.answer(answer(second)));
        assert!(calls.answer(answer(first)));
        assert_eq!(second_waits.try_recv().expect("answered").expect("no failure").call_id, second);
        assert_eq!(first_waits.try_recv().expect("answered").expect("no failure").call_id, first);
    }

    #[test]
    fn late_answers_are_skipped() {
        let mut calls = Calls::default();
        let (id, _) = calls.register().expect("open");
        calls.forget(id);
        assert!(!calls.answer(answer(id)));
    }

    #[test]
    fn a_failure_ends_every_call_with_the_first_cause() {
        let mut calls = Calls::default();
        let (_, mut waits) = calls.register().expect("open");
        calls.fail(ConnectionError::Closed);
        calls.fail(ConnectionError::Idle);
        assert!(matches!(*waits.try_recv().expect("answered").expect_err("failed"), ConnectionError::Closed));
        assert!(matches!(*calls.register().expect_err("failed"), ConnectionError::Closed));
    }

    proptest! {
        /// The naive model is the list of calls that are open; whatever comes, each call has exactly one outcome.
        #[test]
        fn every_call_has_one_outcome(steps in prop::collection::vec((0_u8..4, 0_usize..8), 1..80)) {
            let mut calls = Calls::default();
            let mut open: BTreeMap<u32, oneshot::Receiver<Outcome>> = BTreeMap::new();
            let mut failed = false;
            for (step, which) in steps {
                let some = open.keys().nth(which).copied();
                match (step, some) {
                    (0, _) => match calls.register() {
                        Ok((id, waits)) => prop_assert!(!failed && open.insert(id, waits).is_none()),
                        Err(_) => prop_assert!(failed),
                    },
                    (1, Some(id)) => {
                        prop_assert!(calls.answer(answer(id)));
                        prop_assert!(!calls.answer(answer(id)), "an answer twice is skipped");
                        let outcome = open.remove(&id).expect("open").try_recv().expect("an outcome");
                        prop_assert_eq!(outcome.expect("an answer").call_id, id);
                    }
                    (2, Some(id)) => {
                        calls.forget(id);
                        open.remove(&id);
                        prop_assert!(!calls.answer(answer(id)));
                    }
                    (3, _) if which == 0 => {
                        calls.fail(ConnectionError::Closed);
                        failed = true;
                        for (_, mut waits) in std::mem::take(&mut open) {
                            prop_assert!(waits.try_recv().expect("an outcome").is_err());
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(calls.len(), open.len());
            }
        }
    }
}
