//! `halcyon table create|diff`: what the topology asks for against what every cluster has.

use anyhow::Context;
use bytes::Bytes;
use hbase::client::admin::{self, TableDescriptor};
use hbase::table_name::TableName;
use serde::Serialize;

use super::{Outcome, print};
use crate::cli::{TableArgs, TableCreate};
use crate::halt::{Halt, HaltKind};
use crate::sink::hbase::client;
use crate::topology::{Cluster, Family, Table, Topology};

/// What a table of a cluster lacks or has otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableFinding {
    /// Cluster.
    pub cluster: String,
    /// Table.
    pub table: String,
    /// Whether the table is there at all.
    pub exists: bool,
    /// Sentences, one for each difference.
    pub differences: Vec<String>,
}

/// Compares every table of the topology with every (named) cluster.
///
/// # Errors
/// If a cluster does not answer.
pub async fn compare(topology: &Topology, only: &[String]) -> anyhow::Result<Vec<TableFinding>> {
    let mut findings = Vec::new();
    for (cluster, settings) in chosen(topology, only)? {
        let admin = client(settings).admin();
        for (name, table) in &topology.tables {
            let found = admin.describe_table(&TableName::new(name)).await;
            let found = found.map_err(|error| anyhow::anyhow!("cluster {cluster}: {}", error.chain()))?;
            let differences = found.as_ref().map(|found| differences(table, found)).unwrap_or_default();
            let exists = found.is_some();
            findings.push(TableFinding { cluster: cluster.to_owned(), table: name.clone(), exists, differences });
        }
    }
    Ok(findings)
}

fn chosen<'a>(topology: &'a Topology, only: &[String]) -> anyhow::Result<Vec<(&'a str, &'a Cluster)>> {
    for name in only {
        if !topology.clusters.contains_key(name) {
            let known: Vec<&str> = topology.clusters.keys().map(String::as_str).collect();
            let message = format!("--cluster {name}: the topology has no such cluster; it has {}", known.join(", "));
            return Err(Halt::new(HaltKind::Topology, message).into());
        }
    }
    let clusters = topology.clusters.iter().filter(|(name, _)| only.is_empty() || only.contains(name));
    Ok(clusters.map(|(name, cluster)| (name.as_str(), cluster)).collect())
}

/// How a table differs from what the topology asks for, as sentences.
fn differences(wanted: &Table, found: &TableDescriptor) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, family) in &wanted.families {
        let Some(known) = found.families.iter().find(|known| known.name == *name) else {
            differences.push(format!("family {name} is missing"));
            continue;
        };
        for (attribute, value) in attributes(family) {
            let has = known.attribute(attribute).unwrap_or(default_of(attribute));
            if !has.eq_ignore_ascii_case(&value) {
                differences.push(format!("family {name}: {attribute} is {has}, wanted {value}"));
            }
        }
    }
    differences
}

/// HBase leaves some defaults out of its descriptors.
fn default_of(attribute: &str) -> &'static str {
    match attribute {
        "VERSIONS" => "1",
        "TTL" => "2147483647",
        "BLOOMFILTER" => "ROW",
        _ => "NONE",
    }
}

fn attributes(family: &Family) -> Vec<(&'static str, String)> {
    vec![
        ("VERSIONS", family.versions.to_string()),
        ("COMPRESSION", family.compression.name().to_owned()),
        ("BLOOMFILTER", family.bloom.name().to_owned()),
        ("TTL", family.ttl_s.map_or_else(|| default_of("TTL").to_owned(), |ttl| ttl.to_string())),
    ]
}

fn descriptor(name: &str, table: &Table) -> TableDescriptor {
    let family = |(name, family): (&String, &Family)| {
        let mut made = admin::Family::new(name);
        for (attribute, value) in attributes(family) {
            made = made.with(attribute, value);
        }
        made
    };
    TableDescriptor { name: TableName::new(name), families: table.families.iter().map(family).collect() }
}

