//! What became of a call's rows, and what is done about it. Pure.

use bytes::Bytes;

use super::super::attempt::{Pause, pause_after};
use super::lane::Batch;
use crate::error::Error;
use crate::exception::Exception;
use crate::rpc::connection::CallError;
use crate::wire::WireError;
use crate::wire::message::NameBytesPair;
use crate::wire::multi_answer::{MultiAnswer, RegionAnswer, RegionLoad};

/// Whom a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The whole call: the server.
    Call,
    /// One region.
    Region,
}

/// What became of one region's batch.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// All rows are acknowledged.
    Done,
    /// These rows failed (places in the batch, ascending); all others are acknowledged.
    Rows(Vec<(usize, Error)>),
    /// All rows failed.
    Failed(Error, Scope),
}

/// What is done about a failure.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Sent again after a pause.
    Again(Pause),
    /// The rows are refused for good.
    Refuse(Exception),
    /// Trying again is useless for the whole write.
    Fail,
}

/// The only place that decides what follows a failure after `tries` failures of the lane.
pub(super) fn step(error: &Error, tries: u32) -> Step {
    match error {
        Error::Call(CallError::Exception(exception)) => match pause_after(exception, tries) {
            // An answer of "at once" that comes again and again is not believed for ever.
            Some(Pause::None) if tries > 2 => Step::Again(Pause::Usual),
            Some(pause) => Step::Again(pause),
            None => Step::Refuse(exception.clone()),
        },
        // A server that refuses us, or lacks the codec, takes no later connection either: that fails the write below.
        // What a peer garbled once may come whole the next time; the write's time bounds it.
        Error::Wire(_) => Step::Again(Pause::Usual),
        Error::Connection(cause) if cause.is_transient() => Step::Again(Pause::Usual),
        other if other.is_transient() => Step::Again(if tries == 0 { Pause::None } else { Pause::Usual }),
        _ => Step::Fail,
    }
}

/// The verdicts on the batches of a call, and the loads that the server reports by region name.
pub(super) type Judged = (Vec<Verdict>, Vec<(Bytes, RegionLoad)>);

pub(super) fn judge(batches: &[Batch], answer: Result<Bytes, Error>) -> Judged {
    let rows: Vec<usize> = batches.iter().map(|batch| batch.rows).collect();
    let answer = answer.and_then(|message| Ok(MultiAnswer::read(&message, &rows)?));
    match answer {
        Ok(answer) => {
            let regions = answer.regions.into_iter();
            (regions.map(of_region).collect(), answer.loads)
        }
        Err(error) => (batches.iter().map(|_| Verdict::Failed(error.clone(), Scope::Call)).collect(), Vec::new()),
    }
}

fn of_region(answer: RegionAnswer) -> Verdict {
    match answer {
        RegionAnswer::Refused(pair) => Verdict::Failed(refusal(&pair), Scope::Region),
        RegionAnswer::Missing => Verdict::Failed(missing("a region's result", 0), Scope::Region),
        RegionAnswer::Answered { refused, missing: unanswered } if refused.is_empty() && unanswered.is_empty() => {
            Verdict::Done
        }
        RegionAnswer::Answered { refused, missing: unanswered } => {
            let refused = refused.iter().map(|(place, pair)| (*place, refusal(pair)));
            let unanswered = unanswered.into_iter().map(|place| (place, missing("an action's result", place)));
            let mut rows: Vec<(usize, Error)> = refused.chain(unanswered).collect();
            rows.sort_by_key(|(place, _)| *place);
            Verdict::Rows(rows)
        }
    }
}

fn refusal(pair: &NameBytesPair) -> Error {
    Error::Call(CallError::Exception(Exception::of_result(pair)))
}

fn missing(what: &'static str, at: usize) -> Error {
    Error::Wire(WireError::Truncated { what, at })
}
