//! `argus analyze`: what each function cost, from the per-minute rollups.

use std::num::NonZeroUsize;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_store::query::FunctionStatistics;
use serde::Serialize;

use crate::args::{FormatArgs, TimeArgs};
use crate::exit::Exit;
use crate::moment::duration;
use crate::open::open_store;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// Show per function how often, how long and how badly it ran
///
/// Times are whole minutes that touch the stretch asked for; percentiles are within 2 %.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus analyze                        every function, the dearest first
  argus analyze --since 10m --limit 5
  argus analyze --name parser. --json")]
pub(crate) struct Args {
    /// Only functions whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    #[command(flatten)]
    time: TimeArgs,
    /// At most N functions, those with the largest total first
    #[arg(long, short = 'n', value_name = "N", default_value = "50")]
    limit: NonZeroUsize,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    process: &'a str,
    count: u64,
    errors: u64,
    total_ms: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl<'a> From<&'a FunctionStatistics> for Function<'a> {
    fn from(function: &'a FunctionStatistics) -> Self {
        Self {
            process: &function.process,
            count: function.count,
            errors: function.errors,
            total_ms: output::milliseconds(function.total_ns),
            p50_ms: output::milliseconds(function.p50_ns),
            p95_ms: output::milliseconds(function.p95_ns),
            p99_ms: output::milliseconds(function.p99_ns),
            max_ms: output::milliseconds(function.max_ns),
        }
    }
}

/// Prints the statistics.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let time = args.time.range()?;
    let mut functions = open_store(data)?.functions(time)?;
    if let Some(name) = &args.name {
        functions.retain(|function| function.process.contains(name));
    }
    let found = functions.len();
    functions.truncate(args.limit.get());
    match args.format.format() {
        Format::Json => output::array(functions.iter().map(Function::from))?,
        Format::Human => {
            table(&functions).print(Screen::of_stdout())?;
            if found == 0 {
                output::note("no functions match");
            } else if found > functions.len() {
                output::note(&format!("{found} functions; --limit N shows more"));
            }
        }
    }
    Ok(Exit::Fine)
}

fn table(functions: &[FunctionStatistics]) -> Table {
    let mut table = Table::new([
        ("COUNT", Align::Right),
        ("ERRORS", Align::Right),
        ("TOTAL", Align::Right),
        ("P50", Align::Right),
        ("P95", Align::Right),
        ("P99", Align::Right),
        ("MAX", Align::Right),
        ("FUNCTION", Align::Left),
    ]);
    for function in functions {
        let tone = if function.errors > 0 {
            Tone::Bad
        } else {
            Tone::Faint
        };
        table.row([
            output::grouped(function.count).into(),
            Cell::toned(&output::grouped(function.errors), tone),
            duration(function.total_ns).into(),
            duration(function.p50_ns).into(),
            duration(function.p95_ns).into(),
            duration(function.p99_ns).into(),
            duration(function.max_ns).into(),
            Cell::from(&function.process),
        ]);
    }
    table
}
