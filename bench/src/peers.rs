//! halcyon beside the JVM applications that people write instead: a plain consumer and a Kafka Streams application, both
//! with HBase's BufferedMutator, on one topic and one real cluster. Sources in `peers/apps`.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::case::{Amount, Case, Need, Options};
use crate::halcyon_process::{Halcyon, Prepared};
use crate::jvm::Jvm;
use crate::load::{self, Load};
use crate::measured::{Bound, Measured, Number, Sample, Wanted};
use crate::process;
use crate::stack::Stack;

const OURS: &str = "halcyon";
const SERVER_CPU: Number = Number::More { name: "server CPU", unit: "s" };
/// The heap that the applications were tried with.
const HEAP: &str = "-Xmx1g";

pub(crate) const CASE: Case = Case {
    name: "peers",
    about: "halcyon beside a plain consumer and a Kafka Streams application on one HBase cluster",
    needs: &[Need::Kafka, Need::HBase, Need::Java],
    minutes: (25, 4),
    full: Amount { events: 2_000_000, rounds: 3 },
    quick: Amount { events: 50_000, rounds: 1 },
    answer: "each application writes the same cells into a fresh table, and after each run every cell is compared with a fold of \
             the events that shares no code with any of them",
    bias: &[
        "broker, servers and client share the machine: the rate says what all of them need together; compare CPU first",
        "starting a JVM and compiling in it is part of its numbers: the more events, the less it counts",
        "the applications are ours, with the settings that were cheapest when they were tried: write buffer 2 MiB, heap 1 GB; \
         who knows these frameworks better may find more in them",
        "the Streams application does not flush before each commit, and so promises less than the others: in its favour",
        "halcyon's memory budget is smaller than its default, and it folds versions of a row in one batch, which they do not",
    ],
    run: measure,
};

/// An application and its settings.
struct Peer {
    subject: &'static str,
    mode: &'static str,
    threads: &'static str,
    collector: &'static str,
}

const PEERS: [Peer; 4] = [
    Peer { subject: "plain consumer, 1 thread, G1", mode: "plain", threads: "1", collector: "-XX:+UseG1GC" },
    Peer { subject: "plain consumer, 2 threads, G1", mode: "plain", threads: "2", collector: "-XX:+UseG1GC" },
    Peer { subject: "Kafka Streams, 2 threads, G1", mode: "streams", threads: "2", collector: "-XX:+UseG1GC" },
    Peer {
        subject: "Kafka Streams, 2 threads, ParallelGC",
        mode: "streams",
        threads: "2",
        collector: "-XX:+UseParallelGC",
    },
];

fn measure(options: &Options, amount: Amount) -> anyhow::Result<Measured> {
    let binary = options.halcyon()?;
    let jvm = Jvm::build("apps")?;
    let stack = Stack::start(options.stack.as_deref(), &[])?;
    let load = Load::of(&stack, "peers", amount.events)?;
    load::run(&load)?;
    let halcyon = Halcyon { binary: &binary, memory_mib: options.memory_mib, stack: &stack };
    let (mut samples, mut notes) = (Vec::new(), Vec::new());
    for round in 1..=amount.rounds {
        // Each round begins with another one: none always follows the same.
        for turn in 0..=PEERS.len() {
            let index = (turn + round as usize - 1) % (PEERS.len() + 1);
            let table = format!("peers{}_{round}_{index}", std::process::id());
            let prepared = halcyon.prepare(&load, &table, &["green"])?;
            let peer = index.checked_sub(1).and_then(|index| PEERS.get(index));
            let subject = peer.map_or(OURS, |peer| peer.subject);
            println!("round {round}: {subject} ...");
            let sample = match peer {
                None => halcyon.measure((subject, &[]), round, &load, &prepared)?,
                Some(peer) => peer.measure(&jvm, round, &load, (&stack, &prepared))?,
            };
            let checked = prepared.check(&load).with_context(|| format!("after {subject}"))?;
            if round == 1 {
                notes.push(format!("{subject}: {checked}"));
            }
            samples.push(sample);
        }
    }
    let wanted = |number, bound| PEERS.iter().map(move |peer| Wanted::of(number, OURS, Some(peer.subject), bound));
    let [cpu, memory, rate] = [
        wanted(Number::Cpu, Bound::AtMost(0.1)),
        wanted(Number::Memory, Bound::AtMost(0.1)),
        wanted(Number::Rate, Bound::AtLeast(1.0)),
    ];
    Ok(Measured {
        noun: "events",
        numbers: vec![Number::Cpu, Number::Rate, Number::Memory, SERVER_CPU],
        pairs: PEERS.iter().map(|peer| (OURS.to_owned(), peer.subject.to_owned())).collect(),
        notes,
        samples,
        wanted: cpu.chain(memory).chain(rate).collect(),
    })
}

impl Peer {
    /// One run from the topic's beginning until everything is written and committed.
    fn measure(
        &self,
        jvm: &Jvm,
        round: u32,
        load: &Load,
        (stack, prepared): (&Stack, &Prepared),
    ) -> anyhow::Result<Sample> {
        let quorum = stack.green_quorum()?;
        // Streams wants a folder for its state, though it has none.
        let scratch = tempfile::tempdir()?;
        let mut command = Command::new(&jvm.program);
        command.arg(format!("-Djava.io.tmpdir={}", scratch.path().display()));
        command
            .args([
                HEAP,
                self.collector,
                "-cp",
                &jvm.classes,
                "halcyon.apps.App",
                self.mode,
                &load.brokers,
                &load.topic,
            ])
            .args([&load.events.to_string(), self.threads, &quorum, &prepared.table]);
        let ran = process::run(self.subject, &mut command, &stack.processes()?)?;
        let wanted = format!("events={}", load.events);
        ensure!(ran.said.trim() == wanted, "{} said {:?}, not {wanted}", self.subject, ran.said.trim());
        Ok(ran.sample(self.subject, round, load.events))
    }
}
