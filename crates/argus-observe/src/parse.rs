//! Log lines to meaning: when, how grave, who, what, and which line belongs to which.
//!
//! A [`Parser`] reads the lines of one source in their order. It guesses the source's format from the
//! first of them (each is read as well as it can be by itself), tries that format first from then on,
//! and guesses anew when many lines in a row are of another. [`Format`] lists what is known.
//!
//! A line either begins an event or continues the one before ([`Continuation`]): a stack trace is one
//! event with its log line. What continues has the level of its event and is its own message; it is
//! judged by these rules, the first that applies:
//!
//! - blank and indented lines continue;
//! - a line of a known format begins: JSON and logfmt always, others where the source's format has no
//!   times, or if they begin with a time themselves. PostgreSQL's `DETAIL`, `HINT`, `STATEMENT` and
//!   their like continue although they have a time;
//! - parts of stack traces continue (Python's, Java's, Rust's, Go's, Node's);
//! - in a source whose lines begin with a time, a line that does not continues;
//! - everything else begins. So does the head of a stack trace that follows no log line, with the
//!   level of an error, because nothing else will tell of it.
//!
//! No more than [`MAX_CONTINUED`] lines continue an event; the next begins one, and the source's format
//! is guessed anew.
//!
//! Pure: it reads no clock, opens no file. What it returns are slices of the line, or of buffers that
//! the next line uses again: a message in which JSON escapes had to be resolved, a line from which
//! colours were taken. After the first lines it allocates nothing but for a key with an escape in it.
//!
//! Beside it: ids that join lines ([`correlate`]), and secrets that must not be kept ([`mask`]).

pub mod correlate;
mod dated;
mod fields;
mod json;
mod logfmt;
pub mod mask;
mod plain;
mod recognise;
mod server;
mod stamp;
mod syslog;
mod token;
mod trace;

use std::fmt;

use argus_model::{Level, Timestamp};
use jiff::tz::TimeZone;

pub use fields::{Field, Fields, Value};

use fields::{Piece, Sheet};
use recognise::Recognised;
use stamp::Clock;
use trace::Trace;

/// How many lines may continue one event.
pub const MAX_CONTINUED: u32 = 1_000;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A JSON object a line.
    Json,
    /// `level=info msg="a b"`.
    Logfmt,
    /// Python's `logging`, in its usual layouts, Flask's, Celery's and gunicorn's among them.
    Python,
    /// log4j and logback.
    Logback,
    /// Spring Boot.
    Spring,
    /// nginx's error log.
    NginxError,
    /// The access log of nginx and Apache, common or combined.
    Access,
    /// syslog, RFC 3164.
    Syslog,
    /// syslog, RFC 5424.
    Syslog5424,
    /// journald's short-iso, and syslog with an ISO time.
    Journal,
    /// Rust's env_logger.
    EnvLogger,
    /// Rust's tracing-subscriber.
    Tracing,
    /// glog and klog.
    Glog,
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Go's `log`.
    Go,
    /// A time, perhaps a level, a message.
    Dated,
    /// Anything else; perhaps a level in front.
    Plain,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 18] = [
        Self::Json,
        Self::Logfmt,
        Self::Python,
        Self::Logback,
        Self::Spring,
        Self::NginxError,
        Self::Access,
        Self::Syslog,
        Self::Syslog5424,
        Self::Journal,
        Self::EnvLogger,
        Self::Tracing,
        Self::Glog,
        Self::Postgres,
        Self::Redis,
        Self::Go,
        Self::Dated,
        Self::Plain,
    ];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Logfmt => "logfmt",
            Self::Python => "Python logging",
            Self::Logback => "logback",
            Self::Spring => "Spring Boot",
            Self::NginxError => "nginx error log",
            Self::Access => "access log",
            Self::Syslog => "syslog",
            Self::Syslog5424 => "syslog (RFC 5424)",
            Self::Journal => "journal",
            Self::EnvLogger => "env_logger",
            Self::Tracing => "tracing",
            Self::Glog => "glog",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
            Self::Go => "Go log",
            Self::Dated => "time and message",
            Self::Plain => "plain",
        }
    }

    /// Its lines have their time, if any, in front.
    const fn leads_with_time(self) -> bool {
        !matches!(self, Self::Json | Self::Logfmt | Self::Plain)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a line is the first of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// It begins an event.
    Begins,
    /// It belongs to the line before.
    Continues,
}

