//! Lines that begin with a date or a time, and the shapes of what follows it.
//!
//! The time is read once; then the shapes are tried, that of the source's format first, and the
//! generic one (a level somewhere near the front, or none) last.

mod python;
mod service;

use argus_model::Level;

use super::fields::{Piece, Sheet};
use super::logfmt;
use super::stamp::{Clock, Spelling, Stamp};
use super::token::{bracket, capital_level, is_digits, is_logger, level, marked_level, trim, word};
use super::{Format, Found};

/// A line whose time has been read.
#[derive(Debug, Clone, Copy)]
struct Dated<'a> {
    line: &'a str,
    stamp: Stamp<'a>,
    /// What follows the time, without the space before it.
    rest: &'a str,
    /// The time stands in a bracket that it does not end; or in one, alone.
    bracket: Bracket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    None,
    Open,
    Closed,
}

impl Dated<'_> {
    fn found(
        &self,
        format: Format,
        level: Option<Level>,
        logger: Option<&str>,
        message: &str,
    ) -> Found {
        Found {
            format,
            at: Some(self.stamp.at),
            level,
            message: Piece::of(self.line, message),
            logger: logger.map(|logger| Piece::of(self.line, logger)),
            continues: false,
        }
    }
}

type Shape = fn(&Dated<'_>, &mut Sheet) -> Option<Found>;

/// The shapes, those that look closest first.
const SHAPES: [(Format, Shape); 8] = [
    (Format::Postgres, service::postgres),
    (Format::Spring, spring),
    (Format::Logback, logback),
    (Format::NginxError, service::nginx_error),
    (Format::EnvLogger, env_logger),
    (Format::Journal, service::journal),
    (Format::Tracing, tracing),
    (Format::Python, python::read),
];

/// The line's parts, if it begins with a time. The shape of `first` is tried first.
pub(super) fn read(
    line: &str,
    first: Option<Format>,
    clock: &mut Clock,
    sheet: &mut Sheet,
) -> Option<Found> {
    let inside = line.strip_prefix('[');
    let stamp = clock.leading(inside.unwrap_or(line))?;
    let (rest, bracket) = match (inside, stamp.rest.strip_prefix(']')) {
        (None, _) => (stamp.rest, Bracket::None),
        (Some(_), None) => (stamp.rest, Bracket::Open),
        (Some(_), Some(rest)) => (rest, Bracket::Closed),
    };
    let parts = rest.as_bytes().first();
    if parts
        .is_some_and(|next| !matches!(next, b' ' | b'\t' | b':' | b'|' | b'-' | b'[' | b',' | b';'))
    {
        return None;
    }
    let rest = trim(rest);
    let dated = Dated {
        line,
        stamp,
        rest,
        bracket,
    };
    let known = SHAPES.iter().find(|(format, _)| first == Some(*format));
    if let Some(found) = known.and_then(|(_, shape)| shape(&dated, sheet)) {
        return Some(found);
    }
    for (format, shape) in SHAPES {
        sheet.clear();
        if first != Some(format)
            && let Some(found) = shape(&dated, sheet)
        {
            return Some(found);
        }
    }
    sheet.clear();
    Some(generic(&dated, sheet))
}

/// Spring Boot: `INFO 1234 --- [main] c.e.App : msg`; newer ones have the application's name in a
/// bracket before the thread.
fn spring(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    let (level, rest) = capital_level(dated.rest)?;
    let (pid, rest) = word(trim(rest));
    let rest = trim(rest).strip_prefix("---")?;
    if !is_digits(pid) {
        return None;
    }
    let (mut thread, mut rest) = bracket(trim(rest))?;
    while let Some((next, behind)) = bracket(trim(rest)) {
        (thread, rest) = (next, behind);
    }
    let (logger, rest) = word(trim(rest));
    let message = trim(rest).strip_prefix(':')?;
    sheet.name(dated.line, "pid", pid);
    sheet.name(dated.line, "thread", thread);
    Some(dated.found(Format::Spring, Some(level), Some(logger), trim(message)))
}

/// log4j and logback: `[thread] LEVEL logger - msg`, or the level before the thread.
fn logback(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    let (thread, level, rest) = if let Some((thread, rest)) = bracket(dated.rest) {
        let (level, rest) = capital_level(trim(rest))?;
        (Some(thread), level, rest)
    } else {
        let (level, rest) = capital_level(dated.rest)?;
        match bracket(trim(rest)) {
            Some((thread, rest)) => (Some(thread), level, rest),
            None => (None, level, rest),
        }
    };
    let rest = trim(rest);
    let (logger, behind) = word(rest);
    let mut behind = trim(behind);
    // The place in the source may stand between: `c.e.App (App.java:12) - msg`.
    if let Some(place) = behind.strip_prefix('(') {
        behind = trim(place.split_once(')')?.1);
    }
    // Logback's own layout has one dash, or two since 1.3.
    let message = behind.strip_prefix('-')?;
    let message = message.strip_prefix('-').unwrap_or(message);
    let known = is_logger(logger) && thread.is_none_or(|it| level_word(it).is_none());
    if !known || !(message.is_empty() || message.starts_with(' ')) {
        return None;
    }
    if let Some(thread) = thread {
        sheet.name(dated.line, "thread", thread);
    }
    Some(dated.found(Format::Logback, Some(level), Some(logger), trim(message)))
}

fn level_word(text: &str) -> Option<Level> {
    level(text)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(level, _)| level)
}

