//! A table of every cluster against an independent fold of the events.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use halcyon::chat::expect::Expected;
use halcyon::sink::hbase::client;
use halcyon::topology::load::load;
use halcyon::verify::compare::{Comparison, compare};
use halcyon::verify::rows::{Computed, of_table};

use crate::load::Load;

/// Arguments of `verify`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Verify {
    /// Topology with the clusters
    #[arg(long = "topology", default_value = "topology/stack.toml")]
    pub(crate) files: Vec<PathBuf>,
    /// Only these clusters
    #[arg(long = "cluster")]
    pub(crate) clusters: Vec<String>,
    /// Table
    #[arg(long, default_value = "message")]
    pub(crate) table: String,
    /// The events that were sent
    #[command(flatten)]
    pub(crate) load: Load,
}

/// Compares, prints what it found, fails if anything differs.
pub(crate) fn run(args: &Verify) -> anyhow::Result<()> {
    let mut differences = 0;
    for (cluster, found) in check(args)? {
        println!("{cluster}: {} rows, {} cells checked, {} differ", found.rows, found.cells, found.differences);
        for example in &found.examples {
            println!("    {example}");
        }
        differences += found.differences;
    }
    anyhow::ensure!(differences == 0, "{differences} cells differ from an independent fold of the events");
    Ok(())
}

/// Compares every cluster.
pub(crate) fn check(args: &Verify) -> anyhow::Result<Vec<(String, Comparison)>> {
    let topology = load(&args.files)?.topology;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut found = Vec::new();
    for (name, cluster) in &topology.clusters {
        if !args.clusters.is_empty() && !args.clusters.contains(name) {
            continue;
        }
        let began = Instant::now();
        let mut expected = Expected::default();
        args.load.sequence().take((args.load.skip + args.load.events) as usize).for_each(|event| expected.add(&event));
        let comparison = runtime.block_on(async {
            let mut table = of_table(&client(cluster), &args.table);
            compare(&mut Computed(expected.into_rows()), &mut table).await
        });
        let comparison = comparison.map_err(|error| anyhow::anyhow!(error.chain()));
        found.push((name.clone(), comparison.with_context(|| format!("read cluster {name}"))?));
        println!("{name} compared in {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(found)
}
