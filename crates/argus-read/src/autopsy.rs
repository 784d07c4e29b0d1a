//! How a run ended, and what it was doing.
//!
//! [`perform`] gathers it from the store: who the run was, why it ended, what was open then, and its
//! last minute. Of a run that lives it tells the same about now. Everything is asked for by the run,
//! so a process id that was used again mixes nothing up.

mod series;

use std::collections::HashSet;
use std::time::Duration;

use argus_model::Timestamp;
use argus_model::death::{Cause, Death, Evidence};
use argus_store::batch::{RunKey, Status};
use argus_store::query::{
    Order, Page, ProcessFilter, SpanFilter, StoredLog, StoredMetric, StoredOpenSpan,
    StoredProcessEvent, StoredRun, StoredSample, StoredSpan, TimeRange, WhichRun,
};
use argus_store::{ReadError, Store};

use crate::live::{LiveSpan, LiveThread, Losses, tree};

pub use series::{Quantity, Series};

/// Events, samples and failures of so long before the end are told.
pub const LAST: Duration = Duration::from_secs(60);

/// What belongs to a run was recorded between its beginning and its end, or so long before or after.
const SLACK: Duration = Duration::from_secs(10);

/// The event that says how a run ended.
const TERMINATED: &str = "terminated";

/// SIGINT, as an exit code.
const INTERRUPTED: i32 = -2;
/// SIGPIPE, as an exit code.
const BROKEN_PIPE: i32 = -13;

/// How much is told at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open spans.
    pub open: usize,
    /// Log lines.
    pub logs: usize,
    /// Failed spans.
    pub failed: usize,
    /// Samples, and readings of named quantities.
    pub samples: usize,
    /// Process events.
    pub events: usize,
    /// Living children.
    pub children: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open: 10_000,
            logs: 50,
            failed: 20,
            samples: 1_000,
            events: 100,
            children: 50,
        }
    }
}

/// The newest rows, and whether there were more.
#[derive(Debug, Clone, PartialEq)]
pub struct Newest<T> {
    /// The rows, oldest first.
    pub rows: Vec<T>,
    /// These are not all; the newest were kept.
    pub cut: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When that was noticed.
    pub at: Timestamp,
    /// Exit code, −N for signal N, absent when unknown.
    pub exit_code: Option<i32>,
    /// Why.
    pub death: Death,
}

/// What is known of a run's end, or of a living run.
#[derive(Debug, Clone, PartialEq)]
pub struct Autopsy {
    /// Who.
    pub run: StoredRun,
    /// Other runs that the question fits.
    pub others: u64,
    /// Its end; absent while it lives.
    pub ended: Option<Ended>,
    /// The moment that "last" refers to: its end, or now.
    pub until: Timestamp,
    /// What was open at the end (is open now), by thread: the main thread first.
    pub threads: Vec<LiveThread>,
    /// There were more open spans.
    pub open_cut: bool,
    /// Spans that failed in the last minute, those left out that were open at the end.
    pub failed: Newest<StoredSpan>,
    /// The last log lines.
    pub logs: Newest<StoredLog>,
    /// CPU, memory, threads in the last minute; the last sample before it when there was none.
    pub samples: Newest<StoredSample>,
    /// Readings of named quantities in the last minute.
    pub metrics: Newest<StoredMetric>,
    /// What happened to it in the last minute.
    pub events: Newest<StoredProcessEvent>,
    /// Runs that it started and that have not ended.
    pub children: Newest<StoredRun>,
    /// Records emitted by it, as far as they are accounted for.
    pub emitted: u64,
    /// Records of it that are not in the store.
    pub losses: Losses,
}

impl Autopsy {
    /// Open spans told.
    pub fn open_spans(&self) -> usize {
        self.threads.iter().map(|thread| thread.spans.len()).sum()
    }

    /// For how long a span was open at the end (is open now).
    pub fn elapsed(&self, span: &LiveSpan) -> Duration {
        span.elapsed(self.until)
    }

    /// For how long the run lived (lives).
    pub fn lived(&self) -> Duration {
        self.until.since(self.run.started_at)
    }

    /// What was measured in the last minute, each quantity by itself.
    pub fn series(&self) -> Vec<Series> {
        series::all(&self.samples.rows, &self.metrics.rows)
    }

