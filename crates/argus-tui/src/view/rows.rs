//! The stack as a list of rows: what is not folded away, in the order shown.
//!
//! A row is a place in the live state and nothing else; only the rows on the screen are ever made
//! into text. Listing twenty thousand of them is cheaper than drawing one screen, so the list is
//! made anew for every frame and cannot be out of date.

use std::cmp::Reverse;
use std::collections::HashSet;

use argus_model::SpanKey;
use argus_read::LiveState;
use argus_read::live::{LiveProcess, LiveThread, Point, SampledThread};
use argus_read::stored::RunKey;

use super::{Filter, Order};

/// What a row shows, by identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RowKey {
    Process(RunKey),
    Thread(RunKey, u32),
    Span(SpanKey, u32),
    /// A sampled call: its thread, and how deep it is.
    Call(RunKey, u32, usize),
}

impl RowKey {
    /// What it belongs to.
    pub(super) fn around(self) -> Option<Self> {
        match self {
            Self::Process(_) => None,
            Self::Thread(run, _) => Some(Self::Process(run)),
            Self::Span(span, tid) => Some(Self::Thread(span.producer.into(), tid)),
            Self::Call(run, tid, _) => Some(Self::Thread(run, tid)),
        }
    }
}

/// Whether there is something below a row, and whether it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Leaf,
    Open,
    Closed,
}

/// What a row shows, by its place in the live state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Process,
    Thread(usize),
    Span(usize, usize),
    /// A thread that was sampled.
    Sampled(usize),
    /// A call that it was in.
    Call(usize, usize),
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) process: usize,
    pub(super) place: Place,
    pub(super) fold: Fold,
}

impl Row {
    pub(super) fn process(self, state: &LiveState) -> &LiveProcess {
        &state.processes()[self.process]
    }

    pub(super) fn key(self, state: &LiveState) -> RowKey {
        let process = self.process(state);
        match self.place {
            Place::Process => RowKey::Process(process.run),
            Place::Thread(thread) => RowKey::Thread(process.run, process.threads[thread].tid),
            Place::Span(thread, span) => span_key(&process.threads[thread], span),
            Place::Sampled(thread) => RowKey::Thread(process.run, process.sampled[thread].tid),
            Place::Call(thread, call) => {
                RowKey::Call(process.run, process.sampled[thread].tid, call)
            }
        }
    }

    pub(super) fn depth(self, state: &LiveState) -> usize {
        match self.place {
            Place::Process => 0,
            Place::Thread(_) | Place::Sampled(_) => 1,
            Place::Call(_, call) => 2 + call,
            Place::Span(thread, span) => 2 + self.process(state).threads[thread].spans[span].depth,
        }
    }
}

fn span_key(thread: &LiveThread, span: usize) -> RowKey {
    RowKey::Span(thread.spans[span].span.key, thread.tid)
}

/// The rows that are not folded away.
pub(super) fn visible(
    state: &LiveState,
    folded: &HashSet<RowKey>,
    order: Order,
    filter: Filter,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(state.open_spans() + 2 * state.processes().len());
    for process in ordered(state.processes(), order) {
        let shown = &state.processes()[process];
        if filter == Filter::Active && !shown.is_busy() {
            continue;
        }
        let key = RowKey::Process(shown.run);
        let has_more = !shown.threads.is_empty() || !shown.sampled.is_empty();
        let fold = fold(has_more, folded, || key);
        rows.push(Row {
            process,
            place: Place::Process,
            fold,
        });
        if fold == Fold::Open {
            for (thread, live) in shown.threads.iter().enumerate() {
                push_thread(&mut rows, folded, shown.run, (process, thread), live);
            }
            for (thread, sampled) in shown.sampled.iter().enumerate() {
                push_sampled(&mut rows, folded, shown.run, (process, thread), sampled);
            }
        }
    }
    rows
}

fn push_thread(
    rows: &mut Vec<Row>,
    folded: &HashSet<RowKey>,
    run: RunKey,
    (process, thread): (usize, usize),
    live: &LiveThread,
) {
    let open = fold(!live.spans.is_empty(), folded, || {
        RowKey::Thread(run, live.tid)
    });
    rows.push(Row {
        process,
        place: Place::Thread(thread),
        fold: open,
    });
    if open == Fold::Closed {
        return;
    }
    let mut span = 0;
    while let Some(shown) = live.spans.get(span) {
        let fold = fold(shown.descendants > 0, folded, || span_key(live, span));
        rows.push(Row {
            process,
            place: Place::Span(thread, span),
            fold,
        });
        span += 1;
        if fold == Fold::Closed {
            span += shown.descendants;
        }
    }
}

fn push_sampled(
    rows: &mut Vec<Row>,
    folded: &HashSet<RowKey>,
    run: RunKey,
    (process, thread): (usize, usize),
    sampled: &SampledThread,
) {
    let open = fold(!sampled.frames.is_empty(), folded, || {
        RowKey::Thread(run, sampled.tid)
    });
    let row = |place, fold| Row {
        process,
        place,
        fold,
    };
    rows.push(row(Place::Sampled(thread), open));
    if open == Fold::Open {
        let calls = 0..sampled.frames.len();
        rows.extend(calls.map(|call| row(Place::Call(thread, call), Fold::Leaf)));
    }
}

fn fold(has_more: bool, folded: &HashSet<RowKey>, key: impl FnOnce() -> RowKey) -> Fold {
    if !has_more {
        Fold::Leaf
    } else if !folded.is_empty() && folded.contains(&key()) {
        Fold::Closed
    } else {
        Fold::Open
    }
}

fn ordered(processes: &[LiveProcess], order: Order) -> Vec<usize> {
    let latest = |process: usize, of: fn(&Point) -> f64| {
        let value = processes[process].history.latest().map_or(-1.0, of);
        // Whole thousandths: an order needs no more, and integers have one.
        Reverse((value * 1_000.0) as i64)
    };
    let mut places: Vec<usize> = (0..processes.len()).collect();
    match order {
        Order::Start => {}
        Order::Cpu => places.sort_by_key(|&place| latest(place, |point| point.cpu_percent)),
        Order::Memory => places.sort_by_key(|&place| latest(place, |point| point.memory_mb)),
    }
    places
}
