//! What a producer can say.
//!
//! A [`Record`] borrows from the bytes it was read from; the drain turns it into rows. Each kind
//! has a number that never changes its meaning: fields are only ever added at the end, and a reader
//! skips (and counts) a kind it does not know, so that an older collector can read a newer producer.
//!
//! Every payload begins with a 32-bit word, so that the words after it are aligned in the spool.

use std::time::Duration;

use crate::codec::{Decoder, Encoder, Full, Malformed, Packed};
use crate::identity::SpanNumber;
use crate::measure::Measures;
use crate::name::{NameNumber, NameText};
use crate::time::{ClockAnchor, Monotonic, Timestamp};
use crate::value::Value;

/// The record kinds and their numbers on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "each is described at the variant of Record that bears its name"
)]
pub enum Kind {
    Anchor = 1,
    Name = 2,
    Process = 3,
    SpanStart = 4,
    SpanEnd = 5,
    RemoteParent = 6,
    SpanFields = 7,
    Gap = 8,
    Metric = 9,
    SessionEvent = 10,
    Subject = 11,
    Log = 12,
    Sample = 13,
    ProcessEvent = 14,
    Stack = 15,
    LogFile = 16,
    LogPosition = 17,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 17] = [
        Self::Anchor,
        Self::Name,
        Self::Process,
        Self::SpanStart,
        Self::SpanEnd,
        Self::RemoteParent,
        Self::SpanFields,
        Self::Gap,
        Self::Metric,
        Self::SessionEvent,
        Self::Subject,
        Self::Log,
        Self::Sample,
        Self::ProcessEvent,
        Self::Stack,
        Self::LogFile,
        Self::LogPosition,
    ];

    /// The kind with this number on disk.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }

    /// Whether a record of this kind tells the reader how to read others and is no news by itself:
    /// such records are not part of the ledger.
    pub const fn is_bookkeeping(self) -> bool {
        matches!(
            self,
            Self::Anchor | Self::Name | Self::Process | Self::Subject | Self::LogFile | Self::Gap
        )
    }
}

/// Why records were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LossReason {
    /// The disk budget was used up.
    Budget = 1,
    /// The file system refused: full, read-only, an I/O error.
    Disk = 2,
    /// The record was larger than a chunk.
    TooLarge = 3,
    /// Emitted from within an emit (a signal handler, a serializer).
    Reentrant = 4,
}

impl LossReason {
    /// The reason with this number on disk; the nearest one for a number of the future.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Budget,
            3 => Self::TooLarge,
            4 => Self::Reentrant,
            _ => Self::Disk,
        }
    }

    /// The word stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Disk => "disk",
            Self::TooLarge => "too_large",
            Self::Reentrant => "reentrant",
        }
    }
}

/// Where a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LogSource {
    /// A followed file.
    File = 0,
    /// The standard output of a program that `argus run` started.
    Stdout = 1,
    /// Its standard error.
    Stderr = 2,
    /// The program's own logging, from inside.
    Logger = 3,
    /// The standard input of the one who records.
    Stdin = 4,
    /// The system's journal.
    Journal = 5,
}

impl LogSource {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Stdout,
            2 => Self::Stderr,
            3 => Self::Logger,
            4 => Self::Stdin,
            5 => Self::Journal,
            _ => Self::File,
        }
    }
}

/// What a thread was at when its stack was sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ThreadState {
    /// At work, or ready to be.
    Active = 0,
    /// Waiting.
    Idle = 1,
    /// There no more: its last record.
    Ended = 2,
}

impl ThreadState {
    /// The state with this number on disk; the nearest one for a number of the future.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Active,
            2 => Self::Ended,
            _ => Self::Idle,
        }
    }

    /// The word stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Ended => "ended",
        }
    }

    /// The state that this word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Idle, Self::Ended]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// How often the stack of a thread is recorded though nothing has changed: of a thread that hangs
/// nothing else is heard, and without it a recorder that lives could not be told from a dead one.
pub const STACK_REPEATED_EVERY: Duration = Duration::from_secs(10);

/// The [`runtime`](ProcessInfo::runtime) of a producer that records others and is of no interest by
/// itself, such as `argus gaze`.
pub const OBSERVER_RUNTIME: &str = "argus";

/// A producer's description of itself, its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessInfo<'a> {
    /// Application name: `ARGUS_APP_NAME`, else the process's name.
    pub app_name: &'a str,
    /// The name the kernel gives the process (`/proc/PID/comm`).
    pub process_name: &'a str,
    /// Its arguments, joined by spaces.
    pub command_line: &'a str,
    /// The language runtime and its version, such as `python 3.11.7` or `rust`.
    pub runtime: &'a str,
    /// The machine's name.
    pub hostname: &'a str,
    /// Version of Argus that writes.
    pub argus_version: &'a str,
    /// Its parent's pid, 0 when unknown.
    pub parent_pid: u32,
}

