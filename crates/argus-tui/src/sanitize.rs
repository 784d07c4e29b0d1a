//! Makes text from outside harmless for a terminal.
//!
//! A recorded name can hold an escape sequence that clears the screen, answers in the user's place,
//! or retitles the window; bidi controls make a line read otherwise than it is. Neither survives:
//! white space becomes a space, every other control and format character of these kinds is left out.
//! An escape sequence without its escape is visible text, and that is how it is meant to look.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// `text` without control and bidi characters. Borrows when there is nothing to change.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    // Nearly all text is of printable ASCII, which is told without decoding it.
    let is_plain = text
        .bytes()
        .fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte));
    if is_plain || !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter_map(harmless).collect())
}

/// The beginning of `text` that fits `width` columns, sanitized; ends with `…` when it was cut.
///
/// Costs no more for a text of a megabyte than for one that just does not fit.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    // Combining characters take no column: without a second bound, a text of nothing else would
    // be read to its end on every frame.
    let most = width.saturating_mul(4).saturating_add(64);
    let mut out = String::new();
    let mut used = 0;
    let mut before_last = 0;
    for (index, character) in text.chars().filter_map(harmless).enumerate() {
        let columns = character.width().unwrap_or(0);
        if used + columns > width || index >= most {
            out.truncate(before_last);
            out.push('…');
            return out;
        }
        used += columns;
        out.push(character);
        if used < width {
            before_last = out.len();
        }
    }
    out
}

fn harmless(character: char) -> Option<char> {
    match character {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        c if is_harmful(c) => None,
        c => Some(c),
    }
}

/// Controls (C0, DEL, C1), bidi marks, embeddings, overrides and isolates, line and paragraph
/// separators, byte order marks, interlinear annotations, and tags (text that nobody sees).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_or_bidi_character_survives() {
        let check = |text: &str, expected: &str| assert_eq!(sanitize(text), expected);
        check("\u{1b}[2J\u{1b}]0;title\u{7}x", "[2J]0;titlex");
        check("a\u{9b}31mb\u{7f}", "a31mb");
        check("user\u{202e}txt.exe\u{2066}!\u{2069}", "usertxt.exe!");
        check("one\ntwo\tthree", "one two three");
        check("grüße 日本語 👩‍🚀", "grüße 日本語 👩‍🚀");
    }

    #[test]
    fn clean_text_is_borrowed() {
        assert!(matches!(sanitize("app.price"), Cow::Borrowed(_)));
    }

    #[test]
    fn text_is_cut_at_the_width_of_the_terminal_not_of_memory() {
        let check = |text: &str, width, expected: &str| assert_eq!(fit(text, width), expected);
        check("abc", 3, "abc");
        check("abcd", 3, "ab…");
        check("日本語", 6, "日本語");
        check("日本語", 5, "日本…");
        check("日本語", 4, "日…");
        check("abc", 0, "");
        check("", 0, "");
        check("a\u{1b}b", 2, "ab");
    }

    #[test]
    fn endless_combining_marks_are_cut_too() {
        assert!(fit(&"\u{301}".repeat(1_000_000), 10).chars().count() < 200);
    }
}
