//! The cases that `bench` knows: what each measures, what it needs, how its answer is checked, and what its numbers favour.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::measured::Measured;
use crate::{client, clusters, counting, frozen, peers};

/// What must be there beside the built binaries. Servers are started by `docker/stack`, which needs a JDK 17 and Maven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Need {
    /// A real Kafka.
    Kafka,
    /// Real HBase clusters.
    HBase,
    /// JVM peers, built by Maven.
    Java,
    /// A Go toolchain; without it its rows are left out.
    Go,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "kafka",
            Self::HBase => "hbase",
            Self::Java => "java",
            Self::Go => "go",
        })
    }
}

/// How much a case does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Amount {
    /// Events, or rows.
    pub(crate) events: u64,
    /// Interleaved rounds.
    pub(crate) rounds: u32,
}

/// What every case understands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Events (or rows) instead of the case's own number
    #[arg(long)]
    pub(crate) events: Option<u64>,
    /// Interleaved rounds instead of the case's own number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Few events and one round: shows that the case works, says little about speed
    #[arg(long)]
    pub(crate) quick: bool,
    /// Keep raw samples (JSON), table (Markdown) and chart (SVG) in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Use the running stack of this name instead of starting one
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// The halcyon binary; beside this one by default
    #[arg(long, value_name = "FILE")]
    pub(crate) halcyon: Option<PathBuf>,
    /// Memory budget of halcyon in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(16..))]
    pub(crate) memory_mib: u64,
}

impl Options {
    /// The halcyon binary, if it is there.
    pub(crate) fn halcyon(&self) -> anyhow::Result<PathBuf> {
        let path = match &self.halcyon {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("halcyon"),
        };
        let at = path.display();
        anyhow::ensure!(path.exists(), "{at} is missing; build it: cargo build --release --bin halcyon");
        Ok(path)
    }
}

/// A benchmark.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// One line.
    pub(crate) about: &'static str,
    pub(crate) needs: &'static [Need],
    /// Minutes on two cores, builds and downloads not counted: full, quick.
    pub(crate) minutes: (u32, u32),
    pub(crate) full: Amount,
    pub(crate) quick: Amount,
    /// How the answer is checked before anything is reported.
    pub(crate) answer: &'static str,
    /// Whom the set-up favours, and what the numbers do not say.
    pub(crate) bias: &'static [&'static str],
    #[serde(skip)]
    pub(crate) run: fn(&Options, Amount) -> anyhow::Result<Measured>,
}

impl Case {
    /// How much is to be done with these options.
    pub(crate) fn amount(&self, options: &Options) -> Amount {
        let Amount { events, rounds } = if options.quick { self.quick } else { self.full };
        Amount { events: options.events.unwrap_or(events), rounds: options.rounds.unwrap_or(rounds) }
    }

    /// What it needs, in words.
    pub(crate) fn needed(&self) -> String {
        match self.needs {
            [] => "nothing".to_owned(),
            needs => needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + "),
        }
    }
}

/// All cases.
pub(crate) const CASES: &[Case] = &[counting::CASE, clusters::CASE, peers::CASE, client::CASE, frozen::CASE];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_says_what_it_does_how_it_is_checked_and_what_it_favours() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len(), "two cases have one name");
        for case in CASES {
            let name = case.name;
            assert!(!case.about.is_empty() && !case.about.contains('\n'), "{name}");
            assert!(!case.answer.is_empty() && !case.bias.is_empty(), "{name}");
            assert!(case.quick.events <= case.full.events && case.quick.rounds <= case.full.rounds, "{name}");
            assert!(case.minutes.0 >= case.minutes.1 && case.minutes.1 > 0, "{name}");
            assert!(
                include_str!("../README.md").contains(&format!("\n### {name}\n")),
                "{name} is not in bench/README.md"
            );
        }
    }

    #[test]
    fn options_override_what_a_case_would_do() {
        let options = Options {
            events: None,
            rounds: None,
            quick: false,
            record: None,
            stack: None,
            halcyon: None,
            memory_mib: 64,
        };
        let case = &clusters::CASE;
        assert_eq!(case.amount(&options), case.full);
        assert_eq!(case.amount(&Options { quick: true, ..options.clone() }), case.quick);
        let few = Options { quick: true, events: Some(7), rounds: Some(9), ..options };
        assert_eq!(case.amount(&few), Amount { events: 7, rounds: 9 });
    }
}
