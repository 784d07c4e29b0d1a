//! What surely varies in a line becomes `<*>`, before lines are compared.
//!
//! A line is read once, byte by byte, without regular expressions. White space, control characters
//! and terminal colours between two tokens become one space. A token is read in *pieces*, which end
//! at any of `( ) [ ] { } < > , ; = | & ! ?` and at quotes: `sshd[812]:` becomes `sshd[<*>]:` and
//! `uid=0` becomes `uid=<*>`. `. - / _ : + % @ # $ \ * ~ ^` belong to the piece they stand in, so
//! that addresses, times, paths and versions are one each. Then
//!
//! - a piece with a digit is variable, without the `:` or `.` at its end: numbers, sizes,
//!   durations, times, addresses, UUIDs, `blk_-1608`, `/var/log/app.1`, `worker-3`;
//! - `word:` before it stays: `App.java:27` becomes `App.java:<*>`;
//! - eight hexadecimal letters and more are a number;
//! - names of months and days are variable within a date, `AM` and `PM` behind a time;
//! - quoted text is variable (`"<*>"`), if the quote is closed. It stays where it is the key of an
//!   object (`{"id": 7}`), and is read like the rest of the line behind a key that announces prose
//!   or a level (`msg="..."`);
//! - variables that follow each other as a list are one: `1,234,567`, `[1, 2, 3]`.

mod calendar;
mod class;
mod quoted;

use super::{LINE_LIMIT, MAX_TOKENS, PATTERN_LIMIT};
use class::{Class, class};
use quoted::Quotes;

/// What stands in a pattern for anything.
pub(super) const VARIABLE: &str = "<*>";

/// Leaves room in the pattern for tokens of one byte that are widened later.
const MASKED_LIMIT: usize = PATTERN_LIMIT - MAX_TOKENS * (VARIABLE.len() - 1);

const ESCAPE: u8 = 0x1b;

/// Masks a line. The result has no space at its ends, and one between two tokens.
pub(super) fn mask(line: &str, into: &mut String) {
    into.clear();
    let line = &line[..line.floor_char_boundary(LINE_LIMIT)];
    let mut masker = Masker {
        line,
        at: 0,
        gap: false,
        full: false,
        quotes: Quotes::default(),
        masked: into,
    };
    masker.run();
    into.truncate(into.trim_end_matches(' ').len());
}

struct Masker<'a> {
    line: &'a str,
    /// The byte to read next. All before it are masked.
    at: usize,
    /// White space was read since something was put.
    gap: bool,
    full: bool,
    quotes: Quotes,
    masked: &'a mut String,
}

