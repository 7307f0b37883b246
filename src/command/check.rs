//! `halcyon check`: is the topology right, and with `--live`, does the world fit it? Every finding at once.

use crate::cli::Check;
use crate::command::offsets::margin;
use crate::command::{Outcome, print};
use crate::error_chain::chain;
use crate::source::kafka::{SourceError, find, offsets_of};
use crate::topology::load::load;
use crate::topology::{Topology, schema};

/// Checks and prints what is wrong.
///
/// # Errors
/// If the runtime cannot be started.
pub fn run(args: &Check) -> anyhow::Result<Outcome> {
    if args.schema {
        print::line(schema())?;
        return Ok(Outcome::Done);
    }
    let mut findings = Findings { json: args.json, wrong: 0 };
    let loaded = match load(&args.topology.files) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            for mistake in &mistakes.0 {
                findings.wrong(&mistake.to_string())?;
            }
            return Ok(findings.outcome());
        }
    };
    for warning in &loaded.warnings {
        findings.doubt(&warning.to_string())?;
    }
    let topology = loaded.topology;
    if args.live {
        super::runtime()?.block_on(live(&topology, &mut findings))?;
    }
    let (topics, models, clusters) = (topology.topics.len(), topology.models.len(), topology.clusters.len());
    findings.fine(&format!("{}: {topics} topics, {models} models, {clusters} clusters", topology.name))?;
    Ok(findings.outcome())
}

async fn live(topology: &Topology, findings: &mut Findings) -> anyhow::Result<()> {
    let asked = topology.clone();
    let brokers = tokio::task::spawn_blocking(move || brokers(&asked));
    for finding in brokers.await? {
        match finding {
            Ok(fine) => findings.fine(&fine)?,
            Err(wrong) => findings.wrong(&wrong)?,
        }
    }
    for name in topology.clusters.keys() {
        match super::table::compare(topology, std::slice::from_ref(name)).await {
            Err(error) => findings.wrong(&format!("{error:#}; check the addresses in [cluster.{name}]"))?,
            Ok(tables) => {
                for table in tables {
                    let place = format!("cluster {name}, table {}", table.table);
                    match (table.exists, table.differences.is_empty()) {
                        (false, _) => findings.wrong(&format!("{place} is missing; run `halcyon table create`"))?,
                        (true, true) => findings.fine(&format!("{place} is as wanted"))?,
                        (true, false) => findings.wrong(&format!("{place}: {}", table.differences.join("; ")))?,
                    }
                }
            }
        }
    }
    Ok(())
}

/// Asks the brokers for every topic.
fn brokers(topology: &Topology) -> Vec<Result<String, String>> {
    let store = match offsets_of(topology, &topology.name) {
        Ok(store) => store,
        Err(error) => return vec![Err(chain(&error))],
    };
    let mut findings = Vec::new();
    for topic in topology.topics.values() {
        match find(topology, &store, &topic.name) {
            Ok(count) => findings.push(Ok(format!("topic {} has {count} partitions", topic.name))),
            Err(error @ (SourceError::TopicMissing { .. } | SourceError::Forbidden { .. })) => {
                findings.push(Err(error.to_string()));
            }
            Err(error) => {
                findings.push(Err(chain(&error)));
                return findings;
            }
        }
        findings.extend(margin(topic).map(|margin| Ok(format!("topic {}: {margin}", topic.name))));
    }
    findings
}

/// Findings as they are printed.
struct Findings {
    json: bool,
    wrong: usize,
}

impl Findings {
    fn fine(&self, what: &str) -> anyhow::Result<()> {
        self.say("ok", what)
    }

    fn doubt(&self, what: &str) -> anyhow::Result<()> {
        self.say("warning", what)
    }

    fn wrong(&mut self, what: &str) -> anyhow::Result<()> {
        self.wrong += 1;
        self.say("wrong", what)
    }

    fn say(&self, verdict: &str, what: &str) -> anyhow::Result<()> {
        if self.json {
            print::line(serde_json::json!({"verdict": verdict, "what": what}))
        } else {
            print::line(format_args!("{verdict:<8}{what}"))
        }
    }

    fn outcome(&self) -> Outcome {
        if self.wrong == 0 { Outcome::Done } else { Outcome::Wrong }
    }
}
