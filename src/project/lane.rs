//! One lane's decoder, projections and scratch buffers: records of a topic in, encoded rows out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::decode::events::{FieldError, FieldSet};
use crate::decode::reading::Reading;
use crate::decode::schemas::{Framed, SchemaId, Schemas};
use crate::decode::{Decoder, ReadingError};
use crate::model::batch::{BadRecord, Counts, Projected, RawBatch};
use crate::model::schema::RowLayout;
use crate::project::{Encoder, Projection, ProjectionError, Projections, Report};
use crate::topology::Topology;

/// Decodes, projects, folds and encodes the batches of one lane, for one topic. `Send`, not `Sync`; reused for every
/// batch, and the outcome of a batch does not depend on those before it.
#[derive(Debug)]
pub struct Lane {
    decoder: Decoder,
    models: Vec<LaneModel>,
    report: Report,
}

#[derive(Debug)]
struct LaneModel {
    projection: Box<dyn Projection>,
    encoder: Encoder,
}

/// Why a lane cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The topology has no such topic.
    #[error("make a lane for topic `{topic}`: the topology has no such topic")]
    UnknownTopic {
        /// The topic's id.
        topic: String,
    },
    /// Nothing reads the topic.
    #[error("make a lane for topic `{topic}`: no model reads it")]
    NoModel {
        /// The topic's id.
        topic: String,
    },
    /// The topology names a projection that the program does not have.
    #[error(
        "make [projection.{name}]: it is made by a program of its own, and this one brings no projection of that name; \
         run that program instead"
    )]
    NoProjection {
        /// Its name.
        name: String,
    },
    /// The program has a projection that the topology does not name.
    #[error("make projection `{name}`: the topology has no [projection.{name}] that says its topic and its table")]
    NotNamed {
        /// Its name.
        name: String,
    },
    /// The program and the topology disagree about the table.
    #[error("make [projection.{name}]: it writes table `{table}`, but the topology says `{declared}`")]
    OtherTable {
        /// Its name.
        name: String,
        /// The table in the topology.
        declared: String,
        /// The table of its layout.
        table: String,
    },
    /// The models disagree about the fields.
    #[error("make a lane for topic `{topic}`")]
    Fields {
        /// The topic's id.
        topic: String,
        /// How.
        #[source]
        source: FieldError,
    },
    /// Records of the topic do not have the fields.
    #[error("make a lane for topic `{topic}`")]
    Reading {
        /// The topic's id.
        topic: String,
        /// Which.
        #[source]
        source: ReadingError,
    },
    /// A model cannot be bound.
    #[error("make a lane for topic `{topic}`")]
    Projection {
        /// The topic's id.
        topic: String,
        /// Why.
        #[source]
        source: ProjectionError,
    },
}

impl Lane {
    /// A lane for the declared models of a topic, by its id in the topology.
    ///
    /// # Errors
    /// [`LaneError`]; a topology that was loaded has none of these faults but an unknown topic.
    pub fn new(topology: &Topology, topic_id: &str) -> Result<Self, LaneError> {
        Projections::default().lane(topology, topic_id)
    }

    /// The same, with the schemas of a registry.
    ///
    /// # Errors
    /// As [`Lane::new`].
    pub fn with_schemas(topology: &Topology, topic_id: &str, schemas: &Arc<Schemas>) -> Result<Self, LaneError> {
        Projections::default().lane_with_schemas(topology, topic_id, schemas)
    }

    /// A lane for projections of one's own, over these fields of events without a schema registry.
    ///
    /// # Errors
    /// [`ReadingError`]
    pub fn with(
        reading: impl Into<Reading>,
        fields: FieldSet,
        projections: Vec<Box<dyn Projection>>,
    ) -> Result<Self, ReadingError> {
        Ok(Self::of(Decoder::new(reading, fields)?, projections))
    }

    /// A lane for projections of one's own.
    #[must_use]
    pub fn of(decoder: Decoder, projections: Vec<Box<dyn Projection>>) -> Self {
        let models =
            projections.into_iter().map(|projection| LaneModel { projection, encoder: Encoder::default() }).collect();
        Self { decoder, models, report: Report::default() }
    }

    /// The names of the headers that batches must carry, by number.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        self.decoder.headers()
    }

    /// Which parts of a record begin with the id of a schema that is needed to read it.
    #[must_use]
    pub const fn framed(&self) -> Framed {
        self.decoder.framed()
    }

    /// The ids of schemas that a batch needs and that are not there yet; while there are any, it must wait.
    #[must_use]
    pub fn missing_schemas(&self, raw: &RawBatch) -> BTreeSet<SchemaId> {
        self.decoder.missing_schemas(raw)
    }

    /// The layouts of the tables that it writes.
    pub fn layouts(&self) -> impl Iterator<Item = &RowLayout> {
        self.models.iter().map(|model| model.projection.layout())
    }

    /// The rows and bad records of a batch. The order of its records and where one batch ends and the next begins
    /// change nothing about the cells that a table holds afterwards.
    ///
    /// # Panics
    /// If the batch holds more than 2 GiB of payloads, or becomes more than 4 GiB of cells. Sources close batches at a
    /// small fraction of that. Or if there are [`Lane::missing_schemas`]: its records must wait, they are not bad.
    pub fn project(&mut self, raw: &RawBatch) -> Projected {
        let mut bad = Vec::new();
        let events = self.decoder.decode(raw, &mut bad);
        let mut counts = Counts { events: raw.records.len() as u64, ..Counts::default() };
        let mut tables = Vec::with_capacity(self.models.len());
        self.report.reset(events.len());
        for model in &mut self.models {
            let rows = model.projection.project(&events, &mut self.report);
            let encoded = model
                .encoder
                .encode(&rows, model.projection.layout())
                .expect("rows have their projection's layout, and batches are far below 4 GiB");
            counts.rows += encoded.rows.block.rows().len() as u64;
            counts.cells += encoded.cells;
            counts.ties += encoded.ties;
            if !encoded.rows.block.rows().is_empty() {
                tables.push(encoded.rows);
            }
        }
        // Records that are no event and not bad either were skipped by the decoder.
        let skipped = raw.records.len() - events.len() - bad.len();
        counts.filtered = self.report.filtered() + skipped as u64;
        bad.append(&mut self.report.bad);
        Projected { tables, bad: one_per_record(bad), counts }
    }
}

/// A record that is bad for several models is one bad record with several causes.
fn one_per_record(mut bad: Vec<BadRecord>) -> Vec<BadRecord> {
    bad.sort_by_key(|one| one.record);
    bad.dedup_by(|next, kept| {
        let same = next.record == kept.record;
        if same {
            kept.cause.push_str("; ");
            kept.cause.push_str(&next.cause);
        }
        same
    });
    bad
}

#[cfg(test)]
mod tests;
