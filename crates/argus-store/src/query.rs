//! The reading side of a store: what screens and commands ask.
//!
//! Every listing is a page with a cursor: rows are told apart and ordered by their id, which grows
//! in commit order, so that following ([`Order::Oldest`] after the last id seen) misses nothing and
//! paging deep costs no more than the first page. No query holds a transaction over 100 ms.

mod logs;
mod remote;
mod which;

use std::ops::ControlFlow;
use std::time::Duration;

use argus_model::record::{STACK_REPEATED_EVERY, ThreadState};
use argus_model::session::SessionStatus;
use argus_model::{Measures, ProducerId, SpanKey, SpanNumber, Timestamp};

use crate::batch::{CollectorState, Parent, RunKey, Status};
use crate::engine::death;
use crate::error::ReadError;

pub(crate) use logs::words_from;
pub use logs::{LogFilter, StoredLog, StoredLogPosition, StoredLogTemplate};
pub use remote::{RemoteParents, StoredRemoteParent};
pub use which::{ChosenRun, WhichRun};

/// Which end of a listing comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first; [`Page::after`] then means "older than this id".
    #[default]
    Newest,
    /// Oldest first; [`Page::after`] means "newer than this id".
    Oldest,
}

/// Which part of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Direction.
    pub order: Order,
    /// The last id of the page before.
    pub after: Option<i64>,
    /// At most this many rows.
    pub limit: usize,
}

impl Page {
    /// The newest `limit` rows.
    pub fn newest(limit: usize) -> Self {
        Self {
            order: Order::Newest,
            after: None,
            limit,
        }
    }

    /// At most `limit` rows that were committed after the row with this id.
    pub fn following(after: i64, limit: usize) -> Self {
        Self {
            order: Order::Oldest,
            after: Some(after),
            limit,
        }
    }
}

/// Restricts rows to a stretch of time: `from` inclusive, `to` exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub to: Option<Timestamp>,
}

impl TimeRange {
    /// Whether `at` lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }
}

/// Which spans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpanFilter {
    /// Ended in this stretch.
    pub time: TimeRange,
    /// Exactly this status.
    pub status: Option<Status>,
    /// The function's name contains this text.
    pub name: Option<String>,
    /// Exactly the run with this id. Its pid, given as well, makes the search for it short.
    pub run: Option<i64>,
    /// Exactly this process id.
    pub pid: Option<u32>,
    /// Exactly this application name.
    pub app_name: Option<String>,
    /// Name, captured values, or exception contain this text.
    pub text: Option<String>,
}

/// An ended span as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSpan {
    /// Commit order.
    pub id: i64,
    /// Identity.
    pub key: SpanKey,
    /// The span around it in the same producer, or none.
    pub parent: SpanNumber,
    /// `module.qualname`.
    pub process: String,
    /// Process group.
    pub group: Option<String>,
    /// Application name of its program.
    pub app_name: String,
    /// Process id of its program.
    pub pid: u32,
    /// Kernel thread id.
    pub tid: u32,
    /// Thread name.
    pub thread: String,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How long it took.
    pub duration_ns: u64,
    /// Whether it went well.
    pub status: Status,
    /// Captured values, as in [`SpanRow::captured`](crate::batch::SpanRow::captured).
    pub captured: Option<String>,
    /// The exception with its traceback.
    pub exception: Option<String>,
    /// Cut off by its process's death.
    pub interrupted: bool,
}

impl StoredSpan {
    /// Whether it was open when its process died. (What is interrupted can also have been left
    /// behind by a program that executed another one.)
    pub fn was_open_at_death(&self) -> bool {
        death::was_open_at_death(self.interrupted, self.exception.as_deref())
    }
}

/// An open span as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOpenSpan {
    /// Identity.
    pub key: SpanKey,
    /// The span around it in the same producer, or none.
    pub parent: SpanNumber,
    /// `module.qualname`.
    pub process: String,
    /// Process group.
    pub group: Option<String>,
    /// Application name of its program.
    pub app_name: String,
    /// Process id of its program.
    pub pid: u32,
    /// Kernel thread id.
    pub tid: u32,
    /// Thread name.
    pub thread: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Captured arguments.
    pub captured: Option<String>,
}

/// One run of one process, seen from inside, from outside, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    /// Commit order.
    pub id: i64,
    /// Identity.
    pub run: RunKey,
    /// Application name.
    pub app_name: String,
    /// The name the kernel gives it.
    pub process_name: String,
    /// Its arguments.
    pub command_line: String,
    /// Machine.
    pub hostname: String,
    /// It records itself from inside.
    pub instrumented: bool,
    /// It only records others, as `argus gaze` does.
    pub observer: bool,
    /// First seen.
    pub started_at: Timestamp,
    /// Death noticed; absent while it lives.
    pub ended_at: Option<Timestamp>,
    /// Exit code, −N for signal N, absent when unknown or alive.
    pub exit_code: Option<i32>,
    /// The process that started it, where that is known.
    pub parent: Option<Parent>,
}

