//! `argus gaze` that reads the journal: a journald of the test's own, in a mount namespace of its own.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::observed::{Home, Running, Stranger, eventually};

const JOURNALD: &str = "/lib/systemd/systemd-journald";
const NAME: &str = "shop";

/// A journal that nobody else writes to.
struct Journal {
    daemon: Child,
    socket: UnixDatagram,
}

impl Journal {
    /// None where the system has no journald, or does not let us start one.
    fn start() -> Option<Self> {
        let script = format!("mount -t tmpfs none /run && exec {JOURNALD}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = Path::new(JOURNALD)
            .exists()
            .then(|| command.spawn().unwrap())?;
        let place = Self::root(&daemon).join("run/systemd/journal/socket");
        let socket = UnixDatagram::unbound().unwrap();
        let is_there = eventually("journald has begun", || {
            if daemon.try_wait().unwrap().is_some() {
                return Some(false);
            }
            // Before it has a namespace of its own, this would be the system's.
            let is_own = std::fs::read_link(format!("/proc/{}/ns/mnt", daemon.id())).ok()
                != std::fs::read_link("/proc/self/ns/mnt").ok();
            (is_own && socket.connect(&place).is_ok()).then_some(true)
        });
        is_there.then_some(Self { daemon, socket })
    }

    fn root(daemon: &Child) -> PathBuf {
        format!("/proc/{}/root", daemon.id()).into()
    }

    /// The command, run where this journal is the system's.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--mount=/proc/{}/ns/mnt", self.daemon.id()))
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Says something as a program of ours, in the journal's own protocol, and waits until it is kept.
    fn say(&self, message: &str, priority: u8) {
        let mut entry =
            format!("SYSLOG_IDENTIFIER={NAME}\nPRIORITY={priority}\nMESSAGE\n").into_bytes();
        entry.extend_from_slice(&(message.len() as u64).to_le_bytes());
        entry.extend_from_slice(message.as_bytes());
        entry.push(b'\n');
        self.socket.send(&entry).unwrap();
        let mut journalctl = Command::new("journalctl");
        journalctl.arg("--sync");
        assert!(self.inside(&journalctl).status().unwrap().success());
    }

    fn gaze(&self, home: &Home, stranger: &Stranger, options: &[&str]) -> Running {
        let pid = stranger.pid.to_string();
        let about = ["gaze", "--pid", &pid, "--interval", "1", "--journal", NAME];
        let arguments = [&about, options].concat();
        Running::start(self.inside(&home.collected(&arguments)))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn lines(home: &Home) -> Vec<String> {
    let rows = home.rows("SELECT log_line FROM log_entries ORDER BY id");
    let text = |row: &Value| row["log_line"].as_str().unwrap().to_owned();
    rows.iter().map(text).collect()
}

#[test]
fn entries_are_told_with_whose_words_they_are_and_how_severe() {
    let Some(journal) = Journal::start() else {
        eprintln!("skipped: no journald can be started here");
        return;
    };
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    journal.say("before gaze", 6);
    let mut gaze = journal.gaze(&home, &stranger, &[]);
    gaze.wait_for("[Gaze] Metrics");
    journal.say("out of gold", 3);
    gaze.wait_for("[Gaze] Log: out of gold");
    gaze.signal(Signal::INT);
    let (code, _, errors) = gaze.finish();
    assert_eq!((code, errors.as_str()), (0, ""));
    let rows =
        home.rows("SELECT source, level, log_line, process_id, logfile_path FROM log_entries");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["source"], "journal");
    assert_eq!(rows[0]["level"], "ERROR");
    assert_eq!(rows[0]["log_line"], "out of gold");
    assert_eq!(rows[0]["logfile_path"], "journal:shop.service");
    assert_eq!(rows[0]["process_id"], std::process::id());
}

#[test]
fn who_was_killed_goes_on_behind_the_last_entry() {
    let Some(journal) = Journal::start() else {
        eprintln!("skipped: no journald can be started here");
        return;
    };
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    journal.say("before gaze", 6);
    let options = ["--from", "resume"];
    // Killed before anything was said: where it began is known.
    let mut first = journal.gaze(&home, &stranger, &options);
    first.wait_for("[Gaze] Metrics");
    eventually("the beginning is known", || {
        let rows = home.rows("SELECT 1 FROM log_files");
        (rows.len() == 1).then_some(())
    });
    first.signal(Signal::KILL);
    drop(first);
    journal.say("one\ntwo", 6);
    let mut second = journal.gaze(&home, &stranger, &options);
    second.wait_for("[Gaze] Log: two");
    second.signal(Signal::KILL);
    drop(second);
    journal.say("three", 6);
    let mut third = journal.gaze(&home, &stranger, &options);
    third.wait_for("[Gaze] Log: three");
    third.signal(Signal::INT);
    let (code, _, errors) = third.finish();
    assert_eq!((code, errors.as_str()), (0, ""));
    eventually("everything is stored", || {
        (lines(&home).len() >= 3).then_some(())
    });
    assert_eq!(lines(&home), ["one", "two", "three"]);
}

#[test]
fn from_the_start_means_all_that_the_journal_holds() {
    let Some(journal) = Journal::start() else {
        eprintln!("skipped: no journald can be started here");
        return;
    };
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    journal.say("long ago", 6);
    let mut gaze = journal.gaze(&home, &stranger, &["--from", "start"]);
    gaze.wait_for("[Gaze] Log: long ago");
    gaze.signal(Signal::INT);
    gaze.finish();
    assert_eq!(lines(&home), ["long ago"]);
}

#[test]
fn a_system_without_a_journal_says_so_once_and_the_rest_goes_on() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let about = ["gaze", "--pid", &pid, "--interval", "1", "--journal", NAME];
    let gaze = home.collected(&about);
    // A namespace in which there is none, where one can be had.
    let script = "mount -t tmpfs none /run && { [ ! -d /var/log/journal ] \
                  || mount -t tmpfs none /var/log; } && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]);
    command.arg(gaze.get_program()).args(gaze.get_args());
    for (name, value) in gaze.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    if !Command::new("unshare")
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("skipped: no namespace can be had here");
        return;
    }
    let mut gaze = Running::start(command);
    gaze.wait_for("[Gaze] Metrics");
    gaze.signal(Signal::INT);
    let (code, said, errors) = gaze.finish();
    assert_eq!(code, 0, "{said}");
    assert_eq!(errors.matches("has no journal").count(), 1, "{errors}");
}