    /// Whether it died badly: by a signal, or with a code other than 0 while work was open or had just
    /// failed. A plain code is an answer (`grep` that finds nothing), and so are the signals by which a
    /// person at a terminal or a closed pipe ends a program.
    pub fn is_crash(&self) -> bool {
        let unfinished = self.open_spans() > 0 || !self.failed.rows.is_empty();
        self.ended.is_some_and(|ended| match ended.exit_code {
            Some(0 | INTERRUPTED | BROKEN_PIPE) | None => false,
            Some(code) => code < 0 || unfinished,
        })
    }
}

/// Gathers what is known of the run that is meant, at most so much of it; none when no run fits.
///
/// Costs about a dozen short queries, each by the run and its last minute, whatever else is stored.
///
/// # Errors
/// When the store cannot be read.
pub fn perform(
    store: &dyn Store,
    which: &WhichRun,
    limits: Limits,
    now: Timestamp,
) -> Result<Option<Autopsy>, ReadError> {
    let Some(chosen) = store.choose_run(which)? else {
        return Ok(None);
    };
    let run = chosen.run;
    let ended = ended(store, &run)?;
    let until = ended.map_or(now, |ended| ended.at);
    let asked = Asked {
        store,
        run: &run,
        until,
    };
    // Open ones first: what ends in between is then found among the ended ones.
    let open = store.open_spans(OPEN_SPANS_READ)?;
    let failures = asked.failures(limits.open.saturating_add(limits.failed))?;
    let failed = failures
        .rows
        .iter()
        .filter(|span| !span.was_open_at_death());
    let failed = newest(failed.rev().cloned().collect(), limits.failed);
    let (open, open_cut) = asked.open(open, &failures.rows, limits.open);
    let threads = tree::threads(run.run.pid, open);
    let children = store.living_children(&run, limits.children.saturating_add(1))?;
    let accounts = store.ledger()?;
    let own = || {
        let all = accounts.iter();
        all.filter(|account| RunKey::from(account.producer) == run.run)
    };
    Ok(Some(Autopsy {
        others: chosen.others,
        ended,
        until,
        threads,
        open_cut,
        failed,
        logs: asked.logs(limits.logs)?,
        samples: asked.samples(limits.samples)?,
        metrics: asked.last_minute(limits.samples, |filter, page| store.metrics(filter, page))?,
        events: asked.last_minute(limits.events, |filter, page| {
            store.process_events(filter, page)
        })?,
        children: Newest {
            cut: children.len() > limits.children,
            rows: children.into_iter().take(limits.children).collect(),
        },
        emitted: own().map(|account| account.emitted()).sum(),
        losses: Losses::sum(own()),
        run,
    }))
}

/// Open spans of all runs that are looked through.
const OPEN_SPANS_READ: usize = 20_000;

/// How the run ended, if it has: an observer's word on why, else what its exit code tells.
fn ended(store: &dyn Store, run: &StoredRun) -> Result<Option<Ended>, ReadError> {
    let Some(at) = run.ended_at else {
        return Ok(None);
    };
    let filter = ProcessFilter {
        run: Some(run.id),
        pid: Some(run.run.pid),
        text: Some(TERMINATED.into()),
        ..ProcessFilter::default()
    };
    // Several may have watched, and not all of them have learnt as much.
    let told = store.process_events(&filter, Page::newest(10))?;
    let deaths = told
        .iter()
        .filter_map(|event| read_detail(event.detail.as_deref()?));
    let death = deaths.min_by_key(|death| match death.cause {
        Cause::OutOfMemory => 0,
        Cause::PerhapsOutOfMemory | Cause::Signal | Cause::Exit => 1,
        Cause::Killed => 2,
        Cause::Unknown => 3,
    });
    let death = death.filter(|death| death.cause != Cause::Unknown);
    Ok(Some(Ended {
        at,
        exit_code: run.exit_code,
        death: death.unwrap_or(Death::of_code(run.exit_code)),
    }))
}

/// Reads what [`Death::detail`] has written.
fn read_detail(detail: &str) -> Option<Death> {
    let detail: serde_json::Value = serde_json::from_str(detail).ok()?;
    let word = |key: &str| detail.get(key)?.as_str();
    Some(Death {
        cause: Cause::from_word(word("cause")?).unwrap_or(Cause::Unknown),
        evidence: word("evidence")
            .and_then(Evidence::from_word)
            .unwrap_or(Evidence::None),
        core_dumped: detail
            .get("core_dumped")
            .and_then(serde_json::Value::as_bool),
    })
}

/// What is asked of a store about one run.
struct Asked<'a> {
    store: &'a dyn Store,
    run: &'a StoredRun,
    until: Timestamp,
}