/// Which rows about processes: samples, logs, events, metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessFilter {
    /// In this stretch.
    pub time: TimeRange,
    /// Exactly the run with this id. Its pid, given as well, makes the search for it short.
    pub run: Option<i64>,
    /// Exactly this process id.
    pub pid: Option<u32>,
    /// Exactly this application name.
    pub app_name: Option<String>,
    /// The log line, metric name, or event type contains this text.
    pub text: Option<String>,
}

/// A row of `performance_metrics`.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSample {
    /// Commit order.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Application name.
    pub app_name: String,
    /// The name the kernel gives the process.
    pub process_name: String,
    /// Process id.
    pub pid: u32,
    /// Percent of one core.
    pub cpu_percent: f64,
    /// Resident memory in megabytes (10⁶ would surprise: these are MiB, as `psutil`'s users expect).
    pub memory_mb: f64,
    /// Number of threads.
    pub threads: u32,
    /// What else is known of it.
    pub measures: Measures,
}

/// A row of `process_events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProcessEvent {
    /// Commit order.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Application name.
    pub app_name: String,
    /// The name the kernel gives the process.
    pub process_name: String,
    /// Process id.
    pub pid: u32,
    /// What happened.
    pub event_type: String,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// What else there is to say: a JSON object.
    pub detail: Option<String>,
}

/// A row of `metrics`.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMetric {
    /// Commit order.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Application name.
    pub app_name: String,
    /// Process id.
    pub pid: u32,
    /// What.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Unit, empty when none.
    pub unit: String,
    /// A JSON object, absent when empty.
    pub attributes: Option<String>,
}

/// How long a sampled stack is taken to hold: whoever samples says at least every
/// [`STACK_REPEATED_EVERY`] that nothing has changed, so that one who is silent for longer is gone,
/// or no longer able to look.
pub const STACKS_HOLD: Duration = STACK_REPEATED_EVERY.saturating_add(Duration::from_secs(5));

/// What a thread was in the middle of, sampled from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStack {
    /// Commit order.
    pub id: i64,
    /// When it was sampled; nothing has changed since, as far as is known.
    pub at: Timestamp,
    /// Whose.
    pub run: RunKey,
    /// The thread's kernel id.
    pub tid: u32,
    /// Its name.
    pub thread: String,
    /// What it was at.
    pub state: ThreadState,
    /// It held the interpreter's lock.
    pub holds_gil: bool,
    /// A line `function (file:line)` for each call it was in, innermost first.
    pub frames: String,
}

/// One function's calls over a stretch of time, from the per-minute rollups.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionStatistics {
    /// `module.qualname`.
    pub process: String,
    /// Calls that ended.
    pub count: u64,
    /// Of these, failed ones.
    pub errors: u64,
    /// Sum of their durations.
    pub total_ns: u64,
    /// Median duration, within 2 %.
    pub p50_ns: u64,
    /// 95th percentile, within 2 %.
    pub p95_ns: u64,
    /// 99th percentile, within 2 %.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// A producer's account: what it emitted is what is stored plus what is counted as lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerLedger {
    /// Who.
    pub producer: ProducerId,
    /// Application name.
    pub app_name: String,
    /// Process id.
    pub pid: u32,
    /// First seen.
    pub seen_at: Timestamp,
    /// Death noticed; absent while it lives.
    pub ended_at: Option<Timestamp>,
    /// Records in the store.
    pub stored: u64,
    /// Ordinary records that found no room.
    pub lost_normal: u64,
    /// Errors that found no room.
    pub lost_errors: u64,
    /// Records that were accepted but could not be read back.
    pub damaged: u64,
    /// Records of a kind the collector does not know.
    pub unknown: u64,
}

impl ProducerLedger {
    /// Everything not in the store.
    pub fn lost(&self) -> u64 {
        self.lost_normal + self.lost_errors + self.damaged + self.unknown
    }

    /// Everything emitted, as far as it is accounted for.
    pub fn emitted(&self) -> u64 {
        self.stored + self.lost()
    }
}

/// A stretch of time in which a producer lost records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGap {
    /// Application name.
    pub app_name: String,
    /// Process id.
    pub pid: u32,
    /// Why: `budget`, `disk`, `too_large`, `reentrant`.
    pub reason: String,
    /// Ordinary records lost in it.
    pub normal: u64,
    /// Errors lost in it.
    pub errors: u64,
    /// The first loss.
    pub from: Timestamp,
    /// The last loss.
    pub to: Timestamp,
}

/// How many rows the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Ended spans.
    pub spans: u64,
    /// Of these, failed ones.
    pub errors: u64,
    /// Open spans.
    pub open_spans: u64,
    /// Readings of CPU, memory, threads.
    pub samples: u64,
    /// Log lines.
    pub logs: u64,
    /// Process events.
    pub process_events: u64,
    /// Readings of named quantities.
    pub metrics: u64,
    /// Sampled stacks.
    pub stacks: u64,
    /// Sessions.
    pub sessions: u64,
    /// Spans ever seen open by a commit, ended ones included.
    pub seen_open: u64,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// Its id.
    pub session: String,
    /// What its `session_started` said, a JSON object.
    pub metadata: String,
    /// Started.
    pub started_at: Timestamp,
    /// Ended, absent while active or interrupted.
    pub ended_at: Option<Timestamp>,
    /// How it stands.
    pub status: SessionStatus,
    /// Events so far.
    pub events: u64,
}

