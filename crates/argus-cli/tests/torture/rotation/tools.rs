//! The same with what people rotate with: logrotate, and the handlers of Python's `logging`.

use std::path::Path;
use std::process::{Command, Stdio};

use super::account::Losses;
use super::scene::{Scene, TIME};
use super::watch::{Kills, Watch};
use crate::programs::installed;
use crate::rounds;

const HANDLERS: &str = include_str!("handlers.py");

/// What logrotate does with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Create,
    CopyTruncate,
}

/// `logrotate -f`, as often as it can be started.
fn logrotate(name: &str, way: Way) {
    let Some(logrotate) = installed("logrotate", false) else {
        return;
    };
    for seed in 1..=u64::from(rounds(1)) {
        let mut watch = Watch::start();
        let mut scene = Scene::new(watch.path(), seed);
        watch.until_it_follows();
        let (state, configuration) = (watch.bed.path("state"), watch.bed.path("rotate.conf"));
        std::fs::write(&configuration, rules(&watch.path(), way)).unwrap();
        let mut command = Command::new(&logrotate);
        command.arg("-f").arg("-s").arg(state).arg(configuration);
        let written = watch.through(seed, Kills::Random, || {
            scene.storm_with(|scene| {
                assert!(command.status().unwrap().success(), "logrotate");
                if way == Way::Create {
                    scene.linger();
                    scene.reopen();
                }
            })
        });
        let account = watch.settle(written, 0);
        account.balance(&format!("rotation, {name}, seed {seed}"), Losses::None);
    }
}

fn rules(path: &Path, way: Way) -> String {
    let way = match way {
        Way::Create => "create",
        Way::CopyTruncate => "copytruncate",
    };
    let path = path.display();
    format!("\"{path}\" {{\n    rotate 100\n    nocompress\n    {way}\n}}\n")
}

/// A program of Python that rotates its own log.
fn handler(name: &str, kind: &str) {
    let Some(python) = installed("python3", false) else {
        return;
    };
    for seed in 1..=u64::from(rounds(1)) {
        let mut watch = Watch::start();
        // It is there before Python opens it, so that gaze can be seen to follow it.
        drop(Scene::new(watch.path(), seed));
        watch.until_it_follows();
        let program = watch.bed.path("handlers.py");
        std::fs::write(&program, HANDLERS).unwrap();
        let mut command = Command::new(&python);
        command.arg(program).arg(watch.path()).arg(kind);
        command.arg(TIME.as_secs_f64().to_string());
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let written = watch.through(seed, Kills::Random, || {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{name}: {}", output.status);
            let said = String::from_utf8(output.stdout).unwrap();
            said.trim().parse::<u64>().unwrap()
        });
        let account = watch.settle(written, 0);
        account.balance(&format!("rotation, {name}, seed {seed}"), Losses::None);
    }
}

#[test]
fn logrotate_that_creates() {
    logrotate("logrotate create", Way::Create);
}

#[test]
fn logrotate_that_copies_and_empties() {
    logrotate("logrotate copytruncate", Way::CopyTruncate);
}

#[test]
fn a_handler_that_rotates_by_size() {
    handler("RotatingFileHandler", "size");
}

#[test]
fn a_handler_that_rotates_by_time() {
    handler("TimedRotatingFileHandler", "time");
}
