//! What a refresh reads.
//!
//! The order of the queries matters, since each sees a later commit than the one before. Open spans
//! come first and ended ones second: a span that ends in between is seen twice and counted as ended;
//! the other way round it would be missing from both. Samples come before runs, so that the run of
//! every sample is there.

use std::collections::HashSet;
use std::time::Duration;

use argus_model::Timestamp;
use argus_store::batch::{CollectorState, Status};
use argus_store::query::{
    Page, ProcessFilter, ProducerLedger, SpanFilter, StoredOpenSpan, StoredRun, StoredSample,
    StoredSpan, StoredStack,
};
use argus_store::{ReadError, Store};

use super::LiveState;

/// How often samples and runs are read: a death shows within a quarter of a second.
const OUTSIDE_EVERY: Duration = Duration::from_millis(250);

/// How often losses are read: a row for every producer in the store.
const LEDGER_EVERY: Duration = Duration::from_secs(1);

/// The newest runs, read every time: whatever has started is among them.
const NEWEST_RUNS: usize = 128;

/// Older runs asked for one by one each time: the ones that came into view otherwise, and, in
/// turns, those that may have ended.
const OLDER_RUNS: usize = 16;

/// Samples taken in at once; of more than these only the newest are of use.
const SAMPLES: usize = 4_096;

/// Threads whose sampled stacks are read, at most.
const STACKS: usize = 4_096;

/// Rows that are new since the last refresh, and those that replace what was there.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The newest ended span of any process when reading began, where only one process is read.
    /// Cursors move there, lest every refresh search again through what others did.
    pub head: Option<i64>,
    /// All open spans, oldest first; one more than the limit says that there are more.
    pub open: Vec<StoredOpenSpan>,
    /// Spans that ended, oldest first.
    pub ended: Vec<StoredSpan>,
    /// Spans that failed, oldest first.
    pub failed: Vec<StoredSpan>,
    /// The collector's account of itself.
    pub collector: Option<CollectorState>,
    /// What is read less often.
    pub outside: Option<OutsideChanges>,
}

/// What changes by the second rather than by the call.
#[derive(Debug, Clone, Default)]
pub struct OutsideChanges {
    /// Samples, oldest first.
    pub samples: Vec<StoredSample>,
    /// Runs that are new or may have changed.
    pub runs: Vec<StoredRun>,
    /// The sampled stacks that hold at this moment.
    pub stacks: Vec<StoredStack>,
    /// All producers' accounts, if read this time.
    pub ledger: Option<Vec<ProducerLedger>>,
}

/// How much of the picture a refresh brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// All of it.
    Whole,
    /// Spans and collector. The rest was read too short a time ago: refresh again within a second
    /// even if nothing further is committed.
    Inside,
}

impl Changes {
    pub(super) fn extent(&self) -> Refreshed {
        match &self.outside {
            Some(outside) if outside.ledger.is_some() => Refreshed::Whole,
            _ => Refreshed::Inside,
        }
    }
}

/// How far the store has been read.
#[derive(Debug, Clone, Default)]
pub(super) struct Cursors {
    ended: Option<i64>,
    failed: Option<i64>,
    samples: Option<i64>,
    outside_at: Option<Timestamp>,
    ledger_at: Option<Timestamp>,
    older: usize,
}

impl Cursors {
    pub(super) fn advance(&mut self, changes: &Changes, now: Timestamp) {
        let newest = |cursor: &mut Option<i64>, id: Option<i64>| *cursor = id.max(*cursor);
        for (cursor, rows) in [
            (&mut self.ended, &changes.ended),
            (&mut self.failed, &changes.failed),
        ] {
            newest(cursor, changes.head);
            newest(cursor, rows.last().map(|row| row.id));
        }
        let Some(outside) = &changes.outside else {
            return;
        };
        newest(&mut self.samples, outside.samples.last().map(|row| row.id));
        self.outside_at = Some(now);
        self.older = self.older.wrapping_add(OLDER_RUNS);
        if outside.ledger.is_some() {
            self.ledger_at = Some(now);
        }
    }
}

/// Whether something done every `period` is to be done again. A clock that was set back is no
/// reason to wait.
fn is_due(last: Option<Timestamp>, period: Duration, now: Timestamp) -> bool {
    last.is_none_or(|last| now < last || now.since(last) >= period)
}