/// What a line says.
#[derive(Debug, Clone, Copy)]
pub struct Parsed<'a> {
    /// Whether it begins an event.
    pub continuation: Continuation,
    /// How it is written; what continues has the format of its event.
    pub format: Format,
    /// When, by the line itself.
    pub at: Option<Timestamp>,
    /// How grave; what continues has the level of its event.
    pub level: Option<Level>,
    /// The message, without what is told elsewhere here; the whole line where it has no message of its
    /// own, and where it continues.
    pub message: &'a str,
    /// Who logged: a logger, a module, a program, or glog's place in the source.
    pub logger: Option<&'a str>,
    /// What else the line says in pairs: the members of JSON and logfmt that have no role above,
    /// tracing's fields, and what the format's head holds (`pid`, `tid`, `thread`, `host`, `status` …).
    pub fields: Fields<'a>,
}

/// What a format's reader found.
#[derive(Debug)]
struct Found {
    format: Format,
    at: Option<Timestamp>,
    level: Option<Level>,
    message: Piece,
    logger: Option<Piece>,
    /// The format says that the line belongs to the one before.
    continues: bool,
}

/// The event that lines may continue.
#[derive(Debug)]
struct Event {
    format: Format,
    level: Option<Level>,
    /// It began with a time.
    timed: bool,
    continued: u32,
    trace: Trace,
}

/// Reads the lines of one source. About 10 kB at rest.
#[derive(Debug)]
pub struct Parser {
    clock: Clock,
    recognised: Recognised,
    event: Option<Event>,
    sheet: Sheet,
    /// A line without its colours.
    plain: String,
}

impl Parser {
    /// A parser for a source whose times without a zone are local time in `zone`.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            clock: Clock::new(zone),
            recognised: Recognised::default(),
            event: None,
            sheet: Sheet::default(),
            plain: String::new(),
        }
    }

    /// The format that is tried first; none before the first line.
    pub const fn format(&self) -> Option<Format> {
        self.recognised.format()
    }

    /// Reads the next line, without its line break. `now` is what times without a year or a day are
    /// completed by: the time at which the line was read.
    ///
    /// Never fails: a line of no known format is its own message. A microsecond for a line of usual
    /// length, in proportion to longer ones.
    pub fn parse<'a>(&'a mut self, line: &'a str, now: Timestamp) -> Parsed<'a> {
        let line = if memchr::memchr(0x1b, line.as_bytes()).is_some() {
            token::strip_colours(line, &mut self.plain);
            self.plain.as_str()
        } else {
            line
        };
        self.clock.set(now);
        self.sheet.clear();
        let at_margin = self.event.as_ref().is_none_or(|event| {
            let blank = line.trim_ascii_start().is_empty();
            !blank && (!line.starts_with([' ', '\t']) || !event.trace.continues(line))
        });
        let recognised = &mut self.recognised;
        let found = if at_margin {
            known(line, recognised.format(), &mut self.clock, &mut self.sheet)
        } else {
            None
        };
        let event = self.event.take();
        let (continuation, found, event) = match event {
            Some(event) if continues(line, &event, recognised, found.as_ref()) => {
                let (found, event) = goes_on(line, event, found, &mut self.sheet);
                (Continuation::Continues, found, event)
            }
            before => {
                if before.is_some_and(|event| event.continued >= MAX_CONTINUED) {
                    recognised.forget();
                }
                let found = found.unwrap_or_else(|| {
                    self.sheet.clear();
                    plain::read(line)
                });
                let timed = found.at.is_some() && found.format.leads_with_time();
                recognised.learn(found.format, timed);
                let event = Event::begun(line, &found, timed);
                (Continuation::Begins, found, event)
            }
        };
        self.event = Some(event);
        Parsed {
            continuation,
            format: found.format,
            at: found.at,
            level: found.level,
            message: self.sheet.text(line, &found.message),
            logger: found.logger.map(|piece| self.sheet.text(line, &piece)),
            fields: Fields::new(line, &self.sheet),
        }
    }
}

