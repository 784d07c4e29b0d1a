//! Secrets out of log lines, before anybody keeps them.
//!
//! [`Masker::mask`] writes `***` for the value of every key whose name holds one of the names given
//! ([`NAMES`] by default), in any case of letters:
//!
//! - `password=x`, `password="x y"`, `password: x`, `{'db_password': 'x y'}`, `?token=x&a=b`; a bracket
//!   as a whole. In doubt too much is masked: a value without quotes ends at white space, or where a
//!   bracket, a quote, a comma, a semicolon or `&` is followed by an end or by the next key.
//! - `Authorization: Bearer x`: the word that names a scheme and what follows it; of schemes with
//!   parameters, everything to the end.
//! - in a line that is JSON: strings and numbers at any depth, objects and arrays as a whole; `true`,
//!   `false` and `null` stay. What a string says is masked as any text is. Valid JSON stays valid.
//! - in a URL with a user (`scheme://user:x@host`), the password, whatever the names.
//!
//! It does not find what nothing names: a password in prose, an option's value behind a space, a key
//! spelled with JSON escapes.

mod text;

use std::borrow::Cow;

use memchr::memchr;
use regex::{Regex, RegexBuilder};

use super::json;

/// The names that are masked by default.
pub const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "api_key",
    "apikey",
    "token",
    "authorization",
    "access_key",
    "private_key",
];

/// What stands in place of a secret.
const MASK: &str = "***";

/// Masks lines. Build it once: compiling the names takes about a millisecond.
#[derive(Debug)]
pub struct Masker {
    /// Any of the names, or what a URL with a password holds.
    hints: Regex,
    /// Any of the names; none if none is given.
    names: Option<Regex>,
}

impl Default for Masker {
    fn default() -> Self {
        Self::new(&NAMES)
    }
}

impl Masker {
    /// Masks the values of keys that hold one of these names, in any case of letters; an empty one is
    /// not counted. Passwords in URLs are masked even without a name.
    pub fn new<N: AsRef<str>>(names: &[N]) -> Self {
        let names: Vec<_> = names
            .iter()
            .map(|name| regex::escape(name.as_ref()))
            .collect();
        let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let any = names.join("|");
        let hints = if any.is_empty() {
            "://".to_owned()
        } else {
            format!("{any}|://")
        };
        Self {
            hints: compile(&hints),
            names: (!any.is_empty()).then(|| compile(&any)),
        }
    }

    /// The line without its secrets; borrowed if it has none.
    ///
    /// A line without any of the names costs one scan, some 100 to 200 ns for a hundred bytes. Never
    /// panics, and takes time in proportion to the line.
    pub fn mask<'a>(&self, line: &'a str) -> Cow<'a, str> {
        if !self.hints.is_match(line) {
            return Cow::Borrowed(line);
        }
        let mut masked = Masked::new(line);
        let is_json = json::is_json(line);
        if is_json {
            self.mask_json(line, &mut masked);
        } else {
            self.mask_text(line, 0..line.len(), text::Escapes::Literal, &mut masked);
        }
        masked.finish()
    }

    /// Every string is looked at in turn; one before a colon is a key. Depth does not matter.
    fn mask_json(&self, line: &str, masked: &mut Masked<'_>) {
        let bytes = line.as_bytes();
        let mut at = 0;
        while let Some(quote) = memchr(b'"', &bytes[at..]) {
            let Some((inside, behind)) = json::string(bytes, at + quote) else {
                return;
            };
            let colon = json::space(bytes, behind);
            if bytes.get(colon) != Some(&b':') {
                self.mask_text(line, inside.range, text::Escapes::Json, masked);
                at = behind;
                continue;
            }
            at = json::space(bytes, colon + 1);
            let secret = self
                .names
                .as_ref()
                .is_some_and(|it| it.is_match(&line[inside.range]));
            let has_value = bytes
                .get(at)
                .is_some_and(|it| !matches!(it, b't' | b'f' | b'n' | b',' | b'}' | b']'));
            if secret
                && has_value
                && let Some(end) = json::value_end(bytes, at)
            {
                masked.replace(at..end, "\"***\"");
                at = end;
            }
        }
    }

    fn mask_text(
        &self,
        line: &str,
        range: std::ops::Range<usize>,
        escapes: text::Escapes,
        masked: &mut Masked<'_>,
    ) {
        let region = &line[range.clone()];
        let text = text::Text { region, escapes };
        let mut done = 0;
        for hint in self.hints.find_iter(region) {
            if hint.start() < done {
                continue;
            }
            let secret = if hint.as_str() == "://" {
                text.password_of_url(hint.end())
            } else {
                // A key is looked at once, however many of the names it holds.
                done = text.key_end(hint.end());
                text.value_of_key(hint.start(), done)
            };
            if let Some(secret) = secret {
                done = secret.end;
                masked.replace(range.start + secret.start..range.start + secret.end, MASK);
            }
        }
    }
}

fn compile(expression: &str) -> Regex {
    RegexBuilder::new(expression)
        .case_insensitive(true)
        .size_limit(1 << 26)
        .build()
        .unwrap_or_else(|_| {
            // Only a list of names of megabytes is too large: then nothing is left unmasked.
            Regex::new("").expect("the empty expression is valid")
        })
}

/// A copy that begins with the first replacement.
#[derive(Debug)]
struct Masked<'a> {
    line: &'a str,
    copy: String,
    /// So much of the line is in the copy.
    done: usize,
}

impl<'a> Masked<'a> {
    const fn new(line: &'a str) -> Self {
        Self {
            line,
            copy: String::new(),
            done: 0,
        }
    }

    fn replace(&mut self, range: std::ops::Range<usize>, with: &str) {
        self.copy.push_str(&self.line[self.done..range.start]);
        self.copy.push_str(with);
        self.done = range.end;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.done == 0 {
            return Cow::Borrowed(self.line);
        }
        self.copy.push_str(&self.line[self.done..]);
        Cow::Owned(self.copy)
    }
}

#[cfg(test)]
mod tests;