pub(super) fn read(
    state: &LiveState,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Changes, ReadError> {
    let options = &state.options;
    let open = store.open_spans(options.open.saturating_add(1))?;
    let all = SpanFilter {
        pid: options.pid,
        ..SpanFilter::default()
    };
    let failed = SpanFilter {
        status: Some(Status::Err),
        ..all.clone()
    };
    let head = match options.pid {
        None => None,
        Some(_) => {
            let newest = store.spans(&SpanFilter::default(), Page::newest(1))?;
            newest.first().map(|span| span.id)
        }
    };
    let spans = |filter, cursor, limit| {
        let page = |page| store.spans(filter, page);
        follow(cursor, limit, |span: &StoredSpan| span.id, page)
    };
    let mut changes = Changes {
        head,
        open,
        ended: spans(&all, state.cursors.ended, options.recent)?,
        failed: spans(&failed, state.cursors.failed, options.errors)?,
        collector: store.collector()?,
        outside: None,
    };
    if is_due(state.cursors.outside_at, OUTSIDE_EVERY, now) {
        let mut outside = read_outside(state, store, &changes.open, now)?;
        if is_due(state.cursors.ledger_at, LEDGER_EVERY, now) {
            outside.ledger = Some(store.ledger()?);
        }
        changes.outside = Some(outside);
    }
    Ok(changes)
}

fn read_outside(
    state: &LiveState,
    store: &dyn Store,
    open: &[StoredOpenSpan],
    now: Timestamp,
) -> Result<OutsideChanges, ReadError> {
    let filter = ProcessFilter {
        pid: state.options.pid,
        ..ProcessFilter::default()
    };
    let page = |page| store.samples(&filter, page);
    let id = |sample: &StoredSample| sample.id;
    let samples = follow(state.cursors.samples, SAMPLES, id, page)?;
    let stacks = store.stacks(None, now, STACKS)?;
    let mut runs = store.runs(&filter, Page::newest(NEWEST_RUNS))?;
    if runs.len() == NEWEST_RUNS {
        for pid in older_pids(state, &runs, &samples, open) {
            let pid = ProcessFilter {
                pid: Some(pid),
                ..ProcessFilter::default()
            };
            runs.extend(store.runs(&pid, Page::newest(1))?);
        }
    }
    Ok(OutsideChanges {
        samples,
        runs,
        stacks,
        ledger: None,
    })
}

/// Pids whose run is not among the newest: unknown ones first, then in turns those shown.
fn older_pids(
    state: &LiveState,
    newest: &[StoredRun],
    samples: &[StoredSample],
    open: &[StoredOpenSpan],
) -> Vec<u32> {
    let mut seen: HashSet<u32> = newest.iter().map(|run| run.run.pid).collect();
    let sampled = samples.iter().map(|sample| sample.pid);
    let opened = open.iter().map(|span| span.pid);
    let unknown = sampled.chain(opened).filter(|&pid| !state.knows(pid));
    let shown = state.processes.len().max(1);
    let in_turns = state
        .processes
        .iter()
        .cycle()
        .skip(state.cursors.older % shown)
        .take(state.processes.len())
        .filter(|process| process.ended.is_none())
        .map(|process| process.pid());
    unknown
        .chain(in_turns)
        .filter(|&pid| seen.insert(pid))
        .take(OLDER_RUNS)
        .collect()
}

/// Rows after the cursor, oldest first. When more came than are kept, only the newest: following
/// row by row would then show the past instead of the present.
fn follow<Row>(
    cursor: Option<i64>,
    keep: usize,
    id: impl Fn(&Row) -> i64,
    page: impl Fn(Page) -> Result<Vec<Row>, ReadError>,
) -> Result<Vec<Row>, ReadError> {
    if let Some(cursor) = cursor {
        let rows = page(Page::following(cursor, keep))?;
        if rows.len() < keep {
            return Ok(rows);
        }
    }
    let mut rows = page(Page::newest(keep))?;
    rows.retain(|row| cursor.is_none_or(|cursor| id(row) > cursor));
    rows.reverse();
    Ok(rows)
}
