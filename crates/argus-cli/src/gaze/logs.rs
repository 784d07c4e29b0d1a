//! The log files of a plan, read by a thread of their own.
//!
//! A burst of lines keeps nobody from measuring, and a plan that is changed or added does not disturb
//! the files of the others.

mod journal;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::Result;
use argus_model::record::LogSource;
use argus_model::{Level, Monotonic};
use argus_observe::alarm::{LinePatterns, Rule};
use argus_observe::journal::Journal;
use argus_observe::line::{Line, Splitter};
use argus_observe::platform;
use argus_observe::tail::{Follower, Told};
use argus_observe::wake::{Bell, Chime, wait_any};
use rustix::io::Errno;

use super::console::{self, Label};
use super::desk::Desk;
use super::observers;
use super::plan::Plan;
use super::reading::{Wanted, complaint};
use super::recorder::Subject;
use super::scribe::{Outcome, Pipe, Scribe, Written};

/// Whom the lines of a plan's files are about: its program's run, and later the next one.
#[derive(Debug)]
pub(super) struct Voice {
    speaker: Mutex<(Arc<Subject>, Label)>,
    /// When the last line came; 0 for none since it was asked for.
    heard: AtomicU64,
    /// Lines that speak of an error.
    errors: AtomicU64,
    /// Which lines are to be spoken of, and those that came since they were asked for.
    patterns: Option<LinePatterns>,
    level: Option<Level>,
    matches: Mutex<Vec<(Rule, Monotonic)>>,
    chime: Chime,
}

/// Matches that wait to be asked for: more of them would say no more.
const MOST_MATCHES: usize = 4_096;

/// Words by which a line speaks of an error, whatever its format: what follows a first letter.
const ERRORS: [(u8, &[&[u8]]); 5] = [
    (b'e', &[b"rror", b"xception"]),
    (b'f', &[b"atal"]),
    (b'c', &[b"ritical"]),
    (b'p', &[b"anic"]),
    (b't', &[b"raceback"]),
];

impl Voice {
    /// # Errors
    /// When a pattern is none, or the process is out of descriptors.
    pub(super) fn of(subject: &Arc<Subject>, label: &Label, wanted: &Wanted) -> Result<Self> {
        let patterns = match wanted.patterns.as_slice() {
            [] => None,
            patterns => Some(LinePatterns::new(patterns)?),
        };
        Ok(Self {
            speaker: Mutex::new((Arc::clone(subject), label.clone())),
            heard: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            patterns,
            level: wanted.level,
            matches: Mutex::default(),
            chime: Chime::new()?,
        })
    }

