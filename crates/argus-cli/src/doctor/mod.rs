//! `argus doctor`: whether recording works here, what is off, why, and what to do about it.
//!
//! Everything is found out by looking or trying, nothing is changed or started, and what is tried
//! leaves nothing behind. [`finding`] is what a check answers with and how it is shown; each other
//! module holds the checks of one section.

mod finding;

mod collector;
mod data;
mod installation;
mod instrumented;
mod machine;
mod others;

use anyhow::Result;
use argus_model::paths::DataDir;
use serde::Serialize;

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::output::{self, Format, Screen};
use finding::{Section, Verdict};

/// Check whether recording works here, what is off, and what to do about it
///
/// `ok` works; `off` works less well, or is turned off; `problem` prevents recording. Exit code 1
/// when there is a problem. Nothing is changed or started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus doctor
  argus doctor --json
  argus doctor --db logs/observability.db
  argus doctor --instrumented")]
pub(crate) struct Args {
    /// List what `argus run --instrument` and auto_instrument_module could not record, and why
    #[arg(long)]
    instrumented: bool,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    version: &'static str,
    database: String,
    works: bool,
    sections: &'a [Section],
}

/// Checks everything and prints what was found.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    if args.instrumented {
        return instrumented::list(args.format.format(), data);
    }
    let sections = [
        data::check(data),
        collector::check(data),
        machine::check(),
        others::check(),
        installation::check(),
    ];
    let problems = count(&sections, Verdict::Problem);
    match args.format.format() {
        Format::Json => output::document(&Report {
            version: env!("CARGO_PKG_VERSION"),
            database: data.database().display().to_string(),
            works: problems == 0,
            sections: &sections,
        })?,
        Format::Human => {
            finding::print(&sections, Screen::of_stdout())?;
            output::line(&conclusion(problems, count(&sections, Verdict::Off)))?;
        }
    }
    Ok(if problems == 0 {
        Exit::Fine
    } else {
        Exit::NotFound
    })
}

fn count(sections: &[Section], verdict: Verdict) -> usize {
    let all = sections.iter().flat_map(|section| &section.findings);
    all.filter(|finding| finding.verdict == verdict).count()
}

fn conclusion(problems: usize, off: usize) -> String {
    match (problems, off) {
        (0, 0) => "Recording works.".into(),
        (0, off) => format!("Recording works; {off} off."),
        (1, _) => "Recording does not work: 1 problem.".into(),
        (problems, _) => format!("Recording does not work: {problems} problems."),
    }
}

/// The text of a small file of the system's, without the line's end.
fn text_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}
