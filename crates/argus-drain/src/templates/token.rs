//! A masked line as tokens that are compared at the cost of a number.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::MAX_TOKENS;
use super::mask::VARIABLE;

/// A token: its hash, of which the lowest bits tell what it is. That two different tokens are taken
/// for one has a chance of 1 in 2^61.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token(u64);

impl Token {
    /// Stands for any token.
    pub(super) const VARIABLE: Self = Self(0);
    const IS_WORD: u64 = 1;
    const IS_ANCHOR: u64 = 2;
    const IS_ASIDE: u64 = 4;

    fn new(text: &[u8], hasher: &FixedState) -> Self {
        if text == VARIABLE.as_bytes() {
            return Self::VARIABLE;
        }
        let mut hash = hasher.build_hasher();
        hash.write(text);
        let mut token = hash.finish() & !(Self::IS_WORD | Self::IS_ANCHOR | Self::IS_ASIDE);
        if text.iter().any(is_letter) {
            token |= Self::IS_WORD;
            if is_level(text) || text.ends_with(b"[<*>]:") {
                token |= Self::IS_ANCHOR;
            }
        }
        if text.starts_with(b"[") && text.ends_with(b"]") {
            token |= Self::IS_ASIDE;
        }
        Self(token)
    }

    pub(super) fn is_variable(self) -> bool {
        self == Self::VARIABLE
    }

    /// Whether it holds a letter. What does not is a variable or punctuation.
    pub(super) fn is_word(self) -> bool {
        self.0 & Self::IS_WORD != 0
    }

    /// Whether a header may end here: a level, or a program and its pid (`sshd[<*>]:`).
    pub(super) fn is_anchor(self) -> bool {
        self.0 & Self::IS_ANCHOR != 0
    }

    /// Whether it stands in brackets, as threads do.
    pub(super) fn is_aside(self) -> bool {
        self.0 & Self::IS_ASIDE != 0
    }
}

fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_alphabetic() || !byte.is_ascii()
}

/// Words for how serious a line is, in lower case.
const LEVELS: [u64; 18] = [
    packed(b"trace"),
    packed(b"verbose"),
    packed(b"debug"),
    packed(b"fine"),
    packed(b"log"),
    packed(b"info"),
    packed(b"notice"),
    packed(b"warn"),
    packed(b"warning"),
    packed(b"err"),
    packed(b"error"),
    packed(b"severe"),
    packed(b"crit"),
    packed(b"critical"),
    packed(b"alert"),
    packed(b"emerg"),
    packed(b"fatal"),
    packed(b"panic"),
];

/// A word of at most eight letters as a number, which is compared faster; the same for upper case
/// letters as for lower case ones.
const fn packed(word: &[u8]) -> u64 {
    let (mut number, mut at) = (0, 0);
    while at < word.len() {
        number = number << 8 | (word[at] | 0x20) as u64;
        at += 1;
    }
    number
}

/// The level, bare or within punctuation, or behind a key: `[warn]`, `level=info`.
fn is_level(text: &[u8]) -> bool {
    let Some(last) = text.iter().rposition(is_letter) else {
        return false;
    };
    let before = text[..last].iter().rposition(|byte| !is_letter(byte));
    let word = &text[before.map_or(0, |at| at + 1)..=last];
    let goes_on = |byte: u8| byte.is_ascii_digit() || b"-_./$@".contains(&byte);
    matches!(word.len(), 3..=8)
        && LEVELS.contains(&packed(word))
        && !before.is_some_and(|at| goes_on(text[at]))
}

/// Cuts masked text at its spaces. Text beyond the last token that counts is removed.
pub(super) fn cut(text: &mut String, tokens: &mut Vec<Token>, hasher: &FixedState) {
    tokens.clear();
    if text.is_empty() {
        return;
    }
    let mut end = 0;
    for part in text.as_bytes().split(|byte| *byte == b' ').take(MAX_TOKENS) {
        tokens.push(Token::new(part, hasher));
        end += part.len() + 1;
    }
    text.truncate(end - 1);
}

/// The text with `<*>` wherever the token is variable.
pub(super) fn rendered(text: &str, tokens: &[Token]) -> String {
    let mut pattern = String::with_capacity(text.len() + 2 * tokens.len());
    for (at, (part, token)) in text.split(' ').zip(tokens).enumerate() {
        if at > 0 {
            pattern.push(' ');
        }
        pattern.push_str(if token.is_variable() { VARIABLE } else { part });
    }
    pattern.shrink_to_fit();
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_known_in_every_dress() {
        for text in [
            "INFO",
            "[error]",
            "WARN:",
            "level=info",
            "\"level\":\"info\",",
            "<Notice>",
        ] {
            assert!(is_level(text.as_bytes()), "{text}");
        }
        for text in [
            "information",
            "",
            "<*>",
            "::",
            "errors",
            "io.Error",
            "on-error:",
        ] {
            assert!(!is_level(text.as_bytes()), "{text}");
        }
    }
}
