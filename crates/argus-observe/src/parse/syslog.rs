//! syslog, old and new: `<34>Jan 27 14:23:45 host prog[1234]: msg` (RFC 3164) and
//! `<34>1 2026-01-27T14:23:45.123Z host prog 1234 ID [data k="v"] msg` (RFC 5424).

use argus_model::Level;

use super::fields::{Kind, Piece, Sheet};
use super::json::unescape;
use super::stamp::Clock;
use super::token::{is_digits, is_name, marked_level, trim, word};
use super::{Format, Found};

/// The line's parts, if it is one of either.
pub(super) fn read(line: &str, clock: &mut Clock, sheet: &mut Sheet) -> Option<Found> {
    let (severity, rest) = match priority(line) {
        Some((severity, rest)) => (Some(severity), rest),
        None => (None, line),
    };
    if severity.is_some()
        && let Some(rest) = rest.strip_prefix("1 ")
    {
        return structured(line, severity, rest, clock, sheet);
    }
    let (at, length) = clock.syslog(rest)?;
    let rest = rest.get(length..)?.strip_prefix(' ')?;
    let (host, behind) = word(rest);
    let found = |level, logger: Option<&str>, message| Found {
        format: Format::Syslog,
        at: Some(at),
        level,
        message: Piece::of(line, message),
        logger: logger.map(|logger| Piece::of(line, logger)),
        continues: false,
    };
    // Without a host, as programs write it to /dev/log.
    if let Some(program) = program(rest) {
        let (level, message) = judge(program.message);
        program.note(line, "", sheet);
        return Some(found(severity.or(level), Some(program.name), message));
    }
    let Some(program) = program(trim(behind)) else {
        let (level, message) = judge(rest);
        return Some(found(severity.or(level), None, message));
    };
    program.note(line, host, sheet);
    let (level, message) = judge(program.message);
    Some(found(severity.or(level), Some(program.name), message))
}

/// The level of `<34>`, and what follows.
fn priority(line: &str) -> Option<(Level, &str)> {
    let (number, rest) = line.strip_prefix('<')?.split_once('>')?;
    if !is_digits(number) || number.len() > 3 {
        return None;
    }
    let number: u16 = number.parse().ok()?;
    let severity = u8::try_from(number % 8).ok()?;
    (number < 192)
        .then(|| Level::from_syslog(severity))?
        .map(|level| (level, rest))
}

/// `prog[1234]:` or `prog:`.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) name: &'a str,
    pub(super) pid: Option<&'a str>,
    pub(super) message: &'a str,
}

impl Program<'_> {
    pub(super) fn note(&self, line: &str, host: &str, sheet: &mut Sheet) {
        if !host.is_empty() {
            sheet.name(line, "host", host);
        }
        if let Some(pid) = self.pid {
            sheet.name(line, "pid", pid);
        }
    }
}

/// The program that `text` begins with.
pub(super) fn program(text: &str) -> Option<Program<'_>> {
    let inside = |byte: &u8| is_name(*byte) || matches!(byte, b'/' | b'@' | b'(' | b')');
    let length = text
        .as_bytes()
        .iter()
        .take_while(|byte| inside(byte))
        .count();
    let (name, rest) = text.split_at(length);
    if name.is_empty() {
        return None;
    }
    let (pid, rest) = match rest.strip_prefix('[') {
        Some(behind) => {
            let (pid, rest) = behind.split_once(']')?;
            (Some(pid).filter(|pid| is_digits(pid)), rest)
        }
        None => (None, rest),
    };
    let message = rest.strip_prefix(':')?;
    (message.is_empty() || message.starts_with(' ')).then(|| Program {
        name,
        pid,
        message: trim(message),
    })
}

/// The level that a message begins with in so many words (`ERROR: x`, `<warn>  [1769.5] x`), without
/// which it goes on; syslog's own is not in every file.
pub(super) fn judge(message: &str) -> (Option<Level>, &str) {
    let marked = message.starts_with(['[', '<']);
    if marked && let Some((level, rest)) = marked_level(message) {
        return (Some(level), trim(rest));
    }
    match marked_level(message) {
        Some((level, rest)) if rest.starts_with(':') => (Some(level), trim(&rest[1..])),
        _ => (None, message),
    }
}

/// RFC 5424, behind the version.
fn structured(
    line: &str,
    severity: Option<Level>,
    rest: &str,
    clock: &mut Clock,
    sheet: &mut Sheet,
) -> Option<Found> {
    let (time, rest) = word(rest);
    let at = match time {
        "-" => None,
        time => Some(clock.whole(time)?),
    };
    let (host, rest) = word(rest.strip_prefix(' ')?);
    let (name, rest) = word(rest.strip_prefix(' ')?);
    let (process, rest) = word(rest.strip_prefix(' ')?);
    let (id, rest) = word(rest.strip_prefix(' ')?);
    for (key, value) in [("host", host), ("pid", process), ("msgid", id)] {
        if value != "-" {
            sheet.name(line, key, value);
        }
    }
    let mut rest = rest.strip_prefix(' ').unwrap_or(rest);
    if let Some(behind) = rest.strip_prefix('-') {
        rest = behind;
    } else {
        while let Some(behind) = rest.strip_prefix('[') {
            rest = element(line, behind, sheet)?;
        }
    }
    let message = trim(rest);
    Some(Found {
        format: Format::Syslog5424,
        at,
        level: severity,
        message: Piece::of(line, message.strip_prefix('\u{feff}').unwrap_or(message)),
        logger: (name != "-").then(|| Piece::of(line, name)),
        continues: false,
    })
}

/// Takes the parameters of an element, behind its bracket; what follows it.
fn element<'a>(line: &str, text: &'a str, sheet: &mut Sheet) -> Option<&'a str> {
    let name = text
        .bytes()
        .take_while(|it| !matches!(it, b' ' | b']'))
        .count();
    let mut rest = &text[name..];
    loop {
        rest = rest.trim_start_matches(' ');
        if let Some(behind) = rest.strip_prefix(']') {
            return Some(behind);
        }
        let (key, value) = rest.split_once('=')?;
        if !value.starts_with('"') || key.contains(['"', ']']) {
            return None;
        }
        let (inside, end) = super::json::string(value.as_bytes(), 0)?;
        let raw = &value[inside.range];
        let piece = if inside.escaped {
            sheet.beside(|text| unescape(raw, text))
        } else {
            Piece::of(line, raw)
        };
        sheet.push(Piece::of(line, key), piece, Kind::Text);
        rest = &value[end..];
    }
}
