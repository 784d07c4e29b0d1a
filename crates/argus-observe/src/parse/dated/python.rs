//! Python's loggers whose lines begin with a time: by the comma before their milliseconds, by their
//! dashes, or by a bracket around time and level.

use super::super::fields::Sheet;
use super::super::stamp::Spelling;
use super::super::token::{
    bracket, capital_level, is_digits, is_logger, is_name, level, marked_level, trim, word,
};
use super::super::{Format, Found};
use super::{Bracket, Dated, level_word};

pub(super) fn read(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    if let Some(rest) = dated.rest.strip_prefix("- ") {
        return dashes(dated, rest);
    }
    if dated.stamp.spelling == Spelling::Comma && dated.bracket == Bracket::Open {
        return celery(dated, sheet);
    }
    if dated.spelled_by_others() || is_logback(dated.rest) {
        return None;
    }
    // A process or a thread in brackets may stand before the level, or a logger as a word.
    let mut rest = dated.rest;
    let (mut logger_before, mut process) = (None, None);
    let level = loop {
        if let Some((level, behind)) = marked_level(rest) {
            rest = behind;
            break level;
        }
        if logger_before.is_some() || process.is_some() {
            return None;
        }
        if let Some((inside, behind)) = bracket(rest) {
            (process, rest) = (Some(inside), trim(behind));
        } else {
            let (name, behind) = word(rest);
            if !is_logger(name) {
                return None;
            }
            (logger_before, rest) = (Some(name), trim(behind));
        }
    };
    let flask = trim(rest).starts_with("in ");
    let gunicorn = process.is_some_and(is_digits);
    let format = if flask || gunicorn || dated.stamp.spelling == Spelling::Comma {
        Format::Python
    } else {
        Format::Dated
    };
    if let Some(process) = process {
        sheet.name(dated.line, if gunicorn { "pid" } else { "thread" }, process);
    }
    let (logger, message) = behind_level(rest);
    Some(dated.found(format, Some(level), logger.or(logger_before), message))
}

/// `LEVEL [thread] logger - msg`: log4j has the comma as well.
fn is_logback(rest: &str) -> bool {
    let thread = capital_level(rest).and_then(|(_, rest)| bracket(trim(rest)));
    thread.is_some_and(|(_, rest)| trim(word(trim(rest)).1).starts_with("- "))
}

impl Dated<'_> {
    /// Neither Python's comma nor a bracket around the time.
    fn spelled_by_others(&self) -> bool {
        self.stamp.spelling != Spelling::Comma && self.bracket != Bracket::Closed
    }
}

/// `logger - LEVEL - msg`, `LEVEL - msg`, `logger - thread - LEVEL - msg`.
fn dashes(dated: &Dated<'_>, rest: &str) -> Option<Found> {
    let mut logger = None;
    let mut rest = rest;
    for _ in 0..4 {
        let (part, behind) = rest.split_once(" - ")?;
        let part = part.trim_matches(' ');
        if let Some(level) = level_word(part.trim_matches(['[', ']'])) {
            return Some(dated.found(Format::Python, Some(level), logger, behind));
        }
        if part.len() > 128 {
            return None;
        }
        logger = logger.or(Some(part));
        rest = behind;
    }
    None
}

/// Celery: `[2026-01-27 14:23:45,123: WARNING/MainProcess] msg`.
fn celery(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    let inside = trim(dated.rest.strip_prefix(':').unwrap_or(dated.rest));
    let (level, rest) = level(inside)?;
    let (process, message) = rest.split_once(']')?;
    if let Some(process) = process.strip_prefix('/') {
        sheet.name(dated.line, "process", process);
    }
    Some(dated.found(Format::Python, Some(level), None, trim(message)))
}

/// The logger and the message behind the level. Whether the first word is a logger, nothing marks for
/// certain: it is in a bracket, before a colon or a dash, after `in` (Flask), or it looks like a
/// module's name, with a dot or an underscore in it.
fn behind_level(rest: &str) -> (Option<&str>, &str) {
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let rest = trim(rest);
    let rest = rest.strip_prefix("- ").map_or(rest, trim);
    if let Some((logger, behind)) = bracket(rest)
        && is_logger(logger)
    {
        return (
            Some(logger),
            trim(behind.strip_prefix(':').unwrap_or(behind)),
        );
    }
    let (first, behind) = word(rest.strip_prefix("in ").unwrap_or(rest));
    if let Some(logger) = first.strip_suffix(':')
        && is_logger(logger)
        && level(logger).is_none()
        && !is_exception(logger)
    {
        return (Some(logger), trim(behind));
    }
    let behind = trim(behind);
    if let Some(message) = behind
        .strip_prefix("- ")
        .or_else(|| behind.strip_prefix(": "))
        && is_logger(first)
    {
        return (Some(first), trim(message));
    }
    let named =
        matches!(first, "root" | "__main__") || (first.contains(['.', '_']) && is_module(first));
    if named && !behind.is_empty() {
        (Some(first), behind)
    } else {
        (None, rest)
    }
}

fn is_exception(text: &str) -> bool {
    text.ends_with("Error") || text.ends_with("Exception") || text.ends_with("Warning")
}

/// A dotted name of letters, digits and underscores: no number, no address, no file.
fn is_module(text: &str) -> bool {
    let begins = |part: &str| {
        part.bytes()
            .next()
            .is_some_and(|it| it.is_ascii_alphabetic() || it == b'_')
    };
    text.bytes().all(|byte| is_name(byte) && byte != b'-') && text.split('.').all(begins)
}
