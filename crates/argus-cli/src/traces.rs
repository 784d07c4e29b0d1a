//! `argus traces`: spans that ended.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_model::trace::span_id;
use argus_observe::platform::{Signal, Signals};
use argus_store::batch::Status;
use argus_store::query::{SpanFilter, StoredSpan};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::Exit;
use crate::listing::{CursorArgs, Listed, ListingArgs, Tabled};
use crate::moment::{duration, iso, local};
use crate::open::open_store;
use crate::ordered::Object;
use crate::output::{self, Align, Cell, Tone};
use crate::progress::Progress;

/// List calls that ended, the newest last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus traces --since 5m
  argus traces --status err --name parser.
  argus traces --pid 4711 --grep timeout --limit 500 --json
  argus traces --before 120000         what was recorded before the call with this id

Ctrl-C ends a search and shows what it found so far; the exit code is 1 then.")]
pub(crate) struct Args {
    /// Only calls that ended like this
    #[arg(long, value_name = "STATUS")]
    status: Option<Ended>,
    /// Only functions whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only calls whose name, values or exception contain this
    #[arg(long, value_name = "TEXT", visible_alias = "search")]
    grep: Option<String>,
    #[command(flatten)]
    cursor: CursorArgs,
    #[command(flatten)]
    listing: ListingArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ended {
    /// It returned
    Ok,
    /// It raised, or its program died
    Err,
}

impl From<Ended> for Status {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Ok => Self::Ok,
            Ended::Err => Self::Err,
        }
    }
}

/// What the store keeps of a call's values, see [`argus_store::batch::SpanRow::captured`].
#[derive(Debug, Default, Deserialize)]
struct Captured {
    #[serde(rename = "i")]
    arguments: Option<Object>,
    #[serde(rename = "o")]
    output: Option<Object>,
    #[serde(rename = "l")]
    locals: Option<Object>,
}

impl Captured {
    fn of(captured: Option<&str>) -> Self {
        let json = captured.unwrap_or("{}");
        // What does not parse was not written by us; the span is worth showing without it.
        serde_json::from_str(json).unwrap_or_default()
    }

    fn result(&self) -> Option<&Value> {
        let Object(entries) = self.output.as_ref()?;
        entries.first().map(|(_, value)| value)
    }
}

/// A call as JSON tells it.
#[derive(Debug, Serialize)]
pub(crate) struct Span<'a> {
    id: i64,
    process: &'a str,
    process_group: Option<&'a str>,
    app_name: &'a str,
    pid: u32,
    tid: u32,
    thread: &'a str,
    started_at: String,
    ended_at: String,
    duration_ms: f64,
    status: &'static str,
    arguments: Option<Object>,
    result: Option<Value>,
    locals: Option<Object>,
    exception: Option<&'a str>,
    interrupted: bool,
    producer: String,
    number: u64,
    /// By which other programs know it (W3C Trace Context).
    span_id: String,
    parent: Option<u64>,
}

impl<'a> From<&'a StoredSpan> for Span<'a> {
    fn from(span: &'a StoredSpan) -> Self {
        let captured = Captured::of(span.captured.as_deref());
        Self {
            id: span.id,
            process: &span.process,
            process_group: span.group.as_deref(),
            app_name: &span.app_name,
            pid: span.pid,
            tid: span.tid,
            thread: &span.thread,
            started_at: iso(span.ended_at.minus(Duration::from_nanos(span.duration_ns))),
            ended_at: iso(span.ended_at),
            duration_ms: output::milliseconds(span.duration_ns),
            status: span.status.word(),
            result: captured.result().cloned(),
            arguments: captured.arguments,
            locals: captured.locals,
            exception: span.exception.as_deref(),
            interrupted: span.interrupted,
            producer: span.key.producer.to_string(),
            number: span.key.number.0,
            span_id: format!("{:016x}", span_id(span.key.producer.nonce, span.key.number)),
            parent: (!span.parent.is_none()).then_some(span.parent.0),
        }
    }
}

