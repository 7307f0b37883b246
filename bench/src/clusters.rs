//! halcyon from a real Kafka into one real HBase cluster and into two: the cost of the process, and of the second cluster.

use anyhow::Context;

use crate::case::{Amount, Case, Need, Options};
use crate::halcyon_process::Halcyon;
use crate::load::{self, Load};
use crate::measured::{Bound, Measured, Number, Wanted};
use crate::raw_consumer;
use crate::stack::Stack;

const RAW: &str = "librdkafka alone";
const ONE: &str = "halcyon, one cluster";
const TWO: &str = "halcyon, two clusters from one read";
const APART: &str = "halcyon, two clusters at their own pace";

/// With each subject the clusters and further arguments.
const SUBJECTS: [(&str, &[&str], &[&str]); 3] = [
    (ONE, &["green"], &[]),
    // Both wait for the slower one.
    (TWO, &["blue", "green"], &["--private-readers", "0"]),
    (APART, &["blue", "green"], &[]),
];

pub(crate) const CASE: Case = Case {
    name: "clusters",
    about: "halcyon into one HBase cluster and into two, beside librdkafka alone",
    needs: &[Need::Kafka, Need::HBase],
    minutes: (15, 4),
    full: Amount { events: 2_000_000, rounds: 3 },
    quick: Amount { events: 100_000, rounds: 1 },
    answer: "after each run every cell of every cluster is compared with a fold of the events that shares no code with the \
             pipeline",
    bias: &[
        "broker, servers and halcyon share the machine: the rate says what all of them need together; compare CPU first",
        "the whole process is measured, start and group join included; fold and comparison run elsewhere and are not",
        "the events are ours: chat messages of about 330 bytes, with whole edits and deletions; 16 partitions, 16 regions",
        "the memory budget is smaller than the default, so that the peak says what is needed and not what is allowed",
        "two clusters are measured twice: with one read for both, which goes as fast as the slower one, and as it is by default: \
         the slower one is taken off the shared read and has a second read and a second decoding of its own",
        "the raw consumer throws every payload away: nothing can be cheaper",
    ],
    run: measure,
};

fn measure(options: &Options, amount: Amount) -> anyhow::Result<Measured> {
    let binary = options.halcyon()?;
    let stack = Stack::start(options.stack.as_deref(), &[])?;
    let load = Load::of(&stack, "clusters", amount.events)?;
    load::run(&load)?;
    let halcyon = Halcyon { binary: &binary, memory_mib: options.memory_mib, stack: &stack };
    let (mut samples, mut notes) = (Vec::new(), Vec::new());
    for round in 1..=amount.rounds {
        samples.push(raw_consumer::measure(RAW, round, &load, &stack)?);
        for (number, (subject, clusters, arguments)) in SUBJECTS.iter().enumerate() {
            let table = format!("bench{}_{round}_{number}", std::process::id());
            let topology = halcyon.prepare(&load, &table, clusters)?;
            println!("round {round}: {subject} ...");
            samples.push(halcyon.measure((subject, arguments), round, &load, &topology)?);
            let checked = topology.check(&load).with_context(|| format!("after {subject}"))?;
            if round == 1 {
                notes.push(format!("{subject}: {checked}"));
            }
        }
    }
    Ok(Measured {
        noun: "events",
        numbers: vec![Number::Cpu, Number::Rate, Number::Memory],
        pairs: vec![
            (ONE.to_owned(), RAW.to_owned()),
            (TWO.to_owned(), ONE.to_owned()),
            (APART.to_owned(), ONE.to_owned()),
        ],
        notes,
        samples,
        wanted: vec![
            Wanted::of(Number::Cpu, TWO, Some(ONE), Bound::AtMost(1.15)),
            Wanted::of(Number::Memory, ONE, None, Bound::AtMost(150.0)),
            Wanted::of(Number::Memory, TWO, None, Bound::AtMost(150.0)),
            Wanted::of(Number::Memory, APART, None, Bound::AtMost(150.0)),
        ],
    })
}
