//! Regular expressions that users write: bounded, and what is wrong with one in a sentence.
//!
//! Searching takes time linear in the text, whatever the expression; what could explode is the program
//! that it compiles to, so that is bounded.

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// How large a program may become, of one expression or of a set.
const PROGRAM_BYTES: usize = 4 << 20;

/// A text that is no usable expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnExpression {
    /// It has no meaning.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// It means too much.
    #[error("the expression is too large")]
    TooLarge,
}

/// # Errors
/// See [`NotAnExpression`].
pub fn compile(text: &str) -> Result<Regex, NotAnExpression> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(PROGRAM_BYTES);
    builder.build().map_err(|error| explain(&error))
}

/// A line matches a set when it matches any of its expressions.
///
/// # Errors
/// See [`NotAnExpression`].
pub fn compile_all<Text: AsRef<str>>(texts: &[Text]) -> Result<RegexSet, NotAnExpression> {
    let mut builder = RegexSetBuilder::new(texts.iter().map(AsRef::as_ref));
    builder.size_limit(PROGRAM_BYTES);
    builder.build().map_err(|error| explain(&error))
}

fn explain(error: &regex::Error) -> NotAnExpression {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return NotAnExpression::TooLarge;
    }
    // Of several lines, with the expression drawn, the last says what is wrong.
    let told = error.to_string();
    let last = told.lines().next_back().unwrap_or_default();
    NotAnExpression::Syntax(last.trim_start_matches("error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let check = |text: &str, told: &str| {
            assert_eq!(compile(text).unwrap_err().to_string(), told, "{text}");
            assert_eq!(compile_all(&["x", text]).unwrap_err().to_string(), told);
        };
        check("(", "not a regular expression: unclosed group");
        check("[a", "not a regular expression: unclosed character class");
        check(r"(\w{1000}){1000}", "the expression is too large");
    }
}
