//! One lane's decoder, projections and scratch buffers: records of a topic in, encoded rows out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::decode::events::{FieldError, FieldSet};
use crate::decode::reading::Reading;
use crate::decode::schemas::{Framed, SchemaId, Schemas};
use crate::decode::{Decoder, ReadingError};
use crate::model::batch::{BadRecord, Counts, Projected, RawBatch};
use crate::project::{Declarative, Encoder, Projection, ProjectionError, Report};
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
        Self::with_schemas(topology, topic_id, Arc::default())
    }

    /// The same, with the schemas of a registry.
    ///
    /// # Errors
    /// As [`Lane::new`].
    pub fn with_schemas(topology: &Topology, topic_id: &str, schemas: Arc<Schemas>) -> Result<Self, LaneError> {
        let topic_name = || topic_id.to_owned();
        let reading = topology.reading(topic_id).ok_or_else(|| LaneError::UnknownTopic { topic: topic_name() })?;
        let fields = topology.fields(topic_id).map_err(|source| LaneError::Fields { topic: topic_name(), source })?;
        let mut projections: Vec<Box<dyn Projection>> = Vec::new();
        for (name, model) in topology.models.iter().filter(|(_, model)| model.topic == topic_id) {
            let projection = Declarative::new(name, model, &fields)
                .map_err(|source| LaneError::Projection { topic: topic_name(), source })?;
            projections.push(Box::new(projection));
        }
        if projections.is_empty() {
            return Err(LaneError::NoModel { topic: topic_name() });
        }
        let decoder = Decoder::with_schemas(&reading, fields, schemas);
        let decoder = decoder.map_err(|source| LaneError::Reading { topic: topic_name(), source })?;
        Ok(Self::of(decoder, projections))
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
