//! The file of `argus gaze --config FILE`: several programs watched by one gaze.
//!
//! `examples/gaze.toml` explains every key. A text becomes a [`Config`], whose values are of the same
//! types as those of the command line, or a [`ConfigError`] that says where and what to do; no file
//! is read here. After a reload [`Config::changes_from`] says what is to begin, to end and to change.

mod values;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};

use argus_model::Level;
use argus_observe::alarm::{Hold, LineRate, Rules, Threshold};
use serde::Deserialize;
use toml::Spanned;

use super::observers::Interval;
use super::plan::{Plan, StackRate, Whom};
use super::reading::{From, Reading, Wanted};
use values::{Correlate, Patterns, Words, typed};

/// What is watched, each under a name of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// In the order of the file; at least one.
    pub(crate) targets: Vec<Plan>,
}

/// A text that is no configuration: what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct ConfigError {
    line: usize,
    message: String,
}

/// What a reload changes.
#[derive(Debug, PartialEq)]
pub(crate) struct Changes<'a> {
    /// Not there before.
    pub(crate) added: Vec<&'a Plan>,
    /// Not there any more.
    pub(crate) removed: Vec<&'a Plan>,
    /// There before with other options: as it was, and as it is to be.
    pub(crate) changed: Vec<(&'a Plan, &'a Plan)>,
    /// As before.
    pub(crate) kept: Vec<&'a Plan>,
}

impl Config {
    /// Understands the text of a file that lies in `folder`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|error| explain(text, error.span(), &plain(error.message())))?;
        if file.target.is_empty() {
            let message = "no [[target]] is given: add one with a name and a process";
            return Err(explain(text, None, message));
        }
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for target in &file.target {
            let name = &target.get_ref().name;
            let line = line_of(text, &name.span());
            if let Some(first) = lines.insert(name.get_ref(), line) {
                let name = name.get_ref();
                let message = format!(
                    "target \"{name}\" is there already, on line {first}: give each another name"
                );
                return Err(ConfigError { line, message });
            }
        }
        let targets = file.target.iter().map(|target| {
            let options = target.get_ref();
            let whom = options
                .whom()
                .map_err(|message| explain(text, Some(options.name.span()), &message))?;
            Ok(options.with_defaults(whom, &file, folder))
        });
        let targets = targets.collect::<Result<_, _>>()?;
        Ok(Self { targets })
    }

    /// What is different from `before`, target by target.
    pub(crate) fn changes_from<'a>(&'a self, before: &'a Self) -> Changes<'a> {
        let mut old: HashMap<_, _> = before.targets.iter().map(|it| (&it.app_name, it)).collect();
        let mut changes = Changes {
            added: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
            kept: Vec::new(),
        };
        for target in &self.targets {
            match old.remove(&target.app_name) {
                None => changes.added.push(target),
                Some(old) if old == target => changes.kept.push(target),
                Some(old) => changes.changed.push((old, target)),
            }
        }
        let is_gone = |target: &&Plan| old.contains_key(&target.app_name);
        changes.removed = before.targets.iter().filter(is_gone).collect();
        changes
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, deserialize_with = "values::interval")]
    interval: Option<Interval>,
    adaptive: Option<bool>,
    follow_children: Option<bool>,
    follow_restarts: Option<bool>,
    #[serde(default, deserialize_with = "typed")]
    stacks: Option<StackRate>,
    from: Option<From>,
    parse_logs: Option<bool>,
    mask: Option<bool>,
    mask_names: Option<Vec<String>>,
    correlate: Option<Correlate>,
    lines_per_second: Option<NonZeroU32>,
    pss: Option<bool>,
    threads: Option<bool>,
    #[serde(default)]
    alerts: Alerts,
    #[serde(default)]
    target: Vec<Spanned<Options>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    name: Spanned<String>,
    process: Option<String>,
    pid: Option<u32>,
    command_line: Option<String>,
    #[serde(default)]
    logfiles: Vec<PathBuf>,
    #[serde(default)]
    journal: Vec<String>,
    #[serde(default, deserialize_with = "values::interval")]
    interval: Option<Interval>,
    adaptive: Option<bool>,
    follow_children: Option<bool>,
    follow_restarts: Option<bool>,
    #[serde(default, deserialize_with = "typed")]
    stacks: Option<StackRate>,
    from: Option<From>,
    parse_logs: Option<bool>,
    mask: Option<bool>,
    mask_names: Option<Vec<String>>,
    correlate: Option<Correlate>,
    lines_per_second: Option<NonZeroU32>,
    pss: Option<bool>,
    threads: Option<bool>,
    #[serde(default)]
    alerts: Alerts,
    #[serde(default)]
    plugins: Vec<Words>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Alerts {
    #[serde(default, deserialize_with = "typed")]
    cpu: Option<Threshold>,
    #[serde(default, deserialize_with = "typed")]
    memory: Option<Threshold>,
    #[serde(default, deserialize_with = "typed")]
    silence: Option<Threshold>,
    log: Option<Patterns>,
    #[serde(default, deserialize_with = "values::level")]
    level: Option<Level>,
    lines: Option<NonZeroU32>,
    #[serde(default, deserialize_with = "typed")]
    within: Option<Threshold>,
    #[serde(default, rename = "for", deserialize_with = "typed")]
    hold: Option<Hold>,
    command: Option<Words>,
}

