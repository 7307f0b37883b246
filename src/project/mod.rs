//! Events to the folded, encoded rows of read models. Pure: the same input gives the same bytes.
//!
//! ```text
//! RawBatch ─ decode ─▶ Events ─ Projection ─▶ Rows ─ fold ─▶ newest cells ─ encode ─▶ RowBlock
//! ```

mod computed;
mod condition;
mod declarative;
mod encode;
mod explode;
mod fold;
mod from_cells;
mod lane;
mod own;
mod pattern;

use crate::decode::events::{Events, FieldError};
use crate::model::batch::{BadRecord, Stage};
use crate::model::rows::Rows;
use crate::model::schema::RowLayout;

pub use crate::project::declarative::{Declarative, ProjectionError};
pub use crate::project::encode::{EncodeError, Encoded, Encoder, encode_rows};
pub use crate::project::from_cells::{CellError, RowsFromCells};
pub use crate::project::lane::{Lane, LaneError};
pub use crate::project::own::Projections;

/// Turns the events of a topic into rows of one table.
///
/// Implementations are deterministic: no clock, no randomness, nothing looked up outside the events.
pub trait Projection: Send + std::fmt::Debug {
    /// The layout of the rows that it makes.
    fn layout(&self) -> &RowLayout;

    /// The rows of these events. An event may become any number of rows; one that becomes none, for a stated reason
    /// or as a bad record, is said so in `report`.
    fn project(&mut self, events: &Events, report: &mut Report) -> Rows;
}

/// Why what a model reads cannot be bound to the fields of its topic.
#[derive(Debug)]
enum BindError {
    /// A field that is not decoded.
    Unknown(String),
    /// Fields that cannot stand beside each other.
    Fields(FieldError),
}

/// What a projection says about events that become no row.
#[derive(Debug, Default)]
pub struct Report {
    wanted: Vec<bool>,
    bad: Vec<BadRecord>,
}

impl Report {
    /// Forgets everything; there are this many events.
    pub(crate) fn reset(&mut self, events: usize) {
        self.wanted.clear();
        self.wanted.resize(events, false);
        self.bad.clear();
    }

    /// A projection took the event into account; an event that none took is counted as filtered.
    pub fn want(&mut self, event: usize) {
        if let Some(wanted) = self.wanted.get_mut(event) {
            *wanted = true;
        }
    }

    /// How many events no projection took into account.
    fn filtered(&self) -> u64 {
        self.wanted.iter().filter(|wanted| !**wanted).count() as u64
    }

    /// The event cannot become a row. `cause` is one sentence that names the field.
    pub fn reject(&mut self, events: &Events, event: usize, cause: String) {
        self.want(event);
        let record = events.records().get(event).map_or(0, |record| *record as usize);
        self.bad.push(BadRecord { record, stage: Stage::Project, cause });
    }
}
