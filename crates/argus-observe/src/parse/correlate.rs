//! Ids that join the lines of one request, one trace, one session.
//!
//! [`Correlator::find`] looks at the raw line, whatever its format: a key that is known, a separator
//! (`=` or `:`), a value, each with or without quotes. So `trace_id=7f3a`, `"traceId":"7f3a"`,
//! `[request_id: 7f3a]` and `{\"trace.id\":\"7f3a\"}` in a string of JSON are all found. Known are:
//!
//! | name given | keys, in any case of letters, with `_`, `-`, `.` or nothing between the words |
//! |---|---|
//! | `trace_id` | `trace_id`, also `dd.trace_id`; the first id of a W3C `traceparent` |
//! | `span_id` | `span_id`, but not that of a parent; the second id of a `traceparent` |
//! | `request_id` | `request_id`, `req_id`, also `x-request-id` |
//! | `correlation_id` | `correlation_id`, also `x-correlation-id` |
//! | `session_id` | `session_id` |
//!
//! Further ids are found by the user's own [`Pattern`]s. A value has 1 to [`MAX_BYTES`] bytes; `-`,
//! `null`, `none`, `nil`, `undefined` and nothing but zeros are no ids.

use memchr::{memchr2_iter, memmem};
use regex::Regex;

use crate::expression::{self, NotAnExpression};

/// The longest id; what is longer is something else.
pub const MAX_BYTES: usize = 256;

/// So many ids of one pattern are taken from a line.
const MAX_MATCHES: usize = 8;

/// An id that a user looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What such an id is called.
    pub name: String,
    /// A regular expression; its first group is the id, or its whole match if it has none. Matching
    /// takes time in proportion to the line, whatever it is.
    pub expression: String,
}

/// A pattern cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the pattern of {name}: {source}")]
pub struct PatternError {
    /// What its ids are called.
    pub name: String,
    source: NotAnExpression,
}

/// Finds ids in lines. Build it once: compiling a pattern takes far longer than using it.
#[derive(Debug)]
pub struct Correlator {
    patterns: Vec<(String, Regex)>,
    traceparent: memmem::Finder<'static>,
}

impl Correlator {
    /// One that knows the usual keys and these patterns.
    ///
    /// # Errors
    ///
    /// [`PatternError`] when an expression is not valid, or too large.
    pub fn new(patterns: &[Pattern]) -> Result<Self, PatternError> {
        let mut compiled = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let regex = expression::compile(&pattern.expression);
            let regex = regex.map_err(|source| PatternError {
                name: pattern.name.clone(),
                source,
            })?;
            compiled.push((pattern.name.clone(), regex));
        }
        Ok(Self {
            patterns: compiled,
            traceparent: memmem::Finder::new("raceparent").into_owned(),
        })
    }

    /// Hands every id in the line to `each`, as name and value: first the usual ones in their order,
    /// then those of the patterns. One that stands there twice is handed out twice.
    ///
    /// A line without ids costs one pass for a letter, and one for each pattern.
    pub fn find<'a>(&'a self, line: &'a str, mut each: impl FnMut(&'a str, &'a str)) {
        let bytes = line.as_bytes();
        let mut end = 0;
        // Every key that is known ends in "id", but one.
        for at in memchr2_iter(b'd', b'D', bytes) {
            let is_id = at >= end.max(4) && bytes[at - 1] | 0x20 == b'i';
            if !is_id {
                continue;
            }
            if let Some(name) = name_of(&bytes[..=at])
                && let Some(value) = value_behind(line, at + 1)
            {
                end = at + 1;
                each(name, value);
            }
        }
        for at in self.traceparent.find_iter(bytes) {
            let Some(value) = value_behind(line, at + "raceparent".len()) else {
                continue;
            };
            if let Some((trace, span)) = parent(value) {
                each("trace_id", trace);
                each("span_id", span);
            }
        }
        for (name, regex) in &self.patterns {
            if regex.captures_len() == 1 {
                let matches = regex.find_iter(line).take(MAX_MATCHES);
                matches
                    .filter_map(|found| id(found.as_str()))
                    .for_each(|value| each(name, value));
            } else {
                let matches = regex.captures_iter(line).take(MAX_MATCHES);
                let groups = matches.filter_map(|found| found.get(1));
                groups
                    .filter_map(|group| id(group.as_str()))
                    .for_each(|value| each(name, value));
            }
        }
    }
}