/// env_logger: `[2026-01-27T14:23:45Z INFO  crate::module] msg`.
fn env_logger(dated: &Dated<'_>, _: &mut Sheet) -> Option<Found> {
    if dated.bracket != Bracket::Open || dated.stamp.spelling != Spelling::T {
        return None;
    }
    let (level, rest) = capital_level(dated.rest)?;
    let (logger, message) = trim(rest).split_once(']')?;
    let logger = Some(logger.trim_end()).filter(|it| !it.is_empty());
    Some(dated.found(Format::EnvLogger, Some(level), logger, trim(message)))
}

/// tracing-subscriber: `INFO span{a=1}:inner{}: crate::module: msg k=v`.
fn tracing(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    if dated.stamp.spelling != Spelling::T || dated.bracket != Bracket::None {
        return None;
    }
    let (level, rest) = capital_level(dated.rest)?;
    let mut rest = trim(rest.strip_prefix(' ')?);
    while let Some((inside, behind)) = span(rest) {
        let before = sheet.len();
        if !logfmt::all(dated.line, inside, sheet) {
            sheet.truncate(before);
        }
        let behind = behind.strip_prefix(':')?;
        rest = trim(behind);
    }
    let (target, rest) = word(rest);
    let target = target.strip_suffix(':')?;
    if !is_logger(target) {
        return None;
    }
    let message = logfmt::trailing(dated.line, trim(rest), sheet);
    Some(dated.found(Format::Tracing, Some(level), Some(target), message))
}

/// The fields of the span that `text` begins with, and what follows its brace.
fn span(text: &str) -> Option<(&str, &str)> {
    let name = text
        .bytes()
        .take_while(|it| super::token::is_name(*it) || *it == b':')
        .count();
    let inside = text[name..].strip_prefix('{').filter(|_| name > 0)?;
    let mut depth = 1_usize;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inside[..at], &inside[at + 1..]));
        }
    }
    None
}

/// A level among the first few words or brackets, or none; a message.
fn generic(dated: &Dated<'_>, sheet: &mut Sheet) -> Found {
    let format = match dated.stamp.spelling {
        Spelling::Slashes => Format::Go,
        _ => Format::Dated,
    };
    let mut rest = punctuated(dated.rest);
    for _ in 0..3 {
        if let Some((level, behind)) = marked_level(rest) {
            return levelled(dated, format, level, behind, sheet);
        }
        // What may stand before the level: a process, a thread, a channel.
        rest = match bracket(rest) {
            Some((_, behind)) => punctuated(behind),
            None => match word(rest) {
                (number, behind) if is_digits(number) => punctuated(behind),
                (channel, behind) => {
                    return match monolog(channel) {
                        Some((logger, level)) => {
                            dated.found(format, Some(level), Some(logger), trim(behind))
                        }
                        None => dated.found(format, None, None, punctuated(dated.rest)),
                    };
                }
            },
        };
    }
    dated.found(format, None, None, punctuated(dated.rest))
}

fn levelled(
    dated: &Dated<'_>,
    format: Format,
    level: Level,
    behind: &str,
    sheet: &mut Sheet,
) -> Found {
    if behind.starts_with('\t') {
        return tabbed(dated, level, behind, sheet);
    }
    let message = punctuated(behind.strip_prefix(']').unwrap_or(behind));
    // Loguru: `| INFO     | module:function:12 - msg`.
    if trim(behind).starts_with('|')
        && let Some((logger, message)) = message.split_once(" - ")
        && is_logger(logger)
    {
        return dated.found(format, Some(level), Some(logger), message);
    }
    dated.found(format, Some(level), None, message)
}

/// zap's console: `\tlogger\tfile.go:12\tmsg\t{"k": "v"}`. The place in the source tells a logger
/// before it from a message.
fn tabbed(dated: &Dated<'_>, level: Level, behind: &str, sheet: &mut Sheet) -> Found {
    let message = behind.trim_start_matches('\t');
    let mut logger = None;
    let mut rest = message;
    while let Some((part, behind)) = rest.split_once('\t') {
        if part.contains(".go:") && is_logger(part) {
            sheet.name(dated.line, "caller", part);
            return dated.found(Format::Dated, Some(level), logger, behind);
        }
        if !is_logger(part) || logger.replace(part).is_some() {
            break;
        }
        rest = behind;
    }
    dated.found(Format::Dated, Some(level), None, message)
}

/// Monolog: `channel.LEVEL:`.
fn monolog(text: &str) -> Option<(&str, Level)> {
    let (channel, level) = text.strip_suffix(':')?.rsplit_once('.')?;
    Some((channel, level_word(level)?))
}

/// Without what sets the parts of a head apart.
fn punctuated(text: &str) -> &str {
    let text = trim(text);
    match text.as_bytes() {
        [b'-' | b'|' | b':' | b',' | b';', b' ', ..] => trim(&text[1..]),
        [b'-' | b'|' | b':'] => &text[1..],
        _ => text,
    }
}
