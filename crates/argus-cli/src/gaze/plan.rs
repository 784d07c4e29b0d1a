//! What is to be watched, and how: the same whether the command line says it or a file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use argus_observe::alarm::Rules;
use argus_observe::argv::Argv;
use argus_observe::process::{self, Target};

use super::console;
use super::observers::Interval;
use super::reading::Reading;

/// Whom a plan is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The process with this id.
    Pid(u32),
    /// The process with this name.
    Name(String),
    /// The process whose command line holds this text.
    CommandLine(String),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::Name(name) => write!(f, "a process named {name}"),
            Self::CommandLine(text) => write!(f, "a process with {text:?} in its command line"),
        }
    }
}

/// How often stacks are looked at, per second: above none, at most ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StackRate(f64);

/// A number that is no rate for stacks.
#[derive(Debug, thiserror::Error)]
#[error("expected a number of times a second above 0, at most 10")]
pub(crate) struct NotAStackRate;

impl StackRate {
    /// Times a second.
    pub(crate) fn hertz(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for StackRate {
    type Error = NotAStackRate;

    fn try_from(hertz: f64) -> Result<Self, NotAStackRate> {
        if hertz > 0.0 && hertz <= 10.0 {
            Ok(Self(hertz))
        } else {
            Err(NotAStackRate)
        }
    }
}

impl FromStr for StackRate {
    type Err = NotAStackRate;

    fn from_str(text: &str) -> Result<Self, NotAStackRate> {
        text.parse::<f64>().map_err(|_| NotAStackRate)?.try_into()
    }
}

/// One program to be watched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) whom: Whom,
    /// Name of the application, when the process's own says too little. In a file, what the plan is
    /// known by again after a reload.
    pub(crate) app_name: Option<String>,
    pub(crate) logfiles: Vec<PathBuf>,
    /// Units of which the journal is read.
    pub(crate) units: Vec<String>,
    /// What is made of their lines.
    pub(crate) reading: Reading,
    pub(crate) interval: Interval,
    pub(crate) adaptive: bool,
    pub(crate) follow_children: bool,
    pub(crate) follow_restarts: bool,
    pub(crate) alerts: Rules,
    /// What is run for every alert.
    pub(crate) alert_command: Option<Argv>,
    pub(crate) plugins: Vec<Argv>,
    pub(crate) stacks: Option<StackRate>,
    /// Whether proportional memory is measured.
    pub(crate) pss: bool,
    /// Whether each thread's share of CPU is recorded.
    pub(crate) threads: bool,
}

impl Plan {
    /// Whether other processes than the one found first may be watched by it.
    pub(super) fn wants_births(&self) -> bool {
        self.follow_children || self.follow_restarts
    }

    /// Whether nothing is read of what it says.
    pub(super) fn has_no_logs(&self) -> bool {
        self.logfiles.is_empty() && self.units.is_empty()
    }

    /// The process that is meant; of several the best match, with a warning.
    ///
    /// # Errors
    /// When there is none, or it may not be observed.
    pub(super) fn find(&self) -> Result<Target> {
        let found = match &self.whom {
            Whom::Pid(pid) => return Ok(process::find_by_pid(*pid)?),
            Whom::Name(name) => process::find_by_name(name)?,
            Whom::CommandLine(text) => process::find_by_command_line(text)?,
        };
        if !found.others.is_empty() {
            let others: Vec<_> = found.others.iter().map(|t| t.pid.to_string()).collect();
            console::warn(&format!(
                "{} processes are named {}; watching {}, not {} (--pid chooses)",
                others.len() + 1,
                self.named(),
                found.first.pid,
                others.join(", ")
            ));
        }
        Ok(found.first)
    }

    fn named(&self) -> &str {
        match &self.whom {
            Whom::Pid(_) => "",
            Whom::Name(text) | Whom::CommandLine(text) => text,
        }
    }
}
