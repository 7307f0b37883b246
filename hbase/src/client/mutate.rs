//! Changes of single rows: plain, atomic, conditional, and those that read what was there.
//!
//! # Laws
//! 1. An increment or an append is carried out once, however often it is sent: every try of one operation has the same
//!    nonce (`hbase.regionserver.nonces.enabled`, on by default; servers remember nonces for thirty minutes).
//! 2. A conditional change has no nonce in HBase. If an answer is lost and the change is sent again, `false` can mean
//!    that the first try has already made it: only a condition that the change itself ends, and a look afterwards, tell.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::Client;
use super::get::cells_of;
use super::row_call::misuse;
use crate::cell::Cell;
use crate::error::Error;
use crate::exception::Exception;
use crate::misuse::Misuse;
use crate::mutation::{Append, Condition, Increment, Mutation, Nonced};
use crate::rpc::connection::CallError;
use crate::rpc::pool::Service;
use crate::scan::region_specifier;
use crate::table_name::TableName;
use crate::wire::cell_block::CellReader;
use crate::wire::message::{
    ActionMessage, ConditionMessage, MultiRequest, MultiResponse, MutateRequest, MutateResponse, MutationProto,
    RegionAction,
};

/// Nonces of one client: a group that no other client has, and a number for each operation.
#[derive(Debug)]
pub(crate) struct Nonces {
    group: u64,
    last: AtomicU64,
}

impl Nonces {
    /// The group is random: the standard library's hash keys are.
    pub(super) fn new() -> Self {
        let random = std::collections::hash_map::RandomState::new();
        Self { group: random.build_hasher().finish() | 1, last: AtomicU64::new(0) }
    }

    pub(super) fn group(&self) -> u64 {
        self.group
    }

    /// Never 0, which is no nonce (`HConstants.NO_NONCE`).
    pub(super) fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Client {
    /// Carries a put or a delete out. For many rows [`Client::write`] is the way.
    ///
    /// If it fails the change may have been made all the same; with a timestamp of its own it can be sent again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn mutate(&self, table: &TableName, mutation: &Mutation) -> Result<(), Error> {
        mutation.check().map_err(misuse(table, mutation.row()))?;
        self.call_mutate(table, mutation.row(), (mutation.message(), None)).await.map(|_| ())
    }

    /// Carries a put or a delete out if the condition holds of its row; returns whether it did. See the module's
    /// second law.
    ///
    /// # Errors
    /// [`Error`]; a [`Condition::Filter`] is refused by servers before 2.4.
    pub async fn check_and_mutate(
        &self,
        table: &TableName,
        condition: &Condition,
        mutation: &Mutation,
    ) -> Result<bool, Error> {
        condition.check().and_then(|()| mutation.check()).map_err(misuse(table, mutation.row()))?;
        let condition = condition.message(mutation.row());
        let (answer, _) = self.call_mutate(table, mutation.row(), (mutation.message(), Some(condition))).await?;
        Ok(answer.processed == Some(true))
    }