/// Prints the calls.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let filter = SpanFilter {
        time: args.listing.time.range()?,
        status: args.status.map(Status::from),
        name: args.name.clone(),
        run: None,
        pid: args.listing.pid,
        app_name: args.listing.app.clone(),
        text: args.grep.clone(),
    };
    let store = open_store(data)?;
    // Read between two windows of the search: what was found by then is kept.
    let keys = Signals::collect(&[Signal::INT])?;
    let (mut progress, mut passed) = (Progress::new(), None);
    let found = store.search(&filter, args.listing.page(Some(args.cursor)), &mut |at| {
        let (rows, of) = (output::grouped(at.rows), output::grouped(at.of));
        progress.show(|| format!("searching: {rows} of {of} calls, {} found", at.found));
        passed = Some(at);
        match keys.next() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    })?;
    drop((progress, keys));
    let listing = args
        .listing
        .in_reading_order(found.spans, Some(args.cursor));
    listing.print(args.listing.format())?;
    let Some((rest, at)) = found.rest.zip(passed) else {
        return Ok(Exit::Fine);
    };
    let (rows, of) = (output::grouped(at.rows), output::grouped(at.of));
    let onward = args.cursor.onward(rest);
    output::note(&format!(
        "ended after {rows} of {of} calls; {onward} goes on"
    ));
    Ok(Exit::NotFound)
}

impl Listed for StoredSpan {
    const WHAT: &'static str = "calls";
    type Json<'a> = Span<'a>;

    fn id(&self) -> i64 {
        self.id
    }
}

impl Tabled for StoredSpan {
    const COLUMNS: &'static [(&'static str, Align)] = &[
        ("ENDED", Align::Left),
        ("APP", Align::Left),
        ("PID", Align::Right),
        ("STATUS", Align::Left),
        ("DURATION", Align::Right),
        ("CALL", Align::Left),
    ];

    fn cells(&self) -> Vec<Cell> {
        let tone = match self.status {
            Status::Ok => Tone::Plain,
            Status::Err => Tone::Bad,
        };
        vec![
            Cell::toned(&local(self.ended_at), Tone::Faint),
            Cell::from(&self.app_name),
            self.pid.to_string().into(),
            Cell::toned(self.status.word(), tone),
            duration(self.duration_ns).into(),
            Cell::toned(&call(self), tone),
        ]
    }
}

/// `prices.load(rows='10') → 'done'`, or the exception's own line in place of the result.
pub(crate) fn call(span: &StoredSpan) -> String {
    let captured = Captured::of(span.captured.as_deref());
    let mut text = called_with(&span.process, &captured);
    if let Some(exception) = &span.exception {
        text.push_str(" ✗ ");
        text.push_str(summary(exception));
    } else if let Some(result) = captured.result() {
        text.push_str(" → ");
        text.push_str(&leaf(result));
    }
    text
}

/// `prices.load(rows='10')`, of a call that is open.
pub(crate) fn called(process: &str, captured: Option<&str>) -> String {
    called_with(process, &Captured::of(captured))
}

/// What the call of an open span was given, by name.
pub(crate) fn arguments(captured: Option<&str>) -> Option<Object> {
    Captured::of(captured).arguments
}

fn called_with(process: &str, captured: &Captured) -> String {
    let arguments: Vec<String> = captured
        .arguments
        .iter()
        .flat_map(|Object(entries)| entries)
        .map(|(name, value)| format!("{name}={}", leaf(value)))
        .collect();
    format!("{process}({})", arguments.join(", "))
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The line that names the exception: a traceback ends with it.
fn summary(exception: &str) -> &str {
    let mut lines = exception.lines().filter(|line| !line.trim().is_empty());
    match lines.clone().next() {
        Some(first) if first.starts_with("interrupted:") => first,
        _ => lines.next_back().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_summed_up_by_the_line_that_names_it() {
        for (exception, line) in [
            ("ValueError: boom", "ValueError: boom"),
            ("Traceback:\n  File x\nKeyError: 'a'\n\n", "KeyError: 'a'"),
            ("interrupted: killed\nwhile open", "interrupted: killed"),
            ("", ""),
        ] {
            assert_eq!(summary(exception), line);
        }
    }
}
