//! Which lines are meant: what the store is asked of them, and what only a look at each can tell.

use anyhow::Result;
use argus_model::Level;
use argus_observe::expression;
use argus_store::query::{LogFilter, StoredLog};
use clap::ValueEnum;
use regex::Regex;

use crate::failure::Refusal;
use crate::gaze::reading;
use crate::listing::ListingArgs;

/// What a line must be like.
#[derive(Debug, clap::Args)]
pub(crate) struct SieveArgs {
    /// Only lines that contain this
    #[arg(long, value_name = "TEXT")]
    pub(super) grep: Option<String>,
    /// Only lines in which this regular expression matches; (?i) in front ignores case
    #[arg(long, value_name = "RE", value_parser = expression::compile)]
    regex: Option<Regex>,
    /// Only lines at least this severe: trace, debug, info, warn, error or fatal
    #[arg(long, value_name = "LEVEL", value_parser = reading::level)]
    level: Option<Level>,
    /// Only lines that came from there
    #[arg(long, value_name = "SOURCE")]
    source: Option<Source>,
    /// Only lines that fit the template with this id, see --templates
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) template: Option<i64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Source {
    /// A log file that is followed
    File,
    /// The program's standard output
    Stdout,
    /// Its standard error
    Stderr,
    /// Its logger, from inside
    Logger,
    /// The system's journal
    Journal,
    /// What was piped into Argus
    Stdin,
}

impl Source {
    const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Logger => "logger",
            Self::Journal => "journal",
            Self::Stdin => "stdin",
        }
    }
}

/// Tells lines that are meant from others.
#[derive(Debug)]
pub(super) struct Sieve {
    /// What the store is asked.
    pub(super) filter: LogFilter,
    /// What it cannot be asked.
    pub(super) regex: Option<Regex>,
}

impl Sieve {
    /// The lines that the command line names; of those, the ones with this id in them.
    pub(super) fn of(
        args: &SieveArgs,
        listing: &ListingArgs,
        id: Option<&str>,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            filter: LogFilter {
                of: listing.filter(args.grep.as_deref())?,
                level: args.level,
                template: args.template,
                source: args.source.map(|source| source.word().to_owned()),
                id: id.map(str::to_owned),
            },
            regex: args.regex.clone(),
        })
    }

    /// Whether a line that the store gave is meant.
    pub(super) fn passes(&self, log: &StoredLog) -> bool {
        self.regex
            .as_ref()
            .is_none_or(|regex| regex.is_match(&log.line))
    }

    /// Whether it may tear lines of one event apart.
    pub(super) fn is_selective(&self) -> bool {
        let filter = &self.filter;
        self.regex.is_some()
            || filter.of.text.is_some()
            || filter.level.is_some()
            || filter.template.is_some()
            || filter.id.is_some()
    }
}
