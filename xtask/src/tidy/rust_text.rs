//! Tells code from comments and literals in Rust source text.
//!
//! Not a parser: a word in [`RustText::code`] is certain to stand outside comments and literals,
//! and that is all the rules need. Lines keep their numbers.

/// A Rust file, taken apart.
pub(super) struct RustText {
    /// The text with comments and the contents of literals left out; line breaks are kept.
    pub(super) code: String,
    /// The string literals.
    pub(super) literals: Vec<Literal>,
}

/// A string literal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    /// As it stands between the quotes, escapes and all.
    pub(super) text: String,
}

impl RustText {
    pub(super) fn split(text: &str) -> Self {
        let mut splitter = Splitter {
            rest: text,
            line: 1,
            code: String::with_capacity(text.len()),
            literals: Vec::new(),
        };
        while splitter.step() {}
        Self {
            code: splitter.code,
            literals: splitter.literals,
        }
    }

    /// The lines of code with their numbers, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }
}

/// The identifiers and keywords of a line of code.
pub(super) fn words(code: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| !is_word_character(c);
    code.split(between).filter(|word| !word.is_empty())
}

struct Splitter<'a> {
    rest: &'a str,
    line: usize,
    code: String,
    literals: Vec<Literal>,
}

impl<'a> Splitter<'a> {
    /// Takes one thing from the text; false at its end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.skip(end);
        } else if self.rest.starts_with("/*") {
            let end = block_comment_end(self.rest);
            self.skip(end);
        } else if first == '"' {
            self.string(1);
        } else if first == '\'' {
            self.quote();
        } else if is_word_character(first) {
            self.word();
        } else {
            self.keep(first.len_utf8());
        }
        true
    }

    fn word(&mut self) {
        let end = self.rest.find(|c: char| !is_word_character(c));
        let (word, after) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let hashes = after.len() - after.trim_start_matches('#').len();
        let quoted = after[hashes..].starts_with('"');
        match word {
            "r" | "br" | "cr" if quoted => self.raw_string(word.len(), hashes),
            "b" | "c" if quoted && hashes == 0 => self.string(word.len() + 1),
            _ => self.keep(word.len()),
        }
    }

    /// A string with escapes, whose contents begin `opening` bytes from here.
    fn string(&mut self, opening: usize) {
        let body = &self.rest[opening..];
        let mut escaped = false;
        let end = body.find(|c| {
            let closing = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closing
        });
        self.literal(opening, end.unwrap_or(body.len()), 1);
    }

    fn raw_string(&mut self, prefix: usize, hashes: usize) {
        let opening = prefix + hashes + 1;
        let body = &self.rest[opening..];
        let closing = format!("\"{}", "#".repeat(hashes));
        let end = body.find(&closing).unwrap_or(body.len());
        self.literal(opening, end, closing.len());
    }

    fn literal(&mut self, opening: usize, length: usize, closing: usize) {
        let text = self.rest[opening..opening + length].to_owned();
        let line = self.line;
        self.literals.push(Literal { line, text });
        self.code.push_str("\"\"");
        self.skip((opening + length + closing).min(self.rest.len()));
    }

    /// A character literal, or the beginning of a lifetime.
    fn quote(&mut self) {
        let body = &self.rest[1..];
        let length = if let Some(escape) = body.strip_prefix('\\') {
            // The character after the backslash may itself be a quote.
            let end = escape.char_indices().skip(1).find(|(_, c)| *c == '\'');
            end.map(|(at, _)| at + 1)
        } else {
            let character = body.chars().next().map_or(0, char::len_utf8);
            body[character..].starts_with('\'').then_some(character)
        };
        match length {
            Some(length) => {
                self.code.push_str("''");
                self.skip(length + 2);
            }
            None => self.keep(1),
        }
    }

    fn keep(&mut self, length: usize) {
        let (kept, _) = self.rest.split_at(length);
        self.code.push_str(kept);
        self.advance(length);
    }

    /// Leaves text out, but keeps its line breaks.
    fn skip(&mut self, length: usize) {
        let breaks = self.rest[..length].matches('\n').count();
        self.code.extend(std::iter::repeat_n('\n', breaks));
        self.advance(length);
    }

    fn advance(&mut self, length: usize) {
        let (passed, rest) = self.rest.split_at(length);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }
}

/// Block comments nest.
fn block_comment_end(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn is_word_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, literals: &[(usize, &str)]) {
        let split = RustText::split(text);
        assert_eq!(split.code, code);
        let seen: Vec<_> = split.literals.iter().map(|l| (l.line, &*l.text)).collect();
        assert_eq!(seen, literals);
    }

    #[test]
    fn comments_are_left_out_and_lines_stay() {
        check("a // b \"c\n/* d /* e */\n f */ g", "a \n\n g", &[]);
    }

    #[test]
    fn literals_are_taken_out_with_their_lines() {
        check(
            "f(\"x // y\\\" z\",\n r#\"raw \" one\"#, b\"bytes\", r\"\\\")",
            "f(\"\",\n \"\", \"\", \"\")",
            &[
                (1, "x // y\\\" z"),
                (2, "raw \" one"),
                (2, "bytes"),
                (2, "\\"),
            ],
        );
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        check(
            r#"fn f<'a>(c: &'a str) { g('"', '\'', '\u{1F}', 'é', "s") }"#,
            r#"fn f<'a>(c: &'a str) { g('', '', '', '', "") }"#,
            &[(1, "s")],
        );
    }

    #[test]
    fn a_raw_identifier_is_a_word() {
        check("r#type.var = br", "r#type.var = br", &[]);
    }

    #[test]
    fn an_unfinished_file_does_not_confuse_it() {
        check("a \"b", "a \"\"", &[(1, "b")]);
        check("a /* b", "a ", &[]);
        check("a '", "a '", &[]);
        check("r#\"b", "\"\"", &[(1, "b")]);
    }
}
