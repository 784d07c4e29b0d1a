//! Lines without a time: Python's default (`LEVEL:logger:msg`), a level in front, or nothing at all.

use argus_model::Level;

use super::fields::Piece;
use super::token::{is_name, level, marked_level, trim};
use super::trace;
use super::{Format, Found};

/// Python's default: `WARNING:root:msg`.
pub(super) fn python(line: &str) -> Option<Found> {
    if !line.as_bytes().first()?.is_ascii_uppercase() {
        return None;
    }
    let (level, rest) = level(line)?;
    let rest = rest.strip_prefix(':')?;
    let length = rest.bytes().take_while(|byte| is_name(*byte)).count();
    let message = rest[length..].strip_prefix(':').filter(|_| length > 0)?;
    Some(Found {
        logger: Some(Piece::of(line, &rest[..length])),
        ..found(line, Format::Python, Some(level), message)
    })
}

/// Anything: a level in front if one is marked as such, by brackets, a colon, or capitals; one for
/// what is the head of a stack trace.
pub(super) fn read(line: &str) -> Found {
    // systemd's priority: `<3>msg`.
    if let [b'<', digit @ b'0'..=b'7', b'>', ..] = line.as_bytes() {
        let message = line.get(3..).unwrap_or_default();
        return found(
            line,
            Format::Plain,
            Level::from_syslog(digit - b'0'),
            message,
        );
    }
    let text = trim(line);
    if let Some((level, rest)) = marked_level(text) {
        let word = &text[..text.len() - rest.len()];
        let bracketed = !word.starts_with(|first: char| first.is_ascii_alphabetic());
        let capitals = word
            .bytes()
            .all(|it| it.is_ascii_uppercase() || it.is_ascii_digit());
        if let Some(message) = rest.strip_prefix(':') {
            return found(line, Format::Plain, Some(level), trim(message));
        }
        if bracketed || (capitals && rest.starts_with([' ', '\t'])) {
            return found(line, Format::Plain, Some(level), trim(rest));
        }
        // rustc: `error[E0308]: mismatched types`.
        if rest.starts_with('[') && rest.contains("]: ") {
            return found(line, Format::Plain, Some(level), line);
        }
    }
    let level = trace::head_of(line).is_some().then_some(Level::Error);
    found(line, Format::Plain, level, line)
}

fn found(line: &str, format: Format, level: Option<Level>, message: &str) -> Found {
    Found {
        format,
        at: None,
        level,
        message: Piece::of(line, message),
        logger: None,
        continues: false,
    }
}
