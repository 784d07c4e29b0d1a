//! `argus verify`: whether everything stored is as it was written.

use std::ops::ControlFlow;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_store::OpenError;
use argus_store::verify::{Damage, Report, Step};
use serde::Serialize;

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::output::{self, Format, grouped};
use crate::progress::Progress;

/// Check that everything stored is as it was written
///
/// Compares every row with the sums that were stored beside it, the tables with each other, and the
/// structure of the file. Exit code 1 when something is damaged. Recording goes on meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus verify
  argus verify --json
  argus verify --db copy.db && echo fine

What can still be read of a damaged database: argus export --salvage")]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct Document {
    database: String,
    fine: bool,
    rows: u64,
    damage: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    table: Option<String>,
    first: Option<i64>,
    last: Option<i64>,
    what: String,
}

impl From<&Damage> for Finding {
    fn from(damage: &Damage) -> Self {
        Self {
            table: damage.table.clone(),
            first: damage.keys.map(|(first, _)| first),
            last: damage.keys.map(|(_, last)| last),
            what: damage.what.clone(),
        }
    }
}

/// Checks, and lists what is damaged.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let report = check(data)?;
    match args.format.format() {
        Format::Json => output::document(&Document {
            database: data.database().display().to_string(),
            fine: report.damage.is_empty(),
            rows: report.rows,
            damage: report.damage.iter().map(Finding::from).collect(),
        })?,
        Format::Human => print(&report)?,
    }
    Ok(if report.damage.is_empty() {
        Exit::Fine
    } else {
        Exit::NotFound
    })
}

fn check(data: &DataDir) -> Result<Report> {
    let mut progress = Progress::new();
    let checked = argus_store::check(data.database(), &mut |at| {
        progress.show(|| match at.step {
            Step::Rows => format!("checking rows: {} of {}", grouped(at.rows), grouped(at.of)),
            step => format!("checking {step} …"),
        });
        ControlFlow::Continue(())
    });
    match checked {
        Ok(report) => Ok(report),
        // Damage so bad that the file cannot be opened is what was asked about.
        Err(error @ OpenError::Damaged { .. }) => Ok(Report {
            damage: vec![Damage {
                table: None,
                keys: None,
                what: error.to_string(),
            }],
            ..Report::default()
        }),
        Err(error) => Err(error.into()),
    }
}

fn print(report: &Report) -> Result<()> {
    for damage in &report.damage {
        output::line(&argus_tui::sanitize(&damage.to_string()))?;
    }
    let rows = grouped(report.rows);
    if report.damage.is_empty() {
        output::line(&format!("fine: {rows} rows are as they were written"))
    } else {
        let count = report.damage.len();
        output::note(&format!(
            "{count} findings in {rows} rows; argus export --salvage saves what can be read"
        ));
        Ok(())
    }
}
