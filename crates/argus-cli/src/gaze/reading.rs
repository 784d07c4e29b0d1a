//! How log lines are read: from where, and what is made of them.

use std::error::Error as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use argus_model::Level;
use argus_model::paths::DataDir;
use argus_observe::alarm::{LinePatterns, LineRate, Rules};
use argus_observe::journal::{self, Place, Since};
use argus_observe::parse::correlate::{Correlator, Pattern};
use argus_observe::parse::mask::{Masker, NAMES};
use argus_observe::tail::{Content, Head, Identity, Memory, Position, StartAt, TailWarning};
use argus_store::Store;
use argus_store::query::StoredLogPosition;

use crate::exit::Exit;
use crate::failure::Refusal;
use crate::keeper;
use crate::open::store_if_any;

/// Where reading begins, as the user says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum From {
    /// New lines only.
    #[default]
    End,
    /// Everything that they hold.
    Start,
    /// Where the last run that followed them stopped.
    Resume,
}

/// What is to be done with log lines.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Reading {
    pub(crate) from: From,
    /// Whether time, level, message and fields are made out.
    pub(crate) parse: bool,
    /// Names of values that are masked before anything is written.
    pub(crate) mask: Option<Vec<String>>,
    /// Further ids by which lines belong together.
    pub(crate) ids: Vec<IdPattern>,
    /// Lines that are read of one file in a second, at most.
    pub(crate) lines_per_second: Option<u32>,
    /// Lines that are spoken of.
    pub(crate) alert: Wanted,
}

/// Which lines are spoken of.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Wanted {
    /// Those that match one of these.
    pub(crate) patterns: Vec<String>,
    /// Those that are at least so severe.
    pub(crate) level: Option<Level>,
}

impl Wanted {
    /// With the rules for them: each speaks up at this rate.
    pub(crate) fn rules(&self, rate: LineRate, others: Rules) -> Rules {
        Rules {
            log: (!self.patterns.is_empty()).then_some(rate),
            log_level: self.level.map(|_| rate),
            ..others
        }
    }
}

/// A text that is to be searched for in lines.
///
/// # Errors
/// When it is no regular expression, or too large a one: one sentence.
pub(crate) fn pattern(text: &str) -> Result<String, String> {
    LinePatterns::new(&[text]).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// The level that a word means.
///
/// # Errors
/// When it means none: one sentence.
pub(crate) fn level(text: &str) -> Result<Level, String> {
    let expected = "expected trace, debug, info, warn, error or fatal";
    Level::from_word(text).ok_or_else(|| expected.to_owned())
}

/// A name and a regular expression that finds an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdPattern {
    name: String,
    expression: String,
}

/// A text that is no pattern of ids.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnIdPattern {
    /// No name.
    #[error("expected NAME=REGEX, such as 'order_id=order ([0-9]+)'")]
    Form,
    /// No expression.
    #[error("{0}")]
    Expression(String),
}

impl FromStr for IdPattern {
    type Err = NotAnIdPattern;

    fn from_str(text: &str) -> Result<Self, NotAnIdPattern> {
        let (name, expression) = text.split_once('=').ok_or(NotAnIdPattern::Form)?;
        Self::new(name, expression)
    }
}

impl IdPattern {
    /// # Errors
    /// When one of them is empty, or the expression is none.
    pub(crate) fn new(name: &str, expression: &str) -> Result<Self, NotAnIdPattern> {
        if name.trim().is_empty() || expression.is_empty() {
            return Err(NotAnIdPattern::Form);
        }
        let pattern = Self {
            name: name.trim().to_owned(),
            expression: expression.to_owned(),
        };
        let tried = Correlator::new(&[pattern.as_pattern()]);
        tried.map_err(|error| NotAnIdPattern::Expression(error.to_string()))?;
        Ok(pattern)
    }

    fn as_pattern(&self) -> Pattern {
        Pattern {
            name: self.name.clone(),
            expression: self.expression.clone(),
        }
    }
}

/// How log lines are read.
#[derive(Debug, clap::Args)]
pub(crate) struct ReadingArgs {
    /// Begin at the end of log files and journals, at their start, or where the last run stopped
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    from: From,
    /// Make out time, level, message and fields of log lines, and join lines of one event
    #[arg(long)]
    parse_logs: bool,
    /// Mask the values of password, token and the like in log lines, before anything is written
    #[arg(long)]
    mask: bool,
    /// Mask the values of this name as well; may be repeated
    #[arg(long = "mask-name", value_name = "NAME")]
    mask_names: Vec<String>,
    /// Find ids of this name, by a regular expression whose first group is the id; may be repeated
    #[arg(long = "correlate", value_name = "NAME=REGEX")]
    ids: Vec<IdPattern>,
    /// Read so many lines of a file in a second at most; the others wait in the file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    lines_per_second: Option<u32>,
}