/// An event of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its session.
    pub session: String,
    /// 1, 2, 3, … without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Snake-case type.
    pub event_type: String,
    /// A JSON object.
    pub data: String,
}

/// The answer to a free query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<Cell>>,
    /// More rows existed than were asked for.
    pub cut: bool,
}

/// A cell of a free query's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Follows a search, may end it.
pub type SearchWatch<'a> = &'a mut dyn FnMut(Searched) -> ControlFlow<()>;

/// How far a search has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Searched {
    /// Rows passed: looked through, removed, or known not to match without a look.
    pub rows: u64,
    /// Rows to be passed before it is known that there are no more.
    pub of: u64,
    /// Rows found.
    pub found: usize,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// In the order asked for.
    pub spans: Vec<StoredSpan>,
    /// Where to go on ([`Page::after`]) when the search was ended before its page was full; absent
    /// when the page is full or there are no more.
    pub rest: Option<i64>,
}

/// What an engine must promise to be read by screens and commands.
///
/// A reader never blocks the writer and never writes. It sees each commit whole.
pub trait Store: Send {
    /// A number that changes whenever something was committed; cheap enough to poll.
    fn version(&self) -> Result<u64, ReadError>;

    /// Ended spans.
    fn spans(&self, filter: &SpanFilter, page: Page) -> Result<Vec<StoredSpan>, ReadError>;

    /// A page of ended spans like [`spans`](Self::spans), for a search that may take long: `watch`
    /// is told after each short transaction how far it has come, and may end it. What was found
    /// until then is given, with the place to go on from.
    fn search(
        &self,
        filter: &SpanFilter,
        page: Page,
        watch: SearchWatch<'_>,
    ) -> Result<Found, ReadError>;

    /// All open spans, oldest first, at most `limit`.
    fn open_spans(&self, limit: usize) -> Result<Vec<StoredOpenSpan>, ReadError>;

    /// Process runs.
    fn runs(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredRun>, ReadError>;

    /// The run that somebody means; none when no run fits.
    fn choose_run(&self, which: &WhichRun) -> Result<Option<ChosenRun>, ReadError>;

    /// The runs that this one has started and that have not ended, the oldest first, at most `limit`.
    fn living_children(&self, of: &StoredRun, limit: usize) -> Result<Vec<StoredRun>, ReadError>;

    /// Readings of CPU, memory, threads.
    fn samples(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredSample>, ReadError>;

    /// Log lines.
    fn logs(&self, filter: &LogFilter, page: Page) -> Result<Vec<StoredLog>, ReadError>;

    /// The positions noted for the log files of a path, the newest first.
    fn log_positions(&self, path: &str) -> Result<Vec<StoredLogPosition>, ReadError>;

    /// All templates of log lines, in the order of their ids.
    fn log_templates(&self) -> Result<Vec<StoredLogTemplate>, ReadError>;

    /// Process events.
    fn process_events(
        &self,
        filter: &ProcessFilter,
        page: Page,
    ) -> Result<Vec<StoredProcessEvent>, ReadError>;

    /// Readings of named quantities.
    fn metrics(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredMetric>, ReadError>;

    /// The stacks that held at a moment, of one run or of all, the main thread of a run first, at
    /// most `limit`: of each thread the last sample of the [`STACKS_HOLD`] up to then, unless it had
    /// ended. Cost: reads the samples of that time.
    fn stacks(
        &self,
        whose: Option<RunKey>,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<StoredStack>, ReadError>;

    /// Spans with parents in other programs, those that began last first, at most `limit`. Cost: a search
    /// in an index.
    fn remote_parents(
        &self,
        which: RemoteParents,
        limit: usize,
    ) -> Result<Vec<StoredRemoteParent>, ReadError>;

    /// Statistics per function over whole minutes that touch `time`, by total time, largest first.
    fn functions(&self, time: TimeRange) -> Result<Vec<FunctionStatistics>, ReadError>;

    /// Every producer's account, newest first.
    fn ledger(&self) -> Result<Vec<ProducerLedger>, ReadError>;

    /// When and why records were lost, by the last loss, newest first, at most `limit`.
    fn gaps(&self, limit: usize) -> Result<Vec<StoredGap>, ReadError>;

    /// How many rows there are.
    fn counts(&self) -> Result<Counts, ReadError>;

    /// The collector's account of itself, absent before its first commit.
    fn collector(&self) -> Result<Option<CollectorState>, ReadError>;

    /// Sessions, newest first, at most `limit`.
    fn sessions(&self, limit: usize) -> Result<Vec<StoredSession>, ReadError>;

    /// A session's events with `seq` above `after`, in order, at most `limit`.
    fn session_events(
        &self,
        session: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, ReadError>;

    /// Runs a read-only query in the engine's own language, at most `limit` rows.
    fn query(&self, text: &str, limit: usize) -> Result<Table, ReadError>;
}
