//! What the drain hands to an engine: rows, and the spool positions they were read up to.
//!
//! A [`Batch`] is committed whole or not at all. Because the positions stand in the same
//! transaction as the rows, a collector that dies at any moment is followed by one that goes on
//! exactly where the store says: no record is stored twice, none is skipped.

use std::sync::Arc;

use argus_model::record::{Gap, OBSERVER_RUNTIME, ThreadState};
use argus_model::{Measures, NameText, ProducerId, SpanKey, SpanNumber, Timestamp};

/// One run of one process: what joins the view from inside with the view from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RunKey {
    /// A hash of the machine's id.
    pub machine: u64,
    /// The first half of the kernel's boot id.
    pub boot: u64,
    /// Inode of the pid namespace.
    pub pid_namespace: u64,
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

impl From<ProducerId> for RunKey {
    fn from(id: ProducerId) -> Self {
        Self {
            machine: id.machine,
            boot: id.boot,
            pid_namespace: id.pid_namespace,
            pid: id.pid,
            start_ticks: id.start_ticks,
        }
    }
}

/// Whom a row is about: the columns that the tables of processes share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Subject {
    /// The run.
    pub run: RunKey,
    /// Application name.
    pub app_name: String,
    /// The name the kernel gives the process.
    pub process_name: String,
    /// Its arguments, joined by spaces.
    pub command_line: String,
    /// The machine's name.
    pub hostname: String,
    /// The process that started it, where that is known.
    pub parent: Option<Parent>,
}

/// A process's parent, on the same machine and in the same boot and pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parent {
    /// Its pid.
    pub pid: u32,
    /// Its start time in clock ticks since boot, where that is known.
    pub start_ticks: Option<u64>,
}

impl Parent {
    /// From numbers of which 0 stands for "unknown".
    pub fn known(pid: u32, start_ticks: u64) -> Option<Self> {
        (pid != 0).then_some(Self {
            pid,
            start_ticks: (start_ticks != 0).then_some(start_ticks),
        })
    }
}

/// A producer as it describes itself. Upserted: the last description holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerRow {
    /// Who.
    pub id: ProducerId,
    /// The process, as the tables of processes name it.
    pub subject: Arc<Subject>,
    /// The language runtime and its version.
    pub runtime: String,
    /// Version of Argus that writes.
    pub argus_version: String,
    /// When the collector first read from it.
    pub seen_at: Timestamp,
}

impl ProducerRow {
    /// Whether it records others and is of no interest by itself.
    pub fn is_observer(&self) -> bool {
        self.runtime == OBSERVER_RUNTIME
    }
}

/// The thread a span was opened in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Thread {
    /// Kernel thread id, 0 when unknown.
    pub tid: u32,
    /// Its name, empty when unknown.
    pub name: String,
}

/// A span that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenSpan {
    /// Which.
    pub key: SpanKey,
    /// The span around it in the same producer, or none.
    pub parent: SpanNumber,
    /// What it runs.
    pub name: Arc<NameText>,
    /// Where.
    pub thread: Arc<Thread>,
    /// When it started, wall clock.
    pub started_at: Timestamp,
    /// When it started, monotonic clock of the machine, in nanoseconds: durations come from this.
    pub started_monotonic: u64,
    /// Captured arguments: a JSON object, see [`SpanRow::captured`].
    pub captured: Option<String>,
}

/// Whether a span went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It returned.
    Ok,
    /// It raised, panicked, or was cut off.
    Err,
}

impl Status {
    /// The word stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Err => "ERR",
        }
    }
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRow {
    /// Which.
    pub key: SpanKey,
    /// The span around it in the same producer, or none.
    pub parent: SpanNumber,
    /// What it ran.
    pub name: Arc<NameText>,
    /// Where it was opened.
    pub thread: Arc<Thread>,
    /// When it ended, wall clock. Its start is this minus the duration.
    pub ended_at: Timestamp,
    /// How long it took, by the monotonic clock.
    pub duration_ns: u64,
    /// Whether it went well.
    pub status: Status,
    /// Captured values: `{"i": {name: text}, "o": {"result": text}, "l": {name: text}}` for data
    /// types INPUT, OUTPUT and LOCAL; every leaf is text, absent parts are left out.
    pub captured: Option<String>,
    /// The exception with its traceback; begins with `interrupted:` when the process died first.
    pub exception: Option<String>,
}

/// CPU, memory, and threads of a process at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRow {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub subject: Arc<Subject>,
    /// Percent of one core.
    pub cpu_percent: f64,
    /// Resident set size in bytes.
    pub rss_bytes: u64,
    /// Number of threads.
    pub threads: u32,
    /// What else is known of it.
    pub measures: Measures,
}

