//! Quoted text: a value, a key, or prose.

use super::class::{Class, class};
use super::{Masker, VARIABLE};

/// Behind these keys quoted text is read like the rest of the line.
const ANNOUNCE_PROSE: [&str; 7] = [
    "msg",
    "message",
    "event",
    "level",
    "lvl",
    "severity",
    "levelname",
];

/// What is known of the quotes of a line.
#[derive(Default)]
pub(super) struct Quotes {
    /// Quotes of this kind are closed no more.
    unclosed: [Option<u8>; 3],
    /// Where the prose that is being read ends.
    prose_end: Option<usize>,
}

impl Masker<'_> {
    /// Reads a quote, and what it holds if that is a value or a key.
    pub(super) fn quote(&mut self) {
        let Some((open, close)) = self.quoted() else {
            return self.put_up_to(self.at + 1);
        };
        if self.is_key(open, close) {
            self.put_up_to(close + 1);
        } else if self.prose_is_announced() {
            self.quotes.prose_end = Some(close);
            self.put_up_to(open + 1);
        } else {
            self.put_up_to(open + 1);
            self.put(VARIABLE);
            self.at = close;
            self.put_up_to(close + 1);
        }
    }

    /// Where the quoted text that begins here has its quotes, if here begins one.
    fn quoted(&mut self) -> Option<(usize, usize)> {
        let open = self.at;
        let quote = self.byte(open)?;
        let before = open.checked_sub(1).and_then(|at| self.byte(at));
        let within = before.is_some_and(|byte| byte == b'\\' || is_alphanumeric(byte));
        let quotes = &mut self.quotes;
        if within || quotes.prose_end == Some(open) || quotes.unclosed.contains(&Some(quote)) {
            return None;
        }
        let close = self.closing(quote, open + 1);
        if close.is_none()
            && let Some(free) = self.quotes.unclosed.iter_mut().find(|q| q.is_none())
        {
            // Otherwise a line of nothing but quotes would be searched for each of them.
            *free = Some(quote);
        }
        close.map(|close| (open, close))
    }

    fn closing(&self, quote: u8, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let byte = self.byte(at)?;
            if byte == b'\\' {
                at += 1;
            } else if byte == quote {
                let apostrophe = quote == b'\'' && self.byte(at + 1).is_some_and(is_alphanumeric);
                if !apostrophe {
                    return Some(at);
                }
            }
            at += 1;
        }
    }

    /// Whether the quoted text is the name of a member in an object.
    fn is_key(&self, open: usize, close: usize) -> bool {
        let text = &self.line[open + 1..close];
        self.byte(close + 1) == Some(b':')
            && self.masked.ends_with(['{', ','])
            && (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| class(byte) == Class::Letter || matches!(byte, b'_' | b'-' | b'.'))
    }

    fn prose_is_announced(&self) -> bool {
        let Some(before) = self.masked.strip_suffix(['=', ':']) else {
            return false;
        };
        let key = before.trim_end_matches(['"', '\'']);
        ANNOUNCE_PROSE.iter().any(|word| {
            key.strip_suffix(word)
                .is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric()))
        })
    }
}

fn is_alphanumeric(byte: u8) -> bool {
    matches!(class(byte), Class::Letter | Class::Digit)
}
