//! The log files of a plan, read by a thread of their own.
//!
//! A burst of lines keeps nobody from measuring, and a plan that is changed or added does not disturb
//! the files of the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::Result;
use argus_model::{Level, Monotonic};
use argus_observe::platform;
use argus_observe::tail::Follower;
use argus_observe::wake::Bell;

use super::console::{self, Label};
use super::desk::Desk;
use super::observers;
use super::plan::Plan;
use super::recorder::Subject;
use super::scribe::{Outcome, Scribe, Written};

/// Whom the lines of a plan's files are about: its program's run, and later the next one.
#[derive(Debug)]
pub(super) struct Voice {
    speaker: Mutex<(Arc<Subject>, Label)>,
    /// When the last line came; 0 for none since it was asked for.
    heard: AtomicU64,
    /// Lines that speak of an error.
    errors: AtomicU64,
}

/// Words by which a line speaks of an error, whatever its format.
const ERRORS: [&[u8]; 6] = [
    b"error",
    b"fatal",
    b"critical",
    b"panic",
    b"traceback",
    b"exception",
];

impl Voice {
    pub(super) fn of(subject: &Arc<Subject>, label: &Label) -> Self {
        Self {
            speaker: Mutex::new((Arc::clone(subject), label.clone())),
            heard: AtomicU64::new(0),
            errors: AtomicU64::new(0),
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
        let now = platform::monotonic_now().nanos();
        self.heard.store(now, Ordering::Relaxed);
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
    ERRORS.iter().any(|word| {
        head.windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    })
}

/// The thread that reads a plan's files.
pub(super) struct Reader<'scope> {
    voice: Arc<Voice>,
    stop: Arc<Bell>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
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
        let memory = plan.reading.memory(desk.data)?;
        let start = plan.reading.start();
        let (follower, warnings) = Follower::open_with(&plan.logfiles, start, memory);
        for warning in warnings {
            console::warn(&format!("{warning}; followed as soon as it can be read"));
        }
        let (voice, stop) = (Arc::new(voice), Arc::new(Bell::new()?));
        let thread = scope.spawn({
            let (voice, stop) = (Arc::clone(&voice), Arc::clone(&stop));
            move || read(follower, scribe, &stop, &voice, desk)
        });
        Ok(Self {
            voice,
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    /// Reads to the files' ends, and no further.
    pub(super) fn finish(mut self) {
        self.stop.ring();
        if let Some(thread) = self.thread.take() {
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

/// Records and shows every line until `stop` rings, and then to the files' ends.
fn read(follower: Follower, mut scribe: Scribe<'_>, stop: &Bell, voice: &Voice, desk: Desk<'_>) {
    observers::follow(follower, stop, |told| {
        let (subject, label) = voice.speaker();
        scribe.take(&subject, told, |outcome| match outcome {
            Outcome::Written(written) => {
                voice.hear(&written);
                desk.console.line(&label, written.text, written.number);
                desk.console.release();
            }
            Outcome::Missing(gap) => console::warn(&format!("lines are missing: {gap}")),
            Outcome::Warning(warning) => {
                console::warn(&format!("{warning}; followed as soon as it can be read"));
            }
        })
    });
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
