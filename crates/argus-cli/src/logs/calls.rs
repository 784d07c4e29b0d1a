//! The calls that lines with an id belong to.
//!
//! A call does when a line says so, or when a program that wrote one of the lines made it, it was under
//! way between the first and the last, and the id is among its values; and when the id is that of a
//! trace, and the trace begins or enters a program with it. Ended calls are looked for up to
//! [`LATE`] after the last line, [`LINKED`] of a program at most for what a line says; more would be a
//! search through everything.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;
use argus_model::trace::trace_root;
use argus_model::{SpanKey, Timestamp};
use argus_store::Store;
use argus_store::query::{
    Order, Page, RemoteParents, SpanFilter, StoredLog, StoredOpenSpan, StoredSpan, TimeRange,
};

use super::sieve::Sieve;

/// Calls shown of a program.
pub(super) const CALLS: usize = 1_000;
/// Open calls that are looked at.
const OPEN: usize = 10_000;
/// How long after the last line a call may have ended.
const LATE: Duration = Duration::from_secs(600);
/// Calls of a program that are looked at for those that lines name.
const LINKED: usize = 100_000;

/// A program that wrote lines.
pub(super) type Program<'a> = (u32, &'a str);

/// The calls that lines belong to.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Those that ended.
    pub(super) ended: Vec<StoredSpan>,
    /// Those that have not.
    pub(super) open: Vec<StoredOpenSpan>,
    /// A program has more than [`CALLS`].
    pub(super) are_cut: bool,
}

impl Calls {
    /// Looks for them. `is_ended` is asked between two short transactions.
    pub(super) fn of(
        store: &dyn Store,
        sieve: &Sieve,
        lines: &[StoredLog],
        is_ended: &mut dyn FnMut() -> bool,
    ) -> Result<Self> {
        let mut calls = Self::default();
        let id = sieve.filter.id.as_deref().unwrap_or_default();
        let traced = traced(store, id)?;
        let lines_at = lines.iter().map(|log| log.at);
        let moments = || lines_at.clone().chain(traced.iter().map(|(_, at)| *at));
        let Some((first, last)) = moments().min().zip(moments().max()) else {
            return Ok(calls);
        };
        let programs: BTreeSet<Program<'_>> = lines
            .iter()
            .map(|log| (log.pid, log.app_name.as_str()))
            .collect();
        let said = lines.iter().filter_map(|log| log.span);
        let mut linked: BTreeSet<SpanKey> =
            said.chain(traced.iter().map(|(key, _)| *key)).collect();
        let is_meant = |span: &StoredOpenSpan| {
            let has_id = span.captured.as_ref().is_some_and(|it| it.contains(id));
            let theirs = programs.contains(&(span.pid, span.app_name.as_str()));
            linked.contains(&span.key) || (theirs && has_id && span.started_at <= last)
        };
        calls.open = store.open_spans(OPEN)?;
        calls.open.retain(is_meant);
        let of_process = |pid| SpanFilter {
            time: TimeRange {
                from: Some(first),
                to: Some(last.plus(LATE)),
            },
            pid: Some(pid),
            ..SpanFilter::default()
        };
        for (pid, app_name) in programs {
            let filter = SpanFilter {
                app_name: Some(app_name.to_owned()),
                ..of_process(pid)
            };
            calls.find_named(store, (&filter, id), last, is_ended)?;
            calls.strike_off(&mut linked);
            calls.find_linked(store, &filter, &mut linked, is_ended)?;
        }
        calls.strike_off(&mut linked);
        let silent: BTreeSet<u32> = linked.iter().map(|key| key.producer.pid).collect();
        for pid in silent {
            calls.find_linked(store, &of_process(pid), &mut linked, is_ended)?;
        }
        Ok(calls)
    }

    /// Removes those that are found already.
    fn strike_off(&self, linked: &mut BTreeSet<SpanKey>) {
        let ended = self.ended.iter().map(|span| span.key);
        let open = self.open.iter().map(|span| span.key);
        for key in ended.chain(open) {
            linked.remove(&key);
        }
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
        self.are_cut |= found.spans.len() == CALLS;
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

/// The calls with which the trace of this id begins, or enters a program, and when; of a span's id,
/// those that other programs made below it.
fn traced(store: &dyn Store, id: &str) -> Result<Vec<(SpanKey, Timestamp)>> {
    let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(id, 16).ok().filter(|_| is_hex);
    let which = match (number, id.len()) {
        (Some(trace), 32) => RemoteParents::Trace(trace),
        (Some(span), 16) => RemoteParents::Below(span as u64),
        _ => return Ok(Vec::new()),
    };
    let entered = store.remote_parents(which, CALLS)?.into_iter();
    let mut calls: Vec<_> = entered.map(|row| (row.key, row.at)).collect();
    if let RemoteParents::Trace(trace) = which {
        let (nonce, number) = trace_root(trace);
        let began = store.ledger()?.into_iter().filter_map(|known| {
            let producer = known.producer;
            (producer.nonce == nonce).then_some((SpanKey { producer, number }, known.seen_at))
        });
        calls.extend(began);
    }
    Ok(calls)
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

/// When a call started.
pub(super) fn started(span: &StoredSpan) -> Timestamp {
    span.ended_at.minus(Duration::from_nanos(span.duration_ns))
}
