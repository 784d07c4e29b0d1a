//! The log files of gaze, and whose lines they hold.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use argus_model::record::LogSource;
use argus_observe::tail::{Follower, StartAt, TailWarning};
use argus_observe::wake::Bell;

use super::console::{Console, Label};
use super::observers;
use super::plan::Plan;
use super::recorder::{Recorder, Subject};
use super::watched::Watched;

/// The run of a program that its log lines belong to now: another may follow it.
#[derive(Debug)]
pub(super) struct Voice(Mutex<(Arc<Subject>, Label)>);

impl Voice {
    pub(super) fn of(watched: &Watched) -> Self {
        Self(Mutex::new(watched.voice()))
    }

    fn speaker(&self) -> (Arc<Subject>, Label) {
        let speaker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        speaker.clone()
    }
}

/// Which files are followed, and for whom.
#[derive(Debug)]
pub(super) struct Logs {
    files: Vec<PathBuf>,
    /// For each file, the place of its program in `voices`.
    whose: Vec<usize>,
    voices: Vec<Voice>,
}

impl Logs {
    /// The files of these plans, with a voice for each plan.
    pub(super) fn of(plans: &[Plan], voices: Vec<Voice>) -> Self {
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
    pub(super) fn follow(
        &self,
        follower: Follower,
        stop: &Bell,
        recorder: &Recorder,
        console: &Console,
    ) {
        observers::follow(follower, stop, |file, line| {
            let Some(voice) = self.voices.get(self.whose[file]) else {
                return;
            };
            let (subject, label) = voice.speaker();
            let path = self.files[file].to_string_lossy();
            let number = recorder.line(&subject, LogSource::File, &path, &line);
            console.line(&label, &line.text, number);
        });
    }
}
