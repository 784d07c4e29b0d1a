//! Plugins that misbehave: each is said in one sentence, what they are asked about is watched on, and
//! what the others print is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::observed::{Home, Running, Stranger, eventually};

fn script(home: &Home, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = home.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Watches a sleeping process with this plugin and a good one, until `done`; what gaze said on
/// standard error.
fn watched(home: &Home, plugin: PathBuf, mut done: impl FnMut() -> bool) -> String {
    let good = script(home, "good", "echo 'good 1'", 0o755);
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let mut command = home.collected(&["gaze", "--pid", &pid, "--interval", "0.1"]);
    for plugin in [plugin, good] {
        command.arg("--plugin").arg(plugin);
    }
    let mut gaze = Running::start(command);
    gaze.wait_for("[Gaze] Metrics: CPU=");
    eventually("the good one is heard and the other did its worst", || {
        let heard = home.rows("SELECT 1 FROM metrics WHERE name = 'good'");
        (!heard.is_empty() && done()).then_some(())
    });
    let before = home.rows("SELECT 1 FROM performance_metrics").len();
    eventually("gaze goes on measuring", || {
        let now = home.rows("SELECT 1 FROM performance_metrics").len();
        (now > before).then_some(())
    });
    stranger.kill(Signal::TERM);
    let (code, said, error) = gaze.finish();
    assert_eq!(code, 0, "{error}");
    assert!(
        said.contains("Process terminated (exit code: -15)"),
        "{said}"
    );
    let trouble = error.lines().filter(|line| line.contains("/bad"));
    assert_eq!(trouble.count(), 1, "it is said once:\n{error}");
    error
}

#[test]
fn one_that_prints_garbage_loses_its_garbage_and_no_more() {
    let home = Home::new();
    let garbage = "echo '%!* what is this'\nhead -c 3000 /dev/urandom\necho\necho 'sane 7'";
    let bad = script(&home, "bad", garbage, 0o755);
    let error = watched(&home, bad, || {
        !home
            .rows("SELECT 1 FROM metrics WHERE name = 'sane' AND value = 7")
            .is_empty()
    });
    assert!(error.contains("expected: name value"), "{error}");
    assert!(
        !error.contains('\u{1b}'),
        "nothing of it reaches the terminal"
    );
}

#[test]
fn one_that_never_ends_is_stopped_with_all_that_it_started() {
    let home = Home::new();
    let started = home.path("started");
    let endless = format!(
        "trap '' TERM\nsleep 300 & echo $! > {0}.new; mv {0}.new {0}\nwait; sleep 300",
        started.display()
    );
    let bad = script(&home, "bad", &endless, 0o755);
    let child = || {
        let pid = fs::read_to_string(&started).ok()?;
        pid.trim().parse::<u32>().ok()
    };
    let is_running = |pid: u32| fs::metadata(format!("/proc/{pid}")).is_ok();
    let first = std::cell::Cell::new(None);
    let error = watched(&home, bad, || {
        first.set(first.get().or_else(child));
        first.get().is_some_and(|pid| !is_running(pid))
    });
    assert!(error.contains("took longer than 10 s; stopped"), "{error}");
}

#[test]
fn one_that_others_may_write_to_is_not_run() {
    let home = Home::new();
    let trace = home.path("trace");
    let bad = script(&home, "bad", &format!("touch {}", trace.display()), 0o757);
    let error = watched(&home, bad.clone(), || true);
    let says = format!("others may write to {0}: chmod go-w {0}", bad.display());
    assert!(error.contains(&says), "{error}");
    assert!(!trace.exists(), "it was not run");
}

#[test]
fn one_that_is_not_there_is_said() {
    let home = Home::new();
    let error = watched(&home, home.path("bad"), || true);
    assert!(error.contains("is not there: give its path"), "{error}");
}
