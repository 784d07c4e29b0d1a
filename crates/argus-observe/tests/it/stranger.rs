//! Real processes that are not our children, and patience with a deadline.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use argus_observe::platform;
use argus_observe::process::{Target, find_by_pid};
use rustix::process::{Signal, kill_process};

/// A process started, and later collected, by a shell of ours: a grandchild.
pub(crate) struct Stranger {
    parent: Child,
    pub(crate) pid: u32,
}

impl Stranger {
    /// Runs a shell command as a grandchild whose parent waits for it.
    pub(crate) fn run(command: &str) -> Self {
        Self::start(&format!("{command} & echo $!; wait"))
    }

    /// Runs it under a parent that never collects it.
    pub(crate) fn run_uncollected(command: &str) -> Self {
        Self::start(&format!("{command} & echo $!; exec sleep 60"))
    }

    fn start(script: &str) -> Self {
        let mut parent = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = parent.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        Self { parent, pid }
    }

    pub(crate) fn target(&self) -> Target {
        find_by_pid(self.pid).unwrap()
    }

    pub(crate) fn kill(&self, signal: Signal) {
        kill_process(platform::raw_pid(self.pid).unwrap(), signal).unwrap();
    }

    /// Lets the parent be told to collect nothing any more, and ends it.
    fn end(&mut self) {
        if find_by_pid(self.pid).is_ok() {
            self.kill(Signal::KILL);
        }
        self.parent.kill().unwrap();
        self.parent.wait().unwrap();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.end();
    }
}

/// Looks again until `condition` gives something; fails after ten seconds.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
