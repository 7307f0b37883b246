//! One write: how many of its rows are still to be settled, and what its caller is told in the end.
//!
//! # Laws
//! 1. Every row is settled once: acknowledged, refused, or given up.
//! 2. The caller is told when nothing of the write waits or flies any more, so nothing of it happens afterwards.

use std::time::Duration;

use tokio::sync::oneshot;

use super::report::{WriteError, WriteReport};
use crate::error::Error;
use crate::exception::Exception;
use crate::table_name::TableName;

/// What the caller of a write gets.
pub(super) type Outcome = Result<WriteReport, WriteError>;

/// Where a write's caller waits.
#[derive(Debug)]
pub(super) struct Waiters {
    /// Told, once, that the write's bytes have their credits (or that there is nothing to wait for any more).
    pub(super) admitted: oneshot::Sender<()>,
    pub(super) done: oneshot::Sender<Outcome>,
}

/// What a write asks for beside its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) durability: crate::mutation::Durability,
    pub(super) began: Duration,
    pub(super) deadline: Duration,
    pub(super) holder: Holder,
}

/// Who keeps the block in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The caller, until the end.
    Caller,
    /// The writer alone.
    Writer,
}

/// A write that is not done yet. Times are since the writer began.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) table: TableName,
    pub(super) terms: Terms,
    /// Rows that wait or fly.
    pub(super) left: usize,
    /// Bytes without credits.
    pub(super) uncredited: usize,
    /// Tries that failed, at most, of any of its rows.
    pub(super) tries: u32,
    /// The call that carried its rows last.
    pub(super) last_call: u64,
    pub(super) report: WriteReport,
    refused: Vec<usize>,
    /// The first refusal, and the smallest refused row with its key.
    refusal: Option<(Exception, usize, String)>,
    pub(super) failure: Option<Error>,
    /// What failed last.
    pub(super) last: Option<Error>,
    admitted: Option<oneshot::Sender<()>>,
    done: oneshot::Sender<Outcome>,
}

impl Ticket {
    /// A write of so many rows and bytes.
    pub(super) fn new(table: TableName, (rows, bytes): (usize, usize), terms: Terms, waiters: Waiters) -> Self {
        Self {
            table,
            terms,
            left: rows,
            uncredited: bytes,
            tries: 0,
            last_call: 0,
            report: WriteReport::default(),
            refused: Vec::new(),
            refusal: None,
            failure: None,
            last: None,
            admitted: Some(waiters.admitted),
            done: waiters.done,
        }
    }

    /// Bytes got their credits, or need none any more.
    pub(super) fn credited(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.uncredited);
        self.uncredited -= bytes;
        if self.uncredited == 0
            && let Some(admitted) = self.admitted.take()
        {
            // A caller that is gone need not be told.
            let _ = admitted.send(());
        }
    }

    pub(super) fn refuse(&mut self, row: usize, key: &[u8], exception: &Exception) {
        self.refused.push(row);
        let escaped = || key.escape_ascii().to_string();
        match &mut self.refusal {
            Some((_, first, text)) if row < *first => (*first, *text) = (row, escaped()),
            Some(_) => {}
            None => self.refusal = Some((exception.clone(), row, escaped())),
        }
    }

    /// Tells the caller. Nothing of the write may wait or fly any more.
    pub(super) fn finish(mut self) {
        debug_assert_eq!(self.left, 0);
        let table = self.table.to_string();
        let outcome = match (self.failure, self.refusal) {
            (Some(source), _) => Err(WriteError::Failed { table, source }),
            (None, Some((exception, _, key))) => {
                self.refused.sort_unstable();
                Err(WriteError::Refused { table, rows: self.refused, key, exception: Box::new(exception) })
            }
            (None, None) => Ok(self.report),
        };
        // A caller that is gone need not be told.
        let _ = self.done.send(outcome);
    }

    /// The time is over.
    pub(super) fn time_is_over(&mut self, now: Duration) -> Error {
        let elapsed = now.saturating_sub(self.terms.began);
        Error::TimedOut { elapsed, tries: self.tries, last: self.last.take().map(Box::new) }
    }
}
