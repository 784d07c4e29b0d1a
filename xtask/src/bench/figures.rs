//! A bench's result: figures, each beside its target, with what one needs to judge them.
//!
//! `bench/results/<bench>.json` is the result; the Markdown beside it and the README's table are
//! made from it. Whether a target is met is not stored: it follows from the figure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::workspace::Workspace;

/// Where results stand.
pub(super) const RESULTS: &str = "bench/results";

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
            Self::Below(limit) => value < limit,
        }
    }

    fn text(self, unit: &str) -> String {
        let (sign, limit) = match self {
            Self::AtMost(limit) => ("≤", limit),
            Self::AtLeast(limit) => ("≥", limit),
            Self::Below(limit) => ("<", limit),
        };
        format!("{sign} {}", quantity(limit, unit))
    }
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Figure {
    /// What was measured; the words of the table.
    pub(super) what: String,
    pub(super) value: f64,
    /// Empty for a count, `×` for a ratio, `%`, or a unit of measure.
    pub(super) unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Target>,
}

impl Figure {
    pub(super) fn verdict(&self) -> &'static str {
        match self.target {
            None => "–",
            Some(target) if target.is_met(self.value) => "met",
            Some(_) => "**missed**",
        }
    }

    /// `what | figure | target | verdict`, as a row of a Markdown table.
    pub(super) fn row(&self) -> String {
        let target = self.target.map_or("–".to_owned(), |t| t.text(&self.unit));
        let figure = quantity(self.value, &self.unit);
        format!(
            "| {} | {figure} | {target} | {} |",
            self.what,
            self.verdict()
        )
    }
}

/// What a bench found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// What was done, in sentences; one paragraph each.
    pub(super) method: Vec<String>,
    pub(super) figures: Vec<Figure>,
    /// What the medians were taken of, by name.
    pub(super) rounds: BTreeMap<String, Vec<f64>>,
}

impl Findings {
    pub(super) fn explain(&mut self, sentences: impl Into<String>) {
        self.method.push(sentences.into());
    }

    pub(super) fn note(&mut self, what: impl Into<String>, value: f64, unit: &str) {
        self.add(what.into(), value, unit, None);
    }

    pub(super) fn judge(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &str,
        target: Target,
    ) {
        self.add(what.into(), value, unit, Some(target));
    }

    fn add(&mut self, what: String, value: f64, unit: &str, target: Option<Target>) {
        let figure = Figure {
            what,
            value: rounded(value),
            unit: unit.to_owned(),
            target,
        };
        eprintln!("    {}", figure.row());
        self.figures.push(figure);
    }

    /// Remembers the rounds of `name`, and gives their median.
    pub(super) fn median_of(&mut self, name: impl Into<String>, rounds: &[f64]) -> f64 {
        let kept = rounds.iter().map(|&value| rounded(value)).collect();
        self.rounds.insert(name.into(), kept);
        median(rounds)
    }
}

/// What a bench found, where, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) bench: String,
    pub(super) machine: Machine,
    #[serde(flatten)]
    pub(super) findings: Findings,
}

impl Report {
    pub(super) fn new(bench: &str, machine: Machine, findings: Findings) -> Self {
        Self {
            bench: bench.to_owned(),
            machine,
            findings,
        }
    }

    pub(super) fn write(&self, workspace: &Workspace) -> Result<()> {
        let folder = workspace.path(RESULTS);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self).context("a report is plain data")? + "\n";
        for (ending, text) in [("json", json), ("md", self.markdown())] {
            let path = folder.join(format!("{}.{ending}", self.bench));
            std::fs::write(&path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// The report of this bench, if there is one.
    pub(super) fn read(workspace: &Workspace, bench: &str) -> Result<Option<Self>> {
        let path = workspace.path(&format!("{RESULTS}/{bench}.json"));
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .with_context(|| format!("{} is not a report", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The report for people.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("# Bench: {}\n\n", self.bench);
        for paragraph in &self.findings.method {
            let _ = writeln!(text, "{paragraph}\n");
        }
        text.push_str("| what | figure | target | |\n|---|---:|---:|---|\n");
        for figure in &self.findings.figures {
            let _ = writeln!(text, "{}", figure.row());
        }
        let _ = writeln!(text, "\n{}", self.machine.markdown());
        let _ = writeln!(text, "Repeat with `cargo xtask bench {}`.", self.bench);
        text
    }
}

/// The middle value, or the mean of the two in the middle; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The value that a share of all, from 0 to 1, do not exceed; 0 of nothing.
pub(super) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    let place = rank.saturating_sub(1);
    values.get(place).copied().unwrap_or(0.0)
}

/// Four significant digits: more would claim more than was measured.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// `1,234 ns`, `0.21 ×`, `12.5 %`.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    let number = match value.abs() {
        large if large >= 1_000.0 => grouped(value),
        hundreds if hundreds >= 100.0 => format!("{value:.0}"),
        tens if tens >= 10.0 => trimmed(&format!("{value:.1}")),
        _ => trimmed(&format!("{value:.2}")),
    };
    format!("{number} {unit}").trim_end().to_owned()
}

fn trimmed(number: &str) -> String {
    number
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_write_them() {
        let check = |value, unit, expected: &str| assert_eq!(quantity(value, unit), expected);
        check(1_234_567.0, "spans/s", "1,234,567 spans/s");
        check(-12_345.0, "ns", "-12,345 ns");
        check(-123_456.0, "ns", "-123,456 ns");
        check(189.4, "B", "189 B");
        check(20.0, "ms", "20 ms");
        check(0.214, "×", "0.21 ×");
        check(0.0, "%", "0 %");
    }

    #[test]
    fn a_missed_target_stays_in_the_table() {
        let row = |value, target| {
            let mut findings = Findings::default();
            findings.judge("pages", value, "ms", target);
            findings.figures[0].row()
        };
        assert_eq!(
            row(7.0, Target::Below(5.0)),
            "| pages | 7 ms | < 5 ms | **missed** |"
        );
        assert_eq!(
            row(7.0, Target::AtLeast(5.0)),
            "| pages | 7 ms | ≥ 5 ms | met |"
        );
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_seen() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&hundred, 0.95), 95.0);
        assert_eq!(percentile(&hundred, 1.0), 100.0);
        assert_eq!(percentile(&[7.0], 0.5), 7.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!(rounded(252_348.7), 252_300.0);
        assert_eq!(rounded(0.031_415_9), 0.031_42);
        assert_eq!(rounded(0.0), 0.0);
    }
}
