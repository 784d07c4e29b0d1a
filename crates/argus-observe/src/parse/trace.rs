//! Which lines belong to the line before: stack traces of several languages, and what is indented.
//!
//! Most of a trace shows by itself (it is indented, or its first words are always the same). What
//! does not, shows by what came before: the last line of a Python traceback, the functions of a Go
//! goroutine, the message of a Rust panic. [`Trace`] remembers that much.

use super::token::is_name;

/// A language whose trace is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    Java,
    Rust,
    Go,
}

/// What the lines since the last event were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trace {
    /// No trace.
    #[default]
    None,
    /// Frames of a Python traceback: the first line that is not indented is its exception.
    Frames,
    /// A Rust panic whose message stands on the next line.
    Panicked,
    /// A trace whose end does not show: what looks like a part of it is one.
    Of(Language),
}

/// The language of the trace that `line` begins.
pub(super) fn head_of(line: &str) -> Option<Language> {
    match line.as_bytes().first()? {
        b'T' if is_python_head(line) => Some(Language::Python),
        b't' if line.starts_with("thread '") && line.contains(" panicked at ") => {
            Some(Language::Rust)
        }
        b'p' if line.starts_with("panic: ") => Some(Language::Go),
        b'f' if line.starts_with("fatal error: ") => Some(Language::Go),
        b'g' if is_goroutine(line) => Some(Language::Go),
        b'E' if line.starts_with("Exception in thread ") => Some(Language::Java),
        _ if is_exception(line) => Some(Language::Java),
        _ => None,
    }
}

impl Trace {
    /// The line continues what is before it, whatever that is.
    pub(super) fn continues(self, line: &str) -> bool {
        let Some(first) = line
            .bytes()
            .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'))
        else {
            return true;
        };
        if line.starts_with([' ', '\t']) {
            return !is_level_without_time(line);
        }
        match first {
            b'C' if line.starts_with("Caused by: ") => return true,
            b'S' if line.starts_with("Suppressed: ") => return true,
            b'.' if line.starts_with("... ")
                && (line.ends_with(" more") || line.ends_with(" frames")) =>
            {
                return true;
            }
            b'D' if line.starts_with("During handling of the above exception") => return true,
            b'T' if line.starts_with("The above exception was ") => return true,
            b's' if line == "stack backtrace:" => return true,
            b'n' if line.starts_with("note: run with `RUST_BACKTRACE") => return true,
            b'n' if line.starts_with("note: Some details are omitted") => return true,
            b'g' if is_goroutine(line) => return true,
            // Node closes the properties of an error so.
            b'}' | b']' if line.len() <= 2 => return true,
            _ => {}
        }
        match self {
            Self::None | Self::Of(Language::Rust | Language::Java) => false,
            Self::Frames => is_python_exception(line),
            Self::Panicked => true,
            Self::Of(Language::Python) => is_python_head(line),
            Self::Of(Language::Go) => is_go_part(line),
        }
    }

    /// What it is after `line`, which is a part of it or begins it.
    pub(super) fn after(self, line: &str) -> Self {
        if is_python_head(line) {
            return Self::Frames;
        }
        if line.is_empty() || line.starts_with([' ', '\t']) {
            return match self {
                Self::Panicked => Self::Of(Language::Rust),
                other => other,
            };
        }
        match head_of(line) {
            Some(Language::Rust) if line.ends_with(':') => Self::Panicked,
            Some(Language::Python) => Self::Frames,
            // The last line of a traceback looks like the first of Java's.
            Some(Language::Java) if self == Self::Frames => Self::Of(Language::Python),
            Some(language) => Self::Of(language),
            None => match self {
                Self::Frames => Self::Of(Language::Python),
                Self::Panicked => Self::Of(Language::Rust),
                other => other,
            },
        }
    }
}

fn is_python_head(line: &str) -> bool {
    line.starts_with("Traceback (most recent call last):")
}

/// `goroutine 1 [running]:`
fn is_goroutine(line: &str) -> bool {
    let number = line.strip_prefix("goroutine ");
    number
        .is_some_and(|it| it.starts_with(|first: char| first.is_ascii_digit()) && it.contains('['))
}

/// `package.Class$Inner: x` and `package.function(0x1, ...)`, both without a space before the mark.
fn name_before(line: &str, mark: u8) -> Option<&str> {
    let inside =
        |byte: &u8| is_name(*byte) || matches!(byte, b'$' | b'/' | b'*' | b'(' | b')' | b'%');
    let end = line.as_bytes().iter().position(|byte| !inside(byte));
    match end {
        Some(end) if line.as_bytes()[end] == mark => Some(&line[..end]),
        None => Some(line),
        _ => None,
    }
}

/// `java.lang.RuntimeException: x`, `TypeError: x`: a name that says what it is.
pub(super) fn is_exception(line: &str) -> bool {
    name_before(line, b':').is_some_and(|name| {
        let last = name.rsplit(['.', '$']).next().unwrap_or(name);
        let named =
            last.ends_with("Exception") || last.ends_with("Error") || last.ends_with("Throwable");
        named && last.starts_with(|first: char| first.is_ascii_uppercase())
    })
}

/// The last line of a traceback: a class, perhaps with its module, alone or before a colon.
fn is_python_exception(line: &str) -> bool {
    name_before(line, b':').is_some_and(|name| !name.starts_with(|it: char| it.is_ascii_digit()))
}

/// What stands at the margin of a Go trace.
fn is_go_part(line: &str) -> bool {
    const WORDS: [&str; 6] = [
        "created by ",
        "exit status ",
        "[signal ",
        "panic(",
        "runtime.",
        "runtime:",
    ];
    if WORDS.iter().any(|word| line.starts_with(word)) {
        return true;
    }
    // `main.(*T).run(0xc000012345, 0x1)` or `main.main()`
    let called = line.split('(').next().unwrap_or(line);
    line.ends_with(')') && called.contains('.') && !called.contains(' ')
}

/// tracing-subscriber without a time: ` INFO target: msg`, the level aligned to the right.
fn is_level_without_time(line: &str) -> bool {
    line.starts_with(" INFO ") || line.starts_with(" WARN ")
}
