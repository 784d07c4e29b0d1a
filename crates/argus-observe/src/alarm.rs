//! When a program is to be spoken of: too much CPU, too much memory, silence.
//!
//! [`Alarms`] takes what is known of one target (readings, log lines, the time) and gives back what
//! changed: an alert has fired, an alert is over. Each comes once, in turns, and whatever has fired
//! is over at the latest when the target is ([`Alarms::end`]). No clock is read here and nothing is
//! kept of the past but the stretch of readings that speaks for a change.
//!
//! - **A level** (CPU, memory) fires when it was above its threshold in every reading for a minimum
//!   time, and is over when it was below [`CLEAR_SHARE`] of the threshold for the same time. Between
//!   the two nothing changes. The minimum time is [`CPU_HOLD`] for CPU, which flickers, and none for
//!   memory, which does not, and which may be too late to speak of a moment later.
//! - **Silence** fires when no followed log had a line for so long; the next line ends it. Where no
//!   log is followed, it is CPU time that is missed: a program that used none at all between two
//!   readings has not run. A log is the better witness, because a program that waits in a loop
//!   uses CPU without getting anywhere, so CPU counts only where there is no log.
//! - **Log lines** that match, or are severe, are spoken of when there are so many of them within a
//!   window (`lines`).
//! - **What is not known changes nothing.** A value that is no number is no reading. After a pause
//!   in the readings (see [`Level::reading`]) the minimum time begins anew, whichever way. A silence
//!   that is noticed late, because the observer itself stood still, gets [`GRACE`]: lines that
//!   were written meanwhile have to be read first.

mod command;
mod level;
mod lines;

use std::fmt;
use std::time::Duration;

use argus_model::Monotonic;
use lines::Lines;

pub use command::{Commands, Finished, MAX_RUNNING, NotStarted, Outcome, TIMEOUT};
pub use level::{CLEAR_SHARE, Change, Hold, Level, NotAHold, NotAThreshold, Threshold};
pub use lines::{LinePatterns, LineRate};

/// How long CPU must be above its threshold unless the user says otherwise: three readings at the
/// usual interval of five seconds, so that starting up or one large request is no alert.
pub const CPU_HOLD: Duration = Duration::from_secs(10);

/// How long a silence that was noticed late waits for lines that have not been read yet.
pub const GRACE: Duration = Duration::from_secs(1);

/// The `event_type` of an alert that has fired.
pub const FIRED_EVENT: &str = "alert_fired";

/// The `event_type` of an alert that is over.
pub const CLEARED_EVENT: &str = "alert_cleared";

/// What the user wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rules {
    /// CPU above so many percent of one core.
    pub cpu_percent: Option<Threshold>,
    /// Resident memory above so many MiB.
    pub memory_mb: Option<Threshold>,
    /// Nothing heard for so many seconds.
    pub silence_seconds: Option<Threshold>,
    /// Log lines that match.
    pub log: Option<LineRate>,
    /// Log lines that are severe.
    pub log_level: Option<LineRate>,
    /// How long a level must last, for CPU and memory alike; silence has its own time.
    pub hold: Option<Hold>,
}

/// What silence is the absence of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Log lines.
    Logs,
    /// CPU time, where no log is followed.
    Cpu,
}

/// A rule, as it is named in the store, to commands and on screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// CPU in percent of one core.
    Cpu,
    /// Resident memory in MiB.
    Memory,
    /// Silence in seconds.
    Silence(Hears),
    /// Log lines that match, counted.
    Log,
    /// Log lines that are severe, counted.
    LogLevel,
}

impl Rule {
    /// Its name, the same as that of its option.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Silence(_) => "silence",
            Self::Log => "log",
            Self::LogLevel => "log_level",
        }
    }
}

/// Why an alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The reason for it has gone.
    Normal,
    /// The process has ended.
    Ended,
    /// The process is not watched any more.
    Unwatched,
}

impl Over {
    const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Ended => "ended",
            Self::Unwatched => "unwatched",
        }
    }
}

/// Which way a rule has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It fires.
    Fired {
        /// Since when what it says is true.
        since: Monotonic,
    },
    /// It is over.
    Cleared {
        /// When it fired.
        fired: Monotonic,
        /// Why it is over.
        because: Over,
    },
}

/// An alert has fired, or is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition {
    /// Of which rule.
    pub rule: Rule,
    /// The rule's threshold, in its unit.
    pub threshold: f64,
    /// The last value that is known, in the same unit.
    pub value: f64,
    /// When.
    pub at: Monotonic,
    /// Which way.
    pub turn: Turn,
}

