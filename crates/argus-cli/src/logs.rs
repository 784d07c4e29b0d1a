//! `argus logs`: recorded log lines.

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_store::query::StoredLog;
use serde::Serialize;

use crate::exit::Exit;
use crate::listing::{CursorArgs, Listed, ListingArgs};
use crate::moment::{iso, local};
use crate::open::open_store;
use crate::output::{Align, Cell, Tone};

/// List recorded log lines, the newest last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus logs --since 5m
  argus logs --app SnakeGame --grep 'out of memory'
  argus logs --pid 4711 --limit 1000 --json")]
pub(crate) struct Args {
    /// Only lines that contain this
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    #[command(flatten)]
    cursor: CursorArgs,
    #[command(flatten)]
    listing: ListingArgs,
}

/// A line as JSON tells it.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    id: i64,
    timestamp: String,
    app_name: &'a str,
    process_name: &'a str,
    pid: u32,
    source: &'a str,
    path: Option<&'a str>,
    level: Option<&'a str>,
    line: &'a str,
}

impl<'a> From<&'a StoredLog> for Line<'a> {
    fn from(log: &'a StoredLog) -> Self {
        Self {
            id: log.id,
            timestamp: iso(log.at),
            app_name: &log.app_name,
            process_name: &log.process_name,
            pid: log.pid,
            source: &log.source,
            path: log.path.as_deref(),
            level: log.level.as_deref(),
            line: &log.line,
        }
    }
}

/// Prints the lines.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let filter = args.listing.filter(args.grep.as_deref())?;
    let rows = open_store(data)?.logs(&filter.into(), args.listing.page(Some(args.cursor)))?;
    let listing = args.listing.in_reading_order(rows, Some(args.cursor));
    listing.print(args.listing.format())?;
    Ok(Exit::Fine)
}

impl Listed for StoredLog {
    const WHAT: &'static str = "log lines";
    const COLUMNS: &'static [(&'static str, Align)] = &[
        ("TIME", Align::Left),
        ("APP", Align::Left),
        ("PID", Align::Right),
        ("SOURCE", Align::Left),
        ("LINE", Align::Left),
    ];
    type Json<'a> = Line<'a>;

    fn id(&self) -> i64 {
        self.id
    }

    fn cells(&self) -> Vec<Cell> {
        let tone = if self.source == "stderr" {
            Tone::Bad
        } else {
            Tone::Plain
        };
        vec![
            Cell::toned(&local(self.at), Tone::Faint),
            Cell::from(&self.app_name),
            self.pid.to_string().into(),
            Cell::from(&self.source),
            Cell::toned(&self.line, tone),
        ]
    }
}
