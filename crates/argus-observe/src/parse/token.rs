//! The smallest parts of a line: words, brackets, level words, colours.

use argus_model::Level;

/// `text` without the spaces and tabs that it begins with.
pub(super) fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// What stands before the next space or tab, and what stands behind it, itself included.
pub(super) fn word(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let end = memchr::memchr2(b' ', b'\t', bytes).unwrap_or(bytes.len());
    text.split_at(end)
}

/// The inside of the bracket that `text` begins with, without padding, and the rest.
pub(super) fn bracket(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('[')?;
    let end = memchr::memchr(b']', inside.as_bytes())?;
    Some((inside[..end].trim_matches(' '), &inside[end + 1..]))
}

/// The level that `text` begins with, as a whole word, and the rest.
pub(super) fn level(text: &str) -> Option<(Level, &str)> {
    let bytes = text.as_bytes();
    let mut end = bytes
        .iter()
        .take(14)
        .take_while(|it| it.is_ascii_alphabetic())
        .count();
    if end < 3 {
        return None;
    }
    while end < bytes.len() && end < 16 && bytes[end].is_ascii_digit() {
        end += 1;
    }
    if bytes
        .get(end)
        .is_some_and(|next| is_name(*next) && *next != b'.')
    {
        return None;
    }
    Level::from_word(&text[..end]).map(|level| (level, &text[end..]))
}

/// The same, in capitals only.
pub(super) fn capital_level(text: &str) -> Option<(Level, &str)> {
    level(text).filter(|(_, rest)| is_capital(&text[..text.len() - rest.len()]))
}

/// A level that is marked as one, and the rest: in a bracket of any kind, in capitals, before a colon,
/// or one of the few words that say little else. Prose begins with `Note`, `Success` or `Error` too.
pub(super) fn marked_level(text: &str) -> Option<(Level, &str)> {
    let (opening, closing) = match text.as_bytes().first()? {
        b'[' => ('[', ']'),
        b'<' => ('<', '>'),
        b'(' => ('(', ')'),
        b'|' => ('|', '|'),
        b'A'..=b'Z' | b'a'..=b'z' => return bare_level(text),
        _ => return None,
    };
    let (level, rest) = level(trim(text.strip_prefix(opening)?))?;
    Some((level, trim(rest).strip_prefix(closing)?))
}

fn bare_level(text: &str) -> Option<(Level, &str)> {
    const PLAIN: [&str; 13] = [
        "trace", "debug", "info", "notice", "warn", "warning", "error", "err", "crit", "critical",
        "fatal", "panic", "severe",
    ];
    let (level, rest) = level(text)?;
    let word = &text[..text.len() - rest.len()];
    let marked = match rest.as_bytes().first() {
        _ if is_capital(word) => true,
        Some(b':' | b'[' | b']') => PLAIN.iter().any(|plain| word.eq_ignore_ascii_case(plain)),
        _ => PLAIN.contains(&word),
    };
    marked.then_some((level, rest))
}

fn is_capital(word: &str) -> bool {
    word.bytes()
        .all(|it| it.is_ascii_uppercase() || it.is_ascii_digit())
}

/// A byte of which names of loggers, keys and programs are made.
pub(super) const fn is_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.') || byte >= 0x80
}

/// What is made of such bytes, and of `$`, `/`, `:`, `@` and `#` inside, and not empty.
pub(super) fn is_logger(text: &str) -> bool {
    let inside =
        |byte: u8| is_name(byte) || matches!(byte, b'$' | b'/' | b':' | b'@' | b'#' | b'~');
    !text.is_empty() && text.bytes().all(inside) && !text.ends_with(':')
}

/// All digits, and at least one.
pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Copies `line` to `plain` without its terminal sequences (colours, cursor, links).
pub(super) fn strip_colours(line: &str, plain: &mut String) {
    plain.clear();
    plain.shrink_to(super::fields::KEEP_BYTES);
    let mut rest = line;
    while let Some(at) = memchr::memchr(0x1b, rest.as_bytes()) {
        plain.push_str(&rest[..at]);
        rest = behind_sequence(&rest[at + 1..]);
    }
    plain.push_str(rest);
}

/// What follows the sequence whose escape character stands before `text`.
fn behind_sequence(text: &str) -> &str {
    let bytes = text.as_bytes();
    let length = match bytes.first() {
        // Parameters and intermediates, then one final byte; what is neither ends it as well.
        Some(b'[') => {
            let inside = |byte: &&u8| matches!(byte, 0x20..=0x3f);
            let parameters = bytes[1..].iter().take_while(inside).count();
            let is_final = |byte: &u8| matches!(byte, 0x40..=0x7e);
            1 + parameters + usize::from(bytes.get(1 + parameters).is_some_and(is_final))
        }
        // A string, to its bell or its terminator; without one, nothing but the bracket is dropped.
        Some(b']') => match memchr::memchr2(0x07, 0x1b, bytes) {
            Some(end) if bytes[end] == 0x07 => end + 1,
            Some(end) => end + 1 + usize::from(bytes.get(end + 1) == Some(&b'\\')),
            None => 1,
        },
        _ => 0,
    };
    text.get(length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_colours(line: &str, expected: &str) {
        let mut plain = String::new();
        strip_colours(line, &mut plain);
        assert_eq!(plain, expected);
    }

    #[test]
    fn colours_are_left_out_and_text_is_kept() {
        check_colours("\x1b[32mINFO\x1b[0m a", "INFO a");
        check_colours("\x1b[38;5;196mé\x1b[m", "é");
        check_colours("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\.", "link.");
        check_colours("torn \x1b[3", "torn ");
        check_colours("alone \x1b", "alone ");
        check_colours("\x1b[é", "é");
    }

    #[test]
    fn a_level_is_a_whole_word() {
        assert_eq!(level("INFO a"), Some((Level::Info, " a")));
        assert_eq!(level("DEBUG2:"), Some((Level::Debug, ":")));
        assert_eq!(level("information_schema"), None);
        assert_eq!(level("error-prone"), None);
        assert_eq!(marked_level("[ warn ] a"), Some((Level::Warn, " a")));
        assert_eq!(marked_level("[warn a"), None);
    }

    #[test]
    fn a_bracket_has_an_inside_and_a_rest() {
        assert_eq!(bracket("[  main] x"), Some(("main", " x")));
        assert_eq!(bracket("[main"), None);
        assert_eq!(word("a b"), ("a", " b"));
        assert_eq!(word("ab"), ("ab", ""));
    }
}
