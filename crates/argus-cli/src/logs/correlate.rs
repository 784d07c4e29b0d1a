//! `argus logs --correlation ID`: the lines with an id in them, of all programs, and in between the
//! calls that they belong to.
//!
//! A call belongs to them when a line says so, or when a program that wrote one of the lines made it,
//! it was under way between the first and the last, and the id is among its values. Ended calls are
//! looked for up to [`LATE`] after the last line, [`LINKED`] of a program at most for what a line
//! says; more would be a search through everything.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;
use argus_model::{SpanKey, Timestamp};
use argus_observe::platform::{Signal, Signals};
use argus_store::Store;
use argus_store::query::{
    Order, Page, SpanFilter, StoredLog, StoredOpenSpan, StoredSpan, TimeRange,
};
use serde::Serialize;

use super::around::{Group, Role, Surroundings};
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
/// Calls shown of a program.
const CALLS: usize = 1_000;
/// Open calls that are looked at.
const OPEN: usize = 10_000;
/// How long after the last line a call may have ended.
const LATE: Duration = Duration::from_secs(600);
/// Calls of a program that are looked at for those that lines name.
const LINKED: usize = 100_000;

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
    if is_ended {
        output::note("ended before everything was looked through");
        return Ok(Exit::NotFound);
    }
    Ok(Exit::Fine)
}

/// A program that wrote lines.
type Program<'a> = (u32, &'a str);

/// The calls that lines belong to.
#[derive(Debug, Default)]
struct Calls {
    ended: Vec<StoredSpan>,
    open: Vec<StoredOpenSpan>,
}

impl Calls {
    fn of(
        store: &dyn Store,
        sieve: &Sieve,
        lines: &[StoredLog],
        is_ended: &mut dyn FnMut() -> bool,
    ) -> Result<Self> {
        let mut calls = Self::default();
        let first = lines.iter().map(|log| log.at).min();
        let last = lines.iter().map(|log| log.at).max();
        let Some((first, last)) = first.zip(last) else {
            return Ok(calls);
        };
        let id = sieve.filter.id.as_deref().unwrap_or_default();
        let programs: BTreeSet<Program<'_>> = lines
            .iter()
            .map(|log| (log.pid, log.app_name.as_str()))
            .collect();
        let mut linked: BTreeSet<SpanKey> = lines.iter().filter_map(|log| log.span).collect();
        let is_meant = |span: &StoredOpenSpan| {
            let has_id = span.captured.as_ref().is_some_and(|it| it.contains(id));
            let theirs = programs.contains(&(span.pid, span.app_name.as_str()));
            linked.contains(&span.key) || (theirs && has_id && span.started_at <= last)
        };
        calls.open = store.open_spans(OPEN)?;
        calls.open.retain(is_meant);
        for program in programs {
            let filter = SpanFilter {
                time: TimeRange {
                    from: Some(first),
                    to: Some(last.plus(LATE)),
                },
                pid: Some(program.0),
                app_name: Some(program.1.to_owned()),
                ..SpanFilter::default()
            };
            calls.find_named(store, (&filter, id), last, is_ended)?;
            let found = calls.ended.iter().map(|span| span.key);
            let open = calls.open.iter().map(|span| span.key);
            for key in found.chain(open) {
                linked.remove(&key);
            }
            calls.find_linked(store, &filter, &mut linked, is_ended)?;
        }
        Ok(calls)
    }

    /// Takes in those with the id among their values that were under way by the last line.
    fn find_named(
        &mut self,
        store: &dyn Store,
        (filter, id): (&SpanFilter, &str),
        last: Timestamp,
        is_ended: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let filter = SpanFilter {
            text: Some(id.to_owned()),
            ..filter.clone()
        };
        let found = store.search(&filter, oldest(None, CALLS), &mut |_| flow(is_ended()))?;
        let spans = found.spans.into_iter();
        self.ended
            .extend(spans.filter(|span| started(span) <= last));
        Ok(())
    }

    /// Takes in those that lines name, and strikes them off.
    fn find_linked(
        &mut self,
        store: &dyn Store,
        filter: &SpanFilter,
        linked: &mut BTreeSet<SpanKey>,
        is_ended: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let (mut after, mut looked) = (None, 0);
        while looked < LINKED
            && linked
                .iter()
                .any(|key| Some(key.producer.pid) == filter.pid)
        {
            let page = oldest(after, CALLS);
            let found = store.search(filter, page, &mut |_| flow(is_ended()))?;
            let is_last = found.spans.len() < CALLS;
            looked += found.spans.len();
            after = found.spans.last().map(|span| span.id);
            let spans = found.spans.into_iter();
            self.ended
                .extend(spans.filter(|span| linked.remove(&span.key)));
            if is_last {
                break;
            }
        }
        Ok(())
    }
}

fn oldest(after: Option<i64>, limit: usize) -> Page {
    Page {
        order: Order::Oldest,
        after,
        limit,
    }
}

fn flow(is_ended: bool) -> ControlFlow<()> {
    match is_ended {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

fn started(span: &StoredSpan) -> Timestamp {
    span.ended_at.minus(Duration::from_nanos(span.duration_ns))
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
    for (_, entry) in entries {
        let (pid, app_name) = entry.program();
        let kind = match entry {
            Entry::Line(_) => "log",
            Entry::Ended(_) | Entry::Open(_) => "span",
        };
        table.row([
            Cell::toned(&local(entry.moment(by)), Tone::Faint),
            Cell::from(app_name),
            pid.to_string().into(),
            kind.into(),
            entry.text(),
        ]);
    }
    table.print(Screen::of_stdout())
}
