//! Lines that are pairs: `ts=2026-01-27T14:23:45Z level=info msg="a b" k=v`.

use super::fields::{Kind, Piece, Sheet, is_number};
use super::json::{Roles, unescape};
use super::stamp::Clock;
use super::token::is_name;
use super::{Format, Found};

/// One pair of a text, or a key alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    /// Without its quotes; none for a key alone.
    value: Option<&'a str>,
    quoted: bool,
}

/// The line's parts, if it is nothing but pairs and keys and has a time, a level or a message, or
/// three pairs.
pub(super) fn read(line: &str, clock: &mut Clock, sheet: &mut Sheet) -> Option<Found> {
    let mut roles = Roles::new(line, clock, sheet);
    let mut pairs = 0;
    let mut rest = line;
    // What does not begin with a pair is most often prose: no more than its first word is read.
    pair(rest)?.0.value?;
    while !rest.is_empty() {
        let (pair, behind) = pair(rest)?;
        rest = behind.trim_start_matches(' ');
        let key = Piece::of(line, pair.key);
        let Some(value) = pair.value else {
            let nothing = Piece::of(line, &pair.key[..0]);
            roles.sheet.push(key, nothing, Kind::Text);
            continue;
        };
        pairs += 1;
        let (piece, kind) = piece_of(line, &pair, value, roles.sheet);
        roles.take(key, piece, kind);
    }
    (roles.speaks() || pairs >= 3).then(|| roles.found(Format::Logfmt))
}

/// Takes the pairs that `text` ends with as fields, if a name and `=` stand somewhere in it and
/// nothing but pairs behind; what stands before them is left.
pub(super) fn trailing<'a>(line: &str, text: &'a str, sheet: &mut Sheet) -> &'a str {
    let before = sheet.len();
    for equals in memchr::memchr_iter(b'=', text.as_bytes()).take(4) {
        let key = text.as_bytes()[..equals]
            .iter()
            .rev()
            .take_while(|byte| is_key(**byte));
        let start = equals - key.count();
        if start == equals || (start > 0 && text.as_bytes()[start - 1] != b' ') {
            continue;
        }
        if all(line, &text[start..], sheet) {
            return text[..start].trim_end_matches(' ');
        }
        sheet.truncate(before);
    }
    text
}

/// Takes every pair of `text`; false when it holds something else.
pub(super) fn all(line: &str, text: &str, sheet: &mut Sheet) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some((pair, behind)) = pair(rest) else {
            return false;
        };
        let Some(value) = pair.value else {
            return false;
        };
        let (piece, kind) = piece_of(line, &pair, value, sheet);
        sheet.push(Piece::of(line, pair.key), piece, kind);
        rest = behind.trim_start_matches([' ', ',']);
    }
    true
}

fn piece_of(line: &str, pair: &Pair<'_>, value: &str, sheet: &mut Sheet) -> (Piece, Kind) {
    if pair.quoted && memchr::memchr(b'\\', value.as_bytes()).is_some() {
        return (sheet.beside(|text| unescape(value, text)), Kind::Text);
    }
    let kind = if !pair.quoted && is_number(value) {
        Kind::Number
    } else {
        Kind::Text
    };
    (Piece::of(line, value), kind)
}

/// The pair or key that `text` begins with, and what follows.
fn pair(text: &str) -> Option<(Pair<'_>, &str)> {
    let bytes = text.as_bytes();
    let end = bytes
        .iter()
        .position(|byte| !is_key(*byte))
        .unwrap_or(bytes.len());
    let (key, behind) = text.split_at(end);
    if key.is_empty() {
        return None;
    }
    let Some(value) = behind.strip_prefix('=') else {
        let alone = Pair {
            key,
            value: None,
            quoted: false,
        };
        return (behind.is_empty() || behind.starts_with(' ')).then_some((alone, behind));
    };
    if value.starts_with('"') {
        let (inside, end) = super::json::string(value.as_bytes(), 0)?;
        let (inside, rest) = (&value[inside.range], &value[end..]);
        let pair = Pair {
            key,
            value: Some(inside),
            quoted: true,
        };
        return (rest.is_empty() || rest.starts_with([' ', ','])).then_some((pair, rest));
    }
    let end = value.find([' ', '"']).unwrap_or(value.len());
    let (value, rest) = value.split_at(end);
    let pair = Pair {
        key,
        value: Some(value),
        quoted: false,
    };
    (!rest.starts_with('"')).then_some((pair, rest))
}

const fn is_key(byte: u8) -> bool {
    is_name(byte) || matches!(byte, b'/' | b'@')
}
