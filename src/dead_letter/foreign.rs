//! A dead-letter store of somebody else: of a user's own binary, or of a simulation.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use super::{DeadLetter, DeadLetterError, Mark};

/// A future of a store.
pub type LetterFuture<'a> = Pin<Box<dyn Future<Output = Result<(), DeadLetterError>> + Send + 'a>>;

/// A place that dead letters are kept in. The laws of [`super`] hold for it too.
pub trait LetterStore: Send + Sync + Debug {
    /// Makes letters durable; `Ok` means that every one of them is.
    fn store<'a>(&'a self, letters: &'a [DeadLetter]) -> LetterFuture<'a>;

    /// Marks letters as replayed, durably; `Ok` means that every one of them is.
    fn mark<'a>(&'a self, marks: &'a [Mark]) -> LetterFuture<'a>;
}
