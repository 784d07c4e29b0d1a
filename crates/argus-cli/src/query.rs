//! `argus query`: read-only SQL against the store.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_store::query::{Cell as StoredCell, Table as Answer};
use serde_json::Value;

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::open::open_store;
use crate::ordered::Object;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// Ask the store a question in SQL; it can only be read
///
/// Spans: process_trace, data_trace. Processes: performance_metrics, log_entries, process_events,
/// metrics, stack_trace. Sessions: obs_sessions, obs_events, obs_session_meta. Bytes are printed as hexadecimal
/// digits; in JSON a column name that occurs twice gets a number.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus query 'SELECT process, COUNT(*) FROM process_trace GROUP BY process'
  argus query \"SELECT COUNT(*) FROM process_trace
               WHERE status='ERR' AND ts > datetime('now','-30 seconds')\"
  argus query 'SELECT * FROM performance_metrics ORDER BY id DESC' --limit 10 --json")]
pub(crate) struct Args {
    /// One SELECT statement
    sql: String,
    /// At most N rows
    #[arg(long, short = 'n', value_name = "N", default_value = "1000")]
    limit: NonZeroUsize,
    #[command(flatten)]
    format: FormatArgs,
}

/// Prints the answer.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let answer = open_store(data)?.query(&args.sql, args.limit.get())?;
    match args.format.format() {
        Format::Json => output::array(objects(&answer))?,
        Format::Human => table(&answer).print(Screen::of_stdout())?,
    }
    if answer.cut {
        // In JSON nothing else tells that the answer is not whole.
        let rows = answer.rows.len();
        output::note(&format!("the first {rows} rows; --limit N shows more"));
    }
    Ok(Exit::Fine)
}

fn objects(answer: &Answer) -> impl Iterator<Item = Object> {
    let keys = unique(&answer.columns);
    answer
        .rows
        .iter()
        .map(move |row| Object(keys.iter().cloned().zip(row.iter().map(json)).collect()))
}

/// The names with `_2`, `_3`, … where one occurs again: an object has each key once.
fn unique(names: &[String]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut keys = Vec::new();
    for name in names {
        let mut key = name.clone();
        let mut number = 1;
        while !taken.insert(key.clone()) {
            number += 1;
            key = format!("{name}_{number}");
        }
        keys.push(key);
    }
    keys
}

fn json(cell: &StoredCell) -> Value {
    match cell {
        StoredCell::Null => Value::Null,
        StoredCell::Int(value) => (*value).into(),
        StoredCell::Float(value) => (*value).into(),
        StoredCell::Text(text) => text.as_str().into(),
        StoredCell::Bytes(bytes) => hexadecimal(bytes).into(),
    }
}

fn table(answer: &Answer) -> Table {
    let columns = answer.columns.iter().enumerate();
    let mut table = Table::new(columns.map(|(index, name)| {
        let mut cells = answer.rows.iter().map(|row| &row[index]);
        (
            name.as_str(),
            if cells.all(is_number) {
                Align::Right
            } else {
                Align::Left
            },
        )
    }));
    for row in &answer.rows {
        table.row(row.iter().map(shown));
    }
    table
}

fn is_number(cell: &StoredCell) -> bool {
    matches!(
        cell,
        StoredCell::Int(_) | StoredCell::Float(_) | StoredCell::Null
    )
}

fn shown(cell: &StoredCell) -> Cell {
    match cell {
        StoredCell::Null => Cell::toned("NULL", Tone::Faint),
        StoredCell::Int(value) => value.to_string().into(),
        StoredCell::Float(value) => value.to_string().into(),
        StoredCell::Text(text) => text.into(),
        StoredCell::Bytes(bytes) => hexadecimal(bytes).into(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_column_name_gets_a_number() {
        let names = ["a", "b", "a", "a_2", "a"].map(str::to_owned);
        assert_eq!(unique(&names), ["a", "b", "a_2", "a_2_2", "a_3"]);
    }
}
