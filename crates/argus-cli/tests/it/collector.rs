//! The collector as commands see it: started when it is needed, succeeded when it has died.

use std::process::Command;
use std::time::{Duration, Instant};

use argus_model::paths::DataDir;
use argus_spool::control::ControlPage;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::pty::Terminal;
use crate::recording::{Recording, command};

/// A database whose collector may be started, and leaves with the test.
struct Collected {
    recording: Recording,
}

impl Collected {
    fn new() -> Self {
        let recording = Recording::missing();
        Self { recording }
    }

    fn data(&self) -> DataDir {
        DataDir::of(self.recording.database())
    }

    /// `argus` that may start a collector.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.recording.database());
        command.env_remove("ARGUS_COLLECTOR").args(arguments);
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn collector(&self) -> Option<u32> {
        let control = self.data().control();
        control
            .exists()
            .then(|| ControlPage::open(&control).unwrap())?
            .living_collector()
    }

    /// Waits for a collector other than `former`; how long that took.
    fn await_collector(&self, former: Option<u32>) -> (u32, Duration) {
        let began = Instant::now();
        loop {
            let waited = began.elapsed();
            match self.collector() {
                Some(pid) if Some(pid) != former => return (pid, waited),
                _ => assert!(waited < Duration::from_secs(20), "no collector comes"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        if let Some(pid) = self.collector() {
            let _ = kill(pid);
        }
    }
}

fn kill(pid: u32) -> rustix::io::Result<()> {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL)
}

#[test]
fn what_was_recorded_without_a_collector_is_stored_before_it_is_read() {
    let collected = Collected::new();
    let answer = collected.recording.argus(&["run", "--", "echo", "hello"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(!collected.recording.database().exists());

    let lines = collected.json(&["logs"]);
    assert_eq!(lines.as_array().unwrap().len(), 1, "{lines}");
    assert_eq!(lines[0]["line"], json!("hello"));
    let status = collected.json(&["status"]);
    assert_eq!(status["counts"]["logs"], json!(1));
    assert_eq!(status["collector"]["alive"], json!(true));
    for account in status["ledger"].as_array().unwrap() {
        assert_eq!(account["emitted"], account["stored"], "{account}");
    }
}

#[test]
fn a_reader_waits_for_all_that_waits_in_the_spools() {
    let collected = Collected::new();
    // Many times what the collector reads of one thread before it commits.
    let lines = ["run", "--", "seq", "1", "40000"];
    assert_eq!(collected.recording.argus(&lines).code, 0);
    let status = collected.json(&["status"]);
    assert_eq!(status["counts"]["logs"], json!(40_000), "{status}");
}

#[test]
fn reading_starts_nothing_when_nothing_waits() {
    let collected = Collected::new();
    let output = collected.command(&["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!collected.data().folder().exists());
}

#[test]
fn a_collector_that_is_killed_under_watch_has_a_successor_within_two_seconds() {
    let collected = Collected::new();
    let mut terminal = Terminal::start(&collected.command(&["watch"]));
    let (first, _) = collected.await_collector(None);
    terminal.wait_for("the screen", vt100::Screen::alternate_screen);
    kill(first).unwrap();
    let (second, took) = collected.await_collector(Some(first));
    assert_ne!(first, second);
    assert!(took < Duration::from_secs(2), "{took:?}");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    terminal.assert_restored();
}

#[test]
fn a_second_collector_leaves_at_once() {
    let collected = Collected::new();
    let mut first = collected.command(&["collector"]).spawn().unwrap();
    let (pid, _) = collected.await_collector(None);
    assert_eq!(pid, first.id());
    let output = collected.command(&["collector"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_collector_leaves_when_there_is_nobody_left() {
    let collected = Collected::new();
    collected.recording.argus(&["run", "--", "true"]);
    let arguments = ["collector", "--idle-exit", "0.1"];
    let output = collected.command(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(collected.collector(), None);
    let left = collected.data().spool().read_dir().unwrap().count();
    assert_eq!(left, 0, "everything is drained and removed");
}

#[test]
fn an_idle_time_that_is_none_is_usage() {
    let answer = Recording::missing().argus(&["collector", "--idle-exit", "soon"]);
    assert_eq!(answer.code, 2, "{answer:?}");
}
