//! What machine a bench ran on, and what else it was doing. Never a path or a name of it.

use std::fs::read_to_string;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::workspace::Workspace;

/// The machine and the moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// UTC.
    pub(super) measured_at: String,
    /// Of the sources, `+` behind it when they had changes.
    pub(super) commit: String,
    pub(super) kernel: String,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) rustc: String,
    pub(super) python: String,
    /// The load average of one minute when the bench began.
    pub(super) load_before: f64,
    /// The same when it ended, the bench's own load included.
    pub(super) load_after: f64,
    /// Below 0 it was preferred to whatever else ran.
    #[serde(default)]
    pub(super) nice: i32,
}

/// Lists what was changed since the commit; what benches write themselves does not count.
const CHANGES: [&str; 6] = [
    "status",
    "--porcelain",
    "--untracked-files=no",
    "--",
    ":!bench/results",
    ":!README.md",
];

/// The load average of the last minute; 0 where the system does not tell.
pub(super) fn load() -> f64 {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

impl Machine {
    pub(super) fn describe(workspace: &Workspace, load_before: f64) -> Self {
        let says = |program: &str, words: &[&str]| said(workspace.command(program).args(words));
        let changed = says("git", &CHANGES);
        let mark = if changed.is_empty() { "" } else { "+" };
        let commit = says("git", &["rev-parse", "--short", "HEAD"]);
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            measured_at: says("date", &["-u", "+%Y-%m-%d %H:%M"]),
            commit: format!("{commit}{mark}"),
            kernel: kernel.trim().to_owned(),
            cpu: cpu_model(&read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            rustc: says("rustc", &["--version"]),
            python: says("python3", &["--version"]),
            load_before,
            load_after: load(),
            nice: nice(&read_to_string("/proc/self/stat").unwrap_or_default()),
        }
    }

    pub(super) fn markdown(&self) -> String {
        let nice = match self.nice {
            0 => String::new(),
            nice => format!(" Nice {nice}."),
        };
        format!(
            "Measured {} UTC at {}: Linux {}, {}, {} cores, {}, {}. \
             Load average (1 min) {:.2} before, {:.2} after.{nice}",
            self.measured_at,
            self.commit,
            self.kernel,
            self.cpu,
            self.cores,
            self.rustc,
            self.python,
            self.load_before,
            self.load_after
        )
    }
}

/// Field 19 of `/proc/PID/stat`; the name, field 2, may hold spaces and parentheses.
fn nice(stat: &str) -> i32 {
    let fields = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let field = fields.split_whitespace().nth(16);
    field.and_then(|nice| nice.parse().ok()).unwrap_or(0)
}

/// What a program prints; empty when it cannot be run.
fn said(command: &mut Command) -> String {
    let output = command.output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// The name and, because virtual machines hide it there, the family and model numbers.
fn cpu_model(cpuinfo: &str) -> String {
    let value = |key: &str| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(name, _)| name.trim() == key);
        found.map_or("?", |(_, value)| value.trim())
    };
    format!(
        "{} (family {}, model {})",
        value("model name"),
        value("cpu family"),
        value("model")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_named_with_its_model() {
        let cpuinfo = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon\n\n";
        assert_eq!(cpu_model(cpuinfo), "Xeon (family 6, model 143)");
        assert_eq!(cpu_model(""), "? (family ?, model ?)");
    }

    #[test]
    fn a_bench_that_was_preferred_says_so() {
        assert_eq!(
            nice("7 (a b) c) R 1 7 7 0 -1 4 5 6 7 8 11 12 13 14 10 -10 1 0 99"),
            -10
        );
        assert_eq!(nice(""), 0);
        let text = |nice| {
            Machine {
                nice,
                ..Machine::default()
            }
            .markdown()
        };
        assert!(text(-10).ends_with("0.00 after. Nice -10."));
        assert!(text(0).ends_with("0.00 after."));
    }
}
