//! The read models of a run: those that its topology declares, and projections that a program of one's own brings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::decode::Decoder;
use crate::decode::events::FieldSet;
use crate::decode::schemas::Schemas;
use crate::model::field::Field;
use crate::project::{Declarative, Lane, LaneError, Projection};
use crate::topology::Topology;

/// Makes a projection that reads these fields. Every worker has one of its own.
type Make = Arc<dyn Fn(&FieldSet) -> Box<dyn Projection> + Send + Sync>;

/// Projections beside those of the topology.
#[derive(Clone, Default)]
pub struct Projections {
    own: Vec<Own>,
}

#[derive(Clone)]
struct Own {
    name: String,
    fields: Vec<Field>,
    make: Make,
}

impl fmt::Debug for Projections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.own.iter().map(|own| &own.name)).finish()
    }
}

impl Projections {
    /// Adds the projection that the topology names `[projection.NAME]`, which says its topic and its table. `fields` are
    /// what it needs of an event; `make` finds their slots in the fields that it is given, which hold those of the
    /// topic's other readers too.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        fields: Vec<Field>,
        make: impl Fn(&FieldSet) -> Box<dyn Projection> + Send + Sync + 'static,
    ) -> Self {
        self.own.push(Own { name: name.to_owned(), fields, make: Arc::new(make) });
        self
    }

    /// The ids of the topics that something reads.
    #[must_use]
    pub fn topics(&self, topology: &Topology) -> Vec<String> {
        let is_read = |id: &&String| {
            topology.models.values().any(|model| model.topic == **id)
                || topology.projections.values().any(|own| own.topic == **id)
        };
        topology.topics.keys().filter(is_read).cloned().collect()
    }

    /// The lane of a topic, by its id.
    ///
    /// # Errors
    /// [`LaneError`] if there is no such topic, nothing reads it, or its readers disagree about a field.
    pub fn lane(&self, topology: &Topology, topic_id: &str) -> Result<Lane, LaneError> {
        self.lane_with_schemas(topology, topic_id, &Arc::default())
    }

    /// The same, with the schemas of a registry.
    ///
    /// # Errors
    /// As [`Projections::lane`].
    pub fn lane_with_schemas(
        &self,
        topology: &Topology,
        topic_id: &str,
        schemas: &Arc<Schemas>,
    ) -> Result<Lane, LaneError> {
        let topic_name = || topic_id.to_owned();
        let reading = topology.reading(topic_id).ok_or_else(|| LaneError::UnknownTopic { topic: topic_name() })?;
        let fields = self.fields(topology, topic_id)?;
        let mut projections: Vec<Box<dyn Projection>> = Vec::new();
        for (name, model) in topology.models.iter().filter(|(_, model)| model.topic == topic_id) {
            let projection = Declarative::new(name, model, &fields)
                .map_err(|source| LaneError::Projection { topic: topic_name(), source })?;
            projections.push(Box::new(projection));
        }
        for (name, declared) in topology.projections.iter().filter(|(_, own)| own.topic == topic_id) {
            let made = (self.named(name)?.make)(&fields);
            let table = made.layout().table();
            if **table != *declared.table {
                let (name, declared, table) = (name.clone(), declared.table.clone(), table.to_string());
                return Err(LaneError::OtherTable { name, declared, table });
            }
            projections.push(made);
        }
        if projections.is_empty() {
            return Err(LaneError::NoModel { topic: topic_name() });
        }
        let decoder = Decoder::with_schemas(&reading, fields, Arc::clone(schemas));
        let decoder = decoder.map_err(|source| LaneError::Reading { topic: topic_name(), source })?;
        Ok(Lane::of(decoder, projections))
    }

    /// All lanes, by Kafka's topic name, with the schemas of a registry.
    ///
    /// # Errors
    /// As [`Projections::lane`]; so is a projection that the topology does not name.
    pub fn lanes(&self, topology: &Topology, schemas: &Arc<Schemas>) -> Result<BTreeMap<String, Lane>, LaneError> {
        if let Some(lost) = self.own.iter().find(|own| !topology.projections.contains_key(&own.name)) {
            return Err(LaneError::NotNamed { name: lost.name.clone() });
        }
        let mut lanes = BTreeMap::new();
        for id in self.topics(topology) {
            let Some(topic) = topology.topics.get(&id) else { continue };
            lanes.insert(topic.name.clone(), self.lane_with_schemas(topology, &id, schemas)?);
        }
        Ok(lanes)
    }

    fn named(&self, name: &str) -> Result<&Own, LaneError> {
        self.own.iter().find(|own| own.name == name).ok_or_else(|| LaneError::NoProjection { name: name.to_owned() })
    }

    fn fields(&self, topology: &Topology, topic_id: &str) -> Result<FieldSet, LaneError> {
        let failed = |source| LaneError::Fields { topic: topic_id.to_owned(), source };
        let declared = topology.fields(topic_id).map_err(failed)?;
        let mut fields = declared.all().to_vec();
        let mut own = Vec::new();
        for (name, _) in topology.projections.iter().filter(|(_, own)| own.topic == topic_id) {
            own.extend(&self.named(name)?.fields);
        }
        for field in own {
            // The topology says how a field may be written; both may read it.
            let is_known = |known: &Field| known.path == field.path && known.data_type == field.data_type;
            if !fields.iter().any(is_known) {
                fields.push(field.clone());
            }
        }
        FieldSet::new(fields).map_err(failed)
    }
}
