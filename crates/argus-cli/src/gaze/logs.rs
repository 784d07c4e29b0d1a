//! The log files of gaze, and whose lines they hold.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argus_model::Monotonic;
use argus_model::record::LogSource;
use argus_observe::platform;
use argus_observe::tail::{Follower, StartAt, TailWarning};
use argus_observe::wake::Bell;

use super::console::Label;
use super::desk::Desk;
use super::observers;
use super::plan::Plan;
use super::recorder::Subject;

/// The run of a program that its log lines belong to now: another may follow it.
#[derive(Debug)]
pub(super) struct Voice {
    speaker: Mutex<(Arc<Subject>, Label)>,
    /// When the last line came; 0 for none since it was asked for.
    heard: AtomicU64,
}

impl Voice {
    pub(super) fn of(subject: &Arc<Subject>) -> Self {
        Self {
            speaker: Mutex::new((Arc::clone(subject), Label::NONE)),
            heard: AtomicU64::new(0),
        }
    }

    /// Its lines are shown with this label.
    pub(super) fn is_called(&self, label: &Label) {
        self.lock().1 = label.clone();
    }

    /// When the last line came, if one did since the last call.
    pub(super) fn heard(&self) -> Option<Monotonic> {
        let nanos = self.heard.swap(0, Ordering::Relaxed);
        (nanos > 0).then(|| Monotonic::from_nanos(nanos))
    }

    fn speak(&self) -> (Arc<Subject>, Label) {
        let now = platform::monotonic_now().nanos();
        self.heard.store(now, Ordering::Relaxed);
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<Subject>, Label)> {
        self.speaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which files are followed, and for whom.
#[derive(Debug)]
pub(super) struct Logs {
    files: Vec<PathBuf>,
    /// For each file, the place of its program in `voices`.
    whose: Vec<usize>,
    voices: Vec<Arc<Voice>>,
}

impl Logs {
    /// The files of these plans, with a voice for each plan.
    pub(super) fn of(plans: &[Plan], voices: Vec<Arc<Voice>>) -> Self {
        let mut files = Vec::new();
        let mut whose = Vec::new();
        for (index, plan) in plans.iter().enumerate() {
            files.extend(plan.logfiles.iter().cloned());
            whose.resize(files.len(), index);
        }
        Self {
            files,
            whose,
            voices,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Begins to follow; says which files cannot be read yet.
    pub(super) fn open(&self) -> (Follower, Vec<TailWarning>) {
        Follower::open(&self.files, StartAt::End)
    }

    /// Records and shows every line until `stop` rings, and then to the files' ends.
    pub(super) fn follow(&self, follower: Follower, stop: &Bell, desk: Desk<'_>) {
        observers::follow(follower, stop, |file, line| {
            let Some(voice) = self.voices.get(self.whose[file]) else {
                return;
            };
            let (subject, label) = voice.speak();
            let path = self.files[file].to_string_lossy();
            let number = desk.recorder.line(&subject, LogSource::File, &path, &line);
            desk.console.line(&label, &line.text, number);
        });
    }
}
