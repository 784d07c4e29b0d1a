//! `argus logs --correlation ID`: the lines with an id in them, of all programs, and in between the
//! calls that they belong to, see [`calls`](super::calls).

use anyhow::Result;
use argus_model::Timestamp;
use argus_observe::platform::{Signal, Signals};
use argus_store::Store;
use argus_store::query::{Page, StoredLog, StoredOpenSpan, StoredSpan};
use serde::Serialize;

use super::around::{Group, Role, Surroundings};
use super::calls::{CALLS, Calls, Program, started};
use super::show::{By, Line, tone};
use super::sieve::Sieve;
use super::{Args, page};
use crate::exit::Exit;
use crate::moment::{duration, iso, local};
use crate::ordered::Object;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};
use crate::traces::{self, Span};

/// Lines shown when nobody says how many.
const LINES: usize = 10_000;

/// Prints everything in order.
pub(super) fn run(args: &Args, sieve: &Sieve, store: &dyn Store) -> Result<Exit> {
    let keys = Signals::collect(&[Signal::INT])?;
    let mut is_ended = false;
    let mut ask = || {
        is_ended |= keys.next().is_some();
        is_ended
    };
    let limit = args.listing.limit_or(LINES);
    let newest = Page::newest(limit.saturating_add(1));
    let mut lines = page::read(store, sieve, newest, &mut ask)?.rows;
    let is_cut = lines.len() > limit;
    lines.truncate(limit);
    let calls = Calls::of(store, sieve, &lines, &mut ask)?;
    drop(keys);
    let context = args.context.context();
    let events = Surroundings::new(store, context, sieve).around(lines, i64::MAX)?;
    let entries = in_order(&events, &calls, args.by);
    match args.listing.format() {
        Format::Json => output::array(entries.iter().map(|(_, entry)| entry.json()))?,
        Format::Human => print(&entries, args.by)?,
    }
    if events.is_empty() && args.listing.format() == Format::Human {
        output::note("no log lines match");
    }
    if is_cut {
        output::note(&format!("the newest {limit} lines; --limit N shows more"));
    }
    if calls.are_cut {
        output::note(&format!("of each program the first {CALLS} calls"));
    }
    if is_ended {
        output::note("ended before everything was looked through");
        return Ok(Exit::NotFound);
    }
    Ok(Exit::Fine)
}

/// A line or a call.
#[derive(Debug, Clone, Copy)]
enum Entry<'a> {
    Ended(&'a StoredSpan),
    Open(&'a StoredOpenSpan),
    Line(&'a (StoredLog, Role)),
}

/// Calls where they started, before the lines of that moment; lines of one event with its first.
fn in_order<'a>(events: &'a [Group], calls: &'a Calls, by: By) -> Vec<(Timestamp, Entry<'a>)> {
    let ended = calls.ended.iter();
    let open = calls.open.iter();
    let mut entries: Vec<_> = ended
        .map(|span| (started(span), Entry::Ended(span)))
        .chain(open.map(|span| (span.started_at, Entry::Open(span))))
        .collect();
    for event in events {
        let moment = by.moment(&event.lines[0].0);
        let lines = event.lines.iter();
        entries.extend(lines.map(|line| (moment, Entry::Line(line))));
    }
    entries.sort_by_key(|(moment, _)| *moment);
    entries
}

/// An entry as JSON tells it; `timestamp` is when the line was captured, or the call started.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Told<'a> {
    Log(Box<Line<'a>>),
    Span(Box<Call<'a>>),
}

#[derive(Debug, Serialize)]
struct Call<'a> {
    timestamp: String,
    #[serde(flatten)]
    span: CallOf<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum CallOf<'a> {
    Ended(Span<'a>),
    Open(OpenCall<'a>),
}

/// A call that has not ended.
#[derive(Debug, Serialize)]
struct OpenCall<'a> {
    process: &'a str,
    process_group: Option<&'a str>,
    app_name: &'a str,
    pid: u32,
    tid: u32,
    thread: &'a str,
    started_at: String,
    ended_at: Option<String>,
    arguments: Option<Object>,
    producer: String,
    number: u64,
    parent: Option<u64>,
}

impl<'a> From<&'a StoredOpenSpan> for OpenCall<'a> {
    fn from(span: &'a StoredOpenSpan) -> Self {
        Self {
            process: &span.process,
            process_group: span.group.as_deref(),
            app_name: &span.app_name,
            pid: span.pid,
            tid: span.tid,
            thread: &span.thread,
            started_at: iso(span.started_at),
            ended_at: None,
            arguments: traces::arguments(span.captured.as_deref()),
            producer: span.key.producer.to_string(),
            number: span.key.number.0,
            parent: (!span.parent.is_none()).then_some(span.parent.0),
        }
    }
}

impl<'a> Entry<'a> {
    fn moment(self, by: By) -> Timestamp {
        match self {
            Self::Ended(span) => started(span),
            Self::Open(span) => span.started_at,
            Self::Line((log, _)) => by.moment(log),
        }
    }

    fn json(self) -> Told<'a> {
        let timestamp = iso(self.moment(By::Captured));
        let call = |span| Told::Span(Box::new(Call { timestamp, span }));
        match self {
            Self::Line(line) => Told::Log(Box::new(Line::shown(line))),
            Self::Ended(span) => call(CallOf::Ended(Span::from(span))),
            Self::Open(span) => call(CallOf::Open(OpenCall::from(span))),
        }
    }

    fn program(self) -> Program<'a> {
        match self {
            Self::Ended(span) => (span.pid, &span.app_name),
            Self::Open(span) => (span.pid, &span.app_name),
            Self::Line((log, _)) => (log.pid, &log.app_name),
        }
    }

    fn text(self) -> Cell {
        match self {
            Self::Line((log, _)) => Cell::toned(&log.line, tone(log)),
            Self::Open(span) => {
                let call = traces::called(&span.process, span.captured.as_deref());
                Cell::from(format!("{call} (open)"))
            }
            Self::Ended(span) => {
                let text = format!("{} ({})", traces::call(span), duration(span.duration_ns));
                let is_bad = span.exception.is_some();
                Cell::toned(&text, if is_bad { Tone::Bad } else { Tone::Plain })
            }
        }
    }
}

fn print(entries: &[(Timestamp, Entry<'_>)], by: By) -> Result<()> {
    let mut table = Table::new([
        ("TIME", Align::Left),
        ("APP", Align::Left),
        ("PID", Align::Right),
        ("KIND", Align::Left),
        ("TEXT", Align::Left),
    ]);
    for (moment, entry) in entries {
        let moment = match by {
            By::Captured => entry.moment(by),
            By::Said => *moment,
        };
        let (pid, app_name) = entry.program();
        let kind = match entry {
            Entry::Line(_) => "log",
            Entry::Ended(_) | Entry::Open(_) => "span",
        };
        table.row([
            Cell::toned(&local(moment), Tone::Faint),
            Cell::from(app_name),
            pid.to_string().into(),
            kind.into(),
            entry.text(),
        ]);
    }
    table.print(Screen::of_stdout())
}
