//! A log line from inside a program, put together before its record is begun.
//!
//! What its values say of themselves is foreign code, which may itself log: a line takes the thread's
//! spare buffers for as long as it is written, and another one inside it makes its own. In the steady
//! state a line allocates nothing.

use std::cell::Cell;
use std::fmt::{self, Write as _};

use argus_model::level::Level;
use argus_model::record::{LogMeaning, LogPlace, LogSource};
use argus_model::{Kind, Record, SpanNumber};
use argus_spool::{Appended, Thread, Weight};

use crate::capture::MOST_BYTES;
use argus_model::json;

/// The most bytes that are kept of a message.
const MOST_OF_A_MESSAGE: usize = 8_192;
/// Buffers that grew beyond this are not kept.
const MOST_KEPT: usize = 16_384;

thread_local! {
    static SPARE: Cell<Option<Box<Line>>> = const { Cell::new(None) };
}

/// A value beside a line's message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Formatted(fmt::Arguments<'a>),
    Masked,
}

/// A line under way.
#[derive(Debug, Default)]
pub(crate) struct Line {
    message: String,
    /// It was cut.
    altered: bool,
    /// JSON pairs after an opening brace.
    attributes: String,
    /// The same for people, of a line without a message.
    pairs: String,
}

impl Line {
    /// An empty line.
    pub(crate) fn begin() -> Box<Self> {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        spare.unwrap_or_default()
    }

    /// Sets what it says.
    pub(crate) fn say(&mut self, message: fmt::Arguments<'_>) {
        self.message.clear();
        let mut out = Cut {
            out: &mut self.message,
            room: MOST_OF_A_MESSAGE,
            escape: |out, text| out.push_str(text),
        };
        self.altered = out.write_fmt(message).is_err();
    }

    /// Adds a value. Pairs beyond what one line may hold are left out.
    pub(crate) fn add(&mut self, key: &str, value: Shown<'_>) {
        if self.attributes.len() > 64 * MOST_BYTES {
            self.altered = true;
            return;
        }
        let opening = if self.attributes.is_empty() { '{' } else { ',' };
        self.attributes.push(opening);
        json::text(&mut self.attributes, key);
        self.attributes.push(':');
        let before = self.attributes.len();
        write_value(&mut self.attributes, value);
        if self.message.is_empty() {
            let value = self.attributes[before..].trim_matches('"');
            let space = if self.pairs.is_empty() { "" } else { " " };
            let _ = write!(self.pairs, "{space}{key}={value}");
        }
    }

    /// Records the line, as one of a span or of none.
    pub(crate) fn write(&mut self, level: Level, logger: &str, span: SpanNumber) -> Appended {
        if !self.attributes.is_empty() {
            self.attributes.push('}');
        }
        let weight = if level >= Level::Error {
            Weight::Error
        } else {
            Weight::Normal
        };
        let line = if self.message.is_empty() {
            &self.pairs
        } else {
            &self.message
        };
        Thread::mine().append(Kind::Log, weight, &[], |out, at| {
            Record::Log {
                subject: 0,
                at,
                source: LogSource::Logger,
                path: "",
                line,
                altered: self.altered,
                span,
                level: level.word(),
                place: LogPlace::NONE,
                meaning: LogMeaning {
                    message: if self.message.is_empty() { "" } else { line },
                    logger,
                    attributes: &self.attributes,
                    ..LogMeaning::default()
                },
            }
            .encode(out)
        })
    }

    /// Leaves the buffers for the next line.
    pub(crate) fn end(mut self: Box<Self>) {
        self.message.clear();
        self.attributes.clear();
        self.pairs.clear();
        self.altered = false;
        if self.message.capacity() + self.attributes.capacity() <= MOST_KEPT {
            let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }
}

fn write_value(out: &mut String, value: Shown<'_>) {
    match value {
        Shown::Bool(truth) => {
            let _ = write!(out, "{truth}");
        }
        Shown::Int(number) => {
            let _ = write!(out, "{number}");
        }
        // JSON has no other numbers than these.
        Shown::Float(number) if number.is_finite() => {
            let _ = write!(out, "{number:?}");
        }
        Shown::Float(number) => {
            let _ = write!(out, "\"{number}\"");
        }
        Shown::Text(text) => quote(out, format_args!("{text}")),
        Shown::Formatted(text) => quote(out, text),
        Shown::Masked => out.push_str("\"***\""),
    }
}

fn quote(out: &mut String, text: fmt::Arguments<'_>) {
    out.push('"');
    let mut cut = Cut {
        out,
        room: MOST_BYTES,
        escape: json::escaped,
    };
    let is_cut = cut.write_fmt(text).is_err();
    out.push_str(if is_cut { "...\"" } else { "\"" });
}

/// Writes the beginning of a text; stops its author when there is no more room.
struct Cut<'a> {
    out: &'a mut String,
    room: usize,
    escape: fn(&mut String, &str),
}

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = &text[..text.floor_char_boundary(self.room)];
        (self.escape)(self.out, kept);
        self.room -= kept.len();
        if kept.len() < text.len() {
            self.room = 0;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_json_and_without_a_message_the_line() {
        let mut line = Line::begin();
        line.add("n", Shown::Int(-1));
        line.add("q\"", Shown::Text("a\nb"));
        line.add("ok", Shown::Bool(true));
        line.add("x", Shown::Float(1.0));
        line.add("y", Shown::Float(f64::NAN));
        line.add("p", Shown::Masked);
        assert_eq!(
            line.attributes,
            r#"{"n":-1,"q\"":"a\nb","ok":true,"x":1.0,"y":"NaN","p":"***""#
        );
        assert_eq!(line.pairs, r#"n=-1 q"=a\nb ok=true x=1.0 y=NaN p=***"#);
    }

    #[test]
    fn long_text_is_cut_between_characters_and_its_author_stopped() {
        let mut line = Line::begin();
        line.say(format_args!("{}", "é".repeat(10_000)));
        assert!(line.altered && line.message.len() == MOST_OF_A_MESSAGE);
        line.add("long", Shown::Text(&"é".repeat(10_000)));
        assert!(line.attributes.ends_with("é...\""));
        assert!(line.attributes.len() < MOST_BYTES + 20);
        line.end();
        assert!(Line::begin().message.is_empty());
    }
}
