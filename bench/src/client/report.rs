//! The table of a client benchmark: medians of the rounds, ratios of medians' rounds, and what was wanted.

use std::fmt;

use super::digest::Digest;
use super::peers::{Who, Work};
use super::{Client, Measured, VERSION};
use crate::measured::median;
use crate::record::Machine;

/// Our CPU seconds and our memory, as a part of those of Java's best mode.
pub(super) const PART_OF_JAVA: f64 = 0.1;

/// Everything that is printed of a run.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) args: &'a Client,
    pub(crate) machine: &'a Machine,
    pub(crate) expected: Digest,
    pub(crate) measured: &'a [Measured],
}

/// A column of the table, as a number of one run.
type Number = fn(&Measured) -> f64;

const CPU: Number = |run| run.cpu_s;
const SERVER_CPU: Number = |run| run.server_cpu_s;
const RSS: Number = |run| run.rss_mb;
const WALL: Number = |run| run.wall_s;
const OTHER: Number = |run| run.other_cpu_s;

impl Report<'_> {
    fn runs(&self, case: &str) -> impl Iterator<Item = &Measured> {
        self.measured.iter().filter(move |run| run.case == case)
    }

    /// Names of the cases that do this work, in the order of the first round.
    fn cases(&self, work: Work, who: Option<Who>) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for run in self.measured.iter().filter(|run| run.work == work && who.is_none_or(|who| run.who == who)) {
            if !names.contains(&run.case.as_str()) {
                names.push(&run.case);
            }
        }
        names
    }

    fn median_of(&self, case: &str, number: Number) -> f64 {
        median(self.runs(case).map(number).collect())
    }

    /// `median (least..most)` per million rows.
    fn per_million(&self, case: &str, number: Number) -> String {
        let scale = 1e6 / self.args.rows as f64;
        let numbers: Vec<f64> = self.runs(case).map(|run| number(run) * scale).collect();
        let (least, most) = numbers.iter().fold((f64::MAX, 0.0_f64), |(a, b), it| (a.min(*it), b.max(*it)));
        format!("{:.2} ({least:.2}..{most:.2})", median(numbers))
    }

    /// The case of these with the smallest median.
    fn best<'c>(&self, cases: &[&'c str], number: Number) -> Option<&'c str> {
        let of = |case: &str| self.median_of(case, number);
        cases.iter().copied().min_by(|a, b| of(a).total_cmp(&of(b)))
    }

    /// Median of the ratios of both cases inside each round.
    fn ratio(&self, ours: &str, theirs: &str, number: Number) -> f64 {
        let of = |case: &str, round| self.runs(case).find(|run| run.round == round).map(number);
        let rounds = 1..=self.args.rounds;
        median(rounds.filter_map(|round| Some(of(ours, round)? / of(theirs, round)?.max(f64::EPSILON))).collect())
    }

    fn table(&self, f: &mut fmt::Formatter<'_>, work: Work, title: &str) -> fmt::Result {
        writeln!(f, "\n### {title}\n")?;
        writeln!(f, "| client | n | client CPU s | server CPU s | peak RSS MB | wall s | other CPU s |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for case in self.cases(work, None) {
            let [cpu, server, wall] = [CPU, SERVER_CPU, WALL].map(|number| self.per_million(case, number));
            let (count, rss, other) = (self.runs(case).count(), self.median_of(case, RSS), self.median_of(case, OTHER));
            writeln!(f, "| {case} | {count} | {cpu} | {server} | {rss:.0} | {wall} | {other:.1} |")?;
        }
        Ok(())
    }

    /// Ours against one peer: CPU, server CPU, memory, wall.
    fn compared(&self, f: &mut fmt::Formatter<'_>, work: Work) -> fmt::Result {
        let (ours, java) = (self.cases(work, Some(Who::Ours)), self.cases(work, Some(Who::Java)));
        let Some(ours) = ours.first() else { return Ok(()) };
        writeln!(f)?;
        for (what, number, most) in [
            ("client CPU", CPU, Some(PART_OF_JAVA)),
            ("peak RSS", RSS, Some(PART_OF_JAVA)),
            ("server CPU", SERVER_CPU, Some(1.0)),
            ("wall", WALL, Some(1.0)),
        ] {
            // Each number against the mode of Java that is best in that number.
            let Some(best) = self.best(&java, number) else { continue };
            let ratio = self.ratio(ours, best, number);
            let most = most.filter(|_| work == Work::Write || what == "client CPU");
            let verdict = most.map_or(String::new(), |most| {
                format!("; at most {most:.2} wanted: {}", if ratio <= most { "reached" } else { "**MISSED**" })
            });
            writeln!(f, "- {what}: {ratio:.3} of {best}{verdict}")?;
        }
        for other in self.cases(work, Some(Who::Go)) {
            let [cpu, wall] = [CPU, WALL].map(|number| self.ratio(ours, other, number));
            writeln!(f, "- beside {other}: client CPU {cpu:.3}, wall {wall:.3}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { args, machine, expected, .. } = self;
        writeln!(f, "## Client benchmark\n")?;
        write!(f, "{machine}")?;
        writeln!(
            f,
            "- HBase {VERSION}, one JVM with G1, a table of 16 regions; Java client {VERSION}, gohbase cfe2cb9e"
        )?;
        writeln!(f, "- {} interleaved rounds; every table read back: {expected}", args.rounds)?;
        writeln!(f, "- CPU and wall seconds per million rows: median (least..most); whole processes")?;
        self.table(f, Work::Write, "Write")?;
        self.compared(f, Work::Write)?;
        self.table(f, Work::Scan, "Scan of the whole table")?;
        self.compared(f, Work::Scan)?;
        self.table(f, Work::Rows, "Building the rows alone")
    }
}