/// A process observed from outside; other records name it by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubjectInfo<'a> {
    /// Its pid, in the observer's namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot; 0 when unknown.
    pub start_ticks: u64,
    /// Application name, as chosen by the user or taken from the process.
    pub app_name: &'a str,
    /// The name the kernel gives it.
    pub process_name: &'a str,
    /// Its arguments, joined by spaces.
    pub command_line: &'a str,
    /// The machine's name.
    pub hostname: &'a str,
    /// Its parent's pid; 0 when unknown.
    pub parent_pid: u32,
    /// Its parent's start time in clock ticks since boot; 0 when unknown.
    pub parent_start_ticks: u64,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<'a> {
    /// What it returned or first yielded, where that was captured.
    pub result: Option<Value>,
    /// The exception with its traceback, when it failed.
    pub exception: Option<&'a str>,
    /// Recorded although its trace was not sampled, because it failed.
    pub unsampled: bool,
}

/// One thing a producer said.
#[derive(Debug, Clone, PartialEq)]
pub enum Record<'a> {
    /// Both clocks at one moment; holds for the records after it in its chunk.
    Anchor(ClockAnchor),
    /// A name's definition; holds for its chunk generation.
    Name(NameNumber, NameText),
    /// The producer describes itself.
    Process(ProcessInfo<'a>),
    /// A span was opened.
    SpanStart {
        /// The span.
        number: SpanNumber,
        /// The span around it in the same producer, or none.
        parent: SpanNumber,
        /// What it runs.
        name: NameNumber,
        /// When.
        at: Monotonic,
        /// Its arguments.
        fields: Fields<'a>,
    },
    /// A span ended.
    SpanEnd {
        /// The span.
        number: SpanNumber,
        /// When.
        at: Monotonic,
        /// How.
        outcome: Outcome<'a>,
        /// Its local variables, when they were captured.
        locals: Fields<'a>,
    },
    /// A span's parent lives in another program.
    RemoteParent {
        /// The span.
        number: SpanNumber,
        /// W3C trace id.
        trace: [u8; 16],
        /// The parent's span id there.
        parent: u64,
    },
    /// Fields that became known after the span started.
    SpanFields {
        /// The span.
        number: SpanNumber,
        /// What became known.
        fields: Fields<'a>,
    },
    /// Records could not be written.
    Gap(Gap),
    /// One reading of a named quantity.
    Metric {
        /// Whose it is: a subject's number, 0 for the producer itself.
        subject: u32,
        /// What was measured.
        name: NameNumber,
        /// When.
        at: Monotonic,
        /// How much.
        value: f64,
        /// In which unit (UCUM, as in OpenTelemetry); empty when none.
        unit: &'a str,
        /// What distinguishes this reading from others of the same name.
        attributes: Fields<'a>,
    },
    /// An event of a session.
    SessionEvent {
        /// When.
        at: Monotonic,
        /// The session's id.
        session: &'a str,
        /// Snake-case type.
        event_type: &'a str,
        /// A JSON object.
        data: &'a str,
    },
    /// An observed process is given a number; holds for its chunk generation.
    Subject(u32, SubjectInfo<'a>),
    /// A log line.
    Log {
        /// Whose it is: a subject's number, 0 for the producer itself.
        subject: u32,
        /// When it was captured.
        at: Monotonic,
        /// From where.
        source: LogSource,
        /// The file it stood in, empty when none.
        path: &'a str,
        /// The line without its line break.
        line: &'a str,
        /// Some of its bytes were not UTF-8 and were replaced, or it was cut.
        altered: bool,
        /// The span it belongs to, or none.
        span: SpanNumber,
        /// Severity word where known, empty otherwise.
        level: &'a str,
        /// Where it ended in a followed file.
        place: LogPlace,
        /// What it means, where that was made out.
        meaning: LogMeaning<'a>,
    },
    /// The content of a log file is given a number; holds for its chunk generation.
    LogFile(u32, LogFileInfo<'a>),
    /// A log file is read from here on: a place without a line.
    LogPosition {
        /// Whose it is: a subject's number.
        subject: u32,
        /// When.
        at: Monotonic,
        /// Where.
        place: LogPlace,
    },
    /// CPU, memory, and threads of a process.
    Sample {
        /// The subject's number, 0 for the producer itself.
        subject: u32,
        /// When.
        at: Monotonic,
        /// Percent of one core since the sample before.
        cpu_percent: f64,
        /// Resident set size.
        rss_bytes: u64,
        /// Number of threads.
        threads: u32,
        /// What else is known of it.
        measures: Measures,
    },
    /// Something happened to a process.
    ProcessEvent {
        /// The subject's number.
        subject: u32,
        /// When.
        at: Monotonic,
        /// `started`, `terminated`, `monitoring_started`, `monitoring_stopped`, …
        event_type: &'a str,
        /// Exit code, −N for signal N, absent when unknown.
        exit_code: Option<i32>,
        /// What else there is to say: a JSON object, empty when nothing.
        detail: &'a str,
    },
    /// What a thread of a process was in the middle of, sampled from outside. Recorded when it has
    /// changed, and every [`STACK_REPEATED_EVERY`].
    Stack {
        /// The subject's number.
        subject: u32,
        /// When.
        at: Monotonic,
        /// The thread's kernel id.
        tid: u32,
        /// Its name.
        thread: &'a str,
        /// What it was at.
        state: ThreadState,
        /// It held the interpreter's lock.
        holds_gil: bool,
        /// A line `function (file:line)` for each call it was in, innermost first.
        frames: &'a str,
    },
}

/// Records that could not be written, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The gap's number inside its producer.
    pub number: u32,
    /// Why.
    pub reason: LossReason,
    /// Ordinary records lost.
    pub normal: u64,
    /// Errors lost.
    pub errors: u64,
    /// When the first was lost.
    pub from: Monotonic,
    /// When the last was lost.
    pub to: Monotonic,
}

impl Record<'_> {
    /// The record's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Anchor(_) => Kind::Anchor,
            Self::Name(..) => Kind::Name,
            Self::Process(_) => Kind::Process,
            Self::SpanStart { .. } => Kind::SpanStart,
            Self::SpanEnd { .. } => Kind::SpanEnd,
            Self::RemoteParent { .. } => Kind::RemoteParent,
            Self::SpanFields { .. } => Kind::SpanFields,
            Self::Gap(_) => Kind::Gap,
            Self::Metric { .. } => Kind::Metric,
            Self::SessionEvent { .. } => Kind::SessionEvent,
            Self::Subject(..) => Kind::Subject,
            Self::Log { .. } => Kind::Log,
            Self::Sample { .. } => Kind::Sample,
            Self::ProcessEvent { .. } => Kind::ProcessEvent,
            Self::Stack { .. } => Kind::Stack,
            Self::LogFile(..) => Kind::LogFile,
            Self::LogPosition { .. } => Kind::LogPosition,
        }
    }

    /// Whether this tells of a failure, which has its own reserve of disk.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::SpanEnd { outcome, .. } if outcome.exception.is_some())
    }
}

