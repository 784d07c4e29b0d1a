//! What is to be watched, and how: the same whether the command line says it or a file.

use std::path::PathBuf;

use anyhow::Result;
use argus_observe::alarm::Rules;
use argus_observe::argv::Argv;
use argus_observe::process::{self, Target};
use argus_observe::sample::Pss;

use super::console;
use super::observers::Interval;

/// Whom a plan is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The process with this id.
    Pid(u32),
    /// The process with this name.
    Name(String),
}

/// One program to be watched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) whom: Whom,
    /// Name of the application, when the process's own says too little.
    pub(crate) app_name: Option<String>,
    pub(crate) logfiles: Vec<PathBuf>,
    pub(crate) interval: Interval,
    pub(crate) rules: Rules,
    /// What is run for every alert.
    pub(crate) alert_command: Option<Argv>,
    pub(crate) plugins: Vec<Argv>,
    pub(crate) pss: Pss,
}

impl Plan {
    /// The process that is meant; of several with the name the best match, with a warning.
    ///
    /// # Errors
    /// When there is none, or it may not be observed.
    pub(super) fn find(&self) -> Result<Target> {
        match &self.whom {
            Whom::Pid(pid) => Ok(process::find_by_pid(*pid)?),
            Whom::Name(name) => {
                let found = process::find_by_name(name)?;
                if !found.others.is_empty() {
                    let others: Vec<_> = found.others.iter().map(|t| t.pid.to_string()).collect();
                    console::warn(&format!(
                        "{} processes are named {name}; watching {}, not {} (--pid chooses)",
                        others.len() + 1,
                        found.first.pid,
                        others.join(", ")
                    ));
                }
                Ok(found.first)
            }
        }
    }
}
