//! How grave a log line is: the six ranges of OpenTelemetry's severity.
//!
//! Every logger has words of its own; [`Level::from_word`] knows those in use and says which of six
//! they mean. What is stored is [`Level::word`] or [`Level::number`], the lowest of the four numbers
//! that OpenTelemetry gives each range.

use std::fmt;

/// A severity; a graver one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happens in the course of things.
    Info,
    /// What may become a fault.
    Warn,
    /// What has failed.
    Error,
    /// What ends the program, or should.
    Fatal,
}

impl Level {
    /// Every level, the mildest first.
    pub const ALL: [Self; 6] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// The word stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// OpenTelemetry's `SeverityNumber`: 1, 5, 9, 13, 17 or 21.
    pub const fn number(self) -> u8 {
        match self {
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Fatal => 21,
        }
    }

    /// The level whose range holds an OpenTelemetry number; none for 0 (unspecified) and above 24.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1..=4 => Some(Self::Trace),
            5..=8 => Some(Self::Debug),
            9..=12 => Some(Self::Info),
            13..=16 => Some(Self::Warn),
            17..=20 => Some(Self::Error),
            21..=24 => Some(Self::Fatal),
            _ => None,
        }
    }

    /// The level of a syslog severity, 0 (emergency) to 7 (debug).
    pub const fn from_syslog(severity: u8) -> Option<Self> {
        match severity {
            0..=2 => Some(Self::Fatal),
            3 => Some(Self::Error),
            4 => Some(Self::Warn),
            5 | 6 => Some(Self::Info),
            7 => Some(Self::Debug),
            _ => None,
        }
    }

    /// What a logger's own word means, in any case of letters. Allocates nothing; a word that is not
    /// known costs a few comparisons of bytes.
    ///
    /// Digits behind a word are its fine grading and are left out (`DEBUG2`, PostgreSQL's and
    /// OpenTelemetry's). Single letters are not words here: where `I` means info, the format says so.
    pub fn from_word(word: &str) -> Option<Self> {
        let graded = word.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let bytes = graded.as_bytes();
        if bytes.len() > LONGEST || word.len() > graded.len() + 2 {
            return None;
        }
        let mut lower = [0_u8; LONGEST];
        for (to, from) in lower.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase();
        }
        match &lower[..bytes.len()] {
            b"trace" | b"trc" | b"finest" | b"finer" | b"silly" => Some(Self::Trace),
            b"debug" | b"dbg" | b"debu" | b"fine" | b"verbose" | b"vrb" => Some(Self::Debug),
            b"info" | b"inf" | b"information" | b"informational" | b"notice" | b"note"
            | b"config" | b"log" | b"statement" | b"detail" | b"hint" | b"context" | b"success"
            | b"default" => Some(Self::Info),
            b"warn" | b"warning" | b"wrn" => Some(Self::Warn),
            b"error" | b"err" | b"eror" | b"severe" | b"failure" => Some(Self::Error),
            b"fatal" | b"ftl" | b"crit" | b"critical" | b"alert" | b"emerg" | b"emergency"
            | b"panic" | b"dpanic" => Some(Self::Fatal),
            _ => None,
        }
    }
}

/// The longest word known, "informational".
const LONGEST: usize = 13;

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: Option<Level>) {
        for word in words {
            assert_eq!(Level::from_word(word), expected, "{word}");
            assert_eq!(Level::from_word(&word.to_uppercase()), expected, "{word}");
        }
    }

    #[test]
    fn every_usual_spelling_is_understood_in_any_case() {
        check(&["trace", "finest", "Trc", "trace4"], Some(Level::Trace));
        check(&["debug", "DEBUG5", "verbose", "dbg"], Some(Level::Debug));
        check(
            &["info", "Notice", "LOG", "STATEMENT", "information"],
            Some(Level::Info),
        );
        check(&["warn", "Warning", "wrn"], Some(Level::Warn));
        check(&["error", "err", "SEVERE", "eror"], Some(Level::Error));
        check(
            &[
                "fatal", "crit", "critical", "emerg", "alert", "panic", "dpanic",
            ],
            Some(Level::Fatal),
        );
    }

    #[test]
    fn other_words_are_no_levels() {
        check(
            &[
                "",
                "i",
                "information_schema",
                "errors",
                "7",
                "info123",
                "żółć",
            ],
            None,
        );
        check(&["a very long word that names nothing at all"], None);
    }

    #[test]
    fn words_and_numbers_lead_back_to_their_level() {
        for level in Level::ALL {
            assert_eq!(Level::from_word(level.word()), Some(level));
            for finer in 0..4 {
                assert_eq!(Level::from_number(level.number() + finer), Some(level));
            }
        }
        assert_eq!(
            (Level::from_number(0), Level::from_number(25)),
            (None, None)
        );
        assert!(Level::Fatal > Level::Error);
    }

    #[test]
    fn syslog_counts_the_other_way() {
        let levels: Vec<_> = (0..9).map(Level::from_syslog).collect();
        assert_eq!(levels[3], Some(Level::Error));
        assert_eq!(levels[7], Some(Level::Debug));
        assert_eq!(levels[8], None);
    }
}
