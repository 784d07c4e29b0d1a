//! The command line: the tree of commands, and the options that several of them share.

use std::path::PathBuf;

use argus_store::query::TimeRange;
use clap::{Parser, Subcommand};

use crate::failure::Refusal;
use crate::moment::{self, When};
use crate::output::Format;
use crate::{
    analyze, autopsy, collector, completions, doctor, export, gaze, logs, man, metrics, query, run,
    stack, status, traces, verify, watch,
};

/// A flight recorder for programs: what they are doing now, and everything they did
#[derive(Debug, Parser)]
#[command(name = "argus", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 fine; 1 not found, or the check failed; 2 usage, or it cannot be observed here;
3 the store cannot be used (newer, another user's, damaged). `run` returns its program's code.

Environment: ARGUS_DB names the database, ARGUS_HOME its folder (~/.argus); ARGUS_APP_NAME names a
program that records itself, ARGUS_DISABLE=1 keeps it from doing so; ARGUS_COLLECTOR=off starts no
collector; NO_COLOR=1 turns colours off. `argus doctor` lists what is set.")]
pub(crate) struct Cli {
    /// Use this database instead of ~/.argus/argus_runtime.db
    #[arg(long, global = true, value_name = "FILE", display_order = 900)]
    pub(crate) db: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Args),
    Gaze(Box<gaze::Args>),
    Watch(watch::Args),
    Autopsy(autopsy::Args),
    Stack(stack::Args),
    Status(status::Args),
    Traces(traces::Args),
    Logs(logs::Args),
    Metrics(metrics::Args),
    Analyze(analyze::Args),
    Query(query::Args),
    Collector(collector::Args),
    Verify(verify::Args),
    Export(export::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// For whom to print.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormatArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl FormatArgs {
    /// The format chosen.
    pub(crate) fn format(self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::Human
        }
    }
}

/// Which stretch of time.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct TimeArgs {
    /// Not before this: 5m, 1h, 2d ago, or a moment such as 2026-01-27T14:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Before this, written the same way
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
}

impl TimeArgs {
    /// The stretch meant, seen from this moment.
    pub(crate) fn range(self) -> Result<TimeRange, Refusal> {
        moment::range(self.since, self.until, moment::now())
    }
}
