//! Real programs under load, watched by `argus gaze --follow-children`: what their sockets and files
//! moved, as the other side counted it, is what the store holds, to the byte; every process of theirs
//! is a run of its own, and every end is right.
//!
//! A program that is not installed is said and left out, but not in CI, which installs the first two.

pub(crate) mod disk;
pub(crate) mod postgres;
mod servers;
pub(crate) mod traffic;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::bed::{Bed, Guarded, until};

/// A program that is being watched.
struct Watched {
    bed: Bed,
    program: Guarded,
    gaze: Guarded,
    _collector: Guarded,
}

impl Watched {
    /// Starts a program, waits until it is `ready`, and watches it and its children, five times a
    /// second. Not before: an interpreter may be found by a script, which has children of its own.
    fn start(bed: Bed, command: &mut Command, ready: impl FnOnce()) -> Self {
        let mut collector = bed.argus(&["collector", "--idle-exit", "never"]);
        let collector = Guarded(collector.spawn().unwrap());
        let program = Guarded(command.stdin(Stdio::null()).spawn().unwrap());
        ready();
        let pid = program.0.id().to_string();
        let mut gaze = bed.argus(&["gaze", "--pid", &pid, "--follow-children"]);
        gaze.args(["--interval", "0.2"]).stdout(Stdio::null());
        let gaze = Guarded(gaze.spawn().unwrap());
        let watched = Self {
            bed,
            program,
            gaze,
            _collector: collector,
        };
        until("gaze watches the program", || watched.processes() >= 1);
        watched
    }

    /// How many processes are watched or were.
    fn processes(&self) -> i64 {
        self.bed
            .number("SELECT count(*) FROM process_runs WHERE NOT observer")
    }

    /// The greatest total of each process, summed up; 0 where nothing is known. Totals only grow; the
    /// last of a process that has ended are metrics, as it can be measured no more.
    fn total(&self, column: &str) -> u64 {
        let sum = format!(
            "SELECT CAST(coalesce(sum(total), 0) AS INTEGER) FROM (
                SELECT max(total) AS total FROM (
                    SELECT run_id, {column} AS total FROM performance_metrics
                    UNION ALL SELECT run_id, value FROM metrics WHERE name = '{column}'
                ) GROUP BY run_id
             )"
        );
        u64::try_from(self.bed.number(&sum)).unwrap()
    }

    /// Ends the program and waits for gaze, which leaves by itself: how its processes ended.
    fn end(mut self, signal: Signal) -> Ends {
        let pid = Pid::from_child(&self.program.0);
        kill_process(pid, signal).unwrap();
        self.program.0.wait().unwrap();
        assert!(self.gaze.0.wait().unwrap().success());
        let count = |of: &str| {
            let query = format!("SELECT count(*) FROM process_runs WHERE NOT observer AND {of}");
            self.bed.number(&query)
        };
        Ends {
            processes: count("true"),
            children: count("parent_pid IN (SELECT pid FROM process_runs)"),
            fine: count("exit_code = 0"),
            unknown: count("exit_code IS NULL"),
        }
    }
}

impl Drop for Watched {
    /// A test that failed leaves no children of its program behind.
    fn drop(&mut self) {
        if matches!(self.program.0.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.program.0), Signal::TERM);
            let _ = self.program.0.wait();
        }
    }
}

/// How the processes of a program ended.
#[derive(Debug)]
struct Ends {
    processes: i64,
    /// Whose parent was watched, too.
    children: i64,
    fine: i64,
    unknown: i64,
}

/// Where a program stands; `None`, and said, when it is not installed and need not be.
pub(crate) fn installed(name: &str, is_in_ci: bool) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&search).chain([Path::new("/usr/sbin").to_owned()]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    if found.is_none() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!(is_in_ci && is_ci), "{name}: CI installs it");
        println!("{name}: what needs it is not run, not installed here");
    }
    found
}