/// The words before "id", spelled backwards from it.
const STEMS: [(&[u8], &str); 6] = [
    (b"trace", "trace_id"),
    (b"span", "span_id"),
    (b"request", "request_id"),
    (b"req", "request_id"),
    (b"correlation", "correlation_id"),
    (b"session", "session_id"),
];

/// The name of the id whose key the text ends with.
fn name_of(text: &[u8]) -> Option<&'static str> {
    let (before, _) = text.split_at(text.len() - 2);
    let stem = match before.split_last()? {
        (b'_' | b'-' | b'.', stem) => stem,
        // `traceId`, `traceID`, `traceid`: no other word ends like these.
        _ => before,
    };
    let ends_with = |word: &[u8]| {
        stem.len() >= word.len() && stem[stem.len() - word.len()..].eq_ignore_ascii_case(word)
    };
    let (word, name) = STEMS.iter().find(|(word, _)| ends_with(word))?;
    let front = &stem[..stem.len() - word.len()];
    let bounded = match front.last() {
        Some(before) if before.is_ascii_alphanumeric() => {
            before.is_ascii_lowercase() && stem[front.len()].is_ascii_uppercase()
        }
        _ => true,
    };
    let front = front
        .strip_suffix(b"_")
        .or(front.strip_suffix(b"-"))
        .or(front.strip_suffix(b"."))
        .unwrap_or(front);
    let of_parent = front.len() >= 6 && front[front.len() - 6..].eq_ignore_ascii_case(b"parent");
    (bounded && !of_parent).then_some(*name)
}

/// The value of the key that ends at `at`: behind a separator, without quotes.
fn value_behind(line: &str, at: usize) -> Option<&str> {
    let bytes = line.as_bytes();
    let skip = |mut at: usize, skipped: fn(&u8) -> bool, most: usize| {
        let end = at + most;
        while at < end && bytes.get(at).is_some_and(skipped) {
            at += 1;
        }
        at
    };
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'' | b'\\' | b'`');
    let is_space = |byte: &u8| *byte == b' ';
    let separator = skip(skip(at, is_quote, 4), is_space, 2);
    if !matches!(bytes.get(separator)?, b'=' | b':') {
        return None;
    }
    // `=>`, `:=` and `==` as well.
    let behind = skip(separator + 1, |byte| matches!(byte, b'=' | b'>'), 1);
    let start = skip(skip(behind, is_space, 8), is_quote, 4);
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\`,;&()[]{}<>|".contains(byte);
    let rest = bytes.get(start..)?;
    let length = rest.iter().take(MAX_BYTES + 1).position(ends);
    let length = length.or((rest.len() <= MAX_BYTES).then_some(rest.len()))?;
    id(line.get(start..start + length)?)
}

/// The value, if it is one.
fn id(value: &str) -> Option<&str> {
    let value = value.trim_matches([' ', '"', '\'', '\\', '`']);
    let nothing = ["null", "none", "nil", "undefined"];
    let means_nothing = nothing.iter().any(|word| value.eq_ignore_ascii_case(word));
    let zeros = value.bytes().all(|byte| matches!(byte, b'0' | b'-'));
    (!zeros && !means_nothing && value.len() <= MAX_BYTES).then_some(value)
}

/// The ids of a W3C `traceparent`: `00-<32 digits>-<16 digits>-<2 digits>`, not all zeros.
fn parent(value: &str) -> Option<(&str, &str)> {
    let mut parts = value.split('-');
    let version = parts.next()?;
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let hex =
        |text: &str, length| text.len() == length && text.bytes().all(|it| it.is_ascii_hexdigit());
    let whole = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    (whole && version != "ff").then_some(())?;
    Some((id(trace)?, id(span)?))
}

#[cfg(test)]
mod tests;
