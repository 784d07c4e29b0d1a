//! Where the secrets of a text are: of a line, or of a string in a line of JSON, whose escapes must not
//! be torn.

use std::ops::Range;

use super::super::token::{is_digits, is_name};

/// What a backslash means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Itself, but before a quote.
    Literal,
    /// What it means in a string of JSON.
    Json,
}

/// A text in which keys and URLs have been seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) region: &'a str,
    pub(super) escapes: Escapes,
}

/// What a value may be preceded by in `Authorization: Bearer x`, and whether parameters follow.
const SCHEMES: [(&str, Follows); 9] = [
    ("bearer", Follows::Word),
    ("basic", Follows::Word),
    ("token", Follows::Word),
    ("apikey", Follows::Word),
    ("negotiate", Follows::Word),
    ("ntlm", Follows::Word),
    ("digest", Follows::Rest),
    ("hawk", Follows::Rest),
    ("aws4-hmac-sha256", Follows::Rest),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    Word,
    Rest,
}

/// A quote, and how many backslashes stand before it.
#[derive(Debug, Clone, Copy)]
struct Quote {
    mark: u8,
    slashes: usize,
}

impl Text<'_> {
    /// The end of the key that holds a name which ends at `at`.
    pub(super) fn key_end(&self, at: usize) -> usize {
        self.past(at, is_name)
    }

    /// The value of the key that ends at `end`, in which a name starts at `start`; none where the word
    /// is no key.
    pub(super) fn value_of_key(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let bytes = self.region.as_bytes();
        let mut at = end;
        let key = &self.region[self.key_start(start)..at];
        if let Some((_, behind)) = self.quote(at) {
            at = behind;
        }
        at = self.past_spaces(at);
        // `=`, `:`, `:=`, `=>`, but not the `::` of a path or the `://` of a URL.
        let separator = bytes.get(at)?;
        let next = bytes.get(at + 1);
        at += match (separator, next) {
            (b':', Some(b':' | b'/')) => return None,
            (b':' | b'=', Some(b'=' | b'>')) => 2,
            (b':' | b'=', _) => 1,
            _ => return None,
        };
        at = self.past_spaces(at);
        let value = self.value(at, key.to_ascii_lowercase().contains("authorization"))?;
        (!value.is_empty()).then_some(value)
    }

    fn key_start(&self, at: usize) -> usize {
        let before = self.region[..at].bytes().rev();
        at - before
            .take(64)
            .take_while(|byte| is_name(*byte) && byte.is_ascii())
            .count()
    }

    fn value(&self, at: usize, authorization: bool) -> Option<Range<usize>> {
        let bytes = self.region.as_bytes();
        if let Some((quote, start)) = self.quote(at) {
            let end = self.closing(quote, start).map(|closing| closing.start);
            return Some(start..end.unwrap_or(bytes.len()));
        }
        if matches!(bytes.get(at)?, b'{' | b'[') {
            return Some(at..self.nested_end(at));
        }
        let mut end = self.word_end(at);
        let word = &self.region[at..end];
        let scheme = SCHEMES
            .iter()
            .find(|(scheme, _)| word.eq_ignore_ascii_case(scheme));
        match scheme {
            Some((_, Follows::Word)) => {
                let next = self.past_spaces(end);
                if next > end {
                    end = self.word_end(next).max(end);
                }
            }
            Some((_, Follows::Rest)) if authorization => end = self.rest_end(end),
            _ => {}
        }
        Some(at..end)
    }

    /// The end of a value without quotes that begins at `at`.
    fn word_end(&self, at: usize) -> usize {
        let bytes = self.region.as_bytes();
        let mut at = at;
        let mut unclosed = false;
        while let Some(byte) = bytes.get(at) {
            if self.is_space(at) {
                return at;
            }
            if let Some((quote, behind)) = self.quote(at) {
                if self.is_end(behind) {
                    return at;
                }
                // A quote inside opens what belongs to the value: `b'a b'`, `Some("a b")`.
                let closing = if unclosed {
                    None
                } else {
                    self.closing(quote, behind)
                };
                unclosed = closing.is_none();
                at = closing.map_or(behind, |closing| closing.end);
                continue;
            }
            match byte {
                b',' | b';' | b'&' | b')' | b']' | b'}' | b'>' | b'|' if self.is_end(at + 1) => {
                    return at;
                }
                _ => at += self.unit(at),
            }
        }
        bytes.len()
    }

    /// The end of all parameters: of the text, or before a quote that none of them opened.
    fn rest_end(&self, at: usize) -> usize {
        let mut at = at;
        while at < self.region.len() {
            let Some((quote, behind)) = self.quote(at) else {
                at += self.unit(at);
                continue;
            };
            let opens = self.region[..at].ends_with('=');
            let Some(closing) = self.closing(quote, behind).filter(|_| opens) else {
                return at;
            };
            at = closing.end;
        }
        at
    }

    /// The end of the bracket that opens at `at`; the end of the text if it is not closed.
    fn nested_end(&self, at: usize) -> usize {
        let bytes = self.region.as_bytes();
        let (mut at, mut depth) = (at, 0_usize);
        while let Some(byte) = bytes.get(at) {
            if let Some((quote, behind)) = self.quote(at) {
                let Some(closing) = self.closing(quote, behind) else {
                    return bytes.len();
                };
                at = closing.end;
                continue;
            }
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += self.unit(at);
            if depth == 0 {
                return at;
            }
        }
        bytes.len()
    }

    /// What stands at `at` may follow a value: an end, white space, closing marks before these, or the
    /// next key.
    fn is_end(&self, at: usize) -> bool {
        let bytes = self.region.as_bytes();
        let mut at = at;
        for _ in 0..8 {
            if at >= bytes.len() || self.is_space(at) {
                return true;
            }
            if let Some((_, behind)) = self.quote(at) {
                at = behind;
            } else if b",;&)]}>|".contains(&bytes[at]) {
                at += 1;
            } else {
                let name = bytes[at..]
                    .iter()
                    .take(64)
                    .take_while(|byte| is_name(**byte))
                    .count();
                let behind = self
                    .quote(at + name)
                    .map_or(at + name, |(_, behind)| behind);
                return name > 0 && matches!(bytes.get(behind), Some(b'=' | b':'));
            }
        }
        false
    }

    /// Where the quote stands that closes what `quote` opened, before `start`; its backslashes
    /// included.
    fn closing(&self, quote: Quote, start: usize) -> Option<Range<usize>> {
        let bytes = self.region.as_bytes();
        let mut at = start;
        loop {
            at += memchr::memchr(quote.mark, bytes.get(at..)?)?;
            let before = bytes[start..at].iter().rev();
            let slashes = before.take_while(|byte| **byte == b'\\').count();
            if closes(slashes, quote.slashes) {
                return Some(at - quote.slashes.min(slashes)..at + 1);
            }
            at += 1;
        }
    }

    /// The quote at `at`, with the backslashes before it, and the index behind it.
    fn quote(&self, at: usize) -> Option<(Quote, usize)> {
        let bytes = self.region.as_bytes().get(at..)?;
        let slashes = bytes
            .iter()
            .take(8)
            .take_while(|byte| **byte == b'\\')
            .count();
        let mark = *bytes.get(slashes)?;
        // One, three, seven: a quote in a string, in a string in a string, and once more.
        let nests = matches!(slashes, 0 | 1 | 3 | 7);
        (matches!(mark, b'"' | b'\'') && nests)
            .then_some((Quote { mark, slashes }, at + slashes + 1))
    }

    /// White space, or its escape.
    fn is_space(&self, at: usize) -> bool {
        match self.region.as_bytes()[at..] {
            [byte, ..] if byte.is_ascii_whitespace() => true,
            [b'\\', b'n' | b't' | b'r', ..] => self.escapes == Escapes::Json,
            _ => false,
        }
    }

    /// How many bytes must stay together.
    fn unit(&self, at: usize) -> usize {
        match self.region.as_bytes()[at..] {
            [b'\\', b'u', ref digits @ ..] if self.escapes == Escapes::Json => {
                2 + digits
                    .iter()
                    .take(4)
                    .take_while(|byte| byte.is_ascii_hexdigit())
                    .count()
            }
            [b'\\', next, ..] if next.is_ascii() => 2,
            _ => self.region[at..].chars().next().map_or(1, char::len_utf8),
        }
    }

    fn past(&self, at: usize, passed: fn(u8) -> bool) -> usize {
        at + self.region.as_bytes()[at..]
            .iter()
            .take_while(|byte| passed(**byte))
            .count()
    }

    fn past_spaces(&self, at: usize) -> usize {
        self.past(at, |byte| matches!(byte, b' ' | b'\t'))
    }

    /// The password of the URL whose `://` ends at `at`.
    pub(super) fn password_of_url(&self, at: usize) -> Option<Range<usize>> {
        let rest = &self.region[at..];
        let bytes = rest.as_bytes();
        // The next URL ends this one, so that each byte is looked at once.
        let ends = |at: usize| {
            let byte = bytes[at];
            byte.is_ascii_whitespace()
                || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`')
                || (byte == b':' && bytes[at..].starts_with(b"://"))
        };
        let run = &rest[..(0..bytes.len()).find(|at| ends(*at)).unwrap_or(bytes.len())];
        let authority = run.find(['/', '?', '#']).unwrap_or(run.len());
        let colon = run[..authority].find(':')?;
        let after = &run[colon + 1..];
        // A password may hold what would end the host; a port is digits.
        let port = is_digits(&run[colon + 1..authority]);
        let within = if port {
            authority - colon - 1
        } else {
            after.len()
        };
        let password = after[..within].rfind('@')?;
        (password > 0).then(|| at + colon + 1..at + colon + 1 + password)
    }
}

/// Whether a quote behind so many backslashes closes one that was opened behind `opened` of them:
/// each level of strings in strings doubles them and adds one.
const fn closes(slashes: usize, opened: usize) -> bool {
    let (mut slashes, mut opened) = (slashes, opened);
    while opened > 0 {
        if slashes % 2 == 0 {
            return true;
        }
        slashes = (slashes - 1) / 2;
        opened = (opened - 1) / 2;
    }
    slashes % 2 == 0
}