impl Options {
    /// Whom it means; otherwise, what to do.
    fn whom(&self) -> Result<Whom, String> {
        let name = self.name.get_ref();
        if name.trim().is_empty() {
            return Err("a target has an empty name: give it one".into());
        }
        let empty = |text: &&String| text.trim().is_empty();
        let texts = [&self.process, &self.command_line];
        if self.pid == Some(0) || texts.into_iter().flatten().any(|text| empty(&text)) {
            return Err(format!(
                "target \"{name}\" means no process: give it a process that is not empty"
            ));
        }
        match (&self.process, self.pid, &self.command_line) {
            (Some(process), None, None) => Ok(Whom::Name(process.clone())),
            (None, Some(pid), None) => Ok(Whom::Pid(pid)),
            (None, None, Some(text)) => Ok(Whom::CommandLine(text.clone())),
            (None, None, None) => Err(format!(
                "target \"{name}\" means no process: add process, pid or command_line"
            )),
            _ => Err(format!(
                "target \"{name}\" has more than one of process, pid and command_line: keep one"
            )),
        }
    }

    fn with_defaults(&self, whom: Whom, file: &File, folder: &Path) -> Plan {
        let flag = |own: Option<bool>, default: Option<bool>| own.or(default).unwrap_or(false);
        let (own, default) = (&self.alerts, &file.alerts);
        let command = own.command.as_ref().or(default.command.as_ref());
        let wanted = own.wanted(default);
        Plan {
            whom,
            app_name: Some(self.name.get_ref().clone()),
            logfiles: self.logfiles.iter().map(|path| folder.join(path)).collect(),
            units: self.journal.clone(),
            reading: self.reading(file, &wanted),
            interval: self.interval.or(file.interval).unwrap_or_default(),
            adaptive: flag(self.adaptive, file.adaptive),
            follow_children: flag(self.follow_children, file.follow_children),
            follow_restarts: flag(self.follow_restarts, file.follow_restarts),
            alerts: own.rules(default, &wanted),
            alert_command: command.map(|words| words.argv(folder)),
            plugins: self
                .plugins
                .iter()
                .map(|words| words.argv(folder))
                .collect(),
            stacks: self.stacks.or(file.stacks),
            pss: flag(self.pss, file.pss),
            threads: flag(self.threads, file.threads),
        }
    }

    fn reading(&self, file: &File, wanted: &Wanted) -> Reading {
        let names = self.mask_names.as_ref().or(file.mask_names.as_ref());
        let masks = self.mask.or(file.mask).unwrap_or(names.is_some());
        let correlate = self.correlate.as_ref().or(file.correlate.as_ref());
        let lines = self.lines_per_second.or(file.lines_per_second);
        let parses = self.parse_logs.or(file.parse_logs).unwrap_or(false);
        Reading {
            from: self.from.or(file.from).unwrap_or_default(),
            // Levels are only known of lines that are parsed.
            parse: parses || wanted.level.is_some(),
            mask: masks.then(|| names.cloned().unwrap_or_default()),
            ids: correlate.map_or_else(Vec::new, |correlate| correlate.0.clone()),
            lines_per_second: lines.map(NonZeroU32::get),
            alert: wanted.clone(),
        }
    }
}

impl Alerts {
    /// Which lines are spoken of.
    fn wanted(&self, default: &Self) -> Wanted {
        let patterns = self.log.as_ref().or(default.log.as_ref());
        Wanted {
            patterns: patterns.map_or_else(Vec::new, |patterns| patterns.0.clone()),
            level: self.level.or(default.level),
        }
    }

    fn rules(&self, default: &Self, wanted: &Wanted) -> Rules {
        let usual = LineRate::default();
        let lines = self.lines.or(default.lines);
        let within = self.within.or(default.within);
        let rate = LineRate {
            lines: lines.map_or(usual.lines, NonZeroU32::get),
            within: within.map_or(usual.within, Threshold::as_seconds),
        };
        let others = Rules {
            cpu_percent: self.cpu.or(default.cpu),
            memory_mb: self.memory.or(default.memory),
            silence_seconds: self.silence.or(default.silence),
            hold: self.hold.or(default.hold),
            ..Rules::default()
        };
        wanted.rules(rate, others)
    }
}

fn explain(text: &str, span: Option<Range<usize>>, message: &str) -> ConfigError {
    ConfigError {
        line: line_of(text, &span.unwrap_or(0..0)),
        message: message.to_owned(),
    }
}

/// What the parser says, in the words of a file instead of a program's, on one line.
fn plain(message: &str) -> String {
    let words = [
        ("unknown field", "unknown key"),
        ("missing field `name`", "a target has no name: add one"),
        ("duplicate key", "this key is there already: take one out"),
        ("expected a boolean", "expected true or false"),
        (
            "expected a sequence",
            "expected an array, such as [\"one\", \"two\"]",
        ),
    ];
    words
        .into_iter()
        .fold(message.trim().replace('\n', ": "), |text, (from, to)| {
            text.replace(from, to)
        })
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or(text);
    before.matches('\n').count() + 1
}

#[cfg(test)]
mod tests;