impl ReadingArgs {
    pub(crate) fn reading(&self) -> Reading {
        let masks = self.mask || !self.mask_names.is_empty();
        Reading {
            from: self.from,
            parse: self.parse_logs,
            mask: masks.then(|| self.mask_names.clone()),
            ids: self.ids.clone(),
            lines_per_second: self.lines_per_second,
            alert: Wanted::default(),
        }
    }

    pub(crate) fn parses(&self) -> bool {
        self.parse_logs
    }
}

impl Reading {
    pub(crate) fn start(&self) -> StartAt {
        match self.from {
            From::End => StartAt::End,
            From::Start => StartAt::Beginning,
            From::Resume => StartAt::Resume,
        }
    }

    /// Where the journal of a unit begins; `memory` knows where reading stopped the last time.
    pub(crate) fn since(&self, unit: &str, memory: &mut Memory) -> Since {
        match self.from {
            From::End => Since::Now,
            From::Start => Since::Beginning,
            From::Resume => {
                let positions = memory(Path::new(&journal::name(unit)));
                let last = positions.first();
                last.map_or(Since::Now, |position| Since::Behind(Place::of(position)))
            }
        }
    }

    /// What masks lines; about a millisecond to make.
    pub(crate) fn masker(&self) -> Option<Masker> {
        let names = self.mask.as_ref()?;
        let names = NAMES.into_iter().chain(names.iter().map(String::as_str));
        Some(Masker::new(&names.collect::<Vec<_>>()))
    }

    /// What finds ids.
    ///
    /// # Errors
    /// When a regular expression is none.
    pub(crate) fn correlator(&self) -> Result<Option<Correlator>> {
        if !self.parse && self.ids.is_empty() {
            return Ok(None);
        }
        let patterns: Vec<_> = self.ids.iter().map(IdPattern::as_pattern).collect();
        let correlator = Correlator::new(&patterns);
        let correlator =
            correlator.map_err(|error| Refusal::new(Exit::Usage, error.to_string()))?;
        Ok(Some(correlator))
    }

    /// Where reading stopped the last time, once everything that was read then is in the store.
    ///
    /// # Errors
    /// When the store cannot be used, or is not up to date and will not be.
    pub(crate) fn memory(&self, data: &DataDir) -> Result<Memory> {
        if self.from != From::Resume {
            return Ok(Box::new(|_| Vec::new()));
        }
        keeper::await_stored(data).context("cannot go on where the last run stopped")?;
        let Some(store) = store_if_any(data)? else {
            return Ok(Box::new(|_| Vec::new()));
        };
        Ok(Box::new(move |path| positions(&*store, path)))
    }
}

/// What keeps a file from being followed, and what becomes of it.
pub(crate) fn complaint(warning: &TailWarning) -> String {
    let reason = warning.source().map(|source| format!(": {source}"));
    let reason = reason.unwrap_or_default();
    if warning.may_pass() {
        format!("{warning}{reason}; followed as soon as it can be read")
    } else {
        format!("{warning}{reason}; nothing is followed for it")
    }
}

/// The positions noted for a path. What cannot be read is not known.
fn positions(store: &dyn Store, path: &Path) -> Vec<Position> {
    let stored = store.log_positions(&path.to_string_lossy());
    stored.unwrap_or_default().iter().map(position).collect()
}

fn position(stored: &StoredLogPosition) -> Position {
    Position {
        content: Content {
            file: Identity {
                device: stored.file.device,
                inode: stored.file.inode,
                born_ns: stored.file.born_ns,
            },
            head: Head {
                bytes: stored.file.head_bytes,
                hash: stored.file.head_hash,
            },
        },
        offset: stored.offset,
        noted_ns: stored.noted_at.nanos(),
    }
}

#[cfg(test)]
mod tests {
    use argus_client::redact::DEFAULT_SENSITIVE;

    use super::*;

    #[test]
    fn what_programs_mask_of_their_arguments_is_masked_in_their_lines() {
        for name in DEFAULT_SENSITIVE {
            assert!(NAMES.contains(&name), "{name}");
        }
    }

    #[test]
    fn any_usual_spelling_of_a_level_is_understood() {
        assert_eq!(level("Warning"), Ok(Level::Warn));
        assert!(level("loud").is_err());
    }

    #[test]
    fn an_id_pattern_has_a_name_and_an_expression() {
        let pattern: IdPattern = "order_id=order ([0-9]+)=".parse().unwrap();
        assert_eq!(pattern.name, "order_id");
        assert_eq!(pattern.expression, "order ([0-9]+)=");
        for text in ["", "order", "=x", "order=", "order=(", "order=[a"] {
            assert!(text.parse::<IdPattern>().is_err(), "{text}");
        }
    }
}