impl Event {
    fn begun(line: &str, found: &Found, timed: bool) -> Self {
        Self {
            format: found.format,
            level: found.level,
            timed,
            continued: 0,
            trace: Trace::default().after(if found.format == Format::Plain {
                line
            } else {
                ""
            }),
        }
    }

    /// A line that somebody logged, not just printed.
    const fn is_logged(&self) -> bool {
        !matches!(self.format, Format::Plain) || self.level.is_some()
    }
}

/// The line continues the event before it.
fn continues(line: &str, event: &Event, recognised: &Recognised, found: Option<&Found>) -> bool {
    if event.continued >= MAX_CONTINUED {
        return false;
    }
    let timed = recognised.timed() || event.timed;
    match found {
        Some(found) if found.continues => return true,
        Some(Found {
            format: Format::Json | Format::Logfmt,
            ..
        }) => return false,
        Some(found) if found.at.is_some() || !timed => return false,
        _ => {}
    }
    // The head of a trace belongs to what was logged before it, if that was not a trace itself.
    let head = trace::head_of(line).is_some() && event.is_logged() && event.trace == Trace::None;
    timed || head || event.trace.continues(line)
}

/// The parts of a line that continues, and its event after it.
fn goes_on(line: &str, event: Event, found: Option<Found>, sheet: &mut Sheet) -> (Found, Event) {
    let level = event.level;
    let found = match found {
        Some(found) if found.continues => Found { level, ..found },
        _ => {
            sheet.clear();
            Found {
                format: event.format,
                at: None,
                level,
                message: Piece::of(line, line),
                logger: None,
                continues: true,
            }
        }
    };
    let event = Event {
        continued: event.continued + 1,
        trace: event.trace.after(line),
        ..event
    };
    (found, event)
}

/// The line's parts, if it is of a known format: that of the source, or one that can begin so.
fn known(line: &str, first: Option<Format>, clock: &mut Clock, sheet: &mut Sheet) -> Option<Found> {
    let family = first.map(Family::of);
    if let Some(family) = family
        && let Some(found) = family.read(line, first, clock, sheet)
    {
        return Some(found);
    }
    for other in Family::beginning_with(*line.as_bytes().first()?) {
        sheet.clear();
        if family != Some(*other)
            && let Some(found) = other.read(line, None, clock, sheet)
        {
            return Some(found);
        }
    }
    None
}

/// Formats that are read together, because they begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Json,
    Logfmt,
    Dated,
    Access,
    Syslog,
    Glog,
    Redis,
    Python,
    None,
}

impl Family {
    const fn of(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Logfmt => Self::Logfmt,
            Format::Access => Self::Access,
            Format::Syslog | Format::Syslog5424 => Self::Syslog,
            Format::Glog => Self::Glog,
            Format::Redis => Self::Redis,
            Format::Plain => Self::None,
            _ => Self::Dated,
        }
    }

    /// Those whose lines can begin with that byte, in the order in which they are tried.
    const fn beginning_with(first: u8) -> &'static [Self] {
        match first {
            b'{' => &[Self::Json],
            b'[' => &[Self::Dated],
            b'<' => &[Self::Syslog],
            b'0'..=b'9' => &[Self::Dated, Self::Redis, Self::Access],
            b'A'..=b'Z' => &[
                Self::Glog,
                Self::Syslog,
                Self::Python,
                Self::Logfmt,
                Self::Access,
            ],
            b'a'..=b'z' | b':' | b'_' | b'@' => &[Self::Logfmt, Self::Access],
            _ => &[],
        }
    }

    fn read(
        self,
        line: &str,
        first: Option<Format>,
        clock: &mut Clock,
        sheet: &mut Sheet,
    ) -> Option<Found> {
        match self {
            Self::Json => json::read(line, clock, sheet),
            Self::Logfmt => logfmt::read(line, clock, sheet),
            Self::Dated => dated::read(line, first, clock, sheet),
            Self::Access => server::access(line, clock, sheet),
            Self::Syslog => syslog::read(line, clock, sheet),
            Self::Glog => server::glog(line, clock, sheet),
            Self::Redis => server::redis(line, clock, sheet),
            Self::Python => plain::python(line),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests;