    /// Readable when a line has come that is to be spoken of.
    pub(super) fn chime(&self) -> BorrowedFd<'_> {
        self.chime.as_fd()
    }

    /// The lines that are to be spoken of, each by its rule and when it came.
    pub(super) fn take_matches(&self) -> Vec<(Rule, Monotonic)> {
        let mut matches = self.matches.lock().unwrap_or_else(PoisonError::into_inner);
        if matches.is_empty() {
            return Vec::new();
        }
        self.chime.hush();
        std::mem::take(&mut matches)
    }

    fn note_matches(&self, written: &Written<'_>, now: Monotonic) {
        let is_match = |patterns: &LinePatterns| patterns.match_line(written.text);
        let by_pattern = self.patterns.as_ref().is_some_and(is_match);
        let by_level = self.level.is_some_and(|least| written.level >= Some(least));
        let rules = [(by_pattern, Rule::Log), (by_level, Rule::LogLevel)];
        for (_, rule) in rules.into_iter().filter(|(matches, _)| *matches) {
            let mut matches = self.matches.lock().unwrap_or_else(PoisonError::into_inner);
            if matches.len() < MOST_MATCHES {
                matches.push((rule, now));
            }
            self.chime.ring();
        }
    }

    /// From now on the lines are about another run.
    pub(super) fn speak_for(&self, subject: &Arc<Subject>, label: &Label) {
        *self.lock() = (Arc::clone(subject), label.clone());
    }

    /// When the last line came, if one did since the last call.
    pub(super) fn heard(&self) -> Option<Monotonic> {
        let nanos = self.heard.swap(0, Ordering::Relaxed);
        (nanos > 0).then(|| Monotonic::from_nanos(nanos))
    }

    /// How many lines have spoken of an error so far.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// A line has come.
    fn hear(&self, written: &Written<'_>) {
        let now = platform::monotonic_now();
        self.heard.store(now.nanos(), Ordering::Relaxed);
        self.note_matches(written, now);
        let is_error = match written.level {
            Some(level) => level >= Level::Error,
            None => speaks_of_an_error(written.text),
        };
        if is_error {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn speaker(&self) -> (Arc<Subject>, Label) {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<Subject>, Label)> {
        self.speaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one of the words stands at the beginning of the line, where a level would be.
fn speaks_of_an_error(line: &str) -> bool {
    const LEVEL_WITHIN: usize = 96;
    let head = &line.as_bytes()[..line.len().min(LEVEL_WITHIN)];
    head.iter().enumerate().any(|(at, byte)| {
        let first = byte.to_ascii_lowercase();
        let words = ERRORS.iter().filter(|(letter, _)| *letter == first);
        let mut rests = words.flat_map(|(_, rests)| *rests);
        let behind = &head[at + 1..];
        rests.any(|rest| {
            let begins = behind.get(..rest.len());
            begins.is_some_and(|begins| begins.eq_ignore_ascii_case(rest))
        })
    })
}

/// The threads that read a plan's files.
pub(super) struct Reader<'scope> {
    voice: Arc<Voice>,
    stop: Arc<Bell>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Reader<'scope> {
    /// Begins to read what is appended to `files`.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &Plan,
        voice: Voice,
        desk: Desk<'scope>,
    ) -> Result<Self> {
        let scribe = Scribe::new(desk.recorder, &plan.reading)?;
        let mut memory = plan.reading.memory(desk.data)?;
        let journals: Vec<_> = plan
            .units
            .iter()
            .map(|unit| (unit, plan.reading.since(unit, &mut memory)))
            .collect();
        let start = plan.reading.start();
        let files: Vec<_> = plan
            .logfiles
            .iter()
            .filter(|path| !is_stdin(path))
            .cloned()
            .collect();
        let (follower, warnings) = Follower::open_with(&files, start, memory);
        for warning in warnings {
            console::warn(&complaint(&warning));
        }
        let (voice, stop) = (Arc::new(voice), Arc::new(Bell::new()?));
        let mut threads = Vec::new();
        if plan.logfiles.iter().any(|path| is_stdin(path)) {
            let scribe = Scribe::new(desk.recorder, &plan.reading)?;
            let (voice, stop) = (Arc::clone(&voice), Arc::clone(&stop));
            threads.push(scope.spawn(move || read_stdin(scribe, &stop, &voice, desk)));
        }
        for (unit, since) in journals {
            match Journal::follow(unit, since) {
                Ok(journal) => {
                    let scribe = Scribe::new(desk.recorder, &plan.reading)?;
                    let (voice, stop) = (Arc::clone(&voice), Arc::clone(&stop));
                    let unit = unit.clone();
                    let read = move || journal::read(journal, &unit, scribe, &stop, &voice, desk);
                    threads.push(scope.spawn(read));
                }
                Err(error) => {
                    console::warn(&format!("{unit}: {:#}", anyhow::Error::from(error)));
                }
            }
        }
        if !follower.is_empty() {
            let (voice, stop) = (Arc::clone(&voice), Arc::clone(&stop));
            threads.push(scope.spawn(move || read(follower, scribe, &stop, &voice, desk)));
        }
        Ok(Self {
            voice,
            stop,
            threads,
        })
    }

    pub(super) fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    /// Reads to the files' ends, and no further.
    pub(super) fn finish(mut self) {
        self.stop.ring();
        for thread in std::mem::take(&mut self.threads) {
            // Whatever it failed of was said on standard error.
            let _ = thread.join();
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.stop.ring();
    }
}

/// Whether a path stands for the standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Records and shows every line until `stop` rings, and then to the files' ends.
fn read(follower: Follower, mut scribe: Scribe<'_>, stop: &Bell, voice: &Voice, desk: Desk<'_>) {
    let take = |told: Told<'_>| {
        let (subject, label) = voice.speaker();
        scribe.take(&subject, told, |outcome| show(outcome, voice, &label, desk))
    };
    observers::follow(follower, stop, take, || desk.console.release());
}

/// Records and shows every line of the standard input until it is over or `stop` rings.
fn read_stdin(mut scribe: Scribe<'_>, stop: &Bell, voice: &Voice, desk: Desk<'_>) {
    let from = Pipe::of(LogSource::Stdin);
    let input = rustix::stdio::stdin();
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut each = |line: Line<'_>| {
        let (subject, label) = voice.speaker();
        // What stood in a pipe does not come again.
        let _ = scribe.line(&subject, &from, &line, |outcome| {
            show(outcome, voice, &label, desk);
        });
    };
    while let Ok([is_ready, is_over]) = wait_any([input, stop.as_fd()], None) {
        if is_ready {
            match rustix::io::read(input, &mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    splitter.push(&buffer[..count], &mut each);
                    desk.console.release();
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => break,
            }
        } else if is_over {
            break;
        }
    }
    splitter.finish(each);
    desk.console.release();
}

fn show(outcome: Outcome<'_>, voice: &Voice, label: &Label, desk: Desk<'_>) {
    match outcome {
        Outcome::Written(written) => {
            voice.hear(&written);
            desk.console.line(label, written.text, written.number);
        }
        Outcome::Missing(gap) => console::warn(&format!("lines are missing: {gap}")),
        Outcome::Warning(warning) => console::warn(&complaint(&warning)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_speaks_of_an_error_by_its_level() {
        for line in [
            "2026-01-27 14:23:45 ERROR out of quotes",
            "[fatal] no disk",
            "Traceback (most recent call last):",
            "ValueError: é",
        ] {
            assert!(speaks_of_an_error(line), "{line}");
        }
        let late = format!("INFO {} error", "x".repeat(200));
        for line in ["INFO all is well", "", &late] {
            assert!(!speaks_of_an_error(line), "{line}");
        }
    }
}