/// A key in [`Fields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKey<'a> {
    /// The parameter with this index in the name's definition.
    Parameter(u32),
    /// A key spelled out.
    Text(&'a str),
}

/// Encoded `key value` pairs: key a varint (index + 1, or 0 and text), then the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The pairs, up to the first that does not parse.
    pub fn iter(self) -> impl Iterator<Item = (FieldKey<'a>, Value)> {
        let mut input = Decoder::new(self.0);
        std::iter::from_fn(move || {
            if input.is_empty() {
                return None;
            }
            let key = match input.varint_u32().ok()? {
                0 => FieldKey::Text(input.text().ok()?),
                index => FieldKey::Parameter(index - 1),
            };
            Some((key, Value::decode(&mut input).ok()?))
        })
    }
}

/// Appends the key of the parameter with this index; a value must follow.
#[inline]
pub fn encode_parameter_key(out: &mut Encoder<'_>, index: u32) -> Result<(), Full> {
    out.varint(u64::from(index) + 1)
}

/// The key of the parameter with this index, where it is one byte long.
#[inline]
pub fn packed_parameter_key(index: usize) -> Option<Packed> {
    let key = u8::try_from(index + 1).ok()?;
    (key < 0x80).then(|| Packed::byte(key))
}

/// Appends a key spelled out; a value must follow.
pub fn encode_text_key(out: &mut Encoder<'_>, key: &str) -> Result<(), Full> {
    out.varint(0)?;
    out.text(key)
}

mod decode;
mod encode;
mod log;
pub use encode::{Head, OutcomeHead, span_end_head, span_start_head};
pub use log::{LogFileInfo, LogIds, LogMeaning, LogPlace};

impl<'a> Record<'a> {
    /// Reads the payload of a record of this kind.
    pub fn decode(kind: Kind, payload: &'a [u8]) -> Result<Self, Malformed> {
        decode::record(kind, &mut Decoder::new(payload))
    }

    /// Writes the payload.
    pub fn encode(&self, out: &mut Encoder<'_>) -> Result<(), Full> {
        encode::record(self, out)
    }
}

fn anchor(monotonic: u64, wall: i64) -> ClockAnchor {
    ClockAnchor {
        monotonic: Monotonic::from_nanos(monotonic),
        wall: Timestamp::from_nanos(wall),
    }
}

#[cfg(test)]
mod tests;
