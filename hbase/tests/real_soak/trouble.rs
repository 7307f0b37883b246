//! What happens to the cluster meanwhile: servers are killed and started, regions are split, merged and moved, memory is
//! flushed, in an order that a seed gives.
//!
//! The next incident comes when the writers have got on since the last one, so that each of them meets live traffic.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hbase::client::{Client, ClientConfig};
use hbase::registry::Registry;
use hbase::table_name::TableName;

use super::Run;
use super::model::{Model, mix};
use crate::support::stack::{on_stack, script};

/// More regions are not made by splitting, fewer not by merging.
const REGIONS_MAX: usize = 24;
const REGIONS_MIN: usize = 6;
/// How long an order to the cluster may take; an order that fails is counted and no error: the cluster is in trouble.
const PATIENCE: Duration = Duration::from_secs(20);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Incident {
    Kill,
    Start,
    Split,
    Merge,
    Move,
    Flush,
}

/// What happens first, so that the shortest run has one of each; then the seed says.
const FIRST: [Incident; 6] =
    [Incident::Kill, Incident::Move, Incident::Split, Incident::Start, Incident::Merge, Incident::Flush];

/// Counts of what was done, and of orders that the cluster did not carry out.
#[derive(Debug, Default)]
pub(crate) struct Done {
    done: BTreeMap<Incident, u32>,
    failed: BTreeMap<Incident, u32>,
}

impl Done {
    fn count(&mut self, incident: Incident, outcome: &Result<(), String>) {
        *(if outcome.is_ok() { &mut self.done } else { &mut self.failed }).entry(incident).or_default() += 1;
    }

    /// Kills of region servers.
    pub(crate) fn kills(&self) -> u32 {
        self.done.get(&Incident::Kill).copied().unwrap_or(0)
    }
}

/// The region servers and the table.
pub(crate) struct Trouble {
    client: Client,
    table: TableName,
    servers: Vec<String>,
    down: Option<String>,
    shell: Option<Shell>,
    first: std::array::IntoIter<Incident, 6>,
    random: u64,
}

impl Trouble {
    pub(crate) fn new(registry: Registry, table: TableName, seed: u64) -> Self {
        let listed = on_stack(&["status"]);
        let name = |line: &str| line.trim().split_once(" pid=").map(|(name, _)| name.to_owned());
        let servers: Vec<String> = listed.lines().filter_map(name).filter(|name| name.starts_with("rs")).collect();
        assert!(servers.len() > 1, "region servers of their own are needed to kill one: {listed}");
        let client = Client::new(ClientConfig { operation_timeout: PATIENCE, ..ClientConfig::new(registry) });
        let (shell, first) = (Some(Shell::start()), FIRST.into_iter());
        Self { client, table, servers, down: None, shell, first, random: seed }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = mix(self.random);
        self.random % below
    }

    /// Makes trouble until the run is over, then mends what is broken.
    pub(crate) async fn make(mut self, run: Arc<Run>) -> Done {
        let mut done = Done::default();
        while !run.is_over.load(Ordering::SeqCst) {
            let incident = self.next();
            let outcome = self.cause(incident, &run.model).await;
            let why = outcome.as_ref().err().map_or("done", |why| why.get(..160).unwrap_or(why));
            println!("{:6.1} s  {incident:?}: {why}", run.seconds());
            done.count(incident, &outcome);
            run.progress().await;
        }
        if self.down.is_some() {
            let outcome = self.cause(Incident::Start, &run.model).await;
            done.count(Incident::Start, &outcome);
        }
        done
    }

    /// A server that is down comes back sooner or later; else anything may happen.
    fn next(&mut self) -> Incident {
        if let Some(first) = self.first.next() {
            return first;
        }
        match self.random(10) {
            0..=3 if self.down.is_some() => Incident::Start,
            0..=2 => Incident::Kill,
            3 | 4 => Incident::Move,
            5 | 6 => Incident::Split,
            7 | 8 => Incident::Merge,
            _ => Incident::Flush,
        }
    }

    async fn cause(&mut self, incident: Incident, model: &Model) -> Result<(), String> {
        let row = Bytes::from(Model::key(self.random(model.rows())));
        let place = self.random(1 << 32) as usize;
        let admin = self.client.admin();
        match incident {
            Incident::Kill => {
                let server = self.servers[place % self.servers.len()].clone();
                order(vec!["kill".to_owned(), "green".to_owned(), server.clone()]).await;
                self.down = Some(server);
                Ok(())
            }
            Incident::Start => {
                let Some(server) = self.down.take() else { return Ok(()) };
                order(vec!["proc".to_owned(), "green".to_owned(), server]).await;
                Ok(())
            }
            Incident::Move => admin.move_region(&self.table, &row, None).await.map_err(|error| error.chain()),
            Incident::Split => {
                if self.regions().await?.len() >= REGIONS_MAX {
                    return Err("there are regions enough".to_owned());
                }
                admin.split(&self.table, &row).await.map_err(|error| error.chain())
            }
            Incident::Merge => self.merge(place).await,
            Incident::Flush => self.say(format!("flush {}", self.table)).await,
        }
    }

    async fn regions(&self) -> Result<Vec<String>, String> {
        let regions = self.client.regions(&self.table).await.map_err(|error| error.chain())?;
        Ok(regions.iter().map(|region| String::from_utf8_lossy(region.encoded_name()).into_owned()).collect())
    }

    async fn merge(&mut self, place: usize) -> Result<(), String> {
        let regions = self.regions().await?;
        if regions.len() <= REGIONS_MIN {
            return Err("there are few regions".to_owned());
        }
        let first = place % (regions.len() - 1);
        self.say(format!("merge {} {}", regions[first], regions[first + 1])).await
    }

    /// A command of the shell; the cluster may refuse it.
    async fn say(&mut self, command: String) -> Result<(), String> {
        let mut shell = self.shell.take().expect("one command at a time");
        let run = move || {
            let said = shell.say(&command);
            (shell, said)
        };
        let (shell, said) = tokio::task::spawn_blocking(run).await.expect("the shell runs");
        self.shell = Some(shell);
        said
    }
}

/// The stack's script, which cannot fail here.
async fn order(arguments: Vec<String>) -> String {
    let run = move || on_stack(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("the script runs")
}

/// The stack's small Java shell, one for the whole run: a JVM takes seconds to start.
struct Shell {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What the shell is made to print after a command.
const ANSWERED: &str = "answered";

impl Shell {
    fn start() -> Self {
        let mut process = script(&["sh", "green"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the script runs");
        let orders = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, orders, answers }
    }

    fn say(&mut self, command: &str) -> Result<(), String> {
        writeln!(self.orders, "try {command}\necho {ANSWERED}").expect("the shell listens");
        let mut outcome = Ok(());
        for line in self.answers.by_ref().lines() {
            let line = line.expect("text");
            if line == ANSWERED {
                return outcome;
            }
            if line.starts_with('!') {
                outcome = Err(line);
            }
        }
        panic!("the shell has ended");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It ends by itself when nobody can give it orders any more; this is for one that hangs.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
