//! Lines that are one JSON object, in one pass and without building it.
//!
//! The scanner finds where values end; it does not prove that a line is valid JSON (brackets are
//! counted, not matched; control characters pass), because a logger's line that is nearly JSON is
//! still best read as such. What is cut off in the middle is no object.

use std::ops::Range;

use argus_model::{Level, Timestamp};
use memchr::{memchr, memchr2};

use super::fields::{Kind, Piece, Sheet, is_number};
use super::stamp::{Clock, epoch};
use super::{Format, Found};

/// What a member of the object is to a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Level,
    Time,
    /// The message; of several, that of the lowest rank is it.
    Message(u8),
    Logger,
    Other,
}

/// What loggers of all languages mean by a key; also in logfmt.
pub(super) fn role(key: &str) -> Role {
    let mut lower = [0_u8; 16];
    let bytes = key.as_bytes();
    let Some(lower) = lower.get_mut(..bytes.len()) else {
        return Role::Other;
    };
    for (to, from) in lower.iter_mut().zip(bytes) {
        *to = from.to_ascii_lowercase();
    }
    match &*lower {
        b"level" | b"severity" | b"levelname" | b"lvl" | b"log.level" | b"loglevel" | b"@l"
        | b"severitytext" | b"severity_text" => Role::Level,
        b"time" | b"timestamp" | b"ts" | b"@timestamp" | b"t" | b"@t" | b"datetime"
        | b"asctime" => Role::Time,
        b"message" | b"@m" => Role::Message(0),
        b"msg" => Role::Message(1),
        b"event" => Role::Message(2),
        b"log" | b"@mt" | b"body" => Role::Message(3),
        b"logger" | b"name" | b"logger_name" | b"log.logger" | b"loggername" => Role::Logger,
        _ => Role::Other,
    }
}

/// What has been found so far of a line whose parts are pairs.
#[derive(Debug)]
pub(super) struct Roles<'a> {
    line: &'a str,
    clock: &'a mut Clock,
    pub(super) sheet: &'a mut Sheet,
    at: Option<Timestamp>,
    level: Option<Level>,
    logger: Option<Piece>,
    /// With its rank and name: the pair becomes a field when a better one comes.
    message: Option<(u8, Piece, Piece)>,
}

impl<'a> Roles<'a> {
    pub(super) const fn new(line: &'a str, clock: &'a mut Clock, sheet: &'a mut Sheet) -> Self {
        Self {
            line,
            clock,
            sheet,
            at: None,
            level: None,
            logger: None,
            message: None,
        }
    }

    /// Takes a pair whose parts stand in the line or beside it.
    pub(super) fn take(&mut self, name: Piece, value: Piece, kind: Kind) {
        // Only what stands beside the line is copied, and that is rare.
        let line = self.line;
        let (beside, key);
        let name_text = match &name {
            Piece::Line(range) => &line[range.clone()],
            _ => {
                key = self.sheet.text(line, &name).to_owned();
                &key
            }
        };
        let value_text = match &value {
            Piece::Line(range) => &line[range.clone()],
            _ if matches!(role(name_text), Role::Level | Role::Time) => {
                beside = self.sheet.text(line, &value).to_owned();
                &beside
            }
            _ => "",
        };
        if !self.has_role(name_text, value_text, (&name, &value, kind)) {
            self.sheet.push(name, value, kind);
        }
    }

    /// Whether the pair is a part of its own. One that has no role, or whose role is taken, is a field.
    fn has_role(&mut self, name: &str, text: &str, pair: (&Piece, &Piece, Kind)) -> bool {
        let (name_piece, value, kind) = pair;
        match role(name) {
            Role::Level if self.level.is_none() => {
                self.level = level_of(text, kind);
                self.level.is_some()
            }
            Role::Time if self.at.is_none() && kind != Kind::Json => {
                self.at = self.clock.whole(text).or_else(|| scientific(text, kind));
                self.at.is_some()
            }
            Role::Logger if self.logger.is_none() && kind == Kind::Text => {
                self.logger = Some(value.clone());
                true
            }
            Role::Message(rank) if kind == Kind::Text => {
                let better = self.message.as_ref().is_none_or(|(best, ..)| rank < *best);
                if better {
                    let best = (rank, name_piece.clone(), value.clone());
                    if let Some((_, name, value)) = self.message.replace(best) {
                        self.sheet.push(name, value, Kind::Text);
                    }
                }
                better
            }
            _ => false,
        }
    }

    /// Has a role that only log lines have.
    pub(super) const fn speaks(&self) -> bool {
        self.at.is_some() || self.level.is_some() || self.message.is_some()
    }

    pub(super) fn found(self, format: Format) -> Found {
        let line = self.line;
        Found {
            format,
            at: self.at,
            level: self.level,
            message: self
                .message
                .map_or_else(|| Piece::of(line, line), |(_, _, message)| message),
            logger: self.logger,
            continues: false,
        }
    }
}

/// A word; or a number: pino's tens, syslog's up to seven.
fn level_of(value: &str, kind: Kind) -> Option<Level> {
    if kind == Kind::Json {
        return None;
    }
    match value.parse::<u8>() {
        Ok(number @ 0..=7) => Level::from_syslog(number),
        Ok(10..20) => Some(Level::Trace),
        Ok(20..30) => Some(Level::Debug),
        Ok(30..40) => Some(Level::Info),
        Ok(40..50) => Some(Level::Warn),
        Ok(50..60) => Some(Level::Error),
        Ok(60..70) => Some(Level::Fatal),
        Ok(_) => None,
        Err(_) => Level::from_word(value),
    }
}