impl Asked<'_> {
    fn filter(&self, from: Timestamp) -> ProcessFilter {
        ProcessFilter {
            time: TimeRange {
                from: Some(from),
                to: Some(self.until.plus(SLACK)),
            },
            run: Some(self.run.id),
            pid: Some(self.run.run.pid),
            ..ProcessFilter::default()
        }
    }

    fn begun(&self) -> Timestamp {
        self.run.started_at.minus(SLACK)
    }

    fn last_minute<T>(
        &self,
        limit: usize,
        read: impl FnOnce(&ProcessFilter, Page) -> Result<Vec<T>, ReadError>,
    ) -> Result<Newest<T>, ReadError> {
        let page = Page::newest(limit.saturating_add(1));
        let rows = read(&self.filter(self.until.minus(LAST)), page)?;
        Ok(newest(rows, limit))
    }

    fn logs(&self, limit: usize) -> Result<Newest<StoredLog>, ReadError> {
        let page = Page::newest(limit.saturating_add(1));
        let rows = self.store.logs(&self.filter(self.begun()).into(), page)?;
        Ok(newest(rows, limit))
    }

    fn samples(&self, limit: usize) -> Result<Newest<StoredSample>, ReadError> {
        let samples = self.last_minute(limit, |filter, page| self.store.samples(filter, page))?;
        if !samples.rows.is_empty() {
            return Ok(samples);
        }
        let filter = self.filter(self.begun());
        let last = self.store.samples(&filter, Page::newest(1))?;
        Ok(newest(last, 1))
    }

    /// The newest spans that failed in the last minute, among them, as the last ones, those that
    /// were open at the end. When that is noticed late they end late: there is no upper bound.
    fn failures(&self, limit: usize) -> Result<Newest<StoredSpan>, ReadError> {
        let filter = SpanFilter {
            time: TimeRange {
                from: Some(self.until.minus(LAST)),
                to: None,
            },
            status: Some(Status::Err),
            run: Some(self.run.id),
            pid: Some(self.run.run.pid),
            ..SpanFilter::default()
        };
        let page = Page {
            order: Order::Newest,
            after: None,
            limit: limit.saturating_add(1),
        };
        Ok(newest(self.store.spans(&filter, page)?, limit))
    }

    /// What was open at the end, whether the collector has noticed that end already or not; what is
    /// open, of a run that lives.
    fn open(
        &self,
        open: Vec<StoredOpenSpan>,
        failures: &[StoredSpan],
        limit: usize,
    ) -> (Vec<StoredOpenSpan>, bool) {
        let interrupted = failures.iter().filter(|span| span.was_open_at_death());
        let mut spans: Vec<StoredOpenSpan> = interrupted.map(as_open).collect();
        let over: HashSet<_> = failures.iter().map(|span| span.key).collect();
        let is_ours = |span: &StoredOpenSpan| RunKey::from(span.key.producer) == self.run.run;
        spans.extend(
            open.into_iter()
                .filter(|span| is_ours(span) && !over.contains(&span.key)),
        );
        // The outermost ones were opened first.
        spans.sort_by_key(|span| (span.started_at, span.key.number));
        let cut = spans.len() > limit;
        spans.truncate(limit);
        (spans, cut)
    }
}

fn as_open(span: &StoredSpan) -> StoredOpenSpan {
    StoredOpenSpan {
        key: span.key,
        parent: span.parent,
        process: span.process.clone(),
        group: span.group.clone(),
        app_name: span.app_name.clone(),
        pid: span.pid,
        tid: span.tid,
        thread: span.thread.clone(),
        started_at: span.ended_at.minus(Duration::from_nanos(span.duration_ns)),
        captured: span.captured.clone(),
    }
}

/// Of rows that were read newest first, the first so many, oldest first.
fn newest<T>(mut rows: Vec<T>, limit: usize) -> Newest<T> {
    let cut = rows.len() > limit;
    rows.truncate(limit);
    rows.reverse();
    Newest { rows, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_read_as_it_was_written() {
        for cause in Cause::ALL {
            for evidence in Evidence::ALL {
                for core_dumped in [None, Some(false), Some(true)] {
                    let death = Death {
                        cause,
                        evidence,
                        core_dumped,
                    };
                    assert_eq!(read_detail(&death.detail()), Some(death));
                }
            }
        }
    }

    #[test]
    fn a_word_of_a_later_version_is_unknown_not_an_error() {
        let death = read_detail(r#"{"cause":"struck","evidence":["seen"],"core_dumped":1}"#);
        assert_eq!(death, Some(Death::of_code(None)));
        assert_eq!(read_detail("{}"), None);
        assert_eq!(read_detail("no json"), None);
    }
}
