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
//! - a line of a known format begins: JSON always, logfmt with a time or a level, others where the
//!   source's format has no times, or if they begin with a time themselves. PostgreSQL's `DETAIL`, `HINT`, `STATEMENT` and
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
//! colours were taken. Once the buffers have grown, a line allocates nothing, unless its JSON has an
//! escape in a key, a level or a time, or a time with an exponent.
//!
//! Beside it: ids that join lines ([`correlate`]), and secrets that must not be kept ([`mask`]).

pub mod correlate;
mod dated;
mod fields;
mod format;
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

use argus_model::{Level, Timestamp};
use jiff::tz::TimeZone;

pub use fields::{Field, Fields, Value};
pub use format::Format;

use fields::{Piece, Sheet};
use recognise::Recognised;
use stamp::Clock;
use trace::Trace;

/// How many lines may continue one event.
pub const MAX_CONTINUED: u32 = 1_000;

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

/// Reads the lines of one source. Keeps up to 50 kB of buffers.
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
    /// Never fails: a line of no known format is its own message. Less than a microsecond for a
    /// line of usual length (`examples/parse_cost.rs`), in proportion for longer ones.
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
            format::read(line, recognised.format(), &mut self.clock, &mut self.sheet)
        } else {
            None
        };
        let event = self.event.take();
        let (continuation, found, event) = match event {
            Some(event) if continues(line, &event, recognised, found.as_ref()) => {
                let found = goes_on(line, &event, found, &mut self.sheet);
                let event = event.continued_by(line);
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
            trace: match found.format {
                Format::Plain => Trace::None.after(line),
                _ => Trace::None,
            },
        }
    }

    fn continued_by(self, line: &str) -> Self {
        Self {
            continued: self.continued + 1,
            trace: self.trace.after(line),
            ..self
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
    let timed = recognised.timed() || (recognised.is_learning() && event.timed);
    match found {
        Some(found) if found.continues => return true,
        Some(found) if found.format == Format::Json => return false,
        Some(found) if found.format == Format::Logfmt && found.level.is_some() => return false,
        Some(found) if found.at.is_some() || !timed => return false,
        _ => {}
    }
    // The head of a trace belongs to what was logged before it, if that was not a trace itself.
    let head = trace::head_of(line).is_some() && event.is_logged() && event.trace == Trace::None;
    timed || head || event.trace.continues(line)
}

/// The parts of a line that continues.
fn goes_on(line: &str, event: &Event, found: Option<Found>, sheet: &mut Sheet) -> Found {
    let level = event.level;
    match found {
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
    }
}

#[cfg(test)]
mod tests;
