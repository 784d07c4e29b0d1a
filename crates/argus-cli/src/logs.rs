//! `argus logs`: recorded log lines.

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_store::query::StoredLog;
use serde::Serialize;

use crate::args::{FormatArgs, LimitArgs, TimeArgs, WhoArgs};
use crate::exit::Exit;
use crate::moment::{iso, local};
use crate::open::open_store;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// List recorded log lines, the newest last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus logs --since 5m
  argus logs --app SnakeGame --grep 'out of memory'
  argus logs --pid 4711 --limit 1000 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    who: WhoArgs,
    /// Only lines that contain this
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    format: FormatArgs,
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
    let filter = args.who.filter(args.time.range()?, args.grep.as_deref());
    let newest = open_store(data)?.logs(&filter, args.limit.page())?;
    let listing = args.limit.in_reading_order(newest);
    match args.format.format() {
        Format::Json => output::array(listing.rows.iter().map(Line::from))?,
        Format::Human => {
            table(&listing.rows).print(Screen::of_stdout())?;
            listing.explain("log lines");
        }
    }
    Ok(Exit::Fine)
}

fn table(logs: &[StoredLog]) -> Table {
    let mut table = Table::new([
        ("TIME", Align::Left),
        ("APP", Align::Left),
        ("PID", Align::Right),
        ("SOURCE", Align::Left),
        ("LINE", Align::Left),
    ]);
    for log in logs {
        let tone = if log.source == "stderr" {
            Tone::Bad
        } else {
            Tone::Plain
        };
        table.row([
            Cell::toned(&local(log.at), Tone::Faint),
            Cell::from(&log.app_name),
            log.pid.to_string().into(),
            Cell::from(&log.source),
            Cell::toned(&log.line, tone),
        ]);
    }
    table
}