/// A span's parent is in another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteParentRow {
    /// The span.
    pub key: SpanKey,
    /// When it began.
    pub at: Timestamp,
    /// The trace's id (W3C Trace Context).
    pub trace: u128,
    /// The parent's id within it.
    pub parent: u64,
}

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// When it was captured.
    pub at: Timestamp,
    /// Whose.
    pub subject: Arc<Subject>,
    /// The line as it was.
    pub line: String,
    /// The file it stood in.
    pub path: Option<Arc<str>>,
    /// `file`, `stdout`, `stderr` or `logger`.
    pub source: &'static str,
    /// Severity, where known.
    pub level: Option<String>,
    /// The span it belongs to, where known.
    pub span: Option<SpanKey>,
    /// Some of its bytes were replaced or cut.
    pub altered: bool,
    /// Of a line of a followed file: the offset behind it.
    pub offset: Option<u64>,
    /// What it means, where that was made out.
    pub meaning: Option<Box<LogMeaning>>,
    /// The template that it fits.
    pub template: Option<i64>,
}

/// What a log line means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogMeaning {
    /// The time that the line itself tells.
    pub said_at: Option<Timestamp>,
    /// What it says, without time, level and the like.
    pub message: Option<String>,
    /// How many lines it stands behind the first of its event; 0 for a first line.
    pub continues: u32,
    /// The logger's name.
    pub logger: Option<String>,
    /// What else it tells: a JSON object.
    pub attributes: Option<String>,
    /// Ids by which it belongs to other lines: name and value.
    pub ids: Vec<(String, String)>,
}

/// The content of a log file: which file, and how it begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LogFile {
    /// The path that is followed.
    pub path: Arc<str>,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// When the file was made, in nanoseconds since the Unix epoch; 0 when that is not known.
    pub born_ns: i64,
    /// How many bytes of its beginning were looked at.
    pub head_bytes: u32,
    /// Their hash.
    pub head_hash: u64,
}

/// Up to where the lines of a log file are stored, committed with them. Of a content the furthest
/// position counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    /// When the last of them was captured.
    pub at: Timestamp,
    /// In which content.
    pub file: Arc<LogFile>,
    /// So many bytes.
    pub offset: u64,
}

/// Lines of one template, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTemplate {
    /// Its id.
    pub id: i64,
    /// The text they have in common, `<*>` standing for what varies.
    pub pattern: String,
    /// How many more lines fit it.
    pub count: u64,
    /// When the first of them was captured.
    pub first: Timestamp,
    /// When the last of them was captured.
    pub last: Timestamp,
}

/// Something that happened to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEventRow {
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub subject: Arc<Subject>,
    /// `started`, `terminated`, `monitoring_started`, `monitoring_stopped`, …
    pub event_type: String,
    /// Exit code, −N for signal N, absent when unknown.
    pub exit_code: Option<i32>,
    /// What else there is to say: a JSON object.
    pub detail: Option<String>,
}

/// One reading of a named quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRow {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub subject: Arc<Subject>,
    /// What.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Unit, empty when none.
    pub unit: String,
    /// A JSON object with text leaves, absent when empty.
    pub attributes: Option<String>,
}

/// What a thread of a process was in the middle of, sampled from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRow {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub subject: Arc<Subject>,
    /// The thread's kernel id.
    pub tid: u32,
    /// Its name.
    pub thread: String,
    /// What it was at.
    pub state: ThreadState,
    /// It held the interpreter's lock.
    pub holds_gil: bool,
    /// A line for each call it was in, innermost first; empty when it was in none.
    pub frames: String,
}

/// An event of a session. The engine gives it the session's next `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEventRow {
    /// The session's id.
    pub session: String,
    /// Who emitted it.
    pub producer: ProducerId,
    /// When.
    pub at: Timestamp,
    /// Snake-case type.
    pub event_type: String,
    /// A JSON object.
    pub data: String,
}

/// A producer is over: nothing more will come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerEnd {
    /// Who.
    pub producer: ProducerId,
    /// When its end was noticed.
    pub at: Timestamp,
    /// In which way.
    pub ending: Ending,
}

/// The way in which a producer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its process is over: exit code, −N for signal N, absent when unknown.
    Exit(Option<i32>),
    /// Its process runs another program now. The run goes on with a later producer of the process,
    /// as soon as there is one.
    Exec,
}

impl Ending {
    /// The exit code of the process, where there is one and it is known.
    pub const fn exit_code(self) -> Option<i32> {
        match self {
            Self::Exit(code) => code,
            Self::Exec => None,
        }
    }
}

/// How far a chunk has been read. Replaces the position stored for the same producer and chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Whose spool.
    pub producer: ProducerId,
    /// The chunk's number.
    pub chunk: u32,
    /// The chunk's generation: a re-used chunk starts anew.
    pub generation: u64,
    /// Everything before this byte is in the store.
    pub offset: u32,
    /// The generation was read to its end, and what was damaged in it is counted.
    pub ended: bool,
}