impl Transition {
    /// The `event_type` under which it is stored.
    pub const fn event_type(&self) -> &'static str {
        match self.turn {
            Turn::Fired { .. } => FIRED_EVENT,
            Turn::Cleared { .. } => CLEARED_EVENT,
        }
    }

    /// How long the reason had lasted when it fired, or how long it fired until it was over.
    pub fn lasted(&self) -> Duration {
        match self.turn {
            Turn::Fired { since } => self.at.since(since),
            Turn::Cleared { fired, .. } => self.at.since(fired),
        }
    }

    /// What is stored of it, as a JSON object: `rule`, `value`, `threshold` (percent, MiB, or
    /// seconds), `for_ms` ([`Transition::lasted`]), and of one that is over `because`: `normal`,
    /// `ended` or `unwatched`.
    pub fn detail(&self) -> String {
        let because = match self.turn {
            Turn::Fired { .. } => String::new(),
            Turn::Cleared { because, .. } => format!(",\"because\":\"{}\"", because.name()),
        };
        // Only numbers and words of our own: nothing needs escaping, and a finite f64 prints as JSON.
        format!(
            "{{\"rule\":\"{}\",\"value\":{},\"threshold\":{},\"for_ms\":{}{because}}}",
            self.rule.name(),
            rounded(self.value),
            self.threshold,
            self.lasted().as_millis(),
        )
    }
}

/// One line for a person, without a final stop.
impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            threshold, value, ..
        } = self;
        let lasted = seconds(self.lasted());
        let (name, unit) = match self.rule {
            Rule::Cpu => ("CPU", "%"),
            Rule::Memory => ("memory", "MB"),
            Rule::Silence(Hears::Logs) => ("log line", "s"),
            Rule::Silence(Hears::Cpu) => ("CPU used", "s"),
            Rule::Log => ("matching log lines", ""),
            Rule::LogLevel => ("severe log lines", ""),
        };
        match (self.turn, self.rule) {
            (Turn::Fired { .. }, Rule::Silence(_)) => write!(f, "no {name} for {lasted} s"),
            (Turn::Fired { .. }, Rule::Log | Rule::LogLevel) => {
                write!(f, "{value} {name} within {lasted} s")
            }
            (Turn::Fired { .. }, _) => {
                write!(f, "{name} {value:.1} {unit} above {threshold} {unit}")?;
                if self.lasted().is_zero() {
                    Ok(())
                } else {
                    write!(f, " for {lasted} s")
                }
            }
            (Turn::Cleared { because, .. }, rule) => {
                match (because, rule) {
                    (Over::Normal, Rule::Silence(_)) => write!(f, "{name} again")?,
                    (Over::Normal, Rule::Log | Rule::LogLevel) => {
                        write!(f, "only {value} {name} of late")?;
                    }
                    (Over::Normal, _) => write!(f, "{name} {value:.1} {unit} again")?,
                    (Over::Ended, _) => f.write_str("process ended")?,
                    (Over::Unwatched, _) => f.write_str("not watched any more")?,
                }
                write!(f, ", {} alert over after {lasted} s", self.rule.name())
            }
        }
    }
}

/// What is measured of a target at one moment, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// When.
    pub at: Monotonic,
    /// The interval in force: a much longer pause than this is a gap.
    pub interval: Duration,
    /// CPU since the reading before, in percent of one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory in MiB.
    pub memory_mb: Option<f64>,
}

/// The alerts of one target.
#[derive(Debug, Clone)]
pub struct Alarms {
    levels: Vec<Watched>,
    silence: Option<Silence>,
    lines: Vec<Lines>,
}

#[derive(Debug, Clone)]
struct Watched {
    rule: Rule,
    level: Level,
    value: f64,
}

#[derive(Debug, Clone)]
struct Silence {
    hears: Hears,
    threshold: Threshold,
    /// The last sign of life.
    heard: Monotonic,
    fired: Option<Monotonic>,
    /// Noticed late: what was missed may be read until then.
    grace: Option<Monotonic>,
}

impl Alarms {
    /// The alerts of a target that is watched from `begun` on.
    pub fn new(rules: &Rules, hears: Hears, begun: Monotonic) -> Self {
        let watched = |rule, threshold: Option<Threshold>, hold| {
            let hold = rules.hold.map_or(hold, Hold::duration);
            let level = Level::new(threshold?, hold);
            let value = 0.0;
            Some(Watched { rule, level, value })
        };
        let cpu = watched(Rule::Cpu, rules.cpu_percent, CPU_HOLD);
        let memory = watched(Rule::Memory, rules.memory_mb, Duration::ZERO);
        Self {
            levels: cpu.into_iter().chain(memory).collect(),
            silence: rules.silence_seconds.map(|threshold| Silence {
                hears,
                threshold,
                heard: begun,
                fired: None,
                grace: None,
            }),
            lines: [(Rule::Log, rules.log), (Rule::LogLevel, rules.log_level)]
                .into_iter()
                .filter_map(|(rule, rate)| Some(Lines::new(rule, rate?)))
                .collect(),
        }
    }

