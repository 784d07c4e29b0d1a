//! Log lines that are to be spoken of: those that match, or that are severe, when there are too many.
//!
//! A rule fires when so many lines came within its window, and is over when fewer than
//! [`CLEAR_SHARE`](super::CLEAR_SHARE) of them did: one line that is spoken of at once is over a window
//! later, unless another has come. Only as many moments are kept as the rule counts.

use std::collections::VecDeque;
use std::time::Duration;

use argus_model::Monotonic;
use regex::RegexSet;

use crate::expression::{self, NotAnExpression};

use super::level::CLEAR_SHARE;
use super::{Change, Over, Rule, Transition, Turn};

/// How many lines within which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRate {
    /// So many; at least one.
    pub lines: u32,
    /// Within this.
    pub within: Duration,
}

impl Default for LineRate {
    fn default() -> Self {
        Self {
            lines: 1,
            within: Duration::from_secs(60),
        }
    }
}

/// Regular expressions of which a line may match any. Searching takes time linear in the line.
#[derive(Debug, Clone)]
pub struct LinePatterns(RegexSet);

impl LinePatterns {
    /// # Errors
    /// When one of them is none, or all together are too large.
    pub fn new<Text: AsRef<str>>(patterns: &[Text]) -> Result<Self, NotAnExpression> {
        expression::compile_all(patterns).map(Self)
    }

    /// Whether the line matches one of them.
    pub fn match_line(&self, line: &str) -> bool {
        self.0.is_match(line)
    }
}

/// The lines of one rule.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) rule: Rule,
    rate: LineRate,
    /// The last of them, no more than the rule counts.
    recent: VecDeque<Monotonic>,
    fired: Option<Monotonic>,
}

impl Lines {
    pub(super) fn new(rule: Rule, rate: LineRate) -> Self {
        Self {
            rule,
            rate,
            recent: VecDeque::new(),
            fired: None,
        }
    }

    /// One more has come.
    pub(super) fn hear(&mut self, at: Monotonic) -> Option<Transition> {
        if self.recent.len() == self.rate.lines.max(1) as usize {
            self.recent.pop_front();
        }
        self.recent.push_back(at);
        let counted = self.within(at);
        if self.fired.is_some() || counted < self.rate.lines as usize {
            return None;
        }
        self.fired = Some(at);
        let since = self.recent.front().copied().unwrap_or(at);
        Some(self.transition(at, counted, Change::Fired { since }.into()))
    }

    /// Whether it is over by now.
    pub(super) fn tick(&mut self, now: Monotonic) -> Option<Transition> {
        let fired = self.fired?;
        if self.due().is_some_and(|due| now < due) {
            return None;
        }
        self.fired = None;
        let turn = Turn::Cleared {
            fired,
            because: Over::Normal,
        };
        Some(self.transition(now, self.within(now), turn))
    }

    /// The target is over.
    pub(super) fn end(&mut self, at: Monotonic, because: Over) -> Option<Transition> {
        let fired = self.fired.take()?;
        Some(self.transition(at, self.within(at), Turn::Cleared { fired, because }))
    }

    /// When it is over if nothing comes any more; nothing while it does not fire.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.fired?;
        let enough = (f64::from(self.rate.lines) * CLEAR_SHARE).ceil().max(1.0) as usize;
        // The last but so many: without it, there are fewer.
        let place = self.recent.len().checked_sub(enough)?;
        let last_needed = self.recent.get(place)?;
        Some(last_needed.plus(self.rate.within))
    }

    fn within(&self, now: Monotonic) -> usize {
        let is_within = |at: &&Monotonic| now.since(**at) < self.rate.within;
        self.recent.iter().filter(is_within).count()
    }

    fn transition(&self, at: Monotonic, counted: usize, turn: Turn) -> Transition {
        Transition {
            rule: self.rule,
            threshold: f64::from(self.rate.lines),
            value: counted as f64,
            at,
            turn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    fn lines(count: u32) -> Lines {
        let within = Duration::from_secs(60);
        Lines::new(
            Rule::Log,
            LineRate {
                lines: count,
                within,
            },
        )
    }

    #[test]
    fn one_line_is_enough_and_its_silence_ends_it() {
        let mut rule = lines(1);
        let fired = rule.hear(at(10)).unwrap();
        assert_eq!(fired.event_type(), "alert_fired");
        assert_eq!(rule.hear(at(40)), None, "once");
        assert_eq!(rule.due(), Some(at(100)));
        assert_eq!(rule.tick(at(99)), None);
        let over = rule.tick(at(100)).unwrap();
        assert_eq!(over.event_type(), "alert_cleared");
        assert_eq!((over.value, rule.due()), (0.0, None));
        assert!(rule.hear(at(101)).is_some(), "and anew");
    }

    #[test]
    fn a_rate_is_reached_within_its_window_only() {
        let mut rule = lines(3);
        for seconds in [0, 30, 61, 95] {
            assert_eq!(rule.hear(at(seconds)), None, "{seconds}");
        }
        let fired = rule.hear(at(96)).unwrap();
        assert_eq!(
            (fired.value, fired.lasted()),
            (3.0, Duration::from_secs(35))
        );
        assert_eq!(
            rule.due(),
            Some(at(121)),
            "when the first of three is too old"
        );
        assert!(rule.tick(at(121)).is_some());
    }

    #[test]
    fn patterns_that_are_none_or_explode_are_refused() {
        assert!(
            LinePatterns::new(&["out of (gold|silver)", "^panic"]).is_ok_and(|patterns| {
                patterns.match_line("we are out of gold") && !patterns.match_line("no panic")
            })
        );
        for text in ["(", "[a", r"(\w{200}){200}"] {
            assert!(LinePatterns::new(&[text]).is_err(), "{text}");
        }
    }
}