impl Masker<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.byte(self.at)
            && !self.full
        {
            match class(byte) {
                Class::Space if byte == ESCAPE => self.skip_colour(),
                Class::Space => {
                    self.gap = true;
                    self.at += 1;
                }
                Class::Quote => self.quote(),
                Class::Break => self.put_up_to(self.at + 1),
                Class::Letter | Class::Digit | Class::Joint => self.piece(),
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.line.as_bytes().get(at).copied()
    }

    /// Passes over a terminal's sequence (`ESC [ 3 1 m`), which separates nothing.
    fn skip_colour(&mut self) {
        self.at += 1;
        if self.byte(self.at) != Some(b'[') {
            return;
        }
        self.at += 1;
        while matches!(self.byte(self.at), Some(0x20..=0x3f)) {
            self.at += 1;
        }
        if matches!(self.byte(self.at), Some(0x40..=0x7e)) {
            self.at += 1;
        }
    }

    fn piece(&mut self) {
        let (start, mut end) = (self.at, self.at);
        let (mut letters, mut digits) = (false, false);
        while let Some(byte) = self.byte(end) {
            match class(byte) {
                Class::Letter => letters = true,
                Class::Digit => digits = true,
                Class::Joint if byte == b':' && !digits && self.is_label(start, end, letters) => {
                    end += 1;
                    break;
                }
                Class::Joint => {}
                Class::Space | Class::Quote | Class::Break => break,
            }
            end += 1;
        }
        let piece = &self.line[start..end];
        if digits {
            let tail = piece.bytes().rev().take_while(|b| b".:".contains(b));
            self.put_variable(end - tail.count());
        } else if piece.len() >= 8 && is_hexadecimal(piece)
            || calendar::is_date(self.line, start, end)
        {
            self.put_variable(end);
        } else {
            self.put_up_to(end);
        }
    }

    /// Whether the colon at `end` closes a piece of its own, rather than joining the groups of an
    /// address: `port:80`, `]:80`, but not `dead:beef::1` or `::1`.
    fn is_label(&self, start: usize, end: usize, letters: bool) -> bool {
        let next = self.byte(end + 1);
        let goes_on = next.is_some_and(|byte| byte == b':' || byte.is_ascii_hexdigit());
        let read = &self.line[start..end];
        let group = read.rsplit(':').next().unwrap_or(read);
        let is_group = matches!(group.len(), 0 | 2..=4) && is_hexadecimal(group);
        if letters {
            !(is_group && goes_on)
        } else {
            start == end && next != Some(b':')
        }
    }

    /// Puts the line from here to `end`, as it is.
    fn put_up_to(&mut self, end: usize) {
        let line = self.line;
        self.put(&line[self.at..end]);
        self.at = end;
    }

    /// Puts a variable for the line from here to `end`.
    fn put_variable(&mut self, end: usize) {
        self.at = end;
        let lists: &[&str] = match self.gap {
            false => &["<*>,"],
            true => &["[<*>,", "(<*>,", "{<*>,"],
        };
        if lists.iter().any(|list| self.masked.ends_with(list)) {
            self.masked.pop();
            self.gap = false;
        } else {
            self.put(VARIABLE);
        }
    }

    fn put(&mut self, text: &str) {
        if self.gap && !self.masked.is_empty() {
            self.masked.push(' ');
        }
        self.gap = false;
        let room = MASKED_LIMIT.saturating_sub(self.masked.len());
        self.full = text.len() >= room;
        self.masked
            .push_str(&text[..text.floor_char_boundary(room)]);
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let mut masked = String::new();
        mask(line, &mut masked);
        assert_eq!(masked, expected, "{line}");
    }

    #[test]
    fn what_holds_digits_is_variable() {
        check("took 12ms, read 3.5GiB at 98%", "took <*>, read <*> at <*>");
        check("from 10.0.0.7:8080. again", "from <*>. again");
        check(
            "from fe80::1%eth0 and ::1 and dead:beef::1",
            "from <*> and <*> and <*>",
        );
        check("to [::1]:8080", "to [<*>]:<*>");
        check("id 550e8400-e29b-41d4-a716-446655440000", "id <*>");
        check("at 0xdeadbeef, rev deadbeefcafe", "at <*>, rev <*>");
        check("blk_-1608 in /var/log/app.1/x", "<*> in <*>");
        check("in /var/log/app/current", "in /var/log/app/current");
        check("-5 +5 5", "<*> <*> <*>");
    }

    #[test]
    fn what_stands_before_a_value_stays() {
        check(
            "sshd[812]: uid=0 euid=root;",
            "sshd[<*>]: uid=<*> euid=root;",
        );
        check(
            "(App.java:27) localhost:5432",
            "(App.java:<*>) localhost:<*>",
        );
        check("GET /users?id=7&sort=name", "GET /users?id=<*>&sort=name");
        check("std::io::Error: broken", "std::io::Error: broken");
    }

    #[test]
    fn dates_are_variable_and_words_like_them_are_not() {
        check("2024-01-02T03:04:05.678Z INFO", "<*> INFO");
        check("2024-01-02 03:04:05,678 INFO", "<*> <*> INFO");
        check("Jan  2 03:04:05 host", "<*> <*> <*> host");
        check("Tue, 02 Jan 2024 03:04 PM", "<*>, <*> <*> <*> <*> <*>");
        check("[Tue Jan 02 03:04:05 2024]", "[<*> <*> <*> <*> <*>]");
        check(
            "May I? The Sun sets, PM says",
            "May I? The Sun sets, PM says",
        );
    }

    #[test]
    fn quoted_text_is_variable_where_it_is_a_value() {
        check("no 'a b' nor \"c \\\" d\"", "no '<*>' nor \"<*>\"");
        check("can't find user's key", "can't find user's key");
        check("it is 'open", "it is 'open");
        check(
            r#"{"id": "x", "msg": "job 'a' done", "n": 1}"#,
            r#"{"id": "<*>", "msg": "job '<*>' done", "n": <*>}"#,
        );
        check(
            "level=info msg=\"job 7 done\"",
            "level=info msg=\"job <*> done\"",
        );
    }

    #[test]
    fn lists_are_one_variable() {
        check("1,234,567 [1, 2, 3] (4)", "<*> [<*>] (<*>)");
        check("took 1ms, 2 rows", "took <*>, <*> rows");
    }

    #[test]
    fn spaces_and_colours_are_no_part_of_a_line() {
        check("  a\t b \r\n", "a b");
        check("\x1b[1;31mERROR\x1b[0m: no", "ERROR: no");
        check("\x1b", "");
        check("\x1b[12", "");
        check("", "");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        for unit in [
            "ä",
            "1 ",
            "a ",
            "1;",
            "\"",
            "x'",
            "'x' ",
            "\u{1f980}\u{1f980} ",
        ] {
            let mut masked = String::new();
            mask(&unit.repeat(5000), &mut masked);
            assert!(masked.len() <= MASKED_LIMIT + 1, "{unit}");
        }
    }
}