/// Makes what is missing. A table that is there is left as it is.
///
/// # Errors
/// If a cluster does not answer or refuses.
pub fn create(args: &TableCreate) -> anyhow::Result<Outcome> {
    let topology = super::topology(&args.tables.topology)?;
    super::runtime()?.block_on(async {
        let findings = compare(&topology, &args.tables.clusters).await?;
        for finding in &findings {
            let Some(table) = topology.tables.get(&finding.table) else { continue };
            let action = match (finding.exists, args.dry_run) {
                (true, _) => "exists",
                (false, true) => "would be made",
                (false, false) => {
                    make(&topology, finding, table).await?;
                    "made"
                }
            };
            say(&args.tables, finding, action)?;
        }
        Ok(Outcome::Done)
    })
}

/// Makes one table.
async fn make(topology: &Topology, finding: &TableFinding, table: &Table) -> anyhow::Result<()> {
    let cluster = topology.clusters.get(&finding.cluster).context("a cluster of the topology")?;
    let splits: Vec<Bytes> = table.splits.iter().map(|split| Bytes::copy_from_slice(split)).collect();
    let made = client(cluster).admin().create_table(&descriptor(&finding.table, table), &splits).await;
    made.map_err(|error| anyhow::anyhow!("cluster {}, table {}: {}", finding.cluster, finding.table, error.chain()))
}

/// Makes every missing table of these clusters; for the demo and benchmarks.
///
/// # Errors
/// If a cluster does not answer or refuses.
pub async fn create_missing(topology: &Topology) -> anyhow::Result<()> {
    for finding in compare(topology, &[]).await? {
        if let Some(table) = topology.tables.get(&finding.table).filter(|_| !finding.exists) {
            make(topology, &finding, table).await?;
        }
    }
    Ok(())
}

/// Shows differences.
///
/// # Errors
/// If a cluster does not answer.
pub fn diff(args: &TableArgs) -> anyhow::Result<Outcome> {
    let topology = super::topology(&args.topology)?;
    let findings = super::runtime()?.block_on(compare(&topology, &args.clusters))?;
    for finding in &findings {
        let verdict = match (finding.exists, finding.differences.is_empty()) {
            (false, _) => "is missing",
            (true, true) => "is as wanted",
            (true, false) => "differs",
        };
        say(args, finding, verdict)?;
    }
    let same = findings.iter().all(|finding| finding.exists && finding.differences.is_empty());
    Ok(if same { Outcome::Done } else { Outcome::Different })
}

fn say(args: &TableArgs, finding: &TableFinding, verdict: &str) -> anyhow::Result<()> {
    if args.json {
        let mut value = serde_json::json!(finding);
        if let Some(object) = value.as_object_mut() {
            object.insert("verdict".to_owned(), verdict.into());
        }
        return print::line(value);
    }
    print::line(format_args!("{}: table {} {verdict}", finding.cluster, finding.table))?;
    for difference in &finding.differences {
        print::line(format_args!("    {difference}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hbase_leaves_out_is_its_default() {
        let wanted = Table { families: [("m".to_owned(), Family::default())].into(), splits: Vec::new() };
        let bare = TableDescriptor { name: TableName::new("t"), families: vec![admin::Family::new("m")] };
        assert_eq!(differences(&wanted, &bare), Vec::<String>::new());
        assert_eq!(differences(&wanted, &descriptor("t", &wanted)), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_a_sentence() {
        let families = [("m".to_owned(), Family::default()), ("n".to_owned(), Family::default())];
        let wanted = Table { families: families.into(), splits: Vec::new() };
        let other = admin::Family::new("m").with("VERSIONS", "3").with("TTL", "60");
        let found = TableDescriptor { name: TableName::new("t"), families: vec![other] };
        let expected =
            ["family m: VERSIONS is 3, wanted 1", "family m: TTL is 60, wanted 2147483647", "family n is missing"];
        assert_eq!(differences(&wanted, &found), expected);
    }
}