/// Records lost by a producer, by gap. A gap only grows: of what is said of the same (producer, gap
/// number) the larger counts and the wider stretch of time hold, whatever comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapRow {
    /// Whose.
    pub producer: ProducerId,
    /// What was lost.
    pub gap: Gap,
    /// Start of the gap, wall clock.
    pub from: Timestamp,
    /// End of the gap, wall clock.
    pub to: Timestamp,
}

impl GapRow {
    /// Takes in what else was said of the same gap.
    pub(crate) fn grow(&mut self, other: &Self) {
        self.gap.reason = other.gap.reason;
        self.gap.normal = self.gap.normal.max(other.gap.normal);
        self.gap.errors = self.gap.errors.max(other.gap.errors);
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
    }
}

/// What a batch adds to a producer's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerDelta {
    /// Whose.
    pub producer: ProducerId,
    /// Records read and turned into rows.
    pub stored: u64,
    /// Records that were accepted but could not be read back.
    pub damaged: u64,
    /// Valid records of a kind this collector does not know.
    pub unknown: u64,
    /// Records whose time could not be true and was clamped (they are stored).
    pub clamped: u64,
}

/// The collector's account of itself, kept in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectorState {
    /// Its pid.
    pub pid: u32,
    /// When it last wrote.
    pub heartbeat: Timestamp,
    /// Bytes of spool not yet drained at that time.
    pub backlog_bytes: u64,
    /// Age of the oldest record of its last batch when that was committed, in nanoseconds.
    pub write_lag_ns: u64,
    /// What it waits for before it writes on, if it waits.
    pub held: Option<Hold>,
}

/// A reader keeps the store from taking more. Nothing is lost: the records wait in the spools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// The reader's pid, where it can be known.
    pub reader: Option<u32>,
}

/// Rows to be committed together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Producers to insert or describe anew.
    pub producers: Vec<ProducerRow>,
    /// Spans still open at the end of this batch.
    pub opened: Vec<OpenSpan>,
    /// Spans that ended; one that stood among the open ones leaves them.
    pub ended: Vec<SpanRow>,
    /// What spans say of parents in other programs.
    pub remote_parents: Vec<RemoteParentRow>,
    /// Readings of CPU, memory, threads.
    pub samples: Vec<SampleRow>,
    /// Log lines.
    pub logs: Vec<LogRow>,
    /// How far log files have been read.
    pub log_positions: Vec<LogPosition>,
    /// Templates of lines, with what their counts grow by.
    pub log_templates: Vec<LogTemplate>,
    /// Process events.
    pub process_events: Vec<ProcessEventRow>,
    /// Readings of named quantities.
    pub metrics: Vec<MetricRow>,
    /// Stacks of threads.
    pub stacks: Vec<StackRow>,
    /// Session events, in the order they were emitted.
    pub session_events: Vec<SessionEventRow>,
    /// Producers whose process is over. Their open spans become interrupted spans, their active
    /// sessions interrupted ones, in the same transaction, after everything above.
    pub ends: Vec<ProducerEnd>,
    /// Losses.
    pub gaps: Vec<GapRow>,
    /// Ledger entries.
    pub ledger: Vec<LedgerDelta>,
    /// How far the spools have been read.
    pub positions: Vec<Position>,
    /// Producers whose spool is gone: their positions are no longer needed.
    pub forgotten: Vec<ProducerId>,
    /// The collector's account of itself.
    pub collector: Option<CollectorState>,
}

impl Batch {
    /// Whether committing this would change nothing.
    pub fn is_empty(&self) -> bool {
        self.collector.is_none() && self.is_account()
    }

    /// Whether there is at most the collector's account of itself in it.
    pub fn is_account(&self) -> bool {
        self.producers.is_empty()
            && self.opened.is_empty()
            && self.ended.is_empty()
            && self.remote_parents.is_empty()
            && self.samples.is_empty()
            && self.logs.is_empty()
            && self.log_positions.is_empty()
            && self.log_templates.is_empty()
            && self.process_events.is_empty()
            && self.metrics.is_empty()
            && self.stacks.is_empty()
            && self.session_events.is_empty()
            && self.ends.is_empty()
            && self.gaps.is_empty()
            && self.ledger.is_empty()
            && self.positions.is_empty()
            && self.forgotten.is_empty()
    }

    /// Rows in it, bookkeeping left out.
    pub fn rows(&self) -> usize {
        self.opened.len()
            + self.ended.len()
            + self.samples.len()
            + self.logs.len()
            + self.process_events.len()
            + self.metrics.len()
            + self.stacks.len()
            + self.session_events.len()
    }
}
