//! Something that real processes wait before, until somebody watches them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::stranger::{Stranger, eventually};

/// A named pipe that blocks whoever reads from it until it is opened.
pub(super) struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    pub(super) fn shut() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gate = Self { folder };
        let made = Command::new("mkfifo").arg(gate.path()).status().unwrap();
        assert!(made.success());
        gate
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("gate")
    }

    /// A shell that waits before the gate and then runs the script.
    pub(super) fn run(&self, script: &str) -> Stranger {
        self.start("", script)
    }

    /// The same in a session and a process group of its own.
    pub(super) fn run_in_session(&self, script: &str) -> Stranger {
        self.start("exec setsid ", script)
    }

    fn start(&self, wrapper: &str, script: &str) -> Stranger {
        let path = self.path();
        let command = format!("{wrapper}sh -c 'read line < {}; {script}'", path.display());
        let stranger = Stranger::run(&command);
        eventually("it runs the script", || {
            let is_there = stranger
                .target()
                .command_line
                .starts_with("sh -c read line");
            is_there.then_some(())
        });
        stranger
    }

    /// Waits until somebody stands before it, and lets them through.
    pub(super) fn open(&self) {
        let mut pipe = OpenOptions::new().write(true).open(self.path()).unwrap();
        pipe.write_all(b"go\n").unwrap();
    }
}