    /// Takes what was measured.
    pub fn reading(&mut self, measured: &Measured, mut each: impl FnMut(Transition)) {
        for watched in &mut self.levels {
            let value = match watched.rule {
                Rule::Cpu => measured.cpu_percent,
                Rule::Memory => measured.memory_mb,
                Rule::Silence(_) | Rule::Log | Rule::LogLevel => None,
            };
            let Some(value) = value.filter(|value| value.is_finite()) else {
                continue;
            };
            watched.value = value;
            let change = watched.level.reading(measured.at, value, measured.interval);
            if let Some(change) = change {
                each(watched.transition(measured.at, change.into()));
            }
        }
        let cpu = measured.cpu_percent.filter(|percent| percent.is_finite());
        if let (Some(silence), Some(percent)) = (self.silence_of(Hears::Cpu), cpu) {
            // CPU time since the reading before leaves no gap in which something was missed.
            let turned = if percent > 0.0 {
                silence.hear(measured.at)
            } else {
                silence.fire_if_due(measured.at)
            };
            turned.into_iter().for_each(each);
        }
    }

    /// Takes that a followed log had a line.
    pub fn line(&mut self, at: Monotonic, each: impl FnMut(Transition)) {
        let silence = self.silence_of(Hears::Logs);
        silence
            .and_then(|it| it.hear(at))
            .into_iter()
            .for_each(each);
    }

    /// Takes the time. Called when [`Alarms::next_due`] is over, after the lines that wait were
    /// handed in.
    pub fn tick(&mut self, now: Monotonic, mut each: impl FnMut(Transition)) {
        let silence = self.silence_of(Hears::Logs);
        silence
            .and_then(|it| it.tick(now))
            .into_iter()
            .for_each(&mut each);
        let lines = self.lines.iter_mut().filter_map(|it| it.tick(now));
        lines.for_each(each);
    }

    /// Takes that a log line had come for which there is this rule.
    pub fn matched(&mut self, rule: Rule, at: Monotonic, each: impl FnMut(Transition)) {
        let lines = self.lines.iter_mut().filter(|it| it.rule == rule);
        lines.filter_map(|it| it.hear(at)).for_each(each);
    }

    /// When [`Alarms::tick`] is to be called if nothing else happens; `None` for never.
    pub fn next_due(&self) -> Option<Monotonic> {
        let silence = self.silence.as_ref();
        let waits = silence.filter(|it| it.hears == Hears::Logs && it.fired.is_none());
        let silence = waits.map(|silence| silence.grace.unwrap_or(silence.due()));
        let lines = self.lines.iter().filter_map(Lines::due);
        lines.chain(silence).min()
    }

    /// The target is over, or not watched any more: everything that fires is over as well, and
    /// nothing fires again.
    pub fn end(&mut self, at: Monotonic, because: Over, mut each: impl FnMut(Transition)) {
        for watched in std::mem::take(&mut self.levels) {
            if let Some(fired) = watched.level.fired() {
                each(watched.transition(at, Turn::Cleared { fired, because }));
            }
        }
        for mut lines in std::mem::take(&mut self.lines) {
            lines.end(at, because).into_iter().for_each(&mut each);
        }
        if let Some(silence) = self.silence.take()
            && let Some(fired) = silence.fired
        {
            each(silence.transition(at, Turn::Cleared { fired, because }));
        }
    }

    /// The silence rule, if it listens to this.
    fn silence_of(&mut self, hears: Hears) -> Option<&mut Silence> {
        self.silence.as_mut().filter(|it| it.hears == hears)
    }
}

impl From<Change> for Turn {
    fn from(change: Change) -> Self {
        match change {
            Change::Fired { since } => Self::Fired { since },
            Change::Cleared { fired } => Self::Cleared {
                fired,
                because: Over::Normal,
            },
        }
    }
}

impl Watched {
    fn transition(&self, at: Monotonic, turn: Turn) -> Transition {
        Transition {
            rule: self.rule,
            threshold: self.level.threshold().value(),
            value: self.value,
            at,
            turn,
        }
    }
}

impl Silence {
    fn due(&self) -> Monotonic {
        self.heard.plus(self.threshold.as_seconds())
    }

    /// A sign of life.
    fn hear(&mut self, at: Monotonic) -> Option<Transition> {
        self.grace = None;
        let cleared = self.fired.take().map(|fired| {
            let because = Over::Normal;
            self.transition(at, Turn::Cleared { fired, because })
        });
        self.heard = self.heard.max(at);
        cleared
    }

    fn tick(&mut self, now: Monotonic) -> Option<Transition> {
        let late = now.since(self.due());
        if late > GRACE && self.grace.is_none() && self.fired.is_none() {
            self.grace = Some(now.plus(GRACE));
        }
        if self.grace.is_some_and(|grace| now < grace) {
            return None;
        }
        self.fire_if_due(now)
    }

    fn fire_if_due(&mut self, now: Monotonic) -> Option<Transition> {
        if self.fired.is_some() || now < self.due() {
            return None;
        }
        self.fired = Some(now);
        self.grace = None;
        Some(self.transition(now, Turn::Fired { since: self.heard }))
    }

    fn transition(&self, at: Monotonic, turn: Turn) -> Transition {
        Transition {
            rule: Rule::Silence(self.hears),
            threshold: self.threshold.value(),
            value: at.since(self.heard).as_secs_f64(),
            at,
            turn,
        }
    }
}

/// To a thousandth: what lies below is noise that nobody wants to read.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