    /// Carries mutations of one row out, all of them or none (`RowMutations`).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn mutate_row(&self, table: &TableName, mutations: &[Mutation]) -> Result<(), Error> {
        self.call_atomic(table, mutations, None).await.map(|_| ())
    }

    /// Carries mutations of one row out, all of them if the condition holds, else none; returns whether it did. See
    /// the module's second law.
    ///
    /// # Errors
    /// [`Error`]; a [`Condition::Filter`] is refused by servers before 2.4.
    pub async fn check_and_mutate_row(
        &self,
        table: &TableName,
        condition: &Condition,
        mutations: &[Mutation],
    ) -> Result<bool, Error> {
        self.call_atomic(table, mutations, Some(condition)).await
    }

    /// Adds to counters and returns their cells; [`crate::mutation::counter`] reads them. Carried out once.
    ///
    /// If it fails the counters may have been added to all the same.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn increment(&self, table: &TableName, increment: &Increment) -> Result<Vec<Cell>, Error> {
        self.call_nonced(table, &Nonced::Increment(increment)).await
    }

    /// Appends to values and returns their cells. Carried out once.
    ///
    /// If it fails the values may have been appended to all the same.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn append(&self, table: &TableName, append: &Append) -> Result<Vec<Cell>, Error> {
        self.call_nonced(table, &Nonced::Append(append)).await
    }

    async fn call_nonced(&self, table: &TableName, nonced: &Nonced<'_>) -> Result<Vec<Cell>, Error> {
        nonced.check().map_err(misuse(table, nonced.row()))?;
        let mutation = nonced.message(self.inner().nonces.next());
        let (answer, block) = self.call_mutate(table, nonced.row(), (mutation, None)).await?;
        Ok(cells_of(answer.result.unwrap_or_default(), &mut CellReader::new(block))?)
    }

    async fn call_mutate(
        &self,
        table: &TableName,
        row: &Bytes,
        change: (MutationProto, Option<ConditionMessage>),
    ) -> Result<(MutateResponse, Bytes), Error> {
        let change = &change;
        self.on_row(table, row, |region, timeout| async move {
            let connection = self.inner().pool.get(&region.server, Service::Client).await?;
            let request = MutateRequest {
                region: region_specifier(&region.name),
                mutation: change.0.clone(),
                condition: change.1.clone(),
                nonce_group: change.0.nonce.map(|_| self.inner().nonces.group),
            };
            Ok(connection.call(("Mutate", "MutateResponse"), &request, timeout).await?)
        })
        .await
    }

    async fn call_atomic(
        &self,
        table: &TableName,
        mutations: &[Mutation],
        condition: Option<&Condition>,
    ) -> Result<bool, Error> {
        let row = mutations.first().map(|mutation| mutation.row().clone()).unwrap_or_default();
        check_atomic(&row, mutations, condition).map_err(misuse(table, &row))?;
        let condition = condition.map(|condition| condition.message(&row));
        let actions = (0..).zip(mutations).map(|(index, mutation)| ActionMessage {
            index: Some(index),
            mutation: Some(mutation.message()),
            ..ActionMessage::default()
        });
        let (actions, condition) = (&actions.collect::<Vec<_>>(), &condition);
        self.on_row(table, &row, |region, timeout| async move {
            let connection = self.inner().pool.get(&region.server, Service::Client).await?;
            let action = RegionAction {
                region: region_specifier(&region.name),
                atomic: Some(true),
                action: actions.clone(),
                condition: condition.clone(),
            };
            // Said twice: servers before 2.4 know only the Multi's condition, later ones take either.
            let request =
                MultiRequest { region_action: vec![action], condition: condition.clone(), ..MultiRequest::default() };
            let (answer, _) = connection.call(("Multi", "MultiResponse"), &request, timeout).await?;
            outcome(answer)
        })
        .await
    }
}

fn check_atomic(row: &Bytes, mutations: &[Mutation], condition: Option<&Condition>) -> Result<(), Misuse> {
    if mutations.is_empty() {
        return Err(Misuse::NoCells);
    }
    if mutations.iter().any(|mutation| mutation.row() != row) {
        return Err(Misuse::SeveralRows);
    }
    mutations.iter().try_for_each(Mutation::check)?;
    condition.map_or(Ok(()), Condition::check)
}

/// Whether atomic mutations were carried out. Old servers say so of the Multi, new ones of its region.
fn outcome(answer: MultiResponse) -> Result<bool, Error> {
    let result = answer.region_action_result.into_iter().next().unwrap_or_default();
    let of_actions = result.result_or_exception.iter().find_map(|action| action.exception.as_ref());
    if let Some(pair) = result.exception.as_ref().or(of_actions) {
        return Err(Error::Call(CallError::Exception(Exception::of_result(pair))));
    }
    Ok(result.processed.or(answer.processed) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{Delete, Put};

    #[test]
    fn atomic_mutations_are_of_one_row_and_change_something() {
        let put = |row: &'static str| Mutation::from(Put::new(row).cell(("f", "q"), 1, "v"));
        let row = Bytes::from_static(b"r");
        assert_eq!(check_atomic(&row, &[put("r"), Delete::new("r").into()], None), Ok(()));
        assert_eq!(check_atomic(&row, &[put("r"), put("s")], None), Err(Misuse::SeveralRows));
        assert_eq!(check_atomic(&row, &[], None), Err(Misuse::NoCells));
        assert_eq!(check_atomic(&row, &[Put::new("r").into()], None), Err(Misuse::NoCells));
        let negative = [Put::new("r").cell(("f", "q"), -1, "v").into()];
        assert_eq!(check_atomic(&row, &negative, None), Err(Misuse::NegativeTimestamp { timestamp: -1 }));
        let empty = Condition::equal("f", "q", "");
        assert_eq!(check_atomic(&row, &[put("r")], Some(&empty)), Err(Misuse::EmptyComparison));
    }

    #[test]
    fn nonces_are_never_zero_and_never_the_same_twice() {
        let nonces = Nonces::new();
        let drawn: Vec<u64> = (0..100).map(|_| nonces.next()).collect();
        assert_eq!(drawn, (1..=100).collect::<Vec<u64>>());
        assert_ne!(nonces.group, 0);
        assert_ne!(nonces.group, Nonces::new().group);
    }
}
