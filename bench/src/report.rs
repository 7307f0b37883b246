//! The result of a case as it is read: a table with ratios, verdicts, bias and a chart.

use std::fmt;

use crate::case::{Amount, Case};
use crate::chart::{Bar, Panel, chart};
use crate::measured::{Measured, Number, shown};
use crate::record::Machine;

/// A case that has run.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) case: &'a Case,
    pub(crate) amount: Amount,
    pub(crate) machine: &'a Machine,
    pub(crate) measured: &'a Measured,
}

impl Report<'_> {
    /// Everything as JSON: raw samples, machine, commit, bias, verdicts.
    pub(crate) fn json(&self) -> serde_json::Value {
        let Self { case, amount, machine, measured } = self;
        serde_json::json!({
            "case": case.name,
            "about": case.about,
            "answer": case.answer,
            "bias": case.bias,
            "amount": amount,
            "machine": machine,
            "measured": measured,
            "verdicts": measured.verdicts(),
        })
    }

    /// The medians as bars. Subjects that begin with `halcyon` or `ours` stand out.
    pub(crate) fn chart(&self) -> String {
        let Self { case, measured, .. } = self;
        let subjects = measured.subjects();
        let panel = |number: &Number| {
            let unit = number.unit(measured.noun);
            let bar = |subject: &&str| {
                let value = measured.median(subject, *number);
                let is_ours = subject.starts_with("halcyon") || subject.starts_with("ours");
                Bar { label: (*subject).to_owned(), value, shown: format!("{} {unit}", shown(value)), is_ours }
            };
            let has_it = |subject: &&&str| !measured.all(subject, *number).is_empty();
            let bars = subjects.iter().filter(has_it).map(bar).collect();
            Panel { title: number.name().to_owned(), bars }
        };
        let panels: Vec<Panel> = measured.numbers.iter().map(panel).filter(|panel| !panel.bars.is_empty()).collect();
        chart(&format!("{}: {}", case.name, case.about), &panels)
    }

    fn medians(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { noun, numbers, .. } = self.measured;
        write!(f, "\n| subject | n |")?;
        for number in numbers {
            write!(f, " {}, {} |", number.name(), number.unit(noun))?;
        }
        writeln!(f, "\n|---|---|{}", "---|".repeat(numbers.len()))?;
        for subject in self.measured.subjects() {
            let count = self.measured.samples.iter().filter(|sample| sample.subject == subject).count();
            write!(f, "| {subject} | {count} |")?;
            for number in numbers {
                let all = self.measured.all(subject, *number);
                let (least, most) = all.iter().fold((f64::MAX, f64::MIN), |(a, b), it| (a.min(*it), b.max(*it)));
                let median = shown(self.measured.median(subject, *number));
                match all.len() {
                    0 | 1 => write!(f, " {median} |")?,
                    _ => write!(f, " {median} ({}..{}) |", shown(least), shown(most))?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { numbers, pairs, .. } = self.measured;
        if pairs.is_empty() {
            return Ok(());
        }
        write!(f, "\n| ratio inside a round, median | beside |")?;
        for number in numbers {
            write!(f, " {} |", number.name())?;
        }
        writeln!(f, "\n|---|---|{}", "---|".repeat(numbers.len()))?;
        for (subject, beside) in pairs {
            write!(f, "| {subject} | {beside} |")?;
            for number in numbers {
                write!(f, " {} |", shown(self.measured.ratio(subject, beside, *number)))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, amount, machine, measured } = self;
        write!(f, "## {}: {}\n\n{machine}", case.name, case.about)?;
        writeln!(f, "- {} {}, {} rounds", shown(amount.events as f64), measured.noun, amount.rounds)?;
        writeln!(f, "- answer: {}", case.answer)?;
        measured.notes.iter().try_for_each(|note| writeln!(f, "- {note}"))?;
        self.medians(f)?;
        self.ratios(f)?;
        writeln!(f)?;
        measured.verdicts().iter().try_for_each(|verdict| writeln!(f, "- {verdict}"))?;
        writeln!(f, "\nBias:\n")?;
        case.bias.iter().try_for_each(|bias| writeln!(f, "- {bias}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clusters;
    use crate::measured::{Bound, Sample, Wanted};

    const LAG: Number = Number::More { name: "lag", unit: "s" };

    fn sample(subject: &str, round: u32, cpu_s: f64) -> Sample {
        let more = if subject == "halcyon" { BTreeMap::from([("lag", 0.5)]) } else { BTreeMap::new() };
        Sample { subject: subject.to_owned(), round, events: 1_000_000, wall_s: 2.0, cpu_s, rss_mb: 40.0, more }
    }

    fn measured() -> Measured {
        let wanted = Wanted {
            number: Number::Cpu,
            subject: "halcyon".to_owned(),
            beside: Some("peer".to_owned()),
            bound: Bound::AtMost(0.1),
        };
        Measured {
            noun: "events",
            numbers: vec![Number::Cpu, Number::Rate, LAG],
            pairs: vec![("halcyon".to_owned(), "peer".to_owned())],
            notes: vec!["rows=1".to_owned()],
            samples: vec![sample("peer", 1, 10.0), sample("halcyon", 1, 2.0), sample("peer", 2, 14.0)],
            wanted: vec![wanted],
        }
    }

    #[test]
    fn the_table_has_medians_ratios_verdicts_and_the_bias() {
        let (measured, machine) = (measured(), Machine::look());
        let case = Case { name: "it", about: "measures", answer: "by hand", bias: &["none"], ..clusters::CASE };
        let amount = Amount { events: 1_000_000, rounds: 2 };
        let report = Report { case: &case, amount, machine: &machine, measured: &measured };
        let expected = format!(
            "## it: measures\n\n{machine}- 1,000,000 events, 2 rounds\n- answer: by hand\n- rows=1\n\n\
             | subject | n | CPU per million, s | rate, events/s | lag, s |\n|---|---|---|---|---|\n\
             | peer | 2 | 12.0 (10.0..14.0) | 500,000 (500,000..500,000) | - |\n\
             | halcyon | 1 | 2.00 | 500,000 | 0.500 |\n\n\
             | ratio inside a round, median | beside | CPU per million | rate | lag |\n|---|---|---|---|---|\n\
             | halcyon | peer | 0.200 | 1.00 | - |\n\n\
             - CPU per million, halcyon: 0.200 of peer; at most 0.100 wanted: **MISSED**\n\n\
             Bias:\n\n- none\n"
        );
        assert_eq!(report.to_string(), expected);
        let chart = report.chart();
        assert_eq!(chart.matches("<rect").count(), 5, "no bar for a number that a subject does not have");
        assert_eq!(chart.matches("class=\"ours\"").count(), 3);
        let json = report.json();
        assert_eq!(json["measured"]["samples"][1]["more"]["lag"], 0.5);
        assert_eq!((&json["verdicts"][0]["found"], &json["bias"][0]), (&0.2.into(), &"none".into()));
    }
}
