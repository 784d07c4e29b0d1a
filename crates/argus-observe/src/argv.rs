//! A program with its arguments, as the user writes it on one line.
//!
//! The line is split into words as a shell would, and nothing more is done with it: no shell runs,
//! no variable, pattern or home folder is filled in, nothing is piped or redirected. White space
//! separates words; `'…'` keeps everything, `"…"` everything but `\"` and `\\`; outside of quotes
//! a `\` keeps the character behind it. A character that only a shell would understand
//! (`| & ; < > $` and the back quote) is refused where it is not quoted, because whoever writes it
//! expects a shell: `sh -c '…'` is one.

use std::fmt;
use std::str::FromStr;

/// A program and its arguments: at least the program is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Argv {
    program: String,
    arguments: Vec<String>,
}

/// Words that name no program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnArgv {
    /// There is no first word.
    #[error("no program is named: give its path")]
    Empty,
    /// A quotation has no end.
    #[error("a {0} is never closed: add the other one, or put a \\ before it")]
    Open(char),
    /// A shell would be needed.
    #[error(
        "{0} means something to a shell only, and none runs here: quote it, or write sh -c '...'"
    )]
    Shell(char),
    /// No program can be given such a word.
    #[error("a word holds a zero byte: take it out")]
    Zero,
}

impl Argv {
    /// The program: a path, or a name to be found on the `PATH`.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl TryFrom<Vec<String>> for Argv {
    type Error = NotAnArgv;

    /// Takes the words as they are.
    fn try_from(mut words: Vec<String>) -> Result<Self, NotAnArgv> {
        if words.iter().any(|word| word.contains('\0')) {
            return Err(NotAnArgv::Zero);
        }
        if words.first().is_none_or(String::is_empty) {
            return Err(NotAnArgv::Empty);
        }
        let arguments = words.split_off(1);
        let program = words.pop().ok_or(NotAnArgv::Empty)?;
        Ok(Self { program, arguments })
    }
}

impl FromStr for Argv {
    type Err = NotAnArgv;

    fn from_str(line: &str) -> Result<Self, NotAnArgv> {
        split(line)?.try_into()
    }
}

/// As it is read, not as it would have to be typed.
impl fmt::Display for Argv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.arguments
            .iter()
            .try_for_each(|word| write!(f, " {word}"))
    }
}

fn split(line: &str) -> Result<Vec<String>, NotAnArgv> {
    let mut words = Vec::new();
    // `None` between words; an empty pair of quotes is a word.
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match next {
            _ if next.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => quoted(next, &mut rest, word.get_or_insert_default())?,
            '\\' => {
                let kept = rest.next().ok_or(NotAnArgv::Open('\\'))?;
                word.get_or_insert_default().push(kept);
            }
            '|' | '&' | ';' | '<' | '>' | '$' | '`' => return Err(NotAnArgv::Shell(next)),
            _ => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), NotAnArgv> {
    while let Some(next) = rest.next() {
        if next == quote {
            return Ok(());
        }
        let is_escape = quote == '"' && next == '\\' && rest.as_str().starts_with(['"', '\\']);
        word.push(if is_escape {
            rest.next().unwrap_or(next)
        } else {
            next
        });
    }
    Err(NotAnArgv::Open(quote))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_would() {
        let check = |line: &str, words: &[&str]| assert_eq!(split(line).unwrap(), words, "{line}");
        check("notify", &["notify"]);
        check("  notify  --to\tme \n", &["notify", "--to", "me"]);
        check(
            "say 'two  words' \"and 'more'\"",
            &["say", "two  words", "and 'more'"],
        );
        check(r"a\ b c\\d \'", &["a b", r"c\d", "'"]);
        check(r#""\"\\\n" '\'"#, &[r#""\\n"#, r"\"]);
        check("x '' \"\"", &["x", "", ""]);
        check("a'b'\"c\"d", &["abcd"]);
        check("'$HOME | `x`' \\$5", &["$HOME | `x`", "$5"]);
        check("~/x *.log {a,b} #5", &["~/x", "*.log", "{a,b}", "#5"]);
    }

    #[test]
    fn what_needs_a_shell_or_has_no_end_is_refused() {
        let check = |line: &str, error| assert_eq!(line.parse::<Argv>(), Err(error), "{line}");
        check("", NotAnArgv::Empty);
        check("   ", NotAnArgv::Empty);
        check("'' x", NotAnArgv::Empty);
        check("say 'hello", NotAnArgv::Open('\''));
        check("say \"hello", NotAnArgv::Open('"'));
        check("say \\", NotAnArgv::Open('\\'));
        check("mail me | cat", NotAnArgv::Shell('|'));
        check("notify $HOME", NotAnArgv::Shell('$'));
        check("notify > /dev/null", NotAnArgv::Shell('>'));
        check("notify a\0b", NotAnArgv::Zero);
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[^\0']{0,12}", 1..6)) {
            let line: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
            prop_assert_eq!(split(&line.join(" ")).unwrap(), words);
        }

        #[test]
        fn no_line_makes_it_panic(line in ".{0,60}") {
            let _ = line.parse::<Argv>();
        }
    }
}