/// Digits with an exponent, to what a float keeps of them.
#[allow(clippy::cast_possible_truncation)]
fn scientific(value: &str, kind: Kind) -> Option<Timestamp> {
    if kind != Kind::Number || !value.contains(['e', 'E']) {
        return None;
    }
    let value: f64 = value.parse().ok()?;
    // Out of range, the cast saturates, and that is no time of our age.
    epoch(&(value as i64).to_string())
}

/// The line's parts, if it is an object as a whole.
pub(super) fn read(line: &str, clock: &mut Clock, sheet: &mut Sheet) -> Option<Found> {
    let bytes = line.as_bytes();
    let mut at = space(bytes, 0);
    if bytes.get(at) != Some(&b'{') || bytes.trim_ascii_end().last() != Some(&b'}') {
        return None;
    }
    at = space(bytes, at + 1);
    let mut roles = Roles::new(line, clock, sheet);
    while bytes.get(at) == Some(&b'"') {
        let (name, behind) = string(bytes, at)?;
        at = space(bytes, behind);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at = space(bytes, at + 1);
        let end = value_end(bytes, at)?;
        let name = text_of(line, &name, roles.sheet);
        let (value, kind) = value_of(line, at..end, roles.sheet)?;
        roles.take(name, value, kind);
        at = space(bytes, end);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            b'}' => break,
            _ => return None,
        }
    }
    let ends = bytes.get(at) == Some(&b'}') && space(bytes, at + 1) == bytes.len();
    ends.then(|| roles.found(Format::Json))
}

/// What the inside of a string says.
fn text_of(line: &str, inside: &Inside, sheet: &mut Sheet) -> Piece {
    let raw = &line[inside.range.clone()];
    if inside.escaped {
        sheet.beside(|text| unescape(raw, text))
    } else {
        Piece::of(line, raw)
    }
}

fn value_of(line: &str, range: Range<usize>, sheet: &mut Sheet) -> Option<(Piece, Kind)> {
    let raw = &line[range.clone()];
    if raw.starts_with('"') {
        let (inside, _) = string(line.as_bytes(), range.start)?;
        return Some((text_of(line, &inside, sheet), Kind::Text));
    }
    let kind = match raw.as_bytes().first()? {
        b'{' | b'[' => Kind::Json,
        _ if is_number(raw) => Kind::Number,
        _ if matches!(raw, "true" | "false" | "null") => Kind::Json,
        // Python's NaN and Infinity among them: no JSON, but what loggers write.
        _ => Kind::Text,
    };
    Some((Piece::of(line, raw), kind))
}

/// What stands between a string's quotes.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) range: Range<usize>,
    pub(super) escaped: bool,
}

/// The inside of the string whose quote stands at `at`, and the index behind it.
pub(super) fn string(bytes: &[u8], at: usize) -> Option<(Inside, usize)> {
    let start = at + 1;
    let (mut end, mut escaped) = (start, false);
    loop {
        end += memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            break;
        }
        escaped = true;
        end += 2;
    }
    let range = start..end;
    Some((Inside { range, escaped }, end + 1))
}

/// The index behind the value that begins at `at`.
pub(super) fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string(bytes, at).map(|(_, end)| end),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            let is_end =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
            let ends = |byte: &u8| is_end(byte) || matches!(byte, b'"' | b':' | b'{' | b'[');
            let length = bytes[at..].iter().position(ends)?;
            (length > 0 && is_end(&bytes[at + length])).then_some(at + length)
        }
    }
}

fn nested_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string(bytes, at)?.1;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The text is an object, an array or a string, and outside its strings has nothing that JSON has
/// not. Python's `{'a': 1}` is none.
pub(super) fn is_json(text: &str) -> bool {
    let bytes = text.as_bytes();
    let start = space(bytes, 0);
    let end = match bytes.get(start) {
        Some(b'{' | b'[') => nested_end(bytes, start),
        Some(b'"') => string(bytes, start).map(|(_, behind)| behind),
        _ => None,
    };
    let Some(end) = end else {
        return false;
    };
    let mut at = start;
    while at < end {
        match bytes[at] {
            b'"' => match string(bytes, at) {
                Some((_, behind)) => at = behind,
                None => return false,
            },
            byte if b"{}[]:, \t\r\n0123456789+-.eEtrufalsn".contains(&byte) => at += 1,
            _ => return false,
        }
    }
    space(bytes, end) == bytes.len()
}

/// The index of what is no white space, from `at` on.
pub(super) fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Writes what `raw`, the inside of a string, says. Half a surrogate pair, and an escape that JSON
/// does not know, become U+FFFD and what stands behind the backslash.
pub(super) fn unescape(raw: &str, text: &mut String) {
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else {
            return;
        };
        rest = &rest[escape.len_utf8()..];
        match escape {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'u' => {
                let (character, length) = unicode(rest);
                text.push(character);
                rest = &rest[length..];
            }
            other => text.push(other),
        }
    }
    text.push_str(rest);
}

/// The character of the digits behind `\u`, and how many bytes they and a second half take.
fn unicode(rest: &str) -> (char, usize) {
    let half = |at: usize| {
        let digits = rest.get(at..at + 4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = half(0) else {
        return (char::REPLACEMENT_CHARACTER, 0);
    };
    if let Some(alone) = char::from_u32(first) {
        return (alone, 4);
    }
    if (0xd800..0xdc00).contains(&first)
        && rest.get(4..6) == Some("\\u")
        && let Some(second @ 0xdc00..0xe000) = half(6)
        && let Some(pair) = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    {
        return (pair, 10);
    }
    (char::REPLACEMENT_CHARACTER, 4)
}
