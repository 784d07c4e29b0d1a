//! The report as JSON.
//!
//! The shape is documented in the command's help; keys are added, never renamed or removed.

use argus_read::Autopsy;
use argus_read::autopsy::Ended;
use argus_read::live::{LiveSpan, LiveThread};
use serde::Serialize;

use super::words;
use crate::export::rows::{ProcessEvent, Run};
use crate::logs::Line;
use crate::metrics::{Metric, Sample};
use crate::moment::iso;
use crate::ordered::Object;
use crate::output::milliseconds;
use crate::traces::{self, Span};

#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    run: Run<'a>,
    others: u64,
    alive: bool,
    lived_ms: f64,
    end: Option<End>,
    open: Vec<Open<'a>>,
    failed: Vec<Span<'a>>,
    samples: Vec<Sample<'a>>,
    metrics: Vec<Metric<'a>>,
    events: Vec<ProcessEvent<'a>>,
    logs: Vec<Line<'a>>,
    children: Vec<Run<'a>>,
    records: Records,
    cut: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct End {
    at: String,
    exit_code: Option<i32>,
    signal: Option<String>,
    cause: &'static str,
    evidence: &'static str,
    core_dumped: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Open<'a> {
    process: &'a str,
    process_group: Option<&'a str>,
    arguments: Option<Object>,
    tid: u32,
    thread: &'a str,
    depth: usize,
    started_at: String,
    elapsed_ms: f64,
    producer: String,
    number: u64,
    parent: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Records {
    emitted: u64,
    lost: u64,
    lost_normal: u64,
    lost_errors: u64,
    damaged: u64,
    unknown: u64,
}

impl<'a> Document<'a> {
    pub(super) fn of(autopsy: &'a Autopsy) -> Self {
        let losses = autopsy.losses;
        Self {
            run: Run::from(&autopsy.run),
            others: autopsy.others,
            alive: autopsy.ended.is_none(),
            lived_ms: autopsy.lived().as_secs_f64() * 1e3,
            end: autopsy.ended.map(End::from),
            open: open(autopsy),
            failed: autopsy.failed.rows.iter().map(Span::from).collect(),
            samples: autopsy.samples.rows.iter().map(Sample::from).collect(),
            metrics: autopsy.metrics.rows.iter().map(Metric::from).collect(),
            events: autopsy.events.rows.iter().map(ProcessEvent::from).collect(),
            logs: autopsy.logs.rows.iter().map(Line::from).collect(),
            children: autopsy.children.rows.iter().map(Run::from).collect(),
            records: Records {
                emitted: autopsy.emitted,
                lost: losses.total(),
                lost_normal: losses.normal,
                lost_errors: losses.errors,
                damaged: losses.damaged,
                unknown: losses.unknown,
            },
            cut: cut(autopsy),
        }
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        let signal = ended.exit_code.and_then(words::signal);
        Self {
            at: iso(ended.at),
            exit_code: ended.exit_code,
            signal: signal.map(std::borrow::Cow::into_owned),
            cause: ended.death.cause.word(),
            evidence: ended.death.evidence.word(),
            core_dumped: ended.death.core_dumped,
        }
    }
}

fn open(autopsy: &Autopsy) -> Vec<Open<'_>> {
    let of = |thread: &'_ LiveThread| thread.spans.len();
    let mut open = Vec::with_capacity(autopsy.threads.iter().map(of).sum());
    for thread in &autopsy.threads {
        for span in &thread.spans {
            open.push(open_span(autopsy, span));
        }
    }
    open
}

fn open_span<'a>(autopsy: &Autopsy, live: &'a LiveSpan) -> Open<'a> {
    let span = &live.span;
    let elapsed = autopsy.elapsed(live).as_nanos();
    Open {
        process: &span.process,
        process_group: span.group.as_deref(),
        arguments: traces::arguments(span.captured.as_deref()),
        tid: span.tid,
        thread: &span.thread,
        depth: live.depth,
        started_at: iso(span.started_at),
        elapsed_ms: milliseconds(u64::try_from(elapsed).unwrap_or(u64::MAX)),
        producer: span.key.producer.to_string(),
        number: span.key.number.0,
        parent: (!span.parent.is_none()).then_some(span.parent.0),
    }
}

/// The lists that do not hold everything there is.
fn cut(autopsy: &Autopsy) -> Vec<&'static str> {
    let lists = [
        ("open", autopsy.open_cut),
        ("failed", autopsy.failed.cut),
        ("samples", autopsy.samples.cut),
        ("metrics", autopsy.metrics.cut),
        ("events", autopsy.events.cut),
        ("logs", autopsy.logs.cut),
        ("children", autopsy.children.cut),
    ];
    let cut = lists.into_iter().filter(|(_, cut)| *cut);
    cut.map(|(name, _)| name).collect()
}
